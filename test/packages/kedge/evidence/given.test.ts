import { readExports } from "@kedge/cli/evidence/exports";
import { readHeaders, readProofs, readRecords, recordsInProofs, sortFiles } from "@kedge/cli/evidence/given";
import type { GivenFile } from "@kedge/cli/evidence/types";
import { describe, expect, it } from "vitest";
import { CSV_FILE, FHIR_FILE, hexOf, PROOFS, RECORDS } from "../../../support/evidence.ts";
import { PACK_POLICY } from "../../../support/pack.ts";

const file = (name: string, text: string): GivenFile => ({ name, bytes: new TextEncoder().encode(text) });
const lines = (values: readonly unknown[]) => values.map((value) => `${JSON.stringify(value)}\n`).join("");
const proofOf = (n: number) => PROOFS.get(hexOf(n))?.proof ?? "";

const HEADER = { separator: "|", header: ["ACCESS_TIME", "USER_ID", "PAT_MRN_ID"] };
const FOLDER: readonly GivenFile[] = [
  file("case/events/epic-1.csv", "2026-03-01 08:00:00|u1|17"),
  file("case/headers.ndjson", lines([{ header: HEADER, events: ["events/epic-1.csv"] }])),
  file("case/records.ndjson", lines(RECORDS)),
  file("case/proofs.ndjson", lines([{ commitment: hexOf(0), proof: proofOf(0) }])),
];

it("a folder is sorted by what its files hold, whatever they are called", () => {
  const renamed = file("dropped", lines(RECORDS));
  const policy = file("keys.txt", PACK_POLICY);
  const litter = file("case/.DS_Store", "x");
  const sorted = sortFiles([
    litter,
    policy,
    ...FOLDER,
    FHIR_FILE,
    CSV_FILE,
    renamed,
    file("a.tlog-proof", proofOf(1)),
  ]);
  const names = Object.fromEntries(
    Object.entries(sorted).map(([kind, files]) => [
      kind,
      files.map((one: GivenFile | string) => (typeof one === "string" ? one : one.name)),
    ]),
  );
  expect(names).toEqual({
    events: ["access.csv", "case/events/epic-1.csv", "ehr.ndjson"],
    records: ["case/records.ndjson", "dropped"],
    proofs: ["a.tlog-proof", "case/proofs.ndjson"],
    policies: ["keys.txt"],
    headers: ["case/headers.ndjson"],
    passedBy: ["case/.DS_Store"],
  });
});

it("a file is not litter for a folder above what was named, and is for one below it or by its own name", () => {
  const named = [
    { ...FHIR_FILE, name: ".kedge/demo/ehr.ndjson", below: "ehr.ndjson" },
    { ...FHIR_FILE, name: "x.tmp/case/a/ehr.ndjson", below: "a/ehr.ndjson" },
  ];
  const litter = [
    { ...FHIR_FILE, name: ".kedge/ehr.ndjson" },
    { ...FHIR_FILE, name: "case/.git/ehr.ndjson", below: ".git/ehr.ndjson" },
    { ...FHIR_FILE, name: "case/~$ehr.ndjson", below: "~$ehr.ndjson" },
  ];
  const { events, passedBy } = sortFiles([...litter, ...named]);
  expect(events).toEqual(named);
  expect(passedBy).toEqual(litter.map(({ name }) => name));
});

it("rows that are a file each have the header that stands beside them", () => {
  const { events, headers } = sortFiles(FOLDER);
  const [row, ...others] = readExports(events, { headers: readHeaders(headers) });
  expect(others).toEqual([]);
  expect(row).toMatchObject({ header: HEADER, mediaType: "text/csv" });
  expect(row).not.toHaveProperty("isHeader");
});

describe("what cannot be read is told by file and line, and without what is in it", () => {
  it.each([
    ["records", () => [...readRecords([file("r", '{"event":"a","commitment":"secret"}\n')])]],
    [
      "records",
      () => [...readRecords([file("r", lines([{ ...RECORDS[0], opening: { nonce: "secret" } }]))])],
    ],
    ["proofs", () => [...readProofs([file("r", '{"proof":"secret"}\n')])]],
    ["header", () => [...readHeaders([file("r", '{"header":"secret"}\n')])]],
  ])("%s", (code, run) => {
    expect(run).toThrow(expect.objectContaining({ code, file: "r", line: 1 }));
    expect(run).not.toThrow(/secret/);
  });
});

describe("a proof in a file of its own", () => {
  const known = () => [0, 1, 2].map((n) => ({ file: "ehr.ndjson", line: n + 1, commitment: hexOf(n) }));
  it.each(["ehr.ndjson.2.tlog-proof", `${hexOf(1)}.tlog-proof`, "renamed.tlog-proof"])(
    "%s is found to be of its event",
    (name) => {
      expect([...readProofs([file(name, proofOf(1))], known)]).toEqual([
        { commitment: hexOf(1), proof: proofOf(1) },
      ]);
    },
  );

  it("that is of none of the events is refused", () => {
    const run = () => [...readProofs([file("x.tlog-proof", proofOf(5))], known)];
    expect(run).toThrow(expect.objectContaining({ code: "proofs" }));
  });
});

it("proofs that hold what opens their events are as good as their records", () => {
  const named = RECORDS.map(({ event, line, commitment }) => ({
    ...{ event, line, commitment },
    proof: PROOFS.get(commitment)?.proof,
  }));
  expect([...recordsInProofs([file("proofs.ndjson", lines(named))])]).toEqual(RECORDS);
  const nameless = lines([{ commitment: hexOf(0), proof: proofOf(0) }]);
  const unread = lines([{ event: "a", commitment: hexOf(0), proof: "no proof" }]);
  expect([...recordsInProofs([file("proofs.ndjson", `${nameless}${unread}{`)])]).toEqual([]);
});
