/** Times by clocks of zones: of the platform's data, and as a pack states them. */
import {
  instantOf,
  localText,
  offsetsAround,
  statedClock,
  timesIn,
  zoneClock,
} from "@kedge/verify/pack/time";
import { describe, expect, it, test } from "vitest";

const BERLIN = zoneClock("Europe/Berlin");
const at = Date.parse;

test("the hour that comes twice is told apart by its offset", () => {
  const local = timesIn(BERLIN);
  expect(local("2026-10-25T00:30:00Z")?.local).toBe("2026-10-25 02:30:00+02:00");
  expect(local("2026-10-25T01:30:00Z")?.local).toBe("2026-10-25 02:30:00+01:00");
  expect(timesIn(zoneClock("Asia/Kathmandu"))("1969-12-31T23:59:59Z")?.local).toBe(
    "1970-01-01 05:29:59+05:30",
  );
});

test("an offset of seconds is told in minutes, and so is the time beside it", () => {
  const text = localText(at("1900-06-01T12:00:00Z"), zoneClock("America/Caracas")); // -04:27:40 or so
  expect(at(text)).toBe(at("1900-06-01T12:00:00Z"));
});

test("a zone that the platform does not know is a RangeError", () => {
  expect(() => zoneClock("Mars/Olympus")).toThrow(RangeError);
});

describe("the offsets of a pack", () => {
  it("are those that hold around its times, each from when it does", () => {
    const times = ["2026-03-02T08:00:00Z", "2026-03-29T12:00:00Z", "2026-12-24T18:00:00Z"].map(at);
    expect(offsetsAround(times, BERLIN)).toEqual([
      { minutes: 60 },
      { from: "2026-03-29T01:00:00Z", minutes: 120 },
      { from: "2026-10-25T01:00:00Z", minutes: 60 },
    ]);
    expect(offsetsAround([at("2026-01-05T12:00:00Z")], zoneClock("America/St_Johns"))).toEqual([
      { minutes: -210 },
    ]);
  });

  it("do not hang on the order of the times, nor on how many are of one day", () => {
    const times = ["2026-10-25T00:30:00Z", "2026-03-02T08:00:00Z", "2026-10-25T01:30:00Z"].map(at);
    expect(offsetsAround(times.toReversed(), BERLIN)).toEqual(offsetsAround([...times, ...times], BERLIN));
  });

  it("show every time as the zone did, also where clocks show it twice or leave it out", () => {
    for (const zone of ["Europe/Berlin", "Australia/Lord_Howe", "America/New_York", "Pacific/Apia", "UTC"]) {
      const clock = zoneClock(zone);
      const whens = [
        "2011-12-30T12:00:00",
        "2026-03-29T02:30:00",
        "2026-10-25T02:30:00",
        "1970-01-01T00:00:00",
      ]
        .concat("2026-03-08T02:30:00", "2026-11-01T01:30:00", "2026-04-05T01:45:00", "2026-10-04T02:15:00")
        .concat("1900-01-01T00:00:00Z", "9999-12-31T00:00:00Z");
      const times = whens.map((when) => instantOf(when, clock) ?? Number.NaN);
      const stated = statedClock(offsetsAround(times, clock));
      expect(whens.map(timesIn(stated))).toEqual(whens.map(timesIn(clock)));
    }
  });

  it("are found among many as quickly as among few", () => {
    const many = Array.from({ length: 30_000 }, (_, i) => ({
      ...(i > 0 && { from: new Date(i * 86_400_000).toISOString().replace(".000Z", "Z") }),
      minutes: i % 1_440,
    }));
    const clock = statedClock(many);
    for (const day of [0, 1, 29_998, 29_999, 40_000]) {
      expect(clock(day * 86_400_000) / 60_000).toBe(Math.min(day, 29_999) % 1_440);
      expect(clock(day * 86_400_000 - 1) / 60_000).toBe(Math.max(0, Math.min(day - 1, 29_999)) % 1_440);
    }
  });
});
