/**
 * Searching the journal as IHE Retrieve ATNA Audit Event (ITI-81) has it: `GET /AuditEvent`, for whoever has a viewer already.
 * Each hit is the resource as it was taken, with a DocumentReference whose attachment is its proof.
 */
import { setImmediate } from "node:timers/promises";
import { ClientError } from "@kedge/verify/error";
import { EventError } from "@kedge/verify/events/error";
import { ACTIONS } from "@kedge/verify/events/formats/codes";
import { readJson } from "@kedge/verify/events/json";
import { withOpening } from "@kedge/verify/proof/extra";
import { encodeBase64 } from "@kedge/verify/tlog/bytes";
import { bytesToHex } from "@noble/hashes/utils.js";
import type { ProofAnswer } from "../client/api.ts";
import type { FindIndex, Found, Query } from "../find/index.ts";
import { journalUse } from "../find/used.ts";
import { openingOf } from "../journal/opening.ts";
import type { EpochKeys, Intake } from "../journal/types.ts";
import { FHIR_TYPES, outcome, Refusal, type Resource } from "./fhir-answers.ts";

export type FhirSearch = {
  index: FindIndex;
  /** Of the internal source that searches are journalled under. */
  uses: Pick<Intake, "take">;
  keys: EpochKeys;
  /** In the order of the commitments. Rejects with ClientError. */
  proofs(commitments: readonly Uint8Array[]): AsyncIterable<ProofAnswer>;
  now(): number;
};

const DEFAULT_COUNT = 50;
const MAX_COUNT = 500;
/** Of the events of one page: the next one has the others. */
const MAX_OCTETS = 16 << 20;
/** Ms of a search, and events that it looks at, before senders of events have their turn. */
const TURN = { ms: 25, events: 64 };
const MAX_PAGE = 1_000_000;

/** Answers one request; who asks may do so. @throws Refusal `invalid` */
export async function searchAuditEvents(
  { index, uses, keys, proofs, now }: FhirSearch,
  request: Request,
): Promise<Response> {
  const url = new URL(request.url);
  const { query, count, page } = readSearch(url.searchParams);
  await journalUse(uses, { kind: "search", query, by: "the FHIR search", at: now() });
  await index.catchUp();
  const hits: Found[] = [];
  let passed = 0;
  let more = false;
  let octets = 0;
  let looked = 0;
  let began = performance.now();
  for (const found of index.search(query)) {
    if (++looked % TURN.events === 0 || performance.now() - began > TURN.ms) {
      await setImmediate();
      began = performance.now();
    }
    if (!isAuditEvent(found)) continue;
    if (passed++ < page) continue;
    octets += found.entry.bytes?.length ?? 0;
    if (hits.length === count || (hits.length > 0 && octets > MAX_OCTETS)) {
      more = count > 0;
      break;
    }
    hits.push(found);
  }
  const evidence = await evidenceOf(hits, keys, proofs);
  const links = [link("self", url, page), ...(more ? [link("next", url, page + hits.length)] : [])];
  return new Response(bundleText(hits, links, evidence), {
    headers: { "Content-Type": FHIR_TYPES.json, "Cache-Control": "no-store" },
  });
}

// ---- what is asked for (FHIR R4 §3.1.1, ITI-81 §3.81.4.1.2) ---------------------------------------------------------

type Search = { query: Query; count: number; page: number };

function readSearch(parameters: URLSearchParams): Search {
  const search: Search = { query: {}, count: DEFAULT_COUNT, page: 0 };
  const { query } = search;
  const set = (field: "patient" | "user" | "action" | "source", value: string, name: string): void => {
    if (query[field] !== undefined) throw invalid(`${name} is said twice: say it once`);
    if (value === "" || value.includes(",")) throw invalid(`${name} takes one value here`);
    query[field] = value;
  };
  for (const [name, value] of parameters) {
    switch (name) {
      case "date":
        narrow(query, value);
        break;
      case "patient":
      case "patient.identifier":
        set("patient", value.split("|").at(-1) ?? "", name);
        break;
      case "agent":
      case "agent.identifier":
        set("user", value.split("|").at(-1) ?? "", name);
        break;
      case "action":
        set("action", ACTIONS.get(value) ?? value, name);
        break;
      case "source":
        set("source", value, name);
        break;
      case "_count":
        search.count = Math.min(numberOf(value, MAX_PAGE, name), MAX_COUNT);
        break;
      case "_page":
        search.page = numberOf(value, MAX_PAGE, name);
        break;
      case "_format":
        if (!/^(json|application\/(fhir\+)?json)$/.test(value)) throw invalid("the answer is JSON alone");
        break;
      default:
        throw invalid(
          `the parameter is not one of date, patient, patient.identifier, agent, agent.identifier, action, source, _count`,
        );
    }
  }
  return search;
}

function numberOf(text: string, max: number, name: string): number {
  const value = Number(text);
  if (/^\d{1,7}$/.test(text) && value <= max) return value;
  throw invalid(`${name} is a number to ${max}`);
}

const DATE =
  /^(eq|ge|le|gt|lt)?(\d{4}(?:-\d\d(?:-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d))?)?)?)$/;

/** A date stands for all of its year, month, day, minute or second (FHIR R4 §3.1.1.4.7), in UTC. */
function narrow(query: Query, text: string): void {
  const [, prefix = "eq", date = ""] = DATE.exec(text) ?? [];
  const start = Date.parse(date);
  if (Number.isNaN(start))
    throw invalid("date is a FHIR date with eq, ge, le, gt or lt before it, and a time with its offset");
  const end = endOf(date, start);
  const from = prefix === "gt" ? end : start;
  const to = prefix === "lt" ? start : end;
  if (["eq", "ge", "gt"].includes(prefix)) query.from = Math.max(query.from ?? 0, from);
  if (["eq", "le", "lt"].includes(prefix)) query.to = Math.min(query.to ?? Number.POSITIVE_INFINITY, to);
}

function endOf(date: string, start: number): number {
  const at = new Date(start);
  if (date.length === 4) return Date.UTC(at.getUTCFullYear() + 1, 0);
  if (date.length === 7) return Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + 1);
  if (date.length === 10) return start + 86_400_000;
  const [, seconds, fraction] = /T\d\d:\d\d(:\d\d)?(\.\d+)?/.exec(date) ?? [];
  if (fraction !== undefined) return start + 1;
  return start + (seconds === undefined ? 60_000 : 1_000);
}

const invalid = (why: string): Refusal => new Refusal("invalid", `The search is not carried out: ${why}.`);

// ---- what is answered ---------------------------------------------------------------------------------------------

/** What is in another format, or in XML, cannot stand in the answer as it was taken. */
function isAuditEvent({ entry: { bytes, mediaType } }: Found): boolean {
  if (bytes === undefined || mediaType !== FHIR_TYPES.json) return false;
  try {
    const value = readJson(bytes);
    return (
      typeof value === "object" &&
      value !== null &&
      !Array.isArray(value) &&
      value["resourceType"] === "AuditEvent"
    );
  } catch (error) {
    if (error instanceof EventError) return false;
    throw error;
  }
}

const link = (relation: string, url: URL, page: number): { relation: string; url: string } => {
  const parameters = new URLSearchParams(url.search);
  if (page > 0) parameters.set("_page", `${page}`);
  return { relation, url: `${url.origin}${url.pathname}?${parameters}` };
};

const urlOf = ({ entry }: Found): string => `urn:kedge:commitment:${bytesToHex(entry.commitment)}`;

/** A DocumentReference for each hit that has a proof, and what is to be said of the others. */
async function evidenceOf(
  hits: readonly Found[],
  keys: EpochKeys,
  proofs: FhirSearch["proofs"],
): Promise<Resource[]> {
  const evidence: Resource[] = [];
  let without = 0;
  try {
    let at = 0;
    for await (const answer of proofs(hits.map(({ entry }) => entry.commitment))) {
      const hit = hits[at++];
      if (hit === undefined) break;
      if (answer.state === "proof") evidence.push(attachment(hit, keys, answer));
      else without += 1;
    }
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    without = hits.length - evidence.length;
  }
  if (without === 0) return evidence;
  const said = `${without} of these events have no proof here: they are not sealed yet, or the service cannot be reached.`;
  return [...evidence, outcome("information", "incomplete", said)];
}

function attachment(
  hit: Found,
  keys: EpochKeys,
  { proof, assurance }: ProofAnswer & { state: "proof" },
): Resource {
  const { entry } = hit;
  const opening = openingOf(entry, keys);
  const text = opening === undefined ? proof : withOpening(proof, opening);
  return {
    resourceType: "DocumentReference",
    status: "current",
    description: `Proof that the event was logged, at assurance ${assurance}`,
    content: [
      {
        attachment: {
          contentType: "text/plain",
          data: encodeBase64(new TextEncoder().encode(text)),
          title: `${entry.source}-${entry.number}.tlog-proof`,
        },
      },
    ],
    context: { related: [{ reference: urlOf(hit) }] },
  };
}

/** The resources stand in it byte for byte: what is parsed and written anew is another event. */
function bundleText(
  hits: readonly Found[],
  links: readonly { relation: string; url: string }[],
  others: readonly Resource[],
): string {
  const decoder = new TextDecoder();
  const matches = hits.map(
    (hit) =>
      `{"fullUrl":${JSON.stringify(urlOf(hit))},"resource":${decoder.decode(hit.entry.bytes)},"search":{"mode":"match"}}`,
  );
  const rest = others.map((resource) => {
    const mode = resource.resourceType === "OperationOutcome" ? "outcome" : "include";
    return JSON.stringify({ resource, search: { mode } });
  });
  return `{"resourceType":"Bundle","type":"searchset","link":${JSON.stringify(links)},"entry":[${[...matches, ...rest].join(",")}]}`;
}
