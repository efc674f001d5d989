/** Rows of delimited files: each is found once, whole, however its bytes come. */

import { rowFields, rowScanner, separatorOf, withoutLineEnd } from "@kedge/verify/events/formats/rows";
import { joinBytes } from "@kedge/verify/tlog/bytes";
import fc from "fast-check";
import { expect, test } from "vitest";

const utf8 = new TextEncoder();

function rowsOf(parts: readonly Uint8Array[], separator: string): Uint8Array[] {
  const scanner = rowScanner({ separator });
  const rows: Uint8Array[] = [];
  let open: Uint8Array[] = [];
  for (const part of parts) {
    let start = 0;
    for (let end = scanner.next(part, 0); end !== -1; end = scanner.next(part, start)) {
      rows.push(withoutLineEnd(joinBytes([...open, part.subarray(start, end + 1)])));
      open = [];
      start = end + 1;
    }
    open.push(part.subarray(start));
  }
  return rows;
}

const separators = fc.constantFrom(",", "\t", "|", ";");
const written = (field: string, separator: string): string =>
  [separator, '"', "\n", "\r"].some((special) => field.includes(special))
    ? `"${field.replaceAll('"', '""')}"`
    : field;

/** Of the characters that matter, and others. */
const field = fc.string({
  unit: fc.constantFrom("a", "é", "漢", " ", ",", "|", ";", "\t", '"', "\n", "\r"),
  maxLength: 8,
});

test("what was written by RFC 4180 is read back, row by row and field by field, cut anywhere", () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(field, { minLength: 1, maxLength: 5 }), { maxLength: 8 }),
      separators,
      fc.constantFrom("\n", "\r\n"),
      fc.array(fc.nat(200)),
      (table, separator, lineEnd, cuts) => {
        const lines = table.map((row) => row.map((text) => written(text, separator)).join(separator));
        const bytes = utf8.encode(lines.map((line) => line + lineEnd).join(""));
        const at = [...new Set([0, ...cuts.map((cut) => Math.min(cut, bytes.length)), bytes.length])].sort(
          (a, b) => a - b,
        );
        const parts = at.slice(1).map((end, i) => bytes.subarray(at[i], end));
        const rows = rowsOf(parts, separator);
        expect(rows.map((row) => rowFields(row, { separator }))).toEqual(table);
        expect(rows.map((row) => new TextDecoder().decode(row))).toEqual(lines);
      },
    ),
  );
});

test("no bytes at all make it throw, and none is lost", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 60 })), separators, (parts, separator) => {
      const bytes = joinBytes(parts);
      for (const row of rowsOf([...parts, utf8.encode('"\n')], separator)) rowFields(row, { separator });
      const scanner = rowScanner({ separator });
      let ends = 0;
      for (let end = scanner.next(bytes, 0); end !== -1; end = scanner.next(bytes, end + 1)) {
        expect(bytes[end]).toBe(0x0a);
        ends += 1;
      }
      expect(ends).toBeLessThanOrEqual(bytes.filter((byte) => byte === 0x0a).length);
    }),
  );
});

test("a quote within a field, as exports have it that quote nothing, opens nothing", () => {
  const rows = rowsOf([utf8.encode('5\'11" tall|said "no"\nb|c\n')], "|");
  expect(rows.map((row) => rowFields(row, { separator: "|" }))).toEqual([
    ["5'11\" tall", 'said "no"'],
    ["b", "c"],
  ]);
});

test("a quote that is never closed is told, and where quotes mean nothing a line is a row", () => {
  const scanner = rowScanner({ separator: "," });
  const bytes = utf8.encode('a,"b\nc,d\n');
  expect(scanner.next(bytes, 0)).toBe(-1);
  expect(scanner.isQuoted()).toBe(true);
  expect(rowScanner({ separator: ",", quoted: false }).next(bytes, 0)).toBe(4);
});

test.each([
  ["ACCESS_TIME|USER_ID|PAT_MRN_ID", "|"],
  ["ACCESS_TIME\tUSER_ID", "\t"],
  ["when;who", ";"],
  ['"a|b","c"', ","],
  ["one column", ","],
])("the separator of %j is told from it", (header, separator) => {
  expect(separatorOf(utf8.encode(header))).toBe(separator);
});

test("what is not UTF-8 is read as ISO-8859-1", () => {
  expect(rowFields(new Uint8Array([0x4d, 0xfc, 0x2c, 0x61]), { separator: "," })).toEqual(["Mü", "a"]);
});
