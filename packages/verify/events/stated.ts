/** The time that an event gives itself. It is the event's own word: no proof shows it. */

/** `at` as it is written, an RFC 3339 time or one without its offset; `member`: what it is called there. */
export type StatedTime = { at: string; member: string };

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?$/;
/** Members of the outermost object: FHIR AuditEvent and Provenance, CloudEvents, EPCIS, and what logs are wont to have. */
const MEMBERS = ["recorded", "time", "eventTime", "timestamp", "@timestamp"] as const;
/** FHIR, DICOM PS3.15 A.5.3, CDISC ODM. */
const XML = [
  ["recorded", /<recorded\s+value="([^"<>]{1,40})"/],
  ["EventDateTime", /\sEventDateTime="([^"<>]{1,40})"/],
  ["DateTimeStamp", /<DateTimeStamp>\s*([^<>\s]{1,40})\s*<\/DateTimeStamp>/],
] as const;
const MAX_JSON = 1 << 20;
const MAX_XML = 1 << 16;

/** Undefined when it gives none that is known here. Never throws. */
export function statedTime(event: Uint8Array): StatedTime | undefined {
  return event.length <= MAX_JSON ? (inJson(event) ?? inXml(event)) : inXml(event);
}

function inJson(event: Uint8Array): StatedTime | undefined {
  const text = new TextDecoder().decode(event);
  // A row is no JSON, and an error for each of 100,000 takes longer than to look.
  if (!/^\s*\{/.test(text)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const members = new Map<string, unknown>(Object.entries(value));
  for (const member of MEMBERS) {
    const at = members.get(member);
    if (typeof at === "string" && TIME.test(at)) return { at, member };
  }
  return undefined;
}

function inXml(event: Uint8Array): StatedTime | undefined {
  const text = new TextDecoder().decode(event.subarray(0, MAX_XML));
  if (!text.trimStart().startsWith("<")) return undefined;
  for (const [member, pattern] of XML) {
    const at = pattern.exec(text)?.[1];
    if (at !== undefined && TIME.test(at)) return { at, member };
  }
  return undefined;
}
