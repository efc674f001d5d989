/**
 * What of an event can be searched for, and how it lies in the index: not as text. A term is keyed by the tenant key of the
 * event's epoch, so whoever finds the index cannot test guesses of a patient, and shredding an epoch makes its terms mute.
 */
import { createHmac, hkdfSync } from "node:crypto";
import type { Columns } from "@kedge/verify/events/formats/columns";
import { type Field, normal } from "@kedge/verify/events/formats/values";
import type { EpochKey } from "../journal/types.ts";

const TERM_BYTES = 16;
/** Who and what is in the newest events is in the next ones too: so many terms are remembered. */
const REMEMBERED = 10_000;

/** Makes the terms of one epoch. */
export type TermKey = (field: Field, value: string) => Buffer;

export function termKey({ tenantKey }: EpochKey): TermKey {
  const key = Buffer.from(hkdfSync("sha256", tenantKey, new Uint8Array(), "kedge/v1 find", 32));
  const remembered = new Map<string, Buffer>();
  return (field, value) => {
    const said = `${field}\0${value}`;
    const known = remembered.get(said);
    if (known !== undefined) return known;
    const mac = createHmac("sha256", key)
      .update(`${field}\0${normal(value)}`)
      .digest();
    const term = mac.subarray(0, TERM_BYTES);
    if (remembered.size === REMEMBERED) remembered.clear();
    remembered.set(said, term);
    return term;
  };
}

/** Ms since the epoch of an event's own time; one without an offset counts as UTC. undefined when none can be read. */
export function timeOf({ when }: Columns): number | undefined {
  if (when === undefined) return undefined;
  const ms = Date.parse(/(Z|[+-]\d\d:?\d\d)$/.test(when) ? when : `${when.replace(" ", "T")}Z`);
  return Number.isNaN(ms) || ms < 0 ? undefined : ms;
}
