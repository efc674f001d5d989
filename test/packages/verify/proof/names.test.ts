/** The name of a proof can be written anywhere, and finds its event again. */
import { markedName, pairKey, pairKeysOf, proofName } from "@kedge/verify/proof/names";
import fc from "fast-check";
import { expect, test } from "vitest";

const COMMITMENT = "0123456789abcdef".repeat(4);
/** With what is written beside it: the suffix, and the name while it is written. */
const ROOM = 255 - ".tlog-proof".length - ".4194304.partial".length;
const bytes = (text: string): number => Buffer.byteLength(text);

test("whatever an event is called, its proof's name fits every file system, and stays below the folder", () => {
  const names = fc.oneof(
    fc.string({ unit: "binary", maxLength: 300 }),
    fc.string({
      unit: fc.constantFrom("カ", "a", ".", " ", "/", "\\", "\u0301", "é", "👩‍⚕️"),
      maxLength: 300,
    }),
    fc.constantFrom(
      "CON",
      "nul.json",
      "COM1.tar.gz",
      "lpt9",
      "AUX .x",
      "a?b",
      'x:"y"',
      "<z>|*",
      "..",
      "../../etc",
    ),
  );
  fc.assert(
    fc.property(names, fc.option(fc.integer({ min: 1, max: 1e15 })), (path, line) => {
      const name = markedName(proofName(path, line ?? undefined), COMMITMENT);
      for (const part of name.split("/")) {
        expect(bytes(part)).toBeLessThanOrEqual(ROOM);
        expect(part).not.toMatch(/[<>:"|?*\\\p{Cc}]|^\.{0,2}$|[. ]$/u);
        expect(part).not.toMatch(/^(con|prn|aux|nul|com\d|lpt\d) *(\.|$)/i);
      }
    }),
    { numRuns: 500 },
  );
});

test("a proof is found by its event, under whichever name it was written", () => {
  const paths = fc.string({
    unit: fc.constantFrom("カ", "a", "B", ".", "?", " ", "/", "é", "e\u0301", "1", "~"),
    minLength: 1,
    maxLength: 250,
  });
  fc.assert(
    fc.property(paths, fc.option(fc.integer({ min: 1, max: 99 })), (path, line) => {
      const name = proofName(path, line ?? undefined);
      const key = pairKey(name);
      expect(pairKeysOf(`${name}.tlog-proof`)).toContain(key);
      expect(pairKeysOf(`${markedName(name, COMMITMENT)}.tlog-proof`)).toContain(key);
      for (const form of ["NFC", "NFD"] as const) {
        expect(pairKey(proofName(path.normalize(form), line ?? undefined))).toBe(key);
        expect(pairKeysOf(`${name.normalize(form)}.tlog-proof`)).toContain(key);
      }
    }),
    { numRuns: 500 },
  );
});

test.each([
  ["day/a.json", undefined],
  ["a?b|c.json", undefined],
  ["e\u0301.json", undefined],
  ["con.json", undefined],
  [`${"x".repeat(215)}.json`, undefined],
  [`${"カ".repeat(70)}.ndjson`, 12],
  ["stdin", 1],
])("what an older version wrote for %s still pairs", (event, line) => {
  // As 148cc07 made names: control characters and colons alone were replaced.
  const old = `${event.replace(/[\p{C}:]/gu, "_")}${line === undefined ? "" : `.${line}`}.tlog-proof`;
  expect(pairKeysOf(old)).toContain(pairKey(proofName(event === "stdin" ? "-" : event, line)));
});

test("names that were long and differ at their end stay apart, as far as a mark tells", () => {
  const [a, b] = ["a", "b"].map((end) => proofName(`${"カ".repeat(78)}${end}.json`));
  expect(a).not.toBe(b);
  expect(bytes(String(a))).toBeLessThanOrEqual(180);
});
