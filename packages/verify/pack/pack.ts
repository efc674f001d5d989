/**
 * The evidence pack: a zip that one side hands to the other, with all that it takes to verify it alone. These are its parts
 * as values; read.ts and write.ts are the zip, judge.ts says what holds.
 *
 * In the zip:
 *
 *     README.txt           what this is, and how to check it with other people's tools
 *     case.json            PackCase
 *     rows.ndjson          PackRow, one a line, in the order of the report
 *     events/lines.ndjson  events that are one line, exact bytes; others are files of their own, events/<n>.<ext>
 *     proofs.ndjson        ProofLine, one a row; a row that is not withheld has its opening in its proof
 *     policy.txt           keys of the log and of the anchor log, witnesses and quorum (c2sp.org/tlog-policy)
 *     checkpoints/…        the signed tree heads of the proofs, as text
 *     tsa/*.pem            certificates of timestamping authorities, where the proofs have timestamps
 *     manifests/…          events.ndjson and proofs.ndjson of the sources' manifests, where there are any
 *     gaps.json            what the numbering shows, per source: of what is in the pack, and of all that was looked through
 *     report.csv           the table
 *     verify.html          the verifier page
 *     EVIDENCE-SHA256      SHA-256 of every file above, as `sha256sum` writes it; its own SHA-256 stands on each page of the report
 *     report.pdf           the report
 *     SHA256SUMS           SHA-256 of every file above
 */

import type { SourceCompleteness } from "../audit/completeness.ts";
import type { Columns } from "../events/formats/columns.ts";
import type { Header } from "../events/formats/header.ts";
import type { Keys } from "../proof/keys.ts";
import type { RecordVerdict } from "../proof/verdict.ts";
import type { RecordFacts } from "../proof/verdict-words.ts";
import type { VerifyReport } from "../proof/verify.ts";
import type { Cert } from "../time/x509.ts";
import type { Offset } from "./time.ts";
import type { ZipFile } from "./zip.ts";

/** An access report, an accounting of disclosures (45 CFR 164.528), an inspection (GxP), a trace (DSCSA). */
export const PACK_KINDS = ["access", "disclosures", "inspection", "trace"] as const;
export type PackKind = (typeof PACK_KINDS)[number];

export const LANGUAGES = ["en", "de"] as const;
export type Language = (typeof LANGUAGES)[number];

/** What was looked for: each member that is there narrows. Times are of the events' own, RFC 3339; `to` is not in it. */
export type PackFilter = {
  from?: string;
  to?: string;
  user?: string;
  patient?: string;
  action?: string;
  recordType?: string;
  breakTheGlass?: true;
  /** User and patient have the same surname. */
  sameSurname?: true;
  /** Local times of the day, `HH:MM`: the hours looked for, which may go past midnight. */
  afterHours?: { from: string; to: string };
  /** Names, logins or MRNs. */
  list?: readonly string[];
  gtin?: string;
  lot?: string;
  serial?: string;
};

/** `case.json`. Texts are the officer's; each may be absent. */
export type PackCase = {
  v: 1;
  kind: PackKind;
  language: Language;
  number?: string;
  requestedBy?: string;
  reason?: string;
  preparedBy?: string;
  filter: PackFilter;
  /** IANA name of the zone that local times are in. */
  zone: string;
  /** Its offsets, as whoever made the pack had them, at the times that stand in it: all local times of the pack are by these. */
  offsets: readonly Offset[];
  /** RFC 3339: the newest time that any proof in the pack shows. It is the date of the document. */
  asOf: string;
  /** Version of Kedge that made it. */
  software: string;
  /** What stood above the rows of delimited files; rows name theirs by its place here. */
  headers: readonly Header[];
  /** Rows whose events are left out, for readers who may not see patients: commitment and proof stay. */
  withheld?: "patients";
  /** How many events were looked through. */
  lookedThrough: number;
};

/** 45 CFR 164.528(b)(2): recipient and address, what was disclosed, why; the date is the event's. Of rows that the officer marked. */
export type Disclosure = { recipient: string; address?: string; description: string; purpose: string };

/** A line of `rows.ndjson`. */
export type PackRow = {
  /** Lower-case hex. */
  commitment: string;
  /** Path in the zip; absent when the event is withheld, or no longer there. */
  event?: string;
  /** In a file of lines, from 1. */
  line?: number;
  /** Place in `headers`. */
  header?: number;
  disclosure?: Disclosure;
  /** Of a row that has no proof yet: why. */
  noProof?: "pending" | "unknown";
};

/** A file of a pack, as it lies in the zip: what it holds is made of that each time that it is asked for. */
export type PackFile = Pick<ZipFile, "size" | "chunks" | "bytes">;
/** All files of a pack by their paths. */
export type PackFiles = ReadonlyMap<string, PackFile>;

/** A pack that was read, of which nothing has been verified. */
export type Pack = {
  readonly files: PackFiles;
  readonly case: PackCase;
  readonly rows: readonly PackRow[];
  /** `policy.txt`. */
  readonly policy: string;
  /** The keys in it. */
  readonly keys: Keys;
  /** `tsa/*.pem`. */
  readonly authorities: readonly Cert[];
};

/** A row as it was judged. */
export type JudgedRow = PackRow & {
  /**
   * Of a row whose event the whole pack withholds, it is said of the entry in the log alone: never say of such a row that
   * the record is what was logged (`isWithheld`).
   */
  verdict: RecordVerdict;
  /** Absent where there is no proof. */
  report?: VerifyReport;
  /** What the event says; absent when it is withheld or cannot be read. */
  columns?: Columns;
};

/** The event was left out of the pack on purpose: what it says cannot be told from here, only that it has an entry. */
export const isWithheld = ({ case: { withheld } }: Pick<JudgedPack, "case">, { event }: PackRow): boolean =>
  withheld !== undefined && event === undefined;

/** What the verdict on a row rests on, for verdict-words.ts. */
export function factsOf(judged: Pick<JudgedPack, "case">, row: JudgedRow): RecordFacts {
  const { verdict, report, noProof, event, columns } = row;
  const isHere = event !== undefined && (columns !== undefined || report?.opening !== undefined);
  const record = isWithheld(judged, row) ? "withheld" : isHere || report?.failure ? undefined : "absent";
  return { verdict, ...(report && { report }), ...(noProof && { noProof }), ...(record && { record }) };
}

/**
 * What is wrong with a file. A pack with any of the first four was changed after it was made.
 *
 * - `changed`: it is not the one that was packed
 * - `missing`: it was packed, and is not there
 * - `unlisted`: it is there, and was not packed, or nothing names it
 * - `differs`: it is made of other parts of the pack, and they make another
 * - `other_version`: it is not what these parts make of it here, and another version has made it: that one must compare it. This
 *   alone does not show that it was changed
 */
export type FileFinding = {
  file: string;
  is: "changed" | "missing" | "unlisted" | "differs" | "other_version";
};

/** Rows by what was found. Those that are withheld are not among the unchanged. */
export type RowCounts = {
  total: number;
  unchanged: number;
  changed: number;
  untold: number;
  withheld: number;
};

/**
 * What the maker of the pack says that the numbering shows of all that was looked through. It is the maker's word: the pack
 * holds a part of it.
 */
export type MakerStatement = { sources: readonly SourceCompleteness[] };

export type JudgedPack = {
  /** Of the whole: the worst of its rows and files. */
  verdict: RecordVerdict;
  case: PackCase;
  rows: readonly JudgedRow[];
  counts: RowCounts;
  files: readonly FileFinding[];
  /** Files that could only be held against the pack's own lists, as who judges cannot make them anew: in these two, a change of the lists too would not show. */
  notMadeAnew: readonly string[];
  /**
   * Files that say what the pack's own keys and authorities show, and would say something else by those that were given, as an
   * earlier time or a complete hour. None is counted as changed, and none is vouched for.
   */
  byOwnKeys: readonly string[];
  /**
   * Numbers, from 1, of rows that are proven and that the case's own filter leaves out. Rows of which nothing can be read here
   * are not held against it, nor any against names that the pack withholds.
   */
  outsideFilter: readonly number[];
  /** Of how many rows the local time is another by the time zone data of who judges. That is no finding: data changes. */
  otherLocalTimes: number | "zone not known";
  /**
   * What the numbering shows, by what is in the pack. Where the pack is a selection, a period whose events are not all in it
   * is `untold`, never `incomplete`.
   */
  sources: readonly SourceCompleteness[];
  /** Whether there is more than the pack shows the numbers of: more was looked through, or rows are withheld or without a proof. */
  isSelection: boolean;
  /** Absent where the maker had no more than is in the pack. */
  maker?: MakerStatement;
  /** Whether the keys were pinned by who judges, or are those that came with the pack. */
  keys: "given" | "pack";
  /** The same of the timestamping authorities; `none` also where keys were given, and no authority. */
  authorities: "given" | "pack" | "none";
  /** The policy's text, as it was used. */
  policy: string;
  /** The signed tree heads of the proofs, as text, by their paths; the first MAX_CHECKPOINTS of them. */
  checkpoints: readonly { file: string; text: string }[];
  /** How many there are in the pack. */
  checkpointCount: number;
  /** SHA-256 of EVIDENCE-SHA256, lower-case hex: what stands on each page of the report. */
  evidence: string;
};

/** Of the most that are shown: a pack has one or two for each time that proofs were fetched. */
export const MAX_CHECKPOINTS = 64;
