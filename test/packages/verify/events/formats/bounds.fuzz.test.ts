/** Events made to be large: refused before they take much memory, or read. */

import { EventError } from "@kedge/verify/events/error";
import { readColumns } from "@kedge/verify/events/formats/formats";
import { utf8ToBytes } from "@noble/hashes/utils.js";
import { expect, test } from "vitest";

test("XML of a hundred thousand elements is refused, for each takes memory", () => {
  const text = `<AuditMessage>${"<a/>".repeat(100_000)}</AuditMessage>`;
  expect(() => readColumns(utf8ToBytes(text), "application/xml")).toThrow(
    "column 400011: more than 100000 elements and attributes",
  );
});

test("JSON of a million values is refused, and one of more agents than a call has arguments is read", () => {
  const agents = (count: number) =>
    `{"resourceType":"AuditEvent","action":"R","agent":[${"0,".repeat(count)}0]}`;
  expect(() => readColumns(utf8ToBytes(agents(1_000_000)), "application/json")).toThrow(
    "more than 1000000 values",
  );
  expect(readColumns(utf8ToBytes(agents(200_000)), "application/json")).toEqual({ action: "read" });
});

test("more than 16 MiB are refused, unread", () => {
  const large = new Uint8Array((16 << 20) + 1).fill(0x20);
  for (const mediaType of ["application/fhir+json", "application/fhir+xml", "application/ihe+rfc3881"]) {
    expect(() => readColumns(large, mediaType)).toThrow(EventError);
  }
});
