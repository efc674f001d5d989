import { createHash, createHmac } from "node:crypto";
import type { Canonicalisation } from "@kedge/verify/events/canonical";
import {
  commitEvent,
  type EventInput,
  type Opening,
  openCommitment,
  parseOpening,
  parseTenantKey,
  TENANT_KEY_BYTES,
} from "@kedge/verify/events/commitment";
import { EventError } from "@kedge/verify/events/error";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const refuses = (code: string) => expect.objectContaining({ name: "EventError", code });

const key = fc.uint8Array({ minLength: 32, maxLength: 32 });
const mediaType = fc.constantFrom("application/fhir+json", "application/json", "text/plain", "a/b");
const source = fc.string({ unit: "binary", minLength: 1 }).filter((text) => !text.includes("\0"));
const sequence = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n });
const event: fc.Arbitrary<EventInput> = fc.record(
  { bytes: fc.uint8Array(), mediaType, source, sequence },
  { requiredKeys: ["bytes", "mediaType"] },
);

/** A JSON event, so that either canonicalisation takes it. */
const jsonEvent = fc
  .tuple(event, fc.json(), fc.constantFrom<Canonicalisation>("raw", "jcs"))
  .map(([fields, text, canonicalisation]) => ({ ...fields, bytes: utf8(text), canonicalisation }));

describe("the formula", () => {
  test("is HMAC-SHA256 over the NUL-separated fields, the bytes last, under the nonce", () => {
    fc.assert(
      fc.property(event, key, (input, nonce) => {
        const { commitment, opening } = commitEvent(input, { nonce });
        expect(hex(commitment)).toBe(createHmac("sha256", nonce).update(messageOf(input)).digest("hex"));
        expect(opening.nonce).toBe(Buffer.from(nonce).toString("base64"));
      }),
    );
  });

  test("derives the nonce from the tenant key and the whole message", () => {
    fc.assert(
      fc.property(event, key, (input, tenantKey) => {
        const digest = createHash("sha256").update(messageOf(input)).digest();
        const nonce = createHmac("sha256", tenantKey).update("kedge/v1 nonce\0").update(digest).digest();
        expect(commitEvent(input, { tenantKey })).toEqual(commitEvent(input, { nonce }));
      }),
    );
  });

  function messageOf(input: EventInput): Buffer {
    const sequence = input.sequence === undefined ? "" : `${input.sequence}`;
    const head = `kedge/v1\0raw\0${input.mediaType}\0${input.source ?? ""}\0${sequence}\0`;
    return Buffer.concat([Buffer.from(head), input.bytes]);
  }
});

describe("a commitment", () => {
  test("is opened by its opening, also after a round trip through JSON, and by the event's bytes alone", () => {
    fc.assert(
      fc.property(jsonEvent, key, (input, tenantKey) => {
        const { commitment, opening } = commitEvent(input, { tenantKey });
        const stored = parseOpening(JSON.parse(JSON.stringify(opening)));
        expect(stored).toEqual(opening);
        expect(openCommitment(stored, input.bytes)).toEqual(commitment);
      }),
    );
  });

  test("is the same whenever the same tenant commits to the same event, and another for another tenant", () => {
    fc.assert(
      fc.property(jsonEvent, key, key, (input, tenantKey, otherKey) => {
        fc.pre(hex(tenantKey) !== hex(otherKey));
        const first = commitEvent(input, { tenantKey });
        expect(commitEvent({ ...input, bytes: input.bytes.slice() }, { tenantKey })).toEqual(first);
        expect(commitEvent(input, { tenantKey: otherKey }).commitment).not.toEqual(first.commitment);
      }),
    );
  });

  test("changes with any bit of the event", () => {
    fc.assert(
      fc.property(event, key, fc.nat(), fc.nat(7), (input, nonce, at, bit) => {
        fc.pre(input.bytes.length > 0);
        const bytes = input.bytes.map((byte, i) =>
          i === at % input.bytes.length ? byte ^ (1 << bit) : byte,
        );
        const { commitment, opening } = commitEvent(input, { nonce });
        expect(commitEvent({ ...input, bytes }, { nonce }).commitment).not.toEqual(commitment);
        expect(openCommitment(opening, bytes)).not.toEqual(commitment);
      }),
    );
  });

  test("changes with any change of media type, source, sequence, canonicalisation or nonce", () => {
    const change = fc.oneof(
      fc.record({ mediaType }),
      fc.record({ source }),
      fc.record({ sequence: sequence.map(String) }),
      fc.record({ nonce: key.map((bytes) => Buffer.from(bytes).toString("base64")) }),
      fc.record({ canonicalisation: fc.constantFrom<Canonicalisation>("raw", "jcs") }),
    );
    fc.assert(
      fc.property(jsonEvent, key, change, (input, nonce, changed) => {
        const { commitment, opening } = commitEvent(input, { nonce });
        const other: Opening = { ...opening, ...changed };
        fc.pre(JSON.stringify(other) !== JSON.stringify(opening));
        expect(openCommitment(other, input.bytes)).not.toEqual(commitment);
      }),
    );
  });

  test("differs for any two different events under one nonce", () => {
    const short = fc.record(
      {
        bytes: fc.uint8Array({ max: 1, maxLength: 3 }),
        mediaType: fc.constantFrom("a/b", "a/b1"),
        source: fc.constantFrom("1", "11", "raw"),
        sequence: fc.bigInt(0n, 11n),
      },
      { requiredKeys: ["bytes", "mediaType"] },
    );
    const told = (input: EventInput) =>
      [hex(input.bytes), input.mediaType, input.source, input.sequence].join("|");
    fc.assert(
      fc.property(short, short, key, (a, b, nonce) => {
        fc.pre(told(a) !== told(b));
        expect(commitEvent(a, { nonce }).commitment).not.toEqual(commitEvent(b, { nonce }).commitment);
      }),
    );
  });

  test("does not let one field be shifted into the next, nor into the bytes", () => {
    const nonce = new Uint8Array(32);
    const of = (input: Omit<EventInput, "mediaType">) =>
      hex(commitEvent({ mediaType: "a/b", ...input }, { nonce }).commitment);
    const alike = [
      of({ source: "1", sequence: 2n, bytes: utf8("3") }),
      of({ source: "12", bytes: utf8("3") }),
      of({ source: "1", bytes: utf8("23") }),
      of({ source: "1", bytes: utf8("2\0" + "3") }),
      of({ source: "1", bytes: utf8("\0" + "2\0" + "3") }),
      of({ sequence: 1n, bytes: utf8("2\0" + "3") }),
      of({ sequence: 12n, bytes: utf8("3") }),
      of({ bytes: utf8("1\0" + "2\0" + "3") }),
      of({ bytes: utf8("123") }),
    ];
    expect(new Set(alike).size).toBe(alike.length);
  });

  test("of equal bytes differs by source and sequence, so equal events of a source stay apart", () => {
    const tenantKey = new Uint8Array(32).fill(7);
    const commitments = [undefined, 1n, 2n].flatMap((sequence) =>
      ["ehr-a", "ehr-b"].map((source) => {
        const input = { bytes: utf8("heartbeat"), mediaType: "text/plain", source };
        return hex(
          commitEvent(sequence === undefined ? input : { ...input, sequence }, { tenantKey }).commitment,
        );
      }),
    );
    expect(new Set(commitments).size).toBe(6);
  });
});

describe("an opening", () => {
  test("shares no nonce with that of another event, so that disclosing one says nothing of the other", () => {
    fc.assert(
      fc.property(event, event, key, (a, b, tenantKey) => {
        const [first, second] = [commitEvent(a, { tenantKey }), commitEvent(b, { tenantKey })];
        fc.pre(hex(first.commitment) !== hex(second.commitment));
        expect(first.opening.nonce).not.toBe(second.opening.nonce);
      }),
    );
  });

  test("holds nothing of the event, and nothing of the tenant key", () => {
    const tenantKey = utf8("tenant-key-tenant-key-tenant-key");
    const { opening } = commitEvent({ bytes: utf8("SECRET"), mediaType: "text/plain" }, { tenantKey });
    expect(Object.keys(opening).sort()).toEqual(["canonicalisation", "mediaType", "nonce", "v"]);
    expect(JSON.stringify(opening)).not.toContain(Buffer.from(tenantKey).toString("base64"));
  });

  test("with jcs opens the event as any system re-serialised it, and no other event", () => {
    const input: EventInput = {
      bytes: utf8('{"resourceType":"AuditEvent","action":"R"}'),
      mediaType: "application/fhir+json",
      canonicalisation: "jcs",
    };
    const { commitment, opening } = commitEvent(input, { nonce: new Uint8Array(32) });
    const open = (text: string) => openCommitment(opening, utf8(text));
    expect(open('{ "action" : "\\u0052",\n "resourceType" : "AuditEvent" }\n')).toEqual(commitment);
    expect(open('{"resourceType":"AuditEvent","action":"D"}')).not.toEqual(commitment);
    expect(() => open('{"action":"R","resourceType":"AuditEvent","action":"R"}')).toThrow(
      refuses("not_canonicalisable"),
    );
    expect(() => open("<AuditEvent/>")).toThrow(refuses("malformed_json"));
  });

  const valid = {
    v: "kedge/v1",
    canonicalisation: "raw",
    mediaType: "text/plain",
    source: "ehr",
    sequence: "1",
    nonce: Buffer.alloc(32, 0xff).toString("base64"),
  };

  test.each<[string, string, unknown]>([
    ["null", "malformed_opening", null],
    ["an array", "malformed_opening", [valid]],
    ["its JSON text", "malformed_opening", JSON.stringify(valid)],
    ["another version", "malformed_opening", { ...valid, v: "kedge/v2" }],
    ["no version", "malformed_opening", { ...valid, v: undefined }],
    ["an unknown member", "malformed_opening", { ...valid, tenantKey: "00" }],
    ["an unknown member named __proto__", "malformed_opening", JSON.parse('{"v":"kedge/v1","__proto__":1}')],
    ["fields it only inherits", "malformed_opening", Object.create(valid)],
    ["no nonce", "malformed_opening", { ...valid, nonce: undefined }],
    ["a short nonce", "malformed_opening", { ...valid, nonce: Buffer.alloc(31).toString("base64") }],
    ["a long nonce", "malformed_opening", { ...valid, nonce: Buffer.alloc(33).toString("base64") }],
    ["a nonce in base64url", "malformed_opening", { ...valid, nonce: valid.nonce.replaceAll("/", "_") }],
    ["a nonce without padding", "malformed_opening", { ...valid, nonce: valid.nonce.replace("=", "") }],
    [
      "a nonce whose spare bits are set",
      "malformed_opening",
      { ...valid, nonce: valid.nonce.replace("8=", "9=") },
    ],
    ["a nonce in hex", "malformed_opening", { ...valid, nonce: "ff".repeat(32) }],
    ["a line feed after the nonce", "malformed_opening", { ...valid, nonce: `${valid.nonce}\n` }],
    ["an unknown canonicalisation", "unknown_canonicalisation", { ...valid, canonicalisation: "c14n" }],
    ["no canonicalisation", "unknown_canonicalisation", { ...valid, canonicalisation: undefined }],
    ["a media type with a parameter", "unknown_media_type", { ...valid, mediaType: "text/plain;a=b" }],
    ["an empty source", "malformed_field", { ...valid, source: "" }],
    ["a null source", "malformed_field", { ...valid, source: null }],
    ["NUL in the source", "malformed_field", { ...valid, source: "a\0b" }],
    ["a lone surrogate in the source", "malformed_field", { ...valid, source: "a\ud800" }],
    ["a sequence that is a number", "malformed_field", { ...valid, sequence: 1 }],
    ["an empty sequence", "malformed_field", { ...valid, sequence: "" }],
    ["a leading zero", "malformed_field", { ...valid, sequence: "01" }],
    ["a sign", "malformed_field", { ...valid, sequence: "+1" }],
    ["a fraction", "malformed_field", { ...valid, sequence: "1.0" }],
    ["2^63", "malformed_field", { ...valid, sequence: "9223372036854775808" }],
    ["a line feed after the sequence", "malformed_field", { ...valid, sequence: "1\n" }],
  ])("with %s is refused (%s)", (_, code, opening) => {
    expect(() => parseOpening(opening)).toThrow(refuses(code));
  });

  test("is accepted with the largest sequence, with zero, and with neither source nor sequence", () => {
    const { source: _source, sequence: _sequence, ...bare } = valid;
    const openings = [
      valid,
      { ...valid, sequence: "9223372036854775807" },
      { ...valid, sequence: "0" },
      bare,
    ];
    for (const opening of openings) expect(parseOpening(opening)).toEqual(opening);
  });

  test("any one edited character of it makes another opening, or none", () => {
    const input: EventInput = { bytes: utf8("{}"), mediaType: "text/plain", source: "ehr", sequence: 12n };
    const { commitment, opening } = commitEvent(input, { nonce: new Uint8Array(32).fill(9) });
    const text = JSON.stringify(opening);
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.string({ minLength: 1, maxLength: 1 }), (at, put) => {
        fc.pre(text[at] !== put);
        const edited = text.slice(0, at) + put + text.slice(at + 1);
        expect(openedOrNothing(edited, input.bytes)).not.toEqual(commitment);
      }),
    );
  });
});

/** The commitment that an opening in JSON stands for; undefined when it is none. */
function openedOrNothing(json: string, bytes: Uint8Array): Uint8Array | undefined {
  try {
    return openCommitment(parseOpening(JSON.parse(json)), bytes);
  } catch (error) {
    expect(error instanceof EventError || error instanceof SyntaxError).toBe(true);
    return undefined;
  }
}

describe("fields and keys", () => {
  const nonce = new Uint8Array(32);
  const input: EventInput = { bytes: utf8("event"), mediaType: "text/plain" };

  test.each<[string, string, Partial<EventInput>]>([
    ["NUL in the source", "malformed_field", { source: "ehr\0" + "1" }],
    ["an empty source", "malformed_field", { source: "" }],
    ["a lone surrogate in the source", "malformed_field", { source: "\udc00" }],
    ["a negative sequence", "malformed_field", { sequence: -1n }],
    ["a sequence of 2^63", "malformed_field", { sequence: 2n ** 63n }],
    ["NUL in the media type", "unknown_media_type", { mediaType: "text/plain\0" }],
    ["an upper-case media type", "unknown_media_type", { mediaType: "Text/Plain" }],
  ])("%s is refused (%s)", (_, code, change) => {
    expect(() => commitEvent({ ...input, ...change }, { nonce })).toThrow(refuses(code));
  });

  test("a tenant key or a nonce of any other length is refused", () => {
    const wrong = fc.uint8Array({ maxLength: 64 }).filter((bytes) => bytes.length !== 32);
    fc.assert(
      fc.property(wrong, (bytes) => {
        expect(() => commitEvent(input, { tenantKey: bytes })).toThrow(refuses("malformed_key"));
        expect(() => commitEvent(input, { nonce: bytes })).toThrow(refuses("malformed_key"));
      }),
    );
  });

  test("a tenant key is read from its hex", () => {
    fc.assert(
      fc.property(key, (bytes) => {
        expect(parseTenantKey(hex(bytes))).toEqual(bytes);
        expect(bytes.length).toBe(TENANT_KEY_BYTES);
      }),
    );
  });

  test.each([
    ["AB".repeat(32)],
    ["ab".repeat(31)],
    ["ab".repeat(33)],
    [`0x${"ab".repeat(31)}`],
    [`${"ab".repeat(32)}\n`],
    [""],
  ])("%j is no tenant key, and the error does not quote it", (text) => {
    expect(() => parseTenantKey(text)).toThrow(refuses("malformed_key"));
    if (text !== "") expect(() => parseTenantKey(text)).not.toThrow(text.slice(0, 8));
  });
});
