/** What a log says to a witness, and what it takes from the answer (c2sp.org/tlog-witness, add-checkpoint). */
import { boundedText, checkUint63, encodeBase64, parseDecimal } from "./bytes.ts";
import type { ParsedCheckpoint } from "./checkpoint.ts";
import { verifyCosignature } from "./cosignature.ts";
import { TlogError } from "./error.ts";
import { checkHash } from "./merkle.ts";
import { MAX_SIGNATURES, matchSignatures, type NoteSignature, type Vkey } from "./note.ts";

const MAX_PROOF_LINES = 63;
/** 2^63-1 in decimal, and the newline. */
const MAX_SIZE_BODY = 20;

/** The body of an `add-checkpoint` request; `checkpoint` is the signed note. Throws `malformed` or `out_of_range`. */
export function formatAddCheckpoint(request: {
  oldSize: bigint;
  proof: readonly Uint8Array[];
  checkpoint: string;
}): string {
  const { oldSize, proof, checkpoint } = request;
  if (proof.length > MAX_PROOF_LINES) {
    throw new TlogError("malformed", `A consistency proof has at most ${MAX_PROOF_LINES} lines`);
  }
  const hashes = proof.map((hash) => `${encodeBase64(checkHash(hash))}\n`).join("");
  return `old ${checkUint63(oldSize, "The old size")}\n${hashes}\n${checkpoint}`;
}

/** The body of a 409: the size of the latest checkpoint that the witness cosigned. Throws `malformed`. */
export function parseSize(input: string | Uint8Array): bigint {
  const text = boundedText(input, MAX_SIZE_BODY, "The tree size");
  if (!text.endsWith("\n")) {
    throw new TlogError("malformed", "The tree size has no newline");
  }
  return parseDecimal(text.slice(0, -1), "The tree size");
}

/**
 * Which of these signatures are cosignatures on the checkpoint by one of `vkeys`, the first valid one of each key.
 * Those by other keys are ignored. `invalid` has the keys under which one failed and none was valid.
 */
export function validCosignatures(
  checkpoint: ParsedCheckpoint,
  signatures: readonly NoteSignature[],
  vkeys: readonly Vkey[],
): { valid: NoteSignature[]; invalid: Vkey[] } {
  const note = { text: checkpoint.note.text, signatures: [...signatures] };
  const valid: NoteSignature[] = [];
  const invalid: Vkey[] = [];
  for (const vkey of vkeys) {
    const claimed = matchSignatures(note, [vkey]);
    const first = claimed.find(({ signature }) => isValid(vkey, checkpoint, signature));
    if (first !== undefined) valid.push({ name: vkey.name, id: vkey.id, signature: first.signature });
    else if (claimed.length > 0) invalid.push(vkey);
  }
  return { valid, invalid };
}

/** Signatures of both lists, one a key, the first named; as many as a note may have. */
export function uniteSignatures(
  first: readonly NoteSignature[],
  more: readonly NoteSignature[],
): NoteSignature[] {
  const byKey = new Map<string, NoteSignature>();
  for (const signature of [...first, ...more]) {
    const key = `${signature.id} ${signature.name}`;
    if (!byKey.has(key)) byKey.set(key, signature);
  }
  return [...byKey.values()].slice(0, MAX_SIGNATURES);
}

function isValid(vkey: Vkey, checkpoint: ParsedCheckpoint, signature: Uint8Array): boolean {
  try {
    verifyCosignature(vkey, checkpoint, signature);
    return true;
  } catch (error) {
    if (error instanceof TlogError && error.code === "bad_signature") return false;
    throw error;
  }
}
