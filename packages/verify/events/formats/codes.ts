/** The codes of DICOM PS3.15 A.5.1 (EventActionCode, EventOutcomeIndicator) in words: RFC 3881 and FHIR R4 have the same. */
import type { Json } from "../json.ts";

export const ACTIONS: ReadonlyMap<Json | undefined, string> = new Map(
  Object.entries({ C: "create", R: "read", U: "update", D: "delete", E: "execute" }),
);

export const OUTCOMES: ReadonlyMap<Json | undefined, string> = new Map(
  Object.entries({ 0: "success", 4: "minor failure", 8: "serious failure", 12: "major failure" }),
);
