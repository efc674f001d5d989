/**
 * Signed notes (c2sp.org/signed-note, Format): a text, an empty line, and a line for each signature.
 *
 *     example.com/log                                text, ends in a newline; what is signed
 *     …
 *                                                    empty line
 *     — example.com/log <base64 of the key ID, 4 bytes, and the signature>
 *
 * A verifier key (§ Verifier keys) is `<name>+<key ID, 8 hex digits>+<base64 of the type, 1 byte, and the key>`.
 */
import { ed25519 } from "@noble/curves/ed25519.js";
import { p256 } from "@noble/curves/nist.js";
import { bytesToNumberLE } from "@noble/curves/utils.js";
import { sha256, sha512 } from "@noble/hashes/sha2.js";
import { boundedText, concatBytes, decodeBase64, encodeBase64, equalBytes, utf8Encode } from "./bytes.ts";
import { TlogError } from "./error.ts";

/** Signature types of c2sp.org/signed-note and c2sp.org/tlog-cosignature. */
export const ED25519 = 0x01;
export const ECDSA = 0x02;
export const ED25519_COSIGNATURE = 0x04;
export const MLDSA44_COSIGNATURE = 0x06;

/** A note holds at most this many signatures (c2sp.org/signed-note asks for at least 16). */
export const MAX_SIGNATURES = 64;
/** A note is at most this many bytes of UTF-8. */
export const MAX_NOTE_SIZE = 1 << 20;

/** DER of an SPKI up to its EC point, for an uncompressed point on P-256 (RFC 5480 §2). */
const P256_SPKI_PREFIX = Uint8Array.of(
  ...[0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01],
  ...[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00],
);
const P256_POINT_SIZE = 65;

/** What identifies a key in a signature line: its name and the uint32 key ID. */
export type KeyId = { name: string; id: number };

/**
 * A verifier key (c2sp.org/signed-note, Verifier keys). `publicKey` is 32 bytes for the Ed25519
 * types, 1312 for ML-DSA-44, and the SPKI in DER for ECDSA, on P-256.
 */
export type Vkey = KeyId & { type: number; publicKey: Uint8Array };

/** One signature line. `signature` is without the key ID; a cosignature begins with its timestamp. */
export type NoteSignature = KeyId & { signature: Uint8Array };

/** A signed note. `text` ends in a newline and is what was signed; trust it only once verified. */
export type Note = { text: string; signatures: NoteSignature[] };

/**
 * A verifier key, with the ID that its name, type and public key determine. Throws `malformed`, or
 * `unsupported` for other types and curves.
 */
export function makeVkey(name: string, type: number, publicKey: Uint8Array): Vkey {
  checkKeyName(name);
  checkPublicKey(type, publicKey);
  const hashed =
    type === ECDSA
      ? publicKey
      : concatBytes(utf8Encode(name, "The key name"), Uint8Array.of(0x0a, type), publicKey);
  return { name, id: readUint32(sha256(hashed)), type, publicKey };
}

/**
 * Parses `<name>+<hex key ID>+<base64(type ‖ public key)>` (c2sp.org/signed-note, Verifier keys) and
 * checks the ID. Throws `malformed`, or `unsupported` for other types and curves.
 */
export function parseVkey(text: string): Vkey {
  const [, name, id, key] = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/.exec(text) ?? [];
  if (name === undefined || id === undefined || key === undefined) {
    throw new TlogError("malformed", "A verifier key is <name>+<8 hex digits>+<base64>");
  }
  const material = decodeBase64(key, "The verifier key");
  const vkey = makeVkey(name, material[0] ?? 0, material.slice(1));
  if (vkey.id !== Number.parseInt(id, 16)) {
    throw new TlogError("malformed", "The verifier key's ID is not that of its name and key; copy it again");
  }
  return vkey;
}

/** The inverse of `parseVkey`. */
export function formatVkey({ name, id, type, publicKey }: Vkey): string {
  const hex = id.toString(16).padStart(8, "0");
  return `${name}+${hex}+${encodeBase64(concatBytes(Uint8Array.of(type), publicKey))}`;
}

/** Parses a signed note (c2sp.org/signed-note, Format). Throws `malformed`. Nothing is verified. */
export function parseNote(input: string | Uint8Array): Note {
  const note = boundedText(input, MAX_NOTE_SIZE, "The note");
  const blank = note.lastIndexOf("\n\n");
  if (blank === -1) {
    throw new TlogError("malformed", "The note has no blank line between text and signatures");
  }
  const text = note.slice(0, blank + 1);
  checkNoteText(text);
  return { text, signatures: parseSignatureLines(note.slice(blank + 2)) };
}

/** The inverse of `parseNote`. Throws `malformed` when the note could not be parsed again. */
export function formatNote({ text, signatures }: Note): string {
  checkNoteText(text);
  const note = `${text}\n${signatures.map((line) => signatureLine(line, line.signature)).join("")}`;
  boundedText(note, MAX_NOTE_SIZE, "The note");
  checkSignatureCount(signatures.length);
  return note;
}

/** `— <name> <base64(key ID ‖ signature)>` and its newline. */
export function signatureLine({ name, id }: KeyId, signature: Uint8Array): string {
  checkKeyName(name);
  checkSignature(signature);
  const keyId = Uint8Array.of(id >>> 24, id >>> 16, id >>> 8, id);
  return `— ${name} ${encodeBase64(concatBytes(keyId, signature))}\n`;
}

/** Parses one or more signature lines, as in a note or a witness's response. Throws `malformed`. */
export function parseSignatureLines(input: string | Uint8Array): NoteSignature[] {
  const text = boundedText(input, MAX_NOTE_SIZE, "The signatures");
  if (!text.endsWith("\n")) {
    throw new TlogError("malformed", "The last signature line has no newline");
  }
  const lines = text.slice(0, -1).split("\n");
  checkSignatureCount(lines.length);
  return lines.map((line) => {
    const [, name, base64] = /^— ([^ ]+) ([^ ]+)$/.exec(line) ?? [];
    if (name === undefined || base64 === undefined) {
      throw new TlogError("malformed", "A signature line is an em dash, a key name and base64");
    }
    checkKeyName(name);
    const bytes = decodeBase64(base64, "The signature");
    const signature = bytes.slice(4);
    checkSignature(signature);
    return { name, id: readUint32(bytes), signature };
  });
}

/** The signatures that claim to be by one of these keys, having both its name and its ID. */
export function matchSignatures(note: Note, vkeys: readonly Vkey[]): { vkey: Vkey; signature: Uint8Array }[] {
  return note.signatures.flatMap(({ name, id, signature }) =>
    vkeys.filter((vkey) => vkey.name === name && vkey.id === id).map((vkey) => ({ vkey, signature })),
  );
}

/** The signatures that claim to be by these keys, the first of each, in the order of the keys. Verify them before. */
export function signaturesBy(note: Note, vkeys: readonly Vkey[]): NoteSignature[] {
  return vkeys.flatMap((vkey) =>
    matchSignatures(note, [vkey])
      .slice(0, 1)
      .map(({ signature }) => ({ name: vkey.name, id: vkey.id, signature })),
  );
}

/** Verifies a signature of type 0x01 or 0x02 on a note's text. Throws `bad_signature` or `unsupported`. */
export function verifyTextSignature(vkey: Vkey, text: string, signature: Uint8Array): void {
  const message = utf8Encode(text, "The note");
  if (vkey.type !== ED25519 && vkey.type !== ECDSA) {
    throw new TlogError("unsupported", `Signature type ${vkey.type} signs checkpoints; open the note as one`);
  }
  const valid =
    vkey.type === ED25519
      ? verifyEd25519(vkey.publicKey, message, signature)
      : verifyEcdsa(vkey.publicKey, message, signature);
  if (!valid) {
    throw new TlogError("bad_signature", `The signature by ${vkey.name} does not verify`);
  }
}

/**
 * RFC 8032 §5.1.7 by the equation without the cofactor, and R compared byte for byte, as Go and OpenSSL do; no key and
 * no R of small order, as WebCrypto and libsodium have it. What is valid here is valid there (docs/decisions/0014).
 */
export function verifyEd25519(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== 64) return false;
  const { Point } = ed25519;
  const r = signature.subarray(0, 32);
  const s = bytesToNumberLE(signature.subarray(32));
  if (!Point.Fn.isValid(s)) return false;
  let key: typeof Point.BASE;
  try {
    key = Point.fromBytes(publicKey);
  } catch {
    return false; // no point, or not its canonical encoding
  }
  if (key.isSmallOrder()) return false;
  const k = Point.Fn.create(bytesToNumberLE(sha512(concatBytes(r, publicKey, message))));
  const point = Point.BASE.multiplyUnsafe(s).subtract(key.multiplyUnsafe(k));
  return equalBytes(point.toBytes(), r) && !point.isSmallOrder();
}

/** ECDSA on P-256 with SHA-256, the signature in DER as Go's crypto/ecdsa writes it. */
function verifyEcdsa(spki: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    const point = spki.subarray(P256_SPKI_PREFIX.length);
    return p256.verify(signature, message, point, { format: "der", lowS: false });
  } catch {
    return false; // the library throws on DER that it cannot parse
  }
}

/** Throws `malformed` unless the text is Unicode, ends in newline and has no other control character. */
export function checkNoteText(text: string): void {
  utf8Encode(text, "The note");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the control characters are what is refused
  if (/[\u0000-\u0009\u000b-\u001f]/.test(text) || !text.endsWith("\n")) {
    throw new TlogError("malformed", "A note's text ends in a newline and has no other control character");
  }
}

function checkKeyName(name: string): void {
  utf8Encode(name, "The key name");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the control characters are what is refused
  if (!/^[^\p{White_Space}+\u0000-\u001f]+$/u.test(name)) {
    throw new TlogError("malformed", "A key name is not empty and has no space, plus or control character");
  }
}

function checkPublicKey(type: number, publicKey: Uint8Array): void {
  const expected = new Map([
    [ED25519, 32],
    [ECDSA, P256_SPKI_PREFIX.length + P256_POINT_SIZE],
    [ED25519_COSIGNATURE, 32],
    [MLDSA44_COSIGNATURE, 1312],
  ]).get(type);
  if (expected === undefined) {
    throw new TlogError(
      "unsupported",
      `Signature type ${type} is not supported; use Ed25519, ECDSA or ML-DSA-44`,
    );
  }
  const prefix = publicKey.subarray(0, P256_SPKI_PREFIX.length);
  if (type === ECDSA && !equalBytes(prefix, P256_SPKI_PREFIX)) {
    throw new TlogError("unsupported", "Only ECDSA keys on P-256, with an uncompressed point, are supported");
  }
  if (publicKey.length !== expected) {
    throw new TlogError(
      "malformed",
      `A public key of type ${type} is ${expected} bytes, not ${publicKey.length}`,
    );
  }
}

function checkSignature(signature: Uint8Array): void {
  if (signature.length === 0) {
    throw new TlogError("malformed", "A signature line has a key ID of 4 bytes and a signature after it");
  }
}

function checkSignatureCount(count: number): void {
  if (count < 1 || count > MAX_SIGNATURES) {
    throw new TlogError("malformed", `A note has 1 to ${MAX_SIGNATURES} signatures, this one ${count}`);
  }
}

function readUint32(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
}
