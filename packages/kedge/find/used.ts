/**
 * A search in the journal is an event of its own, as every use of an audit trail is: a FHIR R4 AuditEvent of the type that
 * DICOM PS3.16 (CID 400) has for it. It is journalled before anything is shown.
 */
import { encodeBase64 } from "@kedge/verify/tlog/bytes";
import type { Intake } from "../journal/types.ts";
import type { Query } from "./index.ts";

/** The internal source that searches and exports are journalled under. */
export const USES = "kedge.journal";

const DCM = "http://dicom.nema.org/resources/ontology/DCM";
const TYPES = {
  search: { system: DCM, code: "110101", display: "Audit Log Used" },
  export: { system: DCM, code: "110106", display: "Export" },
} as const;

export type Use = {
  kind: keyof typeof TYPES;
  query: Query;
  /** Who asks: a login of this machine, or who the listener took them for. */
  by: string;
  /** Ms since the epoch. */
  at: number;
};

/** When it resolves, the search is journalled. Rejects as `Intake.take`. */
export async function journalUse(intake: Pick<Intake, "take">, { kind, query, by, at }: Use): Promise<void> {
  const resource = {
    resourceType: "AuditEvent",
    type: TYPES[kind],
    action: kind === "search" ? "E" : "R",
    recorded: new Date(at).toISOString(),
    outcome: "0",
    agent: [{ altId: by, requestor: true }],
    source: { observer: { display: "kedge" } },
    entity: [{ query: encodeBase64(new TextEncoder().encode(queryText(query))) }],
  };
  const bytes = new TextEncoder().encode(JSON.stringify(resource));
  await intake.take({ arrivals: [{ bytes, mediaType: "application/fhir+json" }] });
}

const queryText = ({ from, to, ...said }: Query): string =>
  JSON.stringify({
    ...said,
    ...(from === undefined ? {} : { from: new Date(from).toISOString() }),
    ...(to === undefined ? {} : { to: new Date(to).toISOString() }),
  });
