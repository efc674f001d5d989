/**
 * What a log and a witness say to each other, and what the witness answers (c2sp.org/tlog-witness, add-checkpoint).
 *
 *     old 20852014                                   tree size that the witness cosigned last
 *     CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=   consistency proof from there (RFC 6962 §2.1.2), 0 to 63 hashes
 *                                                    empty line
 *     <the log's signed checkpoint, verbatim>
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { boundedText, checkUint63, encodeBase64, equalBytes, parseDecimal, utf8Encode } from "./bytes.ts";
import { type ParsedCheckpoint, parseTreeHead, signsText, verifySignatures } from "./checkpoint.ts";
import { TlogError } from "./error.ts";
import { checkHash, decodeHash, EMPTY_ROOT, verifyConsistency } from "./merkle.ts";
import { type NoteSignature, parseNote, signatureLine, signaturesBy, type Vkey } from "./note.ts";

/** A request has at most this many hashes. A proof needs more only from sizes of 2^62 - 1 on. */
export const MAX_PROOF_LINES = 63;
/**
 * A request is at most this many bytes. A note may have 16 signatures of nearly 5 kB each
 * (c2sp.org/signed-note, Format): 107 kB in base64, and 63 proof lines are 3 kB.
 */
export const MAX_ADD_CHECKPOINT_SIZE = 128 << 10;
/** A checkpoint's body is at most this many bytes: AWS KMS signs 4096, the cosignature's header among them. */
export const MAX_COSIGNED_BODY_SIZE = 4000;
/** Of a 409's body, which is the tree size. */
export const SIZE_TYPE = "text/x.tlog.size";

/** What a log is called in the path of a monitoring read: SHA-256 of its origin, in lower-case hex. */
export const originHash = (origin: string): string => bytesToHex(sha256(utf8Encode(origin, "The origin")));

/** The body of an `add-checkpoint` request; `checkpoint` is the signed note. */
export type AddCheckpoint = { oldSize: bigint; proof: readonly Uint8Array[]; checkpoint: string };

/** A request that was parsed. Nothing is verified, not even that a tree of size 0 has the empty root. */
export type ParsedAddCheckpoint = { oldSize: bigint; proof: Uint8Array[]; parsed: ParsedCheckpoint };

/**
 * Why a witness does not cosign. The set is closed.
 *
 * - `malformed`: not a request
 * - `unknown_log`: not a log that it watches
 * - `bad_signature`: not signed by the log, or with a signature in its name that is not its own
 * - `conflict`: the request is not about the latest checkpoint that was cosigned
 * - `bad_proof`: the proof does not hold. No evidence: whoever asks chooses the proof, and anyone may ask
 * - `equivocation`: the log has signed another root for the size that was cosigned last, or a root for no entries.
 *   Evidence against it, whoever shows it and whatever old size and proof come with it
 */
export type RefusalCode =
  | "malformed"
  | "unknown_log"
  | "bad_signature"
  | "conflict"
  | "bad_proof"
  | "equivocation";

/** `reason` is for people. A 409's answer is the size of the latest checkpoint that was cosigned. */
export type Refusal = { code: RefusalCode; reason: string } & (
  | { status: 400 | 403 | 404 | 422 }
  | { status: 409; size: bigint }
);

/** What may be cosigned, but for what the witness cosigned before. `signatures` are the log's, one a key. */
export type Admitted = ParsedAddCheckpoint & { status: 200; signatures: NoteSignature[] };

/** The latest checkpoint of a log that the witness cosigned. */
export type Latest = { size: bigint; root: Uint8Array };

/** Throws `malformed` or `out_of_range` when `parseAddCheckpoint` could not read it again. */
export function formatAddCheckpoint({ oldSize, proof, checkpoint }: AddCheckpoint): string {
  checkProofLength(proof.length);
  const hashes = proof.map((hash) => `${encodeBase64(checkHash(hash))}\n`).join("");
  return `old ${checkUint63(oldSize, "The old size")}\n${hashes}\n${checkpoint}`;
}

/** Parses the body of an `add-checkpoint` request. Throws `malformed`. */
export function parseAddCheckpoint(input: string | Uint8Array): ParsedAddCheckpoint {
  const text = boundedText(input, MAX_ADD_CHECKPOINT_SIZE, "The request");
  const blank = text.indexOf("\n\n");
  if (blank === -1) {
    throw new TlogError("malformed", "The request has no empty line before the checkpoint");
  }
  const [oldLine = "", ...hashes] = text.slice(0, blank).split("\n");
  if (!oldLine.startsWith("old ")) {
    throw new TlogError("malformed", "The request does not begin with `old` and the old size");
  }
  checkProofLength(hashes.length);
  const note = parseNote(text.slice(blank + 2));
  boundedText(note.text, MAX_COSIGNED_BODY_SIZE, "The checkpoint's body");
  return {
    oldSize: parseDecimal(oldLine.slice(4), "The old size"),
    proof: hashes.map((line) => decodeHash(line, "A proof line")),
    parsed: { checkpoint: parseTreeHead(note.text), note },
  };
}

/** The body of a 409, of type `SIZE_TYPE`. Throws `out_of_range`. */
export function formatSize(size: bigint): string {
  return `${checkUint63(size, "The tree size")}\n`;
}

/** Parses the body of a 409. Throws `malformed`. */
export function parseSize(input: string | Uint8Array): bigint {
  const text = boundedText(input, 20, "The tree size");
  if (!text.endsWith("\n")) {
    throw new TlogError("malformed", "The tree size has no newline");
  }
  return parseDecimal(text.slice(0, -1), "The tree size");
}

/**
 * All that can be told of a request without what the witness cosigned before, in the order of the
 * specification's text. `trusted` are the verifier keys of every log that it watches, by the log's
 * origin, which should be their name and need not be (c2sp.org/tlog-checkpoint, Signatures). Never
 * throws for what is in the body.
 */
export function admit(
  body: string | Uint8Array,
  trusted: ReadonlyMap<string, readonly Vkey[]>,
): Admitted | Refusal {
  const request = attempt(400, "malformed", () => parseAddCheckpoint(body));
  if ("status" in request) return request;
  const { parsed, oldSize } = request;
  const vkeys = trusted.get(parsed.checkpoint.origin);
  if (vkeys === undefined) {
    const reason = "This witness does not watch a log of this origin";
    return { status: 404, code: "unknown_log", reason };
  }
  const verified = attempt(403, "bad_signature", () => ({
    keys: verifySignatures(withoutRepeats(parsed), vkeys, () => true),
  }));
  if ("status" in verified) return verified;
  if (verified.keys.length === 0) {
    const reason = "No signature is by a key that this witness trusts for the origin";
    return { status: 403, code: "bad_signature", reason };
  }
  // ML-DSA-44 does not cover extension lines: whoever has a published signature could add any.
  if (parsed.checkpoint.extensions.length > 0 && !verified.keys.some(({ vkey }) => signsText(vkey))) {
    const reason = "No signature of the log covers the extension lines of this checkpoint";
    return { status: 403, code: "bad_signature", reason };
  }
  if (oldSize > parsed.checkpoint.size) {
    return { status: 400, code: "malformed", reason: "The old size is larger than the checkpoint's" };
  }
  return { status: 200, ...request, signatures: signaturesBy(parsed.note, vkeys) };
}

/**
 * Whether a witness cosigns what was admitted, given the latest checkpoint that it cosigned for the
 * log; undefined when it never did. 200 permits to, once it is on record as the latest.
 */
export function judge(
  { oldSize, proof, parsed }: Admitted,
  latest: Latest | undefined,
): { status: 200 } | Refusal {
  const { checkpoint } = parsed;
  const cosigned = latest ?? NOTHING;
  if (oldSize !== cosigned.size) return conflict(checkpoint, latest);
  const equivocation = findEquivocation(checkpoint, cosigned);
  if (equivocation !== undefined) return { status: 422, ...equivocation };
  return attempt(422, "bad_proof", () => {
    const [from, to] = [cosigned, checkpoint];
    verifyConsistency({ from: from.size, to: to.size, fromRoot: from.root, toRoot: to.root, proof });
    return { status: 200 as const };
  });
}

/** The answer where the latest checkpoint that was cosigned is not the one that the request is about. */
export function conflict(checkpoint: Latest, latest: Latest | undefined): Refusal {
  const { size } = latest ?? NOTHING;
  const reason = `The latest cosigned checkpoint has size ${size}`;
  return { status: 409, size, code: "conflict", reason, ...findEquivocation(checkpoint, latest ?? NOTHING) };
}

/** Before the first checkpoint. */
const NOTHING: Latest = { size: 0n, root: EMPTY_ROOT };

/** Of a checkpoint that the log signed, given one that it signed before: what contradicts itself, without any proof. */
function findEquivocation({ size, root }: Latest, cosigned: Latest) {
  const code = "equivocation" as const;
  if (size === 0n && !equalBytes(root, EMPTY_ROOT)) {
    return { code, reason: "A checkpoint of size 0 has the root of the empty tree" };
  }
  if (size === cosigned.size && !equalBytes(root, cosigned.root)) {
    return { code, reason: "Another root was cosigned for this size" };
  }
  return undefined;
}

/** A line that is sent forty times, which anyone can do with a published signature, is verified once. */
function withoutRepeats({ checkpoint, note }: ParsedCheckpoint): ParsedCheckpoint {
  const lines = new Map(note.signatures.map((line) => [signatureLine(line, line.signature), line]));
  return { checkpoint, note: { text: note.text, signatures: [...lines.values()] } };
}

function attempt<T>(status: 400 | 403 | 422, code: RefusalCode, run: () => T): T | Refusal {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof TlogError)) throw error;
    return { status, code, reason: error.message };
  }
}

function checkProofLength(length: number): void {
  if (length > MAX_PROOF_LINES) {
    throw new TlogError("malformed", `A consistency proof has at most ${MAX_PROOF_LINES} lines`);
  }
}
