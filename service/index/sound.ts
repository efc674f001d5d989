/** Whether a log's runs are those of its tree: a cover of another would miss what the log has, and let it in twice (I2). */
import { createHash } from "node:crypto";
import { joinBytes } from "@kedge/verify/tlog/bytes";
import { parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { TlogError } from "@kedge/verify/tlog/error";
import { frontierRoot, verifyConsistency } from "@kedge/verify/tlog/merkle";
import { consistencyProof, consistencyTiles } from "@kedge/verify/tlog/tileproof";
import { type Head, lastCheckpoint } from "../head.ts";
import { readLogTiles } from "../tiles.ts";
import { coverFrontier, endOf, type IndexContext } from "./cover.ts";
import { foreign } from "./fault.ts";
import type { RunNode } from "./run.ts";

/** As `checkFrontier`, once for each: a tree only grows. Runs that reach beyond the published tree are not judged yet. */
export async function checkRuns(ctx: IndexContext, head: Head, runs: readonly RunNode[]): Promise<void> {
  if (endOf(runs) > head.published) return;
  // Every look-up comes here: one hash, where the frontier takes one for each run.
  const name = createHash("sha256")
    .update(joinBytes(runs.map(({ root }) => root)))
    .digest("hex");
  if (ctx.filters.knows(head.log, name)) return;
  await checkFrontier(ctx, head, runs);
  ctx.filters.know(head.log, name);
}

/** That these runs are the beginning of the published tree. @throws ServiceError `corrupt`. */
export async function checkFrontier(
  { store }: IndexContext,
  head: Head,
  runs: readonly RunNode[],
): Promise<void> {
  const end = endOf(runs);
  if (end === 0n) return;
  const { size: to, root: toRoot } = parseCheckpoint(lastCheckpoint(head).note).checkpoint;
  if (end > to) throw foreign(head.log);
  const tiles = await readLogTiles(store, head.log, consistencyTiles(end, to));
  try {
    const proof = consistencyProof(end, to, tiles);
    verifyConsistency({ from: end, to, fromRoot: frontierRoot(coverFrontier(runs)), toRoot, proof });
  } catch (error) {
    if (error instanceof TlogError) throw foreign(head.log);
    throw error;
  }
}
