/**
 * The events of a plain POST, by its media type: CloudEvents 1.0 in its three modes (HTTP protocol binding §3), lines of
 * NDJSON, or the body as one event.
 */
import { cloudevents } from "@kedge/verify/events/formats/cloudevents";
import { formatOf } from "@kedge/verify/events/formats/formats";
import { lookAtJson } from "@kedge/verify/events/formats/json";
import type { Steps } from "@kedge/verify/events/formats/xml";
import { mediaTypeOf, parseSentMediaType } from "@kedge/verify/events/media";
import { concatBytes, encodeBase64 } from "@kedge/verify/tlog/bytes";
import { utf8ToBytes } from "@noble/hashes/utils.js";
import { Refusal } from "./fhir-answers.ts";

export type PostedEvent = { bytes: Uint8Array; mediaType: string };

/** Of a Bundle, or a body of several events. */
export const MAX_EVENTS = 10_000;
/** Octets that are read before other senders have their turn. */
const TURN = 1 << 17;

const CLOUD_EVENT = "application/cloudevents+json";
const CLOUD_EVENTS = "application/cloudevents-batch+json";
const LINES: ReadonlySet<string> = new Set([
  "application/x-ndjson",
  "application/ndjson",
  "application/jsonl",
  "application/fhir+ndjson", // FHIR Bulk Data Access
]);
const OTHERS_CLOUD_EVENTS = /^application\/cloudevents/;

/** @throws Refusal `unsupported_media_type`, `invalid`; EventError for what is not as its media type says */
export function postedEvents(headers: Headers, bytes: Uint8Array): Steps<PostedEvent[]> {
  const mediaType = mediaTypeOfRequest(headers);
  if (mediaType === CLOUD_EVENTS) return checked(cloudevents.split?.(bytes) ?? []);
  if (mediaType !== CLOUD_EVENT && OTHERS_CLOUD_EVENTS.test(mediaType)) {
    throw new Refusal("unsupported_media_type", `Send CloudEvents as ${CLOUD_EVENT} or ${CLOUD_EVENTS}.`);
  }
  if (headers.has("ce-specversion")) return checked([structured(headers, mediaType, bytes)]);
  if (LINES.has(mediaType)) return checked(linesOf(bytes));
  return checked([{ bytes, mediaType }]);
}

function* checked(events: PostedEvent[]): Steps<PostedEvent[]> {
  checkNumber(events.length);
  let octets = 0;
  for (const { bytes, mediaType } of events) {
    formatOf(bytes, mediaType).read(bytes);
    octets += bytes.length;
    if (octets < TURN) continue;
    octets = 0;
    yield;
  }
  return events;
}

/** @throws Refusal `too_large` */
export function checkNumber(count: number): void {
  if (count > MAX_EVENTS)
    throw new Refusal("too_large", `At most ${MAX_EVENTS} events are taken at a time: send less.`);
}

/** Without parameters; octets where none is named. @throws Refusal `unsupported_media_type` */
export function mediaTypeOfRequest(headers: Headers): string {
  const [type = ""] = (headers.get("content-type") ?? "application/octet-stream").split(";");
  try {
    return parseSentMediaType(type.trim().toLowerCase());
  } catch (cause) {
    throw new Refusal(
      "unsupported_media_type",
      "The Content-Type is no media type, or one of Kedge's own, application/vnd.kedge.*.",
      { cause },
    );
  }
}

/** A line is an event without its line end; blank lines are none (NDJSON §3.1). Of too many there is one more than enough. */
function linesOf(bytes: Uint8Array): PostedEvent[] {
  const events: PostedEvent[] = [];
  for (let start = 0; start < bytes.length && events.length <= MAX_EVENTS; ) {
    const at = bytes.indexOf(LF, start);
    const end = at === -1 ? bytes.length : at;
    const line = bytes.subarray(start, bytes[end - 1] === CR && end > start ? end - 1 : end);
    if (line.some((byte) => byte !== SPACE && byte !== TAB)) {
      events.push({ bytes: line, mediaType: mediaTypeOf("line.json", line) });
    }
    start = end + 1;
  }
  return events;
}

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const TAB = 0x09;

/**
 * A CloudEvent in binary mode has its attributes in headers, which a hash of the body alone would not cover. So it is
 * written in the JSON format: specversion, the attributes in the order of their names, then the body as it stands when it
 * is JSON, and in base64 when it is not.
 */
function structured(headers: Headers, mediaType: string, body: Uint8Array): PostedEvent {
  const attributes = [...headers]
    .filter(([name]) => /^ce-(?!data$|datacontenttype$)[a-z0-9]+$/.test(name))
    .map(([name, value]): [string, string] => [name.slice(3), percentDecoded(value)]);
  if (headers.has("content-type")) attributes.push(["datacontenttype", headers.get("content-type") ?? ""]);
  const version = attributes.find(([name]) => name === "specversion");
  const others = attributes.filter(([name]) => name !== "specversion");
  const sorted = [
    ...(version === undefined ? [] : [version]),
    ...others.toSorted(([a], [b]) => (a < b ? -1 : 1)),
  ];
  const head = sorted.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(",");
  const isJson = mediaType === "application/json" || mediaType.endsWith("+json");
  if (body.length === 0) return { bytes: utf8ToBytes(`{${head}}`), mediaType: CLOUD_EVENT };
  if (!isJson) {
    const text = `{${head},"data_base64":${JSON.stringify(encodeBase64(body))}}`;
    return { bytes: utf8ToBytes(text), mediaType: CLOUD_EVENT };
  }
  // By itself: what is no value could be spliced in as more than one.
  lookAtJson(body);
  const bytes = concatBytes(utf8ToBytes(`{${head},"data":`), body, utf8ToBytes("}"));
  return { bytes, mediaType: CLOUD_EVENT };
}

/** HTTP protocol binding §3.1.3.2. */
function percentDecoded(value: string): string {
  try {
    return decodeURIComponent(value.replace(/%(?![0-9a-f]{2})/gi, "%25"));
  } catch (cause) {
    throw new Refusal("invalid", "An attribute of the CloudEvent is not UTF-8.", { cause });
  }
}
