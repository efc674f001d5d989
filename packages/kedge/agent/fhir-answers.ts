/** What the FHIR endpoint answers: refusals as OperationOutcome, and its few resources in JSON and in XML. */

/**
 * Why a request is not carried out. The set is closed; `issue` is of FHIR's value set issue-type.
 *
 * - `malformed`: the body is not what its media type says, or ended early
 * - `invalid`: it is, and does not fit the request
 * - `unauthenticated`, `forbidden`: no token or another one; a page in a browser
 * - `not_found`, `not_allowed`: nothing is at the address; another method is
 * - `too_large`: the body, an event in it, or the number of its events
 * - `unsupported_media_type`: a Content-Type or Content-Encoding that is not read here
 * - `unprocessable`: a Bundle, or an interaction in one, that is not carried out here
 * - `busy`: too much is being received at the same time
 * - `unavailable`: the journal takes nothing, or the agent stops
 */
const REFUSALS = {
  malformed: { status: 400, issue: "structure" },
  invalid: { status: 400, issue: "invalid" },
  unauthenticated: { status: 401, issue: "login" },
  forbidden: { status: 403, issue: "forbidden" },
  not_found: { status: 404, issue: "not-found" },
  not_allowed: { status: 405, issue: "not-supported" },
  too_large: { status: 413, issue: "too-long" },
  unsupported_media_type: { status: 415, issue: "not-supported" },
  unprocessable: { status: 422, issue: "processing" },
  busy: { status: 429, issue: "throttled" },
  unavailable: { status: 503, issue: "transient" },
} as const;
export type RefusalCode = keyof typeof REFUSALS;

/** The message is for the sender: it says what to do, and quotes nothing of an event. */
export class Refusal extends Error {
  readonly code: RefusalCode;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    code: RefusalCode,
    message: string,
    { headers = {}, ...options }: ErrorOptions & { headers?: Record<string, string> } = {},
  ) {
    super(message, options);
    this.name = "Refusal";
    this.code = code;
    this.headers = headers;
  }

  get status() {
    return REFUSALS[this.code].status;
  }
}

type Element = string | boolean | Elements | readonly Element[] | undefined;
type Elements = { readonly [name: string]: Element };
/** A FHIR resource as its JSON has it, the elements in the order that XML wants. */
export type Resource = Elements & { readonly resourceType: string };

export type Syntax = "json" | "xml";
export const FHIR_TYPES = { json: "application/fhir+json", xml: "application/fhir+xml" } as const;

export function outcomeOf(refusal: Refusal): Resource {
  return outcome("error", REFUSALS[refusal.code].issue, refusal.message);
}

export function outcome(severity: "error" | "information", code: string, diagnostics: string): Resource {
  return { resourceType: "OperationOutcome", issue: [{ severity, code, diagnostics }] };
}

export function encodeResource(resource: Resource, syntax: Syntax): string {
  return syntax === "json" ? JSON.stringify(resource) : toXml(resource);
}

/** FHIR R4 §2.6.1: a primitive is an attribute `value`, and a resource in another is an element of its type's name. */
function toXml(resource: Resource): string {
  const { resourceType, ...elements } = resource;
  return `<?xml version="1.0" encoding="UTF-8"?><${resourceType} xmlns="http://hl7.org/fhir">${children(elements)}</${resourceType}>`;
}

function children(elements: Elements): string {
  return Object.entries(elements)
    .map(([name, element]) => toElement(name, element))
    .join("");
}

function toElement(name: string, element: Element): string {
  if (element === undefined) return "";
  if (isList(element)) return element.map((each) => toElement(name, each)).join("");
  if (typeof element !== "object") return `<${name} value="${escaped(String(element))}"/>`;
  const { resourceType, ...rest } = element;
  const inner = children(rest);
  return typeof resourceType === "string"
    ? `<${name}><${resourceType}>${inner}</${resourceType}></${name}>`
    : `<${name}>${inner}</${name}>`;
}

const isList = (element: Element): element is readonly Element[] => Array.isArray(element);

function escaped(text: string): string {
  return text.replace(/[&<>"\n\r\t]/g, (character) => `&#${character.charCodeAt(0)};`);
}
