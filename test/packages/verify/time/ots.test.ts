import { TimestampError, type TimestampErrorCode } from "@kedge/verify/error";
import {
  displayHash,
  formatOts,
  MAX_OTS_SIZE,
  type OtsAttestation,
  type OtsOp,
  type OtsTree,
  otsClaims,
  parseBlockHeader,
  parseOts,
  pruneOts,
  upgradeOts,
  verifyOts,
} from "@kedge/verify/time/ots";
import { read, write } from "@lacrypta/typescript-opentimestamps";
import { sha256 } from "@noble/hashes/sha2.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HELLO_WORLD } from "../../../support/hello-world.ts";

const bytes = (base64: string) => new Uint8Array(Buffer.from(base64, "base64"));
const hexBytes = (hex: string) => new Uint8Array(Buffer.from(hex, "hex"));
const published = bytes(HELLO_WORLD.ots);
const { message, height } = HELLO_WORLD;
const block = parseBlockHeader(height, hexBytes(HELLO_WORLD.header));

function codeOf(run: () => unknown): TimestampErrorCode | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (!(error instanceof TimestampError)) throw error;
    return error.code;
  }
}

describe("a published timestamp", () => {
  test("leads to the merkle root of its block, as the header has it", () => {
    expect(displayHash(block.root)).toBe(HELLO_WORLD.root);
    expect(verifyOts(published, message, [block])).toEqual(block);
    expect(new Date(block.time ?? 0).toISOString()).toBe(HELLO_WORLD.time);
    const rootAlone = { height, root: hexBytes(HELLO_WORLD.root).reverse() };
    expect(verifyOts(published, message, [rootAlone])).toEqual(rootAlone);
  });

  test("without its block: what remains to be checked is said", () => {
    const check = () => verifyOts(published, message, [{ ...block, height: height + 1 }]);
    expect(codeOf(check)).toBe("untrusted");
    expect(check).toThrow(`whether Bitcoin block ${height} has the merkle root ${HELLO_WORLD.root}`);
  });

  test("with another root of that block, or over other bytes: refused", () => {
    const other = { ...block, root: sha256(block.root) };
    expect(codeOf(() => verifyOts(published, message, [other]))).toBe("untrusted");
    expect(codeOf(() => verifyOts(published, message.slice(1), [block]))).toBe("wrong_imprint");
  });

  test("a flipped bit anywhere is refused", () => {
    for (let i = 0; i < published.length; i++) {
      const flipped = published.slice();
      flipped[i] = (flipped[i] ?? 0) ^ (1 << (i % 8));
      expect(codeOf(() => verifyOts(flipped, message, [block]))).toBeDefined();
    }
  });

  test("cut anywhere, or with bytes after it: refused", () => {
    for (let length = 0; length < published.length; length++) {
      expect(codeOf(() => verifyOts(published.subarray(0, length), message, [block]))).toBe("malformed");
    }
    expect(codeOf(() => parseOts(Uint8Array.of(...published, 0)))).toBe("malformed");
  });
});

describe("what is not known in a file takes nothing from what is", () => {
  // The published file is its header (the magic, the version, the operation and the hash of 32 bytes), then its tree.
  const START = 31 + 1 + 1 + 32;
  const [head, tree] = [published.subarray(0, START), published.subarray(START)];
  const FORK = 0xff;
  const attestation = (tag: Uint8Array, payload: Uint8Array) =>
    Uint8Array.of(0x00, ...tag, payload.length, ...payload);
  const UNKNOWN = attestation(hexBytes("0011223344556677"), Uint8Array.of(1, 2, 3));
  const BITCOIN = hexBytes("0588960d73d71901");
  const PENDING = hexBytes("83dfe30d2ef90c8e");

  test.each([
    ["an attestation of another chain", UNKNOWN],
    ["a Bitcoin attestation with more than a height", attestation(BITCOIN, Uint8Array.of(1, 2))],
    ["a promise whose address is none", attestation(PENDING, Uint8Array.of(3, 0x6e, 0x6f, 0x21))],
    ["a branch by SHA-1", Uint8Array.of(0x02, 0x08, ...UNKNOWN)],
    ["a branch by Keccak-256, with branches", Uint8Array.of(0x67, FORK, 0x08, ...UNKNOWN, ...UNKNOWN)],
    [
      "a branch that claims another block by SHA-1",
      Uint8Array.of(0x02, ...attestation(BITCOIN, Uint8Array.of(7))),
    ],
  ])("%s before it", (_, branch) => {
    const file = Uint8Array.of(...head, FORK, ...branch, ...tree);
    expect(verifyOts(file, message, [block])).toEqual(block);
    expect(otsClaims(parseOts(file)).some(({ attestation }) => attestation.kind === "bitcoin")).toBe(true);
    expect(otsClaims(parseOts(formatOts(parseOts(file))))).toEqual(otsClaims(parseOts(file)));
  });

  test("a branch by an operation that nobody knows, after it", () => {
    const branch = Uint8Array.of(0x99, 1, 2, 3);
    const at = Uint8Array.of(...head, FORK, 0x08, ...UNKNOWN, ...branch);
    expect(otsClaims(parseOts(at))).toMatchObject([{ attestation: { kind: "unknown" } }]);
    // Its operand is not known either, so nothing behind it can be read.
    expect(codeOf(() => parseOts(Uint8Array.of(...head, FORK, ...branch, ...tree)))).toBe("unsupported");
  });

  test("is no claim: a file with nothing else leads to no block", () => {
    const onlySha1 = Uint8Array.of(...head, 0x02, ...attestation(BITCOIN, Uint8Array.of(7)));
    expect(codeOf(() => verifyOts(onlySha1, message, [block]))).toBe("unsupported");
    expect(codeOf(() => verifyOts(Uint8Array.of(...head, ...UNKNOWN), message, [block]))).toBe("incomplete");
  });

  test("is read to its end: what is cut or goes on is malformed", () => {
    const file = Uint8Array.of(...head, FORK, 0x02, ...UNKNOWN, ...tree);
    for (let length = START; length < file.length; length++) {
      expect(codeOf(() => parseOts(file.subarray(0, length)))).toBe("malformed");
    }
    expect(codeOf(() => parseOts(Uint8Array.of(...file, 0)))).toBe("malformed");
  });
});

const blob = (minLength: number, maxLength: number) => fc.uint8Array({ minLength, maxLength });
const opArbitrary: fc.Arbitrary<OtsOp> = fc.oneof(
  fc.constantFrom<OtsOp>({ kind: "sha256" }, { kind: "ripemd160" }),
  fc.record({ kind: fc.constantFrom("append" as const, "prepend" as const), bytes: blob(1, 40) }),
);
const attestationArbitrary: fc.Arbitrary<OtsAttestation> = fc.oneof(
  fc.record({ kind: fc.constant("bitcoin" as const), height: fc.nat(1 << 30) }),
  fc.nat(99).map((n) => ({ kind: "pending" as const, uri: `https://calendar${n}.example.org/` })),
);
const treeArbitrary = (depth: number): fc.Arbitrary<OtsTree> =>
  fc
    .record({
      attestations: fc.array(attestationArbitrary, { maxLength: 2 }),
      branches:
        depth === 0
          ? fc.constant([])
          : fc.array(fc.record({ op: opArbitrary, tree: treeArbitrary(depth - 1) }), { maxLength: 2 }),
    })
    // A tree of nothing says nothing, and has no form.
    .map((tree) =>
      tree.attestations.length + tree.branches.length > 0
        ? tree
        : { attestations: [{ kind: "bitcoin" as const, height: 1 }], branches: [] },
    );
const fileArbitrary = fc.record({ hash: blob(32, 32), tree: treeArbitrary(4) });

const claimsOf = (file: Uint8Array): string[] =>
  otsClaims(parseOts(file))
    .map(({ attestation, message }) => `${JSON.stringify(attestation)} ${displayHash(message)}`)
    .sort();

describe("the codec", () => {
  test("what is written is read again, byte for byte", () => {
    fc.assert(
      fc.property(fileArbitrary, (file) => {
        const written = formatOts(file);
        expect(parseOts(written)).toEqual(file);
      }),
    );
    expect(formatOts(parseOts(published))).toEqual(published);
  });

  test("another implementation reads what we write, and we read what it writes, with the same claims", () => {
    fc.assert(
      fc.property(fileArbitrary, (file) => {
        const ours = formatOts(file);
        const theirs = write(read(ours));
        expect([...new Set(claimsOf(theirs))]).toEqual([...new Set(claimsOf(ours))]);
      }),
    );
    expect(claimsOf(write(read(published)))).toEqual(claimsOf(published));
  });

  test("any bytes are read or refused, and nothing else happens", () => {
    const header = published.slice(0, 65);
    fc.assert(
      fc.property(blob(0, 200), (rest) => {
        codeOf(() => otsClaims(parseOts(Uint8Array.of(...header, ...rest))));
        codeOf(() => otsClaims(parseOts(rest)));
      }),
      { numRuns: 2000 },
    );
  });

  test("nested without end, or larger than any real one: refused at once", () => {
    const header = published.slice(0, 65);
    expect(codeOf(() => parseOts(Uint8Array.of(...header, ...new Uint8Array(10_000).fill(0x08))))).toBe(
      "malformed",
    );
    expect(codeOf(() => parseOts(new Uint8Array(MAX_OTS_SIZE + 1)))).toBe("malformed");
    const doubling = Array.from({ length: 12 }, () => [0xf0, 0xff, 0x07, ...new Uint8Array(1023)]).flat();
    const grown = () =>
      otsClaims(parseOts(Uint8Array.of(...header, ...doubling, 0, ...new Uint8Array(8), 0)));
    expect(codeOf(grown)).toBe("malformed");
  });

  test("operations whose hash is weak are not accepted", () => {
    const header = published.slice(0, 65);
    for (const op of [0x02, 0x67, 0xf2, 0xf3]) {
      const file = Uint8Array.of(...header, op, 0, ...new Uint8Array(8), 0);
      expect(codeOf(() => parseOts(file))).toBe("unsupported");
    }
  });
});

describe("upgrading and pruning", () => {
  const pending: OtsAttestation = { kind: "pending", uri: "https://calendar.example.org" };
  const leaf = (...attestations: OtsAttestation[]): OtsTree => ({ attestations, branches: [] });
  const file = {
    hash: sha256(message),
    tree: { attestations: [], branches: [{ op: { kind: "sha256" as const }, tree: leaf(pending) }] },
  };
  const promised = sha256(file.hash);

  test("a promise gets what the calendar adds, and only where the promise is", () => {
    const more = leaf({ kind: "bitcoin", height: 7 });
    const upgraded = upgradeOts(file, promised, more);
    expect(otsClaims(upgraded).map(({ attestation: { kind } }) => kind)).toEqual(["pending", "bitcoin"]);
    expect(otsClaims(upgraded).every(({ message }) => displayHash(message) === displayHash(promised))).toBe(
      true,
    );
    expect(upgradeOts(file, sha256(promised), more)).toEqual(file);
  });

  test("pruned, nothing is left that leads to nothing kept", () => {
    expect(pruneOts(file.tree, ({ kind }) => kind === "bitcoin")).toBeUndefined();
    const { tree } = upgradeOts(file, promised, leaf({ kind: "bitcoin", height: 7 }));
    const pruned = pruneOts(tree, ({ kind }) => kind === "bitcoin");
    expect(otsClaims({ hash: file.hash, tree: pruned ?? leaf() })).toHaveLength(1);
  });

  test("a promise alone is no timestamp", () => {
    expect(codeOf(() => verifyOts(formatOts(file), message, [block]))).toBe("incomplete");
  });
});

test("a header without the work of a block is refused", () => {
  const header = hexBytes(HELLO_WORLD.header);
  for (let i = 0; i < header.length; i++) {
    const flipped = header.slice();
    flipped[i] = (flipped[i] ?? 0) ^ (1 << (i % 8));
    expect(codeOf(() => parseBlockHeader(height, flipped))).toBe("malformed");
  }
  expect(codeOf(() => parseBlockHeader(height, header.subarray(1)))).toBe("malformed");
});
