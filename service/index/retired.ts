/** Retired runs: deleted once nobody can hold a cover any more that names them. */
import type { Key } from "../../platform/store.ts";
import { type IndexContext, readCover, retiredRuns } from "./cover.ts";
import { runPath } from "./run.ts";

/** A table is restored to any point of 35 days: what its cover named then is there. */
export const RETENTION_MS = 36 * 24 * 3_600_000;

/** Looked at by one call at most: what is left has time. */
const AT_ONCE = 256;

/**
 * @param now ms since the epoch
 * @param retention for how many ms a run is kept after it was retired
 * @returns how many were deleted.
 */
export async function removeRetired(
  ctx: IndexContext,
  log: string,
  now: number,
  retention: number,
): Promise<number> {
  const old: { readonly key: Key; readonly path: string }[] = [];
  for await (const run of retiredRuns(ctx.store, log, now - retention, AT_ONCE)) old.push(run);
  if (old.length === 0) return 0;
  // Who retired it may have died before the cover moved, and a restore or a rebuild may have taken it up again: it is retired
  // anew when it is merged.
  const named = new Set((await readCover(ctx, log)).runs.map((run) => runPath(log, run)));
  const dead = old.filter(({ path }) => !named.has(path));
  for (const { path } of dead) await ctx.index.remove(path);
  await ctx.store.write(
    [],
    old.map(({ key }) => key),
  );
  return dead.length;
}
