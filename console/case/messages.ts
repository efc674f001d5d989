/** What the page asks of its worker, and what it hears. All rows stay in the worker: the page gets those that it shows. */
import type { newReviewSchema } from "@kedge/cli/contract/people";
import type { AuditFinding } from "@kedge/verify/audit/audit";
import type { PeriodVerdict } from "@kedge/verify/audit/completeness";
import type { Columns } from "@kedge/verify/events/formats/columns";
import type { Connection } from "@kedge/verify/net/http";
import type { Disclosure, Language, PackCase, PackFilter } from "@kedge/verify/pack/pack";
import type { RecordVerdict } from "@kedge/verify/proof/verdict";
import type { ToldVerdict } from "@kedge/verify/proof/verdict-words";
import type { ToldReport } from "@kedge/verify/proof/words";
import type * as z from "zod";
import type { EvidenceState } from "./evidence-state.ts";
import type { FileKind } from "./recognise.ts";

/** The verdict comes first, here as everywhere. */
export const COLUMN_NAMES = [
  ...(["evidence", "when", "user", "patient", "action"] as const),
  ...(["recordType", "workstation", "reason", "outcome", "source"] as const),
] as const;
export type ColumnName = (typeof COLUMN_NAMES)[number];

export type Sort = { by: ColumnName; descending: boolean };
export type Counts = Record<RecordVerdict, number>;
export type View = { total: number; found: number; counts: Counts };

/** `row` is its number in the worker, `place` that among those shown. `at` in ms since the epoch. */
export type TableRow = {
  row: number;
  place: number;
  file: string;
  line?: number;
  at?: number;
  columns: Columns;
  commitment?: string;
  state: EvidenceState;
  verdict: RecordVerdict;
  /** RFC 3339: the time at or before which it was logged. */
  loggedBy?: string;
};

/** A file and what it is taken for. */
export type KindFile = { file: File; is: FileKind };

/** Where the service is, for a worker: a session's token, or an API key. */
export type ServiceAccess = Pick<Connection, "url" | "apiKey">;
/** The service and a log of it; where there is none, the officer works offline. */
export type Service = { access: ServiceAccess; log: string };

/** What the officer looks for: a pack's filter, and what only the screen has. */
export type Wanted = { filter: PackFilter; zone: string; verdict?: RecordVerdict; sort: Sort };

/** Whose word the keys are: a file that the officer gave, the service, or nobody's. */
export type KeysBy = "given" | "service" | "none";

/**
 * How far the proofs have come. `missing`: rows whose proofs were not asked for, because the service was down, or the
 * officer works offline or stopped it. `pending`: rows that are in no tree yet.
 */
export type Proven = {
  missing: number;
  pending: number;
  /** The log knows none of the rows: it may be another log. */
  isElsewhere: boolean;
  keysBy: KeysBy;
  /** Code of the error that ended it. */
  stopped?: string;
};

export type Detail = {
  row: TableRow;
  /** The event's text, cut at a megabyte. */
  text: string;
  isCut: boolean;
  /** Of a row with a proof, or of which the log has said why there is none yet. */
  told?: ToldVerdict;
  report?: ToldReport;
  disclosure?: Disclosure;
};

/** What the officer fills in for a pack. */
export type CaseForm = Pick<PackCase, "kind" | "language"> &
  Record<"number" | "requestedBy" | "reason" | "preparedBy", string> & { withheld: boolean };

/** A file that was made, of so many rows. `digest`: of a pack's SHA256SUMS, hex. */
export type Made = {
  name: string;
  bytes: Uint8Array<ArrayBuffer>;
  type: string;
  count: number;
  digest?: string;
  /** Rows that a pack does not have, because no record and no key opens them. */
  left?: number;
};

export type SourceGaps = {
  source: string;
  verdict: PeriodVerdict;
  /** `from`, `to` in ms since the epoch. */
  periods: { from: number; to: number; count: number; verdict: PeriodVerdict }[];
  findings: AuditFinding[];
};

/** What a reconciliation found; a few places of each kind, by file and line. */
export const DISCREPANCIES = [
  ...(["changed", "notInLog", "withoutRow", "recordNotInLog", "recordCannotTell"] as const),
  ...(["cannotTell", "copies", "gap"] as const),
] as const;
/** A place, by file and line; or a gap. */
export type Example = string | AuditFinding;
export type Reconciled = {
  rows: number;
  unchanged: number;
  findings: { is: (typeof DISCREPANCIES)[number]; count: number; examples: Example[] }[];
  /** Code of the error that ended the questions of records without a row. */
  stopped?: string;
};

/** A file that could not be read, or not all of it: a code, and what of it. */
export type Problem = { file: string; code: string; message: string };

/** `total` is absent while it is not known. */
export type Progress = {
  stage: "reading" | "opening" | "proofs" | "verifying" | "packing";
  done: number;
  total?: number;
};

/** Each call with what it is given and what it answers. */
export type Calls = {
  recognise: { ask: File[]; answer: FileKind[] };
  open: {
    ask: { files: KindFile[]; passphrase?: string };
    /** `unread`: rows of which neither when, nor who, nor whose could be read. */
    answer: { rows: number; problems: Problem[]; unopened: number; unread: number };
  };
  prove: { ask: Service | undefined; answer: Proven };
  proven: { ask: undefined; answer: Proven };
  show: { ask: Wanted; answer: View };
  view: { ask: undefined; answer: View };
  window: { ask: { from: number; count: number }; answer: TableRow[] };
  detail: { ask: { row: number; language: Language }; answer: Detail | undefined };
  /** Answers how many rows are marked. */
  mark: { ask: { row: number; disclosure: Disclosure | undefined }; answer: number };
  proof: { ask: number; answer: Made | undefined };
  proofs: { ask: undefined; answer: Made };
  pack: { ask: MakeAsk; answer: Made };
  patientPage: { ask: MakeAsk; answer: Made };
  gaps: { ask: undefined; answer: SourceGaps[] };
  reconcile: { ask: Service | undefined; answer: Reconciled };
  review: { ask: { by: string; wanted: Wanted; log: string }; answer: { made: Made; review: NewReview } };
};
export type CallName = keyof Calls;

/** `verifier`: the verifier page. */
export type MakeAsk = { form: CaseForm; wanted: Wanted; verifier: Uint8Array<ArrayBuffer> };
export type NewReview = z.input<typeof newReviewSchema>;
