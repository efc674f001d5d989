/**
 * Which leaf hashes a run may have: a binary fuse filter (Graf, Lemire: Binary Fuse Filters, 2022) with fingerprints of 16 bits.
 * It never says no of a hash that is in it, and says maybe of one in 65,536 that is not; some 18 bits a hash.
 *
 * A function of the set of hashes alone. Tenants choose what is hashed: two hashes that a seed does not tell apart are
 * 2^32 work for one seed, and there are sixteen. Where all fail there is no filter, and every answer is maybe.
 */
import { HASH_SIZE } from "@kedge/verify/tlog/merkle";

const SEEDS = 16;
const MAX_SEGMENT = 1 << 18;
/** Seed, segment length and segment count, each a uint32. */
const HEAD = 12;

/** Slots of one hash, and its fingerprint; reused from call to call. */
type Probe = { a: number; b: number; c: number; fingerprint: number };
type Shape = { readonly segment: number; readonly segments: number };

/** @param leaves distinct, HASH_SIZE bytes each, one after the other. */
export function buildFilter(leaves: Uint8Array): Uint8Array {
  const count = leaves.length / HASH_SIZE;
  const shape = shapeOf(count);
  for (let seed = 0; seed < SEEDS; seed++) {
    const fingerprints = construct(words(leaves), count, shape, seed);
    if (fingerprints === undefined) continue;
    const filter = new Uint8Array(HEAD + fingerprints.length * 2);
    const view = new DataView(filter.buffer);
    view.setUint32(0, seed);
    view.setUint32(4, shape.segment);
    view.setUint32(8, shape.segments);
    for (const [i, fingerprint] of fingerprints.entries()) view.setUint16(HEAD + 2 * i, fingerprint);
    return filter;
  }
  return new Uint8Array();
}

/** @returns false only if the leaf is not among those that the filter was built of. */
export function mayContain(filter: Uint8Array, leaf: Uint8Array): boolean {
  if (filter.length === 0) return true;
  const view = new DataView(filter.buffer, filter.byteOffset, filter.length);
  const shape = { segment: view.getUint32(4), segments: view.getUint32(8) };
  const probe: Probe = { a: 0, b: 0, c: 0, fingerprint: 0 };
  place(words(leaf), 0, shape, view.getUint32(0), probe);
  const at = (slot: number) => view.getUint16(HEAD + 2 * slot);
  return probe.fingerprint === (at(probe.a) ^ at(probe.b) ^ at(probe.c));
}

/** The length of the filter of so many leaves, unless it has to do without. */
export function filterSize(count: number): number {
  return HEAD + 2 * slots(shapeOf(count));
}

/** §4.1 of the paper, for three segments a key. */
function shapeOf(count: number): Shape {
  const n = Math.max(count, 2);
  const segment = Math.min(2 ** Math.floor(Math.log(n) / Math.log(3.33) + 2.25), MAX_SEGMENT);
  const factor = Math.max(1.125, 0.875 + (0.25 * Math.log(1_000_000)) / Math.log(n));
  const segments = Math.max(1, Math.ceil(Math.round(n * factor) / segment) - 2);
  return { segment, segments };
}

const slots = ({ segment, segments }: Shape): number => (segments + 2) * segment;

/** Peels the slots that one hash alone has; undefined when some hashes are left over. */
function construct(leaves: Uint32Array, count: number, shape: Shape, seed: number): Uint16Array | undefined {
  const size = slots(shape);
  const probe: Probe = { a: 0, b: 0, c: 0, fingerprint: 0 };
  const degree = new Uint32Array(size);
  /** The numbers of the hashes in a slot, by exclusive or. */
  const members = new Uint32Array(size);
  const toggle = (slot: number, key: number, by: number) => {
    degree[slot] = (degree[slot] ?? 0) + by;
    members[slot] = (members[slot] ?? 0) ^ key;
  };
  for (let key = 0; key < count; key++) {
    place(leaves, key, shape, seed, probe);
    for (const slot of [probe.a, probe.b, probe.c]) toggle(slot, key, 1);
  }
  const queue = new Uint32Array(size);
  let queued = 0;
  for (let slot = 0; slot < size; slot++) if (degree[slot] === 1) queue[queued++] = slot;
  const order = new Uint32Array(count);
  const owned = new Uint32Array(count);
  let peeled = 0;
  while (queued > 0) {
    const slot = queue[--queued] ?? 0;
    if (degree[slot] !== 1) continue;
    const key = members[slot] ?? 0;
    order[peeled] = key;
    owned[peeled++] = slot;
    place(leaves, key, shape, seed, probe);
    for (const other of [probe.a, probe.b, probe.c]) {
      toggle(other, key, -1);
      if (degree[other] === 1) queue[queued++] = other;
    }
  }
  if (peeled < count) return undefined;
  const fingerprints = new Uint16Array(size);
  for (let i = count - 1; i >= 0; i--) {
    place(leaves, order[i] ?? 0, shape, seed, probe);
    const { a, b, c, fingerprint } = probe;
    const slot = owned[i] ?? 0;
    fingerprints[slot] = 0;
    fingerprints[slot] =
      fingerprint ^ (fingerprints[a] ?? 0) ^ (fingerprints[b] ?? 0) ^ (fingerprints[c] ?? 0);
  }
  return fingerprints;
}

/** All 256 bits go into two lanes of 32, so that no prefix of a hash decides where it goes. */
function place(
  leaves: Uint32Array,
  key: number,
  { segment, segments }: Shape,
  seed: number,
  probe: Probe,
): void {
  let x = fmix(seed + 1);
  let y = fmix(seed + 0x9e3779b9);
  for (let i = 0; i < HASH_SIZE / 4; i++) {
    const word = leaves[key * 8 + i] ?? 0;
    x = fmix(x ^ word);
    y = fmix(Math.imul(y, 0x85ebca6b) ^ word ^ (x >>> 7));
  }
  const first = Math.floor((x * segments * segment) / 2 ** 32);
  const mask = segment - 1;
  probe.a = first;
  probe.b = (first + segment) ^ (y & mask);
  probe.c = (first + 2 * segment) ^ ((y >>> 14) & mask);
  probe.fingerprint = fmix(x ^ y) & 0xffff;
}

/** The finaliser of MurmurHash3. */
function fmix(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** The same on machines of either byte order. */
function words(bytes: Uint8Array): Uint32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Uint32Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(4 * i));
}
