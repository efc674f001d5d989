/** From opened events and their proofs to an evidence pack. The same input makes the same bytes. Runs in a browser. */

import { EventError } from "@kedge/verify/events/error";
import type { Header } from "@kedge/verify/events/formats/header";
import { PackError } from "@kedge/verify/pack/error";
import { folded } from "@kedge/verify/pack/filter";
import type { Disclosure, JudgedPack, PackCase, PackFilter } from "@kedge/verify/pack/pack";
import { keysOfPolicy, POLICY } from "@kedge/verify/pack/read";
import { type Clock, instantOf, localText } from "@kedge/verify/pack/time";
import { type PackParts, type RowPart, writePack } from "@kedge/verify/pack/write";
import { withOpening } from "@kedge/verify/proof/extra";
import { openVerifier } from "@kedge/verify/proof/verify";
import { TlogError } from "@kedge/verify/tlog/error";
import { reportPdf } from "../report/pdf.ts";
import { completenessOf, isManifest, provenIndex, type Verify } from "./completeness.ts";
import { EvidenceError } from "./error.ts";
import { clockOf, rowFilter } from "./filter.ts";
import { commitsOf } from "./open.ts";
import type { Commits, OpenedEvent, Proofs } from "./types.ts";

/** What the officer says; what is made of the rows is not in it. */
export type CaseInput = Omit<PackCase, "v" | "offsets" | "asOf" | "software" | "headers" | "lookedThrough">;

export type PackInput = {
  /** All that were looked through, settled (`settleEvents`), manifests among them. Their order does not matter. */
  events: readonly OpenedEvent[];
  proofs: Proofs;
  /** c2sp.org/tlog-policy, with the keys of the tenants' logs. */
  policy: string;
  /** Certificates of timestamping authorities, PEM. */
  authorities?: readonly string[];
  case: CaseInput;
  /** By commitment: the rows that the officer marked. Of an accounting of disclosures, and of nothing else. */
  disclosures?: ReadonlyMap<string, Disclosure>;
  /** The bytes of `verify.html`. */
  page: Uint8Array;
};

export type MadePack = {
  zip: Uint8Array;
  judged: JudgedPack;
  /** Rows in the case that no record and no key opens: nothing can be shown of them, and the pack does not have them. */
  unopened: readonly OpenedEvent[];
  /** Manifests whose proofs show nothing under the keys of the pack: they do not count, and the pack does not have them. */
  unproven: readonly OpenedEvent[];
};

export type MakeOptions = {
  /** In place of the report, for who does not look at it. */
  makeReport?: (judged: JudgedPack) => Promise<Uint8Array>;
  /** Told the share that is done, from 0 to 1. */
  onProgress?: (share: number) => void;
  signal?: AbortSignal;
};

/** Throws EvidenceError `filter`, `disclosure`, `case`, `proofs`, `too_large`. */
export async function makePack(
  input: PackInput,
  { makeReport = reportPdf, ...options }: MakeOptions = {},
): Promise<MadePack> {
  const { kind, zone, withheld } = input.case;
  const clock = clockOf(zone);
  checkKind(input.case);
  const { disclosures } = input;
  if ((disclosures !== undefined) !== (kind === "disclosures")) {
    throw new EvidenceError("disclosure", DISCLOSURES_ALONE);
  }
  if (disclosures !== undefined && withheld !== undefined) throw new EvidenceError("case", NOT_WITHHELD);
  const all = input.events.filter((event) => !isManifest(event));
  const { opened, unopened } = inScope(all, input.case, clock);
  const rows = disclosures === undefined ? opened : marked(opened, disclosures, clock);
  if (withheld !== undefined) checkTexts(input.case, all);
  const headers = withheld === undefined ? headersOf(rows) : [];
  const verify = verifierOf(input.policy);
  const { manifests, unproven } = manifestParts(input, verify);
  const parts: PackParts = {
    case: {
      ...{ ...input.case, filter: packFilter(input.case, clock), zone, headers },
      lookedThrough: countDistinct(all),
    },
    rows: partsOf(rows, input, headers),
    policy: input.policy,
    ...(input.authorities === undefined ? {} : { authorities: input.authorities }),
    manifests,
    export: completenessOf(input.events, input.proofs, verify),
    page: input.page,
  };
  try {
    return { ...(await writePack(parts, { ...options, makeReport })), unopened, unproven };
  } catch (cause) {
    if (!(cause instanceof PackError)) throw cause;
    const code = cause.code === "too_large" ? "too_large" : "case";
    throw new EvidenceError(code, cause.message, { file: cause.file, cause });
  }
}

const DISCLOSURES_ALONE =
  "An accounting of disclosures is of the rows that were marked as such, and only it has marks: give them, or make another report";
const NOT_WITHHELD =
  "An accounting of disclosures is for the person that it is about: it cannot leave patients out";

// ---- the case -----------------------------------------------------------------------------------------------------

function checkKind({ kind, filter }: CaseInput): void {
  const { from, to, gtin, lot, serial } = filter;
  if (kind === "trace" && (gtin ?? lot ?? serial) === undefined) {
    throw new EvidenceError("filter", "A trace is of a GTIN, a lot or a serial number: name one");
  }
  if (kind === "inspection" && (from === undefined || to === undefined)) {
    throw new EvidenceError("filter", "An inspection is of a period: name its beginning and its end");
  }
}

const TEXTS = {
  number: "case number",
  requestedBy: "name of who asked",
  reason: "reason",
  preparedBy: "name of who prepared it",
  action: "action that is looked for",
  recordType: "record type that is looked for",
} as const;

/** A pack that leaves patients out does not name one in the words of its case either: some systems name them in an action. */
function checkTexts({ filter, ...about }: CaseInput, events: readonly OpenedEvent[]): void {
  const named = new Set([filter.patient, ...(filter.list ?? [])]);
  for (const { columns } of events) named.add(columns.patient?.name).add(columns.patient?.mrn);
  const patients = [...named]
    .flatMap((name) => (name === undefined ? [] : [wordsIn(idOf(name))]))
    .filter(isTelling);
  const { number, requestedBy, reason, preparedBy } = about;
  const { action, recordType } = filter;
  const texts = { number, requestedBy, reason, preparedBy, action, recordType };
  for (const field of ["number", "requestedBy", "reason", "preparedBy", "action", "recordType"] as const) {
    const said = new Set(wordsIn(texts[field] ?? ""));
    if (said.size === 0 || !patients.some((words) => words.every((word) => said.has(word)))) continue;
    const what = `The ${TEXTS[field]} names a patient, and this pack leaves patients out`;
    throw new EvidenceError("case", `${what}: say it without a patient's name or number`);
  }
}

const wordsIn = (text: string): string[] =>
  folded(text)
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== "");

/** So short a number or word may be a part of anything, as of a case number. */
const isTelling = (words: readonly string[]): boolean => /^(?=.*\p{L}).{4,}$|^.{5,}$/u.test(words.join(""));

/** Of a FHIR reference. */
const idOf = (mrn: string): string => mrn.replace(/^.*\bPatient\//, "");

/** Times with their offset; no patient's name where patients are left out, nor the user's who has the same surname. */
function packFilter({ filter, withheld, language }: CaseInput, clock: Clock): PackFilter {
  const { from, to, user, patient, list, ...others } = filter;
  const word = language === "de" ? "zurückgehalten" : "withheld";
  const isTold = withheld === undefined;
  return {
    ...(from === undefined ? {} : { from: withOffset(from, clock) }),
    ...(to === undefined ? {} : { to: withOffset(to, clock) }),
    ...others,
    ...(user === undefined ? {} : { user: isTold || !filter.sameSurname ? user : word }),
    ...(patient === undefined ? {} : { patient: isTold ? patient : word }),
    ...(list === undefined ? {} : { list: isTold ? list : [word] }),
  };
}

/** What `rowFilter` has read. */
function withOffset(time: string, clock: Clock): string {
  const ms = instantOf(time, clock) ?? 0;
  const fraction = new Date(ms).toISOString().slice(19, -1).replace(".000", "");
  return localText(ms, clock).replace(/(?=[+-]\d\d:\d\d$)/, fraction);
}

// ---- the rows -----------------------------------------------------------------------------------------------------

/** A row with its commitment; of one that was changed, that of the record which was its own. */
type Row = { event: OpenedEvent; commits: Commits; at: number };

/** Each commitment once, in the order of the events' times; those without a time come last. */
function inScope(
  events: readonly OpenedEvent[],
  { filter, zone }: CaseInput,
  clock: Clock,
): { opened: Row[]; unopened: OpenedEvent[] } {
  const isIn = rowFilter(filter, zone);
  const rows = new Map<string, Row>();
  const unopened: OpenedEvent[] = [];
  for (const event of events) {
    if (!isIn(event)) continue;
    const commits = commitsOf(event);
    if (commits === undefined) {
      unopened.push(event);
      continue;
    }
    const row = { event, commits, at: instantOf(event.columns.when, clock) ?? Number.POSITIVE_INFINITY };
    const other = rows.get(commits.commitment);
    if (other === undefined || isBefore(row, other)) rows.set(commits.commitment, row);
  }
  const opened = [...rows.values()].toSorted((a, b) => (isBefore(a, b) ? -1 : 1));
  return { opened, unopened };
}

/** An order that is the same whatever files the rows came from. */
function isBefore(a: Row, b: Row): boolean {
  if (a.at !== b.at) return a.at < b.at;
  if (a.commits.commitment !== b.commits.commitment) return a.commits.commitment < b.commits.commitment;
  // Of two that claim one record, the one that it opens.
  if ((a.event.commitment === undefined) !== (b.event.commitment === undefined)) {
    return a.event.commitment !== undefined;
  }
  return textOf(a.event) < textOf(b.event);
}

const latin1 = new TextDecoder("latin1");
const textOf = ({ bytes, header }: OpenedEvent): string =>
  `${latin1.decode(bytes)}\0${JSON.stringify(header)}`;

function countDistinct(events: readonly OpenedEvent[]): number {
  const seen = new Set<string>();
  let others = 0;
  for (const event of events) {
    const commits = commitsOf(event);
    if (commits === undefined) others += 1;
    else seen.add(commits.commitment);
  }
  return seen.size + others;
}

/** In the order of the rows that they stand above first. */
function headersOf(rows: readonly Row[]): Header[] {
  const headers = new Map<string, Header>();
  for (const { event } of rows)
    if (event.header !== undefined) headers.set(keyOf(event.header), event.header);
  return [...headers.values()];
}

const keys = new WeakMap<Header, string>();

function keyOf(header: Header): string {
  const known = keys.get(header) ?? JSON.stringify(header);
  keys.set(header, known);
  return known;
}

function* partsOf(
  rows: readonly Row[],
  { proofs, disclosures, case: { withheld } }: PackInput,
  headers: readonly Header[],
): Generator<RowPart> {
  const places = new Map(headers.map((header, place) => [keyOf(header), place]));
  for (const { event, commits } of rows) {
    const { commitment, opening } = commits;
    const known = proofs.get(commitment);
    if (known === undefined) throw new EvidenceError("proofs", NOT_ASKED);
    const disclosure = disclosures?.get(commitment);
    const place = event.header && places.get(keyOf(event.header));
    yield {
      commitment,
      ...(known.proof === undefined ? { noProof: known.noProof } : { proof: opened(known.proof, commits) }),
      ...(withheld === undefined && {
        event: { bytes: event.bytes, mediaType: opening.mediaType, opening },
      }),
      ...(withheld === undefined && place !== undefined && { header: place }),
      ...(disclosure && { disclosure }),
    };
  }
}

const NOT_ASKED =
  "There are rows in the case whose proofs were not asked for: fetch the proofs of all of them, and make the pack again";

/** With the opening by which the row was found: the proof may have come with another, or with none. */
function opened(proof: string, { opening }: Commits): string {
  try {
    return withOpening(proof, opening);
  } catch (error) {
    // What cannot be read is packed as it is, and judged so.
    if (error instanceof TlogError || error instanceof EventError) return proof;
    throw error;
  }
}

// ---- disclosures --------------------------------------------------------------------------------------------------

/** 45 CFR 164.528(b)(2): the date, which is the event's; to whom; what; why. */
function marked(rows: readonly Row[], marks: ReadonlyMap<string, Disclosure>, clock: Clock): Row[] {
  const found = rows.filter(({ commits }) => marks.has(commits.commitment));
  if (marks.size === 0)
    throw new EvidenceError("disclosure", "No row is marked as a disclosure: mark those that are");
  if (found.length < marks.size) {
    const what = `${marks.size - found.length} of the rows that are marked as disclosures are not in the case`;
    throw new EvidenceError("disclosure", `${what}: widen the period and the filter, or take the marks away`);
  }
  for (const { event, commits } of found) checkMark(event, marks.get(commits.commitment), clock);
  return found;
}

function checkMark({ columns, file, line }: OpenedEvent, mark: Disclosure | undefined, clock: Clock): void {
  const missing = (["recipient", "description", "purpose"] as const).filter((field) => !mark?.[field].trim());
  const what = [
    ...missing.map((field) => FIELDS[field]),
    ...(instantOf(columns.when, clock) === undefined ? ["a date, which its event does not say"] : []),
  ];
  if (what.length === 0) return;
  const place = line === undefined ? file : `${file}, line ${line},`;
  throw new EvidenceError(
    "disclosure",
    `The disclosure of ${place} lacks ${what.join(", ")}: 45 CFR 164.528(b)(2) wants it`,
    { file, line },
  );
}

const FIELDS = {
  recipient: "who received it",
  description: "what was disclosed",
  purpose: "the purpose",
} as const;

// ---- manifests ----------------------------------------------------------------------------------------------------

/** The verifier of who judges the pack by its own keys. */
function verifierOf(policy: string): Verify {
  try {
    return openVerifier(keysOfPolicy(policy));
  } catch (cause) {
    if (!(cause instanceof TlogError)) throw cause;
    throw new EvidenceError("case", `${POLICY} cannot be read: ${cause.message}`, { file: POLICY, cause });
  }
}

/** Of each source in the order of their numbers. Those that have no proof yet show nothing, and are not told of. */
function manifestParts(
  { events, proofs }: PackInput,
  verify: Verify,
): { manifests: NonNullable<PackParts["manifests"]>; unproven: OpenedEvent[] } {
  const found = new Map<string, { source: string; sequence: bigint; bytes: Uint8Array; proof: string }>();
  const unproven: OpenedEvent[] = [];
  for (const event of events) {
    const commits = commitsOf(event);
    if (!isManifest(event) || commits === undefined) continue;
    const proof = proofs.get(commits.commitment)?.proof;
    const { source = "", sequence = "0" } = commits.opening;
    if (proof === undefined) continue;
    if (provenIndex(event, proofs, verify) === undefined) {
      unproven.push(event);
      continue;
    }
    found.set(commits.commitment, {
      ...{ source, sequence: BigInt(sequence), bytes: event.bytes },
      proof: opened(proof, commits),
    });
  }
  const manifests = [...found]
    .map(([commitment, manifest]) => ({ commitment, ...manifest }))
    .toSorted((a, b) =>
      a.source === b.source ? Number(a.sequence - b.sequence) : a.source < b.source ? -1 : 1,
    )
    .map(({ commitment, bytes, proof }) => ({ commitment, bytes, proof }));
  return { manifests, unproven };
}
