/**
 * What of an event can be searched for, and how it lies in the index: not as text. A term is keyed by the tenant key of the
 * event's epoch, so whoever finds the index cannot test guesses of a patient, and shredding an epoch makes its terms mute.
 */
import { createHmac, hkdfSync } from "node:crypto";
import type { Columns } from "@kedge/verify/events/formats/columns";
import type { EpochKey } from "../journal/types.ts";

/** The fields that are in the index. A search that names several takes the first of them to read by. */
export const FIELDS = ["patient", "user", "action"] as const;
export type Field = (typeof FIELDS)[number];

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

/** Spellings that differ in case, in how characters are composed, or in white space, are one. */
const normal = (value: string): string => value.normalize("NFKC").toLowerCase().replace(/\s+/g, " ").trim();

/**
 * What an event says of each field. A patient is found by the MRN or the name, and each of several that an event names; so is
 * a trial's subject, and what was shipped. A user is found by the login or the name; of a FHIR reference its id will do
 * (`Patient/17`: `17`), and of an action its first word (`read: vread`: `read`).
 */
export function valuesOf({ user, patient, action, subjects = [] }: Columns): [Field, string][] {
  const values: [Field, string | undefined][] = [
    ["patient", patient?.mrn],
    ["patient", idOf(patient?.mrn)],
    ["patient", patient?.name],
    ["user", user?.login],
    ["user", idOf(user?.login)],
    ["user", user?.name],
    ["action", action],
    ["action", /^([^:]+):/.exec(action ?? "")?.[1]],
  ];
  for (const subject of subjects) values.push(["patient", subject], ["patient", idOf(subject)]);
  return values.flatMap(([field, value]) =>
    value === undefined || normal(value) === "" ? [] : [[field, value]],
  );
}

/** FHIR R4 §2.3.0.1: the logical id at the end of a reference, without its version. */
const idOf = (reference: string | undefined): string | undefined =>
  /(?:^|\/)[A-Z][A-Za-z]+\/([A-Za-z0-9.-]{1,64})(?:\/_history\/[A-Za-z0-9.-]{1,64})?$/.exec(
    reference ?? "",
  )?.[1];

/** Ms since the epoch of an event's own time; one without an offset counts as UTC. undefined when none can be read. */
export function timeOf({ when }: Columns): number | undefined {
  if (when === undefined) return undefined;
  const ms = Date.parse(/(Z|[+-]\d\d:?\d\d)$/.test(when) ? when : `${when.replace(" ", "T")}Z`);
  return Number.isNaN(ms) || ms < 0 ? undefined : ms;
}
