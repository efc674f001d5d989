import {
  consistencyRanges,
  EMPTY_ROOT,
  extendFrontier,
  frontierRoot,
  inclusionRanges,
  leafHash,
  nodeHash,
  perfectSubtrees,
  rootOf,
  verifyConsistency,
  verifyInclusion,
} from "@kedge/verify/tlog/merkle";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { growth, sizeAndIndex, treeSize } from "./arbitraries.ts";
import { flip, referenceTree, verdict } from "./reference.ts";

const small = referenceTree(10_000n);
const huge = referenceTree(7n);
const SIZES = Array.from({ length: 301 }, (_, i) => BigInt(i));

// Comparing text is a hundred times faster than comparing arrays of bytes deeply.
const hex = (hashes: Uint8Array[]) => hashes.map(bytesToHex).join("\n");

describe("hashing", () => {
  // The tree of Google's certificate-transparency repository (cpp/merkletree/merkle_tree_test.cc),
  // which RFC 6962 implementations share as their test vector.
  const entries = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
  ];
  const roots = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
  ];

  test("the roots of the Certificate Transparency test tree are reproduced", () => {
    const leaves = entries.map((entry) => leafHash(hexToBytes(entry)));
    expect(roots.map((_, i) => bytesToHex(rootOf(leaves.slice(0, i + 1))))).toEqual(roots);
  });

  test("the root of the empty tree is SHA-256 of nothing", () => {
    expect(rootOf([])).toEqual(small.root(0n));
    expect(frontierRoot([])).toEqual(EMPTY_ROOT);
    expect(EMPTY_ROOT).toEqual(small.root(0n));
  });

  test("a leaf is not confused with a node: an entry of 64 bytes hashes apart from the node of its halves", () => {
    const halves = [small.leaf(0n), small.leaf(1n)] as const;
    expect(leafHash(Uint8Array.from([...halves[0], ...halves[1]]))).not.toEqual(nodeHash(...halves));
  });

  test("a node over anything but 32-byte hashes is refused", () => {
    const hash = small.leaf(0n);
    for (const wrong of [new Uint8Array(), hash.slice(1), Uint8Array.from([...hash, 0])]) {
      expect(verdict(() => nodeHash(wrong, hash))).toBe("malformed");
      expect(verdict(() => nodeHash(hash, wrong))).toBe("malformed");
      expect(verdict(() => rootOf([wrong]))).toBe("malformed");
      expect(verdict(() => frontierRoot([wrong]))).toBe("malformed");
    }
  });
});

describe("frontier", () => {
  test("every size up to 300 has the root of RFC 6962", () => {
    for (const size of SIZES) {
      expect(rootOf(small.leaves(0n, size))).toEqual(small.root(size));
    }
  });

  test("a tree grown in any batches has the root of the tree made at once", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 70 }), { maxLength: 12 }), (batches) => {
        let size = 0n;
        let frontier: Uint8Array[] = [];
        for (const batch of batches) {
          const grown = size + BigInt(batch);
          frontier = extendFrontier(size, frontier, small.leaves(size, grown));
          size = grown;
          expect(frontierRoot(frontier)).toEqual(small.root(size));
        }
      }),
    );
  });

  test("a huge tree is extended from its frontier alone", () => {
    fc.assert(
      fc.property(treeSize, fc.bigInt(0n, 300n), (from, added) => {
        const to = from + added;
        fc.pre(to < 1n << 63n);
        const frontier = perfectSubtrees({ start: 0n, end: from }).map(({ level, index }) =>
          huge.mth(index << BigInt(level), (index + 1n) << BigInt(level)),
        );
        expect(frontierRoot(frontier)).toEqual(huge.root(from));
        const grown = extendFrontier(from, frontier, huge.leaves(from, to));
        expect(frontierRoot(grown)).toEqual(huge.root(to));
      }),
    );
  });

  test("a frontier of another size is refused", () => {
    const hashes = small.leaves(0n, 3n);
    expect(verdict(() => extendFrontier(0n, hashes.slice(0, 1), []))).toBe("malformed");
    expect(verdict(() => extendFrontier(1n, [], hashes))).toBe("malformed");
    expect(verdict(() => extendFrontier(4n, hashes.slice(0, 2), hashes))).toBe("malformed");
    expect(verdict(() => extendFrontier(6n, hashes, []))).toBe("malformed");
    expect(verdict(() => extendFrontier(6n, hashes.slice(0, 2), []))).toBe("accepted");
  });

  test("a tree does not grow beyond 2^63-1 leaves, nor below zero", () => {
    const full = perfectSubtrees({ start: 0n, end: (1n << 63n) - 1n }).map(() => small.leaf(0n));
    expect(verdict(() => extendFrontier((1n << 63n) - 1n, full, []))).toBe("accepted");
    expect(verdict(() => extendFrontier((1n << 63n) - 1n, full, [small.leaf(0n)]))).toBe("out_of_range");
    expect(verdict(() => extendFrontier(-1n, [], []))).toBe("out_of_range");
  });

  test("a leaf hash that is not 32 bytes is refused wherever it lands", () => {
    for (const size of [0n, 1n, 2n, 3n]) {
      const frontier = extendFrontier(0n, [], small.leaves(0n, size));
      expect(verdict(() => extendFrontier(size, frontier, [new Uint8Array(31)]))).toBe("malformed");
    }
  });
});

describe("inclusion", () => {
  test("every leaf of every tree up to 300 has the path of RFC 6962, and it verifies", () => {
    for (const size of SIZES) {
      for (let index = 0n; index < size; index += 1n) {
        const proof = small.path(index, size);
        const ranges = inclusionRanges(index, size);
        expect(hex(ranges.map(({ start, end }) => small.mth(start, end)))).toBe(hex(proof));
        verifyInclusion({ leafHash: small.leaf(index), index, size, root: small.root(size), proof });
      }
    }
  });

  test("paths in trees of any size up to 2^63-1 are those of RFC 6962, and verify", () => {
    fc.assert(
      fc.property(sizeAndIndex, ({ size, index }) => {
        const proof = huge.path(index, size);
        expect(inclusionRanges(index, size).map(({ start, end }) => huge.mth(start, end))).toEqual(proof);
        verifyInclusion({ leafHash: huge.leaf(index), index, size, root: huge.root(size), proof });
      }),
      { numRuns: 300 },
    );
  });

  test("a proof for another index is refused", () => {
    for (let size = 2n; size <= 34n; size += 1n) {
      const root = small.root(size);
      for (let index = 0n; index < size; index += 1n) {
        const proof = small.path(index, size);
        for (let claimed = 0n; claimed < size; claimed += 1n) {
          const input = { leafHash: small.leaf(index), index: claimed, size, root, proof };
          expect(verdict(() => verifyInclusion(input))).toBe(claimed === index ? "accepted" : "bad_proof");
        }
      }
    }
  });

  test("an index outside the tree is refused", () => {
    const input = { leafHash: huge.leaf(0n), root: huge.root(1n), proof: [] };
    for (const [index, size] of [
      [0n, 0n],
      [1n, 1n],
      [-1n, 1n],
      [0n, -1n],
      [0n, 1n << 63n],
      [(1n << 64n) - 1n, 1n],
      [1n << 64n, (1n << 64n) + 1n],
    ] as const) {
      expect(verdict(() => verifyInclusion({ ...input, index, size }))).toBe("out_of_range");
    }
  });

  test("a flipped bit anywhere in leaf, root or proof is refused", () => {
    fc.assert(
      fc.property(sizeAndIndex, fc.nat(), fc.nat(31), fc.nat(7), ({ size, index }, place, at, bit) => {
        const parts = [huge.leaf(index), huge.root(size), ...huge.path(index, size)].map((hash, i, all) =>
          i === place % all.length ? flip(hash, at, bit) : hash,
        );
        const [leaf = EMPTY_ROOT, root = EMPTY_ROOT, ...proof] = parts;
        expect(verdict(() => verifyInclusion({ leafHash: leaf, index, size, root, proof }))).toBe(
          "bad_proof",
        );
      }),
    );
  });

  test("a hash too many, too few or of another length is refused, wherever it is", () => {
    fc.assert(
      fc.property(sizeAndIndex, fc.nat(), ({ size, index }, place) => {
        const valid = { leafHash: huge.leaf(index), index, size, root: huge.root(size) };
        const proof = huge.path(index, size);
        const at = place % (proof.length + 1);
        const refused = [
          proof.toSpliced(at, 0, huge.root(size)),
          proof.toSpliced(at, 0, huge.leaf(index)),
          ...(at < proof.length
            ? [proof.toSpliced(at, 1), proof.with(at, new Uint8Array(31)), proof.with(at, new Uint8Array(33))]
            : []),
        ];
        for (const bad of refused) {
          expect(verdict(() => verifyInclusion({ ...valid, proof: bad }))).toBe("bad_proof");
        }
        for (const hash of [new Uint8Array(), new Uint8Array(33)]) {
          expect(verdict(() => verifyInclusion({ ...valid, proof, leafHash: hash }))).toBe("bad_proof");
          expect(verdict(() => verifyInclusion({ ...valid, proof, root: hash }))).toBe("bad_proof");
        }
      }),
    );
  });

  test("an inner node does not pass for a leaf", () => {
    const node = small.mth(0n, 2n);
    const proof = [small.mth(2n, 4n)];
    expect(
      verdict(() => verifyInclusion({ leafHash: node, index: 0n, size: 4n, root: small.root(4n), proof })),
    ).toBe("bad_proof");
  });
});

describe("consistency", () => {
  test("every pair of sizes up to 150 has the proof of RFC 6962, and it verifies", () => {
    for (const to of SIZES.slice(0, 151)) {
      for (let from = 0n; from <= to; from += 1n) {
        const proof = small.proof(from, to);
        const ranges = consistencyRanges(from, to);
        expect(hex(ranges.map(({ start, end }) => small.mth(start, end)))).toBe(hex(proof));
        verifyConsistency({ from, to, fromRoot: small.root(from), toRoot: small.root(to), proof });
      }
    }
  });

  test("proofs between any sizes up to 2^63-1 are those of RFC 6962, and verify", () => {
    fc.assert(
      fc.property(growth, ({ from, to }) => {
        const proof = huge.proof(from, to);
        expect(consistencyRanges(from, to).map(({ start, end }) => huge.mth(start, end))).toEqual(proof);
        verifyConsistency({ from, to, fromRoot: huge.root(from), toRoot: huge.root(to), proof });
      }),
      { numRuns: 300 },
    );
  });

  test("a flipped bit anywhere in the roots or the proof is refused", () => {
    fc.assert(
      fc.property(growth, fc.nat(), fc.nat(31), fc.nat(7), ({ from, to }, place, at, bit) => {
        const proof = huge.proof(from, to);
        // The empty tree is consistent with every tree, so there is no new root to get wrong.
        const parts = from === 0n ? 1 : 2 + proof.length;
        const changed = [huge.root(from), huge.root(to), ...proof].map((hash, i) =>
          i === place % parts ? flip(hash, at, bit) : hash,
        );
        const [fromRoot = EMPTY_ROOT, toRoot = EMPTY_ROOT, ...rest] = changed;
        expect(verdict(() => verifyConsistency({ from, to, fromRoot, toRoot, proof: rest }))).toBe(
          "bad_proof",
        );
      }),
    );
  });

  test("a hash too many, too few or of another length is refused, wherever it is", () => {
    fc.assert(
      fc.property(growth, fc.nat(), ({ from, to }, place) => {
        const valid = { from, to, fromRoot: huge.root(from), toRoot: huge.root(to) };
        const proof = huge.proof(from, to);
        const at = place % (proof.length + 1);
        const refused = [
          proof.toSpliced(at, 0, huge.root(from)),
          proof.toSpliced(at, 0, huge.root(to)),
          ...(at < proof.length
            ? [proof.toSpliced(at, 1), proof.with(at, new Uint8Array(31)), proof.with(at, new Uint8Array(33))]
            : []),
        ];
        for (const bad of refused) {
          expect(verdict(() => verifyConsistency({ ...valid, proof: bad }))).toBe("bad_proof");
        }
        for (const hash of [new Uint8Array(), new Uint8Array(33)]) {
          expect(verdict(() => verifyConsistency({ ...valid, proof, fromRoot: hash }))).toBe("bad_proof");
          expect(verdict(() => verifyConsistency({ ...valid, proof, toRoot: hash }))).toBe("bad_proof");
        }
      }),
    );
  });

  test("a history with one entry replaced has no proof: the honest one is refused for it", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 120 }),
        fc.integer({ min: 0, max: 60 }),
        fc.nat(),
        (old, added, place) => {
          const from = BigInt(old);
          const to = from + BigInt(added);
          const replaced = small.leaves(0n, to).with(place % old, small.leaf(9_999n));
          const proof = small.proof(from, to);
          const forged = { from, to, fromRoot: small.root(from), toRoot: rootOf(replaced), proof };
          expect(verdict(() => verifyConsistency(forged))).toBe("bad_proof");
        },
      ),
    );
  });

  test("the empty tree needs its own root and no proof", () => {
    const valid = { from: 0n, to: 5n, fromRoot: EMPTY_ROOT, toRoot: small.root(5n), proof: [] };
    expect(verdict(() => verifyConsistency(valid))).toBe("accepted");
    expect(verdict(() => verifyConsistency({ ...valid, fromRoot: small.root(1n) }))).toBe("bad_proof");
    expect(verdict(() => verifyConsistency({ ...valid, proof: [small.root(5n)] }))).toBe("bad_proof");
    const empty = { ...valid, to: 0n };
    expect(verdict(() => verifyConsistency({ ...empty, toRoot: EMPTY_ROOT }))).toBe("accepted");
    expect(verdict(() => verifyConsistency({ ...empty, toRoot: small.root(1n) }))).toBe("bad_proof");
  });

  test("two roots of one size are refused: that is a fork", () => {
    const fork = { from: 5n, to: 5n, fromRoot: small.root(5n), toRoot: small.root(6n), proof: [] };
    expect(verdict(() => verifyConsistency(fork))).toBe("bad_proof");
  });

  test("a tree that shrinks, or exceeds 2^63-1 leaves, is out of range", () => {
    const roots = { fromRoot: small.root(2n), toRoot: small.root(1n), proof: [] };
    for (const [from, to] of [
      [2n, 1n],
      [-1n, 1n],
      [1n, 1n << 63n],
    ] as const) {
      expect(verdict(() => verifyConsistency({ ...roots, from, to }))).toBe("out_of_range");
    }
  });
});
