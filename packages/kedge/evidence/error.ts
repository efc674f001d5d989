/**
 * Why an export, or what goes with it, cannot be used. The set is closed.
 *
 * - `empty`: a file without an event
 * - `not_events`: a compressed file, text that is not UTF-8, proofs, keys: no export of events
 * - `cut`: it ends in the middle
 * - `malformed`: it is not what its name or its beginning says
 * - `too_large`: an event, a file, or their number, beyond what is read
 * - `header`: a delimited file whose first row names no columns
 * - `row`: a row that has not as many fields as its header
 * - `records`: a line that is no record of `kedge commit`
 * - `proofs`: a line that is no proof
 * - `filter`: a filter that cannot be read, or that narrows nothing it could
 * - `disclosure`: a disclosure without its four fields, or of a row that is not there
 * - `case`: what stands on the document cannot be used
 */
export const EVIDENCE_ERROR_CODES = [
  "empty",
  "not_events",
  "cut",
  "malformed",
  "too_large",
  "header",
  "row",
  "records",
  "proofs",
  "filter",
  "disclosure",
  "case",
] as const;
export type EvidenceErrorCode = (typeof EVIDENCE_ERROR_CODES)[number];

/** The one error of `evidence/`. A message says what to do; it quotes no event and no opening. */
export class EvidenceError extends Error {
  readonly code: EvidenceErrorCode;
  readonly file: string | undefined;
  /** From 1. */
  readonly line: number | undefined;

  constructor(
    code: EvidenceErrorCode,
    message: string,
    { file, line, cause }: { file?: string | undefined; line?: number | undefined; cause?: unknown } = {},
  ) {
    super(message, { cause });
    this.name = "EvidenceError";
    this.code = code;
    this.file = file;
    this.line = line;
  }
}
