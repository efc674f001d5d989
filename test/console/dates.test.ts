/** Times as people read them: none without the zone that it is in. */
import { afterEach, expect, test, vi } from "vitest";
import { dateIn, utc } from "../../console/case/dates.ts";
import { formatsOf } from "../../console/format.ts";

afterEach(() => vi.unstubAllGlobals());
const SUMMER = Date.UTC(2026, 6, 14, 10, 32, 5);
const WINTER = Date.UTC(2026, 0, 14, 10, 32, 5);

test.each([
  ["en-GB", SUMMER, "Europe/Berlin", "14 Jul 2026, 12:32:05 UTC+2"],
  ["en-GB", WINTER, "Europe/Berlin", "14 Jan 2026, 11:32:05 UTC+1"],
  ["de", SUMMER, "Europe/Berlin", "14.07.2026, 12:32:05 UTC+2"],
  ["de", WINTER, "UTC", "14.01.2026, 10:32:05 UTC"],
  ["en-US", WINTER, "America/St_Johns", "Jan 14, 2026, 7:02:05 AM UTC-3:30"],
  ["en-GB", WINTER, "Asia/Kolkata", "14 Jan 2026, 16:02:05 UTC+5:30"],
])("in %s, %d in %s is %s", (language, ms, zone, text) => {
  // Engines differ in the space before AM.
  expect(dateIn(language)(ms, zone).replaceAll("\u{202f}", " ")).toBe(text);
});

test("in UTC a time says so", () => expect(utc(WINTER)).toBe("2026-01-14 10:32:05 UTC"));

test.each(["en", "de"] as const)("every time of the pages names its zone, in %s", (language) => {
  vi.stubGlobal("navigator", { languages: [language] });
  const formats = formatsOf(language);
  const named = / UTC([+-]\d{1,2}(:\d\d)?)?$/;
  expect(formats.time("2026-07-14T10:32:05Z")).toMatch(named);
  expect(formats.clock(SUMMER)).toMatch(named);
  expect(formats.zone).toBe(Intl.DateTimeFormat().resolvedOptions().timeZone);
  expect(formats.time("yesterday")).toBe("yesterday");
});
