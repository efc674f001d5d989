import { time } from "@kedge/verify/cli/time";
import { timeText } from "@kedge/verify/rfc3339";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { z } from "zod";

describe("a time as text", () => {
  test.each([
    ["1970-01-01T00:00:00Z", 0],
    ["2030-01-01T01:00:00+01:00", 1_893_456_000_000],
    ["9999-12-31T23:59:59.999Z", 253_402_300_799_999],
    ["0000-01-01T00:00:00Z", -62_167_219_200_000],
  ])("%s is read", (text, ms) => {
    expect(time(text)).toBe(ms);
    expect(Date.parse(timeText(ms))).toBe(ms);
  });

  test.each([
    "9999-12-31T23:59:59-23:59", // in UTC it is of the year 10000
    "0000-01-01T00:00:00+23:59",
    "2026-02-30T00:00:00Z",
    "2026-01-01",
    "tomorrow",
    "",
  ])("%j is none", (text) => {
    expect(() => time(text)).toThrow("RFC 3339");
  });

  test("whatever number is stored, its text is a time of RFC 3339", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(1n << 70n), max: 1n << 70n }), (ms) => {
        expect(z.iso.datetime().safeParse(timeText(ms)).success).toBe(true);
      }),
    );
    expect(timeText(1n << 70n)).toBe("9999-12-31T23:59:59.999Z");
    expect(timeText(-1n << 70n)).toBe("0000-01-01T00:00:00.000Z");
  });
});
