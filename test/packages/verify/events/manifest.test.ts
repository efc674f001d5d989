import {
  countOf,
  HOUR,
  type Manifest,
  manifestBytes,
  manifestSource,
  parseManifest,
} from "@kedge/verify/events/manifest";
import { EMPTY_ROOT } from "@kedge/verify/tlog/merkle";
import fc from "fast-check";
import { expect, test } from "vitest";

const EXAMPLE: Manifest = {
  source: "ehr",
  from: Date.UTC(2026, 2, 1, 8),
  to: Date.UTC(2026, 2, 1, 9),
  numbers: { first: 7n, last: 8n },
  root: new Uint8Array(32).fill(1),
  previous: new Uint8Array(32).fill(0xab),
};
const TEXT = `{"count":2,"first":"7","from":"2026-03-01T08:00:00Z","last":"8","previous":"${"ab".repeat(32)}","root":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=","source":"ehr","to":"2026-03-01T09:00:00Z"}`;
const bytesOf = (text: string) => new TextEncoder().encode(text);

test("a manifest is JCS with the members of the design", () => {
  expect(new TextDecoder().decode(manifestBytes(EXAMPLE))).toBe(TEXT);
  expect(parseManifest(bytesOf(TEXT))).toEqual(EXAMPLE);
  expect(countOf(EXAMPLE)).toBe(2n);
  expect(manifestSource("ehr")).toBe("kedge.manifest/ehr");
});

test("a period without events says zero, and no numbers", () => {
  const { numbers: _, previous: __, ...rest } = EXAMPLE;
  const empty = { ...rest, root: EMPTY_ROOT };
  const text = new TextDecoder().decode(manifestBytes(empty));
  expect(JSON.parse(text)).toEqual({
    ...{ source: "ehr", from: "2026-03-01T08:00:00Z", to: "2026-03-01T09:00:00Z", count: 0 },
    root: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
  });
  expect(parseManifest(bytesOf(text))).toEqual(empty);
});

test("what is written is read as it was", () => {
  const hour = fc.integer({ min: 0, max: 2_000_000 });
  const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });
  fc.assert(
    fc.property(
      fc.stringMatching(/^[a-zäß/"\\]{1,20}$/),
      hour,
      fc.integer({ min: 1, max: 3000 }),
      fc.option(fc.tuple(fc.bigInt(0n, 10n ** 15n), fc.bigInt(0n, 10n ** 12n))),
      hash,
      fc.option(hash),
      (source, start, hours, range, root, previous) => {
        const manifest: Manifest = {
          ...{ source, from: start * HOUR, to: (start + hours) * HOUR },
          ...(range === null
            ? { root: EMPTY_ROOT }
            : { root, numbers: { first: range[0], last: range[0] + range[1] } }),
          ...(previous === null ? {} : { previous }),
        };
        expect(parseManifest(manifestBytes(manifest))).toEqual(manifest);
      },
    ),
  );
});

test.each([
  ["another spelling", TEXT.replace(",", ", ")],
  ["an unknown member", TEXT.replace('"count"', '"a":1,"count"')],
  ["a count that is not of the numbers", TEXT.replace('"count":2', '"count":3')],
  ["first without last", TEXT.replace('"last":"8",', "")],
  ["last without first", TEXT.replace('"first":"7",', "")],
  ["last before first", TEXT.replace('"last":"8"', '"last":"6"')],
  ["a leading zero", TEXT.replace('"7"', '"07"')],
  ["no hour", TEXT.replace("08:00:00Z", "08:30:00Z")],
  ["an hour that no day has", TEXT.replace("08:00:00Z", "24:00:00Z")],
  ["an offset", TEXT.replace("08:00:00Z", "08:00:00+00:00")],
  ["an end before its beginning", TEXT.replace("T09", "T08")],
  ["a short root", TEXT.replace("AQEB", "")],
  ["upper-case hex", TEXT.replace("abab", "ABAB")],
  ["an empty source", TEXT.replace('"ehr"', '""')],
  ["a root of events in a period without", TEXT.replace(/"(first|last)":"\d",/g, "").replace(":2,", ":0,")],
  ["no object", "[]"],
])("refused: %s", (_, text) => {
  expect(text).not.toBe(TEXT);
  expect(() => parseManifest(bytesOf(text))).toThrow(expect.objectContaining({ name: "EventError" }));
});
