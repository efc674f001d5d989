/**
 * Checkpoints (c2sp.org/tlog-checkpoint, Note text): a signed note that says which tree a log commits to.
 *
 *     example.com/log                                origin
 *     20852163                                       tree size, decimal
 *     CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=   root, base64
 *                                                    empty line
 *     — example.com/log Az3grlgtzPICa5OS8npVmf1Myq…
 */
import { checkUint63, encodeBase64, equalBytes, parseDecimal } from "./bytes.ts";
import { verifyCosignature } from "./cosignature.ts";
import { TlogError } from "./error.ts";
import { checkHash, decodeHash, EMPTY_ROOT } from "./merkle.ts";
import {
  checkNoteText,
  ECDSA,
  ED25519,
  matchSignatures,
  type Note,
  parseNote,
  type Vkey,
  verifyTextSignature,
} from "./note.ts";

/** A tree head: which log, how many leaves, and the 32-byte root of their tree. */
export type Checkpoint = { origin: string; size: bigint; root: Uint8Array };

/**
 * A checkpoint with the signed note that it was read from. Nothing is verified yet. Extension lines
 * are opaque, and an ML-DSA-44 signature does not cover them (c2sp.org/tlog-cosignature).
 */
export type ParsedCheckpoint = { checkpoint: Checkpoint & { extensions: string[] }; note: Note };

/** A signature that was verified; `timestamp`, in seconds since the Epoch, if it is a cosignature. */
export type VerifiedSignature = { vkey: Vkey; timestamp?: bigint };

/** `<origin>\n<size>\n<base64(root)>\n`, what a log signs. Throws `malformed` or `out_of_range`. */
export function checkpointBody({ origin, size, root }: Checkpoint): string {
  checkUint63(size, "The tree size");
  checkHash(root);
  if (origin === "" || origin.includes("\n")) {
    throw new TlogError("malformed", "An origin is one line, not empty");
  }
  checkEmptyTree(size, root);
  const body = `${origin}\n${size}\n${encodeBase64(root)}\n`;
  checkNoteText(body);
  return body;
}

/** Parses a checkpoint's note text (c2sp.org/tlog-checkpoint, Note text). Throws `malformed`. */
export function parseCheckpointBody(text: string): ParsedCheckpoint["checkpoint"] {
  const checkpoint = parseTreeHead(text);
  checkEmptyTree(checkpoint.size, checkpoint.root);
  return checkpoint;
}

/** The same, but size 0 may have any root: a witness answers that apart from what is malformed. */
export function parseTreeHead(text: string): ParsedCheckpoint["checkpoint"] {
  checkNoteText(text);
  const lines = text.slice(0, -1).split("\n");
  const [origin, sizeLine, rootLine, ...extensions] = lines;
  if (origin === undefined || sizeLine === undefined || rootLine === undefined || lines.includes("")) {
    throw new TlogError("malformed", "A checkpoint has an origin, a size and a root line, and no empty line");
  }
  const size = parseDecimal(sizeLine, "The tree size");
  const root = decodeHash(rootLine, "The root hash");
  return { origin, size, root, extensions };
}

/** Parses a signed checkpoint. Throws `malformed`. Nothing is verified: see `openCheckpoint`. */
export function parseCheckpoint(text: string | Uint8Array): ParsedCheckpoint {
  const note = parseNote(text);
  return { checkpoint: parseCheckpointBody(note.text), note };
}

/**
 * Parses a signed checkpoint and verifies that the log `origin` signed it with one of `vkeys`, the
 * keys pinned for that log: with type 0x01 or 0x02, or with a cosignature under the log's own name.
 * Other keys in `vkeys`, such as witnesses', are verified and reported too, and do not suffice.
 * Throws `malformed`; `unknown_key` for another origin, or when no log key signed; `bad_signature`
 * when a key of `vkeys` is named and its signature fails.
 */
export function openCheckpoint(
  text: string | Uint8Array,
  { origin, vkeys }: { origin: string; vkeys: readonly Vkey[] },
): ParsedCheckpoint & { verified: VerifiedSignature[] } {
  const parsed = parseCheckpoint(text);
  if (parsed.checkpoint.origin !== origin) {
    throw new TlogError("unknown_key", "The checkpoint is of another log; check the origin that you expect");
  }
  return { ...parsed, verified: verifyCheckpoint(parsed, vkeys) };
}

/** The signatures of `vkeys` on a parsed checkpoint, as `openCheckpoint` verifies them; throws as it does. */
export function verifyCheckpoint(parsed: ParsedCheckpoint, vkeys: readonly Vkey[]): VerifiedSignature[] {
  const verified = verifySignatures(parsed, vkeys);
  checkSignedByLog(parsed, verified);
  return verified;
}

/**
 * The signatures of these keys, maybe none. A log's key has the origin as its name, unless `isLogs` says otherwise; the
 * others are witnesses'. Throws `bad_signature` when one is named and its signature fails.
 */
export function verifySignatures(
  parsed: ParsedCheckpoint,
  vkeys: readonly Vkey[],
  isLogs = ({ name }: Vkey): boolean => name === parsed.checkpoint.origin,
): VerifiedSignature[] {
  return matchSignatures(parsed.note, vkeys).map(({ vkey, signature }): VerifiedSignature => {
    if (signsText(vkey)) {
      verifyTextSignature(vkey, parsed.note.text, signature);
      return { vkey };
    }
    const timestamp = verifyCosignature(vkey, parsed, signature, isLogs(vkey) ? "log" : "witness");
    // 0: a log that says nothing of the time.
    return timestamp === 0n ? { vkey } : { vkey, timestamp };
  });
}

/** Throws `unknown_key` unless one of the signatures is the log's own, and no witness's. */
export function checkSignedByLog(
  { checkpoint: { origin } }: ParsedCheckpoint,
  verified: readonly VerifiedSignature[],
): void {
  if (!verified.some(({ vkey }) => signsText(vkey) || vkey.name === origin)) {
    throw new TlogError("unknown_key", "The checkpoint has no signature by a known key of its log");
  }
}

/** Whether a signature by this key covers a note's whole text, extension lines included: types 0x01 and 0x02. */
export function signsText(vkey: Vkey): boolean {
  return vkey.type === ED25519 || vkey.type === ECDSA;
}

function checkEmptyTree(size: bigint, root: Uint8Array): void {
  if (size === 0n && !equalBytes(root, EMPTY_ROOT)) {
    throw new TlogError("malformed", "A checkpoint of size 0 has the root of the empty tree");
  }
}
