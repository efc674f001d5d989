/** What of an event is searched for, and when two spellings of it are one. Runs in a browser. */
import type { Columns } from "./columns.ts";

/** The fields that are in the index. A search that names several takes the first of them to read by. */
export const FIELDS = ["patient", "user", "action"] as const;
export type Field = (typeof FIELDS)[number];

/** Spellings that differ in case, in how characters are composed, or in white space, are one. */
export const normal = (value: string): string =>
  value.normalize("NFKC").toLowerCase().replace(/\s+/g, " ").trim();

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
