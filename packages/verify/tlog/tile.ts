/**
 * Tiles of a log (c2sp.org/tlog-tiles, Merkle Tree, Log entries): paths and bytes.
 *
 *     tile/<L>/<N>[.p/<W>]                           W hashes of 32 bytes, of level 8·L; N in groups: x001/x234/067
 *     tile/entries/<N>[.p/<W>]                       a bundle: W times a u16 length and an entry
 */
import { checkUint63, concatBytes, joinBytes, MAX_UINT63 } from "./bytes.ts";
import { TlogError } from "./error.ts";
import { checkHash, frontierRoot, HASH_SIZE, type Sha256, sha256Into } from "./merkle.ts";

/** A tile spans this many levels of the tree (c2sp.org/tlog-tiles, Merkle Tree). */
export const TILE_HEIGHT = 8;
/** Hashes in a full tile, and entries in a full bundle. */
export const TILE_WIDTH = 256;

/** The highest level of tiles in a tree of at most 2^63-1 leaves. */
const TOP_LEVEL = 7;
/** The largest level in a path of the specification; levels above 7 hold no tile here. */
const MAX_PATH_LEVEL = 63;

type TileLevel = number | "entries";

/** A tile of hashes or, at level "entries", a bundle. `width` is 1..256; below 256 it is partial. */
export type Tile = { level: TileLevel; index: bigint; width: number };

/** Tile bytes by `tileKey`. A tile may be wider than the tree in question needs, never narrower. */
export type TileMap = ReadonlyMap<string, Uint8Array>;

/** Names a tile whatever its width, so that a wider one takes the place of a narrower. */
export function tileKey(level: TileLevel, index: bigint): string {
  return `${level}/${index}`;
}

/** `tile/<L>/<N>[.p/<W>]` or `tile/entries/<N>[.p/<W>]` (c2sp.org/tlog-tiles). Throws `out_of_range`. */
export function tilePath({ level, index, width }: Tile): string {
  checkLevel(level);
  checkUint63(index, "The tile index");
  checkWidth(width);
  const digits = index.toString();
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, "0").match(/.{3}/g) ?? [];
  const name = groups.map((group, i) => (i < groups.length - 1 ? `x${group}` : group)).join("/");
  return `tile/${level}/${name}${width < TILE_WIDTH ? `.p/${width}` : ""}`;
}

/** The inverse of `tilePath`. Accepts nothing that `tilePath` does not write. Throws `malformed`. */
export function parseTilePath(path: string): Tile {
  // Seven groups of three digits hold 2^63-1.
  const match =
    /^tile\/(entries|0|[1-9][0-9]?)\/((?:x[0-9]{3}\/){0,6}[0-9]{3})(?:\.p\/([1-9][0-9]{0,2}))?$/.exec(path);
  const [, level = "", name = "", width] = match ?? [];
  const tile: Tile = {
    level: level === "entries" ? level : Number(level),
    index: BigInt(name.replace(/[x/]/g, "")),
    width: width === undefined ? TILE_WIDTH : Number(width),
  };
  const canonical =
    match !== null &&
    (tile.level === "entries" || tile.level <= MAX_PATH_LEVEL) &&
    !name.startsWith("x000") &&
    tile.index <= MAX_UINT63 &&
    (width === undefined || tile.width < TILE_WIDTH);
  if (!canonical) {
    throw new TlogError(
      "malformed",
      "This is not the path of a tile (tile/<L>/<N>[.p/<W>], c2sp.org/tlog-tiles)",
    );
  }
  return tile;
}

/** Width of a tile in a tree of `size` leaves: 0 when the tree has none there, 256 when full. */
export function widthAt(size: bigint, level: TileLevel, index: bigint): number {
  checkUint63(size, "The tree size");
  checkLevel(level);
  checkUint63(index, "The tile index");
  const width = hashesAt(size, level) - index * BigInt(TILE_WIDTH);
  return width <= 0n ? 0 : width < TILE_WIDTH ? Number(width) : TILE_WIDTH;
}

/**
 * The hash tiles that are new or wider at size `to` than at size `from`, at their width at `to`:
 * lowest level first, index ascending. About (to - from) / 255 of them, all in memory.
 */
export function tilesChanged(from: bigint, to: bigint): Tile[] {
  checkGrowth(from, to);
  return Array.from({ length: TOP_LEVEL + 1 }, (_, level) => changedAt(level, from, to)).flat();
}

/** The entry bundles that are new or wider at size `to` than at size `from`, at their width at `to`. */
export function bundlesChanged(from: bigint, to: bigint): Tile[] {
  checkGrowth(from, to);
  return changedAt("entries", from, to);
}

/**
 * The partial hash tiles of a tree, at most one per level, lowest first: what there is to read
 * before a tree is extended, however large it is. Their hashes also determine the root.
 */
export function rightEdge(size: bigint): Tile[] {
  checkUint63(size, "The tree size");
  return Array.from({ length: TOP_LEVEL + 1 }, (_, level): Tile => {
    const index = hashesAt(size, level) / BigInt(TILE_WIDTH);
    return { level, index, width: widthAt(size, level, index) };
  }).filter(({ width }) => width > 0);
}

/** Of all tiles that are at hand, those of `rightEdge(size)`: all that later trees are computed from. */
export function edgeOf(size: bigint, tiles: TileMap): Map<string, Uint8Array> {
  return new Map(
    rightEdge(size).flatMap(({ level, index }) => {
      const bytes = tiles.get(tileKey(level, index));
      return bytes === undefined ? [] : [[tileKey(level, index), bytes] as const];
    }),
  );
}

/**
 * The bytes of every tile in `tilesChanged(from, from + leafHashes.length)`, by `tileKey`. `edge`
 * holds the tiles of `rightEdge(from)`. Throws `missing_tile`.
 */
export function extendTiles(
  from: bigint,
  edge: TileMap,
  leafHashes: readonly Uint8Array[],
): Map<string, Uint8Array> {
  return growTree(from, edge, joinBytes(leafHashes.map(checkHash))).tiles;
}

/** A tree that has grown. Frontiers are as `extendFrontier` has them. */
export type Growth = {
  readonly size: bigint;
  readonly root: Uint8Array;
  readonly frontier: readonly Uint8Array[];
  /** The bytes of every tile in `tilesChanged`, by `tileKey`. */
  readonly tiles: Map<string, Uint8Array>;
  /** The root of the tree before, by its edge: whoever knows that root sees whether the edge is its tree's. */
  readonly before: Uint8Array;
};

/**
 * Tiles, frontier and root of a tree of `from` leaves after these are appended, each node hashed once.
 * @param edge the tiles of `rightEdge(from)`.
 * @param leaves leaf hashes, HASH_SIZE bytes each, one after the other.
 * Throws `missing_tile`, `malformed`, or `out_of_range` beyond 2^63-1 leaves.
 */
export function growTree(
  from: bigint,
  edge: TileMap,
  leaves: Uint8Array,
  sha256: Sha256 = sha256Into,
): Growth {
  if (leaves.length % HASH_SIZE !== 0) {
    throw new TlogError("malformed", `Leaf hashes are ${HASH_SIZE} bytes each, these are ${leaves.length}`);
  }
  const size = from + BigInt(leaves.length / HASH_SIZE);
  checkGrowth(from, size);
  const tiles = new Map<string, Uint8Array>();
  let frontier: Uint8Array[] = [];
  let before: Uint8Array[] = [];
  let added = leaves;
  for (let level = 0; level <= TOP_LEVEL; level++) {
    const first = hashesAt(from, level) / BigInt(TILE_WIDTH);
    const kept = widthAt(from, level, first);
    const hashes =
      kept === 0 ? added : concatBytes(tileBytesAt(edge, { level, index: first, width: kept }), added);
    const folded = foldTiles(hashes, kept, sha256);
    for (let at = 0; added.length > 0 && at < hashes.length; at += TILE_WIDTH * HASH_SIZE) {
      const index = first + BigInt(at / (TILE_WIDTH * HASH_SIZE));
      tiles.set(tileKey(level, index), hashes.subarray(at, at + TILE_WIDTH * HASH_SIZE));
    }
    // The lower the level, the further right and the smaller are its subtrees.
    before = [...folded.before, ...before];
    frontier = [...folded.after, ...frontier];
    added = folded.roots;
  }
  return { size, root: frontierRoot(frontier), frontier, tiles, before: frontierRoot(before) };
}

/**
 * Folds the hashes of neighbouring tiles, of which the first `kept` were there before, and the last tile may be partial.
 * @returns the roots of the full tiles, and the maximal subtrees of the partial one, before and after, largest first.
 */
function foldTiles(hashes: Uint8Array, kept: number, sha256: Sha256) {
  const count = hashes.length / HASH_SIZE;
  const roots = new Uint8Array(Math.floor(count / TILE_WIDTH) * HASH_SIZE);
  // Subtrees that wait for a right neighbour, each smaller than the one before it: one bit of the count each.
  const stack = new Uint8Array((TILE_HEIGHT + 1) * HASH_SIZE);
  const node = Uint8Array.of(0x01, ...new Uint8Array(2 * HASH_SIZE));
  const waiting = (depth: number) =>
    Array.from({ length: depth }, (_, i) => stack.slice(i * HASH_SIZE, (i + 1) * HASH_SIZE));
  let depth = 0;
  let before: Uint8Array[] = [];
  for (let i = 0; i < count; i++) {
    if (i === kept) before = waiting(depth);
    stack.set(hashes.subarray(i * HASH_SIZE, (i + 1) * HASH_SIZE), depth * HASH_SIZE);
    // Appending is adding one to a binary counter: every carry joins two subtrees.
    for (let bits = i % TILE_WIDTH; (bits & 1) === 1; bits >>= 1) {
      depth--;
      node.set(stack.subarray(depth * HASH_SIZE, (depth + 2) * HASH_SIZE), 1);
      sha256(node, stack, depth * HASH_SIZE);
    }
    depth++;
    if ((i + 1) % TILE_WIDTH === 0) {
      depth = 0;
      roots.set(stack.subarray(0, HASH_SIZE), Math.floor(i / TILE_WIDTH) * HASH_SIZE);
    }
  }
  const after = waiting(depth);
  return { roots, before: kept === count ? after : before, after };
}

/**
 * `count` hashes of a tile, from hash `start` on; all of them by default. Throws `missing_tile` when
 * the tile is absent or narrower than `width`, `malformed` when it is no whole number of hashes.
 */
export function tileHashes(tiles: TileMap, tile: Tile, start = 0, count = tile.width): Uint8Array[] {
  const bytes = tileBytesAt(tiles, tile);
  return Array.from({ length: count }, (_, i) =>
    bytes.slice((start + i) * HASH_SIZE, (start + i + 1) * HASH_SIZE),
  );
}

/** The bytes of a tile at its width, in place. */
function tileBytesAt(tiles: TileMap, tile: Tile): Uint8Array {
  const bytes = tiles.get(tileKey(tile.level, tile.index));
  if (bytes === undefined || bytes.length < tile.width * HASH_SIZE) {
    throw new TlogError("missing_tile", `${tilePath(tile)} was not supplied at its full width; fetch it`);
  }
  if (bytes.length % HASH_SIZE !== 0 || bytes.length > TILE_WIDTH * HASH_SIZE) {
    throw new TlogError("malformed", `${tilePath(tile)} has ${bytes.length} bytes, not 1 to 256 hashes`);
  }
  return bytes.subarray(0, tile.width * HASH_SIZE);
}

/**
 * An entry bundle: each entry after its length, a big-endian uint16 (c2sp.org/tlog-tiles, Log
 * entries). Throws `out_of_range` unless there are 1..256 entries of at most 65,535 bytes.
 */
export function encodeBundle(entries: readonly Uint8Array[]): Uint8Array {
  checkWidth(entries.length);
  return encodeEntries(entries).data;
}

/** The entries of a bundle of exactly `width` entries and nothing more. Throws `malformed`. */
export function decodeBundle(bytes: Uint8Array, width: number): Uint8Array[] {
  checkWidth(width);
  return listEntries(decodeEntries(bytes, width)).map((entry) => entry.slice());
}

/**
 * Any number of entries in the coding of a bundle, whose slices are bundles. Entry i lies behind its length:
 * `offsets[i] + 2` to `offsets[i + 1]` of `data`. The last offset is the length of `data`.
 */
export type Entries = { readonly data: Uint8Array; readonly offsets: Uint32Array };

/** Octets of an entry's length. */
const PREFIX = 2;
const MAX_ENTRY = 0xffff;

/** Throws `out_of_range` for an entry above 65,535 bytes. */
export function encodeEntries(list: readonly Uint8Array[]): Entries {
  const entries = emptyEntries(list.map(({ length }) => length));
  list.forEach((entry, i) => {
    entries.data.set(entry, (entries.offsets[i] ?? 0) + PREFIX);
  });
  return entries;
}

/** Entries of `size` bytes each, which stand one after the other. Throws `malformed` unless they are whole. */
export function encodeOctets(octets: Uint8Array, size: number): Entries {
  if (octets.length % size !== 0) {
    throw new TlogError("malformed", `Entries of ${size} bytes cannot have ${octets.length} in all`);
  }
  const entries = emptyEntries(new Array<number>(octets.length / size).fill(size));
  for (let i = 0; i * size < octets.length; i++) {
    entries.data.set(octets.subarray(i * size, (i + 1) * size), (entries.offsets[i] ?? 0) + PREFIX);
  }
  return entries;
}

/** Entries of these lengths, all zeros. */
function emptyEntries(lengths: readonly number[]): Entries {
  const offsets = new Uint32Array(lengths.length + 1);
  let end = 0;
  for (const [i, length] of lengths.entries()) {
    if (length > MAX_ENTRY) {
      throw new TlogError(
        "out_of_range",
        `A log entry is at most ${MAX_ENTRY} bytes, this one has ${length}`,
      );
    }
    end += PREFIX + length;
    offsets[i + 1] = end;
  }
  const data = new Uint8Array(end);
  for (const [i, length] of lengths.entries()) {
    data[offsets[i] ?? 0] = length >> 8;
    data[(offsets[i] ?? 0) + 1] = length;
  }
  return { data, offsets };
}

/** Exactly `count` entries and nothing more; their data is `bytes`, not a copy. Throws `malformed`. */
export function decodeEntries(bytes: Uint8Array, count: number): Entries {
  const offsets = new Uint32Array(Math.min(count, Math.floor(bytes.length / PREFIX)) + 1);
  let offset = 0;
  for (let i = 0; i < count; i++) {
    const end = offset + PREFIX + (bytes[offset] ?? 0) * 256 + (bytes[offset + 1] ?? 0);
    if (end > bytes.length) {
      throw new TlogError("malformed", `The entry bundle ends before or inside entry ${i} of ${count}`);
    }
    offset = end;
    offsets[i + 1] = end;
  }
  if (offset !== bytes.length) {
    throw new TlogError("malformed", `The entry bundle goes on after its ${count} entries`);
  }
  return { data: bytes, offsets };
}

export const countEntries = ({ offsets }: Entries): number => offsets.length - 1;

/** Entry `i`, in place. */
export function entryAt({ data, offsets }: Entries, i: number): Uint8Array {
  return data.subarray((offsets[i] ?? 0) + PREFIX, offsets[i + 1]);
}

/** All entries, in place. */
export function listEntries(entries: Entries): Uint8Array[] {
  return Array.from({ length: countEntries(entries) }, (_, i) => entryAt(entries, i));
}

/** The coding of the entries `start` to `end`, `end` excluded, in place: a bundle, where they are one's. */
export function encodedSlice({ data, offsets }: Entries, start: number, end: number): Uint8Array {
  return data.subarray(offsets[start], offsets[end]);
}

/** One after the other. */
export function joinEntries(parts: readonly Entries[]): Entries {
  const [only] = parts;
  if (only !== undefined && parts.length === 1) return only;
  const offsets = new Uint32Array(parts.reduce((sum, part) => sum + countEntries(part), 1));
  let at = 1;
  let base = 0;
  for (const part of parts) {
    for (let i = 1; i < part.offsets.length; i++) offsets[at++] = base + (part.offsets[i] ?? 0);
    base += part.data.length;
  }
  return { data: joinBytes(parts.map(({ data }) => data)), offsets };
}

/** The entries of these numbers, in their order. */
export function selectEntries(entries: Entries, numbers: readonly number[]): Entries {
  if (numbers.length === countEntries(entries) && numbers.every((number, i) => number === i)) return entries;
  return encodeEntries(numbers.map((number) => entryAt(entries, number)));
}

/** The leaf hash of each entry, HASH_SIZE bytes each, one after the other (RFC 6962 §2.1). */
export function leafHashes(entries: Entries, sha256: Sha256 = sha256Into): Uint8Array {
  const { data, offsets } = entries;
  const count = countEntries(entries);
  const hashes = new Uint8Array(count * HASH_SIZE);
  let leaf = new Uint8Array(1);
  for (let i = 0; i < count; i++) {
    const start = (offsets[i] ?? 0) + PREFIX;
    const end = offsets[i + 1] ?? start;
    // Its first byte stays 0x00.
    if (leaf.length !== 1 + end - start) leaf = new Uint8Array(1 + end - start);
    leaf.set(data.subarray(start, end), 1);
    sha256(leaf, hashes, i * HASH_SIZE);
  }
  return hashes;
}

/** How many hashes, or entries, a tree has at a level of tiles. */
function hashesAt(size: bigint, level: TileLevel): bigint {
  return level === "entries" ? size : size >> BigInt(TILE_HEIGHT * level);
}

function changedAt(level: TileLevel, from: bigint, to: bigint): Tile[] {
  const tiles: Tile[] = [];
  const grown = hashesAt(to, level) > hashesAt(from, level);
  let index = hashesAt(from, level) / BigInt(TILE_WIDTH);
  for (let width = grown ? widthAt(to, level, index) : 0; width > 0; width = widthAt(to, level, index)) {
    tiles.push({ level, index, width });
    index += 1n;
  }
  return tiles;
}

function checkGrowth(from: bigint, to: bigint): void {
  checkUint63(from, "The tree size");
  checkUint63(to, "The tree size");
  if (to < from) {
    throw new TlogError("out_of_range", `A log does not shrink: ${from} to ${to} leaves`);
  }
}

function checkLevel(level: TileLevel): void {
  if (level !== "entries" && !(Number.isInteger(level) && level >= 0 && level <= MAX_PATH_LEVEL)) {
    throw new TlogError(
      "out_of_range",
      `A tile's level is an integer from 0 to ${MAX_PATH_LEVEL}, or "entries"`,
    );
  }
}

function checkWidth(width: number): void {
  if (!(Number.isInteger(width) && width >= 1 && width <= TILE_WIDTH)) {
    throw new TlogError("out_of_range", `A tile or bundle is 1 to ${TILE_WIDTH} wide, not ${width}`);
  }
}
