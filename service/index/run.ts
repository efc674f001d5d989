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
import { equalBytes } from "@kedge/verify/tlog/bytes";
import { HASH_SIZE } from "@kedge/verify/tlog/merkle";
import { sha256 } from "@noble/hashes/sha2.js";
import { ServiceError } from "../../platform/error.ts";
import { buildFilter, mayContain } from "./filter.ts";

const MAGIC = new TextEncoder().encode("kedge-run/1\n");
const FIXED = MAGIC.length + 8 + 3 * 4 + HASH_SIZE;
const FENCE = 2 * HASH_SIZE;
const ENTRY = HASH_SIZE + 4;
/** Entries of a block: 9 KiB, one ranged read. */
export const BLOCK = 256;

/** What is read of a run first: `bytes` of its header are kept by its SHA-256 in the cover. */
export type RunHeader = {
  readonly first: bigint;
  readonly count: number;
  readonly filterSize: number;
  readonly filterHash: Uint8Array;
  readonly block: number;
  readonly size: number;
  readonly fences: Uint8Array;
};

/** How long the header of a run of so many leaves is. */
export const headerSize = (count: number, block = BLOCK): number => FIXED + Math.ceil(count / block) * FENCE;

/**
 * @param first index of the first leaf of the range
 * @param leaves their hashes in the order of the tree, HASH_SIZE bytes each
 * @returns the file, in whole, and the length of its header
 */
export function encodeRun(first: bigint, leaves: Uint8Array): { file: Uint8Array; header: number } {
  const count = leaves.length / HASH_SIZE;
  const order = sortedPlaces(leaves, count);
  const entries = new Uint8Array(count * ENTRY);
  const places = new DataView(entries.buffer);
  order.forEach((place, i) => {
    entries.set(leaves.subarray(place * HASH_SIZE, (place + 1) * HASH_SIZE), i * ENTRY);
    places.setUint32(i * ENTRY + HASH_SIZE, place);
  });
  return assemble(first, entries, buildFilter(leaves));
}

function assemble(
  first: bigint,
  entries: Uint8Array,
  filter: Uint8Array,
): { file: Uint8Array; header: number } {
  const count = entries.length / ENTRY;
  const header = headerSize(count);
  const file = new Uint8Array(header + filter.length + entries.length);
  const view = new DataView(file.buffer);
  file.set(MAGIC);
  view.setBigUint64(MAGIC.length, first);
  view.setUint32(MAGIC.length + 8, count);
  view.setUint32(MAGIC.length + 12, filter.length);
  view.setUint32(MAGIC.length + 16, BLOCK);
  file.set(sha256(filter), MAGIC.length + 20);
  for (let at = 0, fence = FIXED; at < entries.length; at += BLOCK * ENTRY, fence += FENCE) {
    const block = entries.subarray(at, at + BLOCK * ENTRY);
    file.set(block.subarray(0, HASH_SIZE), fence);
    file.set(sha256(block), fence + HASH_SIZE);
  }
  file.set(filter, header);
  file.set(entries, header + filter.length);
  return { file, header };
}

/** The numbers of the leaves in the order of their hashes. */
function sortedPlaces(leaves: Uint8Array, count: number): Uint32Array {
  const view = new DataView(leaves.buffer, leaves.byteOffset, leaves.length);
  // Nearly always the first 32 bits decide; the rest is compared where they do not.
  const keys = Uint32Array.from({ length: count }, (_, i) => view.getUint32(i * HASH_SIZE));
  return Uint32Array.from({ length: count }, (_, i) => i).sort(
    (a, b) => (keys[a] ?? 0) - (keys[b] ?? 0) || compare(leaves, a * HASH_SIZE, leaves, b * HASH_SIZE),
  );
}

function compare(a: Uint8Array, aAt: number, b: Uint8Array, bAt: number): number {
  for (let i = 0; i < HASH_SIZE; i++) {
    const difference = (a[aAt + i] ?? 0) - (b[bAt + i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** @throws ServiceError `corrupt` unless these bytes are the header with this SHA-256. */
export function readHeader(name: string, bytes: Uint8Array, hash: Uint8Array): RunHeader {
  if (!equalBytes(sha256(bytes), hash) || bytes.length < FIXED) throw altered(name);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const count = view.getUint32(MAGIC.length + 8);
  const block = view.getUint32(MAGIC.length + 16);
  const fences = bytes.subarray(FIXED);
  if (
    !equalBytes(bytes.subarray(0, MAGIC.length), MAGIC) ||
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

/** Where in the file the block lies that has this leaf if the run does; undefined: it is below the first fence. */
export function blockOf(
  header: RunHeader,
  leaf: Uint8Array,
): { number: number; from: number; to: number } | undefined {
  let low = 0;
  let high = header.fences.length / FENCE;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compare(header.fences, middle * FENCE, leaf, 0) <= 0) low = middle + 1;
    else high = middle;
  }
  if (low === 0) return undefined;
  const number = low - 1;
  const start = header.size + header.filterSize;
  const from = start + number * header.block * ENTRY;
  return { number, from, to: Math.min(from + header.block * ENTRY, start + header.count * ENTRY) };
}

/** The leaf's index in the tree, if the block has it. @throws ServiceError `corrupt` unless it is the block of this number. */
export function findInBlock(
  name: string,
  header: RunHeader,
  number: number,
  block: Uint8Array,
  leaf: Uint8Array,
): bigint | undefined {
  const fence = number * FENCE + HASH_SIZE;
  if (!equalBytes(sha256(block), header.fences.subarray(fence, fence + HASH_SIZE))) throw altered(name);
  let low = 0;
  let high = block.length / ENTRY;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const order = compare(block, middle * ENTRY, leaf, 0);
    if (order === 0) {
      const view = new DataView(block.buffer, block.byteOffset, block.length);
      return header.first + BigInt(view.getUint32(middle * ENTRY + HASH_SIZE));
    }
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return undefined;
}

const altered = (name: string): ServiceError =>
  new ServiceError(
    "corrupt",
    `the run ${name} of the index is altered; make it anew with kedge index rebuild`,
  );

export { mayContain };
