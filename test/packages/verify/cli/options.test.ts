/** What options take, and what they refuse. */
import { commitmentHex, entryCount, entryNumber, seconds, wholeNumber } from "@kedge/verify/cli/options";
import { time } from "@kedge/verify/cli/time";
import { InvalidArgumentError } from "commander";
import { expect, test } from "vitest";

const port = wholeNumber(0, 65_535);
const line = wholeNumber(1);

test.each<[(text: string) => unknown, string, unknown]>([
  [port, "0", 0],
  [port, "65535", 65_535],
  [line, "999999999999999", 999_999_999_999_999],
  [entryNumber, "999999999999999999", 999_999_999_999_999_999n],
  [entryCount, "10000000000", 10_000_000_000n],
  [seconds(), "0.5", 500],
  [seconds(), "2e6", 2_000_000_000],
  [seconds(2_000_000), "1999999", 1_999_999_000],
  [time, "2026-03-02T08:00:00+01:00", Date.UTC(2026, 2, 2, 7)],
  [commitmentHex, "0a".repeat(32), "0a".repeat(32)],
])("%o takes %j", (parse, text, value) => {
  expect(parse(text)).toBe(value);
});

test.each<[(text: string) => unknown, string[]]>([
  [port, ["65536", "-1", "1.5", "1e3", "0x10", " 1", ""]],
  [line, ["0", "9999999999999999"]],
  [entryNumber, ["-1", "1.0", "1e3", "9999999999999999999", ""]],
  [entryCount, ["10000000001", "999999999999999999", "-1"]],
  [seconds(), ["0", "-1", "Infinity", "NaN", "ten", ""]],
  [seconds(2_000_000), ["2000000"]],
  [time, ["2026-03-02", "2026-03-02T08:00Z", "2026-02-30T08:00:00Z", "2026-03-02T08:00:00", "1772438400"]],
  [commitmentHex, ["AA".repeat(32), "aa".repeat(31), `${"aa".repeat(32)}\n`]],
])("%o refuses %j", (parse, texts) => {
  for (const text of texts) expect(() => parse(text), text).toThrow(InvalidArgumentError);
});
