/**
 * Why an event could not be committed to, or an opening not be checked. The set is closed.
 *
 * - `malformed_json`: the bytes are not JSON (RFC 8259).
 * - `not_canonicalisable`: canonicalising would silently change or drop part of what the bytes say.
 * - `unknown_media_type`: not a media type name (RFC 6838 §4.2).
 * - `unknown_canonicalisation`: a canonicalisation that this version does not have.
 * - `malformed_opening`: not an opening of the form `kedge/v1`.
 * - `malformed_field`: a source or sequence that cannot stand in a commitment.
 * - `malformed_event`: not what its format is; the message has line, column and reason.
 * - `malformed_key`: a tenant key or nonce of the wrong form.
 */
export type EventErrorCode =
  | "malformed_json"
  | "not_canonicalisable"
  | "unknown_media_type"
  | "unknown_canonicalisation"
  | "malformed_opening"
  | "malformed_field"
  | "malformed_event"
  | "malformed_key";

/** The one error of `events/`. A message never quotes an event, an opening or a key: those hold PHI or secrets. */
export class EventError extends Error {
  readonly code: EventErrorCode;

  constructor(code: EventErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "EventError";
    this.code = code;
  }
}
