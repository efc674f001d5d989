import { expect, test } from "vitest";
import { sayDetail } from "../../console/pages/acts.ts";
import { de } from "../../console/strings/de.ts";
import { en } from "../../console/strings/en.ts";

test("what an act tells besides is said in the language, and what is not Kedge's word stands as it is", () => {
  const details = [
    { name: "kind", value: "pack" },
    { name: "filter", value: "recordType" },
    { name: "count", value: "2" },
    { name: "kind", value: "constructor" },
    { name: "new", value: "pack" },
  ];
  const said = (t: typeof en) => details.map((detail) => sayDetail(detail, t));
  expect(said(en)).toEqual([
    "kind evidence pack",
    "filter record type",
    "count 2",
    "kind constructor",
    "new pack",
  ]);
  expect(said(de)).toEqual([
    "Art Beweispaket",
    "Filter Datensatzart",
    "Anzahl 2",
    "Art constructor",
    "new pack",
  ]);
});
