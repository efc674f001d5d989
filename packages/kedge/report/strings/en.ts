/** What the report says, in English. `de.ts` has the same in German. */
import type { PeriodVerdict } from "@kedge/verify/audit/completeness";
import type { PackFilter, PackKind } from "@kedge/verify/pack/pack";

const numbers = new Intl.NumberFormat("en");
const n = (count: number): string => numbers.format(count);
const records = (count: number): string => (count === 1 ? "1 record" : `${n(count)} records`);
/** Of several kinds of record, "the record" would be any. */
function unchangedOf(count: number, isAll: boolean): string {
  if (!isAll) return `${records(count)} ${count === 1 ? "is" : "are"}`;
  return count === 1 ? "The record is" : `Each of the ${records(count)} is`;
}

export const en = {
  lang: "en",
  kinds: {
    access: "Access report",
    disclosures: "Accounting of disclosures",
    inspection: "Audit trail for inspection",
    trace: "Trace of a product",
  } satisfies Record<PackKind, string>,
  /** What the document is, in a sentence under its title. */
  about: {
    access:
      "Accesses that the audit trail records, each with what shows that its record was not changed since.",
    disclosures:
      "Disclosures of protected health information that the officer marked (45 CFR 164.528(b)(2)): date, recipient, what was disclosed and why. Disclosures for treatment, payment and health care operations are not part of an accounting (164.528(a)(1)(i)).",
    inspection:
      "The audit trail of the period, each entry with what shows that its record was not changed since.",
    trace:
      "Events that the audit trail records of a product, by GTIN, lot or serial number, each with what shows that its record was not changed since.",
  } satisfies Record<PackKind, string>,
  title: (kind: string, number: string | undefined) =>
    number === undefined ? kind : `${kind} – case ${number}`,
  number: n,
  whole: (file: string) => `cut here: ${file} has the whole`,

  /** Of the whole. `by`: when all of them were in the log. */
  verdict: {
    unchanged: (count: number, isAll: boolean, by: string | undefined, isBytes: boolean) =>
      `${unchangedOf(count, isAll)}, byte for byte${isBytes ? "" : " or, of canonicalised JSON (RFC 8785), value for value"}, what was logged${by === undefined ? ". No time is shown." : ` at or before ${by}.`}`,
    changed: (count: number) =>
      `${count === 1 ? "1 record is not what was logged, or was" : `${records(count)} are not what was logged, or were`} never logged. The table says which.`,
    untold: (count: number) =>
      `Of ${records(count)} it cannot be told yet. The table says which, and what to do about it.`,
    withheld: (count: number, by: string | undefined) =>
      `${count === 1 ? "Of 1 record" : `Of ${records(count)}`} only the entry is shown, the record is left out: ${count === 1 ? "it is" : "each is"} in the log as it was${by === undefined ? ", and no time is shown" : `, at or before ${by}`}.`,
    none: "No record was found: there is nothing to prove.",
    files: (count: number) =>
      `${count === 1 ? "1 file" : `${n(count)} files`} of the evidence pack ${count === 1 ? "is" : "are"} not as packed: see “Files of the pack”.`,
  },

  case: {
    heading: "Case",
    number: "Case number",
    requestedBy: "Asked for by",
    reason: "Why",
    preparedBy: "Prepared by",
    period: "Period",
    filter: "Looked for",
    lookedThrough: "Events looked through",
    found: "Rows found",
    proven: "Proven unchanged",
    notProven: "Not proven",
    notProvenOf: (changed: number, untold: number) =>
      changed + untold === 0
        ? "0"
        : `${n(changed + untold)} (${n(changed)} changed, or never logged; ${n(untold)} cannot be told yet)`,
    withheld: "Left out",
    withheldOf: (count: number) =>
      `What ${count === 1 ? "1 record says" : `${records(count)} say`} is left out, for readers who may not see patients. Commitment and proof are there, and verify.`,
    asOf: "As of",
    asOfOf: (time: string) => `${time}: the newest time that any proof shows`,
    evidence: "Evidence, SHA-256",
    evidenceOf: "of the file EVIDENCE-SHA256 of the pack; it stands on each page",
    notSaid: "not said",
  },
  period: {
    all: "all that was given",
    between: (from: string | undefined, to: string | undefined, zone: string) =>
      `${[...(from === undefined ? [] : [`from ${from}`]), ...(to === undefined ? [] : [`before ${to}`])].join(", ")} (${zone})`,
    own: "by the events’ own times",
  },
  filter: {
    all: "every event of the period",
    user: (text: string) => `user ${text}`,
    patient: (text: string) => `patient ${text}`,
    action: (text: string) => `action ${text}`,
    recordType: (text: string) => `record type ${text}`,
    breakTheGlass: "break-the-glass only",
    sameSurname: "user and patient have the same surname",
    afterHours: ({ from, to }: NonNullable<PackFilter["afterHours"]>) =>
      `outside ${from} to ${to}, local time`,
    list: (texts: readonly string[], more: number) =>
      `any of this list: ${texts.join(", ")}${more > 0 ? ` and ${n(more)} more (case.json has all)` : ""}`,
    gtin: (text: string) => `GTIN ${text}`,
    lot: (text: string) => `lot ${text}`,
    serial: (text: string) => `serial number ${text}`,
  },

  completeness: {
    heading: "Completeness: what the numbering shows",
    about:
      "Each source numbers its events, and a manifest, committed hour by hour, says which numbers there are. That is held against the events in this pack.",
    maker: "The maker’s word, for all that was looked through",
    makerAbout:
      "The pack holds the events in scope, not all that were looked through. What follows is what whoever made the pack says of all of them; it cannot be checked from the pack.",
    none: "No record that is shown in this pack has a number. Whether events are missing cannot be told.",
    source: "Source",
    period: "Period",
    numbers: "Numbers",
    verdict: "What is shown",
    noPeriods: "no manifest",
    verdicts: {
      complete: "Complete: every number is there.",
      incomplete: "Not complete: see below.",
      untold: "Cannot be told: not every event of this time is there, or its manifest cannot be relied on.",
    } satisfies Record<PeriodVerdict, string>,
    missing: (source: string, first: string, last: string) =>
      first === last
        ? `${source}: number ${first} is missing.`
        : `${source}: numbers ${first} to ${last} are missing.`,
    finding: (source: string, code: string, where: string) => `${source}: ${code}${where}.`,
    findings: {
      sequence_repeated: "two events or more have one number",
      gap_seen: "the agent noted that something is missing",
      manifest_missing: "there is no manifest",
      manifest_repeated: "there is a second manifest, which does not count",
      manifest_chain: "a manifest does not follow the one before it",
      manifest_numbers: "a manifest does not go on where the one before it ended",
      manifest_root: "a manifest counts other events than were given",
      manifest_late: "a manifest came into the log late",
      manifest_malformed: "what was committed as a manifest is none",
      no_manifest: "there is no manifest, so completeness cannot be told",
    },
    otherFinding: (code: string) => `finding “${code}”`,
    at: (from: string, to: string) => ` (${from} to ${to})`,
    atNumbers: (first: string, last: string) =>
      first === last ? `, number ${first}` : `, numbers ${first} to ${last}`,
    more: (count: number) => `And ${n(count)} more: gaps.json has all.`,
  },

  files: {
    heading: "Files of the pack",
    about: "These files are not as they were packed:",
    is: {
      changed: "was changed after it was packed",
      missing: "is missing",
      unlisted: "is not listed: it was added",
      differs: "is not what the rows of the pack say",
      other_version: "was made by another version of the software, which must compare it",
    },
    file: (name: string, is: string) => `${name} ${is}.`,
    more: (count: number) => `And ${n(count)} more: kedge-verify verify --json names all.`,
  },

  rows: {
    heading: "The rows",
    about: (zone: string) =>
      `“When” is the event’s own time, ${zone === "UTC" ? "in UTC" : `in ${zone} and in UTC`}; no proof shows it. “Evidence” says what is shown of the record, and by when it was in the log. “Log entry” is the place in the log and the first 8 digits of the commitment; the appendix has all 64. What a screen would not show as a character stands as its code, such as [U+202E].`,
    none: "No row was found.",
    bounded: (shown: number, all: number) =>
      `The first ${n(shown)} of ${n(all)} rows. The table goes on in report.csv, and rows.ndjson of the pack has every row and commitment; the counts above are of all rows.`,
    number: "No.",
    when: "When",
    user: "User",
    patient: "Patient or subject",
    subjects: "Product",
    printed: { gtin: "GTIN", sscc: "SSCC", lot: "lot", serial: "serial" },
    action: "Action",
    recordType: "Record type",
    workstation: "Workstation or address",
    reason: "Reason",
    outcome: "Outcome",
    source: "Source",
    evidence: "Evidence",
    entry: "Log entry",
    withheld: "Left out: for readers who may not see patients. Commitment and proof are there.",
    unreadable: "The event is not in the pack, or cannot be read as one.",
    noOffset: "the event says no offset: taken as of this zone",
    mrn: (text: string) => `MRN ${text}`,
    by: "in the log by",
    noTime: "no time shown",
    cut: "… cut here: report.csv and the event have the whole",
    index: (index: string) => `entry ${index}`,
    notInLog: "no entry shown",
    moreSubjects: (count: number) => `and ${n(count)} more, in report.csv`,
  },

  disclosures: {
    heading: "Disclosures",
    about:
      "What is a disclosure, and what is said of it here, is the officer’s word (45 CFR 164.528(b)(2)); the date is the event’s own.",
    date: "Date",
    recipient: "Recipient, and address if known",
    description: "What was disclosed",
    purpose: "Purpose",
    row: "Row",
    notSaid: "not filled in",
  },

  evidence: {
    heading: "Logs, keys, witnesses and times",
    keys: "Keys",
    keysGiven: "The keys were given by whoever made this judgement, not taken from the pack.",
    keysPack:
      "The keys came with the pack. Whoever made the pack could have made them too: compare the fingerprints with a source that you trust, such as the log operator or an earlier document.",
    badPolicy: "The policy of the pack cannot be read, so no key is listed.",
    key: "Key",
    keyType: "Kind",
    fingerprint: "SHA-256 of the key as written in policy.txt",
    log: "log",
    witness: "witness",
    quorum: (text: string) => `Quorum of the policy: ${text}.`,
    noQuorum: "The policy asks for no witness.",
    checkpoints: "Checkpoints",
    checkpointsAbout:
      "Signed tree heads that the proofs rest on, as text: name of the log, number of entries, root, signatures. Signatures are cut here; checkpoints/ of the pack has them whole.",
    noCheckpoints: "No checkpoint: nothing is proven.",
    witnesses: "Witnesses",
    witnessesAbout:
      "Independent parties that cosigned the anchor log after checking that it only grew. That they are independent of the operator is the policy’s word.",
    noWitnesses: "No witness is shown.",
    witnessOf: (name: string, records: number, latest: string | undefined) =>
      `${name}: for ${n(records)} ${records === 1 ? "record" : "records"}${latest === undefined ? "" : `, at the latest ${latest}`}`,
    timestamps: "Timestamps",
    timestampsAbout:
      "Times from outside, over the anchor log’s signed tree head (RFC 3161, or a Bitcoin block).",
    authorities: {
      given: "The authorities’ certificates were given by whoever made this judgement.",
      pack: "The authorities’ certificates came with the pack: compare them with a source that you trust.",
      none: "No authority’s certificate was at hand.",
    },
    noTimestamps: "No timestamp from outside is shown.",
    rfc3161: (by: string, at: string, accuracy: string) => `${by} (RFC 3161): ${at}${accuracy}`,
    accuracy: (seconds: number) => `, to within ${seconds} s`,
    block: (height: number, at: string | undefined) =>
      `Bitcoin block ${height} (OpenTimestamps)${at === undefined ? "" : `: about ${at}`}`,
    more: (count: number, file: string) => `And ${n(count)} more, in ${file} of the pack.`,
  },

  clauses: {
    heading: "Rules, and what this document shows of each",
    rule: "Rule",
    shows: "What is shown here",
    list: [
      [
        "45 CFR 164.312(b) – audit controls",
        "That the records marked “Unchanged” are, byte for byte, what the recording system logged at or before the times given. Not that every activity was recorded.",
      ],
      [
        "45 CFR 164.308(a)(1)(ii)(D) – review of information system activity",
        "That this review took place: its period, its filter, how many events were looked through and found. Not that such reviews are regular.",
      ],
      [
        "45 CFR 164.316(b)(2) – retention of documentation",
        "The date of this document, and what it rests on, for whoever keeps it as documentation of an action or assessment. The clause is about documentation; it does not set a time for audit logs.",
      ],
      [
        "21 CFR 11.10(e) – audit trails",
        "That entries of the trail were not changed after the times shown, and, where a source numbers its events, which numbers are missing. Not that the recording system’s own clock was right.",
      ],
      [
        "EU GMP Annex 11, §9 – audit trails",
        "The audit trail of the period in a form that can be read, and that it was reviewed under the filter above. Not whether the changes recorded were justified.",
      ],
      [
        "DSCSA, section 582 of the FD&C Act – tracing",
        "For a trace: events of the product that were looked for, unchanged since the times shown. Not that other trading partners recorded theirs.",
      ],
      [
        "GDPR Art. 5(1)(f) and Art. 32 – integrity, security of processing",
        "That the integrity of these records can be shown, without their content leaving the controller: the log holds commitments, which are unlinkable without the key. Not that processing as a whole is secure.",
      ],
    ] satisfies (readonly [string, string])[],
    disclosures: [
      "45 CFR 164.528(b)(2) – content of an accounting",
      "The four fields, as the officer filled them in, for each row that the officer marked. Not that the accounting is complete.",
    ] satisfies readonly [string, string],
  },

  notShown: {
    heading: "What is not shown",
    list: [
      "That an access was justified, or was not.",
      "That what a record says is true, its own time and its user included: somebody may have used another’s login.",
      "That nothing else happened: an event that was never recorded, or never committed, leaves no trace here. What the numbering shows stands under “Completeness”.",
      "When, before the time shown, a record was made: only that it was there by then.",
      "That the witnesses are independent of the operator: that is the policy’s word.",
      "What is a disclosure, and who asked for this document and why: those are the words of whoever made it.",
    ],
  },

  verify: {
    heading: "How to check this without us",
    list: [
      "Open verify.html of the pack in a browser, without any network, and drop the pack on it. It says the same three verdicts.",
      "Or, on a command line: kedge-verify verify pack.zip (the npm package @kedge/verify).",
      "Or with tools that are not ours: README.txt of the pack says how to do it with unzip, sha256sum and OpenSSL or Python.",
      "In each case take keys from a source that you trust rather than from the pack, and compare the SHA-256 at the foot of this page with that of EVIDENCE-SHA256.",
      "The copy of verify.html in the pack could have been changed with it: take one from the software’s own release, whose SHA-256 is published.",
    ],
    qr: "The code leads to the log operator’s verifier page, with the tree that this document rests on. The part after “#” is not sent to a server, and holds nothing of a patient.",
    qrHost: (host: string) =>
      `The address is that of the operator named in the log: ${host}. Check that it is the one that you know.`,
    qrAlt: (url: string) => `QR code with the address ${url}`,
    noQr: "There is no QR code: no record is proven to stand in a log.",
  },

  signatures: {
    heading: "Signatures",
    about: "Signing says who prepared and who reviewed this document. The proofs do not depend on it.",
    prepared: ["Prepared by (name, function)", "Date", "Signature"],
    reviewed: ["Reviewed by (name, function)", "Date", "Signature"],
  },

  appendix: {
    heading: "Appendix: commitments",
    about:
      "A commitment is a keyed hash of the event, and what the log holds of it. It is unlinkable to the event without the key.",
    number: "Row",
    index: "Entry",
    commitment: "Commitment (SHA-256, hexadecimal)",
    verdict: "Verdict",
    more: (count: number) => `${n(count)} more rows: rows.ndjson has all.`,
  },

  footer: {
    evidence: (hash: string) => `Evidence SHA-256 ${hash}`,
    about: (kind: string, number: string | undefined, software: string) =>
      `${kind}${number === undefined ? "" : ` · case ${number}`} · ${software}`,
    page: (page: number) => `page ${n(page)} of`,
  },
  software: (version: string) => `Kedge ${version}`,
};

export type Strings = typeof en;
