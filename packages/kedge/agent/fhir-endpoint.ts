/**
 * The FHIR endpoint (IHE RESTful ATNA, ITI-20), and plain POST beside it: what each request becomes in the journal, and
 * what its sender is told once it is there. No resource is changed: what is committed is the bytes as they came.
 */
import { setImmediate } from "node:timers/promises";
import { EventError } from "@kedge/verify/events/error";
import { type BundleEntry, bundleSteps, resourceTypeSteps } from "@kedge/verify/events/formats/fhir";
import { isXml } from "@kedge/verify/events/formats/malformed";
import type { Steps } from "@kedge/verify/events/formats/xml";
import type { Gap, GapKind } from "@kedge/verify/events/gap";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { type Context, Hono } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { Arrival, Intake } from "../journal/types.ts";
import {
  encodeResource,
  FHIR_TYPES,
  outcome,
  outcomeOf,
  Refusal,
  type Resource,
  type Syntax,
} from "./fhir-answers.ts";
import { gapArrival } from "./gap-arrival.ts";
import { checkNumber, mediaTypeOfRequest, type PostedEvent, postedEvents } from "./posted-events.ts";
import { type Body, busy, type Room, readBody } from "./request-body.ts";

export type Endpoint = {
  intake: Pick<Intake, "take">;
  /** What the paths here begin with: "" or `/fhir`. */
  path: string;
  /** By the Authorization header. */
  mayEnter(authorization: string | undefined): boolean;
  /** Whether no token is asked for: then a page in a browser of this machine could come here, certificate and all. */
  isOpen: boolean;
  /** Octets: of an event, and of a body that may hold several. */
  limits: { event: number; bundle: number };
  /** Whether a body that is not what it says it is is refused; if not, its bytes are committed to all the same. */
  refuse: boolean;
  room: Room;
  /** The request as it is to go on to the upstream; undefined without one. */
  forward?(request: Request, sent: Uint8Array): Uint8Array;
  count(counter: Counter, by?: number): void;
  /** What the journal rejected with, for the operator; undefined once it takes events again. */
  trouble(cause: unknown): void;
  /** `GET /AuditEvent`; without it the endpoint takes events and gives none. */
  search?(request: Request): Promise<Response>;
};
export type Counter = "requests" | "events" | "refused" | "gaps" | "unavailable";

const RETRY_AFTER = "5";
const MAX_LATELY = 1000;
const MAX_RUNNING = 1000;
/** Searches at a time: each takes a turn of those that events are taken in. */
const MAX_SEARCHING = 4;

const SYNTAXES: ReadonlyMap<string, Syntax> = new Map([
  ["application/fhir+json", "json"],
  ["application/json", "json"],
  ["application/json+fhir", "json"], // DSTU2, and clients that have kept it
  ["text/json", "json"],
  ["application/fhir+xml", "xml"],
  ["application/xml", "xml"],
  ["application/xml+fhir", "xml"],
  ["text/xml", "xml"],
]);
/** What ATNA nodes send that use HTTP in place of syslog. */
const ATNA_TYPE = "application/ihe+rfc3881";
const TYPE = /^[A-Z][A-Za-z]{1,63}$/;
const ID = /^[A-Za-z0-9.-]{1,64}$/; // FHIR R4 §2.24.0.1
/** Version 00 of https://www.w3.org/TR/trace-context/#traceparent-header. */
const TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

export function createFhirApp(options: Endpoint): Hono {
  const endpoint: Running = { ...options, lately: new Set(), running: 0, searching: 0 };
  const { path } = endpoint;
  const app = new Hono({ strict: false }).basePath(path);
  const { search, limits } = endpoint;

  app.use(async (c, next) => {
    endpoint.count("requests");
    checkSender(endpoint, c.req.raw.headers);
    // Node reads on for requests behind one that waits for the journal: the room knows large bodies only.
    if (endpoint.running >= MAX_RUNNING) throw busy("requests");
    endpoint.running++;
    try {
      await next();
    } finally {
      endpoint.running--;
    }
  });
  app.get("/metadata", (c) => answer(c, capabilities(baseOf(endpoint, c), c, search !== undefined), 200));
  if (search !== undefined) {
    app.get("/AuditEvent", async (c) => {
      if (endpoint.searching >= MAX_SEARCHING) throw busy("requests");
      endpoint.searching++;
      try {
        return await search(c.req.raw);
      } finally {
        endpoint.searching--;
      }
    });
  }
  app.post("/events", (c) => withBody(endpoint, c, limits.bundle, takeEvents));
  app.post("/", (c) =>
    withBody(endpoint, c, limits.bundle, (posted) =>
      mediaTypeOfRequest(c.req.raw.headers) === ATNA_TYPE ? takeEvents(posted) : takeBundle(posted),
    ),
  );
  app.post("/:type{[A-Z][A-Za-z]{1,63}}", (c) => withBody(endpoint, c, limits.event, takeResource));
  app.put("/:type{[A-Z][A-Za-z]{1,63}}/:id{[A-Za-z0-9.-]{1,64}}", (c) =>
    withBody(endpoint, c, limits.event, takeResource),
  );
  app.all("*", (c) => {
    const allowed = allowedOn(c.req.path.slice(path.length), search !== undefined);
    if (allowed === undefined)
      throw new Refusal("not_found", "There is nothing of this name here: see GET /metadata.");
    const headers = { Allow: allowed };
    throw new Refusal("not_allowed", `Only ${allowed} is carried out here.`, { headers });
  });
  app.notFound((c) => {
    const refusal = new Refusal("not_found", `What is here begins with ${path}.`);
    return answer(c, outcomeOf(refusal), refusal.status);
  });
  app.onError((error, c) => {
    const refusal = refusalOf(endpoint, error);
    endpoint.count(refusal.code === "unavailable" ? "unavailable" : "refused");
    return answer(c, outcomeOf(refusal), refusal.status, refusal.headers);
  });
  return app;
}

/** @throws Refusal `forbidden`, `unauthenticated` */
function checkSender({ isOpen, mayEnter }: Endpoint, headers: Headers): void {
  if (isOpen && (headers.has("origin") || headers.has("sec-fetch-site"))) {
    throw new Refusal(
      "forbidden",
      "Nothing is taken from a page in a browser here: there is no token to ask for.",
    );
  }
  if (mayEnter(headers.get("authorization") ?? undefined)) return;
  throw new Refusal("unauthenticated", "Send the token of this endpoint as Authorization: Bearer …", {
    headers: { "WWW-Authenticate": "Bearer" },
  });
}

function refusalOf(endpoint: Endpoint, error: Error): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof EventError) return new Refusal("malformed", error.message, { cause: error });
  endpoint.trouble(error);
  return new Refusal("unavailable", "The events cannot be taken now: send them again later.", {
    headers: { "Retry-After": RETRY_AFTER },
    cause: error,
  });
}

// ---- what a request becomes in the journal ------------------------------------------------------------------------

/** `lately`: SHA-256 of bodies that have left a gap; `running`, `searching`: requests under way, and searches of those. */
type Running = Endpoint & { lately: Set<string>; running: number; searching: number };
type Posted = { endpoint: Running; c: Context; body: Body };

async function withBody(
  endpoint: Running,
  c: Context,
  limit: number,
  take: (posted: Posted) => Promise<Response>,
): Promise<Response> {
  let body: Body;
  try {
    body = await readBody(c.req.raw, limit, endpoint.room);
  } catch (error) {
    if (error instanceof Refusal && error.code === "too_large")
      await leaveGap(endpoint, { kind: "overlong" });
    throw error;
  }
  try {
    return await take({ endpoint, c, body });
  } finally {
    body.leave();
  }
}

/** A resource of its own: `POST /<type>`, or `PUT /<type>/<id>` as servers send it to their subscribers (R4 rest-hook). */
async function takeResource(posted: Posted): Promise<Response> {
  const { endpoint, c, body } = posted;
  const { type = "", id } = c.req.param();
  const syntax = syntaxOf(c.req.raw.headers);
  await orGap(posted, async () => {
    checkSyntax(body.bytes, syntax);
    checkType(await inTurns(resourceTypeSteps(body.bytes)), type);
  });
  const event = { bytes: body.bytes, mediaType: FHIR_TYPES[syntax] };
  const [number] = await journal(posted, [event]);
  const { location, etag } = placeOf({ type, id }, number);
  const headers = { Location: `${baseOf(endpoint, c)}/${location}`, ETag: etag };
  const [, preferred] =
    /\breturn=(representation|OperationOutcome)\b/.exec(c.req.header("prefer") ?? "") ?? [];
  if (preferred === "representation") {
    return c.body(new Uint8Array(body.bytes), 201, { ...headers, "Content-Type": FHIR_TYPES[syntax] });
  }
  if (preferred === "OperationOutcome") return answer(c, TAKEN, 201, headers);
  return c.body(null, 201, headers);
}

async function takeEvents(posted: Posted): Promise<Response> {
  const { endpoint, c, body } = posted;
  const events = await orGap(posted, async () => {
    const found = await inTurns(postedEvents(c.req.raw.headers, body.bytes));
    for (const { bytes } of found) checkLength(bytes, endpoint.limits.event);
    return found;
  });
  const whole = { bytes: body.bytes, mediaType: mediaTypeOfRequest(c.req.raw.headers) };
  const numbers = await journal(posted, events ?? [whole]);
  const [first] = numbers;
  const taken = { accepted: numbers.length, first: first?.toString(), last: numbers.at(-1)?.toString() };
  return c.json(taken, numbers.length === 1 ? 201 : 200);
}

async function takeBundle(posted: Posted): Promise<Response> {
  const { endpoint, c, body } = posted;
  const syntax = syntaxOf(c.req.raw.headers);
  const bundle = await orGap(posted, async () => {
    checkSyntax(body.bytes, syntax);
    const { type, entries } = (await inTurns(bundleSteps(body.bytes))) ?? { entries: [] };
    if (type !== "batch" && type !== "transaction") {
      const what =
        "What is no Bundle of type batch or transaction goes to the address of its type, such as /AuditEvent.";
      throw new Refusal("unprocessable", what);
    }
    checkNumber(entries.length);
    const judged = entries.map((entry) => ({ ...entry, target: targetOf(entry, endpoint.limits.event) }));
    const refused = judged.map(({ target }) => target).find((target) => target instanceof Refusal);
    if (type === "transaction" && refused !== undefined) throw refused;
    return { type, entries: judged };
  });
  if (bundle === undefined) {
    await journal(posted, [{ bytes: body.bytes, mediaType: FHIR_TYPES[syntax] }]);
    return answer(c, TAKEN, 200);
  }
  const { type, entries } = bundle;
  // A number each, in the order of the entries: of its event, or of the gap that it leaves.
  const arrivals = entries.flatMap(({ resource, target }) => {
    if (resource === undefined) return [];
    if (!(target instanceof Refusal)) return [{ bytes: resource.bytes, mediaType: resource.mediaType }];
    return [
      gapArrival({ kind: gapKind(target), octets: resource.bytes.length, detail: "an entry of a batch" }),
    ];
  });
  const numbers = (await journal(posted, arrivals)).values();
  const answers = entries.map(({ resource, target }) => {
    const number = resource === undefined ? undefined : numbers.next().value;
    return { response: target instanceof Refusal ? refusedEntry(target) : createdEntry(target, number) };
  });
  const entry = answers.length === 0 ? undefined : answers;
  return answer(c, { resourceType: "Bundle", type: `${type}-response`, entry }, 200);
}

type Target = { type: string; id: string | undefined };

/** What an entry of a batch or transaction is to become. */
function targetOf({ method, url = "", resource }: BundleEntry, limit: number): Target | Refusal {
  if (method === undefined) return new Refusal("invalid", "An entry has a request, with a method and a url.");
  if (method !== "POST" && method !== "PUT") {
    return new Refusal("unprocessable", "Of the methods POST and PUT are carried out here.");
  }
  if (resource === undefined) return new Refusal("invalid", `An entry with ${method} has a resource.`);
  const [type = "", id, ...more] = url.replace(/^\//, "").split("/");
  const isAddress = more.length === 0 && (method === "POST" ? id === undefined : ID.test(id ?? ""));
  if (!isAddress)
    return new Refusal("invalid", "The url of an entry is <type> to POST, and <type>/<id> to PUT.");
  try {
    checkType(resource.type, type);
    checkLength(resource.bytes, limit);
    return { type, id };
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
}

/** @throws Refusal `malformed` */
function checkSyntax(bytes: Uint8Array, syntax: Syntax): void {
  if (isXml(bytes) === (syntax === "xml")) return;
  throw new Refusal("malformed", `The body is not ${syntax.toUpperCase()}, as its Content-Type says.`);
}

/** @throws Refusal `invalid` */
function checkType(type: string, addressed: string): void {
  if (type === addressed && TYPE.test(type)) return;
  throw new Refusal("invalid", "The resource is not of the type that its address says.");
}

function checkLength({ length }: Uint8Array, limit: number): void {
  if (length > limit) throw new Refusal("too_large", `An event of ${length} octets is more than ${limit}.`);
}

/** Writes all of it or nothing. @returns the numbers, in the order of the events */
async function journal({ endpoint, c, body }: Posted, events: readonly PostedEvent[]): Promise<bigint[]> {
  const { intake, forward } = endpoint;
  if (events.length === 0 && forward === undefined) return [];
  const notes = notesOf(c.req.raw.headers, body);
  const arrivals = events.map((event): Arrival => ({ ...event, ...(notes.length === 0 ? {} : { notes }) }));
  const numbers = await intake.take({
    arrivals,
    ...(forward === undefined ? {} : { forward: [forward(c.req.raw, body.sent)] }),
  });
  endpoint.count("events", events.length);
  endpoint.trouble(undefined);
  return numbers;
}

/** What is outside the commitment: it is the sender's word, and of a form that holds nothing else. */
function notesOf(headers: Headers, { isEncoded }: Body): string[] {
  const traceparent = headers.get("traceparent") ?? "";
  return [
    ...(TRACEPARENT.test(traceparent) ? [`traceparent ${traceparent}`] : []),
    ...(isEncoded ? ["gzip taken away"] : []),
  ];
}

// ---- what is refused ----------------------------------------------------------------------------------------------

/**
 * What `read` makes of the body. Where it throws, the sender is told, and it is a gap: a sender that gives up would be
 * missed by nobody. undefined where the bytes are taken all the same.
 */
async function orGap<T>({ endpoint, body }: Posted, read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof Refusal && error.code === "unsupported_media_type") throw error;
    const kind = gapKind(error);
    if (kind === "unreadable" && !endpoint.refuse) return undefined;
    const id = bytesToHex(sha256(body.bytes));
    // A sender may repeat for days what is refused each time: it is one gap.
    if (!endpoint.lately.has(id)) await leaveGap(endpoint, { kind, octets: body.bytes.length });
    endpoint.lately.add(id);
    const [oldest = id] = endpoint.lately;
    if (endpoint.lately.size > MAX_LATELY) endpoint.lately.delete(oldest);
    throw error;
  }
}

/** A large body holds no other sender up. */
async function inTurns<T>(steps: Steps<T>): Promise<T> {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    await setImmediate();
  }
}

const gapKind = (error: unknown): GapKind =>
  error instanceof Refusal && error.code === "too_large" ? "overlong" : "unreadable";

async function leaveGap(endpoint: Endpoint, what: Gap): Promise<void> {
  await endpoint.intake.take({ arrivals: [gapArrival(what)] });
  endpoint.count("gaps");
}

// ---- what a sender is told ----------------------------------------------------------------------------------------

const TAKEN = outcome("information", "informational", "It is in the journal.");

/**
 * What a new resource is called: by the number that its event has in the source, for no other name of it is here. Of one
 * that has an id the number tells the versions apart.
 */
function placeOf({ type, id }: Target, number = 0n): { location: string; etag: string } {
  const [logical, version] = id === undefined ? [number, 1] : [id, number];
  return { location: `${type}/${logical}/_history/${version}`, etag: `W/"${version}"` };
}

function createdEntry(target: Target, number: bigint | undefined) {
  return { status: "201 Created", ...placeOf(target, number) };
}

function refusedEntry(refusal: Refusal) {
  return { status: `${refusal.status}`, outcome: outcomeOf(refusal) };
}

/** @throws Refusal `unsupported_media_type` */
function syntaxOf(headers: Headers): Syntax {
  const syntax = SYNTAXES.get(mediaTypeOfRequest(headers));
  const [, charset = "utf-8"] =
    /;\s*charset\s*=\s*"?([^";\s]*)/i.exec(headers.get("content-type") ?? "") ?? [];
  if (syntax !== undefined && /^(utf-8|us-ascii)$/i.test(charset)) return syntax;
  const types = Object.values(FHIR_TYPES).join(", ");
  throw new Refusal("unsupported_media_type", `Send FHIR as ${types}, in UTF-8.`, {
    headers: { Accept: types },
  });
}

function answer(
  c: Context,
  resource: Resource,
  status: ContentfulStatusCode,
  headers: Record<string, string> = {},
): Response {
  const syntax = wantedSyntax(c);
  const type = `${FHIR_TYPES[syntax]}; charset=utf-8`;
  return c.body(encodeResource(resource, syntax), status, { ...headers, "Content-Type": type });
}

/** By `_format`, Accept, or what was sent (FHIR R4 §3.1.0.1.11). */
function wantedSyntax(c: Context): Syntax {
  const wishes = [
    c.req.query("_format") ?? "",
    c.req.header("accept") ?? "",
    c.req.header("content-type") ?? "",
  ];
  const wish = wishes.find((text) => /\b(json|xml)\b/i.test(text)) ?? "";
  return /\bxml\b/i.test(wish) && !/\bjson\b/i.test(wish) ? "xml" : "json";
}

/** The methods of a path; undefined where there is nothing. */
function allowedOn(path: string, hasSearch: boolean): string | undefined {
  const [type = "", id, ...more] = path.replace(/^\/|\/$/g, "").split("/");
  if (id === undefined && type === "metadata") return "GET";
  if (id === undefined && (type === "" || type === "events")) return "POST";
  if (!TYPE.test(type) || more.length > 0) return undefined;
  if (id !== undefined) return ID.test(id) ? "PUT" : undefined;
  return hasSearch && type === "AuditEvent" ? "GET, POST" : "POST";
}

function capabilities(base: string, c: Context, hasSearch: boolean): Resource {
  const asked = /fhirVersion=5\./.test(c.req.header("accept") ?? "") ? "5.0.0" : "4.0.1";
  const codes = ["create", "update", ...(hasSearch ? ["search-type"] : [])];
  return {
    resourceType: "CapabilityStatement",
    status: "active",
    date: "2026-11-28",
    kind: "instance",
    software: { name: "kedge agent" },
    implementation: { description: "Takes audit events into the journal of a Kedge agent", url: base },
    fhirVersion: asked,
    format: ["json", "xml", FHIR_TYPES.json, FHIR_TYPES.xml],
    rest: [
      {
        mode: "server",
        documentation:
          "Resources of any type are taken, and become events as they stand; none is given back.",
        resource: [
          {
            type: "AuditEvent",
            interaction: codes.map((code) => ({ code })),
            versioning: "versioned",
            updateCreate: true,
          },
        ],
        interaction: [{ code: "transaction" }, { code: "batch" }],
      },
    ],
  };
}

const baseOf = ({ path }: Endpoint, c: Context): string => new URL(c.req.url).origin + path;
