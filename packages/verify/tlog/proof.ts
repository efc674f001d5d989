/**
 * Proofs of inclusion as files (c2sp.org/tlog-proof, Format):
 *
 *     c2sp.org/tlog-proof@v1
 *     extra <base64>                                 may be absent; authenticated by nothing
 *     index 73894
 *     gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=   hashes, from the leaf's sibling up (RFC 6962 §2.1.1)
 *     …
 *                                                    empty line
 *     <the log's signed checkpoint, verbatim>
 */
import { boundedText, checkUint63, decodeBase64, encodeBase64, parseDecimal } from "./bytes.ts";
import { type Checkpoint, openCheckpoint, parseCheckpoint, type VerifiedSignature } from "./checkpoint.ts";
import { TlogError } from "./error.ts";
import { checkHash, decodeHash, verifyInclusion } from "./merkle.ts";
import type { Vkey } from "./note.ts";

const HEADER = "c2sp.org/tlog-proof@v1";
/** A tree of 2^63-1 leaves has inclusion proofs of at most this many hashes. */
const MAX_HASHES = 63;
/** A proof is at most this many bytes of UTF-8. */
export const MAX_PROOF_SIZE = 4 << 20;

/**
 * A C2SP tlog-proof: that an entry stands at `index` in the tree of a checkpoint. `extra` is opaque,
 * not authenticated, and absent rather than empty. `checkpoint` is the signed note, verbatim.
 */
export type TlogProof = { extra?: Uint8Array; index: bigint; hashes: Uint8Array[]; checkpoint: string };

/** Writes a proof (c2sp.org/tlog-proof, Format). Throws `malformed` or `out_of_range`. */
export function formatProof({ extra, index, hashes, checkpoint }: TlogProof): string {
  checkHashCount(hashes.length);
  checkExtra(extra);
  parseCheckpoint(checkpoint);
  const lines = [
    HEADER,
    ...(extra === undefined ? [] : [`extra ${encodeBase64(extra)}`]),
    `index ${checkUint63(index, "The index")}`,
    ...hashes.map((hash) => encodeBase64(checkHash(hash))),
  ];
  const text = `${lines.join("\n")}\n\n${checkpoint}`;
  return boundedText(text, MAX_PROOF_SIZE, "The proof");
}

/**
 * Parses a proof and its checkpoint (c2sp.org/tlog-proof, Format), verifying neither. Throws `malformed`.
 * @param readCheckpoint parses the checkpoint instead: for who keeps what it read.
 */
export function parseProof(
  input: string | Uint8Array,
  readCheckpoint?: (note: string) => unknown,
): TlogProof {
  const { extra, ...proof } = splitProof(input, readCheckpoint);
  return { ...(extra !== undefined && { extra: decodeExtra(extra) }), ...proof };
}

/** `parseProof`, with what stands on the extra line as it stands there: many proofs of one log have it in common. */
export function splitProof(
  input: string | Uint8Array,
  readCheckpoint: (note: string) => unknown = parseCheckpoint,
): Omit<TlogProof, "extra"> & { extra?: string } {
  const text = boundedText(input, MAX_PROOF_SIZE, "The proof");
  const blank = text.indexOf("\n\n");
  if (blank === -1) {
    throw new TlogError("malformed", "The proof has no empty line before its checkpoint");
  }
  const [header, ...lines] = text.slice(0, blank).split("\n");
  if (header !== HEADER) {
    throw new TlogError("malformed", `The first line of a proof is ${HEADER}`);
  }
  const extra = lines[0]?.startsWith("extra ") ? field(lines.shift(), "extra ") : undefined;
  const index = parseDecimal(field(lines.shift(), "index "), "The index");
  checkHashCount(lines.length);
  const hashes = lines.map((line) => decodeHash(line, "A hash of the proof"));
  const checkpoint = text.slice(blank + 2);
  readCheckpoint(checkpoint);
  return { ...(extra === undefined ? {} : { extra }), index, hashes, checkpoint };
}

/**
 * Verifies that the log `origin`, by one of the keys in `vkeys`, signed a tree that has this leaf
 * (c2sp.org/tlog-proof, Verifying a tlog proof). Whether enough witnesses cosigned is for the
 * caller to decide, with `verifyPolicy`. Throws what `openCheckpoint` and `verifyInclusion` throw.
 */
export function verifyProof(input: {
  proof: TlogProof;
  leafHash: Uint8Array;
  origin: string;
  vkeys: readonly Vkey[];
}): { checkpoint: Checkpoint; verified: VerifiedSignature[] } {
  const { proof, leafHash, origin, vkeys } = input;
  const { checkpoint, verified } = openCheckpoint(proof.checkpoint, { origin, vkeys });
  const { size, root } = checkpoint;
  verifyInclusion({ leafHash, index: proof.index, size, root, proof: proof.hashes });
  return { checkpoint, verified };
}

/** Throws `malformed`. */
export function decodeExtra(base64: string): Uint8Array {
  const extra = decodeBase64(base64, "The extra line");
  checkExtra(extra);
  return extra;
}

function field(line: string | undefined, prefix: string): string {
  if (line === undefined || !line.startsWith(prefix)) {
    throw new TlogError("malformed", `The proof has no line "${prefix}…" where one belongs`);
  }
  return line.slice(prefix.length);
}

function checkHashCount(count: number): void {
  if (count > MAX_HASHES) {
    throw new TlogError("malformed", `A proof has at most ${MAX_HASHES} hashes, this one ${count}`);
  }
}

function checkExtra(extra: Uint8Array | undefined): void {
  if (extra?.length === 0) {
    throw new TlogError("malformed", "A proof without extra data has no extra line");
  }
}
