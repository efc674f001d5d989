/** Rebuild: what of a log's index is lost, altered or of another tree is made anew from the log's tiles. */
import { equalBytes } from "@kedge/verify/tlog/bytes";
import { ServiceError } from "../../platform/error.ts";
import type { Head } from "../head.ts";
import { type Cover, coverKey, readHeadAndCover } from "./cover.ts";
import { checkFrontier, type ExtendContext, extendCover, leavesRoot, openRun, writeRun } from "./extend.ts";
import { isIndexFault } from "./fault.ts";
import { RunAbsent } from "./filters.ts";
import { readLeaves } from "./find.ts";
import { checkFilter, encodeRun, type Run, runPath } from "./run.ts";

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
    throw new ServiceError("corrupt", `log ${log}: its tiles are not its head's; restore the whole log`, {
      cause,
    });
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

async function mendRuns(ctx: ExtendContext, head: Head, { runs }: Cover): Promise<number> {
  let made = 0;
  for (const run of runs) {
    if (await isWhole(ctx, head.log, run)) continue;
    const leaves = await readLeaves(ctx.store, head, run.first, run.first + BigInt(run.count));
    if (!equalBytes(await leavesRoot(leaves), run.root)) {
      throw new ServiceError(
        "corrupt",
        `log ${head.log}: its tiles are not its head's; restore the whole log`,
      );
    }
    await writeRun(ctx, head.log, run, await encodeRun(run.first, leaves));
    made++;
  }
  return made;
}

async function isWhole(ctx: ExtendContext, log: string, run: Run): Promise<boolean> {
  try {
    const { header, entries } = await openRun(ctx, log, run);
    const path = runPath(log, run);
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
