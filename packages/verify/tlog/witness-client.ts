/** What a log makes of a witness's answer, signature lines (c2sp.org/tlog-witness, add-checkpoint): the valid ones, each key once. */
import type { ParsedCheckpoint } from "./checkpoint.ts";
import { verifyCosignature } from "./cosignature.ts";
import { TlogError } from "./error.ts";
import { MAX_SIGNATURES, matchSignatures, type NoteSignature, type Vkey } from "./note.ts";

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
