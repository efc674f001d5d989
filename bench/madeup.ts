/**
 * A log of any size, made up of what the engine reads of it: its head and cover, the tiles of its right edge and those on the
 * paths of some old entries, and the runs of its index; every other hash is random. What is sealed on top of it is real.
 *
 * The headers and filters of the runs are real files. Their blocks, most of 38 bytes an entry, are computed when they are read.
 * The service checks all that it reads, so what is made up must hang together.
 */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { frontierRoot, HASH_SIZE, leafHash, rootOf } from "@kedge/verify/tlog/merkle";
import {
  encodeBundle,
  rightEdge,
  TILE_WIDTH,
  type Tile,
  tileHashes,
  tileKey,
  widthAt,
} from "@kedge/verify/tlog/tile";
import { frontierFromTiles } from "@kedge/verify/tlog/tileproof";
import { folderIndex } from "../platform/index-folder.ts";
import type { IndexPlace } from "../platform/index-place.ts";
import type { Service } from "../service/config-sealing.ts";
import { emptyHead, moveHead } from "../service/head.ts";
import { endOf, leavesAt, moveCover, RUN_SIZES } from "../service/index/cover.ts";
import { writeRun } from "../service/index/extend.ts";
import { newFilters } from "../service/index/filters.ts";
import { mergeRuns, type RunNode } from "../service/index/run.ts";
import { writeRecord } from "../service/record.ts";
import { writeTiles } from "../service/tiles.ts";
import { type BenchLog, newLog, randomCommitments } from "./stack.ts";

export type BigLog = {
  readonly log: BenchLog;
  readonly size: bigint;
  /** Commitments that stand in it, somewhere. */
  readonly old: readonly Uint8Array[];
};

/** Bytes of an entry of a block: a leaf hash and its place. */
const ENTRY = HASH_SIZE + 4;
/** Entries that are computed at once while a run is made. */
const SLICE = 4_096;

/** The entries of a run in the order of their hashes: the n-th has its first 32 bits in the n-th stripe of all. */
type Entries = {
  readonly seed: number;
  readonly count: number;
  /** Real leaf hashes, in place of the made-up ones of their stripes. */
  readonly real: Map<number, Uint8Array>;
};

/** An index whose made-up runs are computed, and whose real ones are in a folder. */
export function madeUpIndex(folder: string) {
  const place = folderIndex(pathToFileURL(`${join(folder, "index")}/`));
  const runs = new Map<string, { readonly start: number; readonly entries: Entries }>();
  const index: IndexPlace = {
    ...place,
    async read(path, from = 0, to) {
      const run = runs.get(path);
      if (run === undefined || (to !== undefined && to <= run.start)) return await place.read(path, from, to);
      if (from < run.start || to === undefined) throw new RangeError("a made-up run is not read as a whole");
      return entriesAt(run.entries, (from - run.start) / ENTRY, (to - run.start) / ENTRY);
    },
  };
  /** The place to which a run is written while it is made. */
  const making = (entries: Entries): IndexPlace => ({
    ...place,
    async write(path, file) {
      const start = file.length - entries.count * ENTRY;
      await place.write(path, file.subarray(0, start));
      runs.set(path, { start, entries });
    },
  });
  return { index, making };
}

type MadeUpIndex = ReturnType<typeof madeUpIndex>;

export async function makeUp(
  service: Service,
  { making }: MadeUpIndex,
  size: bigint,
  olds: number,
): Promise<BigLog> {
  const { store, publication } = service;
  const log = await newLog(service);
  const nodes = runNodes(size);
  const runs = nodes.map((node, i) => ({ ...node, entries: newEntries(i, node.count) }));
  const old: Uint8Array[] = [];
  const tiles = madeUpTiles(size, endOf(nodes.map((node) => ({ ...node, root: new Uint8Array() }))));
  while (old.length < olds) {
    const [commitment = new Uint8Array()] = randomCommitments(1);
    const run = runs[Math.floor((old.length * runs.length) / olds)] ?? runs[0];
    if (run === undefined) throw new RangeError("a log so small has no run");
    const place = placeIn(run.entries, leafHash(commitment));
    if (place === undefined) continue;
    const index = run.first + BigInt(place);
    const tile = { level: 0, index: index / BigInt(TILE_WIDTH), width: TILE_WIDTH };
    const made = tiles.get(tileKey(0, tile.index)) ?? madeUp(tile);
    tiles.set(tileKey(0, tile.index), made);
    made.bytes.set(leafHash(commitment), Number(index % BigInt(TILE_WIDTH)) * HASH_SIZE);
    old.push(commitment);
  }
  settle(size, tiles);

  const width = Number(size % BigInt(TILE_WIDTH));
  const bundle: Tile = { level: "entries", index: size / BigInt(TILE_WIDTH), width };
  await writeTiles(store, log.id, [
    ...tiles.values(),
    { tile: bundle, bytes: encodeBundle(randomCommitments(width)) },
  ]);
  const bytesOf = new Map([...tiles].map(([key, { bytes }]) => [key, bytes]));
  const frontier = frontierFromTiles(size, bytesOf);
  const root = frontierRoot(frontier);
  const treeHead = { origin: log.origin, size, root };
  await writeRecord(publication, log, treeHead, undefined);
  const checkpoint = { note: await service.signLog(treeHead), at: BigInt(service.clock()) };
  const head = { ...emptyHead(log.id), size, root, frontier, published: size, checkpoint };
  await moveHead(store, emptyHead(log.id), head);

  const made = [];
  for (const { entries, ...shape } of runs) {
    const node: RunNode = { ...shape, root: rootFrom(size, tiles, shape) };
    const file = await mergeRuns(node.first, node.count, [slicesOf(entries)]);
    const ctx = { store, index: making(entries), filters: newFilters(0) };
    made.push(await writeRun(ctx, log.id, node, file));
  }
  await moveCover(store, { log: log.id, version: 0n, end: 0n, runs: [] }, made);
  return { log, size, old };
}

// ---- runs ------------------------------------------------------------------------------------------------------------

type Shape = Omit<RunNode, "root">;

/** The runs that a log of this size has once all is merged. */
function runNodes(size: bigint): Shape[] {
  const nodes: Shape[] = [];
  for (let level = RUN_SIZES.top, first = 0n; level >= 0; level--) {
    const count = leavesAt(RUN_SIZES, level);
    for (; first + BigInt(count) <= size; first += BigInt(count)) nodes.push({ level, first, count });
  }
  return nodes;
}

const newEntries = (number: number, count: number): Entries => ({
  seed: Math.imul(number + 1, 0x9e3779b9) >>> 0,
  count,
  real: new Map(),
});

/** Puts a real leaf hash into its stripe. @returns its place in the range of the run; undefined: the stripe has one. */
function placeIn({ count, real }: Entries, hash: Uint8Array): number | undefined {
  const stripe = Math.floor(new DataView(hash.buffer, hash.byteOffset).getUint32(0) / (2 ** 32 / count));
  if (real.has(stripe)) return undefined;
  real.set(stripe, hash);
  return placeOf(count, stripe);
}

/** A permutation: counts are powers of two. */
const placeOf = (count: number, number: number): number => (Math.imul(number, 0x2545f491) >>> 0) % count;

function entriesAt({ seed, count, real }: Entries, from: number, to: number): Uint8Array {
  const bytes = new Uint8Array((to - from) * ENTRY);
  const view = new DataView(bytes.buffer);
  const stripe = 2 ** 32 / count;
  for (let n = from, at = 0; n < to; n++, at += ENTRY) {
    let word = mix(seed ^ Math.imul(n, 0x85ebca6b));
    view.setUint32(at, n * stripe + (word % stripe));
    for (let i = 4; i < HASH_SIZE; i += 4) {
      word = mix(word + i);
      view.setUint32(at + i, word);
    }
    const hash = real.get(n);
    if (hash !== undefined) bytes.set(hash, at);
    view.setUint32(at + HASH_SIZE, placeOf(count, n));
  }
  return bytes;
}

async function* slicesOf(entries: Entries): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < entries.count; at += SLICE) {
    yield entriesAt(entries, at, Math.min(at + SLICE, entries.count));
  }
}

/** The finaliser of MurmurHash3. */
function mix(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

// ---- tiles -----------------------------------------------------------------------------------------------------------

type Made = Map<string, { readonly tile: Tile; readonly bytes: Uint8Array }>;

const madeUp = (tile: Tile) => ({ tile, bytes: new Uint8Array(randomBytes(tile.width * HASH_SIZE)) });

/** The right edge, all that roots of runs are made of, and the leaves that no run has. */
function madeUpTiles(size: bigint, covered: bigint): Made {
  const made: Made = new Map();
  const add = (tile: Tile) => {
    if (tile.width > 0) made.set(tileKey(tile.level, tile.index), madeUp(tile));
  };
  const addFrom = (level: number, first: bigint) => {
    for (let index = first; index << BigInt(8 * level + 8) < size; index++) {
      add({ level, index, width: widthAt(size, level, index) });
    }
  };
  for (const tile of rightEdge(size)) add(tile);
  addFrom(0, covered / BigInt(TILE_WIDTH));
  // Runs of level 2 and above are nodes of tiles of level 2; those below come after the last of them.
  addFrom(1, (size - (size % BigInt(leavesAt(RUN_SIZES, 2)))) / 2n ** 16n);
  addFrom(2, 0n);
  return made;
}

/** Gives each full tile's root to the tile above, from the leaves up. */
function settle(size: bigint, made: Made): void {
  for (let level = 0; size >> BigInt(8 * level) > 0n; level++) {
    for (const { tile, bytes } of [...made.values()].filter(({ tile }) => tile.level === level)) {
      if (tile.width < TILE_WIDTH) continue;
      const above = tile.index / BigInt(TILE_WIDTH);
      const key = tileKey(level + 1, above);
      const parent = made.get(key) ?? madeUp({ level: level + 1, index: above, width: TILE_WIDTH });
      made.set(key, parent);
      const root = rootOf(tileHashes(new Map([[tileKey(tile.level, tile.index), bytes]]), tile));
      parent.bytes.set(root, Number(tile.index % BigInt(TILE_WIDTH)) * HASH_SIZE);
    }
  }
}

function rootFrom(size: bigint, made: Made, { first, count }: Shape): Uint8Array {
  const level = Math.floor(Math.log2(count) / 8);
  const nodes = count / 2 ** (8 * level);
  const at = first >> BigInt(8 * level);
  const index = at / BigInt(TILE_WIDTH);
  const bytes = made.get(tileKey(level, index))?.bytes ?? new Uint8Array();
  const tile = { level, index, width: widthAt(size, level, index) };
  return rootOf(
    tileHashes(new Map([[tileKey(level, index), bytes]]), tile, Number(at % BigInt(TILE_WIDTH)), nodes),
  );
}
