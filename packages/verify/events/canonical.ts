import serialiseJcs from "canonicalize";
import { EventError } from "./error.ts";
import { readJson } from "./json.ts";

/**
 * How an event's bytes are brought to the one form that is committed to.
 *
 * - `raw`: the bytes as they are. The default: nothing can be lost.
 * - `jcs`: RFC 8785, for JSON that systems re-serialise on its way to whoever checks it. It covers the values, and not how
 *   they are written: `1.10` and `1.1` are one number, so the precision of a FHIR decimal is not covered.
 */
export type Canonicalisation = "raw" | "jcs";

/** Throws EventError `unknown_canonicalisation`. */
export function parseCanonicalisation(name: unknown): Canonicalisation {
  if (name === "raw" || name === "jcs") return name;
  throw new EventError(
    "unknown_canonicalisation",
    "Unknown canonicalisation: use raw or jcs. An opening that names another needs a newer Kedge.",
  );
}

/**
 * The bytes that are committed to. With `jcs`, JSON of equal meaning gives equal bytes, in UTF-8, and JSON that RFC 8785
 * would turn into another is refused: EventError `malformed_json` or `not_canonicalisable`, with the offset in bytes.
 */
export function canonicalise(canonicalisation: Canonicalisation, bytes: Uint8Array): Uint8Array {
  switch (parseCanonicalisation(canonicalisation)) {
    case "raw":
      return bytes;
    case "jcs":
      return new TextEncoder().encode(serialiseJcs(readJson(bytes)));
  }
}
