/** What is known of a row's evidence, and the verdict that it comes to. */
import { type RecordVerdict, verdictOf } from "@kedge/verify/proof/verdict";
import { ASSURANCES, type Assurance, type VerifyReport } from "@kedge/verify/proof/verify";

/**
 * - `altered`: by its name or place a record is its own, and does not open it; of that record there is no proof yet
 * - `unopened`: neither a record nor a key opens the event
 * - `unasked`: its proof was not asked for yet
 * - `unknown`: its commitment is not in the log, by the service's word: which no proof can show, and which changes once it is sent
 * - `pending`: accepted, and in no tree yet
 * - `refuted`, `unverified`: there is a proof, and it does not hold, or cannot be checked
 * - an assurance: it holds, and shows so much
 */
export const EVIDENCE_STATES = [
  ...(["altered", "refuted", "unknown", "unopened", "unasked", "unverified", "pending"] as const),
  ...ASSURANCES,
] as const;
export type EvidenceState = (typeof EVIDENCE_STATES)[number];

export const isAssurance = (state: EvidenceState): state is Assurance =>
  ASSURANCES.some((one) => one === state);

/** Of a proof as it was checked; `commitment` (hex) is what it was asked for by. */
export function stateOf(report: VerifyReport, commitment: string): EvidenceState {
  const verdict = verdictOf(report, commitment);
  if (verdict === "unchanged") return report.assurance ?? "unverified";
  return verdict === "changed" ? "refuted" : "unverified";
}

/** As `verdictOf` says of what led to the state. */
export function verdictOfState(state: EvidenceState): RecordVerdict {
  if (state === "refuted") return "changed";
  return isAssurance(state) ? "unchanged" : verdictOf(undefined);
}

/** Whether the log has it. */
export const isKnown = (state: EvidenceState): boolean =>
  isAssurance(state) || state === "pending" || state === "refuted" || state === "unverified";
