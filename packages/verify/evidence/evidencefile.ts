/** Evidence as a file: a JSON object a line. */
import { z } from "zod";
import { TlogError } from "../tlog/error.ts";
import type { Evidence } from "./evidence.ts";

const text = z.string().max(1 << 20);
const hash = z.string().max(64);
const hashes = z.array(hash).max(64);

const evidenceSchema: z.ZodType<Evidence> = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("fork"),
    checkpoints: z.tuple([text, text]),
    size: z.string().max(19),
    roots: z.tuple([hash, hash]),
    proofs: z.tuple([hashes, hashes]),
  }),
  z.strictObject({
    kind: z.literal("entries"),
    entries: z.tuple([text, text]),
    proofs: z.tuple([text, text]).optional(),
  }),
  z.strictObject({ kind: z.literal("unproven"), checkpoints: z.tuple([text, text]) }),
]);

/** One line of an evidence file. Throws TlogError `malformed`. */
export function parseEvidence(line: string): Evidence {
  try {
    return evidenceSchema.parse(JSON.parse(line));
  } catch (cause) {
    throw new TlogError("malformed", "This is not a line of evidence as kedge writes it", { cause });
  }
}
