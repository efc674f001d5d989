import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { concatBytes, decodeBase64, encodeBase64, utf8Encode } from "@kedge/verify/tlog/bytes";
import {
  ECDSA,
  ED25519,
  ED25519_COSIGNATURE,
  formatNote,
  formatVkey,
  MAX_NOTE_SIZE,
  MAX_SIGNATURES,
  MLDSA44_COSIGNATURE,
  makeVkey,
  parseNote,
  parseSignatureLines,
  parseVkey,
  signatureLine,
} from "@kedge/verify/tlog/note";
import { ed25519 } from "@noble/curves/ed25519.js";
import { p256 } from "@noble/curves/nist.js";
import { sha256 } from "@noble/hashes/sha2.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { flip, verdict } from "./reference.ts";
import { ecdsaSigner, ed25519Signer, mldsaCosigner, P256_SPKI_HEADER, verifyNote } from "./signers.ts";

// c2sp.org/signed-note, Verifier keys, Example
const SPEC_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const SPEC_NOTE = `This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
`;

const signer = ed25519Signer("log.example/1");
const TEXT = "first line\n\nthird line, after an empty one\n";
const line = signatureLine(signer.vkey, signer.sign(TEXT));

const keyName = fc
  .string({ unit: "binary", minLength: 1, maxLength: 20 })
  // biome-ignore lint/suspicious/noControlCharactersInRegex: names with control characters are invalid
  .filter((name) => /^[^\p{White_Space}\p{Surrogate}+\u0000-\u001f]+$/u.test(name));

describe("verifier keys", () => {
  test("the example of c2sp.org/signed-note parses, and is written as it was", () => {
    const vkey = parseVkey(SPEC_VKEY);
    expect(vkey).toMatchObject({ name: "example.com/foo", id: 0x530d903a, type: ED25519 });
    expect(vkey.publicKey).toHaveLength(32);
    expect(formatVkey(vkey)).toBe(SPEC_VKEY);
  });

  test("every key of every type parses back to itself", () => {
    fc.assert(
      fc.property(keyName, fc.uint8Array({ minLength: 1312, maxLength: 1312 }), (name, material) => {
        for (const vkey of [
          makeVkey(name, ED25519, Uint8Array.from(material.slice(0, 32))),
          makeVkey(name, ECDSA, concatBytes(P256_SPKI_HEADER, material.slice(0, 65))),
          makeVkey(name, ED25519_COSIGNATURE, Uint8Array.from(material.slice(0, 32))),
          makeVkey(name, MLDSA44_COSIGNATURE, Uint8Array.from(material)),
        ]) {
          expect(parseVkey(formatVkey(vkey))).toEqual(vkey);
        }
      }),
      { numRuns: 50 },
    );
  });

  test("one key under two names or types has two IDs", () => {
    const { publicKey } = signer.vkey;
    const ids = [
      makeVkey("a", ED25519, publicKey),
      makeVkey("b", ED25519, publicKey),
      makeVkey("a", ED25519_COSIGNATURE, publicKey),
    ].map(({ id }) => id);
    expect(new Set(ids).size).toBe(3);
  });

  test("the ID of an ECDSA key is the start of SHA-256 of its SPKI, whatever its name", () => {
    const { publicKey } = ecdsaSigner("log.example/ec").vkey;
    const digest = createHash("sha256").update(publicKey).digest();
    expect(makeVkey("a", ECDSA, publicKey).id).toBe(digest.readUInt32BE(0));
    expect(makeVkey("b", ECDSA, publicKey).id).toBe(digest.readUInt32BE(0));
  });

  const key = formatVkey(signer.vkey);
  const [name = "", id = "", base64 = ""] = key.split(/\+(.{8})\+/);
  test.each([
    ["", "empty"],
    [`${name}+${id}`, "no key"],
    [`+${id}+${base64}`, "no name"],
    [`${name}+${id.toUpperCase().replace(/\d/g, "A")}+${base64}`, "upper-case ID"],
    [`${name}+${id.slice(1)}+${base64}`, "ID of 7 digits"],
    [`${name}+0${id}+${base64}`, "ID of 9 digits"],
    [`${name}+${id.replace(/./, (c) => (c === "0" ? "1" : "0"))}+${base64}`, "ID of another key"],
    [`${name}x+${id}+${base64}`, "ID of another name"],
    [`log example+${id}+${base64}`, "space in the name"],
    [`log\u00a0example+${id}+${base64}`, "Unicode space in the name"],
    [`log\u2003example+${id}+${base64}`, "another Unicode space in the name"],
    [`log\ud800+${id}+${base64}`, "lone surrogate in the name"],
    [`${key}\n`, "trailing newline"],
    [` ${key}`, "leading space"],
    [`${key}=`, "base64 with excess padding"],
    [key.slice(0, -1), "base64 cut"],
    [`${name}+${id}+${encodeBase64(new Uint8Array([1, ...new Uint8Array(31)]))}`, "Ed25519 key of 31 bytes"],
    [`${name}+${id}+${encodeBase64(new Uint8Array([1, ...new Uint8Array(33)]))}`, "Ed25519 key of 33 bytes"],
    [
      `${name}+${id}+${encodeBase64(new Uint8Array([6, ...new Uint8Array(1311)]))}`,
      "ML-DSA-44 key of 1311 bytes",
    ],
  ])("%j is refused: %s", (text) => {
    expect(verdict(() => parseVkey(text))).toBe("malformed");
  });

  test("types that are reserved, unassigned or of other ecosystems are unsupported", () => {
    for (const type of [0x00, 0x03, 0x05, 0x07, 0xfa, 0xff]) {
      expect(verdict(() => makeVkey("a", type, new Uint8Array(32)))).toBe("unsupported");
    }
  });

  test("an ECDSA key on another curve, or with trailing bytes, is refused", () => {
    const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-384" });
    const p384 = Uint8Array.from(publicKey.export({ type: "spki", format: "der" }));
    expect(verdict(() => makeVkey("a", ECDSA, p384))).toBe("unsupported");
    const { publicKey: spki } = ecdsaSigner("a").vkey;
    expect(verdict(() => makeVkey("a", ECDSA, concatBytes(spki, Uint8Array.of(0))))).toBe("malformed");
    expect(verdict(() => makeVkey("a", ECDSA, spki.slice(0, -1)))).toBe("malformed");
  });
});

describe("format", () => {
  test("every note parses back to itself, and is written as it was", () => {
    const text = fc
      .string({ unit: fc.constantFrom("a", "\n", " ", "—", "é", "=", "\u{1f40e}", "\u2028", "\ufeff", "+") })
      .map((body) => `${body}\n`);
    const signature = fc.record({
      name: keyName,
      id: fc.nat(0xffffffff),
      signature: fc.uint8Array({ minLength: 1, maxLength: 100 }).map((bytes) => Uint8Array.from(bytes)),
    });
    fc.assert(
      fc.property(
        text,
        fc.array(signature, { minLength: 1, maxLength: MAX_SIGNATURES }),
        (body, signatures) => {
          const note = { text: body, signatures };
          const written = formatNote(note);
          expect(parseNote(written)).toEqual(note);
          expect(parseNote(utf8Encode(written, "The note"))).toEqual(note);
          expect(formatNote(parseNote(written))).toBe(written);
        },
      ),
    );
  });

  test("the last empty line separates, so a text may quote a whole note", () => {
    const quoted = `${SPEC_NOTE}${SPEC_NOTE}`;
    const quoting = `${quoted}\n${line}`;
    expect(parseNote(quoting)).toMatchObject({ text: quoted, signatures: [{ name: signer.vkey.name }] });
  });

  const base64 = line.split(" ")[2]?.trim() ?? "";
  test.each([
    ["", "empty"],
    ["text\n", "no signatures"],
    ["text\n\n", "blank line and no signature"],
    [`text\n${line}`, "no blank line"],
    [`text\n\n${line.trimEnd()}`, "no final newline"],
    [`text\n\n${line}\n`, "blank line at the end"],
    [`text\n\n${line} ${line}`, "signature line that begins with a space"],
    [`te\rxt\n\n${line}`, "carriage return"],
    [`te\txt\n\n${line}`, "tab"],
    [`te\0xt\n\n${line}`, "NUL"],
    [`text\n\n${line}`.replaceAll("\n", "\r\n"), "Windows line ends"],
    [`te\ud800xt\n\n${line}`, "lone surrogate"],
    [`text\n\n- a ${base64}\n`, "hyphen for the em dash"],
    [`text\n\n– a ${base64}\n`, "en dash for the em dash"],
    [`text\n\n—a ${base64}\n`, "no space after the dash"],
    [`text\n\n—  a ${base64}\n`, "two spaces after the dash"],
    [`text\n\n— a  ${base64}\n`, "two spaces after the name"],
    [`text\n\n—  ${base64}\n`, "empty name"],
    [`text\n\n— a+b ${base64}\n`, "plus in the name"],
    [`text\n\n— a\u00a0b ${base64}\n`, "no-break space in the name"],
    [`text\n\n— a\u2028b ${base64}\n`, "line separator in the name"],
    [`text\n\n— a\u0085b ${base64}\n`, "next line in the name"],
    [`text\n\n— a ${base64} \n`, "space after the base64"],
    [`text\n\n— a ${base64} x\n`, "a fourth field"],
    [`text\n\n— a ${base64.slice(0, -1)}\n`, "base64 cut"],
    [`text\n\n— a ${base64.replace(/.$/, "-")}\n`, "base64url"],
    ["text\n\n— a AAAAAB==\n", "base64 with bits set beyond the end"],
    ["text\n\n— a AAAAAA\n", "base64 without padding"],
    ["text\n\n— a AAAAAA==\n", "a key ID and no signature"],
    ["text\n\n— a AAAA\n", "less than a key ID"],
    ["text\n\n— a \n", "no base64"],
  ])("%j is refused: %s", (note) => {
    expect(verdict(() => parseNote(note))).toBe("malformed");
  });

  test("bytes that are not UTF-8 are refused, and a byte order mark is not swallowed", () => {
    const bytes = utf8Encode(`text\n\n${line}`, "The note");
    expect(verdict(() => parseNote(bytes))).toBe("accepted");
    expect(verdict(() => parseNote(concatBytes(Uint8Array.of(0xff), bytes)))).toBe("malformed");
    expect(verdict(() => parseNote(concatBytes(Uint8Array.of(0xc0, 0x80), bytes)))).toBe("malformed");
    const marked = parseNote(concatBytes(Uint8Array.of(0xef, 0xbb, 0xbf), bytes));
    expect(marked.text).toBe("\ufefftext\n");
  });

  test("more than 64 signatures, or more than 1 MiB, is refused", () => {
    expect(parseNote(`text\n\n${line.repeat(MAX_SIGNATURES)}`).signatures).toHaveLength(MAX_SIGNATURES);
    expect(verdict(() => parseNote(`text\n\n${line.repeat(MAX_SIGNATURES + 1)}`))).toBe("malformed");
    const padded = (size: number) => `${"é".repeat((size - line.length - 4) / 2)}\n\n${line}`;
    const fits = padded(MAX_NOTE_SIZE);
    expect(utf8Encode(fits, "The note").length).toBeLessThanOrEqual(MAX_NOTE_SIZE);
    expect(verdict(() => parseNote(fits))).toBe("accepted");
    expect(verdict(() => parseNote(padded(MAX_NOTE_SIZE + 8)))).toBe("malformed");
    expect(verdict(() => parseNote(utf8Encode(padded(MAX_NOTE_SIZE + 8), "The note")))).toBe("malformed");
  });

  test("what could not be parsed again is not written", () => {
    const [signature] = parseNote(`text\n\n${line}`).signatures;
    if (signature === undefined) throw new Error("the note has a signature");
    for (const note of [
      { text: "no newline", signatures: [signature] },
      { text: "tab\t\n", signatures: [signature] },
      { text: "text\n", signatures: [] },
      { text: "text\n", signatures: Array.from({ length: MAX_SIGNATURES + 1 }, () => signature) },
      { text: "text\n", signatures: [{ ...signature, name: "a b" }] },
      { text: "text\n", signatures: [{ ...signature, name: "a\n\n— b" }] },
      { text: "text\n", signatures: [{ ...signature, name: "" }] },
      { text: "text\n", signatures: [{ ...signature, signature: new Uint8Array() }] },
      { text: `${"x".repeat(MAX_NOTE_SIZE)}\n`, signatures: [signature] },
    ]) {
      expect(verdict(() => formatNote(note))).toBe("malformed");
    }
  });

  test("a witness's response is signature lines and nothing else", () => {
    expect(parseSignatureLines(line + line)).toHaveLength(2);
    expect(parseSignatureLines(utf8Encode(line, "The line"))).toEqual(parseSignatureLines(line));
    for (const response of [
      "",
      "\n",
      line.trimEnd(),
      `\n${line}`,
      `${line}\n`,
      `${line}\n${line}`,
      "<html>\n",
    ]) {
      expect(verdict(() => parseSignatureLines(response))).toBe("malformed");
    }
    expect(verdict(() => parseSignatureLines(line.repeat(MAX_SIGNATURES + 1)))).toBe("malformed");
  });
});

describe("verification", () => {
  test("the example of c2sp.org/signed-note verifies with its key", () => {
    const vkey = parseVkey(SPEC_VKEY);
    expect(verifyNote(parseNote(SPEC_NOTE), [vkey])).toEqual({ verified: [vkey] });
  });

  test("a flipped bit in any byte of a note is refused", () => {
    const vkey = parseVkey(SPEC_VKEY);
    const bytes = utf8Encode(SPEC_NOTE, "The note");
    for (let at = 0; at < bytes.length; at += 1) {
      for (const bit of [0, 3, 7]) {
        expect(verdict(() => verifyNote(parseNote(flip(bytes, at, bit)), [vkey]))).not.toBe("accepted");
      }
    }
  });

  test("signatures by unknown keys are ignored, even under a known name or a known ID", () => {
    const otherKey = ed25519Signer(signer.vkey.name, "another seed");
    const otherName = { name: "log.example/2", id: signer.vkey.id };
    const unknown = [
      signatureLine(otherKey.vkey, otherKey.sign(TEXT)),
      signatureLine(otherName, new Uint8Array(64)),
      signatureLine({ name: signer.vkey.name, id: signer.vkey.id ^ 1 }, Uint8Array.of(1)),
    ].join("");
    const { verified } = verifyNote(parseNote(`${TEXT}\n${unknown}${line}`), [signer.vkey]);
    expect(verified).toEqual([signer.vkey]);
    expect(verdict(() => verifyNote(parseNote(`${TEXT}\n${unknown}`), [signer.vkey]))).toBe("unknown_key");
    expect(verdict(() => verifyNote(parseNote(`${TEXT}\n${line}`), []))).toBe("unknown_key");
  });

  test("a known key's failed signature condemns the note, beside valid ones or its own", () => {
    const other = ed25519Signer("log.example/2");
    const forged = signatureLine(other.vkey, signer.sign(TEXT));
    const valid = signatureLine(other.vkey, other.sign(TEXT));
    const vkeys = [signer.vkey, other.vkey];
    for (const lines of [line + forged, forged + line, valid + forged, forged]) {
      expect(verdict(() => verifyNote(parseNote(`${TEXT}\n${lines}`), vkeys))).toBe("bad_signature");
    }
    expect(verifyNote(parseNote(`${TEXT}\n${line}${valid}`), vkeys).verified).toHaveLength(2);
  });

  test("signatures of another length are refused, not thrown at", () => {
    for (const length of [1, 63, 65, 2420]) {
      const note = `${TEXT}\n${signatureLine(signer.vkey, new Uint8Array(length))}`;
      expect(verdict(() => verifyNote(parseNote(note), [signer.vkey]))).toBe("bad_signature");
    }
  });

  test("signatures made by another implementation verify: Ed25519 and ECDSA of OpenSSL", () => {
    const ed = generateKeyPairSync("ed25519");
    const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const data = Buffer.from(TEXT);
    const edKey = Uint8Array.from(ed.publicKey.export({ type: "spki", format: "der" })).slice(-32);
    const ecKey = Uint8Array.from(ec.publicKey.export({ type: "spki", format: "der" }));
    const vkeys = [makeVkey("ed", ED25519, edKey), makeVkey("ec", ECDSA, ecKey)] as const;
    const lines = [
      signatureLine(vkeys[0], sign(null, data, ed.privateKey)),
      signatureLine(vkeys[1], sign("sha256", data, ec.privateKey)),
    ];
    expect(verifyNote(parseNote(`${TEXT}\n${lines.join("")}`), vkeys).verified).toEqual(vkeys);
  });

  test("an ECDSA signature with a flipped bit, bad DER or trailing bytes is refused", () => {
    const ec = ecdsaSigner("log.example/ec");
    const signature = ec.sign(TEXT);
    const check = (bytes: Uint8Array) =>
      verdict(() => verifyNote(parseNote(`${TEXT}\n${signatureLine(ec.vkey, bytes)}`), [ec.vkey]));
    expect(check(signature)).toBe("accepted");
    for (let at = 0; at < signature.length; at += 1) {
      expect(check(flip(signature, at))).toBe("bad_signature");
    }
    expect(check(concatBytes(signature, Uint8Array.of(0)))).toBe("bad_signature");
    expect(check(signature.slice(0, -1))).toBe("bad_signature");
    expect(check(p256.sign(utf8Encode(TEXT, "The text"), sha256(utf8Encode(ec.vkey.name, "The name"))))).toBe(
      "bad_signature",
    );
  });

  test("an ECDSA signature is valid with either of its two values of s, as in Go", () => {
    const ec = ecdsaSigner("log.example/ec");
    const low = p256.Signature.fromBytes(ec.sign(TEXT), "der");
    const mirrored = new p256.Signature(low.r, p256.Point.Fn.ORDER - low.s).toBytes("der");
    const note = `${TEXT}\n${signatureLine(ec.vkey, mirrored)}`;
    expect(verdict(() => verifyNote(parseNote(note), [ec.vkey]))).toBe("accepted");
  });

  test("a key of small order, for which signatures can be made up, verifies nothing", () => {
    // The neutral element, and the signature R = neutral, s = 0: s·B = R + k·A for every message.
    const neutral = Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? 1 : 0));
    const madeUp = concatBytes(neutral, new Uint8Array(32));
    const vkey = makeVkey("log.example/weak", ED25519, neutral);
    expect(ed25519.verify(madeUp, utf8Encode(TEXT, "The text"), neutral, { zip215: true })).toBe(true);
    const note = `${TEXT}\n${signatureLine(vkey, madeUp)}`;
    expect(verdict(() => verifyNote(parseNote(note), [vkey]))).toBe("bad_signature");
  });

  test("a public key that is no point verifies nothing", () => {
    const notOnCurve = new Uint8Array(32).fill(0xff);
    const keys = [
      makeVkey("a", ED25519, notOnCurve),
      makeVkey("b", ECDSA, concatBytes(P256_SPKI_HEADER, new Uint8Array(65).fill(4))),
    ];
    for (const vkey of keys) {
      const note = parseNote(`${TEXT}\n${signatureLine(vkey, signer.sign(TEXT))}`);
      expect(verdict(() => verifyNote(note, [vkey]))).toBe("bad_signature");
    }
  });

  test("cosignature keys are refused, for the text alone does not say what they signed", () => {
    const { vkey } = mldsaCosigner("witness.example/1");
    const note = parseNote(`${TEXT}\n${signatureLine(vkey, new Uint8Array(2428))}`);
    expect(verdict(() => verifyNote(note, [vkey]))).toBe("unsupported");
  });

  test("the spec's other example note parses, with its empty line inside the text", () => {
    // c2sp.org/signed-note, the note at its head, whose key is not published
    const text =
      "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n";
    const base64 =
      "NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=";
    const note = parseNote(`${text}\n— quasimodo.example/salvatore ${base64}\n`);
    expect(note.text).toBe(text);
    expect(note.signatures[0]?.signature).toEqual(decodeBase64(base64, "The signature").slice(4));
  });
});
