/**
 * Cosignatures on checkpoints (c2sp.org/tlog-cosignature, Format): in a signature line, after the key ID,
 *
 *     u64 timestamp ‖ signature                      of 64 bytes (Ed25519, type 0x04) or 2420 (ML-DSA-44, type 0x06)
 *
 * over this text (type 0x04, § Ed25519 signed message)
 *
 *     cosignature/v1 ⏎ time <timestamp> ⏎ <the checkpoint's note text>
 *
 * or these bytes (type 0x06, § ML-DSA-44 signed message)
 *
 *     "subtree/v1\n\0" ‖ u8-prefixed cosigner name ‖ u64 timestamp ‖ u8-prefixed origin ‖ u64 start ‖ u64 end ‖ root
 */
import { ml_dsa44 } from "@noble/post-quantum/ml-dsa.js";
import { checkUint63, concatBytes, uint64, utf8Encode } from "./bytes.ts";
import { TlogError } from "./error.ts";
import { checkHash } from "./merkle.ts";
import { ED25519_COSIGNATURE, MLDSA44_COSIGNATURE, type Vkey, verifyEd25519 } from "./note.ts";

/** Bytes. */
export const TIMESTAMP_SIZE = 8;
const ED25519_SIGNATURE_SIZE = 64;
const MLDSA44_SIGNATURE_SIZE = 2420;

/**
 * What an Ed25519 cosignature (type 0x04) signs: `cosignature/v1`, `time <seconds>` and the
 * checkpoint's body (c2sp.org/tlog-cosignature, Ed25519 signed message).
 */
export function ed25519CosignedMessage(timestamp: bigint, body: string): Uint8Array {
  checkUint63(timestamp, "The timestamp");
  return utf8Encode(`cosignature/v1\ntime ${timestamp}\n${body}`, "The checkpoint");
}

/**
 * What an ML-DSA-44 cosignature (type 0x06) signs, the `cosigned_message` structure of
 * c2sp.org/tlog-cosignature, ML-DSA-44 signed message. `start` is 0 and `end` the tree size for a
 * checkpoint; a subtree that starts later has timestamp 0. Throws `out_of_range` or `malformed`.
 */
export function mldsaCosignedMessage(input: {
  cosignerName: string;
  timestamp: bigint;
  origin: string;
  start?: bigint;
  end: bigint;
  hash: Uint8Array;
}): Uint8Array {
  const { start = 0n, end, timestamp } = input;
  if (start !== 0n && (timestamp !== 0n || start >= end)) {
    throw new TlogError("out_of_range", "A cosigned subtree has timestamp 0 and ends after it starts");
  }
  return concatBytes(
    utf8Encode("subtree/v1\n\0", "The label"),
    opaque255(input.cosignerName, "The cosigner name"),
    uint64(timestamp, "The timestamp"),
    opaque255(input.origin, "The origin"),
    uint64(start, "The subtree's start"),
    uint64(end, "The tree size"),
    checkHash(input.hash),
  );
}

/** `timestamped_signature`: the seconds since the Epoch as a big-endian uint64, then the signature. */
export function encodeTimestamped(timestamp: bigint, signature: Uint8Array): Uint8Array {
  return concatBytes(uint64(timestamp, "The timestamp"), signature);
}

/** The inverse of `encodeTimestamped`; `signatureLength` is in bytes. Throws `malformed`. */
export function decodeTimestamped(
  bytes: Uint8Array,
  signatureLength: number,
): { timestamp: bigint; signature: Uint8Array } {
  if (bytes.length !== TIMESTAMP_SIZE + signatureLength) {
    throw new TlogError("malformed", `A cosignature is ${TIMESTAMP_SIZE + signatureLength} bytes`);
  }
  const timestamp = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0);
  if (timestamp >= 1n << 63n) {
    throw new TlogError("malformed", "The cosignature's timestamp exceeds 2^63-1");
  }
  return { timestamp, signature: bytes.slice(TIMESTAMP_SIZE) };
}

/** What is cosigned: a checkpoint, and the note text that says it. Type 0x04 signs the text, type 0x06 the tree head. */
type CosignableNote = {
  readonly checkpoint: { readonly origin: string; readonly size: bigint; readonly root: Uint8Array };
  readonly note: { readonly text: string };
};

/**
 * Verifies a cosignature of type 0x04 or 0x06 on a checkpoint and returns its timestamp, in seconds
 * since the Epoch, which is for the caller to compare with a clock. A witness may not leave it out, as
 * zero (c2sp.org/tlog-witness, add-checkpoint); a log that signs its own checkpoint may
 * (c2sp.org/tlog-cosignature, ML-DSA-44 signed message). Throws `bad_signature`, or `unsupported` for
 * other types.
 */
export function verifyCosignature(
  vkey: Vkey,
  signed: CosignableNote,
  cosignature: Uint8Array,
  by: "witness" | "log" = "witness",
): bigint {
  if (vkey.type !== ED25519_COSIGNATURE && vkey.type !== MLDSA44_COSIGNATURE) {
    throw new TlogError("unsupported", `Signature type ${vkey.type} is not a cosignature`);
  }
  try {
    const size = vkey.type === ED25519_COSIGNATURE ? ED25519_SIGNATURE_SIZE : MLDSA44_SIGNATURE_SIZE;
    const { timestamp, signature } = decodeTimestamped(cosignature, size);
    if ((timestamp !== 0n || by === "log") && verifyAt(vkey, signed, timestamp, signature)) {
      return timestamp;
    }
  } catch (cause) {
    throw new TlogError("bad_signature", `The cosignature by ${vkey.name} is malformed`, { cause });
  }
  throw new TlogError("bad_signature", `The cosignature by ${vkey.name} does not verify`);
}

function verifyAt(vkey: Vkey, signed: CosignableNote, timestamp: bigint, signature: Uint8Array): boolean {
  if (vkey.type === ED25519_COSIGNATURE) {
    return verifyEd25519(vkey.publicKey, ed25519CosignedMessage(timestamp, signed.note.text), signature);
  }
  const { origin, size, root } = signed.checkpoint;
  const message = mldsaCosignedMessage({ cosignerName: vkey.name, timestamp, origin, end: size, hash: root });
  return ml_dsa44.verify(signature, message, vkey.publicKey);
}

/** A variable-length vector `<1..2^8-1>` of RFC 8446 §3.4. */
function opaque255(text: string, what: string): Uint8Array {
  const bytes = utf8Encode(text, what);
  if (bytes.length < 1 || bytes.length > 255) {
    throw new TlogError("out_of_range", `${what} is 1 to 255 bytes in an ML-DSA-44 cosignature`);
  }
  return concatBytes(Uint8Array.of(bytes.length), bytes);
}
