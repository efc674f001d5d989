import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { equalBytes, utf8Encode } from "@kedge/verify/tlog/bytes";
import { leafHash, verifyConsistency, verifyInclusion } from "@kedge/verify/tlog/merkle";
import {
  bundlesChanged,
  decodeBundle,
  encodeBundle,
  extendTiles,
  parseTilePath,
  tileKey,
  tilePath,
  tilesChanged,
} from "@kedge/verify/tlog/tile";
import { consistencyProof, inclusionProof, rootFromTiles } from "@kedge/verify/tlog/tileproof";
import fc from "fast-check";
import { expect, test } from "vitest";
import { treeSize } from "../packages/verify/tlog/arbitraries.ts";
import { flip, verdict } from "../packages/verify/tlog/reference.ts";
import { files, readTiles, suiteFolder, writeTile } from "./folder.ts";
import { accepted, type Go, verdicts } from "./go.ts";
import { consistencyHolds, inclusionHolds, THEIR_MAX } from "./merkle.ts";
import { sample } from "./random.ts";

const EDGES = [0, 1, 2, 3, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537];
const SIZES = [...EDGES, ...sample(fc.integer({ min: 4, max: 3000 }), 4)];

/** The i-th entry of every log here, as in `tiles.go`. */
function entry(i: number): Uint8Array {
  return i === 9 ? new Uint8Array(0xffff).fill(0xff) : utf8Encode(`entry ${i}`.repeat(i % 5), "The entry");
}

/** The leaf hashes of the largest log, made when they are first needed. */
let made: Uint8Array[] = [];
function leaves(from: number, to: number): Uint8Array[] {
  if (made.length === 0) {
    made = Array.from({ length: Math.max(...SIZES) }, (_, i) => leafHash(entry(i)));
  }
  return made.slice(from, to);
}

/** The tiles of a log and the hashes of its entries, from the files. */
async function readLog(folder: string, size: bigint) {
  const tiles = await readTiles(folder, tilesChanged(0n, size));
  const listed = bundlesChanged(0n, size);
  const bundles = await readTiles(folder, listed);
  const entries = listed.flatMap(({ level, index, width }) =>
    decodeBundle(bundles.get(tileKey(level, index)) ?? new Uint8Array(), width),
  );
  return { tiles, hashes: entries.map(leafHash) };
}

/** A log as it is published at each of these sizes, with the partial tiles that later ones replace. */
async function writeLog(folder: string, sizes: readonly number[]): Promise<void> {
  const tiles = new Map<string, Uint8Array>();
  let from = 0;
  for (const to of sizes) {
    const growth = [BigInt(from), BigInt(to)] as const;
    for (const [key, bytes] of extendTiles(growth[0], tiles, leaves(from, to))) {
      tiles.set(key, bytes);
    }
    for (const tile of tilesChanged(...growth)) {
      await writeTile(folder, tile, tiles.get(tileKey(tile.level, tile.index)) ?? new Uint8Array());
    }
    for (const bundle of bundlesChanged(...growth)) {
      const first = Number(bundle.index) * 256;
      const entries = Array.from({ length: bundle.width }, (_, i) => entry(first + i));
      await writeTile(folder, bundle, encodeBundle(entries));
    }
    from = to;
  }
}

/** A few numbers in 0..below-1: around the edges of tiles, at both ends, and anywhere. */
function positions(below: number): bigint[] {
  const near = [0, 1, 2, 254, 255, 256, 257, 511, 512, 65_279, 65_280, 65_535, below - 2, below - 1];
  const anywhere = below === 0 ? [] : sample(fc.nat(below - 1), 15);
  return [...new Set([...near, ...anywhere])].filter((i) => i >= 0 && i < below).map(BigInt);
}

export function tiles(go: Go): void {
  const folder = suiteFolder();

  test("tiles and bundles have the same paths", async () => {
    const index = fc.oneof(fc.bigInt(0n, 2_000_000n), fc.bigInt(0n, (1n << 63n) - 1n));
    const anyTile = fc.record({
      level: fc.integer({ min: -1, max: 63 }),
      index,
      width: fc.integer({ min: 1, max: 256 }),
    });
    const wanted = [...sample(anyTile, 500), { level: 63, index: (1n << 63n) - 1n, width: 255 }];
    const theirs = accepted(await go.writeTilePath(wanted)).map(({ path }) => path);
    const ours = wanted.map(({ level, ...rest }) =>
      tilePath({ level: level === -1 ? "entries" : level, ...rest }),
    );
    expect(theirs).toEqual(ours);
    expect(accepted(await go.readTilePath(theirs.map((path) => ({ path }))))).toEqual(wanted);
    expect(theirs.map(parseTilePath).map(tilePath)).toEqual(ours);
  });

  test.each([
    ["tile/0/000", "accepted", "accepted"],
    ["tile/entries/x009/x223/x372/x036/x854/x775/807.p/255", "accepted", "accepted"],
    ["tile/0/x009/x223/x372/x036/x854/x775/808", "malformed", "refused"],
    ["tile/0/x001/x000/x000/x000/x000/x000/x000/000", "malformed", "refused"],
    ["tile/0/x000/001", "malformed", "refused"],
    ["tile/0/001/002", "malformed", "refused"],
    ["tile/0/x001", "malformed", "refused"],
    ["tile/0/0001", "malformed", "refused"],
    ["tile/0/1", "malformed", "refused"],
    ["tile/0/-01", "malformed", "refused"],
    ["tile/0/+01", "malformed", "refused"],
    ["tile/00/000", "malformed", "refused"],
    ["tile/-1/000", "malformed", "refused"],
    ["tile/0/000.p/0", "malformed", "refused"],
    ["tile/0/000.p/256", "malformed", "refused"],
    ["tile/0/000.p/01", "malformed", "refused"],
    ["tile/0/000/", "malformed", "refused"],
    ["/tile/0/000", "malformed", "refused"],
    ["tile/0/000\n", "malformed", "refused"],
    ["tile/64/000", "malformed", "accepted"],
  ] as const)("the path %j is %s here, %s there", async (path, ours, theirs) => {
    expect(verdict(() => parseTilePath(path))).toBe(ours);
    expect(verdicts(await go.readTilePath([{ path }]))).toEqual([theirs]);
  });

  test("the same tiles change when a tree of any size grows", async () => {
    const sizes = treeSize.filter((size) => size <= THEIR_MAX);
    const growths = [
      ...sample(fc.tuple(sizes, fc.bigInt(0n, 70_000n)), 50),
      ...sample(fc.tuple(sizes, fc.bigInt(0n, 600n)), 200),
    ].map(([to, back]) => ({ from: back > to ? 0n : to - back, to }));
    const theirs = accepted(await go.changedTiles(growths)).map(({ paths }) => paths);
    expect(theirs).toEqual(growths.map(({ from, to }) => tilesChanged(from, to).map(tilePath)));
  });

  test.each(SIZES)(
    "a log of %i entries: the same files, and proofs by either hold for both",
    async (count) => {
      const size = BigInt(count);
      const [ours, theirs] = [join(folder.path, `${count}-here`), join(folder.path, `${count}-there`)];
      await Promise.all([ours, theirs].map((log) => mkdir(log, { recursive: true })));
      await writeLog(ours, [...sample(fc.nat(count), 2).sort((a, b) => a - b), count]);
      const [written] = accepted(await go.writeTree([{ folder: theirs, size }]));
      const root = written?.root ?? new Uint8Array();

      const published = await files(ours);
      const different = [...(await files(theirs))].filter(
        ([path, bytes]) => !equalBytes(published.get(path) ?? new Uint8Array(), bytes),
      );
      expect(different.map(([path]) => path)).toEqual([]);
      expect(accepted(await go.readEntries([{ folder: ours, size, root }]))).toEqual([{ entries: size }]);

      const log = await readLog(theirs, size);
      expect(rootFromTiles(size, log.tiles)).toEqual(root);
      expect(log.hashes).toHaveLength(count);
      const missing = leaves(0, count).filter(
        (hash, i) => !equalBytes(hash, log.hashes[i] ?? new Uint8Array()),
      );
      expect(missing).toEqual([]);

      const inclusion = positions(count).map((index) => ({
        leaf: log.hashes[Number(index)] ?? new Uint8Array(),
        index,
        size,
        root,
        hashes: inclusionProof(index, size, log.tiles),
      }));
      await inclusionHolds(go, inclusion, () => ours);
      const sizes = positions(count + 1).filter((from) => from > 0n);
      const consistency = sizes.map((from) => ({
        from,
        to: size,
        fromRoot: rootFromTiles(from, log.tiles),
        toRoot: root,
        hashes: consistencyProof(from, size, log.tiles),
      }));
      await consistencyHolds(go, consistency, () => ours);
    },
  );

  /** What an auditor does with the files of a log: every entry is in the tree, and the tiles lead to its root. */
  async function audit({ folder, size, root }: { folder: string; size: bigint; root: Uint8Array }) {
    const log = await readLog(folder, size);
    for (const [i, hash] of log.hashes.entries()) {
      const index = BigInt(i);
      const proof = inclusionProof(index, size, log.tiles);
      verifyInclusion({ leafHash: hash, index, size, root, proof });
    }
    const fromRoot = rootFromTiles(size, log.tiles);
    verifyConsistency({ from: size, to: size, fromRoot, toRoot: root, proof: [] });
  }

  test.each([256, 257, 600])(
    "one flipped bit in any file of a log of %i entries is found by both",
    async (count) => {
      const log = { folder: join(folder.path, `flipped-${count}`), size: BigInt(count) };
      const [written] = accepted(await go.writeTree([log]));
      const request = { ...log, root: written?.root ?? new Uint8Array() };
      await audit(request);
      for (const [path, bytes] of await files(log.folder)) {
        const read = path.startsWith("tile/entries/") ? go.readEntries : go.readLeaves;
        for (const [at, bit] of [
          [0, 7] as const,
          ...sample(fc.tuple(fc.nat(bytes.length - 1), fc.nat(7)), 5),
        ]) {
          await writeFile(join(log.folder, path), flip(bytes, at, bit));
          expect(verdicts(await read([request])), `${path}, bit ${bit} of byte ${at}`).toEqual(["refused"]);
          await expect(audit(request), path).rejects.toMatchObject({ name: "TlogError" });
        }
        await writeFile(join(log.folder, path), bytes);
      }
      expect(verdicts(await go.readEntries([request]))).toEqual(["accepted"]);
    },
  );
}
