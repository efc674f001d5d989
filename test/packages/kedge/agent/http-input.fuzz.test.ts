/** What others send over HTTP, broken in every way: it is read or refused in our own words, and nothing else happens. */
import { Refusal } from "@kedge/cli/agent/fhir-answers";
import { readPage } from "@kedge/cli/agent/poll-page";
import { postedEvents } from "@kedge/cli/agent/posted-events";
import { EventError } from "@kedge/verify/events/error";
import { through } from "@kedge/verify/events/formats/xml";
import fc from "fast-check";
import { expect, test } from "vitest";

const RUNS = 100_000;
const CANARY = "Jane Roe";

const EVENT = `{"resourceType":"AuditEvent","id":"1","meta":{"versionId":"1","lastUpdated":"2026-03-14T10:32:00Z"},"outcomeDesc":"${CANARY}"}`;
const CLOUD_EVENT = `{"specversion":"1.0","id":"1","source":"/ehr","type":"access","data":${EVENT}}`;
const PAGE = `{"resourceType":"Bundle","type":"searchset","link":[{"relation":"next","url":"http://127.0.0.1/fhir?page=2"}],"entry":[{"resource":${EVENT}},{"resource":{"resourceType":"OperationOutcome"}}]}`;
const XML = `<AuditEvent xmlns="http://hl7.org/fhir"><outcomeDesc value="${CANARY}"/></AuditEvent>`;
const ATNA = `<AuditMessage><EventIdentification EventActionCode="R"/><ActiveParticipant UserName="${CANARY}"/></AuditMessage>`;

/** Bytes that are set, taken out, doubled or put in, and an end that comes early. */
function broken(...texts: string[]): fc.Arbitrary<Uint8Array> {
  const change = fc.record({
    at: fc.nat(),
    kind: fc.constantFrom("set", "drop", "double", "put", "cut"),
    byte: fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('{}[]",:<>/&\\\\\\n'))),
    length: fc.nat(40),
  });
  return fc
    .tuple(fc.constantFrom(...texts), fc.array(change, { maxLength: 5 }))
    .map(([text, changes]) =>
      changes.reduce((bytes, { at, kind, byte, length }) => {
        const i = at % (bytes.length + 1);
        const [head, tail] = [bytes.subarray(0, i), bytes.subarray(i)];
        if (kind === "cut") return head;
        if (kind === "put") return Buffer.concat([head, Buffer.from([byte]), tail]);
        if (kind === "drop") return Buffer.concat([head, tail.subarray(length)]);
        if (kind === "double") return Buffer.concat([head, tail.subarray(0, length), tail]);
        return Buffer.concat([head, Buffer.from([byte]), tail.subarray(1)]);
      }, Buffer.from(text)),
    )
    .map((bytes) => new Uint8Array(bytes));
}

/** What `read` gives; undefined when it refuses, which quotes nothing. */
function readOrRefused<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof EventError) && !(error instanceof Refusal)) throw error;
    expect(error.message).not.toContain(CANARY);
    return undefined;
  }
}

test("a plain POST of any type is read or refused, and each event of it is bytes of the body or the whole of it", () => {
  const types = [
    "application/fhir+json",
    "application/fhir+xml",
    "application/xml",
    "application/json",
    "application/x-ndjson",
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
    "application/ihe+rfc3881",
    "text/plain",
  ];
  const bodies = broken(
    EVENT,
    XML,
    ATNA,
    CLOUD_EVENT,
    `[${CLOUD_EVENT},${CLOUD_EVENT}]`,
    `${EVENT}\n${EVENT}\r\n`,
  );
  fc.assert(
    fc.property(bodies, fc.constantFrom(...types), (body, type) => {
      const events =
        readOrRefused(() => through(postedEvents(new Headers({ "content-type": type }), body))) ?? [];
      for (const { bytes } of events) expect(bytes.buffer).toBe(body.buffer);
    }),
    { numRuns: RUNS },
  );
});

test("a CloudEvent in binary mode is one JSON object whose attributes are those of its headers, or refused", () => {
  const attribute = fc.stringMatching(/^[\x21-\x7e]{1,30}$/);
  fc.assert(
    fc.property(broken(EVENT, "[1]", '"text"', ""), attribute, attribute, (body, id, subject) => {
      const headers = new Headers({
        ...{ "content-type": "application/json", "ce-specversion": "1.0", "ce-type": "t", "ce-source": "/s" },
        ...{ "ce-id": id, "ce-subject": subject },
      });
      const [event] = readOrRefused(() => through(postedEvents(headers, body))) ?? [];
      if (event === undefined) return;
      const { data: _, ...attributes }: Record<string, unknown> = JSON.parse(
        new TextDecoder().decode(event.bytes),
      );
      expect(Object.keys(attributes)).toEqual([
        ...["specversion", "datacontenttype", "id", "source", "subject", "type"],
      ]);
    }),
    { numRuns: RUNS },
  );
});

test("a page of a search is read or refused, and what is found in it is bytes of it", () => {
  fc.assert(
    fc.property(broken(PAGE, EVENT), (body) => {
      const page = readOrRefused(() => readPage(body, "AuditEvent"));
      for (const { bytes, key } of page?.found ?? []) {
        expect(bytes.buffer).toBe(body.buffer);
        expect(key).toMatch(/^([A-Za-z0-9.-]{1,64}\/[A-Za-z0-9.-]{1,64}|[0-9a-f]{64})$/);
      }
    }),
    { numRuns: RUNS },
  );
});
