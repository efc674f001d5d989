/**
 * Times of events: as instants, and as the clocks of a zone show them. An event's time without an offset is in the zone of the
 * case, which the document says. A pack states the offsets that it was made with, so that it says the same wherever it is
 * checked, and whatever becomes of the zone's rules; who makes one has them of the platform (ECMA-402).
 */

/** How many ms clocks are ahead of UTC, in whole minutes. @param ms since the epoch */
export type Clock = (ms: number) => number;

export const UTC: Clock = () => 0;

/** From when on clocks are so many minutes ahead of UTC; the first of several holds before as well, and has no `from`. */
export type Offset = {
  /** `2026-03-29T01:00:00Z` */
  from?: string;
  minutes: number;
};

/** More than a zone has from 1900 to 9999, the years that are read. */
export const MAX_OFFSETS = 1 << 15;

/** `local` is `2026-03-02 09:00:00+01:00`, `utc` is `2026-03-02T08:00:00Z`; fractions of a second stay in `utc` alone. */
export type BothTimes = { local: string; utc: string };

/** Gives undefined for what `instantOf` cannot read. */
export function timesIn(clock: Clock): (when: string) => BothTimes | undefined {
  return (when) => {
    const ms = instantOf(when, clock);
    if (ms === undefined) return undefined;
    return { local: localText(ms, clock).replace("T", " "), utc: utcText(ms) };
  };
}

/** RFC 3339, also with a space for the T, without seconds, offset or time of the day. */
const TIME =
  /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(?:\s?(Z|[+-]\d\d:?\d\d))?)?$/i;

const MINUTE = 60_000;
/** The last that RFC 3339 can say. */
const LAST = Date.parse("9999-12-31T23:59:59.999Z");

/** Ms since the epoch; undefined for what is no such time. */
export function instantOf(when: string | undefined, clock: Clock): number | undefined {
  const [, year, month, day, hour = "00", minute = "00", second = "00", fraction = "", offset] =
    TIME.exec(when ?? "") ?? [];
  // What is before all audit trails is a clock that was never set.
  if (year === undefined || Number(year) < 1900) return undefined;
  // A leap second is the last of its minute.
  const seconds = second === "60" ? "59" : second;
  const ms = fraction.slice(0, 3).padEnd(3, "0");
  const shown = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${seconds}.${ms}Z`);
  // Date.parse takes 2026-02-30 for another day.
  if (Number.isNaN(shown) || new Date(shown).getUTCDate() !== Number(day)) return undefined;
  const instant = shown - (offset === undefined ? offsetOf(shown, clock) : readOffset(offset));
  return instant <= LAST ? instant : undefined;
}

function readOffset(text: string): number {
  if (/^z$/i.test(text)) return 0;
  const sign = text.startsWith("-") ? -1 : 1;
  return sign * (Number(text.slice(1, 3)) * 60 + Number(text.slice(-2))) * MINUTE;
}

/** Whether a time says its offset: without one it is taken to be in the case's zone. */
export const hasOffset = (when: string): boolean => TIME.exec(when)?.[8] !== undefined;

/** RFC 3339 by the clock, with its offset then, to the second. @param ms since the epoch */
export function localText(ms: number, clock: Clock): string {
  const offset = clock(ms);
  const minutes = Math.abs(offset) / MINUTE;
  const two = (number: number) => `${Math.floor(number)}`.padStart(2, "0");
  const sign = offset < 0 ? "-" : "+";
  return `${new Date(ms + offset).toISOString().slice(0, 19)}${sign}${two(minutes / 60)}:${two(minutes % 60)}`;
}

/** Minutes since midnight. @param ms since the epoch */
export function minuteOfDay(ms: number, clock: Clock): number {
  const local = new Date(ms + clock(ms));
  return 60 * local.getUTCHours() + local.getUTCMinutes();
}

/**
 * Of a time that the clock shows. One that it shows twice, as summer ends, is the first of both; one that it leaves out, as
 * summer begins, is as if it had not.
 */
function offsetOf(shown: number, clock: Clock): number {
  const before = clock(shown - DAY);
  if (clock(shown - before) === before) return before;
  const after = clock(shown + DAY);
  return clock(shown - after) === after ? after : before;
}

// ---- clocks -------------------------------------------------------------------------------------------------------

/** Clocks are set at whole quarters of an hour: what holds for one instant of it, holds for all. */
const QUARTER = 15 * MINUTE;
const DAY = 24 * 60 * MINUTE;
const MAX_KEPT = 100_000;

/** By the platform's data, named as in IANA's data base. Throws RangeError for a zone that it does not know. */
export function zoneClock(zone: string): Clock {
  const format = new Intl.DateTimeFormat("en-US", {
    ...{ timeZone: zone, calendar: "gregory", numberingSystem: "latn", hourCycle: "h23", era: "short" },
    ...{ year: "numeric", month: "numeric", day: "numeric" },
    ...{ hour: "numeric", minute: "numeric", second: "numeric" },
  });
  const kept = new Map<number, number>();
  return (ms) => {
    const start = Math.floor(ms / QUARTER) * QUARTER;
    const known = kept.get(start);
    if (known !== undefined) return known;
    if (kept.size === MAX_KEPT) kept.clear();
    const offset = askOffset(start, format);
    kept.set(start, offset);
    return offset;
  };
}

function askOffset(ms: number, format: Intl.DateTimeFormat): number {
  const parts = new Map(format.formatToParts(ms).map(({ type, value }) => [type, value]));
  const part = (type: Intl.DateTimeFormatPartTypes) => Number(parts.get(type));
  const shown = Date.UTC(
    part("year"),
    part("month") - 1,
    part("day"),
    part("hour"),
    part("minute"),
    part("second"),
  );
  // Before standard times, clocks were ahead by seconds too, which RFC 3339 cannot say.
  return Math.round((shown - ms) / MINUTE) * MINUTE;
}

/** By what a pack states. */
export function statedClock(offsets: readonly Offset[]): Clock {
  const changes = offsets.map(({ from, minutes }) => ({
    from: from === undefined ? Number.NEGATIVE_INFINITY : Date.parse(from),
    offset: minutes * MINUTE,
  }));
  return (ms) => {
    let [low, high] = [0, changes.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((changes[middle]?.from ?? 0) <= ms) low = middle;
      else high = middle - 1;
    }
    return changes[low]?.offset ?? 0;
  };
}

/** What a clock shows on the days of these times, and on those around them, whose offsets times without one are read by. */
export function offsetsAround(times: Iterable<number>, clock: Clock): Offset[] {
  const days = new Set<number>();
  for (const ms of times) {
    const day = Math.floor(ms / DAY);
    for (let near = day - 2; near <= day + 3; near++) days.add(near);
  }
  let last = { at: 0, offset: Number.NaN };
  const offsets: Offset[] = [];
  for (const day of [...days].sort((a, b) => a - b)) {
    const here = { at: day * DAY, offset: clock(day * DAY) };
    if (here.offset !== last.offset) {
      const from = offsets.length === 0 ? {} : { from: utcText(changeBetween(last.at, here.at, clock)) };
      offsets.push({ ...from, minutes: here.offset / MINUTE });
    }
    last = here;
  }
  return offsets;
}

const utcText = (ms: number): string => new Date(ms).toISOString().replace(".000Z", "Z");

/** A change to the offset that holds at `after`. */
function changeBetween(before: number, after: number, clock: Clock): number {
  let [low, high] = [before, after];
  while (high - low > QUARTER) {
    const middle = Math.floor((low + high) / 2 / QUARTER) * QUARTER;
    if (clock(middle) === clock(after)) high = middle;
    else low = middle;
  }
  return high;
}
