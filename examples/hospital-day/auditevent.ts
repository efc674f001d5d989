/**
 * FHIR R4 AuditEvent resources as the IHE profile Basic Audit Log Patterns (BALP) 1.1 has a server record them:
 * https://profiles.ihe.net/ITI/BALP. A profile is claimed for a success only; BALP has none for a refused access.
 */

/** What every event says: who used which system from where, and when. */
export type Context = {
  /** Logical id of the resource. */
  id: string;
  /** FHIR instant. */
  recorded: string;
  system: System;
  user: User;
};

export type System = { name: string; url: string };
export type User = { id: string; name: string; role: string; workstation: { name: string; ip: string } };

export type Interaction = "read" | "vread" | "search-type" | "create" | "update" | "delete";
export type Purpose = "TREAT" | "HOPERAT" | "BTG";

/** One RESTful access. */
export type Access = {
  interaction: Interaction;
  /** The resource, or for a search its query, relative to the system's URL. */
  target: string;
  /** The patient it is about, if any. */
  patient?: string;
  purpose: Purpose;
  /** Whether the server refused it. */
  denied: boolean;
  /** The HTTP header X-Request-Id. */
  requestId: string;
};

/** An AuditEvent of a RESTful access: BALP's Read, Query, Create, Update and Delete, with or without a patient. */
export function accessEvent(context: Context, access: Access): object {
  const { user, system } = context;
  const pattern = PATTERNS[access.interaction];
  const purpose = [concept(PURPOSES[access.purpose])];
  return {
    ...header(context, access.denied ? undefined : `${access.patient ? "Patient" : ""}${pattern.profile}`),
    type: { system: `${TERMINOLOGY}/audit-event-type`, code: "rest", display: "Restful Operation" },
    subtype: [
      {
        system: "http://hl7.org/fhir/restful-interaction",
        code: access.interaction,
        display: access.interaction,
      },
    ],
    action: pattern.action,
    recorded: context.recorded,
    ...(access.denied ? { outcome: "4", outcomeDesc: "Access denied" } : { outcome: "0" }),
    purposeOfEvent: purpose,
    agent: [
      {
        type: concept(pattern.client),
        who: { display: user.workstation.name },
        requestor: false,
        network: { address: user.workstation.ip, type: "2" },
      },
      {
        type: concept(pattern.server),
        who: { reference: `Device/${system.name}` },
        requestor: false,
        network: { address: system.url, type: "5" },
      },
      {
        type: concept(pattern.user),
        role: [{ text: user.role }],
        who: { reference: `Practitioner/${user.id}` },
        name: user.name,
        requestor: true,
        purposeOfUse: purpose,
      },
    ],
    source: recordedBy(system),
    entity: [
      ...(access.patient === undefined
        ? []
        : [{ what: { reference: access.patient }, type: PERSON, role: PATIENT }]),
      access.interaction === "search-type"
        ? { type: SYSTEM_OBJECT, role: QUERY, query: btoa(`GET ${system.url}/${access.target}`) }
        : { what: { reference: access.target }, type: SYSTEM_OBJECT, role: DOMAIN_RESOURCE },
      { what: { identifier: { value: access.requestId } }, type: X_REQUEST_ID },
    ],
  };
}

/** An AuditEvent of a login or a logout (DICOM PS3.15 §A.5.3.11, User Authentication). BALP has no pattern for these. */
export function sessionEvent(
  context: Context,
  session: { kind: "login" | "logout"; failed: boolean },
): object {
  const { user, system } = context;
  return {
    ...header(context, undefined),
    type: dicom("110114", "User Authentication"),
    subtype: [session.kind === "login" ? dicom("110122", "Login") : dicom("110123", "Logout")],
    action: "E",
    recorded: context.recorded,
    ...(session.failed ? { outcome: "4", outcomeDesc: "Wrong password" } : { outcome: "0" }),
    agent: [
      {
        type: concept({
          system: `${TERMINOLOGY}/extra-security-role-type`,
          code: "humanuser",
          display: "human user",
        }),
        role: [{ text: user.role }],
        who: { reference: `Practitioner/${user.id}` },
        name: user.name,
        requestor: true,
        network: { address: user.workstation.ip, type: "2" },
      },
      {
        type: concept(dicom("110150", "Application")),
        who: { reference: `Device/${system.name}` },
        requestor: false,
        network: { address: system.url, type: "5" },
      },
    ],
    source: recordedBy(system),
  };
}

const TERMINOLOGY = "http://terminology.hl7.org/CodeSystem";
const BALP = "https://profiles.ihe.net/ITI/BALP";

type Coding = { system: string; code: string; display: string };

const dicom = (code: string, display: string): Coding => ({
  system: "http://dicom.nema.org/resources/ontology/DCM",
  code,
  display,
});
const entityType = (code: string, display: string): Coding => ({
  system: `${TERMINOLOGY}/audit-entity-type`,
  code,
  display,
});
const objectRole = (code: string, display: string): Coding => ({
  system: `${TERMINOLOGY}/object-role`,
  code,
  display,
});
const participation = (code: string, display: string): Coding => ({
  system: `${TERMINOLOGY}/v3-ParticipationType`,
  code,
  display,
});
const actReason = (code: string, display: string): Coding => ({
  system: `${TERMINOLOGY}/v3-ActReason`,
  code,
  display,
});

const SOURCE = dicom("110153", "Source Role ID");
const DESTINATION = dicom("110152", "Destination Role ID");
const RECIPIENT = participation("IRCP", "information recipient");
const AUTHOR = participation("AUT", "author (originator)");

const READ = { profile: "Read", action: "R", client: DESTINATION, server: SOURCE, user: RECIPIENT };
const WRITE = { client: SOURCE, server: DESTINATION, user: AUTHOR };

/** Who is the source and who the destination follows the data, but for a query its parameters, and BALP's Delete. */
const PATTERNS: Readonly<
  Record<Interaction, { profile: string; action: string; client: Coding; server: Coding; user: Coding }>
> = {
  read: READ,
  vread: READ,
  "search-type": { profile: "Query", action: "E", client: SOURCE, server: DESTINATION, user: RECIPIENT },
  create: { profile: "Create", action: "C", ...WRITE },
  update: { profile: "Update", action: "U", ...WRITE },
  delete: {
    profile: "Delete",
    action: "D",
    client: dicom("110150", "Application"),
    server: { system: `${TERMINOLOGY}/provenance-participant-type`, code: "custodian", display: "Custodian" },
    user: AUTHOR,
  },
};

const PURPOSES: Readonly<Record<Purpose, Coding>> = {
  TREAT: actReason("TREAT", "treatment"),
  HOPERAT: actReason("HOPERAT", "healthcare operations"),
  BTG: actReason("BTG", "break the glass"),
};

const PERSON = entityType("1", "Person");
const SYSTEM_OBJECT = entityType("2", "System Object");
const X_REQUEST_ID = { system: `${BALP}/CodeSystem/BasicAuditEntityType`, code: "XrequestId" };
const PATIENT = objectRole("1", "Patient");
const DOMAIN_RESOURCE = objectRole("4", "Domain Resource");
const QUERY = objectRole("24", "Query");

function header({ id }: Context, profile: string | undefined): object {
  return {
    resourceType: "AuditEvent",
    id,
    meta: {
      ...(profile === undefined
        ? {}
        : { profile: [`${BALP}/StructureDefinition/IHE.BasicAudit.${profile}`] }),
      security: [actReason("HTEST", "test health data")],
    },
  };
}

function recordedBy(system: System): object {
  return {
    site: "Synthetic General Hospital",
    observer: { reference: `Device/${system.name}` },
    type: [{ system: `${TERMINOLOGY}/security-source-type`, code: "4", display: "Application Server" }],
  };
}

function concept(coding: Coding): { coding: Coding[] } {
  return { coding: [coding] };
}
