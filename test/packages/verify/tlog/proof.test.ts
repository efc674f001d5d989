import { encodeBase64, utf8Encode } from "@kedge/verify/tlog/bytes";
import type { Checkpoint } from "@kedge/verify/tlog/checkpoint";
import {
  formatProof,
  MAX_PROOF_SIZE,
  parseProof,
  type TlogProof,
  verifyProof,
} from "@kedge/verify/tlog/proof";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytes32, sizeAndIndex } from "./arbitraries.ts";
import { flip, referenceTree, verdict } from "./reference.ts";
import { cosignedBy, ed25519Cosigner, ed25519Signer, lineBy, mldsaCosigner, signed } from "./signers.ts";

const tree = referenceTree(7n);
const origin = "log.example/log/7";
const log = ed25519Signer(origin);
const witness = ed25519Cosigner("witness.example/1");

function provenAt(index: bigint, size: bigint): TlogProof {
  const checkpoint: Checkpoint = { origin, size, root: tree.root(size) };
  return { index, hashes: tree.path(index, size), checkpoint: signed(checkpoint, lineBy(log, checkpoint)) };
}

const sample = provenAt(5n, 13n);
const sampleText = formatProof(sample);

describe("format", () => {
  test("every proof parses back to itself, and is written as it was", () => {
    const proof = fc.record(
      {
        extra: fc.uint8Array({ minLength: 1, maxLength: 200 }).map((bytes) => Uint8Array.from(bytes)),
        index: fc.bigInt(0n, (1n << 63n) - 1n),
        hashes: fc.array(bytes32, { maxLength: 63 }),
        checkpoint: fc.constant(sample.checkpoint),
      },
      { requiredKeys: ["index", "hashes", "checkpoint"] },
    );
    fc.assert(
      fc.property(proof, (made) => {
        const text = formatProof(made);
        expect(parseProof(text)).toEqual(made);
        expect(parseProof(utf8Encode(text, "The proof"))).toEqual(made);
        expect(formatProof(parseProof(text))).toBe(text);
      }),
    );
  });

  test("the lines are those of c2sp.org/tlog-proof", () => {
    const text = formatProof({ ...sample, extra: Uint8Array.of(1, 2, 3) });
    expect(text).toBe(
      [
        "c2sp.org/tlog-proof@v1",
        "extra AQID",
        "index 5",
        ...tree.path(5n, 13n).map(encodeBase64),
        "",
        sample.checkpoint,
      ].join("\n"),
    );
  });

  test("the checkpoint is carried verbatim, with signatures by keys that nobody here knows", () => {
    const checkpoint = `${sample.checkpoint}— stranger.example/1 AAAAAAE=\n`;
    expect(parseProof(formatProof({ ...sample, checkpoint })).checkpoint).toBe(checkpoint);
  });

  const [first = "", index = "", hash = ""] = sampleText.split("\n");
  const swap = (from: string, to: string) => sampleText.replace(from, to);
  test.each([
    ["", "empty"],
    [first, "the first line alone"],
    [swap("@v1", "@v2"), "another version"],
    [`\n${sampleText}`, "an empty line first"],
    [` ${sampleText}`, "a leading space"],
    [`\ufeff${sampleText}`, "a byte order mark"],
    [sampleText.replaceAll("\n", "\r\n"), "Windows line ends"],
    [swap(`${first}\n`, ""), "no first line"],
    [swap(`${index}\n`, ""), "no index"],
    [swap(index, "index 05"), "index with a leading zero"],
    [swap(index, "index -5"), "negative index"],
    [swap(index, "index  5"), "two spaces before the index"],
    [swap(index, "index 5 "), "space after the index"],
    [swap(index, "index"), "index without a number"],
    [swap(index, "Index 5"), "upper-case index"],
    [swap(index, "index 9223372036854775808"), "index 2^63"],
    [swap(index, `${index}\n${index}`), "two indexes"],
    [swap(index, `extra \n${index}`), "empty extra data"],
    [swap(index, `extra\n${index}`), "extra without data"],
    [swap(index, `extra AQI\n${index}`), "extra without padding"],
    [swap(index, `extra AQID \n${index}`), "space after the extra data"],
    [swap(index, `extra AQID\nextra AQID\n${index}`), "two extra lines"],
    [swap(index, `${index}\nextra AQID`), "extra after the index"],
    [swap(hash, hash.slice(0, -1)), "hash without padding"],
    [swap(hash, encodeBase64(new Uint8Array(31))), "hash of 31 bytes"],
    [swap(hash, encodeBase64(new Uint8Array(33))), "hash of 33 bytes"],
    [swap(hash, ` ${hash}`), "space before a hash"],
    [swap(hash, `${`${hash}\n`.repeat(60)}${hash}`), "64 hashes"],
    [swap(`\n\n${origin}`, `\n${origin}`), "no empty line before the checkpoint"],
    [swap(`\n\n${origin}`, `\n\n\n${origin}`), "two empty lines before the checkpoint"],
    [swap(`\n\n${origin}`, "\n\n"), "checkpoint without an origin"],
    [sampleText.slice(0, -1), "checkpoint without its last newline"],
    [`${sampleText}\n`, "an empty line at the end"],
    [sampleText.slice(0, sampleText.indexOf("—")), "checkpoint without signatures"],
  ])("%# is refused: %s", (text) => {
    expect(text).not.toBe(sampleText);
    expect(verdict(() => parseProof(text))).toBe("malformed");
  });

  test("bytes that are not UTF-8, or more than 4 MiB, are refused", () => {
    const bytes = utf8Encode(sampleText, "The proof");
    expect(verdict(() => parseProof(bytes))).toBe("accepted");
    expect(verdict(() => parseProof(flip(bytes, bytes.length - 2, 7)))).toBe("malformed");
    const extra = encodeBase64(new Uint8Array(MAX_PROOF_SIZE));
    expect(verdict(() => parseProof(swap(index, `extra ${extra}\n${index}`)))).toBe("malformed");
  });

  test("what could not be parsed again is not written", () => {
    const cases: [Partial<TlogProof>, string][] = [
      [{ extra: new Uint8Array() }, "malformed"],
      [{ extra: new Uint8Array(MAX_PROOF_SIZE) }, "malformed"],
      [{ index: -1n }, "out_of_range"],
      [{ index: 1n << 63n }, "out_of_range"],
      [{ hashes: [new Uint8Array(31)] }, "malformed"],
      [{ hashes: Array.from({ length: 64 }, () => new Uint8Array(32)) }, "malformed"],
      [{ checkpoint: "" }, "malformed"],
      [{ checkpoint: `\n${sample.checkpoint}` }, "malformed"],
    ];
    for (const [wrong, code] of cases) {
      expect(verdict(() => formatProof({ ...sample, ...wrong }))).toBe(code);
    }
  });
});

describe("verification", () => {
  test("a proof of any leaf of any tree verifies, from its text alone", () => {
    fc.assert(
      fc.property(sizeAndIndex, ({ size, index }) => {
        const proof = parseProof(formatProof(provenAt(index, size)));
        const result = verifyProof({ proof, leafHash: tree.leaf(index), origin, vkeys: [log.vkey] });
        expect(result.checkpoint).toMatchObject({ origin, size, root: tree.root(size) });
        expect(result.verified).toEqual([{ vkey: log.vkey }]);
      }),
      { numRuns: 40 },
    );
  });

  test("a flipped bit in any byte of a proof file is refused", () => {
    const bytes = utf8Encode(sampleText, "The proof");
    for (let at = 0; at < bytes.length; at += 1) {
      for (const bit of [0, 4]) {
        const verify = () =>
          verifyProof({
            proof: parseProof(flip(bytes, at, bit)),
            leafHash: tree.leaf(5n),
            origin,
            vkeys: [log.vkey],
          });
        expect(verdict(verify)).not.toBe("accepted");
      }
    }
  });

  test("another leaf, index or log, or a stranger's signature, is refused", () => {
    const valid = { proof: sample, leafHash: tree.leaf(5n), origin, vkeys: [log.vkey] };
    const stranger = ed25519Signer(origin, "another seed");
    expect(verdict(() => verifyProof(valid))).toBe("accepted");
    expect(verdict(() => verifyProof({ ...valid, leafHash: tree.leaf(6n) }))).toBe("bad_proof");
    expect(verdict(() => verifyProof({ ...valid, proof: { ...sample, index: 4n } }))).toBe("bad_proof");
    expect(verdict(() => verifyProof({ ...valid, proof: { ...sample, index: 13n } }))).toBe("out_of_range");
    expect(verdict(() => verifyProof({ ...valid, proof: { ...sample, hashes: [] } }))).toBe("bad_proof");
    expect(verdict(() => verifyProof({ ...valid, origin: "log.example/log/8" }))).toBe("unknown_key");
    expect(verdict(() => verifyProof({ ...valid, vkeys: [stranger.vkey] }))).toBe("unknown_key");
    expect(verdict(() => verifyProof({ ...valid, vkeys: [] }))).toBe("unknown_key");
  });

  test("a checkpoint of another tree is refused, for all that the log signed it", () => {
    const other: Checkpoint = { origin, size: 13n, root: tree.root(12n) };
    const proof = { ...sample, checkpoint: signed(other, lineBy(log, other)) };
    expect(verdict(() => verifyProof({ proof, leafHash: tree.leaf(5n), origin, vkeys: [log.vkey] }))).toBe(
      "bad_proof",
    );
  });

  test("cosignatures by the keys given are verified and reported with their time", () => {
    const checkpoint: Checkpoint = { origin, size: 13n, root: tree.root(13n) };
    const pq = mldsaCosigner(origin);
    const lines = [
      lineBy(log, checkpoint),
      cosignedBy(pq, checkpoint, 3n),
      cosignedBy(witness, checkpoint, 4n),
    ];
    const proof = { ...sample, checkpoint: signed(checkpoint, ...lines) };
    const { verified } = verifyProof({
      proof,
      leafHash: tree.leaf(5n),
      origin,
      vkeys: [log.vkey, pq.vkey, witness.vkey],
    });
    expect(verified.map(({ timestamp }) => timestamp)).toEqual([undefined, 3n, 4n]);
  });
});
