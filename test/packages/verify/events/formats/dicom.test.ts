import { dicom } from "@kedge/verify/events/formats/dicom";
import { utf8ToBytes } from "@noble/hashes/utils.js";
import { expect, test } from "vitest";
import { DICOM, RFC_3881_BROKEN } from "../../../../support/event-samples.ts";

const read = (text: string) => dicom.read(utf8ToBytes(text));

test("a message by DICOM PS3.15 A.5: the requestor's columns, each further patient a subject", () => {
  expect(read(DICOM)).toEqual({
    when: "2026-03-14T10:32:07.000+01:00",
    user: { name: "Test Doctor", login: "tdoctor", role: "Source Role ID" },
    patient: { name: "Sample, Anna", mrn: "9900001" },
    action: "execute: Query, Registry Stored Query",
    recordType: "Registry Stored Query",
    workstation: "10.1.2.3",
    reason: { code: "BTG", explanation: "break the glass" },
    outcome: "serious failure: time out",
    source: "pacs-1 at Test Hospital",
    subjects: ["9900002"],
  });
});

test("RFC 3881, the name of a variable in the place of a code: the meaning is told", () => {
  expect(read(RFC_3881_BROKEN)).toEqual({
    when: "2026-03-14T10:32:07",
    user: { login: "tclerk" },
    patient: { mrn: "9900003" },
    action: "read: Patient Record",
    recordType: "Patient",
    outcome: "success",
    source: "emr",
  });
});

test("a namespace, a prefix and a byte order mark change nothing", () => {
  const prefixed = `\u{feff}${RFC_3881_BROKEN.replaceAll(/<(\/?)/g, "<$1a:").replace("<a:AuditMessage", '<a:AuditMessage xmlns:a="urn:any"')}`;
  expect(read(prefixed)).toEqual(read(RFC_3881_BROKEN));
});

test("ISO-8859-1, where the message declares it", () => {
  const text =
    '<?xml version="1.0" encoding="ISO-8859-1"?><AuditMessage><AuditSourceIdentification AuditSourceID="Z\u00fcrich"/></AuditMessage>';
  const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
  expect(dicom.read(bytes)).toEqual({ source: "Zürich" });
});

test.each([
  [
    "cut off, as UDP does",
    DICOM.slice(0, 400),
    /^The event cannot be read: line 6, column \d+: unclosed tag\./,
  ],
  ["other XML", "<a/>", /line 1, column 1: no AuditMessage/],
  ["text", "hello", /line 1, column 6: text data outside of root node\./],
])("refused: %s", (_what, text, words) => {
  expect(() => read(text)).toThrow(words);
});
