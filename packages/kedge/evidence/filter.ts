/** Which rows the officer looks for, in words to the officer where that is no question. Runs in a browser. */
import { PackError } from "@kedge/verify/pack/error";
import { type Row, rowFilter as rowFilterBy } from "@kedge/verify/pack/filter";
import type { PackFilter } from "@kedge/verify/pack/pack";
import { type Clock, zoneClock } from "@kedge/verify/pack/time";
import { EvidenceError } from "./error.ts";

/**
 * Whether a row is in the case (`pack/filter.ts`).
 *
 * Throws EvidenceError `filter` for what no row could match by mistake, and for a zone that the platform does not know.
 *
 * @param zone IANA name: of times without an offset, and of `afterHours`
 */
export function rowFilter(filter: PackFilter, zone: string): (row: Row) => boolean {
  const clock = clockOf(zone);
  try {
    return rowFilterBy(filter, clock);
  } catch (cause) {
    if (!(cause instanceof PackError)) throw cause;
    throw new EvidenceError("filter", cause.message, { cause });
  }
}

/** Throws EvidenceError `filter`. */
export function clockOf(zone: string): Clock {
  try {
    return zoneClock(zone);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    const what = `${JSON.stringify(zone)} is no time zone that is known here`;
    throw new EvidenceError("filter", `${what}: name one as Europe/Berlin is`, { cause });
  }
}
