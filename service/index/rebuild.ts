/** Rebuild: what of a log's index is lost, altered or of another tree is made anew from the log's tiles. */
import { equalBytes } from "@kedge/verify/tlog/bytes";
import { ServiceError } from "../../platform/error.ts";
import type { Head } from "../head.ts";
import { type Cover, coverKey, moveCover, readHeadAndCover } from "./cover.ts";
import { type ExtendContext, extendCover, leavesRoot, openRun, writeRun } from "./extend.ts";
import { isIndexFault } from "./fault.ts";
import { RunAbsent } from "./filters.ts";
import { readLeaves } from "./find.ts";
import { checkFilter, encodeRun, type Run, runPath } from "./run.ts";
import { checkFrontier } from "./sound.ts";

export type Rebuilt = {
  /** Runs that were made anew, and the entries that runs cover after the call. */
  readonly runs: number;
  readonly covered: bigint;
};

/**
 * Reads every byte of every run. Readers and sealers go on meanwhile, for a run that is made anew has the bytes that it had, and
 * nothing is deleted. A call that dies is repeated. Takes some 400 MB for a run of the highest level.
 * @throws ServiceError `corrupt` when the tiles are not those of the published tree: then the log itself is to be restored.
 */
export async function rebuildIndex(ctx: ExtendContext, log: string): Promise<Rebuilt> {
  try {
    const sound = await readSound(ctx, log);
    const runs =
      sound === undefined ? await resetCover(ctx, log) : await mendRuns(ctx, sound.head, sound.cover);
    const before = sound?.cover.runs.length ?? 0;
    const cover = await extendCover(ctx, log);
    return { runs: runs + Math.max(0, cover.runs.length - before), covered: cover.end };
  } catch (cause) {
    if (!isIndexFault(cause)) throw cause;
    const message = `log ${log}: run kedge index rebuild ${log} again; if it says so again, its tiles are not its head's: restore the whole log`;
    throw new ServiceError("corrupt", message, { cause });
  }
}

/** Head and cover; undefined when the cover cannot be read or is not of the head's tree. */
async function readSound(ctx: ExtendContext, log: string): Promise<{ head: Head; cover: Cover } | undefined> {
  try {
    const both = await readHeadAndCover(ctx, log);
    await checkFrontier(ctx, both.head, both.cover.runs);
    return both;
  } catch (error) {
    if (error instanceof ServiceError && error.code === "corrupt") return undefined;
    throw error;
  }
}

/** So that the runs are made from the first on. By the clock, its version is one that no mover of the old cover expects. */
async function resetCover({ store, clock }: ExtendContext, log: string): Promise<number> {
  await store.put({ ...coverKey(log), version: BigInt(clock()), end: 0n, runs: new Uint8Array() });
  return 0;
}

/** Also where the cover itself says something else of a run than its bytes, such as the hash of its header. */
async function mendRuns(ctx: ExtendContext, head: Head, cover: Cover): Promise<number> {
  let made = 0;
  const runs: Run[] = [];
  for (const run of cover.runs) {
    if (await isWhole(ctx, head.log, run)) runs.push(run);
    else {
      const leaves = await readLeaves(ctx.store, head, run.first, run.first + BigInt(run.count));
      if (!equalBytes(await leavesRoot(leaves), run.root)) {
        throw new ServiceError(
          "corrupt",
          `log ${head.log}: its tiles are not its head's; restore the whole log`,
        );
      }
      runs.push(await writeRun(ctx, head.log, run, await encodeRun(run.first, leaves)));
      made++;
    }
  }
  const isChanged = runs.some((run, i) => !isSame(run, cover.runs[i]));
  if (isChanged && (await moveCover(ctx.store, cover, runs)) === undefined) {
    throw new ServiceError("conflict", `log ${head.log}: its cover was moved meanwhile; run this again`);
  }
  return made;
}

const isSame = (a: Run, b: Run | undefined): boolean =>
  b !== undefined && a.filterSize === b.filterSize && equalBytes(a.headerHash, b.headerHash);

async function isWhole(ctx: ExtendContext, log: string, run: Run): Promise<boolean> {
  try {
    const { header, entries } = await openRun(ctx, log, run);
    const path = runPath(log, run);
    if (header.filterSize !== run.filterSize || header.count !== run.count) return false;
    const filter = await ctx.index.read(path, header.size, header.size + header.filterSize);
    if (filter === undefined) return false;
    checkFilter(path, header, filter);
    for await (const _ of entries);
    return true;
  } catch (error) {
    if (error instanceof RunAbsent || isIndexFault(error)) return false;
    throw error;
  }
}
