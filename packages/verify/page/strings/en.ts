/** The page in English. */

import type { AuditFinding } from "@kedge/verify/audit/audit";
import type { PeriodVerdict } from "@kedge/verify/audit/completeness";
import { tellAuditFinding } from "@kedge/verify/audit/words";
import type { FileFinding, PackKind } from "@kedge/verify/pack/pack";
import { VERDICT_WORDS } from "@kedge/verify/proof/verdict-words";
import type { VerifyReport } from "@kedge/verify/proof/verify";
import { tellReport } from "@kedge/verify/proof/words";
import type { NoReport } from "../check.ts";
import type { FileKind } from "../given.ts";

const number = new Intl.NumberFormat("en-US");
const plural = (n: number, one: string, many: string): string =>
  `${number.format(n)} ${n === 1 ? one : many}`;

/** What a report says in sentences. */
export type Told = { statements: string[]; caveats: string[]; failure?: string };
export type Step = "log" | "anchor" | "witnesses" | "timestamp";

const KINDS: Record<FileKind, string> = {
  event: "record",
  events: "records, one a line",
  proof: "proof",
  proofs: "proofs, one a line",
  records: "openings, one a line",
  opening: "opening",
  keys: "keys or policy",
  certificate: "timestamping certificate",
  pack: "evidence pack",
  ignored: "not used",
};

const PACKS: Record<PackKind, string> = {
  access: "Access report",
  disclosures: "Accounting of disclosures",
  inspection: "Inspection",
  trace: "Trace",
};

const WHY: Record<NoReport, string> = {
  no_proof: "Add its proof, a file that ends in .tlog-proof, or a file of proofs.",
  untried:
    "No proof has this record’s name, and too many were given to try them all. Give fewer records at a time, or add the file of openings.",
  no_event: "Add the record, exactly as it was handed over.",
  too_large: "It has more than 64 MiB, and no record is so large: see whether its lines were joined.",
};

const FINDINGS: Record<FileFinding["is"], string> = {
  changed: "was changed after the pack was made",
  missing: "is missing",
  unlisted: "was added after the pack was made",
  differs: "does not say what the rows of this pack say",
  other_version:
    "is made otherwise by this version than by the one that made the pack: compare it with that version",
};

const PERIODS: Record<PeriodVerdict, string> = {
  complete: "complete",
  incomplete: "incomplete",
  untold: "cannot be told",
};

const STEPS: Record<Step, string> = {
  log: "In the organisation’s signed log",
  anchor: "In the operator’s public log",
  witnesses: "Cosigned by witnesses",
  timestamp: "Timestamped from outside",
};

export const en = {
  name: "English",
  title: "Check records",
  lead: "Find out whether an audit record is what was logged. Everything happens in this page: no file leaves your computer, and nothing is stored.",
  language: "Language",
  working: (done: number, of: number) =>
    of === 0 ? "Checking…" : `Checking: ${number.format(done)} of ${number.format(of)}`,
  reading: "Reading the files…",
  number: (n: number) => number.format(n),
  bytes: (n: number) => plural(n, "byte", "bytes"),

  files: {
    title: "Files",
    drop: "Drop files here, or choose them",
    hint: "A record and its proof, several of them, or an evidence pack (.zip). Keys, a policy and timestamping certificates may be dropped here too.",
    choose: "Choose files",
    list: "Files that were given",
    taken: (name: string) => `What ${name} is`,
    kinds: KINDS,
    sha256: "SHA-256",
    remove: (name: string) => `Remove ${name}`,
    removeShort: "Remove",
    clear: "Remove all files",
    twoPacks: "One pack at a time is checked: the first. Remove it to check another.",
    unread: (name: string, why: string) => `${name} could not be used. ${why}`,
    tooLarge: "It could not be read: it may be too large for this browser, or it is a folder.",
    beyond:
      "It is larger than any file of the kind that it was taken for. Say below what it is, or give the record itself, or an evidence pack.",
  },

  keys: {
    title: "Keys",
    hint: "Paste the policy or the public keys that you were given. A result is worth as much as the keys: get them from somebody other than who gave you the records, such as an earlier contract, your own files, or several parties who agree. A Bitcoin block, for OpenTimestamps, has a line of its own: its height, a colon, and its header or merkle root in hexadecimal digits.",
    label: "Policy or public keys",
    none: "No keys yet. Without them nothing can be told.",
    given: "Keys in use, given by you",
    fromPack: "Keys in use, from the pack itself",
    fromPackMeans:
      "So far the result shows only that the pack agrees with itself: whoever made it could have made such keys too. Compare them with keys from another source, or paste those into the field for keys.",
    log: "log",
    anchor: "anchor log",
    witness: "witness",
    fingerprints:
      "Compare the SHA-256 of each key, as it is written in policy.txt: the short number after its name can be imitated.",
    leftOut: (names: readonly string[]) =>
      `Keys in these files do not count, for others stand in the field for keys: ${names.join(", ")}.`,
    quorum: (name: string) => `Witnesses needed: ${name}`,
    blocks: (n: number) => plural(n, "Bitcoin block", "Bitcoin blocks"),
    certificates: (n: number) => plural(n, "timestamping certificate", "timestamping certificates"),
    malformed: (why: string) => `These keys cannot be read. ${why}. Copy them again, whole.`,
    malformedCertificate: (name: string, why: string) =>
      `${name} is not a certificate that can be used. ${why}`,
  },

  words: VERDICT_WORDS.en,
  verdict: {
    many: {
      unchanged: (n: number) => `${plural(n, "record is", "records are")} unchanged.`,
      changed: (n: number, of: number) =>
        `${number.format(n)} of ${plural(of, "record", "records")} ${n === 1 ? "is" : "are"} not what was logged.`,
      withheld: (n: number) =>
        `${plural(n, "entry is", "entries are")} in the log as it was, and ${n === 1 ? "its record is" : "their records are"} withheld.`,
      untold: (n: number, of: number) =>
        `Of ${number.format(n)} of ${plural(of, "record", "records")} it cannot be told yet.`,
      files: (n: number) =>
        `${plural(n, "file of the pack is not as it was", "files of the pack are not as they were")} packed.`,
    },
    whys: WHY,
    failed: (why: string) =>
      `The check did not come to its end: this browser may lack the memory for it. Give fewer files at a time, or use another browser. (${why})`,
    tooMany: (max: number) =>
      `More than ${number.format(max)} lines were given, and no more are checked at once: give a part of them, or ask for an evidence pack.`,
    noKeys: "No keys were given. Paste the policy or the public keys into the field for keys.",
    limitsTitle: "What this does not show",
    limits: "What was never logged has no proof, and is not among what was checked.",
    left: (n: number) =>
      `${plural(n, "proof", "proofs")} among the files ${n === 1 ? "is" : "are"} of no record that you gave.`,
  },

  scanned: {
    title: "The report that you scanned",
    ofOne: "It speaks of this one record.",
    ofMany: "It rests on this tree of the log.",
    nothing:
      "The code on the paper proves nothing by itself: give the pack, or a record and its proof, and they are compared.",
    same: (where: string | undefined) =>
      where === undefined
        ? "The report that you scanned speaks of this record: place, entry and tree are the same."
        : `The report that you scanned speaks of a record that is among these: ${where}.`,
    sameTree: "The report that you scanned rests on the tree of the log that these records stand in.",
    other:
      "The report that you scanned speaks of something else than what was given here. Check that paper and files belong together.",
    log: "Log",
    index: "Place in the log",
    leaf: "Leaf hash",
    root: "Root of the tree",
    size: "Entries in the tree",
    evidence: "SHA-256 of EVIDENCE-SHA256",
  },

  details: {
    record: "What the record says",
    unreadable: "The format of this record is not known here. Its content is below.",
    content: "The record itself",
    cut: (shown: number, of: number) =>
      `The first ${number.format(shown)} of ${number.format(of)} bytes are shown.`,
    withheld: "The record is not here. Its entry in the log, and its proof, are.",
    how: "How far it is proven",
    steps: STEPS,
    shown: "shown",
    notShown: "not shown",
    found: "Everything the verifier found",
    proven: "Proven",
    notProven: "Not proven by this",
    technical: "For the expert",
    technicalHint:
      "How to compute these values with other tools is in the documentation, “Without our tools”.",
    term: {
      log: "Log",
      index: "Place in the log",
      size: "Entries in the tree",
      root: "Root of the tree, base64",
      commitment: "Commitment",
      leaf: "Leaf hash",
      mediaType: "Media type",
      canonicalisation: "Canonicalisation",
      source: "Source",
      sequence: "Number in the source",
      anchor: "Anchor log",
      anchorIndex: "Place in the anchor log",
      anchorSize: "Entries in its tree",
      anchorRoot: "Root of its tree, base64",
      signers: "Keys that signed",
      witnesses: "Witnesses that cosigned",
      times: "Signed times",
      timestamps: "Timestamps",
      code: "Failure",
    },
    columns: {
      when: "When",
      user: "User",
      patient: "Patient",
      action: "Action",
      recordType: "Record type",
      workstation: "Workstation",
      reason: "Reason",
      outcome: "Outcome",
      source: "Source",
      subjects: "Also named",
      disclosure: "Disclosure",
    },
  },

  table: {
    title: "Records",
    caption: (from: number, to: number, of: number) =>
      `Records ${number.format(from)} to ${number.format(to)} of ${number.format(of)}`,
    none: "No record has this verdict.",
    filter: "Show",
    all: "All",
    row: "No.",
    name: "Record",
    verdict: "Verdict",
    open: (n: string) => `Details of record ${n}`,
    details: "Details",
    pages: "Pages of the table",
    first: "First",
    previous: "Previous",
    next: "Next",
    last: "Last",
    line: (name: string, line: number) => `${name}, line ${number.format(line)}`,
    printed: (n: number, of: number) =>
      `Printed are these ${number.format(n)} of ${plural(of, "record", "records")}. The pack’s own report has all of them.`,
  },

  pack: {
    title: "The pack",
    kinds: PACKS,
    number: "Case number",
    requestedBy: "Requested by",
    reason: "Reason",
    preparedBy: "Prepared by",
    lookedFor: "Looked for",
    filter: {
      ...{ from: "from", to: "to before", user: "user", patient: "patient", action: "action" },
      ...{ recordType: "record type", breakTheGlass: "break-the-glass only", sameSurname: "same surname" },
      ...{ afterHours: "after hours", list: "any of", lot: "lot", serial: "serial number" },
    },
    everything: "every event",
    columns: "Not shown:",
    makersWord: "The case is the word of who made the pack: no proof is of it.",
    asOf: "As of",
    software: "Made with Kedge",
    lookedThrough: "Events looked through",
    rows: "Records in the pack",
    evidence: "SHA-256 of EVIDENCE-SHA256",
    evidenceHint: "It stands on each page of the report.",
    ownAuthorities:
      "Times from outside count by certificates that came with the pack: whoever made it could have made such an authority too. Compare them with the authority's own, or drop that here.",
    stampsNotChecked:
      "The proofs have timestamps, which were not checked: the certificates that came with the pack do not count beside keys of yours. Drop the authority’s own here.",
    withheld:
      "Records were left out of this pack for readers who may not see patients. Their proofs are here.",
    filesTitle: "Files of the pack",
    filesGood: "Every file agrees with the pack’s own lists, and those made anew here with its rows.",
    byOwnKeys:
      "Says what the pack’s own keys show. By yours it would say something else, as of times: go by this page.",
    notMadeAnew:
      "Compared with the pack’s own lists alone, for this page cannot make them anew: if these lists were changed too, it would not show here. The command kedge verify makes the report anew.",
    outsideFilter: (n: number, rows: string) =>
      `Not what the pack says was looked for: ${plural(n, "record", "records")} (no. ${rows}).`,
    otherTimes: (n: number, zone: string) =>
      `Local times are by the offsets that the pack states. For ${plural(n, "record", "records")} this browser has another offset of ${zone}: a rule was changed, its data or the maker’s is old, or the pack states it wrongly. Go by UTC, and where an event says no offset, by what it says.`,
    zoneNotKnown: (zone: string) =>
      `Local times are by the offsets that the pack states: this browser does not know ${zone}, and could not compare them.`,
    maker: "What the maker of the pack says of all that was looked through. It is the maker’s word.",
    findings: FINDINGS,
    sourcesTitle: "Is anything missing?",
    sourcesNone:
      "The pack has no manifests, so it cannot be told from the numbering whether records are missing.",
    sourcesHint:
      "Complete means: every event that the sender was given in that time is in this pack. What a system never handed over has no number.",
    periods: PERIODS,
    period: "Period",
    events: "Events",
    numbers: "Numbers",
    result: "Result",
    source: (name: string) => `Source ${name}`,
    more: (n: number) => `${plural(n, "more period", "more periods")} not listed here.`,
    others: (n: number) => `${number.format(n)} more, not listed here.`,
    broken: (why: string) =>
      `This pack cannot be read: ${why.replace(/\.$/, "")}. It was cut, changed, or is another zip. Ask for it again.`,
  },

  print: "Print or save as PDF",
  footer: {
    version: (version: string) => `Kedge verifier page ${version}.`,
    same: "It uses the same verifier as the command kedge-verify. What the command does beside: open a record with the key of who logged it, and demand how far a proof must go (--require); here its details say how far it goes. Whether this file is the genuine page: compare its SHA-256 with one from somebody else.",
    licences: "Software in this page, and its licences",
  },

  tell: (report: VerifyReport): Told => {
    const { statements, caveats, failure } = tellReport(report);
    return { statements, caveats, ...(failure && { failure: failure.message }) };
  },
  finding: (finding: AuditFinding): string => tellAuditFinding(finding).message,
};

/** What a language has; each has a file of its own. */
export type Strings = typeof en;
