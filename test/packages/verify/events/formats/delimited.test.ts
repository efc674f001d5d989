import { readColumns } from "@kedge/verify/events/formats/formats";
import type { Header } from "@kedge/verify/events/formats/header";
import { utf8ToBytes } from "@noble/hashes/utils.js";
import { expect, test } from "vitest";
import { EPIC_HEADER, EPIC_ROW } from "../../../../support/event-samples.ts";

const read = (text: string, header?: Header) => readColumns(utf8ToBytes(text), "text/csv", header);
const epic = { separator: "|", header: EPIC_HEADER.split("|") };

const ROW = {
  when: "2026-03-14 10:32:07",
  user: { login: "TNURSE", department: "Ward 4" },
  patient: { name: "Anna Sample", mrn: "9900001" },
  action: "View",
  recordType: "Chart viewed",
  workstation: "WS-0042",
  reason: { code: "Emergency", explanation: 'Unconscious, "no ID" on arrival' },
};

test("a row of Epic's columns, with the break-the-glass reason and its explanation", () => {
  expect(read(EPIC_ROW, epic)).toEqual(ROW);
  expect(read(EPIC_ROW, { ...epic, preset: "epic" })).toEqual(ROW);
});

test("the columns stand where the header says, whatever their order and case; a table's name may be missing where no other column has the name", () => {
  const header = epic.header.map((name) =>
    (name.endsWith(".NAME") ? name : name.replace(/^.*\./, "")).toLowerCase(),
  );
  const order = header.map((_, i) => header.length - 1 - i);
  const fields = EPIC_ROW.replaceAll("\n", " ").split("|");
  const row = order.map((i) => fields[i]).join("|");
  expect(read(row, { separator: "|", header: order.map((i) => header[i] ?? "") })).toEqual(ROW);
});

test("a column NAME without its table is not guessed at", () => {
  const header = ["ACCESS_TIME", "PAT_MRN_ID", "NAME"];
  expect(read("2026-03-14 10:32:07,9900001,View", { separator: ",", header })).toEqual({
    when: "2026-03-14 10:32:07",
    patient: { mrn: "9900001" },
  });
});

test("without a login the user's number is told", () => {
  const header = ["ACCESS_TIME", "PAT_MRN_ID", "SYSTEM_LOGIN", "USER_ID"];
  expect(read("t,1,,1017", { separator: ",", header })).toMatchObject({ user: { login: "1017" } });
});

test("a preset of one's own", () => {
  const header = ["Zeit", "Vorname", "Nachname", "Kennung"];
  const preset = {
    when: "zeit",
    "patient.name": ["Vorname", "Nachname"],
    "user.login": "Kennung",
    action: "Fehlt",
  };
  expect(read("10:32;Anna;Sample;tn", { separator: ";", header, preset })).toEqual({
    when: "10:32",
    user: { login: "tn" },
    patient: { name: "Anna Sample" },
  });
});

test("without a header, and with one that nothing is known of, a row has no columns", () => {
  expect(read(EPIC_ROW)).toEqual({});
  expect(read("1,2", { separator: ",", header: ["a", "b"] })).toEqual({});
});

test.each([
  ["too many fields", "1,2,3", "line 1, column 6: more fields than the header has: 3 for 2"],
  ["too few", "1", "line 1, column 2: fewer fields than the header has: 1 for 2"],
  ["a quote that is never closed", '1,"2', "line 1, column 5: a quoted field without its end"],
  ["two rows", "1,2\n3,4", "line 2, column 4: more than one row"],
])("a row is refused: %s", (_what, text, words) => {
  expect(() => read(text, { separator: ",", header: ["a", "b"] })).toThrow(words);
});
