import { makePack, type PackInput } from "@kedge/cli/evidence/make";
import { MANIFEST_MEDIA_TYPE } from "@kedge/verify/events/manifest";
import { judgePack } from "@kedge/verify/pack/judge";
import type { Disclosure, PackFilter } from "@kedge/verify/pack/pack";
import { readPack } from "@kedge/verify/pack/read";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { describe, expect, it } from "vitest";
import { CSV_FILE, FHIR_FILE, HEADER, hexOf, opened, PROOFS, packInput } from "../../../support/evidence.ts";
import { stubReport } from "../../../support/pack.ts";
import { readZip } from "../../../support/zip.ts";

const make = (over: Partial<PackInput> = {}) => makePack(packInput(over), { makeReport: stubReport });
const caseOf = (filter: PackFilter, over: Partial<PackInput["case"]> = {}): Pick<PackInput, "case"> => ({
  case: { kind: "access", language: "en", zone: "Europe/Berlin", filter, ...over },
});
const refusal = async (over: Partial<PackInput>): Promise<string> => {
  const error = await make(over).then(
    () => undefined,
    (cause: unknown) => cause,
  );
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "made";
};

describe("a pack", () => {
  it("has every row of the case, judged unchanged by whoever reads it, in the order of their times", async () => {
    const { zip, judged, unopened } = await make();
    const again = await judgePack(await readPack(zip), { makeReport: stubReport });
    expect(again.verdict).toBe("unchanged");
    expect(again.files).toEqual([]);
    expect(again.rows.map(({ columns }) => columns?.when)).toEqual(
      judged.rows.map(({ columns }) => columns?.when),
    );
    const days = judged.rows.map(({ columns }) => columns?.when?.slice(0, 10));
    expect(days).toEqual(days.toSorted());
    expect([judged.rows.length, judged.case.lookedThrough, unopened.length]).toEqual([10, 10, 0]);
    expect(judged.case.headers).toEqual([{ separator: "|", header: HEADER.split("|") }]);
  });

  it("is byte for byte the same from the same input, in whatever order files and rows come", async () => {
    const forth = await make({ events: opened([FHIR_FILE, CSV_FILE]).events });
    const back = await make({
      events: opened([CSV_FILE, FHIR_FILE]).events.toReversed(),
      proofs: new Map([...PROOFS].toReversed()),
    });
    expect(bytesToHex(sha256(back.zip))).toBe(bytesToHex(sha256(forth.zip)));
  });

  it("has the rows that its filter finds, and says how many were looked through", async () => {
    const { judged } = await make(caseOf({ patient: "MRN-2" }));
    expect(judged.rows.map(({ commitment }) => commitment).toSorted()).toEqual(
      [hexOf(1), hexOf(7)].toSorted(),
    );
    expect(judged.case.lookedThrough).toBe(10);
    const glass = await make(caseOf({ breakTheGlass: true }));
    expect(glass.judged.rows.map(({ commitment }) => commitment)).toEqual([hexOf(7)]);
  });

  it("has a row that was changed as changed, with what it is now", async () => {
    const bytes = new TextEncoder().encode(
      new TextDecoder().decode(FHIR_FILE.bytes).replace("MRN-3", "MRN-9"),
    );
    const { judged, unopened } = await make({ events: opened([{ ...FHIR_FILE, bytes }]).events });
    expect(judged.verdict).toBe("changed");
    expect(unopened).toEqual([]);
    const [row] = judged.rows.filter(({ verdict }) => verdict === "changed");
    expect(row).toMatchObject({ commitment: hexOf(2), columns: { patient: { mrn: "Patient/MRN-9" } } });
  });

  it("leaves out, and hands back, what nothing opens", async () => {
    const { judged, unopened } = await make({ events: opened([FHIR_FILE], []).events });
    expect([judged.rows.length, unopened.length]).toEqual([0, 6]);
  });

  it("has one row for an event that stands in two files", async () => {
    const { judged } = await make({
      events: opened([FHIR_FILE, { ...FHIR_FILE, name: "copy.ndjson" }]).events,
    });
    expect([judged.rows.length, judged.case.lookedThrough]).toEqual([6, 6]);
  });

  it("says of rows without a proof why, and is not made where nobody asked", async () => {
    const proofs = new Map(PROOFS).set(hexOf(0), { noProof: "pending" });
    const { judged } = await make({ proofs });
    expect(judged.rows.find(({ commitment }) => commitment === hexOf(0))).toMatchObject({
      noProof: "pending",
      verdict: "untold",
    });
    proofs.delete(hexOf(0));
    expect(await refusal({ proofs })).toBe("proofs");
    expect(await refusal({ proofs, ...caseOf({ patient: "MRN-2" }) })).toBe("made");
  });
});

it("without patients it has no event, no opening and no name in any file, and its entries hold", async () => {
  const { zip, judged } = await make(
    caseOf({ patient: "MRN-2", list: ["MRN-2", "Muster, Erika"] }, { withheld: "patients" }),
  );
  expect(judged.counts).toMatchObject({ total: 2, withheld: 2, unchanged: 0 });
  for (const [name, file] of readZip(zip)) {
    const text = new TextDecoder("latin1").decode(file.bytes());
    expect([name, /MRN-2|Muster|nonce/.test(text)]).toEqual([name, false]);
    for (const [, extra = ""] of text.matchAll(/extra ([A-Za-z0-9+/=]+)/g))
      expect(atob(extra)).not.toContain("nonce");
  }
  expect((await judgePack(await readPack(zip), { makeReport: stubReport })).files).toEqual([]);
});

it.each([
  ["reason", "Complaint of Erika MÜSTER: who looked?"],
  ["requestedBy", "Müster, Erika"],
  ["number", "2026/MRN-2"],
])("without patients it is not made where the %s names one", async (field, text) => {
  const [first] = opened().events;
  const named = first && { ...first, columns: { ...first.columns, patient: { name: "Erika Muster" } } };
  const events = [...opened().events, ...(named ? [named] : [])];
  expect(await refusal({ events, ...caseOf({}, { [field]: text, withheld: "patients" }) })).toBe("case");
  expect(await refusal({ events, ...caseOf({}, { [field]: text }) })).toBe("made");
  expect(
    await refusal({ events, ...caseOf({}, { [field]: "2026-17, of two rows", withheld: "patients" }) }),
  ).toBe("made");
});

it.each(["action", "recordType"])("without patients it is not made where the %s names one", async (field) => {
  const filter = { [field]: "export/MRN-2.pdf" };
  expect(await refusal({ ...caseOf(filter, { withheld: "patients" }) })).toBe("case");
  expect(await refusal({ ...caseOf(filter) })).toBe("made");
});

it("without patients it names who looked, but not whose surname is the patient's", async () => {
  const userIn = async (filter: PackFilter) =>
    (await make(caseOf({ user: "u2", ...filter }, { withheld: "patients" }))).judged.case.filter.user;
  expect(await userIn({})).toBe("u2");
  expect(await userIn({ sameSurname: true })).toBe("withheld");
});

it("what calls itself a manifest and is none is a row like any other", async () => {
  const [first] = opened().events;
  const hidden = first?.opening && {
    ...first,
    opening: { ...first.opening, mediaType: MANIFEST_MEDIA_TYPE },
  };
  const events = [...(hidden ? [hidden] : []), ...opened().events.slice(1)];
  const { zip, judged } = await make({ events });
  expect(judged.rows.map(({ commitment }) => commitment)).toContain(first?.commitment);
  expect([...readZip(zip).keys()].filter((name) => name.startsWith("manifests/"))).toEqual([]);
});

describe("an accounting of disclosures", () => {
  const mark: Disclosure = {
    recipient: "County health department",
    description: "lab result",
    purpose: "reporting",
  };
  const accounting = (marks: [string, Disclosure][], over: Partial<PackInput["case"]> = {}) => ({
    ...caseOf({}, { kind: "disclosures", ...over }),
    disclosures: new Map(marks),
  });

  it("has the rows that were marked and no others, each with its four fields", async () => {
    const { judged } = await make(accounting([[hexOf(3), mark]]));
    expect(judged.rows).toMatchObject([{ commitment: hexOf(3), disclosure: mark, verdict: "unchanged" }]);
  });

  it("is refused with a field missing, with a mark of no row, with no mark, without patients", async () => {
    expect(await refusal(accounting([[hexOf(3), { ...mark, purpose: " " }]]))).toBe("disclosure");
    expect(await refusal(accounting([["0".repeat(64), mark]]))).toBe("disclosure");
    expect(await refusal(accounting([]))).toBe("disclosure");
    expect(await refusal(accounting([[hexOf(3), mark]], { withheld: "patients" }))).toBe("case");
    expect(await refusal({ ...caseOf({}, { kind: "disclosures" }) })).toBe("disclosure");
    expect(await refusal({ disclosures: new Map([[hexOf(3), mark]]) })).toBe("disclosure");
  });
});

it("a trace names what it traces, and an inspection its period", async () => {
  expect(await refusal(caseOf({}, { kind: "trace" }))).toBe("filter");
  expect(await refusal(caseOf({ lot: "L1" }, { kind: "trace" }))).toBe("made");
  expect(await refusal(caseOf({ from: "2026-03-01" }, { kind: "inspection" }))).toBe("filter");
  expect(await refusal(caseOf({ from: "2026-03-01", to: "2026-04-01" }, { kind: "inspection" }))).toBe(
    "made",
  );
});
