/**
 * An export held against the log: which rows are in it as they are, which were changed, which the log does not know, and which
 * records of the log have no row any more. Runs in a browser.
 */
import type { SourceCompleteness } from "@kedge/verify/audit/completeness";
import type { RecordVerdict } from "@kedge/verify/proof/verdict";
import { verdictOf } from "@kedge/verify/proof/verdict";
import type { VerifyClaim, VerifyReport } from "@kedge/verify/proof/verify";
import { hexToBytes } from "@noble/hashes/utils.js";
import { completenessOf, isManifest } from "./completeness.ts";
import { claimOf, commitsOf } from "./open.ts";
import type { GivenRecord, OpenedEvent, Proofs } from "./types.ts";

/**
 * - `unchanged`: its proof holds
 * - `changed`: its proof is refuted, or that of the record that is its own by name or place and is of other bytes
 * - `unlogged`: the log does not know it, by its word, which no proof can show: it was changed, never logged, or is not sent yet
 * - `pending`: the log has taken it, and not sealed it yet
 * - `unopened`: no record and no key makes its commitment: it was added or changed, or its record was not given
 * - `untold`: its proof was not fetched, or says nothing by the keys that are known
 */
export type RowIs = "unchanged" | "changed" | "unlogged" | "pending" | "unopened" | "untold";

export type ReconciledRow = {
  event: OpenedEvent;
  is: RowIs;
  verdict: RecordVerdict;
  /** Absent where there is no proof. */
  report?: VerifyReport;
  /** An earlier row has the same commitment. */
  isCopy: boolean;
};

/** A record without a row. `logged`: the log has it, so the row is missing; the others as of rows. */
export type MissingRow = { record: GivenRecord; is: "logged" | "pending" | "unlogged" | "untold" };

export type Reconciliation = {
  counts: Record<RowIs, number> & { rows: number; copies: number };
  missing: readonly MissingRow[];
  /** By the numbers of the rows, and by manifests where there are any. */
  sources: readonly SourceCompleteness[];
};

export type ReconcileInput = {
  /** Settled (`settleEvents`). Manifests among them are no rows. */
  events: readonly OpenedEvent[];
  /** Of `openEvents`. */
  unused: readonly GivenRecord[];
  proofs: Proofs;
  /** `openVerifier` under the keys that are pinned. */
  verify: (claim: VerifyClaim) => VerifyReport;
};

/** Row by row, in the order of the events; then what is not of one row. */
export function* reconcile({
  events,
  unused,
  proofs,
  verify,
}: ReconcileInput): Generator<ReconciledRow, Reconciliation> {
  const counts = {
    rows: 0,
    copies: 0,
    unchanged: 0,
    changed: 0,
    unlogged: 0,
    pending: 0,
    unopened: 0,
    untold: 0,
  };
  const seen = new Set<string>();
  for (const event of events) {
    if (isManifest(event)) continue;
    const { commitment } = event;
    const judged = judge(event, proofs, verify);
    const isCopy = commitment !== undefined && seen.has(commitment);
    if (commitment !== undefined) seen.add(commitment);
    counts.rows += 1;
    counts.copies += Number(isCopy);
    counts[judged.is] += 1;
    yield { event, ...judged, isCopy };
  }
  const changed = new Set(events.flatMap(({ changedFrom }) => changedFrom?.commitment ?? []));
  const missing = unused
    .filter(({ commitment }) => !changed.has(commitment) && !seen.has(commitment))
    .map((record): MissingRow => ({ record, is: missingIs(record, proofs, verify) }));
  return { counts, missing, sources: completenessOf(events, proofs, verify) };
}

function judge(
  event: OpenedEvent,
  proofs: Proofs,
  verify: ReconcileInput["verify"],
): Pick<ReconciledRow, "is" | "verdict" | "report"> {
  const claim = claimOf(event, proofs);
  const report = claim && verify(claim);
  const verdict = verdictOf(report, commitsOf(event)?.commitment);
  return report === undefined ? { is: unproven(event, proofs), verdict } : { is: verdict, verdict, report };
}

function unproven(event: OpenedEvent, proofs: Proofs): RowIs {
  const commits = commitsOf(event);
  if (commits === undefined) return "unopened";
  const why = proofs.get(commits.commitment)?.noProof;
  return why === "unknown" ? "unlogged" : (why ?? "untold");
}

function missingIs(
  { commitment }: GivenRecord,
  proofs: Proofs,
  verify: ReconcileInput["verify"],
): MissingRow["is"] {
  const known = proofs.get(commitment);
  if (known?.noProof === "pending") return "pending";
  if (known?.noProof === "unknown") return "unlogged";
  if (known?.proof === undefined) return "untold";
  return verify({ commitment: hexToBytes(commitment), proof: known.proof }).proven ? "logged" : "untold";
}
