/** Times as text, RFC 3339 §5.6: a year has four digits, so there is no later one than 9999. Pure. */
import * as z from "zod";

const schema = z.iso.datetime({ offset: true });

/** The earliest and the latest time that a text can say in UTC, ms since the epoch. */
const EARLIEST = Date.parse("0000-01-01T00:00:00.000Z");
export const LATEST = Date.parse("9999-12-31T23:59:59.999Z");

/** Ms since the epoch; undefined for what is no time, or in UTC has a year before 0 or after 9999, by its offset. */
export function parseTime(text: string): number | undefined {
  const ms = schema.safeParse(text).success ? Date.parse(text) : Number.NaN;
  return ms >= EARLIEST && ms <= LATEST ? ms : undefined;
}

/** In UTC. What no text can say is the nearest that one can. @param ms since the epoch */
export const timeText = (ms: bigint | number): string =>
  new Date(Math.min(Math.max(Number(ms), EARLIEST), LATEST)).toISOString();
