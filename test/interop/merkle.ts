import { join } from "node:path";
import { concatBytes } from "@kedge/verify/tlog/bytes";
import { EMPTY_ROOT, verifyConsistency, verifyInclusion } from "@kedge/verify/tlog/merkle";
import type { Tile } from "@kedge/verify/tlog/tile";
import { consistencyTiles, inclusionTiles, rootTiles } from "@kedge/verify/tlog/tileproof";
import fc from "fast-check";
import { expect, test } from "vitest";
import { treeSize } from "../packages/verify/tlog/arbitraries.ts";
import { flip, referenceTree, verdict } from "../packages/verify/tlog/reference.ts";
import { suiteFolder, writeTile } from "./folder.ts";
import { accepted, type ConsistencyProof, type Go, type InclusionProof, verdicts } from "./go.ts";
import { sample } from "./random.ts";

/** The largest tree that x/mod can compute with: its search for a power of two below a larger one never ends. */
export const THEIR_MAX = (1n << 62n) - 1n;

// The period is small, so that a tile anywhere takes few hashes to compute.
const tree = referenceTree(7n);

/** These proofs, from our tiles, hold for both; and theirs, from the tiles in the folders, are the same. */
export async function inclusionHolds(
  go: Go,
  proofs: readonly InclusionProof[],
  folderOf: (i: number) => string,
): Promise<void> {
  for (const { leaf, hashes, ...place } of proofs) {
    verifyInclusion({ ...place, leafHash: leaf, proof: hashes });
  }
  accepted(await go.checkInclusion(proofs));
  const trees = proofs.map(({ size, root, index }, i) => ({ folder: folderOf(i), size, root, from: index }));
  const theirs = accepted(await go.proveInclusion(trees)).map(({ hashes }) => hashes);
  expect(theirs).toEqual(proofs.map(({ hashes }) => hashes));
}

/** The same, for consistency proofs. */
export async function consistencyHolds(
  go: Go,
  proofs: readonly ConsistencyProof[],
  folderOf: (i: number) => string,
): Promise<void> {
  for (const { hashes, ...ends } of proofs) {
    verifyConsistency({ ...ends, proof: hashes });
  }
  accepted(await go.checkConsistency(proofs));
  const trees = proofs.map(({ from, to, toRoot }, i) => ({
    folder: folderOf(i),
    size: to,
    root: toRoot,
    from,
  }));
  const theirs = accepted(await go.proveConsistency(trees)).map(({ hashes }) => hashes);
  expect(theirs).toEqual(proofs.map(({ hashes }) => hashes));
}

const inclusionAt = (index: bigint, size: bigint): InclusionProof => ({
  leaf: tree.leaf(index),
  index,
  size,
  root: tree.root(size),
  hashes: tree.path(index, size),
});

const consistencyFrom = (from: bigint, to: bigint): ConsistencyProof => ({
  from,
  to,
  fromRoot: tree.root(from),
  toRoot: tree.root(to),
  hashes: tree.proof(from, to),
});

function tileBytes({ level, index, width }: Tile): Uint8Array {
  const span = 256n ** BigInt(level === "entries" ? 0 : level);
  const first = index * 256n;
  const hashes = Array.from({ length: width }, (_, i) =>
    tree.mth((first + BigInt(i)) * span, (first + BigInt(i) + 1n) * span),
  );
  return concatBytes(...hashes);
}

/** A proof with a bit flipped in each of its hashes, with a hash more or less, and in another order. */
function spoiled(hashes: readonly Uint8Array[]): Uint8Array[][] {
  const places = sample(fc.tuple(fc.nat(31), fc.nat(7)), 8);
  return [
    ...hashes.flatMap((hash, i) => places.map(([at, bit]) => hashes.with(i, flip(hash, at, bit)))),
    hashes.slice(1),
    hashes.slice(0, -1),
    [...hashes, EMPTY_ROOT],
    [EMPTY_ROOT, ...hashes],
    hashes.toReversed(),
  ];
}

export function merkle(go: Go): void {
  const folder = suiteFolder();

  test("proofs of trees of up to 2^62-1 leaves, from the tiles named here and no other", async () => {
    const sizes = treeSize.filter((size) => size <= THEIR_MAX);
    const places = sample(fc.tuple(sizes, fc.bigInt(0n, THEIR_MAX)), 40).map(
      ([size, anywhere]) => [anywhere % size, size] as const,
    );
    places.push([THEIR_MAX - 1n, THEIR_MAX]);
    const folderOf = (i: number) => join(folder.path, `${i}`);
    for (const [i, [index, size]] of places.entries()) {
      // An earlier tree of index + 1 leaves: there is none of 0.
      const named = [inclusionTiles(index, size), consistencyTiles(index + 1n, size), rootTiles(size)].flat();
      for (const tile of named) {
        await writeTile(folderOf(i), tile, tileBytes(tile));
      }
    }
    await inclusionHolds(
      go,
      places.map(([index, size]) => inclusionAt(index, size)),
      folderOf,
    );
    await consistencyHolds(
      go,
      places.map(([index, size]) => consistencyFrom(index + 1n, size)),
      folderOf,
    );
  });

  test("an inclusion proof with one flipped bit, or one hash more or less, is refused by both", async () => {
    const proof = inclusionAt(300n, 600n);
    const cases = [
      ...spoiled(proof.hashes).map((hashes) => ({ ...proof, hashes })),
      { ...proof, leaf: flip(proof.leaf, 0) },
      { ...proof, root: flip(proof.root, 31) },
      { ...proof, index: 301n },
      { ...proof, size: 512n },
    ];
    accepted(await go.checkInclusion([proof]));
    expect(new Set(verdicts(await go.checkInclusion(cases)))).toEqual(new Set(["refused"]));
    for (const { leaf, hashes, ...place } of cases) {
      expect(verdict(() => verifyInclusion({ ...place, leafHash: leaf, proof: hashes }))).toBe("bad_proof");
    }
  });

  test("a consistency proof with one flipped bit, or one hash more or less, is refused by both", async () => {
    const proof = consistencyFrom(300n, 600n);
    const cases = [
      ...spoiled(proof.hashes).map((hashes) => ({ ...proof, hashes })),
      { ...proof, fromRoot: flip(proof.fromRoot, 0) },
      { ...proof, toRoot: flip(proof.toRoot, 31) },
      { ...proof, from: 301n },
      { ...proof, to: 512n },
    ];
    accepted(await go.checkConsistency([proof]));
    expect(new Set(verdicts(await go.checkConsistency(cases)))).toEqual(new Set(["refused"]));
    for (const { hashes, ...ends } of cases) {
      expect(verdict(() => verifyConsistency({ ...ends, proof: hashes }))).toBe("bad_proof");
    }
  });

  test("a leaf beyond the tree, and a tree that shrank, are refused by both", async () => {
    const leaf = { ...inclusionAt(5n, 6n), index: 6n };
    const shrunk = { ...consistencyFrom(5n, 6n), from: 6n, to: 5n };
    expect(verdicts(await go.checkInclusion([leaf]))).toEqual(["refused"]);
    expect(verdicts(await go.checkConsistency([shrunk]))).toEqual(["refused"]);
    expect(verdict(() => verifyInclusion({ ...leaf, leafHash: leaf.leaf, proof: leaf.hashes }))).toBe(
      "out_of_range",
    );
    expect(verdict(() => verifyConsistency({ ...shrunk, proof: shrunk.hashes }))).toBe("out_of_range");
  });

  test("that every tree extends the empty one is accepted here, and refused there", async () => {
    const ends = { from: 0n, to: 6n, fromRoot: EMPTY_ROOT, toRoot: tree.root(6n) };
    expect(verdict(() => verifyConsistency({ ...ends, proof: [] }))).toBe("accepted");
    expect(verdicts(await go.checkConsistency([{ ...ends, hashes: [] }]))).toEqual(["refused"]);
  });
}
