import { concatBytes } from "@kedge/verify/tlog/bytes";
import { extendFrontier, frontierRoot } from "@kedge/verify/tlog/merkle";
import { rightEdge, TILE_WIDTH, type Tile, type TileMap, tileKey, widthAt } from "@kedge/verify/tlog/tile";
import {
  consistencyProof,
  consistencyTiles,
  frontierFromTiles,
  inclusionProof,
  inclusionTiles,
  rootFromTiles,
  rootTiles,
} from "@kedge/verify/tlog/tileproof";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { growth, sizeAndIndex, treeSize } from "./arbitraries.ts";
import { referenceTree, verdict } from "./reference.ts";

const tree = referenceTree(1009n);

const fullTiles = new Map<string, Uint8Array>();

/** A tile's hashes 0..255, whether or not the tree has as many. */
function fullTile({ level, index }: Tile): Uint8Array {
  const key = tileKey(level, index);
  const span = 256n ** BigInt(level === "entries" ? 0 : level);
  const hashAt = (i: number) =>
    tree.mth((index * 256n + BigInt(i)) * span, (index * 256n + BigInt(i + 1)) * span);
  const bytes = fullTiles.get(key) ?? concatBytes(...Array.from({ length: TILE_WIDTH }, (_, i) => hashAt(i)));
  fullTiles.set(key, bytes);
  return bytes;
}

/** The bytes of each tile, `wider` hashes wider than asked, as a later seal may have left them. */
function fetched(tiles: readonly Tile[], wider = 0): TileMap {
  return new Map(
    tiles.map((tile) => [
      tileKey(tile.level, tile.index),
      fullTile(tile).slice(0, 32 * (tile.width + wider)),
    ]),
  );
}

const wider = fc.constantFrom(0, 0, 1, 100, 255);

describe("proofs from tiles", () => {
  test("inclusion proofs from exactly the listed tiles are those of RFC 6962, at any size", () => {
    fc.assert(
      fc.property(sizeAndIndex, wider, ({ size, index }, more) => {
        const tiles = fetched(inclusionTiles(index, size), more);
        expect(inclusionProof(index, size, tiles)).toEqual(tree.path(index, size));
      }),
      { numRuns: 200 },
    );
  });

  test("consistency proofs from exactly the listed tiles are those of RFC 6962, at any size", () => {
    fc.assert(
      fc.property(growth, wider, ({ from, to }, more) => {
        const tiles = fetched(consistencyTiles(from, to), more);
        expect(consistencyProof(from, to, tiles)).toEqual(tree.proof(from, to));
      }),
      { numRuns: 200 },
    );
  });

  test("the root and frontier from exactly the listed tiles are those of the tree, at any size", () => {
    fc.assert(
      fc.property(treeSize, wider, (size, more) => {
        const tiles = fetched(rootTiles(size), more);
        expect(rootFromTiles(size, tiles)).toEqual(tree.root(size));
        const frontier = frontierFromTiles(size, tiles);
        expect(frontierRoot(frontier)).toEqual(tree.root(size));
        fc.pre(size < (1n << 63n) - 1n);
        const next = extendFrontier(size, frontier, [tree.leaf(size)]);
        expect(frontierRoot(next)).toEqual(tree.root(size + 1n));
      }),
      { numRuns: 200 },
    );
  });

  test("every index of every tree up to 300 is provable", () => {
    for (let size = 1n; size <= 300n; size += 13n) {
      for (let index = 0n; index < size; index += 1n) {
        const tiles = fetched(inclusionTiles(index, size));
        const proof = inclusionProof(index, size, tiles);
        expect(Buffer.compare(concatBytes(...proof), concatBytes(...tree.path(index, size)))).toBe(0);
      }
    }
  });

  test("the tree of no leaves has no tiles, and its root is the empty one", () => {
    expect(rootTiles(0n)).toEqual([]);
    expect(rootFromTiles(0n, new Map())).toEqual(tree.root(0n));
    expect(consistencyTiles(0n, 70_000n)).toEqual([]);
    expect(inclusionTiles(0n, 1n)).toEqual([]);
  });

  test("every listed tile exists in the tree, at the width it has there, and is listed once", () => {
    fc.assert(
      fc.property(sizeAndIndex, growth, ({ size, index }, { from, to }) => {
        for (const [tiles, treeOf] of [
          [inclusionTiles(index, size), size],
          [consistencyTiles(from, to), to],
          [rootTiles(to), to],
        ] as const) {
          expect(new Set(tiles.map((tile) => tileKey(tile.level, tile.index))).size).toBe(tiles.length);
          for (const { level, index: at, width } of tiles) {
            expect(width).toBe(widthAt(treeOf, level, at));
            expect(width).toBeGreaterThan(0);
          }
        }
      }),
    );
  });

  test("a proof costs at most two tiles per level, whatever the size", () => {
    fc.assert(
      fc.property(sizeAndIndex, growth, ({ size, index }, { from, to }) => {
        const levels = (of: bigint) => rightEdge(of).at(-1)?.level ?? 0;
        expect(inclusionTiles(index, size).length).toBeLessThanOrEqual(2 * (Number(levels(size)) + 1));
        expect(consistencyTiles(from, to).length).toBeLessThanOrEqual(2 * (Number(levels(to)) + 1));
      }),
    );
  });

  test("without any one of its tiles, or with a narrower one, a proof is refused", () => {
    fc.assert(
      fc.property(sizeAndIndex, growth, fc.nat(), ({ size, index }, { from, to }, which) => {
        const cases: [Tile[], (tiles: TileMap) => unknown][] = [
          [inclusionTiles(index, size), (tiles) => inclusionProof(index, size, tiles)],
          [consistencyTiles(from, to), (tiles) => consistencyProof(from, to, tiles)],
          [rootTiles(size), (tiles) => rootFromTiles(size, tiles)],
        ];
        for (const [needed, prove] of cases) {
          const [key, bytes] = [...fetched(needed)][which % Math.max(1, needed.length)] ?? [];
          if (key === undefined || bytes === undefined) {
            continue;
          }
          const others = [...fetched(needed)].filter(([other]) => other !== key);
          expect(verdict(() => prove(new Map(others)))).toBe("missing_tile");
          expect(verdict(() => prove(new Map([...others, [key, bytes.slice(32)]])))).toBe("missing_tile");
          const ragged = concatBytes(bytes, Uint8Array.of(1));
          expect(verdict(() => prove(new Map([...others, [key, ragged]])))).toBe("malformed");
        }
      }),
    );
  });

  test("an index outside the tree, or a tree that shrinks, is out of range", () => {
    const none = new Map<string, Uint8Array>();
    for (const call of [
      () => inclusionTiles(5n, 5n),
      () => inclusionProof(5n, 5n, none),
      () => inclusionProof(-1n, 5n, none),
      () => consistencyTiles(6n, 5n),
      () => consistencyProof(6n, 5n, none),
      () => rootTiles(-1n),
      () => rootFromTiles(-1n, none),
      () => rootFromTiles(1n << 63n, none),
    ]) {
      expect(verdict(call)).toBe("out_of_range");
    }
  });
});
