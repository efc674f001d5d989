/**
 * Tiles of a log (c2sp.org/tlog-tiles, Merkle Tree, Log entries): paths and bytes.
 *
 *     tile/<L>/<N>[.p/<W>]                           W hashes of 32 bytes, of level 8·L; N in groups: x001/x234/067
 *     tile/entries/<N>[.p/<W>]                       a bundle: W times a u16 length and an entry
 */
import { checkUint63, concatBytes, MAX_UINT63 } from "./bytes.ts";
import { TlogError } from "./error.ts";
import { checkHash, HASH_SIZE, rootOf } from "./merkle.ts";

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
  const to = from + BigInt(leafHashes.length);
  checkGrowth(from, to);
  const written = new Map<string, Uint8Array>();
  let added: readonly Uint8Array[] = leafHashes.map(checkHash);
  for (let level = 0; added.length > 0; level += 1) {
    const first = hashesAt(from, level) / BigInt(TILE_WIDTH);
    const kept = widthAt(from, level, first);
    const hashes = kept === 0 ? added : [...tileHashes(edge, { level, index: first, width: kept }), ...added];
    const completed: Uint8Array[] = [];
    for (const { index, width } of changedAt(level, from, to)) {
      const start = Number(index - first) * TILE_WIDTH;
      const tile = hashes.slice(start, start + width);
      written.set(tileKey(level, index), concatBytes(...tile));
      if (width === TILE_WIDTH) {
        completed.push(rootOf(tile));
      }
    }
    added = completed;
  }
  return written;
}

/**
 * `count` hashes of a tile, from hash `start` on; all of them by default. Throws `missing_tile` when
 * the tile is absent or narrower than `width`, `malformed` when it is no whole number of hashes.
 */
export function tileHashes(tiles: TileMap, tile: Tile, start = 0, count = tile.width): Uint8Array[] {
  const bytes = tiles.get(tileKey(tile.level, tile.index));
  if (bytes === undefined || bytes.length < tile.width * HASH_SIZE) {
    throw new TlogError("missing_tile", `${tilePath(tile)} was not supplied at its full width; fetch it`);
  }
  if (bytes.length % HASH_SIZE !== 0 || bytes.length > TILE_WIDTH * HASH_SIZE) {
    throw new TlogError("malformed", `${tilePath(tile)} has ${bytes.length} bytes, not 1 to 256 hashes`);
  }
  return Array.from({ length: count }, (_, i) =>
    bytes.slice((start + i) * HASH_SIZE, (start + i + 1) * HASH_SIZE),
  );
}

/**
 * An entry bundle: each entry after its length, a big-endian uint16 (c2sp.org/tlog-tiles, Log
 * entries). Throws `out_of_range` unless there are 1..256 entries of at most 65,535 bytes.
 */
export function encodeBundle(entries: readonly Uint8Array[]): Uint8Array {
  checkWidth(entries.length);
  return encodeEntries(entries);
}

/** The entries of a bundle of exactly `width` entries and nothing more. Throws `malformed`. */
export function decodeBundle(bytes: Uint8Array, width: number): Uint8Array[] {
  checkWidth(width);
  return decodeEntries(bytes, width);
}

/** The coding of a bundle for any number of entries, as batches are stored before they are in a tree. */
export function encodeEntries(entries: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(entries.reduce((total, entry) => total + 2 + entry.length, 0));
  let offset = 0;
  for (const entry of entries) {
    if (entry.length > 0xffff) {
      throw new TlogError("out_of_range", `A log entry is at most 65535 bytes, this one has ${entry.length}`);
    }
    bytes.set([entry.length >> 8, entry.length & 0xff], offset);
    bytes.set(entry, offset + 2);
    offset += 2 + entry.length;
  }
  return bytes;
}

/** Exactly `count` entries and nothing more. Throws `malformed`. */
export function decodeEntries(bytes: Uint8Array, count: number): Uint8Array[] {
  const entries: Uint8Array[] = [];
  let offset = 0;
  while (entries.length < count) {
    const [high, low] = bytes.subarray(offset, offset + 2);
    const end = offset + 2 + (high ?? 0) * 256 + (low ?? 0);
    if (end > bytes.length) {
      throw new TlogError(
        "malformed",
        `The entry bundle ends before or inside entry ${entries.length} of ${count}`,
      );
    }
    entries.push(bytes.slice(offset + 2, end));
    offset = end;
  }
  if (offset !== bytes.length) {
    throw new TlogError("malformed", `The entry bundle goes on after its ${count} entries`);
  }
  return entries;
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
