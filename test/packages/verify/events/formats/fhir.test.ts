import { EventError } from "@kedge/verify/events/error";
import { fhir, readBundle, resourceType } from "@kedge/verify/events/formats/fhir";
import { utf8ToBytes } from "@noble/hashes/utils.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  AUDIT_EVENT_R4,
  AUDIT_EVENT_R5,
  AUDIT_EVENT_XML,
  BALP,
  BUNDLE_JSON,
  BUNDLE_XML,
  OBSERVATION,
} from "../../../../support/event-samples.ts";

const read = (text: string) => fhir.read(utf8ToBytes(text));
const split = (text: string) =>
  fhir
    .split?.(utf8ToBytes(text))
    .map(({ bytes, mediaType }) => ({ text: new TextDecoder().decode(bytes), mediaType }));

describe("columns", () => {
  test("an AuditEvent of R4: the requestor's, not the server's", () => {
    expect(read(AUDIT_EVENT_R4)).toEqual({
      when: "2026-03-14T10:32:07.123+01:00",
      user: { name: "Nurse, Test", login: "tnurse", role: "ward nurse, human user", department: "Ward 4" },
      patient: { name: "Sample, Anna", mrn: "9900001" },
      action: "read",
      recordType: "Observation",
      workstation: "ws-0042",
      outcome: "success: Found",
      source: "Test EHR at Test Hospital",
      subjects: ["Patient/p-1/_history/3"],
    });
  });

  test("the ID of a request, as BALP adds it, is no record that was looked at", () => {
    const requestId = { what: { identifier: { value: "r-1" } }, type: { code: "XrequestId" } };
    const patient = { what: { reference: "Patient/p-1" }, role: { code: "1" } };
    const order = { what: { reference: "ServiceRequest/s-1" } };
    const typeOf = (...entity: object[]) =>
      read(JSON.stringify({ resourceType: "AuditEvent", entity }))?.recordType;
    expect(typeOf(patient, order, requestId)).toBe("ServiceRequest");
    expect(typeOf(patient, requestId)).toBe("Patient");
    expect(typeOf(requestId)).toBeUndefined();
  });

  test("an AuditEvent of R5, whose elements have other names", () => {
    expect(read(AUDIT_EVENT_R5)).toEqual({
      when: "2026-03-14T09:32:07Z",
      user: { name: "Test Doctor", login: "Practitioner/d-1", role: "Physician" },
      patient: { name: "Sample, Boris", mrn: "Patient/p-2" },
      action: "update",
      recordType: "MedicationRequest",
      workstation: "10.1.2.3",
      reason: { code: "TREAT", explanation: "treatment" },
      outcome: "Error: version conflict",
      source: "Device/ehr at Test Clinic",
    });
  });

  test("BALP: the patient by the entity's role, the consent beside it, broken glass with its explanation", () => {
    expect(read(BALP)).toMatchObject({
      patient: { mrn: "Patient/p-3" },
      recordType: "Consent, Immunization",
      reason: { code: "BTG", explanation: "Unconscious on arrival" },
    });
  });

  test("XML gives what its JSON would", () => {
    expect(read(AUDIT_EVENT_XML)).toEqual({
      when: "2026-03-14T10:32:07Z",
      user: { name: "Müller & Test", login: "tnurse" },
      patient: { mrn: "Patient/p-1" },
      action: "read",
      recordType: "Patient",
      outcome: "minor failure",
      source: "Test EHR",
    });
    const prefixed = AUDIT_EVENT_XML.replaceAll(/<(\/?)(?!div|\/div|\?)/g, "<$1f:").replace(
      "xmlns=",
      "xmlns:f=",
    );
    expect(prefixed).toContain("<f:AuditEvent xmlns:f=");
    expect(read(prefixed)).toEqual(read(AUDIT_EVENT_XML));
  });

  test("an Observation of a device", () => {
    expect(read(OBSERVATION)).toEqual({
      when: "2026-03-14T10:32:00Z",
      user: { login: "Device/monitor-9" },
      patient: { mrn: "Patient/p-4" },
      recordType: "Observation: Heart rate",
      workstation: "Bedside monitor 9",
      outcome: "final",
    });
  });

  test("a resource that nobody thought of: its type, and nothing that it does not say", () => {
    expect(read('{"resourceType":"Basic"}')).toEqual({ recordType: "Basic" });
  });

  test.each([
    [
      "a number for a text",
      '{"resourceType":"AuditEvent","recorded":20260314,"agent":{"altId":7.50}}',
      { when: "20260314", user: { login: "7.50" } },
    ],
    [
      "no text at all",
      '{"resourceType":"AuditEvent","recorded":true,"agent":[null,[]],"entity":"x","outcome":{}}',
      {},
    ],
    [
      "a number that no double holds",
      '{"resourceType":"AuditEvent","recorded":123456789012345678901}',
      { when: "123456789012345678901" },
    ],
    [
      "a member named like what every object has",
      '{"resourceType":"AuditEvent","__proto__":{"recorded":"x"},"constructor":1}',
      {},
    ],
  ])("what is valid and strange is left out or told as text: %s", (_what, text, columns) => {
    expect(read(text)).toEqual(columns);
  });
});

describe("a Bundle is cut into its resources, as they stand in its bytes", () => {
  test("JSON", () => {
    const slices = split(BUNDLE_JSON) ?? [];
    expect(slices.map(({ mediaType }) => mediaType)).toEqual(Array(2).fill("application/fhir+json"));
    expect(slices[0]?.text).toBe(AUDIT_EVENT_R4.replaceAll("\n", "\r\n"));
    expect(slices[1]?.text).toBe(
      '{"resourceType":"Provenance","recorded":"2026-03-14T10:00:00Z","target":[{"reference":"Patient/p-1"}],"id":"\\u00fc{[","ü":1e400}',
    );
  });

  test("XML, without the root's namespaces", () => {
    expect(split(BUNDLE_XML)).toEqual([
      {
        text: '<AuditEvent><recorded value="2026-03-14T10:32:07Z"/><agent><name value="Ä"/></agent></AuditEvent>',
        mediaType: "application/fhir+xml",
      },
      { text: "<Basic/>", mediaType: "application/fhir+xml" },
    ]);
  });

  test("a slice of XML is read although its prefix is declared nowhere", () => {
    const bundle = BUNDLE_XML.replaceAll(/<(\/?)(?!!)/g, "<$1f:").replace("xmlns=", "xmlns:f=");
    const [slice] = split(bundle) ?? [];
    expect(slice?.text).toMatch(/^<f:AuditEvent>/);
    expect(read(slice?.text ?? "")).toEqual({ when: "2026-03-14T10:32:07Z", user: { name: "Ä" } });
  });

  test("with the entries' requests, also where there is no resource", () => {
    const entries = readBundle(utf8ToBytes(BUNDLE_JSON))?.entries.map(({ resource, ...entry }) => ({
      ...entry,
      type: resource?.type,
    }));
    expect(entries).toEqual([
      { fullUrl: "urn:uuid:1", method: "POST", url: "AuditEvent", type: "AuditEvent" },
      { method: "DELETE", url: "AuditEvent/2", type: undefined },
      { method: "POST", url: "Provenance", ifNoneExist: "identifier=x", type: "Provenance" },
    ]);
    const xml = readBundle(utf8ToBytes(BUNDLE_XML));
    expect(xml?.type).toBe("batch");
    expect(xml?.entries.map(({ resource, ...entry }) => ({ ...entry, type: resource?.type }))).toEqual([
      { fullUrl: "urn:uuid:1", method: "POST", url: "AuditEvent", type: "AuditEvent" },
      { method: "DELETE", url: "AuditEvent/2", type: undefined },
      { type: "Basic" },
    ]);
  });

  test("any JSON that a resource may be, between any whitespace, comes out byte for byte", () => {
    const space = fc.stringMatching(/^[ \t\r\n]{0,3}$/);
    const resource = fc
      .tuple(fc.json(), space)
      .map(([value, gap]) => `{${gap}"resourceType"${gap}:"Basic","extra":${gap}${value}${gap}}`);
    fc.assert(
      fc.property(fc.array(resource), space, (resources, gap) => {
        const entries = resources.map((text) => `{"resource":${gap}${text}${gap}}`).join(`,${gap}`);
        const bundle = `${gap}{"resourceType":"Bundle","entry":[${entries}]}`;
        expect(split(bundle)?.map(({ text }) => text)).toEqual(resources);
      }),
      { numRuns: 60 },
    );
  });

  test("any XML that a resource may be comes out byte for byte", () => {
    const value = fc
      .string({ unit: fc.constantFrom(...'ab<&"]>\u00fc\u4e2d\u{1f600} \t') })
      .map((text) => text.replaceAll(/[<&"\p{C}]/gu, "&amp;"));
    const resource = fc
      .tuple(value, fc.constantFrom("", " ", "\n\t"))
      .map(
        ([text, gap]) =>
          `<Basic${gap}><id value="${text}"${gap}/>${gap}<!-- > --><code><text value="é"/></code></Basic${gap}>`,
      );
    fc.assert(
      fc.property(fc.array(resource), (resources) => {
        const entries = resources.map((text) => `<entry> <resource>${text}</resource></entry>`).join("\r\n");
        const bundle = `\u{feff}<?xml version="1.0"?>\n<Bundle xmlns="http://hl7.org/fhir">ü${entries}</Bundle>`;
        expect(split(bundle)?.map(({ text }) => text)).toEqual(resources);
      }),
      { numRuns: 50 },
    );
  });

  test("another resource is an event itself", () => {
    expect(split(OBSERVATION)).toEqual([{ text: OBSERVATION, mediaType: "application/fhir+json" }]);
    expect(split(AUDIT_EVENT_XML)).toEqual([{ text: AUDIT_EVENT_XML, mediaType: "application/fhir+xml" }]);
  });
});

test("the type of a resource", () => {
  expect(resourceType(utf8ToBytes(BALP))).toBe("AuditEvent");
  expect(resourceType(utf8ToBytes(BUNDLE_XML))).toBe("Bundle");
});

test.each([
  ["no object", "[]", "line 1, column 1: no FHIR resource: it has no resourceType"],
  ["no resource", '{"resource":1}', "line 1, column 1: no FHIR resource: it has no resourceType"],
  [
    "a member twice",
    '{"resourceType":"Basic",\n "id":"ü", "id":2}',
    "line 2, column 12: a duplicate member name",
  ],
  ["cut off", '{"resourceType":"Basic",\r\n"id":', "line 2, column 6: an unexpected end"],
  ["a comma too many", '{"resourceType":"Basic",}', "line 1, column 25: an unexpected byte"],
  ["other XML", "<a/>\n", undefined],
  ["XML of another namespace", '\n <a xmlns="urn:x"/>', "line 2, column 2: no FHIR resource"],
])("refused with line and column: %s", (_what, text, words) => {
  if (words === undefined) return expect(read(text)).toEqual({ recordType: "a" });
  expect(() => read(text)).toThrow(EventError);
  expect(() => read(text)).toThrow(words);
});
