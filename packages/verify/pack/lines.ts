/** Proofs and records as they are handed on, a JSON object a line: what `kedge proof` and `kedge commit` write. */
import * as z from "zod/mini";
import { COMMITMENT_HEX, type Opening, parseOpening } from "../events/commitment.ts";
import { MAX_PROOF_SIZE } from "../tlog/proof.ts";

/** A line of a file of proofs. `event` and `line` are absent for what was asked for by its commitment alone. */
export type ProofLine = { event?: string; line?: number; commitment: string; proof: string };

/** What `kedge commit` makes of an event. `commitment` is hex. The opening is a secret until disclosed. */
export type CommitRecord = { event: string; line?: number; commitment: string; opening: Opening };

const name = z.optional(z.string().check(z.minLength(1)));
const number = z.optional(z.int().check(z.positive()));
const commitment = z.string().check(z.regex(COMMITMENT_HEX));

const proofLineSchema = z.object({
  event: name,
  line: number,
  commitment,
  proof: z.string().check(z.maxLength(MAX_PROOF_SIZE)),
});

const recordSchema = z.strictObject({
  event: z.string().check(z.minLength(1)),
  line: number,
  commitment,
  opening: z.unknown(),
});

/** Undefined when it is none: an event, a record, or a line that was cut. Members of a later version are let be. */
export function parseProofLine(bytes: Uint8Array): ProofLine | undefined {
  const { success, data } = proofLineSchema.safeParse(parseJson(bytes));
  if (!success) return undefined;
  const { event, line, commitment, proof } = data;
  return {
    ...(event === undefined ? {} : { event }),
    ...(line === undefined ? {} : { line }),
    commitment,
    proof,
  };
}

/** Undefined when it is not as `kedge commit` wrote it. Throws EventError as `parseOpening`. */
export function parseRecordLine(bytes: Uint8Array): CommitRecord | undefined {
  const { success, data } = recordSchema.safeParse(parseJson(bytes));
  if (!success) return undefined;
  const { event, line, commitment } = data;
  const opening = parseOpening(data.opening);
  return { event, ...(line === undefined ? {} : { line }), commitment, opening };
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}
