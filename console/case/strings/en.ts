/** What the case page says, in English. */
import type { EvidenceErrorCode } from "@kedge/cli/evidence/error";
import type { AuditFinding } from "@kedge/verify/audit/audit";
import { tellAuditFinding } from "@kedge/verify/audit/words";
import type { PackKind } from "@kedge/verify/pack/pack";
import { VERDICT_WORDS } from "@kedge/verify/proof/verdict-words";
import { dateIn } from "../dates.ts";
import type { EvidenceState } from "../evidence-state.ts";
import type { ColumnName, DISCREPANCIES, KeysBy, Progress } from "../messages.ts";
import type { FileKind } from "../recognise.ts";

const number = new Intl.NumberFormat("en");
const rows = (n: number) => (n === 1 ? "1 row" : `${number.format(n)} rows`);
const events = (n: number) => (n === 1 ? "1 event" : `${number.format(n)} events`);
const records = (n: number) => (n === 1 ? "1 record" : `${number.format(n)} records`);
const proofs = (n: number) => (n === 1 ? "1 proof" : `${number.format(n)} proofs`);

export const en = {
  number: (n: number) => number.format(n),
  title: "Prove records",
  lead: "Drop an export of your access log. What it says stays in this browser: only the commitments of its rows are sent, to fetch their proofs.",
  files: {
    title: "1. Log and files",
    log: "Log",
    noLog: "None: work with the files alone",
    drop: "Drop files or folders here",
    tooMany: (n: number) => `More than ${number.format(n)} files: drop fewer at a time.`,
    or: "or",
    choose: "Choose files",
    what: "An export (NDJSON, FHIR, CSV, delimited, XML), its records or your keyring; also proofs, manifests, the columns of tables (headers.ndjson), a policy with the keys of the logs, a certificate of a timestamping authority.",
    list: "Files given",
    isOf: (name: string) => `What ${name} is`,
    kinds: {
      events: "Export of events",
      records: "Records of the events",
      keys: "Keyring or tenant key",
      headers: "Columns of tables",
      proofs: "Proofs",
      manifests: "Manifests",
      policy: "Policy or keys of the logs",
      authority: "Timestamping authority",
    } satisfies Record<FileKind, string>,
    remove: "Remove",
    removeOf: (name: string) => `Remove ${name}`,
    passphrase: "Passphrase of the keyring, if it has one",
    passphraseHelp: "It is used in this browser, and sent nowhere.",
    chooseLog: "Choose the log",
    needsLog: "Choose the log that these events were sent to first.",
    needsEvents: "Give an export of events first.",
    needsOpening:
      "Give the records of these events, or your keyring as well: without them no row can be proven.",
    begin: "Prove the rows",
    again: "Read the files again",
    others:
      "What stands below is of the files and the log that were read before. For these, press “Read the files again”.",
    cancel: "Cancel",
    bytes: (n: number) =>
      n < 1_000
        ? `${n} B`
        : n < 1_000_000
          ? `${number.format(Math.round(n / 1_000))} KB`
          : `${number.format(Math.round(n / 100_000) / 10)} MB`,
  },
  progress: {
    stages: {
      reading: "Reading the export",
      opening: "Computing commitments",
      proofs: "Fetching and checking proofs",
      verifying: "Checking proofs",
      packing: "Making the evidence pack",
    } satisfies Record<Progress["stage"], string>,
    of: (done: number, total: number | undefined) =>
      total === undefined ? number.format(done) : `${number.format(done)} of ${number.format(total)}`,
  },
  errors: {
    cancelled: "Cancelled. What was there before is kept.",
    unreadable:
      "This file cannot be read: it is a folder, was moved, or was changed since it was chosen. Choose it again.",
    authority: "A certificate of a timestamping authority cannot be read: use the file as you got it.",
    keys_malformed:
      "This is neither a keyring nor a tenant key: use keyring.json or credentials.json as Kedge wrote it.",
    keys_sealed: "The keyring is sealed with a passphrase: enter it above, and try again.",
    keys_wrong_passphrase: "The passphrase does not open the keyring: enter it again.",
    keys_command:
      "A command of your organisation's holds the key of this keyring, and no browser can run it. Ask your engineer for the records of these events (kedge find --export), and give those.",
    policy: "The policy cannot be read: use the file as you got it.",
    no_records: "This line is no record of kedge commit: use the file as it was written.",
    no_proofs: "This line is no proof: use the file as it was written.",
    network: "The service cannot be reached.",
    unauthorized: "Your session has ended: sign in again.",
    forbidden: "You may not read this log: ask your administrator.",
    not_found: "The service does not know this log.",
    throttled: "The service is busy: try again in a minute.",
    server: "The service failed: try again in a minute.",
    invalid: "The service refused the question.",
    protocol: "The answer is not Kedge's.",
    pending: "Not sealed yet: try again shortly.",
    no_verifier:
      "The verifier page could not be loaded, and a pack holds one: try again once the service can be reached.",
    worker:
      "The page's worker stopped, perhaps for want of memory, and what it held is lost. Load the page again, and give fewer files at a time.",
    fault: "Something went wrong in this page, and nothing was sent. Reload it, and try again.",
  },
  files_problem: (file: string, message: string) => `${file}: ${message}`,
  /** Of what was given, or was to be made; its own message names the file and the line, and what to do. */
  evidence: (_: EvidenceErrorCode, message: string) => message,
  verdicts: VERDICT_WORDS.en.headlines,
  states: {
    altered: "does not match its record",
    refuted: "does not match its proof",
    unknown: "not known to the log",
    unopened: "no record or key for it",
    unasked: "proof not fetched",
    unverified: "proof cannot be checked",
    pending: "pending",
    sealed: "sealed",
    anchored: "anchored",
    witnessed: "witnessed",
    timestamped: "timestamped",
  } satisfies Record<EvidenceState, string>,
  found: {
    title: "2. What was found",
    summary: (n: number) => `${rows(n)} read.`,
    keys: {
      given: "Checked with the keys of the file that you gave.",
      service:
        "Checked with the keys that the service itself gave: this shows that proofs and service agree. For a case that is contested, give a policy file that you have from another source.",
      none: "No keys of the logs are known: nothing can be told yet. Give a policy file, or work with the service.",
    } satisfies Record<KeysBy, string>,
    stopped: (missing: number) => `${proofs(missing)} could not be fetched yet. What came before is kept.`,
    offline: (missing: number) => `${rows(missing)} without a proof.`,
    elsewhere:
      "The log knows none of these rows. Before anything else, check that you chose the log that they were sent to, and that the records are of this export. A keyring alone opens no events that a source numbered, as an agent does: give their records.",
    resume: "Go on",
    unopened: (n: number) =>
      `For ${events(n)} there is neither a record nor a key: whether ${n === 1 ? "it was" : "they were"} logged cannot be told. Give the ${n === 1 ? "record of this event" : "records of these events"}, or the keyring.`,
    unread: (n: number) =>
      `Of ${rows(n)} neither time, user nor patient can be read. No filter finds ${n === 1 ? "it" : "them"}: that nothing is found shows nothing. If ${n === 1 ? "it is" : "they are"} of a table, also give the file headers.ndjson that lies beside ${n === 1 ? "its record" : "their records"}: it says what the columns are.`,
    never: VERDICT_WORDS.en.notShown,
  },
  table: {
    title: "3. Rows",
    label: "Rows of the export",
    help: "Arrow keys move between rows, Enter opens one.",
    columns: {
      when: "When",
      user: "User",
      patient: "Patient or subject",
      action: "Action",
      recordType: "Record type",
      workstation: "Workstation",
      reason: "Reason",
      outcome: "Outcome",
      source: "Source",
      evidence: "Evidence",
    } satisfies Record<ColumnName, string>,
    /** In place of the heading, where a row is a card. */
    concerns: "Concerns",
    unreadable: "no time that can be read",
    mrn: (mrn: string) => `MRN ${mrn}`,
    printed: { gtin: "GTIN", sscc: "SSCC", lot: "lot", serial: "serial" },
    moreSubjects: (n: number) => `and ${number.format(n)} more`,
    count: (found: number, total: number) => `${number.format(found)} of ${rows(total)}`,
    counts: (unchanged: number, changed: number, untold: number) =>
      `${number.format(unchanged)} unchanged, ${number.format(changed)} changed or never logged, ${number.format(untold)} cannot be told yet`,
    none: "No row is left by these filters.",
    print: "Print these rows",
    printTooMany: (n: number) =>
      `Up to ${rows(n)} can be printed here: narrow the filters, or make the evidence pack.`,
    date: dateIn("en-GB"),
    sortBy: "Sort by",
    ascending: "ascending",
    descending: "descending",
    turnOrder: "Turn the order round",
    loading: "…",
  },
  filters: {
    title: "Filters",
    from: "From",
    to: "To, this day included",
    user: "User",
    patient: "Patient or MRN",
    action: "Action",
    recordType: "Record type",
    whole:
      "User, patient, action and record type: whole, as in the table. A part finds nothing; of an action with a colon, what stands before the colon will do.",
    breakTheGlass: "Break-the-glass only",
    sameSurname: "Same surname",
    afterHours: "After hours",
    hoursFrom: "After hours from",
    hoursTo: "to",
    list: "My list (names, logins or MRNs, one a line)",
    verdict: "Evidence",
    any: "Any",
    more: "My list, and products",
    gtin: "GTIN",
    lot: "Lot",
    serial: "Serial",
    clear: "Clear the filters",
    unreadable:
      "These filters are no question, so no row is shown: a period ends after it begins, hours are two times of the day, and a GTIN has 8, 12, 13 or 14 digits, of which the last is its check digit.",
    zone: (zone: string) => `Local times are of ${zone}; so are times in the export that name no zone.`,
  },
  detail: {
    titleOf: (n: number, of: number) => `Row ${number.format(n)} of ${number.format(of)}`,
    close: "Close",
    previous: "Previous row",
    next: "Next row",
    event: "The event, as it is in the export",
    cut: "Only its first megabyte is shown.",
    what: {
      altered:
        "By its name or its place there is a record of it, and it is not what that record was made of. Of the record there is no proof yet, so nothing shows which of the two was changed, or whether they belong together. See that the records are of this export and that the log is the right one, and go on with fetching.",
      unopened: "There is neither a record nor a key for this event: give its record, or the keyring.",
      unasked: "Its proof was not fetched yet: go on with fetching, or give the proofs as a file.",
    },
    more: "In detail",
    commitment: "Commitment",
    proof: "Download its proof",
    secret: "The proof holds the opening of this one event: give it only to who may see the event.",
    disclosure: "Disclosure (45 CFR 164.528)",
    recipient: "Recipient",
    address: "Address, if known",
    description: "What was disclosed, in brief",
    purpose: "Purpose",
    mark: "Mark as a disclosure",
    unmark: "Take the mark off",
    marked: "Marked as a disclosure",
  },
  gaps: {
    title: "Gaps in the numbering",
    lead: "What the numbers of each source, and its manifests, show.",
    none: "No numbers: nothing here says that a source counted these events, so a gap cannot be told.",
    complete: (source: string) => `${source}: complete, as its manifests count`,
    incomplete: (source: string) => `${source}: not complete`,
    untold: (source: string) => `${source}: cannot be told`,
    noManifest:
      "No manifest says how many events there were. Between the first and the last number of this export none is missing; what came before or after cannot be told. The manifests come from whoever runs the agent: give them here as well.",
    period: "Period",
    count: "Events counted",
    verdict: "Verdict",
    verdicts: { complete: "complete", incomplete: "not complete", untold: "cannot be told" },
    finding: (found: AuditFinding): string => tellAuditFinding(found).message,
  },
  pack: {
    title: "4. Hand over",
    lead: "An evidence pack holds the rows above with their proofs, the keys, a report and the verifier: who gets it needs nothing of ours.",
    kind: "What it is",
    kinds: {
      access: "Access report",
      disclosures: "Accounting of disclosures (only rows that you marked)",
      inspection: "Inspection (GxP)",
      trace: "Trace (DSCSA)",
    } satisfies Record<PackKind, string>,
    language: "Language of the report",
    languages: { en: "English", de: "Deutsch" },
    number: "Case number",
    requestedBy: "Requested by",
    reason: "Reason",
    preparedBy: "Prepared by",
    withhold: "Withhold patients: leave the events out, keep commitments and proofs",
    make: "Make the evidence pack",
    proofs: "Download all proofs",
    patient: "Page for the patient",
    patientHelp: "The page for the patient is of one patient: filter by the MRN first.",
    allVerdicts: "A pack has the rows of all verdicts: to leave some out would mislead who gets it.",
    made: (name: string, n: number, left: number) =>
      `${name} was made: ${rows(n)}.${left === 0 ? "" : ` It does not have ${rows(left)} for which there is neither a record nor a key.`}`,
    noRows: "There is no row to hand over: widen the filters.",
  },
  reconcile: {
    title: "Reconcile the export with its records",
    lead: "Which rows were changed, which the log does not know, and of which records the row is missing.",
    run: "Reconcile",
    none: "Every row is unchanged, and no record is without its row.",
    unchanged: (n: number) => `${rows(n)} unchanged.`,
    result: (n: number): string =>
      n === 0 ? "Reconciled: nothing was found." : "Reconciled: see what was found.",
    more: (n: number) => `And ${number.format(n)} more.`,
    is: {
      changed: (n: number) =>
        `${rows(n)} changed after ${n === 1 ? "it was" : "they were"} logged, or never logged like this`,
      notInLog: (n: number) =>
        `${rows(n)} that the log does not know: changed, never logged there, or not sent yet`,
      withoutRow: (n: number) => `${records(n)} without a row: left out of the export`,
      recordNotInLog: (n: number) => `${records(n)} without a row, and not in the log either`,
      recordCannotTell: (n: number) =>
        `${records(n)} without a row, of which it cannot be told yet whether the log has ${n === 1 ? "it" : "them"}: reconcile again once the service can be reached`,
      cannotTell: (n: number) => `${rows(n)} of which nothing can be told yet`,
      copies: (n: number) => `${rows(n)} twice in the export`,
      gap: (n: number) => `${n === 1 ? "1 gap" : `${number.format(n)} gaps`} in the numbering`,
    } satisfies Record<(typeof DISCREPANCIES)[number], (n: number) => string>,
  },
  review: {
    title: "5. Sign off a review",
    lead: "Keeps who reviewed which period under which filter, with how many rows and their root, one hash of them all. The review stays with you; only its commitment and counts are sent, and anchored like any event.",
    by: "Reviewed by",
    save: "Sign off and download",
    saved: (n: number) => `Signed off: ${rows(n)}. Keep the downloaded file: it opens what was anchored.`,
    needsLog: "Choose a log to sign off a review.",
    needsBy: "Enter who reviewed.",
    mayNot: "Your role does not sign off reviews: an officer's does.",
  },
};

export type Strings = typeof en;
