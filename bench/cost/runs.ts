/** What the index's runs take and what a look-up reads of them, by their sizes alone (service/index/). */
import { RUN_SIZES } from "../../service/index/cover.ts";
import { filterSize } from "../../service/index/filter.ts";
import { ENOUGH } from "../../service/index/filters.ts";
import { BLOCK, headerSize } from "../../service/index/run.ts";

/** Leaves of a run of the lowest level, how many are merged into one, and leaves of that. */
export const RUN = RUN_SIZES.base;
export const FANOUT = RUN_SIZES.fanout;
export const MERGED = RUN * FANOUT;
/** How often a run's entries are merged. */
export const MERGES = RUN_SIZES.top;

/** Whether each seal of so many entries fills a run. */
export const fillsRuns = (entries: number): boolean => entries >= RUN;

/** Leaves of each run of a log of so many entries. */
export function runsOf(entries: number): number[] {
  const runs: number[] = [];
  let left = entries;
  for (let level = RUN_SIZES.top; level >= 0; level--) {
    const leaves = RUN * FANOUT ** level;
    for (; left >= leaves; left -= leaves) runs.push(leaves);
  }
  return runs;
}

/** What is read in turn, how often and how much. */
export type LookUp = { readonly rounds: number; readonly gets: number; readonly bytes: number };

/**
 * By a function that knows the log's runs or none of them, of leaves that the log has or has not. Blocks that lie side by side
 * are read at once, which is not counted, nor are a filter's false hits, one in 65,536.
 */
export function lookUp(entries: number, leaves: number, isWarm: boolean, areThere = true): LookUp {
  const runs = runsOf(entries);
  const asksFilters = isWarm || leaves >= ENOUGH;
  const opened = isWarm ? [] : runs.map((count) => headerSize(count) + (asksFilters ? filterSize(count) : 0));
  // With a filter each leaf costs a block of the run that has it; without one, a block of each run.
  const blocks = asksFilters
    ? areThere
      ? leaves
      : 0
    : runs.reduce((sum, count) => sum + Math.min(leaves, Math.ceil(count / BLOCK)), 0);
  return {
    rounds: isWarm ? 1 : 2,
    gets: opened.length + blocks,
    bytes: opened.reduce((sum, bytes) => sum + bytes, 0) + blocks * BLOCK_BYTES,
  };
}

/** A leaf hash, and its place. */
const BLOCK_BYTES = BLOCK * 36;

/** What a function keeps in memory of the runs of a log of so many entries. */
export const keptBytes = (entries: number): number =>
  runsOf(entries).reduce((sum, count) => sum + headerSize(count) + filterSize(count), 0);
