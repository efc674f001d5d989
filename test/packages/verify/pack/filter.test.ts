import type { Columns } from "@kedge/verify/events/formats/columns";
import { rowFilter } from "@kedge/verify/pack/filter";
import type { PackFilter } from "@kedge/verify/pack/pack";
import { UTC, zoneClock } from "@kedge/verify/pack/time";
import { describe, expect, it } from "vitest";

const finds = (filter: PackFilter, columns: Columns, zone = "Europe/Berlin") =>
  rowFilter(filter, zoneClock(zone))({ columns });

describe("a period", () => {
  const march14 = { from: "2026-03-14T00:00:00+01:00", to: "2026-03-15T00:00:00+01:00" };
  it("has its first moment and not its last, whatever offset a time is told in", () => {
    const at = (when: string) => finds(march14, { when });
    expect(at("2026-03-13T23:00:00Z")).toBe(true);
    expect(at("2026-03-13T22:59:59.999Z")).toBe(false);
    expect(at("2026-03-14T23:59:59.999+01:00")).toBe(true);
    expect(at("2026-03-15T00:00:00+01:00")).toBe(false);
    expect(at("2026-03-14T20:00:00-03:00")).toBe(false);
  });

  it("takes a time without an offset as one of the case's zone, summer and winter", () => {
    const summer = { from: "2026-07-01T10:00:00Z", to: "2026-07-01T10:00:01Z" };
    expect(finds(summer, { when: "2026-07-01 12:00:00" })).toBe(true);
    expect(finds(summer, { when: "2026-07-01T12:00" }, "America/New_York")).toBe(false);
    expect(
      finds({ from: "2026-01-01T10:00:00Z", to: "2026-01-01T10:00:01Z" }, { when: "2026-01-01T11:00:00" }),
    ).toBe(true);
  });

  it("takes an hour that the clocks show twice as its first, and one that they leave out as if they had not", () => {
    expect(
      finds({ from: "2026-10-25T00:30:00Z", to: "2026-10-25T00:30:01Z" }, { when: "2026-10-25 02:30:00" }),
    ).toBe(true);
    expect(
      finds({ from: "2026-03-29T01:30:00Z", to: "2026-03-29T01:30:01Z" }, { when: "2026-03-29 02:30:00" }),
    ).toBe(true);
  });

  it("has no row without a time that can be read", () => {
    for (const when of [undefined, "yesterday", "2026-02-30T00:00:00Z", "0001-01-01T00:00:00Z"])
      expect(finds({ from: "1950-01-01T00:00:00Z" }, when === undefined ? {} : { when })).toBe(false);
  });

  it("that cannot be read, or is none, is refused", () => {
    const malformed = expect.objectContaining({ code: "malformed", file: "case.json" });
    expect(() => rowFilter({ from: "14.3.2026" }, UTC)).toThrow(malformed);
    expect(() => rowFilter({ from: march14.to, to: march14.from }, UTC)).toThrow(malformed);
  });
});

describe("hours", () => {
  const afterHours = { from: "18:00", to: "07:00" };
  it("go past midnight by the clocks of the zone", () => {
    const at = (when: string) => finds({ afterHours }, { when });
    expect(at("2026-03-14T17:00:00Z")).toBe(true);
    expect(at("2026-03-14T16:59:59Z")).toBe(false);
    expect(at("2026-03-14T05:59:59Z")).toBe(true);
    expect(at("2026-03-14T06:00:00Z")).toBe(false);
    expect(at("2026-07-14T16:00:00Z")).toBe(true);
  });
});

describe("people", () => {
  it("are found by name in any order, by login, number and reference, whatever case and marks", () => {
    const columns: Columns = {
      user: { name: "Muñoz, Ana", login: "amunoz" },
      patient: { name: "Ole Sørensen", mrn: "Patient/17" },
    };
    for (const user of ["ana munoz", "AMUNOZ", "Muñoz, Ana"]) expect(finds({ user }, columns)).toBe(true);
    for (const patient of ["17", "Patient/17", "sorensen, ole"])
      expect(finds({ patient }, columns)).toBe(true);
    for (const patient of ["1", "117", "Ole", "Ana Muñoz"]) expect(finds({ patient }, columns)).toBe(false);
    expect(finds({ list: ["x", "17"] }, columns)).toBe(true);
    expect(finds({ list: ["x"] }, columns)).toBe(false);
  });

  it.each([
    ["Ana Berrio", "BERRIO, JOHN", true],
    ["Berrio, Ana", "Berrio^John", true],
    ["Dr. Jürgen Müller", "Mueller, Eva", true],
    ["Jürgen Müller", "Eva Muller", true],
    ["Anna Meyer-Schmidt", "Tom Schmidt", true],
    ["Jan van der Berg", "Piet van den Broek", false],
    ["Ana Berrio, MD", "Tom Berrio", true],
    ["Anna Tom", "Tom Anna", false],
  ])("%s and %s have a surname in common: %s", (user, patient, expected) => {
    expect(finds({ sameSurname: true }, { user: { name: user }, patient: { name: patient } })).toBe(expected);
  });
});

it("an action is found by all that the event says of it, or its first word", () => {
  expect(finds({ action: "READ" }, { action: "read: vread" })).toBe(true);
  expect(finds({ action: "vread" }, { action: "read: vread" })).toBe(false);
});

it("the glass is broken by what the event says, and by a reason in an access log's row", () => {
  const isBreakTheGlass = rowFilter({ breakTheGlass: true }, UTC);
  expect(isBreakTheGlass({ columns: { reason: { code: "TREAT" } } })).toBe(false);
  expect(isBreakTheGlass({ columns: { reason: { code: "TREAT, BTG" } } })).toBe(true);
  expect(isBreakTheGlass({ columns: { recordType: "Break-the-Glass" } })).toBe(true);
  const header = { separator: "|", header: ["A"] };
  expect(isBreakTheGlass({ columns: { reason: { code: "Direct care" } }, header })).toBe(true);
  expect(isBreakTheGlass({ columns: {}, header })).toBe(false);
});

describe("what was shipped", () => {
  const SGTIN = "urn:epc:id:sgtin:0614141.107346.2017";
  const LGTIN = "urn:epc:class:lgtin:4012345.012345.998877";
  it("is found by GTIN, lot and serial of one identifier", () => {
    const subjects = [SGTIN, LGTIN];
    expect(finds({ gtin: "10614141073464", serial: "2017" }, { subjects })).toBe(true);
    expect(finds({ gtin: "10614141073464", serial: "2017", lot: "L1" }, { subjects })).toBe(true);
    expect(finds({ lot: "998877" }, { subjects })).toBe(true);
    expect(finds({ gtin: "10614141073464", lot: "998877" }, { subjects })).toBe(false);
    expect(finds({ gtin: "04012345123456", serial: "2017" }, { subjects })).toBe(false);
  });

  it("is found in Digital Links, with a GTIN of 13 digits", () => {
    const subjects = ["https://id.gs1.org/01/09506000134352/10/ABC%2F1/21/12"];
    expect(finds({ gtin: "9506000134352", lot: "ABC/1", serial: "12" }, { subjects })).toBe(true);
    expect(finds({ gtin: "9506000134352", lot: "ABC" }, { subjects })).toBe(false);
  });

  it("is found as it is printed where a row has it so", () => {
    expect(finds({ gtin: "9506000134352" }, { subjects: ["09506000134352"] })).toBe(true);
    // The second is mistyped: it would find nothing, and look like an answer.
    for (const gtin of ["123", "9506000134353"])
      expect(() => rowFilter({ gtin }, UTC)).toThrow(expect.objectContaining({ code: "malformed" }));
  });
});
