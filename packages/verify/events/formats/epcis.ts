/**
 * GS1 EPCIS 2.0 events, JSON-LD and XML, alone or in a document; 1.2's XML has the same names.
 *
 * The hash covers an event's bytes: one of a document from its first brace to its last, or from its `<` to its last `>`,
 * as they stand in the document; a document that is taken whole, all of it. It does not cover, for one that was cut
 * out, the document's `@context` or namespaces, which say what its extensions mean. The EPCIS event hash id (CBV 2.0
 * §8.9.2, `ni:///sha-256;…`) is an identifier and never the integrity hash: it leaves members out and normalises others,
 * so that two texts may have one. Where an event carries one it is content like all else.
 *
 * Source: https://ref.gs1.org/standards/epcis/2.0.0/
 */
import type { Json, JsonObject } from "../json.ts";
import { columnsOf } from "./columns.ts";
import { parseEpc } from "./epc.ts";
import type { Format, Slice } from "./format.ts";
import { all, at, each, first, isObject, joined, lookAtJson } from "./json.ts";
import { isXml, malformedEvent } from "./malformed.ts";
import { sliceObjects } from "./slices.ts";
import { byName, type Element, readXml, walkXml } from "./xml.ts";

const JSON_TYPE = "application/ld+json";
const XML_TYPE = "application/xml";
const EVENTS = [
  "ObjectEvent",
  "AggregationEvent",
  "TransactionEvent",
  "TransformationEvent",
  "AssociationEvent",
];
const DOCUMENTS = ["EPCISDocument", "EPCISQueryDocument"];
/** `urn:epcglobal:epcis:xsd:2`, and `urn:epcglobal:epcis-query:xsd:2` of an answer. */
const NAMESPACE = /^urn:epcglobal:epcis(?:-query)?:xsd:[12]$/;

export const epcis: Format = {
  name: "epcis",
  mediaTypes: [],
  recognises({ members, root }) {
    const type = members?.get("type") ?? members?.get("isA");
    if (type !== undefined)
      return DOCUMENTS.includes(type) || (EVENTS.includes(type) && members?.has("eventTime") === true);
    if (root === undefined) return false;
    return (NAMESPACE.test(root.uri) && DOCUMENTS.includes(root.local)) || EVENTS.includes(root.local);
  },
  read(bytes) {
    const events = isXml(bytes) ? eventsOfXml(bytes) : eventsOfJson(bytes);
    return columnsOf(draftOf(events));
  },
  split: (bytes) =>
    isXml(bytes)
      ? splitXml(bytes)
      : sliceObjects(bytes, JSON_TYPE, (document) =>
          isEvent(document) ? undefined : eventList(bytes, document),
        ),
};

const typeOf = (value: Json | undefined): string => first(at(value, "type"), at(value, "isA")) ?? "";
const isEvent = (value: Json): value is JsonObject => isObject(value) && EVENTS.includes(typeOf(value));

/** Of a document, of the document that a query answers with, and of an array of events. */
function eventList(bytes: Uint8Array, document: Json): readonly Json[] {
  if (Array.isArray(document) && isEvent(document[0] ?? null)) return document;
  if (!DOCUMENTS.includes(typeOf(document))) throw malformedEvent(bytes, 0, "no EPCIS event or document");
  const body = at(document, "epcisBody");
  const results = at(body, "queryResults", "resultsBody");
  return [
    ...each(body ?? null, "eventList"),
    ...each(body ?? null, "event"),
    ...each(results ?? null, "eventList"),
  ];
}

function eventsOfJson(bytes: Uint8Array): JsonObject[] {
  const value = lookAtJson(bytes);
  return (isEvent(value) ? [value] : eventList(bytes, value)).filter((event) => isObject(event));
}

function eventsOfXml(bytes: Uint8Array): JsonObject[] {
  const root = readXml(bytes, { undeclared: "" });
  const events = EVENTS.includes(root.local)
    ? [root]
    : DOCUMENTS.includes(root.local)
      ? eventsWithin(root)
      : undefined;
  if (events === undefined) throw malformedEvent(bytes, root.start, "no EPCIS event or document");
  return events.map((event) => ({ ...byName(event.children, jsonOf), type: event.local }));
}

const eventsWithin = (element: Element): Element[] =>
  element.children.flatMap((child) => (EVENTS.includes(child.local) ? [child] : eventsWithin(child)));

/** Of an element without children its text. */
const jsonOf = (element: Element): Json =>
  element.children.length === 0 ? element.text.trim() : byName(element.children, jsonOf);

/** Goes through the document once: events stand in its EventList, some of 1.2 within an `extension` there. */
function splitXml(bytes: Uint8Array): Slice[] {
  const slices: Slice[] = [];
  let root = "";
  /** The depth of the event that is being gone through, and where it began. */
  let open: { depth: number; start: number } | undefined;
  walkXml(
    bytes,
    {
      open({ local, start }, depth) {
        if (depth === 1) root = local;
        if (open === undefined && depth > 1 && EVENTS.includes(local)) open = { depth, start };
      },
      close(depth, end) {
        if (open?.depth !== depth) return;
        slices.push({ bytes: bytes.subarray(open.start, end), mediaType: XML_TYPE });
        open = undefined;
      },
    },
    { undeclared: "", isUtf8: true },
  );
  if (EVENTS.includes(root)) return [{ bytes, mediaType: XML_TYPE }];
  if (!DOCUMENTS.includes(root)) throw malformedEvent(bytes, 0, "no EPCIS document");
  return slices;
}

const EPCS = ["parentID", "epcList", "childEPCs", "inputEPCList", "outputEPCList"];
const QUANTITIES = ["quantityList", "childQuantityList", "inputQuantityList", "outputQuantityList"];

/** A document's columns are those of its first event, and the subjects of all. */
function draftOf(events: readonly JsonObject[]) {
  const [event = null] = events;
  const epcs = events.flatMap((one) => [
    ...EPCS.flatMap((name) => each(one, name).flatMap(texts)),
    ...[one, at(one, "extension") ?? null]
      .flatMap((part) =>
        QUANTITIES.flatMap((name) =>
          each(part, name).flatMap((list) => [list, ...each(list, "quantityElement")]),
        ),
      )
      .map((quantity) => at(quantity, "epcClass")),
  ]);
  return {
    when: at(event, "eventTime"),
    action: joined([lastName(at(event, "bizStep")), at(event, "action")], ": "),
    recordType: typeOf(event),
    workstation: identifier(at(event, "readPoint")),
    reason: { code: lastName(at(event, "errorDeclaration", "reason")) },
    outcome: lastName(at(event, "disposition")),
    source: identifier(at(event, "bizLocation")),
    subjects: epcs.flatMap((epc) => [epc, ...keysOf(first(epc) ?? "")]),
  };
}

function texts(value: Json): Json[] {
  if (!isObject(value)) return [value];
  return Object.values(value)
    .flatMap((member) => all(member))
    .filter((one) => typeof one === "string");
}

const identifier = (place: Json | undefined): string | undefined => first(at(place, "id"), place);

/** `shipping` of `urn:epcglobal:cbv:bizstep:shipping` and of `https://ref.gs1.org/cbv/BizStep-shipping`. */
const lastName = (name: Json | undefined): string | undefined =>
  first(name)
    ?.slice(0, 2048)
    .replace(/^(?:urn:epcglobal:cbv:\w+:|https?:\/\/ref\.gs1\.org\/cbv\/\w+-|cbv:\w+-)/, "");

/** What is printed on the box and asked for: GTIN-14, lot or serial; SSCC-18. */
const keysOf = (epc: string): string[] => Object.values(parseEpc(epc) ?? {});
