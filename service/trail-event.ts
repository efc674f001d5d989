/**
 * An act in Kedge as a FHIR R4 AuditEvent (http://hl7.org/fhir/R4/auditevent.html), with the codes of DICOM PS3.16 D where they fit
 * and Kedge's own beside them. Pure. Nothing of a patient is in it, and of people only what the identity provider calls them (`sub`).
 */
import { canonicalise } from "@kedge/verify/events/canonical";
import { timeText } from "@kedge/verify/rfc3339";
import type { Who } from "./principal.ts";

/** The set is closed. Ids are of keys, links, logs and sessions; `reason` is a code, and never a text of others. */
export type Act =
  | { readonly is: "signed_in"; readonly session: string }
  | { readonly is: "sign_in_refused"; readonly reason: string }
  | { readonly is: "signed_out"; readonly session: string }
  | { readonly is: "key_created" | "key_revoked"; readonly key: string }
  | { readonly is: "log_created"; readonly log: string }
  | {
      readonly is: "link_created" | "link_opened" | "link_revoked";
      readonly link: string;
      readonly log: string;
    }
  | { readonly is: "sign_in_configured" | "sign_in_removed" }
  | {
      readonly is: "reviewed";
      readonly log: string;
      readonly review: {
        commitment: string;
        from?: string;
        to?: string;
        filter: readonly string[];
        count: number;
        root: string;
      };
    }
  | {
      readonly is: "exported";
      readonly kind: string;
      readonly log?: string;
      readonly count: number;
      readonly digest?: string;
    };

/** Whoever did it: a principal's, the operator, or nobody who is known, as of a refused sign-in. */
export type Actor = Who | { readonly kind: "operator" } | { readonly kind: "unknown" };

/**
 * What became of an act. What changes something is recorded before it is done, so that nothing is done unrecorded: then it
 * has only `begun`, and is told again where it failed. `code`: why.
 */
export type Outcome =
  | { readonly is: "done" | "begun" }
  | { readonly is: "refused" }
  | { readonly is: "not done" | "not known"; readonly code: string };

/** `count`, `since`: of several alike that are told together, and the time of the first; ms since the epoch. */
export type ToldAct = {
  readonly at: bigint;
  /** The operator's domain: where it was done. */
  readonly domain: string;
  readonly by: Actor;
  readonly act: Act;
  readonly outcome: Outcome;
  readonly count?: bigint;
  readonly since?: bigint;
};

type Coding = { readonly system: string; readonly code: string; readonly display: string };
type Detail = readonly [type: string, value: string];
/** What was acted on: its kind in Kedge, and its id. */
type Thing = readonly [kind: keyof typeof THINGS, id: string];
const THINGS = { "api-key": "API key", link: "Viewer link", log: "Log", session: "Session" };

const DCM = "http://dicom.nema.org/resources/ontology/DCM";
const TERMINOLOGY = "http://terminology.hl7.org/CodeSystem";
const dicom = (code: string, display: string): Coding => ({ system: DCM, code, display });

const AUTHENTICATION = dicom("110114", "User Authentication");
const ALERT = dicom("110113", "Security Alert");
const ATTRIBUTES = dicom("110137", "User security Attributes Changed");
const CONFIGURATION = dicom("110129", "Security Configuration");

type Kind = {
  readonly type: Coding;
  readonly subtype?: Coding;
  readonly action: "C" | "R" | "U" | "D" | "E";
  readonly display: string;
};
const login = (display: string): Kind => ({
  ...{ type: AUTHENTICATION, subtype: dicom("110122", "Login"), action: "E", display },
});
const security = (subtype: Coding, action: Kind["action"], display: string): Kind => ({
  ...{ type: ALERT, subtype, action, display },
});

const KINDS: Readonly<Record<Act["is"], Kind>> = {
  signed_in: login("Signed in"),
  sign_in_refused: login("Sign-in refused"),
  link_opened: login("Viewer link opened"),
  signed_out: {
    ...{ type: AUTHENTICATION, subtype: dicom("110123", "Logout"), action: "E", display: "Signed out" },
  },
  key_created: security(ATTRIBUTES, "C", "API key created"),
  key_revoked: security(ATTRIBUTES, "D", "API key revoked"),
  link_created: security(ATTRIBUTES, "C", "Viewer link created"),
  link_revoked: security(ATTRIBUTES, "D", "Viewer link revoked"),
  sign_in_configured: security(CONFIGURATION, "U", "Sign-in configured"),
  sign_in_removed: security(CONFIGURATION, "D", "Sign-in removed"),
  log_created: {
    type: { system: `${TERMINOLOGY}/audit-event-type`, code: "rest", display: "RESTful Operation" },
    subtype: { system: "http://hl7.org/fhir/restful-interaction", code: "create", display: "create" },
    action: "C",
    display: "Log created",
  },
  reviewed: { type: dicom("110101", "Audit Log Used"), action: "R", display: "Review signed off" },
  exported: { type: dicom("110106", "Export"), action: "R", display: "Exported" },
};

/** What FHIR says of an outcome. Before something is done there is none. */
const OUTCOMES: Readonly<
  Record<Outcome["is"], { readonly outcome?: string; readonly outcomeDesc?: string }>
> = {
  done: { outcome: "0" },
  refused: { outcome: "4" },
  begun: { outcomeDesc: "Recorded before it was done" },
  "not done": { outcome: "8" },
  "not known": { outcomeDesc: "Whether it was done is not known" },
};

/** The event's bytes: JSON as RFC 8785 writes it. */
export function eventOf({
  at,
  domain,
  by,
  act,
  outcome,
  count,
  since,
}: ToldAct): Uint8Array<ArrayBufferLike> {
  const { type, subtype, action, display } = KINDS[act.is];
  const about = OUTCOMES[outcome.is];
  const told = [about.outcomeDesc, "code" in outcome ? outcome.code : undefined].filter(
    (text) => text !== undefined,
  );
  const event = {
    resourceType: "AuditEvent",
    type,
    subtype: [
      ...(subtype === undefined ? [] : [subtype]),
      { system: "urn:kedge:act", code: act.is, display },
    ],
    action,
    ...(since !== undefined && { period: { start: timeText(since), end: timeText(at) } }),
    recorded: timeText(at),
    ...(about.outcome !== undefined && { outcome: about.outcome }),
    ...(told.length > 0 && { outcomeDesc: told.join(": ") }),
    agent: [agentOf(by)],
    source: {
      observer: { identifier: { system: "urn:kedge:domain", value: domain }, display: `Kedge at ${domain}` },
      type: [{ system: `${TERMINOLOGY}/security-source-type`, code: "4", display: "Application Server" }],
    },
    ...entitiesOf(by, act, count),
  };
  return canonicalise("jcs", new TextEncoder().encode(JSON.stringify(event)));
}

function agentOf(by: Actor) {
  const who = (kind: string, value: string) => ({ identifier: { system: `urn:kedge:${kind}`, value } });
  switch (by.kind) {
    case "api key":
      return { who: who("api-key", by.id), requestor: true };
    case "person":
      return {
        ...{ who: who("subject", by.subject), requestor: true },
        role: [{ coding: [{ system: "urn:kedge:role", code: by.role, display: by.role }] }],
      };
    case "link":
      return { who: who("link", by.link), requestor: true };
    case "operator":
      return { who: { ...who("operator", "operator"), display: "Operator" }, requestor: true };
    case "unknown":
      return { who: { display: "Not known" }, requestor: true };
  }
}

function entitiesOf(by: Actor, act: Act, count: bigint | undefined) {
  const things = thingsOf(act);
  const session = "id" in by && by.kind !== "api key" ? by.id : undefined;
  // Of a sign-in the session is what it is about.
  if (session !== undefined && !things.some(([, id]) => id === session)) things.push(["session", session]);
  const details = [...detailsOf(act), ...(count === undefined ? [] : [["count", String(count)] as const])];
  const entities = things.map(([kind, value]) => ({
    what: { identifier: { system: `urn:kedge:${kind}`, value } },
    type: { system: "urn:kedge:thing", code: kind, display: THINGS[kind] },
  }));
  const detail = details.map(([type, valueString]) => ({ type, valueString }));
  if (detail.length === 0) return entities.length === 0 ? {} : { entity: entities };
  const [first, ...others] = entities;
  return { entity: [{ ...first, detail }, ...others] };
}

function thingsOf(act: Act): Thing[] {
  switch (act.is) {
    case "signed_in":
    case "signed_out":
      return [["session", act.session]];
    case "key_created":
    case "key_revoked":
      return [["api-key", act.key]];
    case "link_created":
    case "link_opened":
    case "link_revoked":
      return [
        ["link", act.link],
        ["log", act.log],
      ];
    case "log_created":
    case "reviewed":
      return [["log", act.log]];
    case "exported":
      return act.log === undefined ? [] : [["log", act.log]];
    case "sign_in_refused":
    case "sign_in_configured":
    case "sign_in_removed":
      return [];
  }
}

function detailsOf(act: Act): Detail[] {
  switch (act.is) {
    case "sign_in_refused":
      return [["reason", act.reason]];
    case "reviewed": {
      const { commitment, from, to, filter, count, root } = act.review;
      return [
        ["commitment", commitment],
        ...(from === undefined ? [] : [["from", from] as const]),
        ...(to === undefined ? [] : [["to", to] as const]),
        ...filter.map((member) => ["filter", member] as const),
        ["count", String(count)],
        ["root", root],
      ];
    }
    case "exported":
      return [
        ["kind", act.kind],
        ["count", String(act.count)],
        ...(act.digest === undefined ? [] : [["digest", act.digest] as const]),
      ];
    default:
      return [];
  }
}
