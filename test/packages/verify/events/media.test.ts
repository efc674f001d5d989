import { mediaTypeOf, parseMediaType } from "@kedge/verify/events/media";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("the media type of a file", () => {
  test.each([
    ["a.json", '{"resourceType":"AuditEvent"}', "application/fhir+json"],
    ["a.JSON", '{"id":"1","entity":[{"x":{}}],"resourceType" : "AuditEvent"}', "application/fhir+json"],
    ["a.json", '{"resourceType":"AuditEvent","id":"cut o', "application/fhir+json"],
    ["a.json", '{"contained":[{"resourceType":"Patient"}]}', "application/json"],
    ["a.json", '{"note":"resourceType"}', "application/json"],
    ["a.json", String.raw`{"note":"\"resourceType\":"}`, "application/json"],
    ["a.json", String.raw`{"note":"5\" wide","resourceType":"Device"}`, "application/fhir+json"],
    ["a.json", '{"note":"}{","a":{"resourceType":1}}', "application/json"],
    ["a.json", '[{"resourceType":"AuditEvent"}]', "application/json"],
    ["a.json", "", "application/json"],
    ["a.xml", '<?xml version="1.0"?>\n<AuditEvent xmlns="http://hl7.org/fhir"/>', "application/fhir+xml"],
    ["a.xml", "<AuditMessage><x xmlns='http://hl7.org/fhir'/></AuditMessage>", "application/xml"],
    ["a.xml", '<ODM xmlns="http://www.cdisc.org/ns/odm/v1.3"/>', "application/xml"],
    ["epcis.jsonld", '{"resourceType":"x"}', "application/ld+json"],
    ["/var/log.d/access.log", "", "text/plain"],
    ["notes.txt", "", "text/plain"],
    ["event.json.gz", '{"resourceType":"x"}', "application/octet-stream"],
    ["json", '{"resourceType":"x"}', "application/octet-stream"],
    ["", "", "application/octet-stream"],
  ])("%s starting with %s is %s", (name, start, expected) => {
    expect(mediaTypeOf(name, utf8(start))).toBe(expected);
  });

  test("is a valid media type whatever the name and the bytes", () => {
    const name = fc.oneof(fc.string(), fc.constantFrom("a.json", "a.xml", "a.jsonld", "a.log", "a.dcm"));
    fc.assert(
      fc.property(name, fc.uint8Array(), (fileName, bytes) => {
        const guess = mediaTypeOf(fileName, bytes);
        expect(parseMediaType(guess)).toBe(guess);
      }),
    );
  });
});

describe("a media type's name", () => {
  test.each([
    ["application/fhir+json"],
    ["text/plain"],
    ["application/dicom+xml"],
    ["application/vnd.gs1.epcis+json"],
    ["x-a/0!#$&-^_.+z"],
    [`a/${"b".repeat(127)}`],
  ])("%s is accepted, known or not", (name) => expect(parseMediaType(name)).toBe(name));

  test.each([
    ["upper case", "application/FHIR+json"],
    ["a parameter", "application/fhir+json;fhirVersion=4.0"],
    ["a parameter after a space", "text/plain; charset=utf-8"],
    ["no subtype", "application/"],
    ["no type", "/json"],
    ["no slash", "json"],
    ["two slashes", "a/b/c"],
    ["a wildcard", "text/*"],
    ["a first character that may not be first", "text/+xml"],
    ["NUL", "text/plain\0"],
    ["a line feed at the end", "text/plain\n"],
    ["a letter that is not ASCII", "text/plaın"],
    ["a type of 128 characters", `${"a".repeat(128)}/b`],
    ["a subtype of 128 characters", `a/${"b".repeat(128)}`],
    ["nothing", ""],
    ["not a string", ["text/plain"]],
  ])("with %s is refused", (_, name) => {
    expect(() => parseMediaType(name)).toThrow(expect.objectContaining({ code: "unknown_media_type" }));
  });
});
