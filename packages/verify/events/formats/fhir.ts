/**
 * FHIR resources, JSON and XML: AuditEvent of R4 and R5 with the IHE profiles of it (BALP), and of any other resource what
 * can be told of it.
 *
 * The hash covers a resource's bytes: one that was posted or lies in a file of its own, all of them as they came; one in
 * a Bundle, those from its first brace to its last, or from its `<` to its last `>`, as they stand in the Bundle. It
 * covers nothing else of the Bundle: not `fullUrl`, not `request`, and in XML not the namespaces that an element around
 * the resource declares, its own `xmlns` often among them. Never re-serialised, so members in another order or other
 * whitespace are another event. A signature or a hash within a resource is content like all else.
 *
 * Sources: AuditEvent http://hl7.org/fhir/R4/auditevent.html and http://hl7.org/fhir/R5/auditevent.html; BALP
 * https://profiles.ihe.net/ITI/BALP/; XML http://hl7.org/fhir/R4/xml.html.
 */
import type { Json, JsonObject } from "../json.ts";
import { ACTIONS, OUTCOMES } from "./codes.ts";
import { type Columns, columnsOf, type Draft, patientId } from "./columns.ts";
import type { Format, Slice } from "./format.ts";
import { at, each, first, firstOf, isObject, joined, lookAtJson, lookAtObjects } from "./json.ts";
import { isXml, malformedEvent } from "./malformed.ts";
import { byName, type Element, readXml, type Steps, type Tag, through, xmlSteps } from "./xml.ts";

const JSON_TYPE = "application/fhir+json";
const XML_TYPE = "application/fhir+xml";
const NAMESPACE = "http://hl7.org/fhir";

export const fhir: Format = {
  name: "fhir",
  mediaTypes: [JSON_TYPE, XML_TYPE],
  recognises: ({ members, isArray, root }) =>
    (first(members?.get("resourceType")) !== undefined && isArray !== true) || root?.uri === NAMESPACE,
  read(bytes) {
    const resource = readResource(bytes);
    return fhirColumns(resource);
  },
  split(bytes) {
    const bundle = readBundle(bytes);
    if (bundle === undefined) return [{ bytes, mediaType: isXml(bytes) ? XML_TYPE : JSON_TYPE }];
    return bundle.entries.flatMap(({ resource }) => resource ?? []);
  },
};

/** The type of the outermost resource, all of which is gone through. Throws EventError `malformed_event`. */
export function resourceType(bytes: Uint8Array): string {
  return through(resourceTypeSteps(bytes));
}

/** As `resourceType`: XML in steps. */
export function* resourceTypeSteps(bytes: Uint8Array): Steps<string> {
  if (!isXml(bytes)) return first(readResource(bytes)["resourceType"]) ?? "";
  let type = "";
  yield* xmlSteps(
    bytes,
    {
      open(tag, depth) {
        if (depth > 1) return;
        checkRoot(bytes, tag);
        type = tag.local;
      },
    },
    OF_A_SLICE,
  );
  return type;
}

export type BundleEntry = {
  fullUrl?: string;
  method?: string;
  url?: string;
  ifNoneExist?: string;
  resource?: Slice & { type: string };
};
export type Bundle = { type?: string; entries: BundleEntry[] };

/**
 * The entries of a Bundle in their order, those without a resource too. What they say of themselves is as the sender
 * wrote it. Undefined of another resource. Throws EventError `malformed_event`.
 */
export function readBundle(bytes: Uint8Array): Bundle | undefined {
  return through(bundleSteps(bytes));
}

/** As `readBundle`: XML in steps. */
export function* bundleSteps(bytes: Uint8Array): Steps<Bundle | undefined> {
  return isXml(bytes) ? yield* bundleOfXml(bytes) : bundleOfJson(bytes);
}

function bundleOfJson(bytes: Uint8Array): Bundle | undefined {
  const { value, bytesOf } = lookAtObjects(bytes);
  const bundle = checked(bytes, value);
  if (bundle["resourceType"] !== "Bundle") return undefined;
  const entries = each(bundle, "entry").map((entry) => {
    const resource = at(entry, "resource");
    return {
      ...requestOf(entry),
      ...(isObject(resource) && {
        resource: {
          bytes: bytesOf(resource),
          mediaType: JSON_TYPE,
          type: first(resource["resourceType"]) ?? "",
        },
      }),
    };
  });
  return { ...text("type", bundle["type"]), entries };
}

/** A Bundle's XML is gone through once, and never becomes a tree: it may be large. */
function* bundleOfXml(bytes: Uint8Array): Steps<Bundle | undefined> {
  const path: string[] = [];
  const entries: {
    said: { [member: string]: Json };
    resource?: { start: number; end: number; type: string };
  }[] = [];
  let isBundle = false;
  let type: string | undefined;
  yield* xmlSteps(
    bytes,
    {
      open({ local, uri, attributes, start }, depth) {
        if (depth === 1 && uri !== NAMESPACE) throw malformedEvent(bytes, start, "no FHIR resource");
        path.push(uri === NAMESPACE ? local : "");
        if (depth === 1) isBundle = local === "Bundle";
        if (!isBundle || depth > 4) return;
        const where = path.slice(1).join("/");
        const value = attributes.get("value");
        if (where === "type") type = value;
        if (where === "entry") entries.push({ said: {} });
        const entry = entries.at(-1);
        if (entry === undefined || path[1] !== "entry") return;
        if (value !== undefined && (where === "entry/fullUrl" || path[2] === "request"))
          entry.said[local] = value;
        if (depth === 4 && path[2] === "resource") {
          if (entry.resource !== undefined) throw malformedEvent(bytes, start, "two resources in an entry");
          entry.resource = { start, end: start, type: local };
        }
      },
      close(depth, end) {
        const resource = entries.at(-1)?.resource;
        if (isBundle && depth === 4 && path[2] === "resource" && resource !== undefined) resource.end = end;
        path.pop();
      },
    },
    { isUtf8: true },
  );
  if (!isBundle) return undefined;
  return {
    ...text("type", type),
    entries: entries.map(({ said, resource }) => ({
      ...requestOf({ fullUrl: said["fullUrl"] ?? null, request: said }),
      ...(resource && {
        resource: {
          bytes: bytes.subarray(resource.start, resource.end),
          mediaType: XML_TYPE,
          type: resource.type,
        },
      }),
    })),
  };
}

function requestOf(entry: Json): BundleEntry {
  return {
    ...text("fullUrl", at(entry, "fullUrl")),
    ...text("method", at(entry, "request", "method")),
    ...text("url", at(entry, "request", "url")),
    ...text("ifNoneExist", at(entry, "request", "ifNoneExist")),
  };
}

function text<K extends string>(name: K, value: Json | undefined): { [P in K]?: string } {
  const said: { [P in K]?: string } = {};
  if (typeof value === "string") Object.assign(said, { [name]: value });
  return said;
}

function readResource(bytes: Uint8Array): JsonObject {
  if (!isXml(bytes)) return checked(bytes, lookAtJson(bytes));
  const root = readXml(bytes, OF_A_SLICE);
  checkRoot(bytes, root);
  const value = jsonOf(root, root.uri);
  return { ...(isObject(value) ? value : {}), resourceType: root.local };
}

/** What was cut out of a Bundle lacks the namespaces that stood around it. */
const OF_A_SLICE = { undeclared: NAMESPACE };

function checkRoot(bytes: Uint8Array, { uri, start }: Tag): void {
  if (uri !== NAMESPACE && uri !== "") throw malformedEvent(bytes, start, "no FHIR resource");
}

function checked(bytes: Uint8Array, value: Json): JsonObject {
  if (isObject(value) && first(value["resourceType"]) !== undefined) return value;
  throw malformedEvent(bytes, 0, "no FHIR resource: it has no resourceType");
}

/** FHIR's XML as its JSON would be, an array where there are several: a primitive is its value, the narrative is left out. */
function jsonOf(element: Element, uri: string): Json {
  const value = element.attributes.get("value");
  if (value !== undefined) return value;
  const url = element.attributes.get("url");
  const children = element.children.filter((child) => child.uri === uri);
  return { ...(url !== undefined && { url }), ...byName(children, (child) => jsonOf(child, uri)) };
}

/** Of a resource that was read already. */
export function fhirColumns(resource: JsonObject): Columns {
  const type = at(resource, "resourceType");
  const isAudit = type === "AuditEvent";
  return columnsOf(
    isAudit ? auditEvent(resource) : type === "Provenance" ? provenance(resource) : other(resource),
  );
}

function auditEvent(event: JsonObject): Draft {
  const agents = each(event, "agent");
  const agent = agents.find((one) => isTrue(at(one, "requestor"))) ?? agents[0];
  const who = at(agent, "who");
  const entities = each(event, "entity");
  const patients = [
    ...each(event, "patient"),
    ...entities.filter(isPatient).map((entity) => at(entity, "what") ?? entity),
  ];
  const patientEntity = entities.find(isPatient);
  const objects = entities.filter((entity) => !isPatient(entity) && !isRequestId(entity));
  const outcome = at(event, "outcome");
  const code = at(event, "action");
  // R4: type and subtype; R5: category and code.
  const names = [...each(event, "subtype"), ...each(event, "code")].map(words);
  const kind = joined(names) ?? joined([...each(event, "type"), ...each(event, "category")].map(words));
  const purposes = [
    ...each(event, "purposeOfEvent"),
    ...each(event, "authorization"),
    ...agents.flatMap((one) => [...each(one, "purposeOfUse"), ...each(one, "authorization")]),
  ];
  return {
    when: first(at(event, "recorded"), at(event, "occurredDateTime"), at(event, "occurredPeriod", "start")),
    user: {
      name: first(at(agent, "name"), at(who, "display")),
      login: first(at(agent, "altId"), identifier(who), at(who, "reference")),
      role: joined([...each(agent, "role"), ...each(agent, "type")].map(words)),
      department: first(at(agent, "location", "display"), at(agent, "location", "reference")),
    },
    patient: {
      name: first(at(patients[0], "display"), at(patientEntity, "name")),
      mrn: patientOf(patients[0]).mrn,
    },
    action: joined([ACTIONS.get(code) ?? code, kind], ": "),
    recordType: joined(objects.map(recordTypeOf)) ?? (patients.length === 0 ? undefined : "Patient"),
    workstation: firstOf(
      [agent, ...agents].flatMap((one) => [
        at(one, "network", "address"),
        at(one, "networkString"),
        at(one, "networkUri"),
        at(one, "networkReference", "display"),
        at(one, "networkReference", "reference"),
      ]),
    ),
    reason: { code: joined(purposes.flatMap(codes)), explanation: joined(purposes.map(words), "; ") },
    outcome: joined(
      [
        // R5 has codes of OperationOutcome severities.
        OUTCOMES.get(outcome) ?? first(outcome, words(at(outcome, "code"))),
        at(event, "outcomeDesc"),
        ...each(outcome ?? null, "detail").map(words),
      ],
      ": ",
    ),
    source: joined(
      [
        reference(at(event, "source", "observer")),
        first(at(event, "source", "site"), reference(at(event, "source", "site"))),
      ],
      " at ",
    ),
    subjects: patients.flatMap((patient) => [patientOf(patient).mrn, at(patient, "reference")]),
  };
}

const isTrue = (value: Json | undefined): boolean => value === true || value === "true";

/** By its role (object-role 1), or by what it refers to. */
function isPatient(entity: Json): boolean {
  return codes(at(entity, "role")).includes("1") || typeOf(at(entity, "what")) === "Patient";
}

/** The ID of the HTTP request, as BALP profiles add it: no record that anybody looked at. */
const isRequestId = (entity: Json): boolean => codes(at(entity, "type")).includes("XrequestId");

const recordTypeOf = (entity: Json): string | undefined =>
  first(typeOf(at(entity, "what")), words(at(entity, "type")), words(at(entity, "role")));

/** The resource type of a reference: what it says, or what its URL has before the id. */
function typeOf(reference: Json | undefined): string | undefined {
  const url = first(at(reference, "reference"))?.slice(0, 2048) ?? "";
  return first(
    at(reference, "type"),
    /(?:^|\/)([A-Z][A-Za-z]+)\/[A-Za-z0-9.-]{1,64}(?:\/_history\/.*)?$/s.exec(url)?.[1],
  );
}

const identifier = (reference: Json | undefined): string | undefined =>
  first(at(reference, "identifier", "value"), at(reference, "identifier"));

const reference = (value: Json | undefined): string | undefined =>
  first(at(value, "display"), identifier(value), at(value, "reference"));

/** A CodeableConcept, a Coding or a code in words. */
const words = (concept: Json | undefined): string | undefined =>
  firstOf(
    [
      concept,
      at(concept, "text"),
      ...each(concept ?? null, "coding").flatMap((coding) => [at(coding, "display"), at(coding, "code")]),
      at(concept, "display"),
      at(concept, "code"),
    ].flatMap((one) => one ?? []),
  );

/** The codes of a CodeableConcept or a Coding. */
const codes = (concept: Json | undefined): string[] =>
  [at(concept, "code"), ...each(concept ?? null, "coding").map((coding) => at(coding, "code"))].flatMap(
    (code) => first(code) ?? [],
  );

function provenance(resource: JsonObject): Draft {
  const agents = each(resource, "agent");
  const agent = agents[0];
  const targets = each(resource, "target");
  const patients = [
    ...each(resource, "patient"),
    ...targets.filter((target) => typeOf(target) === "Patient"),
  ];
  const reasons = [...each(resource, "reason"), ...each(resource, "authorization")];
  return {
    when: first(
      at(resource, "recorded"),
      at(resource, "occurredDateTime"),
      at(resource, "occurredPeriod", "end"),
    ),
    user: {
      name: at(agent, "who", "display"),
      login: first(identifier(at(agent, "who")), at(agent, "who", "reference")),
      role: joined([...each(agent, "role"), ...each(agent, "type")].map(words)),
      department: first(reference(at(agent, "onBehalfOf"))),
    },
    patient: patientOf(patients[0]),
    action: first(words(at(resource, "activity")), "Provenance"),
    recordType: joined(targets.map((target) => first(typeOf(target), reference(target)))),
    workstation: reference(at(resource, "location")),
    reason: { code: joined(reasons.flatMap(codes)), explanation: joined(reasons.map(words), "; ") },
    subjects: targets.map((target) => first(at(target, "reference"), identifier(target))),
  };
}

/** A reference to a patient names the patient, whatever version of the record it is of. */
const patientOf = (patient: Json | undefined) => ({
  name: at(patient, "display"),
  mrn: patientId(first(identifier(patient), at(patient, "reference"))?.replace(/\/_history\/.*$/s, "")),
});

/** Where resources have a time, the one of the record before the one of what it is about. */
const TIMES = [
  "recorded",
  "issued",
  "authoredOn",
  "dateTime",
  "date",
  "created",
  "occurrenceDateTime",
  "effectiveDateTime",
  "effectiveInstant",
  "performedDateTime",
  "sent",
];
const PERIODS = ["effectivePeriod", "occurrencePeriod", "performedPeriod", "period"];
const PEOPLE = [
  "recorder",
  "author",
  "performer",
  "requester",
  "asserter",
  "sender",
  "informationSource",
  "participant",
];
const PATIENTS = ["patient", "subject", "beneficiary", "for"];

function other(resource: JsonObject): Draft {
  const person = PEOPLE.flatMap((name) => each(resource, name)).map(
    (one) => at(one, "actor") ?? at(one, "individual") ?? one,
  )[0];
  const patients = PATIENTS.flatMap((name) => each(resource, name));
  const isItself = at(resource, "resourceType") === "Patient";
  const patient = patients.find((one) => typeOf(one) === "Patient") ?? patients[0];
  const name = at(resource, "name");
  return {
    when: first(
      ...TIMES.map((time) => at(resource, time)),
      ...PERIODS.map((period) => at(resource, period, "start")),
      at(resource, "meta", "lastUpdated"),
    ),
    user: { name: at(person, "display"), login: first(identifier(person), at(person, "reference")) },
    patient: isItself
      ? {
          name: first(at(name, "text"), joined([...each(name ?? null, "given"), at(name, "family")], " ")),
          mrn: first(at(resource, "identifier", "value"), at(resource, "id")),
        }
      : patientOf(patient),
    recordType: joined([at(resource, "resourceType"), words(at(resource, "code"))], ": "),
    workstation: reference(at(resource, "device")),
    reason: {
      explanation: joined(
        [...each(resource, "reasonCode"), ...each(resource, "statusReason")].map(words),
        "; ",
      ),
    },
    outcome: first(at(resource, "status")),
    source: first(at(resource, "meta", "source")),
    subjects: patients.map((one) => first(at(one, "reference"), identifier(one))),
  };
}
