/** CloudEvents, CloudTrail and OCSF: an object a line, or several in a document. */
import { formatOf, readColumns } from "@kedge/verify/events/formats/formats";
import { utf8ToBytes } from "@noble/hashes/utils.js";
import { expect, test } from "vitest";
import { CLOUD_EVENT, CLOUD_EVENT_FHIR, CLOUDTRAIL, OCSF } from "../../../../support/event-samples.ts";

const read = (text: string) => readColumns(utf8ToBytes(text), "application/json");
const split = (text: string) =>
  formatOf(utf8ToBytes(text))
    .split?.(utf8ToBytes(text))
    .map(({ bytes, mediaType }) => ({
      text: new TextDecoder().decode(bytes),
      mediaType,
    }));

test("a CloudEvent: its attributes", () => {
  expect(read(CLOUD_EVENT)).toEqual({
    when: "2026-03-14T10:32:07Z",
    action: "org.example.record.opened",
    source: "/ehr/ward-4",
    subjects: ["record-7"],
  });
});

test("a CloudEvent that carries an AuditEvent: the AuditEvent's columns", () => {
  expect(read(CLOUD_EVENT_FHIR)).toMatchObject({
    when: "2026-03-14T10:32:07.123+01:00",
    user: { login: "tnurse" },
    patient: { mrn: "9900001" },
    source: "Test EHR at Test Hospital",
  });
});

test("a batch of CloudEvents is cut into them", () => {
  const mediaType = "application/cloudevents+json";
  expect(split(`[ ${CLOUD_EVENT},${CLOUD_EVENT_FHIR}\n]`)).toEqual([
    { text: CLOUD_EVENT, mediaType },
    { text: CLOUD_EVENT_FHIR, mediaType },
  ]);
});

test("a CloudTrail record, and its log file", () => {
  expect(read(CLOUDTRAIL)).toEqual({
    when: "2026-03-14T10:32:07Z",
    user: {
      name: "admin",
      login: "arn:aws:sts::000000000000:assumed-role/admin/tadmin",
      role: "AssumedRole",
    },
    action: "ReadResource",
    recordType: "AWS::HealthLake::FHIRDatastore",
    workstation: "192.0.2.7",
    outcome: "failure: AccessDenied",
    source: "healthlake.amazonaws.com at eu-central-1",
    subjects: ["arn:aws:healthlake:eu-central-1:000000000000:datastore/fhir/1"],
  });
  expect(split(`{"Records":[${CLOUDTRAIL}]}`)).toEqual([{ text: CLOUDTRAIL, mediaType: "application/json" }]);
  expect(read(`{"Records":[${CLOUDTRAIL}]}`)).toEqual({});
});

test("an OCSF event: its milliseconds as a time", () => {
  expect(read(OCSF)).toEqual({
    when: "2026-03-14T09:32:07.123Z",
    user: { name: "Test Clerk", login: "tclerk", role: "User", department: "Billing" },
    action: "Read",
    recordType: "table",
    workstation: "192.0.2.9",
    outcome: "Success",
    source: "Example Records DB",
    subjects: ["admissions"],
  });
});

test.each([
  ["a CloudEvent without an id", '{"specversion":"1.0","type":"a","source":"b"}', /no CloudEvent/],
  ["a record cut off", CLOUDTRAIL.slice(0, -5), /line \d+, column \d+: an unexpected end/],
])("refused: %s", (_what, text, words) => {
  expect(() => read(text)).toThrow(words);
});
