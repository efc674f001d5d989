/** What signs in tests: keys by their seeds, and signers of notes, checkpoints and tree heads over them. */
import { createPrivateKey, createPublicKey, sign as signBytes } from "node:crypto";
import { concatBytes, utf8Encode } from "@kedge/verify/tlog/bytes";
import { type Checkpoint, checkpointBody } from "@kedge/verify/tlog/checkpoint";
import {
  ed25519CosignedMessage,
  encodeTimestamped,
  mldsaCosignedMessage,
} from "@kedge/verify/tlog/cosignature";
import { TlogError } from "@kedge/verify/tlog/error";
import {
  ECDSA,
  ED25519,
  ED25519_COSIGNATURE,
  MLDSA44_COSIGNATURE,
  makeVkey,
  matchSignatures,
  type Note,
  type NoteSignature,
  signatureLine,
  type Vkey,
  verifyTextSignature,
} from "@kedge/verify/tlog/note";
import { p256 } from "@noble/curves/nist.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { hexToBytes } from "@noble/hashes/utils.js";
import { ml_dsa44 } from "@noble/post-quantum/ml-dsa.js";

/** A key that signs any bytes. The seed makes the key: the same seed, the same key. */
export type SigningKey = { publicKey: Uint8Array; sign: (message: Uint8Array) => Uint8Array };
type Seed = string | number;

/** A key that signs a note's text. */
export type TextSigner = { vkey: Vkey; sign: (text: string) => Uint8Array };

/** A key that cosigns checkpoints at a time, in seconds since the Epoch. */
export type Cosigner = { vkey: Vkey; cosign: (checkpoint: Checkpoint, timestamp: bigint) => Uint8Array };

/** Signs tree heads, as a log or as a cosigner whose time is fixed. */
export type HeadSigner = { vkey: Vkey; sign: (head: Checkpoint) => NoteSignature };

const seedBytes = (seed: Seed): Uint8Array =>
  typeof seed === "number" ? new Uint8Array(32).fill(seed) : sha256(utf8Encode(seed, "The seed"));

/** RFC 8410 §7: the PKCS #8 of a seed. */
const ED25519_PKCS8_HEADER = hexToBytes("302e020100300506032b657004220420");

/** OpenSSL's Ed25519: as RFC 8032 says, and fast enough for the crash matrix. */
export function ed25519Key(seed: Seed): SigningKey {
  const key = Buffer.concat([ED25519_PKCS8_HEADER, seedBytes(seed)]);
  const secret = createPrivateKey({ key, format: "der", type: "pkcs8" });
  const spki = createPublicKey(secret).export({ type: "spki", format: "der" });
  return {
    publicKey: new Uint8Array(spki.subarray(-32)),
    sign: (message) => new Uint8Array(signBytes(null, message, secret)),
  };
}

export function mldsa44Key(seed: Seed): SigningKey {
  const { publicKey, secretKey } = ml_dsa44.keygen(seedBytes(seed));
  return { publicKey, sign: (message) => ml_dsa44.sign(message, secretKey) };
}

/** The key as platform/signer.ts has one of KMS. */
export const inKms = ({ publicKey, sign }: SigningKey) => ({
  publicKey: async () => publicKey,
  sign: async (message: Uint8Array) => sign(message),
});

export function ed25519Signer(name: string, seed: Seed = name): TextSigner {
  const { publicKey, sign } = ed25519Key(seed);
  const vkey = makeVkey(name, ED25519, publicKey);
  return { vkey, sign: (text) => sign(utf8Encode(text, "The text")) };
}

/** RFC 5480 §2.1.1: the SPKI of an uncompressed point on P-256. */
export const P256_SPKI_HEADER = hexToBytes("3059301306072a8648ce3d020106082a8648ce3d030107034200");

export function ecdsaSigner(name: string, seed = name): TextSigner {
  const secret = seedBytes(seed);
  const spki = concatBytes(P256_SPKI_HEADER, p256.getPublicKey(secret, false));
  return {
    vkey: makeVkey(name, ECDSA, spki),
    sign: (text) => p256.sign(utf8Encode(text, "The text"), secret, { format: "der", lowS: false }),
  };
}

export function ed25519Cosigner(name: string, seed: Seed = name): Cosigner {
  const { publicKey, sign } = ed25519Key(seed);
  return {
    vkey: makeVkey(name, ED25519_COSIGNATURE, publicKey),
    cosign: (checkpoint, timestamp) =>
      encodeTimestamped(timestamp, sign(ed25519CosignedMessage(timestamp, checkpointBody(checkpoint)))),
  };
}

export function mldsaCosigner(name: string, seed: Seed = name): Cosigner {
  const { publicKey, sign } = mldsa44Key(seed);
  return {
    vkey: makeVkey(name, MLDSA44_COSIGNATURE, publicKey),
    cosign: ({ origin, size, root }, timestamp) => {
      const message = mldsaCosignedMessage({ cosignerName: name, timestamp, origin, end: size, hash: root });
      return encodeTimestamped(timestamp, sign(message));
    },
  };
}

export const logSigner = (name: string, seed: Seed): HeadSigner => {
  const { vkey, sign } = ed25519Signer(name, seed);
  return { vkey, sign: (head) => ({ ...vkey, signature: sign(checkpointBody(head)) }) };
};

const at = ({ vkey, cosign }: Cosigner, time: bigint): HeadSigner => ({
  vkey,
  sign: (head) => ({ ...vkey, signature: cosign(head, time) }),
});
export const witnessSigner = (name: string, seed: Seed, time: bigint) =>
  at(ed25519Cosigner(name, seed), time);
export const mldsaSigner = (name: string, seed: Seed, time: bigint) => at(mldsaCosigner(name, seed), time);

/** The signed checkpoint: its body and one line for each signature. */
export function signed(checkpoint: Checkpoint, ...lines: string[]): string {
  return `${checkpointBody(checkpoint)}\n${lines.join("")}`;
}

export function lineBy(signer: TextSigner, checkpoint: Checkpoint): string {
  return signatureLine(signer.vkey, signer.sign(checkpointBody(checkpoint)));
}

export function cosignedBy(cosigner: Cosigner, checkpoint: Checkpoint, timestamp: bigint): string {
  return signatureLine(cosigner.vkey, cosigner.cosign(checkpoint, timestamp));
}

/** The keys that signed a note that is no checkpoint, as Go's `note.Open` tells them; throws TlogError where it refuses. */
export function verifyNote(note: Note, vkeys: readonly Vkey[]): { verified: Vkey[] } {
  const matches = matchSignatures(note, vkeys);
  for (const { vkey, signature } of matches) verifyTextSignature(vkey, note.text, signature);
  if (matches.length === 0) throw new TlogError("unknown_key", "The note has no signature by a known key");
  return { verified: matches.map(({ vkey }) => vkey) };
}
