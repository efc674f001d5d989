/**
 * Audit messages of DICOM PS3.15 A.5, and of RFC 3881, which it grew from: IHE ATNA's, by syslog (ITI-20) or HTTP.
 *
 * The hash covers the XML as it came, from its first byte to its last, without a byte order mark where the listener
 * took one away. It does not cover the syslog header: not its time, its host nor its priority.
 *
 * A code stands in `csd-code` (PS3.15 A.5.1) or in `code` (RFC 3881, and PS3.15 before 2012), its meaning in
 * `originalText` or `displayName`. Meanings are told before codes: one sender writes the name of a variable,
 * `code="eventIDcode"`, in every message.
 */
import { ACTIONS, OUTCOMES } from "./codes.ts";
import { columnsOf, patientId } from "./columns.ts";
import type { Format } from "./format.ts";
import { first, firstOf, joined } from "./json.ts";
import { malformedEvent } from "./malformed.ts";
import { type Element, readXml } from "./xml.ts";

export const dicom: Format = {
  name: "dicom",
  mediaTypes: ["application/ihe+rfc3881"],
  recognises: ({ root }) => root?.local === "AuditMessage",
  read(bytes) {
    const message = readXml(bytes);
    if (message.local !== "AuditMessage") throw malformedEvent(bytes, message.start, "no AuditMessage");
    return auditMessage(message);
  },
};

function auditMessage(message: Element) {
  const [event] = named(message, "EventIdentification");
  const people = named(message, "ActiveParticipant");
  const person = people.find((one) => isRequestor(one)) ?? people[0];
  const [source] = named(message, "AuditSourceIdentification");
  const objects = named(message, "ParticipantObjectIdentification");
  const patients = objects.filter(isPatient);
  const code = attribute(event, "EventActionCode");
  const outcome = attribute(event, "EventOutcomeIndicator");
  const purposes = [...named(event, "PurposeOfUse"), ...people.flatMap((one) => named(one, "PurposeOfUse"))];
  return columnsOf({
    when: attribute(event, "EventDateTime"),
    user: {
      name: attribute(person, "UserName"),
      login: first(attribute(person, "UserID"), attribute(person, "AlternativeUserID")),
      role: joined(named(person, "RoleIDCode").map(words)),
    },
    patient: {
      name: textOf(named(patients[0], "ParticipantObjectName")[0]),
      mrn: patientId(attribute(patients[0], "ParticipantObjectID")),
    },
    action: joined(
      [
        ACTIONS.get(code) ?? code,
        joined([...named(event, "EventID"), ...named(event, "EventTypeCode")].map(words)),
      ],
      ": ",
    ),
    recordType:
      joined(objects.filter((object) => !isPatient(object)).map(typeOf)) ??
      (patients.length === 0 ? undefined : "Patient"),
    workstation: firstOf([person, ...people].map((one) => attribute(one, "NetworkAccessPointID"))),
    reason: {
      code: joined(purposes.map(codeOf)),
      explanation: joined(purposes.map(words), "; "),
    },
    outcome: joined(
      [OUTCOMES.get(outcome) ?? outcome, textOf(named(event, "EventOutcomeDescription")[0])],
      ": ",
    ),
    source: joined([attribute(source, "AuditSourceID"), attribute(source, "AuditEnterpriseSiteID")], " at "),
    subjects: patients.map((patient) => patientId(attribute(patient, "ParticipantObjectID"))),
  });
}

/** By the schema true when it is not said. */
const isRequestor = (person: Element): boolean =>
  ["true", "1", undefined].includes(attribute(person, "UserIsRequestor"));

/** PS3.15 A.5.1: ParticipantObjectTypeCode 1 is a person, ParticipantObjectTypeCodeRole 1 a patient. */
const isPatient = (object: Element): boolean =>
  attribute(object, "ParticipantObjectTypeCode") === "1" &&
  attribute(object, "ParticipantObjectTypeCodeRole") === "1";

const typeOf = (object: Element): string | undefined =>
  firstOf(named(object, "ParticipantObjectIDTypeCode").map(words));

const named = (element: Element | undefined, local: string): Element[] =>
  element?.children.filter((child) => child.local === local) ?? [];

const attribute = (element: Element | undefined, name: string): string | undefined =>
  element?.attributes.get(name);

const textOf = (element: Element | undefined): string | undefined => first(element?.text);

const codeOf = (coded: Element): string | undefined =>
  first(attribute(coded, "csd-code"), attribute(coded, "code"));

const words = (coded: Element): string | undefined =>
  first(attribute(coded, "displayName"), attribute(coded, "originalText"), codeOf(coded));
