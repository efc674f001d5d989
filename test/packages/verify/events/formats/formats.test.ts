/**
 * What holds of every format. Real files in their place: KEDGE_EVENTS=<folder> npx vitest run
 * test/packages/verify/events/formats/formats.test.ts prints what was told of each, a line an event.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { EventError } from "@kedge/verify/events/error";
import type { Columns } from "@kedge/verify/events/formats/columns";
import { FORMATS, formatOf, readColumns } from "@kedge/verify/events/formats/formats";
import { GAP_MEDIA_TYPE } from "@kedge/verify/events/gap";
import { mediaTypeOf } from "@kedge/verify/events/media";
import { utf8ToBytes } from "@noble/hashes/utils.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EPIC_HEADER, GAP, SAMPLES } from "../../../../support/event-samples.ts";

const epic = { separator: "|", header: EPIC_HEADER.split("|") };

test("formats have names of their own, and no media type is of two", () => {
  const names = FORMATS.map(({ name }) => name);
  const mediaTypes = FORMATS.flatMap((format) => format.mediaTypes);
  expect(new Set(names).size).toBe(names.length);
  expect(new Set(mediaTypes).size).toBe(mediaTypes.length);
});

test.each(SAMPLES)(
  "$name is recognised by its media type or its beginning",
  ({ format, mediaType, text }) => {
    const bytes = utf8ToBytes(text);
    expect(formatOf(bytes, mediaType).name).toBe(format);
    if (mediaType.includes("vnd.kedge") || format === "delimited") return;
    expect(formatOf(bytes).name).toBe(format);
    expect(formatOf(utf8ToBytes(`\u{feff}\r\n${text}`), "application/octet-stream").name).toBe(
      text.startsWith("<?xml") ? formatOf(utf8ToBytes(`\n${text}`)).name : format,
    );
  },
);

test("a gap is found by its action, and is not made by what is taken as something else", () => {
  const bytes = utf8ToBytes(GAP);
  expect(readColumns(bytes, GAP_MEDIA_TYPE)).toEqual({
    action: "gap: overlong",
    reason: { explanation: "a message above the limit" },
    outcome: "2000000 octets",
  });
  expect(readColumns(bytes, "application/json")).toEqual({});
});

test("what is of no format is plain bytes, and has no columns", () => {
  for (const text of ["", " ", "{", "[1]", "<", "<html>", '{"a":1}', "\u0000", "\u{feff}"]) {
    expect(formatOf(utf8ToBytes(text)).name).toBe("bytes");
    expect(readColumns(utf8ToBytes(text), "application/json")).toEqual({});
  }
});

test("a member of an object further in makes no format", () => {
  const text = '{"text":"{\\"resourceType\\":1}","inner":{"resourceType":"AuditEvent","specversion":"1.0"}}';
  expect(formatOf(utf8ToBytes(text)).name).toBe("bytes");
});

const cells = (columns: Columns): string[] =>
  Object.values(columns).flatMap((column) =>
    typeof column === "string" ? [column] : Object.values(column).map(String),
  );

test("a cell is one line, of bounded length, without a character that is not seen", () => {
  const hostile = fc
    .array(fc.nat(0x10ffff), { maxLength: 20 })
    .map((points) => `a\u202e\t|\r\n\u0000${String.fromCodePoint(...points)}`.repeat(100));
  fc.assert(
    fc.property(hostile, (text) => {
      const event = {
        resourceType: "AuditEvent",
        recorded: text,
        agent: { name: text, requestor: true },
        purposeOfEvent: { text },
      };
      const told = cells(readColumns(utf8ToBytes(JSON.stringify(event)), "application/fhir+json"));
      expect(told.length).toBe(3);
      for (const cell of told) {
        expect([...cell].length).toBeLessThanOrEqual(1_025);
        expect(cell).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u);
        expect(cell).toBe(cell.trim());
      }
    }),
    { numRuns: 10 },
  );
});

/** What tells a format, each with the least that it needs. */
const LEAST = [
  ...["AuditEvent", "Provenance", "Patient", "Observation"].map((resourceType) => ({ resourceType })),
  { type: "ObjectEvent", eventTime: "x" },
  { specversion: "1.0", id: "1", type: "t", source: "s" },
  { eventVersion: "1", eventSource: "s", eventName: "n" },
  { class_uid: 1, metadata: {} },
];
/** By which a format is told: of another format they are not. */
const MARKS = ["resourceType", "specversion", "eventVersion", "class_uid"];
const NAMES = [
  ...new Set(SAMPLES.flatMap(({ text }) => [...text.matchAll(/"(\w+)"\s*:/g)].map(([, name]) => name ?? ""))),
].filter((name) => !MARKS.includes(name));

test("any value under any name that a format knows is read: told, or left out", () => {
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 5, depthSize: "small" },
      fc.constantFrom(null, true, 7, -1.5, "", " ", "text", "Patient/1", "urn:epc:id:sgtin:0614141.107346.*"),
      fc.array(tie("value"), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom(...NAMES), tie("value"), { maxKeys: 8 }),
    ),
  }));
  const members = fc.dictionary(fc.constantFrom(...NAMES), value, { minKeys: 5, maxKeys: 20 });
  fc.assert(
    fc.property(fc.constantFrom(...LEAST), members, (least, others) => {
      const bytes = utf8ToBytes(JSON.stringify({ ...others, ...least }));
      for (const cell of cells(readColumns(bytes, "application/json"))) expect(cell).not.toBe("");
    }),
    { numRuns: 100 },
  );
});

const XML_FORMATS = ["application/fhir+xml", "application/ihe+rfc3881"];
const deep = (levels: number, middle = "") =>
  `${"<AuditMessage>".repeat(levels)}${middle}${"</AuditMessage>".repeat(levels)}`;

describe.each(XML_FORMATS)("XML of %s is refused", (mediaType) => {
  const refusals: [string, string, string][] = [
    [
      "a document type",
      '<!DOCTYPE AuditMessage [<!ENTITY a "b">]>\n<AuditMessage/>',
      "line 1, column 1: a document type declaration",
    ],
    [
      "an external entity",
      '<?xml version="1.0"?>\n <!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
      "line 2, column 2: a document type declaration",
    ],
    ["an entity of its own", "<AuditMessage>&xxe;</AuditMessage>", "line 1, column 19: undefined entity"],
    [
      "a processing instruction within",
      "<AuditMessage>\n<?php x?></AuditMessage>",
      "line 2, column 1: a processing instruction within the document",
    ],
    [
      "one after it",
      "<AuditMessage/><?php x?>",
      "line 1, column 16: a processing instruction within the document",
    ],
    ["10,000 levels", deep(10_000), "line 1, column 1401: more than 100 levels"],
    [
      "too many attributes",
      `<AuditMessage ${Array.from({ length: 257 }, (_, i) => `a${i}="" `).join("")}/>`,
      "line 1, column 1: more than 256 attributes of an element",
    ],
    ["no end", "<AuditMessage>\r\n<a>", "line 2, column 4: unclosed tag."],
    ["two roots", "<AuditMessage/><AuditMessage/>", "documents may contain only one root"],
    ["an attribute twice", '<AuditMessage a="secret" a="secret"/>', "duplicate attribute"],
    [
      "UTF-16",
      '<?xml version="1.0" encoding="UTF-16"?><AuditMessage/>',
      "line 1, column 1: an encoding other than UTF-8 and ISO-8859-1",
    ],
  ];
  test.each(refusals)("%s", (_what, text, words) => {
    const read = () => readColumns(utf8ToBytes(text), mediaType);
    expect(read).toThrow(
      expect.objectContaining({ code: "malformed_event", message: expect.stringContaining(words) }),
    );
    expect(read).not.toThrow(/secret|passwd|xxe|php/);
  });

  test("bytes that are not UTF-8", () => {
    const bytes = Uint8Array.of(
      ...utf8ToBytes("<AuditMessage>\n\u00fc"),
      0xff,
      ...utf8ToBytes("</AuditMessage>"),
    );
    expect(() => readColumns(bytes, mediaType)).toThrow("line 2, column 2: bytes that are not UTF-8");
  });
});

test("a hundred levels are read", () => {
  expect(readColumns(utf8ToBytes(deep(100)), "application/xml")).toEqual({});
});

test("JSON of ten thousand levels is refused", () => {
  const text = `{"resourceType":"Basic","a":${"[".repeat(10_000)}${"]".repeat(10_000)}}`;
  expect(() => readColumns(utf8ToBytes(text), "application/json")).toThrow(
    "line 1, column 156: more than 128 levels of nesting",
  );
});

test("an error quotes nothing of the event", () => {
  const canary = /Canaryname|9{9}/;
  const text = SAMPLES.map((sample) =>
    sample.text.replaceAll(/Sample|Test|tnurse|Anna/g, "Canaryname999999999"),
  );
  fc.assert(
    fc.property(
      fc.constantFrom(...text),
      fc.nat(),
      fc.constantFrom("", "<", "&Canaryname;", '"', "}", "\u0000"),
      (sample, where, inserted) => {
        const at = where % (sample.length + 1);
        const bytes = utf8ToBytes(
          sample.slice(0, at) + inserted + sample.slice(inserted === "" ? at + 1 : at),
        );
        for (const mediaType of [undefined, ...FORMATS.flatMap((format) => format.mediaTypes)]) {
          try {
            formatOf(bytes, mediaType).read(bytes, epic);
          } catch (error) {
            if (!(error instanceof EventError)) throw error;
            expect(error.code).toBe("malformed_event");
            expect(error.message).not.toMatch(canary);
            expect(String(error.cause ?? "")).not.toMatch(canary);
          }
        }
      },
    ),
    { numRuns: 60 },
  );
});

const EVENTS = process.env["KEDGE_EVENTS"];

test.runIf(EVENTS !== undefined)("columns come out of every audit file there", () => {
  const folder = EVENTS ?? "";
  const told = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((path) => /\.(?:json|jsonld|xml)$/.test(path))
    .flatMap((path) => {
      const bytes = new Uint8Array(readFileSync(join(folder, path)));
      const mediaType = mediaTypeOf(path, bytes);
      const { name, split } = formatOf(bytes, mediaType);
      if (name === "bytes") return [];
      const events = split?.(bytes) ?? [{ bytes, mediaType }];
      return events.map((event, i) => ({
        file: events.length > 1 ? `${path} ${i}` : path,
        name,
        ...readColumns(event.bytes, event.mediaType),
      }));
    });
  for (const { file, name, when, user, patient, action } of told) {
    const who = user?.login ?? user?.name;
    console.info(
      [file, name, when, who, patient?.mrn ?? patient?.name, action].map((cell) => cell ?? "-").join(" | "),
    );
  }
  expect(told.length).toBeGreaterThan(0);
  expect(told.filter((columns) => Object.keys(columns).length === 2)).toEqual([]);
});
