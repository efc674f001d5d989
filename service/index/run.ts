/**
 * A run: the leaf hashes of an aligned range of a published tree, sorted, each with its index. An immutable file, and a function
 * of the tree alone, so that any number of writers make the same bytes (design, "The index").
 *
 *     header   magic, first index (uint64), count, filter length, block length in entries (uint32 each),
 *              SHA-256 of the filter, and for each block its first leaf hash (the fence) and its SHA-256
 *     filter   filter.ts
 *     blocks   entries of 36 bytes: leaf hash, then its place in the range (uint32)
 *
 * Whoever reads it knows the header's SHA-256 from the cover, and from the header those of filter and blocks: what was altered
 * is recognised, and never a wrong answer. Numbers are big-endian.
 */
import { createHash } from "node:crypto";
import { equalBytes } from "@kedge/verify/tlog/bytes";
import { HASH_SIZE } from "@kedge/verify/tlog/merkle";
import { bytesToHex } from "@noble/hashes/utils.js";
import { breathe, ITEMS_PER_BREATH } from "./breathe.ts";
import { altered } from "./fault.ts";
import { buildFilter, filterSize, writeKey } from "./filter.ts";

const MAGIC = new TextEncoder().encode("kedge-run/1\n");
const FIXED = MAGIC.length + 8 + 3 * 4 + HASH_SIZE;
const FENCE = 2 * HASH_SIZE;
const ENTRY = HASH_SIZE + 4;
/** Entries of a block, which is read whole: 18 KiB. Half as many would double the fences, which are kept in memory. */
export const BLOCK = 512;
/** Entries that a number of 53 bits can sort by their first 32: the largest run. */
const MAX_SORTED = 2 ** 21;

/** A node of the tree that has a run or is to have one. */
export type RunNode = {
  readonly level: number;
  /** Index of its first leaf, and how many it has. */
  readonly first: bigint;
  readonly count: number;
  /** Of its subtree. */
  readonly root: Uint8Array;
};

/** A run as the cover knows it. */
export type Run = RunNode & {
  /** SHA-256 of the file's header, which vouches for the rest. */
  readonly headerHash: Uint8Array;
  /** Bytes of its filter. */
  readonly filterSize: number;
};

/** `<log>/<level>/<n>-<root>`: two histories never share a name. */
export const runPath = (log: string, { level, first, count, root }: RunNode): string =>
  `${log}/${level}/${first / BigInt(count)}-${bytesToHex(root)}`;

/** A run's file and the length of its header. */
export type RunFile = { readonly file: Uint8Array; readonly header: number };

/** What is read of a run first: the cover has the SHA-256 of its bytes. */
export type RunHeader = {
  readonly first: bigint;
  readonly count: number;
  readonly filterSize: number;
  readonly filterHash: Uint8Array;
  /** Entries of a block. */
  readonly block: number;
  readonly size: number;
  readonly fences: Uint8Array;
};

/** How long the header of a run of so many leaves is. */
export const headerSize = (count: number, block = BLOCK): number => FIXED + Math.ceil(count / block) * FENCE;

const sha256 = (bytes: Uint8Array): Uint8Array => createHash("sha256").update(bytes).digest();

// ---- making ----------------------------------------------------------------------------------------------------------

/**
 * @param first index of the first leaf of the range
 * @param leaves their hashes in the order of the tree, HASH_SIZE bytes each
 */
export async function encodeRun(first: bigint, leaves: Uint8Array): Promise<RunFile> {
  const count = leaves.length / HASH_SIZE;
  const writer = runWriter(first, count);
  let at = 0;
  for (const place of sortedPlaces(leaves)) {
    if (at++ % ITEMS_PER_BREATH === 0) await breathe();
    writer.add(leaves, place * HASH_SIZE, place);
  }
  return await writer.end();
}

/** A part of a run to be merged: blocks of its entries one after the other, in order. */
export type RunEntries = AsyncIterator<Uint8Array>;

/**
 * The run of the range of all these, which lie side by side and are of `count` leaves each. Holds one block of each beside the
 * new file.
 */
export async function mergeRuns(first: bigint, count: number, runs: readonly RunEntries[]): Promise<RunFile> {
  const writer = runWriter(first, count * runs.length);
  const cursors: Cursor[] = [];
  for (const [i, entries] of runs.entries()) {
    const cursor = { entries, offset: i * count, block: new Uint8Array(), at: 0, prefix: 0 };
    if (await fill(cursor)) cursors.push(cursor);
  }
  for (;;) {
    const [, ...rest] = cursors;
    let least = cursors[0];
    if (least === undefined) return await writer.end();
    for (const cursor of rest) if (isBefore(cursor, least)) least = cursor;
    writer.add(least.block, least.at, least.offset + uint32(least.block, least.at + HASH_SIZE));
    least.at += ENTRY;
    if (least.at < least.block.length) least.prefix = uint32(least.block, least.at);
    else if (!(await fill(least))) cursors.splice(cursors.indexOf(least), 1);
  }
}

type Cursor = {
  readonly entries: RunEntries;
  /** Of its run in the new one. */
  readonly offset: number;
  block: Uint8Array;
  at: number;
  /** The first 32 bits of the hash at `at`, which nearly always decide. */
  prefix: number;
};

const isBefore = (a: Cursor, b: Cursor): boolean =>
  a.prefix === b.prefix ? compare(a.block, a.at, b.block, b.at) < 0 : a.prefix < b.prefix;

/** @returns false when there is no further block. */
async function fill(cursor: Cursor): Promise<boolean> {
  await breathe();
  const { value, done } = await cursor.entries.next();
  if (done === true) return false;
  cursor.block = value;
  cursor.at = 0;
  cursor.prefix = uint32(value, 0);
  return true;
}

/** Writes entries that come in order into the place that they have in the file; the rest of it is made at the end. */
function runWriter(first: bigint, count: number) {
  const header = headerSize(count);
  const start = header + filterSize(count);
  const file = new Uint8Array(start + count * ENTRY);
  const keys = new Uint32Array(2 * count);
  let added = 0;
  return {
    add(bytes: Uint8Array, at: number, place: number): void {
      const to = start + added * ENTRY;
      for (let i = 0; i < HASH_SIZE; i++) file[to + i] = bytes[at + i] ?? 0;
      file[to + HASH_SIZE] = place >>> 24;
      file[to + HASH_SIZE + 1] = place >>> 16;
      file[to + HASH_SIZE + 2] = place >>> 8;
      file[to + HASH_SIZE + 3] = place;
      writeKey(keys, added++, bytes, at);
    },
    async end(): Promise<RunFile> {
      for (let at = start, fence = FIXED; at < file.length; at += BLOCK * ENTRY, fence += FENCE) {
        const block = file.subarray(at, at + BLOCK * ENTRY);
        file.set(block.subarray(0, HASH_SIZE), fence);
        file.set(sha256(block), fence + HASH_SIZE);
        if (at % ITEMS_PER_BREATH === 0) await breathe();
      }
      const filter = await buildFilter(keys, uint32(sha256(file.subarray(FIXED, header)), 0));
      const view = new DataView(file.buffer);
      file.set(MAGIC);
      view.setBigUint64(MAGIC.length, first);
      view.setUint32(MAGIC.length + 8, count);
      view.setUint32(MAGIC.length + 12, filter.length);
      view.setUint32(MAGIC.length + 16, BLOCK);
      file.set(sha256(filter), MAGIC.length + 20);
      file.set(filter, header);
      if (filter.length > 0) return { file, header };
      file.copyWithin(header, start);
      return { file: file.subarray(0, file.length - (start - header)), header };
    },
  };
}

/** The numbers of the leaves in the order of their hashes. */
export function sortedPlaces(leaves: Uint8Array): Uint32Array {
  const count = leaves.length / HASH_SIZE;
  if (count > MAX_SORTED) throw new RangeError(`${count} leaves are more than a run has`);
  // Numbers sort faster than anything that calls back: the first 32 bits of the hash, then the place.
  const keys = Float64Array.from({ length: count }, (_, i) => uint32(leaves, i * HASH_SIZE) * MAX_SORTED + i);
  keys.sort();
  const places = Uint32Array.from(keys, (key) => key % MAX_SORTED);
  const prefix = (i: number) => Math.floor((keys[i] ?? -1) / MAX_SORTED);
  for (let from = 0, to = 1; from < count; from = to++) {
    while (to < count && prefix(to) === prefix(from)) to++;
    if (to - from === 1) continue;
    places.subarray(from, to).sort((a, b) => compare(leaves, a * HASH_SIZE, leaves, b * HASH_SIZE) || a - b);
  }
  return places;
}

const uint32 = (bytes: Uint8Array, at: number): number =>
  (((bytes[at] ?? 0) << 24) |
    ((bytes[at + 1] ?? 0) << 16) |
    ((bytes[at + 2] ?? 0) << 8) |
    (bytes[at + 3] ?? 0)) >>>
  0;

/** Compares the hashes at these places. */
export function compare(a: Uint8Array, aAt: number, b: Uint8Array, bAt: number): number {
  for (let i = 0; i < HASH_SIZE; i++) {
    const difference = (a[aAt + i] ?? 0) - (b[bAt + i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

// ---- reading ---------------------------------------------------------------------------------------------------------

/** The SHA-256 that the cover keeps. */
export const headerHash = ({ file, header }: RunFile): Uint8Array => sha256(file.subarray(0, header));

/** @throws ServiceError `corrupt` unless these bytes are the header with this SHA-256. */
export function readHeader(name: string, bytes: Uint8Array, hash: Uint8Array): RunHeader {
  if (!equalBytes(sha256(bytes), hash) || bytes.length < FIXED) throw altered(name);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const count = view.getUint32(MAGIC.length + 8);
  const block = view.getUint32(MAGIC.length + 16);
  const fences = bytes.subarray(FIXED);
  if (
    !equalBytes(bytes.subarray(0, MAGIC.length), MAGIC) ||
    block === 0 ||
    fences.length !== headerSize(count, block) - FIXED
  ) {
    throw altered(name);
  }
  return {
    first: view.getBigUint64(MAGIC.length),
    count,
    filterSize: view.getUint32(MAGIC.length + 12),
    filterHash: bytes.subarray(MAGIC.length + 20, FIXED),
    block,
    size: bytes.length,
    fences,
  };
}

/** @throws ServiceError `corrupt` unless these bytes are the run's filter: a wrong no would let a commitment in twice. */
export function checkFilter(name: string, header: RunHeader, filter: Uint8Array): Uint8Array {
  if (!equalBytes(sha256(filter), header.filterHash)) throw altered(name);
  return filter;
}

export const blockCount = ({ count, block }: RunHeader): number => Math.ceil(count / block);

/** Where in the file blocks [from, to) lie. */
export function blockRange(header: RunHeader, from: number, to: number): { from: number; to: number } {
  const start = header.size + header.filterSize;
  const at = (number: number) => start + Math.min(number * header.block, header.count) * ENTRY;
  return { from: at(from), to: at(to) };
}

/** The number of the block that has this leaf if the run does; undefined: the leaf is below the first fence. */
export function blockOf(header: RunHeader, leaves: Uint8Array, at: number): number | undefined {
  let low = 0;
  let high = blockCount(header);
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compare(header.fences, middle * FENCE, leaves, at) <= 0) low = middle + 1;
    else high = middle;
  }
  return low === 0 ? undefined : low - 1;
}

/** @throws ServiceError `corrupt` unless these bytes are the block of this number. */
export function checkBlock(name: string, header: RunHeader, number: number, block: Uint8Array): Uint8Array {
  const fence = number * FENCE + HASH_SIZE;
  if (!equalBytes(sha256(block), header.fences.subarray(fence, fence + HASH_SIZE))) throw altered(name);
  return block;
}

/** The index in the tree of the leaf hash at `at`, if this checked block has it. */
export function findInBlock(
  { first }: RunHeader,
  block: Uint8Array,
  leaves: Uint8Array,
  at: number,
): bigint | undefined {
  let low = 0;
  let high = block.length / ENTRY;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const order = compare(block, middle * ENTRY, leaves, at);
    if (order === 0) return first + BigInt(uint32(block, middle * ENTRY + HASH_SIZE));
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return undefined;
}
