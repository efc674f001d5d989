/**
 * Find: which leaf hashes stand in the published tree, and where. In the runs that the cover names, by filter, fence and block;
 * beyond them in the level-0 tiles. At most two rounds of reads after head and cover, however large the log.
 */
import { HASH_SIZE } from "@kedge/verify/tlog/merkle";
import { TILE_WIDTH, type Tile, widthAt } from "@kedge/verify/tlog/tile";
import { ServiceError } from "../../platform/error.ts";
import type { Head } from "../head.ts";
import { readLogTiles, tileBytes } from "../tiles.ts";
import { breathe } from "./breathe.ts";
import { type Cover, type IndexContext, readCover, sizesOf } from "./cover.ts";
import { altered, lost } from "./fault.ts";
import { keysOf } from "./filter.ts";
import { type OpenRun, RunAbsent } from "./filters.ts";
import {
  blockOf,
  blockRange,
  checkBlock,
  compare,
  findInBlock,
  type Run,
  runPath,
  sortedPlaces,
} from "./run.ts";
import { checkRuns } from "./sound.ts";

/** Blocks of one ranged read at most: 1.1 MiB. */
const MAX_BLOCKS = 64;
/** Leaves that are probed in a filter between two breaths, and reads of one run at once. */
const PROBES = 4_096;
const PARALLEL = 16;
/** Covers that are looked at, each newer than the one before, until one has its runs in place. */
const TRIES = 5;

/** Leaf hashes to look for, HASH_SIZE bytes each, in any order. */
type Batch = {
  readonly leaves: Uint8Array;
  /** Their numbers in the order of their bytes. */
  readonly order: Uint32Array;
  /** What filters know them by. */
  readonly keys: Uint32Array;
};

/**
 * @param leaves HASH_SIZE bytes each, one after the other
 * @param from below it is known already what there is
 * @returns the index of each; undefined: it is not in the tree that `head` has published, from `from` on. The cover may be newer
 * than the head: an index may be of an entry that this head has not published.
 * @throws ServiceError `throttled` when more is uncovered than a look-up reads; `corrupt` for a run that is lost or altered.
 */
export async function find(
  ctx: IndexContext,
  head: Head,
  cover: Cover,
  leaves: Uint8Array,
  from = 0n,
): Promise<(bigint | undefined)[]> {
  if (head.published - cover.end > BigInt(sizesOf(ctx).uncovered)) {
    throw new ServiceError("throttled", `the index of log ${head.log} is being made: ask again in a minute`);
  }
  const batch: Batch = { leaves, order: sortedPlaces(leaves), keys: keysOf(leaves) };
  const found: (bigint | undefined)[] = Array.from({ length: leaves.length / HASH_SIZE });
  if (found.length === 0) return found;
  for (let tries = 1, now = cover; ; tries++) {
    try {
      const runs = now.runs.filter(({ first, count }) => first + BigInt(count) > from);
      const start = now.end > from ? now.end : from;
      await settled([
        checkRuns(ctx, head, now.runs),
        findInTail(ctx, head, start, batch, found),
        ...runs.flatMap((run) => findInRun(ctx, head.log, run, batch, found) ?? []),
      ]);
      return found;
    } catch (error) {
      if (!(error instanceof RunAbsent)) throw error;
      // Merged into another and deleted since, unless the cover of now still names it.
      now = await readCover(ctx, head.log);
      if (now.runs.some((run) => runPath(head.log, run) === error.path)) throw lost(error.path);
      if (tries === TRIES) {
        throw new ServiceError("unavailable", `the index of log ${head.log} moves: ask again`, {
          cause: error,
        });
      }
    }
  }
}

/** Waits for all of them also when one fails, so that nothing goes on unseen. */
async function settled(work: readonly Promise<unknown>[]): Promise<void> {
  const results = await Promise.allSettled(work);
  const faults = results.flatMap((result) => (result.status === "rejected" ? [result.reason] : []));
  const fault = faults.find((reason) => !(reason instanceof RunAbsent)) ?? faults[0];
  if (fault !== undefined) throw fault;
}

// ---- in a run --------------------------------------------------------------------------------------------------------

/** A few leaves are asked of a filter in memory at once: nearly always none of them is in the run, and nothing is to be read. */
function findInRun(
  ctx: IndexContext,
  log: string,
  run: Run,
  batch: Batch,
  found: (bigint | undefined)[],
): Promise<void> | undefined {
  const warm = batch.order.length <= PROBES ? ctx.filters.warm(log, run) : undefined;
  if (warm === undefined) return openAndFind(ctx, log, run, batch, found);
  const blocks: Candidates = new Map();
  for (const leaf of batch.order) addCandidate(warm, batch, leaf, blocks);
  return blocks.size === 0 ? undefined : readBlocks(ctx, warm, blocks, batch, found);
}

async function openAndFind(
  ctx: IndexContext,
  log: string,
  run: Run,
  batch: Batch,
  found: (bigint | undefined)[],
): Promise<void> {
  const open = await ctx.filters.open(ctx.index, log, run, batch.order.length);
  const blocks: Candidates = new Map();
  let probed = 0;
  for (const leaf of batch.order) {
    if (probed++ % PROBES === 0) await breathe();
    addCandidate(open, batch, leaf, blocks);
  }
  await readBlocks(ctx, open, blocks, batch, found);
}

async function readBlocks(
  { index, filters }: IndexContext,
  open: OpenRun,
  blocks: Candidates,
  batch: Batch,
  found: (bigint | undefined)[],
): Promise<void> {
  const ranges = rangesOf(blocks);
  for (let at = 0; at < ranges.length; at += PARALLEL) {
    await settled(
      ranges.slice(at, at + PARALLEL).map(async ({ from, to, leaves }) => {
        const { from: start, to: end } = blockRange(open.header, from, to);
        await filters.reading(end - start, async () => {
          const bytes = await index.read(open.path, start, end);
          if (bytes === undefined) throw new RunAbsent(open.path);
          if (bytes.length !== end - start) throw altered(open.path);
          findInBlocks(open, from, bytes, leaves, batch, found);
        });
      }),
    );
  }
}

/** The blocks to read, in order, each with the leaves that it may have. */
type Candidates = Map<number, number[]>;

function addCandidate(
  { header, filter }: OpenRun,
  { leaves, keys }: Batch,
  leaf: number,
  blocks: Candidates,
): void {
  if (filter?.may(keys[2 * leaf] ?? 0, keys[2 * leaf + 1] ?? 0) === false) return;
  const block = blockOf(header, leaves, leaf * HASH_SIZE);
  if (block === undefined) return;
  const others = blocks.get(block);
  if (others === undefined) blocks.set(block, [leaf]);
  else others.push(leaf);
}

/** Blocks [from, to), which are read at once. */
type BlockRange = { readonly from: number; to: number; readonly leaves: Candidates };

/** Neighbouring blocks go into one read. */
function rangesOf(blocks: Candidates): BlockRange[] {
  const ranges: BlockRange[] = [];
  for (const [block, leaves] of blocks) {
    const last = ranges.at(-1);
    if (last?.to === block && last.to - last.from < MAX_BLOCKS) {
      last.to++;
      last.leaves.set(block, leaves);
    } else ranges.push({ from: block, to: block + 1, leaves: new Map([[block, leaves]]) });
  }
  return ranges;
}

function findInBlocks(
  { path, header }: OpenRun,
  from: number,
  bytes: Uint8Array,
  leaves: Candidates,
  batch: Batch,
  found: (bigint | undefined)[],
): void {
  const start = blockRange(header, from, from).from;
  for (const [number, wanted] of leaves) {
    const range = blockRange(header, number, number + 1);
    const block = checkBlock(path, header, number, bytes.subarray(range.from - start, range.to - start));
    for (const leaf of wanted) {
      found[leaf] = findInBlock(header, block, batch.leaves, leaf * HASH_SIZE) ?? found[leaf];
    }
  }
}

// ---- beyond the runs -------------------------------------------------------------------------------------------------

async function findInTail(
  { store }: IndexContext,
  head: Head,
  from: bigint,
  batch: Batch,
  found: (bigint | undefined)[],
): Promise<void> {
  if (from >= head.published) return;
  const hashes = await readLeaves(store, head, from, head.published);
  for (let at = 0, n = 0; at < hashes.length; at += HASH_SIZE, n++) {
    if (n % PROBES === 0) await breathe();
    for (const leaf of placesOf(batch, hashes, at)) found[leaf] = from + BigInt(n);
  }
}

/** Which of the leaves looked for this one is: by halving, whose time no choice of hashes can make longer. */
function* placesOf({ leaves, order }: Batch, hashes: Uint8Array, at: number): Generator<number> {
  let low = 0;
  let high = order.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compare(leaves, (order[middle] ?? 0) * HASH_SIZE, hashes, at) < 0) low = middle + 1;
    else high = middle;
  }
  for (let leaf = order[low]; leaf !== undefined; leaf = order[++low]) {
    if (compare(leaves, leaf * HASH_SIZE, hashes, at) !== 0) return;
    yield leaf;
  }
}

/** The leaf hashes [from, to) of a log, from its tiles. */
export async function readLeaves(
  store: IndexContext["store"],
  { log, published }: Head,
  from: bigint,
  to: bigint,
): Promise<Uint8Array> {
  const wide = BigInt(TILE_WIDTH);
  const wanted: Tile[] = [];
  for (let index = from / wide; index * wide < to; index++) {
    wanted.push({ level: 0, index, width: widthAt(published, 0, index) });
  }
  const tiles = await readLogTiles(store, log, wanted);
  const leaves = new Uint8Array(Number(to - from) * HASH_SIZE);
  for (const tile of wanted) {
    const start = Number(tile.index * wide - from) * HASH_SIZE;
    const bytes = tileBytes(tile, tiles).subarray(Math.max(0, -start), leaves.length - start);
    leaves.set(bytes, Math.max(0, start));
  }
  return leaves;
}
