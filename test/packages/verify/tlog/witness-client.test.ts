import { encodeBase64 } from "@kedge/verify/tlog/bytes";
import { parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { leafHash, rootOf } from "@kedge/verify/tlog/merkle";
import { MAX_SIGNATURES, parseSignatureLines } from "@kedge/verify/tlog/note";
import { formatAddCheckpoint, parseSize } from "@kedge/verify/tlog/witness";
import { uniteSignatures, validCosignatures } from "@kedge/verify/tlog/witness-client";
import { describe, expect, test } from "vitest";
import { cosignedBy, ed25519Cosigner, ed25519Signer, lineBy, mldsaCosigner, signed } from "./signers.ts";

const origin = "log.example/anchor";
const head = { origin, size: 7n, root: rootOf([leafHash(new Uint8Array(1))]) };
const log = ed25519Signer(origin);
const checkpoint = parseCheckpoint(signed(head, lineBy(log, head)));
const hash = new Uint8Array(32).fill(9);

describe("the request", () => {
  test("is the old size, the proof, an empty line and the checkpoint (c2sp.org/tlog-witness)", () => {
    const note = signed(head, lineBy(log, head));
    const line = encodeBase64(hash);
    expect(formatAddCheckpoint({ oldSize: 20852014n, proof: [hash, hash], checkpoint: note })).toBe(
      `old 20852014\n${line}\n${line}\n\n${note}`,
    );
    expect(formatAddCheckpoint({ oldSize: 0n, proof: [], checkpoint: note })).toBe(`old 0\n\n${note}`);
  });

  test("has at most 63 proof lines, of 32 bytes each", () => {
    const of = (proof: Uint8Array[]) => () => formatAddCheckpoint({ oldSize: 1n, proof, checkpoint: "" });
    expect(of(Array(63).fill(hash))).not.toThrow();
    expect(of(Array(64).fill(hash))).toThrow(/63/);
    expect(of([hash.slice(1)])).toThrow();
  });

  test("fits into 16 KiB, which is all that some witnesses take, also while both log keys are rotated", () => {
    const timestamped = ["a", "b"].map((seed) => cosignedBy(mldsaCosigner(origin, seed), head, 5n));
    const plain = ["a", "b"].map((seed) => lineBy(ed25519Signer(origin, seed), head));
    const note = signed(head, ...plain, ...timestamped);
    const request = formatAddCheckpoint({
      oldSize: (1n << 63n) - 1n,
      proof: Array(63).fill(hash),
      checkpoint: note,
    });
    expect(new TextEncoder().encode(request).length).toBeLessThan(16 * 1024);
  });
});

describe("the size in a 409", () => {
  test.each([
    ["0\n", 0n],
    ["20852014\n", 20852014n],
    ["9223372036854775807\n", (1n << 63n) - 1n],
  ])("%j is one", (text, size) => expect(parseSize(text)).toBe(size));

  test.each([
    "",
    "\n",
    "7",
    "7\n\n",
    "07\n",
    "-1\n",
    "+1\n",
    "1e3\n",
    "0x10\n",
    "7\r\n",
    " 7\n",
    "9223372036854775808\n",
  ])("%j is none", (text) =>
    expect(() => parseSize(text)).toThrow(expect.objectContaining({ code: "malformed" })),
  );
});

describe("the answer", () => {
  const [a, b] = [ed25519Cosigner("a.example/w"), mldsaCosigner("b.example/w")];
  const lines = (...text: string[]) => parseSignatureLines(text.join(""));
  const vkeys = [a.vkey, b.vkey];
  const names = (found: readonly { name: string }[]) => found.map(({ name }) => name);

  test("gives cosignatures of both kinds; unknown keys are ignored, and failed ones named", () => {
    const other = { ...head, size: 8n };
    const unknown = cosignedBy(ed25519Cosigner("c.example/w"), head, 5n);
    const good = validCosignatures(
      checkpoint,
      lines(unknown, cosignedBy(b, head, 5n), cosignedBy(a, head, 5n)),
      vkeys,
    );
    expect([names(good.valid), good.invalid]).toEqual([["a.example/w", "b.example/w"], []]);
    const bad = validCosignatures(
      checkpoint,
      lines(cosignedBy(a, other, 5n), cosignedBy(b, other, 5n)),
      vkeys,
    );
    expect([bad.valid, bad.invalid]).toEqual([[], vkeys]);
  });

  test("gives one a key: a failed one beside it does no harm", () => {
    const found = validCosignatures(
      checkpoint,
      lines(cosignedBy(a, { ...head, size: 8n }, 5n), cosignedBy(a, head, 6n), cosignedBy(a, head, 7n)),
      vkeys,
    );
    expect(found.invalid).toEqual([]);
    expect(found.valid).toEqual(lines(cosignedBy(a, head, 6n)));
  });

  test("joins what is there, one a key, the first of each, within what a note may have", () => {
    const [first] = lines(cosignedBy(a, head, 6n));
    const [again] = lines(cosignedBy(a, head, 7n));
    if (!first || !again) throw new Error("no lines");
    expect(uniteSignatures([first], [again])).toEqual([first]);
    const many = Array.from({ length: 2 * MAX_SIGNATURES }, (_, id) => ({ ...first, id }));
    expect(uniteSignatures([first], many)).toEqual([first, ...many.slice(0, MAX_SIGNATURES - 1)]);
  });
});
