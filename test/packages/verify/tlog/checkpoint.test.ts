import { encodeBase64, utf8Encode } from "@kedge/verify/tlog/bytes";
import {
  type Checkpoint,
  checkpointBody,
  openCheckpoint,
  parseCheckpoint,
  parseCheckpointBody,
} from "@kedge/verify/tlog/checkpoint";
import { EMPTY_ROOT } from "@kedge/verify/tlog/merkle";
import { signatureLine } from "@kedge/verify/tlog/note";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytes32, treeSize } from "./arbitraries.ts";
import { flip, verdict } from "./reference.ts";
import {
  cosignedBy,
  ecdsaSigner,
  ed25519Cosigner,
  ed25519Signer,
  lineBy,
  mldsaCosigner,
  signed,
} from "./signers.ts";

// c2sp.org/tlog-checkpoint, the checkpoint at its head
const SPEC_BODY = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
const SPEC_CHECKPOINT = `${SPEC_BODY}
— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
`;

const origin = "log.example/log/7";
const root = new Uint8Array(32).fill(7);
const checkpoint: Checkpoint = { origin, size: 42n, root };
const log = ed25519Signer(origin);
const ecdsa = ecdsaSigner(origin);
const mldsa = mldsaCosigner(origin);
const witness = ed25519Cosigner("witness.example/1");

const anyCheckpoint: fc.Arbitrary<Checkpoint> = fc
  .record({
    origin: fc.string({ unit: fc.constantFrom("a", "/", " ", "+", "é", "\u{1f40e}", "—"), minLength: 1 }),
    size: treeSize,
    root: bytes32,
  })
  .chain((made) => fc.constantFrom(made, { ...made, size: 0n, root: EMPTY_ROOT }));

describe("format", () => {
  test("the example of c2sp.org/tlog-checkpoint parses, and its body is written as it was", () => {
    const { checkpoint: parsed, note } = parseCheckpoint(SPEC_CHECKPOINT);
    expect(parsed).toMatchObject({
      origin: "example.com/behind-the-sofa",
      size: 20_852_163n,
      extensions: [],
    });
    expect(checkpointBody(parsed)).toBe(SPEC_BODY);
    expect(note.text).toBe(SPEC_BODY);
  });

  test("every checkpoint's body parses back to the checkpoint", () => {
    fc.assert(
      fc.property(anyCheckpoint, (made) => {
        expect(parseCheckpointBody(checkpointBody(made))).toEqual({ ...made, extensions: [] });
      }),
    );
  });

  test("extension lines are kept apart", () => {
    expect(parseCheckpointBody(`${SPEC_BODY}one\ntwo three\n`).extensions).toEqual(["one", "two three"]);
  });

  const hash = encodeBase64(root);
  test.each([
    ["", "empty"],
    ["\n", "one empty line"],
    [`o\n1\n`, "no root"],
    [`o\n1\n${hash}`, "no final newline"],
    [`\n1\n${hash}\n`, "empty origin"],
    [`o\n\n${hash}\n`, "empty size"],
    [`o\n1\n\n${hash}\n`, "empty line within"],
    [`o\n1\n${hash}\n\n`, "empty line at the end"],
    [`o\n1\n${hash}\n\nx\n`, "empty extension line"],
    [`o\n01\n${hash}\n`, "size with a leading zero"],
    [`o\n-1\n${hash}\n`, "negative size"],
    [`o\n+1\n${hash}\n`, "size with a sign"],
    [`o\n1 \n${hash}\n`, "size with a space"],
    [`o\n0x1\n${hash}\n`, "size in hex"],
    [`o\n1e3\n${hash}\n`, "size with an exponent"],
    [`o\n1_0\n${hash}\n`, "size with a separator"],
    [`o\n١\n${hash}\n`, "size in other digits"],
    [`o\n9223372036854775808\n${hash}\n`, "size 2^63"],
    [`o\n${"9".repeat(40)}\n${hash}\n`, "size of 40 digits"],
    [`o\n1\n${hash.slice(0, -1)}\n`, "root without padding"],
    [`o\n1\n${hash.replace("=", "")}==\n`, "root with excess padding"],
    [`o\n1\n${hash.slice(0, -2)}d=\n`, "root with bits set beyond the end"],
    [`o\n1\n ${hash}\n`, "space before the root"],
    [`o\n1\n${encodeBase64(root.slice(1))}\n`, "root of 31 bytes"],
    [`o\n1\n${encodeBase64(new Uint8Array(33))}\n`, "root of 33 bytes"],
    [`o\n0\n${hash}\n`, "size 0 without the empty root"],
    [`o\r\n1\r\n${hash}\r\n`, "Windows line ends"],
    [`o\to\n1\n${hash}\n`, "tab in the origin"],
    [`o\ud800\n1\n${hash}\n`, "lone surrogate in the origin"],
  ])("%j is refused: %s", (body) => {
    expect(verdict(() => parseCheckpointBody(body))).toBe("malformed");
  });

  test("a checkpoint that could not be parsed again is not written", () => {
    for (const [wrong, code] of [
      [{ origin: "" }, "malformed"],
      [{ origin: "a\nb" }, "malformed"],
      [{ origin: `${origin}\n42\n${encodeBase64(root)}` }, "malformed"],
      [{ origin: "a\tb" }, "malformed"],
      [{ origin: "\ud800" }, "malformed"],
      [{ size: -1n }, "out_of_range"],
      [{ size: 1n << 63n }, "out_of_range"],
      [{ size: 0n }, "malformed"],
      [{ root: new Uint8Array(31) }, "malformed"],
    ] as const) {
      expect(verdict(() => checkpointBody({ ...checkpoint, ...wrong }))).toBe(code);
    }
  });
});

describe("opening", () => {
  test("a log's signature of each type opens its checkpoint", () => {
    const ed25519Timed = ed25519Cosigner(origin);
    for (const [line, expected] of [
      [lineBy(log, checkpoint), { vkey: log.vkey }],
      [lineBy(ecdsa, checkpoint), { vkey: ecdsa.vkey }],
      [cosignedBy(mldsa, checkpoint, 1_700_000_000n), { vkey: mldsa.vkey, timestamp: 1_700_000_000n }],
      [cosignedBy(ed25519Timed, checkpoint, 1n), { vkey: ed25519Timed.vkey, timestamp: 1n }],
    ] as const) {
      const text = signed(checkpoint, line);
      for (const input of [text, utf8Encode(text, "The checkpoint")]) {
        const opened = openCheckpoint(input, { origin, vkeys: [expected.vkey] });
        expect(opened.checkpoint).toEqual({ ...checkpoint, extensions: [] });
        expect(opened.verified).toEqual([expected]);
      }
    }
  });

  test("a classical and a post-quantum signature are both verified and both reported", () => {
    const text = signed(checkpoint, lineBy(log, checkpoint), cosignedBy(mldsa, checkpoint, 5n));
    const { verified } = openCheckpoint(text, { origin, vkeys: [log.vkey, mldsa.vkey] });
    expect(verified).toEqual([{ vkey: log.vkey }, { vkey: mldsa.vkey, timestamp: 5n }]);
  });

  test("a flipped bit in any byte of a checkpoint is refused", () => {
    const bytes = utf8Encode(signed(checkpoint, lineBy(log, checkpoint)), "The checkpoint");
    for (let at = 0; at < bytes.length; at += 1) {
      for (const bit of [0, 5]) {
        const open = () => openCheckpoint(flip(bytes, at, bit), { origin, vkeys: [log.vkey] });
        expect(verdict(open)).not.toBe("accepted");
      }
    }
  });

  test("the checkpoint of another log is refused, even when a trusted key signed it", () => {
    const other = { ...checkpoint, origin: "log.example/log/8" };
    const text = signed(other, lineBy(log, other));
    expect(verdict(() => openCheckpoint(text, { origin, vkeys: [log.vkey] }))).toBe("unknown_key");
  });

  test("without a signature by a known key of the log, it is refused", () => {
    const stranger = ed25519Signer(origin, "another seed");
    const text = signed(checkpoint, lineBy(log, checkpoint));
    expect(verdict(() => openCheckpoint(text, { origin, vkeys: [] }))).toBe("unknown_key");
    expect(verdict(() => openCheckpoint(text, { origin, vkeys: [stranger.vkey] }))).toBe("unknown_key");
  });

  test("a witness's cosignature is verified and reported, and does not stand in for the log's", () => {
    const vkeys = [log.vkey, witness.vkey];
    const cosignature = cosignedBy(witness, checkpoint, 9n);
    expect(verdict(() => openCheckpoint(signed(checkpoint, cosignature), { origin, vkeys }))).toBe(
      "unknown_key",
    );
    const { verified } = openCheckpoint(signed(checkpoint, cosignature, lineBy(log, checkpoint)), {
      origin,
      vkeys,
    });
    expect(verified).toEqual([{ vkey: witness.vkey, timestamp: 9n }, { vkey: log.vkey }]);
  });

  test("a known key's failed signature condemns the checkpoint, beside a valid one", () => {
    const later = { ...checkpoint, size: 43n };
    const vkeys = [log.vkey, ecdsa.vkey, mldsa.vkey, witness.vkey];
    for (const forged of [
      lineBy(log, later),
      lineBy(ecdsa, later),
      cosignedBy(mldsa, later, 5n),
      cosignedBy(witness, later, 5n),
      signatureLine(mldsa.vkey, new Uint8Array(8)),
      signatureLine(witness.vkey, new Uint8Array(1)),
    ]) {
      const text = signed(checkpoint, lineBy(log, checkpoint), forged);
      expect(verdict(() => openCheckpoint(text, { origin, vkeys }))).toBe("bad_signature");
    }
  });

  test("a signed note that is no checkpoint is malformed, whoever signed it", () => {
    const text = "not a checkpoint\n";
    const note = `${text}\n${signatureLine(log.vkey, log.sign(text))}`;
    expect(verdict(() => openCheckpoint(note, { origin, vkeys: [log.vkey] }))).toBe("malformed");
  });
});
