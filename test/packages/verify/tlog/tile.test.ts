import { concatBytes, joinBytes } from "@kedge/verify/tlog/bytes";
import { EMPTY_ROOT, extendFrontier, leafHash } from "@kedge/verify/tlog/merkle";
import {
  bundlesChanged,
  countEntries,
  decodeBundle,
  decodeEntries,
  encodeBundle,
  encodedSlice,
  encodeEntries,
  encodeOctets,
  entryAt,
  extendTiles,
  growTree,
  joinEntries,
  leafHashes,
  listEntries,
  parseTilePath,
  rightEdge,
  selectEntries,
  TILE_WIDTH,
  type Tile,
  tileKey,
  tilePath,
  tilesChanged,
  widthAt,
} from "@kedge/verify/tlog/tile";
import { frontierFromTiles } from "@kedge/verify/tlog/tileproof";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { sha256 } from "../../../../platform/hash.ts";
import { treeSize } from "./arbitraries.ts";
import { referenceTree, verdict } from "./reference.ts";

const MAX = (1n << 63n) - 1n;
const tree = referenceTree(1009n);

/** c2sp.org/tlog-tiles, Partial Tiles: floor(s / 256**l) hashes at level l, in tiles of 256. */
function specifiedTiles(size: bigint): Tile[] {
  const tiles: Tile[] = [];
  for (let level = 0, hashes = size; hashes > 0n; level += 1, hashes /= 256n) {
    for (let index = 0n; index * 256n < hashes; index += 1n) {
      const left = hashes - index * 256n;
      tiles.push({ level, index, width: left < 256n ? Number(left) : 256 });
    }
  }
  return tiles;
}

/** The n-th tile at level l is MTH(D[(n*256+i) * 256**l : (n*256+i+1) * 256**l]) for each i. */
function specifiedBytes({ level, index, width }: Tile): Uint8Array {
  const span = 256n ** BigInt(level === "entries" ? 0 : level);
  const hashes = Array.from({ length: width }, (_, i) => {
    const position = index * 256n + BigInt(i);
    return tree.mth(position * span, (position + 1n) * span);
  });
  return concatBytes(...hashes);
}

const anyTile: fc.Arbitrary<Tile> = fc.record({
  level: fc.oneof(fc.integer({ min: 0, max: 63 }), fc.constant("entries" as const)),
  index: fc.oneof(fc.bigInt(0n, 2_000_000n), fc.bigInt(0n, MAX), fc.constant(MAX)),
  width: fc.integer({ min: 1, max: 256 }),
});

describe("paths", () => {
  test("the example of c2sp.org/tlog-tiles: index 1234067 is x001/x234/067", () => {
    expect(tilePath({ level: 0, index: 1_234_067n, width: 256 })).toBe("tile/0/x001/x234/067");
    expect(tilePath({ level: "entries", index: 1_234_067n, width: 12 })).toBe(
      "tile/entries/x001/x234/067.p/12",
    );
  });

  test("every tile's path parses back to the tile", () => {
    fc.assert(
      fc.property(anyTile, (tile) => {
        expect(parseTilePath(tilePath(tile))).toEqual(tile);
      }),
    );
  });

  test("whatever parses is what tilePath writes: a tile has one path", () => {
    const piece = fc.constantFrom(
      "tile/",
      "entries",
      "0",
      "1",
      "63",
      "64",
      "/",
      "x000",
      "x001",
      "000",
      "255",
      ".p/",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 9 }), (pieces) => {
        const path = `tile/${pieces.join("")}`;
        if (verdict(() => parseTilePath(path)) === "accepted") {
          expect(tilePath(parseTilePath(path))).toBe(path);
        }
      }),
      { numRuns: 5000 },
    );
  });

  test.each([
    ["", "empty"],
    ["tile/0", "no index"],
    ["tile/0/", "empty index"],
    ["/tile/0/000", "absolute"],
    ["https://log.example/tile/0/000", "a whole URL"],
    ["tile/00/000", "level with a leading zero"],
    ["tile/64/000", "level above 63"],
    ["tile/100/000", "level of three digits"],
    ["tile/-1/000", "negative level"],
    ["tile/data/000", "level of static-ct-api"],
    ["tile/Entries/000", "wrong case"],
    ["tile/0/0", "index not padded"],
    ["tile/0/0000", "index of four digits"],
    ["tile/0/x000", "last element with x"],
    ["tile/0/001/067", "first element without x"],
    ["tile/0/x000/067", "superfluous x000"],
    ["tile/0/x000/x001/067", "superfluous x000 before another"],
    ["tile/0/X001/067", "upper-case X"],
    ["tile/0/x009/x223/x372/x036/x854/x775/808", "index 2^63"],
    ["tile/0/x001/x000/x000/x000/x000/x000/x000/000", "index of eight groups"],
    ["tile/0/000.p/0", "width 0"],
    ["tile/0/000.p/256", "width 256 as a partial tile"],
    ["tile/0/000.p/999", "width above 256"],
    ["tile/0/000.p/01", "width with a leading zero"],
    ["tile/0/000.p/", "no width"],
    ["tile/0/000.p", "suffix without width"],
    ["tile/0/000/", "trailing slash"],
    ["tile/0/000\n", "trailing newline"],
    ["tile/0/../000", "a parent folder"],
    ["tile/0/٠٠٠", "digits that are not ASCII"],
    ["tile//000", "empty level"],
  ])("%j is refused: %s", (path) => {
    expect(verdict(() => parseTilePath(path))).toBe("malformed");
  });

  test("the largest index is 2^63-1", () => {
    expect(parseTilePath("tile/63/x009/x223/x372/x036/x854/x775/807").index).toBe(MAX);
  });

  test("a tile that cannot exist has no path", () => {
    const tile: Tile = { level: 0, index: 0n, width: 1 };
    for (const wrong of [
      { width: 0 },
      { width: 257 },
      { width: 1.5 },
      { width: Number.NaN },
      { index: -1n },
      { index: MAX + 1n },
      { level: 64 },
      { level: -1 },
      { level: 0.5 },
    ]) {
      expect(verdict(() => tilePath({ ...tile, ...wrong }))).toBe("out_of_range");
    }
  });
});

describe("which tiles a tree has", () => {
  test("the example of c2sp.org/tlog-tiles: a tree of 70,000", () => {
    const tiles = tilesChanged(0n, 70_000n);
    const at = (level: number) => tiles.filter((tile) => tile.level === level).map(({ width }) => width);
    expect(at(0)).toEqual([...Array.from({ length: 273 }, () => 256), 112]);
    expect(at(1)).toEqual([256, 17]);
    expect(at(2)).toEqual([1]);
    expect(tiles).toHaveLength(277);
    expect(rightEdge(70_000n).map(tilePath)).toEqual([
      "tile/0/273.p/112",
      "tile/1/001.p/17",
      "tile/2/000.p/1",
    ]);
  });

  test("the example of c2sp.org/tlog-tiles: a tree of 256 is one full tile and a partial one above", () => {
    expect(tilesChanged(0n, 256n).map(tilePath)).toEqual(["tile/0/000", "tile/1/000.p/1"]);
    expect(rightEdge(256n).map(tilePath)).toEqual(["tile/1/000.p/1"]);
  });

  test("growing changes the tiles that the larger tree has and the smaller has not, or narrower", () => {
    const size = fc.oneof(
      fc.bigInt(0n, 2000n),
      fc.bigInt(65_000n, 67_000n),
      fc.constantFrom(0n, 255n, 256n, 65_536n),
    );
    fc.assert(
      fc.property(size, size, (a, b) => {
        const [from, to] = a < b ? [a, b] : [b, a];
        const before = new Map(
          specifiedTiles(from).map((tile) => [tileKey(tile.level, tile.index), tile.width]),
        );
        const changed = specifiedTiles(to).filter(
          ({ level, index, width }) => (before.get(tileKey(level, index)) ?? 0) < width,
        );
        expect(tilesChanged(from, to)).toEqual(changed);
        expect(bundlesChanged(from, to)).toEqual(
          changed.filter(({ level }) => level === 0).map((tile) => ({ ...tile, level: "entries" })),
        );
      }),
    );
  });

  test("the right edge is the partial tiles, and full tiles never change", () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 70_000n), (size) => {
        expect(rightEdge(size)).toEqual(specifiedTiles(size).filter(({ width }) => width < TILE_WIDTH));
      }),
      { numRuns: 30 },
    );
  });

  test("a right edge has at most one tile per level, up to the largest tree", () => {
    fc.assert(
      fc.property(treeSize, (size) => {
        const edge = rightEdge(size);
        expect(new Set(edge.map(({ level }) => level)).size).toBe(edge.length);
        for (const { level, index, width } of edge) {
          // floor(s / 256**l) mod 256, c2sp.org/tlog-tiles, Partial Tiles
          const hashes = size / 256n ** BigInt(level === "entries" ? 0 : level);
          expect(BigInt(width)).toBe(hashes % 256n);
          expect(widthAt(size, level, index)).toBe(width);
          expect(widthAt(size, level, index + 1n)).toBe(0);
        }
      }),
    );
    expect(rightEdge(MAX).map(({ level, width }) => [level, width])).toEqual([
      ...[0, 1, 2, 3, 4, 5, 6].map((level) => [level, 255]),
      [7, 127],
    ]);
  });

  test("widths at levels that no tree reaches are zero", () => {
    for (const level of [8, 9, 62, 63]) {
      expect(widthAt(MAX, level, 0n)).toBe(0);
    }
    expect(widthAt(300n, "entries", 1n)).toBe(44);
    expect(widthAt(300n, "entries", 0n)).toBe(256);
    expect(widthAt(0n, 0, 0n)).toBe(0);
  });

  test("sizes that shrink, are negative or exceed 2^63-1 are out of range", () => {
    for (const call of [
      () => tilesChanged(2n, 1n),
      () => bundlesChanged(2n, 1n),
      () => tilesChanged(-1n, 1n),
      () => tilesChanged(MAX, MAX + 1n),
      () => rightEdge(MAX + 1n),
      () => rightEdge(-1n),
      () => widthAt(MAX + 1n, 0, 0n),
      () => widthAt(-1n, 0, 0n),
      () => widthAt(1n, 0, -1n),
      () => extendTiles(-1n, new Map(), [tree.leaf(0n)]),
      () => extendTiles(MAX, new Map(), [tree.leaf(0n)]),
    ]) {
      expect(verdict(call)).toBe("out_of_range");
    }
  });
});

describe("extending", () => {
  test("tiles grown in any batches are those of the tree made at once, and nothing else is written", () => {
    const batch = fc.oneof(
      fc.integer({ min: 0, max: 20 }),
      fc.integer({ min: 250, max: 260 }),
      fc.integer({ min: 0, max: 1100 }),
    );
    fc.assert(
      fc.property(fc.array(batch, { maxLength: 8 }), (batches) => {
        const stored = new Map<string, Uint8Array>();
        let size = 0n;
        for (const count of batches) {
          const grown = size + BigInt(count);
          const edge = new Map(
            rightEdge(size).map(({ level, index }) => {
              const key = tileKey(level, index);
              return [key, stored.get(key) ?? new Uint8Array()];
            }),
          );
          const written = extendTiles(size, edge, tree.leaves(size, grown));
          expect([...written.keys()]).toEqual(
            tilesChanged(size, grown).map((tile) => tileKey(tile.level, tile.index)),
          );
          for (const [key, bytes] of written) {
            stored.set(key, bytes);
          }
          size = grown;
        }
        const expected = specifiedTiles(size).map((tile) => [tileKey(tile.level, tile.index), tile] as const);
        expect([...stored.keys()].sort()).toEqual(expected.map(([key]) => key).sort());
        for (const [key, tile] of expected) {
          expect(Buffer.compare(stored.get(key) ?? new Uint8Array(), specifiedBytes(tile))).toBe(0);
        }
      }),
      { numRuns: 40 },
    );
  });

  test("a huge tree is extended from its right edge alone, which may be wider than it was", () => {
    const nearFull = fc
      .tuple(fc.integer({ min: 8, max: 62 }), fc.bigInt(-300n, 300n))
      .map(([power, offset]) => (1n << BigInt(power)) + offset)
      .filter((size) => size > 0n);
    fc.assert(
      fc.property(
        fc.oneof(nearFull, treeSize),
        fc.integer({ min: 0, max: 600 }),
        fc.nat(255),
        (from, count, wider) => {
          const to = from + BigInt(count);
          fc.pre(to + 256n ** 2n <= MAX);
          const edge = new Map(
            rightEdge(from).map((tile) => {
              const width = Math.min(256, tile.width + wider);
              return [tileKey(tile.level, tile.index), specifiedBytes({ ...tile, width })];
            }),
          );
          const written = extendTiles(from, edge, tree.leaves(from, to));
          const changed = tilesChanged(from, to);
          expect([...written.keys()]).toEqual(changed.map((tile) => tileKey(tile.level, tile.index)));
          for (const tile of changed) {
            const bytes = written.get(tileKey(tile.level, tile.index)) ?? new Uint8Array();
            expect(Buffer.compare(bytes, specifiedBytes(tile))).toBe(0);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  test("with the tiles come the roots before and after, and the frontier, by any SHA-256", () => {
    fc.assert(
      fc.property(treeSize, fc.integer({ min: 0, max: 600 }), (from, count) => {
        const to = from + BigInt(count);
        fc.pre(to + 256n ** 2n <= MAX);
        const edge = new Map(
          rightEdge(from).map((tile) => [tileKey(tile.level, tile.index), specifiedBytes(tile)]),
        );
        const leaves = joinBytes(tree.leaves(from, to));
        const { tiles: _, ...grown } = growTree(from, edge, leaves, sha256);
        const frontier = extendFrontier(from, frontierFromTiles(from, edge), tree.leaves(from, to));
        expect(grown).toEqual({ size: to, root: tree.root(to), frontier, before: tree.root(from) });
        expect(growTree(from, edge, leaves)).toMatchObject(grown);
      }),
      { numRuns: 25 },
    );
    expect(growTree(0n, new Map(), new Uint8Array())).toMatchObject({ root: EMPTY_ROOT, before: EMPTY_ROOT });
    expect(verdict(() => growTree(0n, new Map(), new Uint8Array(33)))).toBe("malformed");
    expect(verdict(() => growTree(0n, new Map([["0/0", new Uint8Array(32)]]), new Uint8Array()))).toBe(
      "accepted",
    );
    // An edge that is another tree's shows in the root before.
    const other = growTree(1n, new Map([["0/0", new Uint8Array(32)]]), new Uint8Array(32));
    expect(other.before).not.toEqual(tree.root(1n));
  });

  test("an edge tile that is absent or narrower is missing; one that is cut inside a hash is malformed", () => {
    const leaf = tree.leaf(300n);
    const [edge] = rightEdge(300n);
    if (edge === undefined) throw new Error("a tree of 300 has a right edge");
    const key = tileKey(edge.level, edge.index);
    const extend = (bytes: Uint8Array | undefined) =>
      verdict(() =>
        extendTiles(
          300n,
          new Map([
            ...(bytes ? [[key, bytes] as const] : []),
            ["1/0", specifiedBytes({ level: 1, index: 0n, width: 1 })],
          ]),
          [leaf],
        ),
      );
    const bytes = specifiedBytes(edge);
    expect(extend(bytes)).toBe("accepted");
    expect(extend(undefined)).toBe("missing_tile");
    expect(extend(bytes.slice(32))).toBe("missing_tile");
    expect(extend(bytes.slice(1))).toBe("missing_tile");
    expect(extend(concatBytes(bytes, Uint8Array.of(0)))).toBe("malformed");
    expect(extend(new Uint8Array(257 * 32))).toBe("malformed");
  });

  test("a leaf hash that is not 32 bytes is refused", () => {
    expect(verdict(() => extendTiles(0n, new Map(), [new Uint8Array(33)]))).toBe("malformed");
  });
});

describe("entry bundles", () => {
  const entry = fc.uint8Array({ maxLength: 300 }).map((bytes) => Uint8Array.from(bytes));

  test("a bundle decodes to the entries it was made of", () => {
    fc.assert(
      fc.property(fc.array(entry, { minLength: 1, maxLength: 256 }), (entries) => {
        expect(decodeBundle(encodeBundle(entries), entries.length)).toEqual(entries);
      }),
      { numRuns: 50 },
    );
  });

  test("a batch of more entries than a bundle holds is coded alike", () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 600 }), (entries) => {
        const bytes = encodeEntries(entries).data;
        expect(listEntries(decodeEntries(bytes, entries.length))).toEqual(entries);
        expect(verdict(() => decodeEntries(bytes, entries.length + 1))).toBe("malformed");
        expect(verdict(() => decodeEntries(concatBytes(bytes, Uint8Array.of(0)), entries.length))).toBe(
          "malformed",
        );
      }),
      { numRuns: 20 },
    );
  });

  test("flat entries are the list's: their number, each one, slices, selections, joins and leaf hashes", () => {
    const list = fc.array(entry, { maxLength: 300 });
    fc.assert(
      fc.property(list, list, fc.array(fc.nat(299)), fc.nat(300), fc.nat(300), (one, two, chosen, a, b) => {
        const [flat, all] = [joinEntries([one, two].map(encodeEntries)), [...one, ...two]];
        expect(flat).toEqual(decodeEntries(flat.data, all.length));
        expect(countEntries(flat)).toBe(all.length);
        expect(listEntries(flat)).toEqual(all);
        const numbers = chosen.filter((n) => n < all.length);
        const picked = numbers.map((n) => entryAt(flat, n));
        expect(selectEntries(flat, numbers)).toEqual(encodeEntries(picked));
        const [start = 0, end = 0] = [a, b].map((n) => Math.min(n, all.length)).sort((x, y) => x - y);
        expect(encodedSlice(flat, start, end)).toEqual(encodeEntries(all.slice(start, end)).data);
        expect(leafHashes(flat)).toEqual(joinBytes(all.map(leafHash)));
        expect(leafHashes(flat, sha256)).toEqual(leafHashes(flat));
      }),
      { numRuns: 30 },
    );
  });

  test("octets are entries of one size, and have to be whole", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.uint8Array({ maxLength: 400 }), (size, octets) => {
        const whole = octets.slice(0, octets.length - (octets.length % size));
        const list = Array.from({ length: whole.length / size }, (_, i) =>
          whole.slice(i * size, (i + 1) * size),
        );
        expect(encodeOctets(whole, size)).toEqual(encodeEntries(list));
        if (whole.length !== octets.length) {
          expect(verdict(() => encodeOctets(octets, size))).toBe("malformed");
        }
      }),
    );
  });

  test("each entry stands after its length, a big-endian uint16", () => {
    const long = new Uint8Array(0x0102).fill(7);
    expect(encodeBundle([Uint8Array.of(9), new Uint8Array(), long])).toEqual(
      Uint8Array.of(0, 1, 9, 0, 0, 1, 2, ...long),
    );
  });

  test("an entry of 65,535 bytes fits, one more does not", () => {
    const longest = new Uint8Array(65_535).fill(1);
    expect(decodeBundle(encodeBundle([longest]), 1)).toEqual([longest]);
    expect(verdict(() => encodeBundle([new Uint8Array(65_536)]))).toBe("out_of_range");
  });

  test("a bundle has 1 to 256 entries", () => {
    expect(verdict(() => encodeBundle([]))).toBe("out_of_range");
    expect(verdict(() => encodeBundle(Array.from({ length: 257 }, () => new Uint8Array())))).toBe(
      "out_of_range",
    );
    for (const width of [0, 257, -1, 1.5]) {
      expect(verdict(() => decodeBundle(new Uint8Array(2), width))).toBe("out_of_range");
    }
  });

  test("a bundle cut anywhere, or with a byte too many, is refused", () => {
    fc.assert(
      fc.property(fc.array(entry, { minLength: 1, maxLength: 20 }), fc.nat(), (entries, cut) => {
        const bytes = encodeBundle(entries);
        const decode = (changed: Uint8Array) => verdict(() => decodeBundle(changed, entries.length));
        expect(decode(bytes.slice(0, cut % bytes.length))).toBe("malformed");
        expect(decode(concatBytes(bytes, Uint8Array.of(0)))).toBe("malformed");
        expect(verdict(() => decodeBundle(bytes, entries.length + 1))).toBe("malformed");
      }),
    );
    expect(verdict(() => decodeBundle(encodeBundle([new Uint8Array(), new Uint8Array()]), 1))).toBe(
      "malformed",
    );
  });
});
