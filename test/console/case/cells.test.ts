import { expect, test } from "vitest";
import { cellLines } from "../../../console/case/cells.ts";
import { stringsOf } from "../../../console/case/strings.ts";

const cells = (columns: object, traced = {}, most?: number) =>
  cellLines(
    { row: 0, place: 0, file: "", columns, state: "sealed", verdict: "unchanged" },
    "patient",
    { zone: "UTC", traced, ...(most !== undefined && { most }) },
    stringsOf("en"),
  );
const SERIALS = Array.from({ length: 12 }, (_, i) => `urn:epc:id:sgtin:0614141.107346.${2_000 + i}`);
const PALLET = SERIALS.flatMap((epc, i) => [epc, "10614141073464", `${2_000 + i}`]);

test("whom or what an event names beside a patient stands in the row: a trial's subject, further patients", () => {
  expect(cells({ subjects: ["SUBJ-0042"] })).toEqual(["SUBJ-0042"]);
  const patient = { name: "Emma Larsson", mrn: "17" };
  expect(cells({ patient, subjects: ["Patient/2"] })).toEqual(["Emma Larsson", "MRN 17 · Patient/2"]);
});

test("of what was shipped a row tells what is printed on it, that which is traced first, and how many more there are", () => {
  const [first, others] = cells({ subjects: PALLET }, { gtin: "10614141073464", serial: "2007" });
  expect(first).toBe("GTIN 10614141073464, serial 2007");
  expect(others).toMatch(/^GTIN 10614141073464, serial 2000 · .* · and 8 more$/);
  expect(cells({ subjects: PALLET }, {}, 99).join().match(/GTIN/g)).toHaveLength(12);
});
