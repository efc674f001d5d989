/**
 * Which leaf hashes a run may have: a binary fuse filter (Graf, Lemire: Binary Fuse Filters, 2022) with fingerprints of 16 bits.
 * It never says no of a hash that is in it, and says maybe of one in 65,536 that is not; some 18 bits a hash.
 *
 * A function of the set of hashes alone, and by integers alone, so that every machine makes the same bytes. Each hash counts by
 * its key, 64 bits that all of it goes into. Tenants choose what is hashed: of hashes with the same key, 2^32 work, one
 * stands for all; hashes that one seed puts into the same slots are found in a second, so seeds depend on the whole run.
 * Where sixteen fail there is no filter, and every answer is maybe.
 */
import { HASH_SIZE } from "@kedge/verify/tlog/merkle";
import { breathe, ITEMS_PER_BREATH } from "./breathe.ts";

const SEEDS = 16;
/** Seed, segment length and segment count, each a uint32. */
const HEAD = 12;
/**
 * §4.1 of the paper for three segments a key, by the binary logarithm of the number of keys: that of the length of a segment, and
 * how many slots a key takes, in 1/1024.
 */
const SEGMENT_BITS = [2, 2, 3, 3, 4, 5, 5, 6, 6, 7, 8, 8, 9, 9, 10, 10, 11, 12, 12, 13, 13, 14, 14];
const SLOTS_A_KEY = [
  5999, 5999, 3448, 2597, 2172, 1917, 1747, 1625, 1534, 1463, 1407, 1360, 1322, 1289, 1261, 1237, 1215, 1197,
  1180, 1165, 1152, 1152, 1152,
];

type Shape = { readonly segment: number; readonly segments: number };

/** Writes the key of the leaf hash at `at` to keys[2·i] and keys[2·i+1]. All 256 bits go into it, so that no prefix decides. */
export function writeKey(keys: Uint32Array, i: number, bytes: Uint8Array, at: number): void {
  let x = 0x2545f491;
  let y = 0x9e3779b9;
  for (let end = at + HASH_SIZE, next = at; next < end; next += 4) {
    // Big-endian on every machine.
    const word =
      ((bytes[next] ?? 0) << 24) |
      ((bytes[next + 1] ?? 0) << 16) |
      ((bytes[next + 2] ?? 0) << 8) |
      (bytes[next + 3] ?? 0);
    x = fmix(x ^ word);
    y = fmix(Math.imul(y, 0x85ebca6b) ^ word ^ (x >>> 7));
  }
  keys[2 * i] = x;
  keys[2 * i + 1] = y;
}

/** The keys of leaf hashes, HASH_SIZE bytes each, one after the other. */
export function keysOf(leaves: Uint8Array): Uint32Array {
  const count = leaves.length / HASH_SIZE;
  const keys = new Uint32Array(2 * count);
  for (let i = 0; i < count; i++) writeKey(keys, i, leaves, i * HASH_SIZE);
  return keys;
}

/**
 * @param keys of writeKey, in any order; two equal ones count once
 * @param salt uint32: the first seed, which nobody knows before he knows all hashes
 * @returns empty where there has to be none.
 */
export async function buildFilter(keys: Uint32Array, salt: number): Promise<Uint8Array> {
  // The shape, and so the length, is of all of them: a reader knows it from their number.
  const shape = shapeOf(keys.length / 2);
  let distinct = keys;
  for (let tries = 0; tries < SEEDS; tries++) {
    const seed = (salt + tries) >>> 0;
    const fingerprints = await construct(distinct, shape, seed);
    if (fingerprints !== undefined) return encode(fingerprints, shape, seed);
    if (tries === 0) distinct = withoutTwins(keys);
  }
  return new Uint8Array();
}

function encode(fingerprints: Uint16Array, shape: Shape, seed: number): Uint8Array {
  const filter = new Uint8Array(HEAD + fingerprints.length * 2);
  const view = new DataView(filter.buffer);
  view.setUint32(0, seed);
  view.setUint32(4, shape.segment);
  view.setUint32(8, shape.segments);
  for (let i = 0; i < fingerprints.length; i++) view.setUint16(HEAD + 2 * i, fingerprints[i] ?? 0);
  return filter;
}

/** A filter to ask: `may` is false only of the key of a hash that is not among those that it was built of. */
export type Filter = { may(x: number, y: number): boolean };

export function openFilter(filter: Uint8Array): Filter {
  if (filter.length === 0) return { may: () => true };
  const view = new DataView(filter.buffer, filter.byteOffset, filter.length);
  const [seed, segment, segments] = [view.getUint32(0), view.getUint32(4), view.getUint32(8)];
  const [span, mask] = [segment * segments, segment - 1];
  return {
    may(keyX, keyY) {
      const x = seeded(keyX, seed);
      const y = seeded(keyY, seed);
      const a = slotOf(x, span);
      const b = (a + segment) ^ (y & mask);
      const c = (a + 2 * segment) ^ ((y >>> 14) & mask);
      const stored =
        view.getUint16(HEAD + 2 * a) ^ view.getUint16(HEAD + 2 * b) ^ view.getUint16(HEAD + 2 * c);
      return stored === fingerprintOf(x, y);
    },
  };
}

/** The length of the filter of so many leaves, unless there has to be none. */
export function filterSize(count: number): number {
  return HEAD + 2 * slots(shapeOf(count));
}

function shapeOf(count: number): Shape {
  const bits = 31 - Math.clz32(Math.max(count, 1));
  const segment = 1 << (SEGMENT_BITS[bits] ?? 14);
  const wanted = Math.ceil((count * (SLOTS_A_KEY[bits] ?? 1152)) / 1024);
  return { segment, segments: Math.max(1, Math.ceil(wanted / segment) - 2) };
}

const slots = ({ segment, segments }: Shape): number => (segments + 2) * segment;

/** Peels the slots that one key alone has; undefined when some keys are left over. */
async function construct(keys: Uint32Array, shape: Shape, seed: number): Promise<Uint16Array | undefined> {
  const count = keys.length / 2;
  const { segment, segments } = shape;
  const [size, span, mask] = [slots(shape), segment * segments, segment - 1];
  const degree = new Uint8Array(size);
  /** The numbers of the keys in a slot, by exclusive or. */
  const members = new Uint32Array(size);
  const add = (slot: number, key: number) => {
    const more = (degree[slot] ?? 0) + 1;
    degree[slot] = more;
    members[slot] = (members[slot] ?? 0) ^ key;
    return more > 255;
  };
  for (let key = 0; key < count; key++) {
    if (key % ITEMS_PER_BREATH === 0) await breathe();
    const x = seeded(keys[2 * key] ?? 0, seed);
    const y = seeded(keys[2 * key + 1] ?? 0, seed);
    const a = slotOf(x, span);
    const b = (a + segment) ^ (y & mask);
    const c = (a + 2 * segment) ^ ((y >>> 14) & mask);
    // More keys in a slot than any set has that was not made to be so.
    if (add(a, key) || add(b, key) || add(c, key)) return undefined;
  }
  const queue = new Uint32Array(size);
  let queued = 0;
  for (let slot = 0; slot < size; slot++) if (degree[slot] === 1) queue[queued++] = slot;
  const order = new Uint32Array(count);
  const owned = new Uint32Array(count);
  let peeled = 0;
  const drop = (slot: number, key: number) => {
    const left = (degree[slot] ?? 0) - 1;
    degree[slot] = left;
    members[slot] = (members[slot] ?? 0) ^ key;
    if (left === 1) queue[queued++] = slot;
  };
  while (queued > 0) {
    const slot = queue[--queued] ?? 0;
    if (degree[slot] !== 1) continue;
    const key = members[slot] ?? 0;
    order[peeled] = key;
    owned[peeled++] = slot;
    if (peeled % ITEMS_PER_BREATH === 0) await breathe();
    const x = seeded(keys[2 * key] ?? 0, seed);
    const y = seeded(keys[2 * key + 1] ?? 0, seed);
    const a = slotOf(x, span);
    drop(a, key);
    drop((a + segment) ^ (y & mask), key);
    drop((a + 2 * segment) ^ ((y >>> 14) & mask), key);
  }
  if (peeled < count) return undefined;
  const fingerprints = new Uint16Array(size);
  for (let i = count - 1; i >= 0; i--) {
    if (i % ITEMS_PER_BREATH === 0) await breathe();
    const key = order[i] ?? 0;
    const x = seeded(keys[2 * key] ?? 0, seed);
    const y = seeded(keys[2 * key + 1] ?? 0, seed);
    const a = slotOf(x, span);
    const b = (a + segment) ^ (y & mask);
    const c = (a + 2 * segment) ^ ((y >>> 14) & mask);
    // The slot that is set last is still 0 here.
    fingerprints[owned[i] ?? 0] =
      fingerprintOf(x, y) ^ (fingerprints[a] ?? 0) ^ (fingerprints[b] ?? 0) ^ (fingerprints[c] ?? 0);
  }
  return fingerprints;
}

/** The same keys in order, each once. */
function withoutTwins(keys: Uint32Array): Uint32Array {
  const order = Uint32Array.from({ length: keys.length / 2 }, (_, i) => i);
  order.sort(
    (a, b) => (keys[2 * a] ?? 0) - (keys[2 * b] ?? 0) || (keys[2 * a + 1] ?? 0) - (keys[2 * b + 1] ?? 0),
  );
  const distinct = new Uint32Array(keys.length);
  let length = 0;
  for (const i of order) {
    const [x, y] = [keys[2 * i] ?? 0, keys[2 * i + 1] ?? 0];
    if (length > 0 && distinct[length - 2] === x && distinct[length - 1] === y) continue;
    distinct[length++] = x;
    distinct[length++] = y;
  }
  return distinct.slice(0, length);
}

/** Of 30 bits and a span below 2^23, so that a double has the product exactly. */
const slotOf = (x: number, span: number): number => Math.floor(((x >>> 2) * span) / 2 ** 30);
const fingerprintOf = (x: number, y: number): number => fmix(x ^ y) & 0xffff;
/** One half of a key under a seed; under the first it is the key's own. */
const seeded = (half: number, seed: number): number => (seed === 0 ? half : fmix(half ^ fmix(seed)));

/** The finaliser of MurmurHash3. */
function fmix(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
