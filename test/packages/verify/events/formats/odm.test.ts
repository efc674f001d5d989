import { odm } from "@kedge/verify/events/formats/odm";
import { utf8ToBytes } from "@noble/hashes/utils.js";
import { expect, test } from "vitest";
import { ODM, ODM_RECORD } from "../../../../support/event-samples.ts";

const read = (text: string) => odm.read(utf8ToBytes(text));
const split = (text: string) =>
  odm
    .split?.(utf8ToBytes(text))
    .map(({ bytes, mediaType }) => ({ text: new TextDecoder().decode(bytes), mediaType })) ?? [];

test("a record is its ancestors' keys, its element as it stands without the data in it, and the AuditRecord that it names", () => {
  const [subject, item, text, ...more] = split(ODM);
  expect(more).toEqual([]);
  const subjectElement = ODM.slice(ODM.indexOf("<SubjectData"), ODM.indexOf("</SubjectData>") + 14);
  const eventData = ODM.slice(ODM.indexOf("<StudyEventData"), ODM.indexOf("</StudyEventData>") + 17);
  expect(subject).toEqual({
    text: `{"MetaDataVersionOID":"3","StudyOID":"S1"}\n${subjectElement.replace(eventData, "")}`,
    mediaType: "application/vnd.kedge.odm-record",
  });
  const itemElement = ODM.slice(ODM.indexOf("<ItemData "), ODM.indexOf("</ItemData>") + 11);
  const keys =
    '{"FormOID":"DM","FormRepeatKey":"1","ItemGroupOID":"DM","ItemGroupRepeatKey":"2","MetaDataVersionOID":"3","StudyEventOID":"SCREEN","StudyEventRepeatKey":"1","StudyOID":"S1","SubjectKey":"0001"}';
  expect(item?.text).toBe(`${keys}\n${itemElement}`);
  expect(text?.text).toBe(ODM_RECORD);
});

test("columns of a record", () => {
  expect(split(ODM).map(({ text }) => read(text))).toEqual([
    {
      when: "2026-03-14T09:00:00Z",
      user: { login: "tmonitor", department: "Site-2" },
      action: "Insert",
      recordType: "SubjectData",
      source: "S1",
      subjects: ["0001"],
    },
    {
      when: "2026-03-14T10:32:07+01:00",
      user: { login: "tinvestigator", department: "Site-2" },
      action: "Update",
      recordType: "ItemData SCREEN/DM/DM.SEX",
      reason: { explanation: "Transcription error" },
      source: "S1: 4711",
      subjects: ["0001"],
    },
    {
      when: "2026-03-14T08:00:00Z",
      user: { login: "tloader", department: "Site-1" },
      recordType: "ItemDataString SCREEN/DM/DM.SITE",
      source: "S1",
      subjects: ["0001"],
    },
  ]);
});

test("a file taken whole says what it is of itself and whom it is about", () => {
  expect(read(ODM)).toEqual({
    when: "2026-03-14T12:00:00Z",
    action: "Transactional",
    recordType: "ODM",
    source: "Test EDC",
    subjects: ["0001"],
  });
});

test("a file without an audit record is one event", () => {
  const snapshot = '<ODM xmlns="http://www.cdisc.org/ns/odm/v1.3"><ClinicalData StudyOID="S"/></ODM>';
  expect(split(snapshot)).toEqual([{ text: snapshot, mediaType: "application/xml" }]);
});

test("a record among the slices is itself", () => {
  expect(split(ODM_RECORD)).toEqual([{ text: ODM_RECORD, mediaType: "application/vnd.kedge.odm-record" }]);
});

test.each([
  [
    "an AuditRecord that is nowhere",
    ODM.replace('<AuditRecord ID="AR.1">', '<AuditRecord ID="AR.2">'),
    "line 8, column 11: an AuditRecordID that no AuditRecord has",
  ],
  [
    "a record outside of a study",
    "<ODM>\n<X><AuditRecord/></X></ODM>",
    "line 2, column 1: an audit record outside of ClinicalData",
  ],
  [
    "another encoding, which a record could not say",
    ODM.replace("UTF-8", "ISO-8859-1"),
    "line 1, column 1: a document to be cut up that is not UTF-8",
  ],
  ["another document", "<a/>", "line 1, column 1: no ODM file"],
])("a file is not cut up: %s", (_what, text, words) => {
  expect(() => split(text)).toThrow(words);
});

test.each([
  ["keys alone", '{"StudyOID":"S"}', "line 1, column 17: no record after its keys"],
  ["no keys", "{}\n<ItemData/>", "line 1, column 1: a record without keys"],
  [
    "an error in the element, where it stands in the record",
    '{"StudyOID":"S"}\n<ItemData a=1/>',
    "line 2, column 13: unquoted attribute value",
  ],
])("a record is refused: %s", (_what, text, words) => {
  expect(() => read(text)).toThrow(words);
});
