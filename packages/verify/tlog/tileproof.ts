/**
 * Proofs (RFC 6962 §2.1.1, §2.1.2) made from the tiles of c2sp.org/tlog-tiles, Merkle Tree.
 *
 * Each comes in two halves: which tiles to fetch, all at once, and the proof made from them. The tiles are not trusted:
 * whoever needs certainty verifies the proof.
 */
import { checkUint63 } from "./bytes.ts";
import {
  consistencyRanges,
  frontierRoot,
  inclusionRanges,
  type NodeCoord,
  perfectSubtrees,
  type Range,
  rootOf,
} from "./merkle.ts";
import {
  rightEdge,
  TILE_HEIGHT,
  TILE_WIDTH,
  type Tile,
  type TileMap,
  tileHashes,
  tileKey,
  widthAt,
} from "./tile.ts";

/** The tiles that `inclusionProof` needs, at their width in the tree of `size` leaves. */
export function inclusionTiles(index: bigint, size: bigint): Tile[] {
  return tilesOver(inclusionRanges(index, size), size);
}

/** PATH(index, D[size]), RFC 6962 §2.1.1. Throws `out_of_range`, `missing_tile` or `malformed`. */
export function inclusionProof(index: bigint, size: bigint, tiles: TileMap): Uint8Array[] {
  return inclusionRanges(index, size).map((range) => rangeHash(range, size, tiles));
}

/** The tiles that `consistencyProof` needs, at their width in the tree of `to` leaves. */
export function consistencyTiles(from: bigint, to: bigint): Tile[] {
  return tilesOver(consistencyRanges(from, to), to);
}

/** PROOF(from, D[to]), RFC 6962 §2.1.2. Throws `out_of_range`, `missing_tile` or `malformed`. */
export function consistencyProof(from: bigint, to: bigint, tiles: TileMap): Uint8Array[] {
  return consistencyRanges(from, to).map((range) => rangeHash(range, to, tiles));
}

/** The tiles that determine the root of a tree: those of `rightEdge`. */
export function rootTiles(size: bigint): Tile[] {
  return rightEdge(size);
}

/** The frontier of a tree, see `extendFrontier`. Throws `out_of_range`, `missing_tile` or `malformed`. */
export function frontierFromTiles(size: bigint, tiles: TileMap): Uint8Array[] {
  checkUint63(size, "The tree size");
  return perfectSubtrees({ start: 0n, end: size }).map((node) => subtreeHash(node, size, tiles));
}

/** The root of a tree, `EMPTY_ROOT` for size 0. Throws `out_of_range`, `missing_tile` or `malformed`. */
export function rootFromTiles(size: bigint, tiles: TileMap): Uint8Array {
  return frontierRoot(frontierFromTiles(size, tiles));
}

function tilesOver(ranges: readonly Range[], size: bigint): Tile[] {
  const tiles = ranges.flatMap(perfectSubtrees).map((node) => locate(node, size).tile);
  return [...new Map(tiles.map((tile) => [tileKey(tile.level, tile.index), tile])).values()];
}

function rangeHash(range: Range, size: bigint, tiles: TileMap): Uint8Array {
  return frontierRoot(perfectSubtrees(range).map((node) => subtreeHash(node, size, tiles)));
}

// Proofs from the same tiles share most of their subtrees: of a thousand proofs, three quarters of the time.
const KNOWN = new WeakMap<TileMap, Map<string, Uint8Array>>();

/** A subtree's hash is the same in every tree that contains it, and tiles do not change under a proof. */
function subtreeHash(node: NodeCoord, size: bigint, tiles: TileMap): Uint8Array {
  const known = KNOWN.get(tiles) ?? new Map<string, Uint8Array>();
  KNOWN.set(tiles, known);
  const name = `${node.level}/${node.index}`;
  const { tile, start, count } = locate(node, size);
  const hash = known.get(name) ?? rootOf(tileHashes(tiles, tile, start, count));
  known.set(name, hash);
  return hash;
}

/** The `count` hashes, from `start` on, of the one tile that has the subtree's hash or its making. */
function locate({ level, index }: NodeCoord, size: bigint): { tile: Tile; start: number; count: number } {
  const count = 1 << (level % TILE_HEIGHT);
  const first = index * BigInt(count);
  const tileLevel = Math.floor(level / TILE_HEIGHT);
  const tileIndex = first / BigInt(TILE_WIDTH);
  return {
    tile: { level: tileLevel, index: tileIndex, width: widthAt(size, tileLevel, tileIndex) },
    start: Number(first % BigInt(TILE_WIDTH)),
    count,
  };
}
