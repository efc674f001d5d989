/** What stands in the files of a pack, in English. The table of version 1 is fixed: a judge makes it anew, to the byte. */

import type { RecordVerdict } from "../../proof/verdict.ts";
import type { Assurance } from "../../proof/verify.ts";

export const en = {
  /** Headings of `report.csv`. */
  columns: {
    row: "Row",
    local: "When (local)",
    utc: "When (UTC)",
    userName: "User",
    userLogin: "Login",
    userRole: "Role",
    userDepartment: "Department",
    patientName: "Patient",
    patientMrn: "MRN",
    action: "Action",
    recordType: "Record type",
    workstation: "Workstation or address",
    reasonCode: "Reason",
    reasonExplanation: "Explanation",
    outcome: "Outcome",
    source: "Source",
    subjects: "Subjects",
    recipient: "Disclosed to",
    address: "Address",
    description: "What was disclosed",
    purpose: "Purpose",
    verdict: "Verdict",
    evidence: "Evidence",
    loggedBy: "Logged at or before (UTC)",
    index: "Index in the log",
    commitment: "Commitment",
    event: "Event file",
    line: "Line",
  },
  verdicts: {
    unchanged: "Unchanged",
    changed: "Changed, or never logged",
    untold: "Cannot tell yet",
  } satisfies Record<RecordVerdict, string>,
  /** In place of the verdict, of a row whose event is withheld. */
  withheld: "Event withheld; its entry is in the log",
  evidence: {
    pending: "pending",
    unknown: "not known to the log",
    none: "no proof",
    refuted: "does not match its proof",
    unverified: "proof cannot be checked",
    sealed: "sealed",
    anchored: "anchored",
    witnessed: "witnessed",
    timestamped: "timestamped",
  } satisfies Record<Assurance | "pending" | "unknown" | "none" | "refuted" | "unverified", string>,
  readme: (
    software: string,
  ): string => `This is an evidence pack: audit events, and what it takes to check that each is, byte for byte, what was logged.

HOW TO CHECK IT

1. Open verify.html in a browser, also without a network, and drop the whole zip on it. Or run: kedge-verify verify pack.zip
   Take verify.html, or the command, from somebody else than the maker of this pack if you can: its SHA-256 is published.
2. The keys in policy.txt came with this pack. A pack is worth as much as its keys: compare them with those that you have from
   the other party's contract, from an earlier pack, or from several parties who agree. Better, give yours: --policy FILE
3. Without our tools: sha256sum -c SHA256SUMS says whether the files are those that were packed. The section "A pack, with
   standard tools only" of docs/verify.md goes on from there to the signatures.

WHAT IS IN IT

case.json            what was asked, by whom, and how it was looked for
rows.ndjson          the rows, one a line
events/              the events, exact bytes; proofs.ndjson has the proof of each (c2sp.org/tlog-proof) with its opening
policy.txt           public keys and witnesses (c2sp.org/tlog-policy)
checkpoints/         the signed tree heads that the proofs lead to
tsa/                 certificates of timestamping authorities
manifests/           how many events each source had, hour by hour, as counted at the time
gaps.json            what the numbering shows: "pack" by what is in here, "export" by the word of the maker
report.pdf           the report; report.csv is its table
EVIDENCE-SHA256      SHA-256 of the evidence; its own SHA-256 stands on each page of the report
SHA256SUMS           SHA-256 of every other file

WHAT IT DOES NOT SHOW

That an access was justified, that a record is true, or that nothing else happened.

An opening discloses its event's entry to whoever reads it. Handle this pack as you handle the events themselves.

Made by Kedge ${software}.
`,
};

export type PackStrings = typeof en;
