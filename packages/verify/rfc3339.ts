/** Times as text, RFC 3339 §5.6: a year has four digits, so there is no later one than 9999. Pure. */

/** The earliest and the latest time that a text can say in UTC, ms since the epoch. */
const EARLIEST = Date.parse("0000-01-01T00:00:00.000Z");
export const LATEST = Date.parse("9999-12-31T23:59:59.999Z");

/** Whether a text in UTC can say it. By its offset a time may be beyond: `9999-12-31T23:59:59-23:59`. @param ms since the epoch */
export const isSayable = (ms: number): boolean => ms >= EARLIEST && ms <= LATEST;

/** In UTC. What no text can say is the nearest that one can. @param ms since the epoch */
export const timeText = (ms: bigint | number): string =>
  new Date(Math.min(Math.max(Number(ms), EARLIEST), LATEST)).toISOString();
