import { EventError } from "./error.ts";

/**
 * A media type as it stands in a commitment: `type/subtype` in lower case, without parameters, so that one format has
 * one name. The names are restricted as in RFC 6838 §4.2; whether it is registered does not matter.
 *
 * Throws EventError `unknown_media_type`.
 */
export function parseMediaType(name: unknown): string {
  if (typeof name === "string" && MEDIA_TYPE.test(name)) return name;
  throw new EventError(
    "unknown_media_type",
    "Not a media type: use lower-case type/subtype without parameters, such as application/fhir+json.",
  );
}

/**
 * Of what others send: as `parseMediaType`, and none of Kedge's own, which say that an agent or a command made the event: a
 * gap, a manifest, the record of a key that was destroyed.
 */
export function parseSentMediaType(name: unknown): string {
  const mediaType = parseMediaType(name);
  if (!mediaType.startsWith(OWN)) return mediaType;
  throw new EventError(
    "unknown_media_type",
    `A media type that begins with ${OWN} is Kedge's own: take that of the format.`,
  );
}

const OWN = "application/vnd.kedge.";

const MEDIA_TYPE = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$/;

/**
 * The best guess from a file's name, and from its first bytes where a name stands for several formats: a JSON object
 * with a top-level `resourceType` is FHIR, and so is XML whose first element declares FHIR's namespace.
 */
export function mediaTypeOf(fileName: string, firstBytes: Uint8Array): string {
  const extension = /\.([^.]*)$/.exec(fileName)?.[1]?.toLowerCase();
  switch (extension) {
    case "json":
      return hasTopLevelMember(firstBytes, "resourceType") ? "application/fhir+json" : "application/json";
    case "xml":
      return isFhirXml(firstBytes) ? "application/fhir+xml" : "application/xml";
    case "jsonld":
      return "application/ld+json"; // GS1 EPCIS 2.0
    case "txt":
    case "log":
      return "text/plain";
    default:
      return "application/octet-stream";
  }
}

/** Looks for a member of the outermost object in JSON that may be cut off anywhere. */
function hasTopLevelMember(bytes: Uint8Array, name: string): boolean {
  const text = new TextDecoder().decode(bytes);
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === "{" || character === "[") depth++;
    if (character === "}" || character === "]") depth--;
    if (character !== '"') continue;
    const start = at + 1;
    for (at = start; at < text.length && text[at] !== '"'; at++) if (text[at] === "\\") at++;
    if (depth === 1 && text.slice(start, at) === name && /^\s*:/.test(text.slice(at + 1, at + 64)))
      return true;
  }
  return false;
}

function isFhirXml(bytes: Uint8Array): boolean {
  const text = new TextDecoder().decode(bytes.subarray(0, 4096));
  const firstElement = /<[A-Za-z_][^<>]*>/.exec(text)?.[0] ?? "";
  return /\sxmlns\s*=\s*["']http:\/\/hl7\.org\/fhir["']/.test(firstElement);
}
