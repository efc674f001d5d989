/**
 * Extend: makes the runs that filled, merges them, and moves the cover. Every run is a function of the tree, so that any number
 * may do this at once, in any order, and die anywhere: what they leave is what the next would make.
 */
import { HASH_SIZE, rootOf } from "@kedge/verify/tlog/merkle";
import { growTree } from "@kedge/verify/tlog/tile";
import { sha256 } from "../../platform/hash.ts";
import type { Head } from "../head.ts";
import { breathe } from "./breathe.ts";
import {
  type Cover,
  coverFrontier,
  type IndexContext,
  leavesAt,
  moveCover,
  readCover,
  readHeadAndCover,
  retiredItem,
  sizesOf,
} from "./cover.ts";
import { altered, lost } from "./fault.ts";
import { RunAbsent } from "./filters.ts";
import { readLeaves } from "./find.ts";
import {
  blockCount,
  blockRange,
  checkBlock,
  encodeRun,
  headerHash,
  headerSize,
  mergeRuns,
  type Run,
  type RunFile,
  type RunHeader,
  type RunNode,
  readHeader,
  runPath,
} from "./run.ts";
import { checkRuns } from "./sound.ts";

export type ExtendContext = IndexContext & {
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
};

/** The highest level whose runs are made of tiles at once: 32,768 leaves. */
const FROM_TILES = 1;
/** Leaves whose root is computed between two breaths: a power of two. */
const HASHED_AT_ONCE = 4_096;
/** Blocks of a run that are read at once to merge it: 0.6 MiB. */
const MERGED_AT_ONCE = 32;

/**
 * Until everything that filled has a run and nothing is left to merge. Each step moves the cover, so that who dies is followed
 * by the next where he stopped.
 * @throws ServiceError `corrupt` when a run is lost or altered, or the tiles or the cover are not of the published tree.
 */
export async function extendCover(ctx: ExtendContext, log: string): Promise<Cover> {
  await lengthenCover(ctx, log);
  return await mergeCover(ctx, log);
}

/** Until everything that filled has a run. @throws as `extendCover`. */
export async function lengthenCover(ctx: ExtendContext, log: string): Promise<Cover> {
  return await inSteps(ctx, log, async ({ head, cover }) => {
    const runs = await lengthened(ctx, head, cover);
    return runs === undefined ? "done" : ((await moveCover(ctx.store, cover, runs)) ?? "moved");
  });
}

/**
 * Until nothing is left to merge. A step takes seconds, and the memory of one run of the highest level, some 150 MB; the cover
 * may be lengthened meanwhile. @throws as `extendCover`.
 */
export async function mergeCover(ctx: ExtendContext, log: string): Promise<Cover> {
  return await inSteps(ctx, log, async ({ cover }) => {
    const at = mergeable(ctx, cover);
    if (at === -1) return "done";
    const parts = cover.runs.slice(at, at + sizesOf(ctx).fanout);
    return (await replaceRuns(ctx, cover, parts, await merged(ctx, log, parts))) ?? "moved";
  });
}

/** Whether there is anything to do for `lengthenCover`, as far as these two tell. */
export const isDue = (ctx: IndexContext, { published }: Head, cover: Cover): boolean =>
  runAt(ctx, cover.end, published) !== undefined;

type HeadAndCover = { readonly head: Head; readonly cover: Cover };

/** @param step returns the cover after it; "moved": another has made that step. */
async function inSteps(
  ctx: ExtendContext,
  log: string,
  step: (from: HeadAndCover) => Promise<Cover | "done" | "moved">,
): Promise<Cover> {
  let { head, cover } = await readHeadAndCover(ctx, log);
  for (;;) {
    const next = await step({ head, cover }).catch((error: unknown) => ifMerged(ctx, cover, error));
    if (next === "done") return cover;
    if (next === "moved") ({ head, cover } = await readHeadAndCover(ctx, log));
    else cover = next;
  }
}

/** A run that is absent was merged by another and deleted since, unless the cover of now still names it. */
async function ifMerged(ctx: ExtendContext, { log }: Cover, error: unknown): Promise<"moved"> {
  if (!(error instanceof RunAbsent)) throw error;
  if (names(await readCover(ctx, log), error.path)) throw lost(error.path);
  return "moved";
}

const names = ({ log, runs }: Cover, path: string): boolean => runs.some((run) => runPath(log, run) === path);

/** The cover with this run in the place of its parts, as it is now; undefined: it has them no more. */
async function replaceRuns(
  ctx: ExtendContext,
  cover: Cover,
  parts: readonly Run[],
  run: Run,
): Promise<Cover | undefined> {
  for (let now = cover; ; now = await readCover(ctx, cover.log)) {
    if (!parts.every((part) => names(now, runPath(now.log, part)))) return undefined;
    const at = now.runs.findIndex(({ first }) => first === run.first);
    const moved = await moveCover(ctx.store, now, now.runs.toSpliced(at, parts.length, run));
    if (moved !== undefined) return moved;
  }
}

// ---- from tiles ------------------------------------------------------------------------------------------------------

/** The cover's runs and those that filled since, as many as have the leaves of a run of level FROM_TILES. */
async function lengthened(ctx: ExtendContext, head: Head, cover: Cover): Promise<Run[] | undefined> {
  const most = cover.end + BigInt(leavesAt(sizesOf(ctx), FROM_TILES));
  const limit = most < head.published ? most : head.published;
  const nodes: RunNode[] = [];
  const all: Uint8Array[] = [];
  for (let first = cover.end; ; ) {
    const shape = runAt(ctx, first, limit);
    if (shape === undefined) break;
    const leaves = await readLeaves(ctx.store, head, first, first + BigInt(shape.count));
    nodes.push({ ...shape, root: await leavesRoot(leaves) });
    all.push(leaves);
    first += BigInt(shape.count);
  }
  if (nodes.length === 0) return undefined;
  await checkRuns(ctx, head, [...cover.runs, ...nodes]);
  const runs: Run[] = [];
  for (const [i, node] of nodes.entries()) {
    runs.push(await writeRun(ctx, head.log, node, await encodeRun(node.first, all[i] ?? new Uint8Array())));
  }
  return [...cover.runs, ...runs];
}

/** The largest run that begins here, is made of tiles at once and ends by `limit`. */
function runAt(ctx: IndexContext, first: bigint, limit: bigint): Omit<RunNode, "root"> | undefined {
  const sizes = sizesOf(ctx);
  for (let level = Math.min(FROM_TILES, sizes.top); level >= 0; level--) {
    const count = leavesAt(sizes, level);
    if (first % BigInt(count) === 0n && first + BigInt(count) <= limit) return { level, first, count };
  }
  return undefined;
}

/** The root of the tree of these leaf hashes. */
export async function leavesRoot(leaves: Uint8Array): Promise<Uint8Array> {
  const roots: Uint8Array[] = [];
  const slice = HASHED_AT_ONCE * HASH_SIZE;
  for (let at = 0; at < leaves.length; at += slice) {
    await breathe();
    roots.push(growTree(0n, new Map(), leaves.subarray(at, at + slice), sha256).root);
  }
  return rootOf(roots);
}

/** Durably, before the cover names it. */
export async function writeRun(
  { index, filters }: IndexContext,
  log: string,
  node: RunNode,
  made: RunFile,
): Promise<Run> {
  const { file, header } = made;
  const hash = headerHash(made);
  const path = runPath(log, node);
  const { filterSize } = readHeader(path, file.subarray(0, header), hash);
  const run: Run = { ...node, headerHash: hash, filterSize };
  await index.write(path, file);
  filters.keep(path, made, run);
  return run;
}

// ---- from runs -------------------------------------------------------------------------------------------------------

/** One run of these, which are all children of a node of the next level; they are retired. */
async function merged(ctx: ExtendContext, log: string, parts: readonly Run[]): Promise<Run> {
  const [first] = parts;
  // Of the children's roots, which were checked when they came into the cover.
  const [root] = coverFrontier(parts);
  if (first === undefined || root === undefined) throw new RangeError("no runs to merge");
  const count = first.count * parts.length;
  const node: RunNode = { level: first.level + 1, first: first.first, count, root };
  const opened = await Promise.all(parts.map((part) => openRun(ctx, log, part)));
  const made = await mergeRuns(
    first.first,
    first.count,
    opened.map(({ entries }) => entries),
  );
  const run = await writeRun(ctx, log, node, made);
  // Before the cover moves: what is named by nothing would never be deleted.
  const now = ctx.clock();
  await ctx.store.write(parts.map((part) => retiredItem(log, part, now)));
  return run;
}

/** The first run from which on there are all children of a node of the next level; -1: there is none. */
function mergeable(ctx: IndexContext, { runs }: Cover): number {
  const { fanout } = sizesOf(ctx);
  return runs.findIndex((_, i) => canMerge(ctx, runs.slice(i, i + fanout)));
}

function canMerge(ctx: IndexContext, runs: readonly Run[]): boolean {
  const { fanout, top } = sizesOf(ctx);
  const [first] = runs;
  if (first === undefined || runs.length < fanout || first.level === top) return false;
  return (
    first.first % BigInt(first.count * fanout) === 0n && runs.every(({ level }) => level === first.level)
  );
}

/** The run's header, and its blocks in order, checked when they are read. @throws RunAbsent; ServiceError `corrupt`: altered. */
export async function openRun(
  { index }: IndexContext,
  log: string,
  run: Run,
): Promise<{ header: RunHeader; entries: AsyncGenerator<Uint8Array> }> {
  const path = runPath(log, run);
  const read = async (from: number, to: number) => {
    const bytes = await index.read(path, from, to);
    if (bytes === undefined) throw new RunAbsent(path);
    if (bytes.length !== to - from) throw altered(path);
    return bytes;
  };
  const header = readHeader(path, await read(0, headerSize(run.count)), run.headerHash);
  return { header, entries: blocksOf(path, header, read) };
}

async function* blocksOf(
  path: string,
  header: RunHeader,
  read: (from: number, to: number) => Promise<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const count = blockCount(header);
  for (let block = 0; block < count; block += MERGED_AT_ONCE) {
    const end = Math.min(block + MERGED_AT_ONCE, count);
    const { from, to } = blockRange(header, block, end);
    const bytes = await read(from, to);
    for (let number = block; number < end; number++) {
      const range = blockRange(header, number, number + 1);
      yield checkBlock(path, header, number, bytes.subarray(range.from - from, range.to - from));
    }
  }
}
