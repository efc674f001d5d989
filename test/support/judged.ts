/** Judged packs for tests of what is made of them: plain values, without any log behind them. */
import type { JudgedPack, JudgedRow, PackCase, RowCounts } from "@kedge/verify/pack/pack";
import type { VerifyReport } from "@kedge/verify/proof/verify";
import { formatVkey } from "@kedge/verify/tlog/note";
import { ANCHOR_ORIGIN, LOG_ORIGIN, log, policyText } from "./proofs.ts";

const NAMES = [
  "Emma Larsson",
  "Żaneta Wójcik",
  "Αλέξανδρος Παπάς",
  "Иван Петров",
  "Nguyễn Thị Hạnh",
  "Jörg Groß",
];
export const SHOWN_AT = "2026-03-14T10:35:07Z";

export const provenReport = (index: number): VerifyReport => ({
  proven: true,
  assurance: "timestamped",
  log: { origin: LOG_ORIGIN, index: `${index}`, treeSize: "48213", root: ROOT },
  anchor: { origin: ANCHOR_ORIGIN, index: "907", treeSize: "1031", root: ROOT },
  witnesses: { cosigned: ["w1", "w2"], listed: 2 },
  times: [
    { at: SHOWN_AT, by: "w1", kind: "witness" },
    { at: "2026-03-14T10:35:06Z", by: ANCHOR_ORIGIN, kind: "operator" },
    { at: "2026-03-14T10:40:00Z", by: "CN=Example TSA", kind: "authority" },
  ],
  timestamps: [
    {
      type: "rfc3161",
      by: "CN=Example TSA",
      at: "2026-03-14T10:40:00Z",
      accuracy: 1_000,
      serial: "1",
      policy: "1.2.3",
    },
  ],
  caveats: [{ code: "truth_and_completeness" }],
});
const ROOT = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";

export const commitmentOf = (i: number): string => (i + 0xabcd).toString(16).padStart(8, "0").repeat(8);

/** An unchanged row; columns differ with `i`. */
export const judgedRow = (i: number, more: Partial<JudgedRow> = {}): JudgedRow => ({
  commitment: commitmentOf(i),
  event: "events/lines.ndjson",
  line: i + 1,
  verdict: "unchanged",
  report: provenReport(40_000 + i),
  columns: {
    when: `2026-03-${String((i % 28) + 1).padStart(2, "0")}T09:${String(i % 60).padStart(2, "0")}:12.250Z`,
    user: {
      name: NAMES[i % NAMES.length] ?? "",
      login: `user${i % 40}@hospital.example`,
      role: "Registered nurse",
      department: "Cardiology, ward 4B",
    },
    patient: { name: NAMES[(i + 1) % NAMES.length] ?? "", mrn: `MRN-${100_000 + (i % 90)}` },
    action: "Read",
    recordType: "Medication list",
    workstation: "WS-4B-017.ward.hospital.example",
    ...(i % 5 === 0
      ? {
          reason: {
            code: "Break the glass",
            explanation: "Emergency admission, treating team not yet assigned",
          },
        }
      : {}),
    outcome: "Success",
    source: "ehr-production",
  },
  ...more,
});

function countsOf(rows: readonly JudgedRow[], isRedacted: boolean): RowCounts {
  const counts = { total: rows.length, unchanged: 0, changed: 0, untold: 0, withheld: 0 };
  for (const { verdict, event } of rows)
    counts[verdict === "unchanged" && isRedacted && event === undefined ? "withheld" : verdict] += 1;
  return counts;
}

const CASE: PackCase = {
  v: 1,
  kind: "access",
  language: "en",
  number: "2026-0147",
  requestedBy: "M. Okafor, privacy officer, on a complaint of the patient",
  reason: "Suspected access by a colleague without a treatment relationship.",
  preparedBy: "A. Lindqvist, compliance",
  filter: { from: "2026-03-01T00:00:00+01:00", to: "2026-04-01T00:00:00+02:00", patient: "MRN-100001" },
  zone: "Europe/Berlin",
  offsets: [
    { minutes: 60 },
    { from: "2026-03-29T01:00:00Z", minutes: 120 },
    { from: "2026-10-25T01:00:00Z", minutes: 60 },
  ],
  asOf: "2026-03-14T10:40:00Z",
  software: "0.1.0",
  headers: [],
  lookedThrough: 48_213,
};

export function judgedPack(
  rows: readonly JudgedRow[],
  more: Partial<Omit<JudgedPack, "case">> & { case?: Partial<PackCase> } = {},
): JudgedPack {
  const { case: about, ...rest } = more;
  return {
    verdict: "unchanged",
    case: { ...CASE, ...about },
    rows,
    counts: countsOf(rows, about?.withheld !== undefined),
    files: [],
    notMadeAnew: [],
    byOwnKeys: [],
    outsideFilter: [],
    otherLocalTimes: 0,
    isSelection: true,
    sources: [
      {
        source: "ehr-production",
        periods: [0, 1, 2].map((hour) => ({
          from: Date.UTC(2026, 2, 14, hour),
          to: Date.UTC(2026, 2, 14, hour + 1),
          count: 100n,
          numbers: { first: BigInt(hour * 100 + 1), last: BigInt(hour * 100 + 100) },
          verdict: hour === 2 ? "incomplete" : "complete",
        })),
        findings: [
          {
            finding: "sequence_missing",
            source: "ehr-production",
            from: "2026-03-14T02:00:00Z",
            to: "2026-03-14T03:00:00Z",
            first: "251",
            last: "253",
          },
        ],
      },
    ],
    keys: "pack",
    authorities: "pack",
    checkpointCount: 1,
    checkpoints: [
      {
        file: "checkpoints/48213.txt",
        text: `${LOG_ORIGIN}\n48213\n${ROOT}\n\n— ${LOG_ORIGIN} c2lnbmF0dXJl\n`,
      },
    ],
    policy: `log ${formatVkey(log.vkey)}\n${policyText(2)}`,
    evidence: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ...rest,
  };
}
