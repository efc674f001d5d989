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
  signatureLine,
  type Vkey,
  verifyTextSignature,
} from "@kedge/verify/tlog/note";
import { ed25519 } from "@noble/curves/ed25519.js";
import { p256 } from "@noble/curves/nist.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { hexToBytes } from "@noble/hashes/utils.js";
import { ml_dsa44 } from "@noble/post-quantum/ml-dsa.js";

/** A key that signs a note's text. The seed makes the key: the same seed, the same key. */
export type TextSigner = { vkey: Vkey; sign: (text: string) => Uint8Array };

/** A key that cosigns checkpoints at a time, in seconds since the Epoch. */
export type Cosigner = { vkey: Vkey; cosign: (checkpoint: Checkpoint, timestamp: bigint) => Uint8Array };

const seedBytes = (seed: string) => sha256(utf8Encode(seed, "The seed"));

export function ed25519Signer(name: string, seed = name): TextSigner {
  const secret = seedBytes(seed);
  const vkey = makeVkey(name, ED25519, ed25519.getPublicKey(secret));
  return { vkey, sign: (text) => ed25519.sign(utf8Encode(text, "The text"), secret) };
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

export function ed25519Cosigner(name: string, seed = name): Cosigner {
  const secret = seedBytes(seed);
  return {
    vkey: makeVkey(name, ED25519_COSIGNATURE, ed25519.getPublicKey(secret)),
    cosign: (checkpoint, timestamp) => {
      const message = ed25519CosignedMessage(timestamp, checkpointBody(checkpoint));
      return encodeTimestamped(timestamp, ed25519.sign(message, secret));
    },
  };
}

export function mldsaCosigner(name: string, seed = name): Cosigner {
  const { publicKey, secretKey } = ml_dsa44.keygen(seedBytes(seed));
  return {
    vkey: makeVkey(name, MLDSA44_COSIGNATURE, publicKey),
    cosign: ({ origin, size, root }, timestamp) => {
      const message = mldsaCosignedMessage({ cosignerName: name, timestamp, origin, end: size, hash: root });
      return encodeTimestamped(timestamp, ml_dsa44.sign(message, secretKey));
    },
  };
}

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
