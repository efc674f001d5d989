import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { concatBytes, hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { decodeBase64, encodeBase64 } from "../tlog/bytes.ts";
import { type Canonicalisation, canonicalise, parseCanonicalisation } from "./canonical.ts";
import { EventError } from "./error.ts";
import { parseMediaType } from "./media.ts";

/** A commitment, which is the entry of a tenant log: its length, and how it is written. */
export const COMMITMENT_BYTES = 32;
export const COMMITMENT_HEX = /^[0-9a-f]{64}$/;

/** Length of a tenant key, from which nonces are derived. */
export const TENANT_KEY_BYTES = 32;

const VERSION = "kedge/v1";
const NONCE_BYTES = 32;
const MAX_SEQUENCE = 2n ** 63n - 1n;

/** An event as its forwarding agent holds it. */
export type EventInput = {
  /** The event itself, as it was emitted. */
  bytes: Uint8Array;
  mediaType: string;
  /** `raw` when absent. */
  canonicalisation?: Canonicalisation;
  /** The system that emitted the event. Not empty, no NUL. */
  source?: string;
  /** The event's number among those of its source, 0 to 2^63 - 1: an auditor sees a gap. */
  sequence?: bigint;
};

/**
 * What the tenant keeps per event to prove which event a commitment stands for. JSON, and a secret until disclosed:
 * whoever has it can test guesses of the event.
 */
export type Opening = {
  v: typeof VERSION;
  canonicalisation: Canonicalisation;
  mediaType: string;
  source?: string;
  /** Decimal, without leading zeroes. */
  sequence?: string;
  /** Base64 of 32 bytes. */
  nonce: string;
};

/** SHA-256 and its HMAC (RFC 2104), of whichever library is at hand. */
export type Hashes = {
  sha256(bytes: Uint8Array): Uint8Array;
  hmac(key: Uint8Array, bytes: Uint8Array): Uint8Array;
};
/** Runs anywhere, a browser included. */
const PORTABLE: Hashes = { sha256, hmac: (key, bytes) => hmac(sha256, key, bytes) };

/**
 * Commits to an event: HMAC-SHA256 under a nonce of its own, so the 32 bytes say nothing to who lacks the opening.
 *
 * With a tenant key (32 bytes) the nonce is derived from it and the event: committing again gives the same commitment,
 * and nothing but the key need be stored. Events that differ in nothing, source and sequence included, share one
 * commitment. With a nonce (32 random bytes, never used twice) the opening must be stored.
 *
 * Throws EventError `malformed_field`, `malformed_key`, `unknown_media_type`, `unknown_canonicalisation`, and with `jcs`
 * `malformed_json` and `not_canonicalisable`.
 */
export function commitEvent(
  event: EventInput,
  secret: { tenantKey: Uint8Array } | { nonce: Uint8Array },
  hashes: Hashes = PORTABLE,
): { commitment: Uint8Array; opening: Opening } {
  const fields = fieldsOf(event);
  const message = messageOf(fields, event.bytes);
  const nonce =
    "nonce" in secret
      ? checkLength(secret.nonce, NONCE_BYTES, "nonce")
      : deriveNonce(checkLength(secret.tenantKey, TENANT_KEY_BYTES, "tenant key"), message, hashes);
  return {
    commitment: hashes.hmac(nonce, message),
    opening: { v: VERSION, ...fields, nonce: encodeBase64(nonce) },
  };
}

/**
 * Reads the JSON value of an opening; unknown members are refused.
 *
 * Throws EventError `malformed_opening`, and of its fields `malformed_field`, `unknown_media_type` and
 * `unknown_canonicalisation`.
 */
export function parseOpening(value: unknown): Opening {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw malformedOpening("it is not a JSON object");
  }
  const { v, canonicalisation, mediaType, source, sequence, nonce, ...others } = Object.fromEntries<unknown>(
    Object.entries(value),
  );
  if (v !== VERSION) throw malformedOpening(`its v is not ${VERSION}; another needs another Kedge`);
  if (Object.keys(others).length > 0) throw malformedOpening("it has unknown members");
  if (typeof nonce !== "string" || !NONCE.test(nonce)) {
    throw malformedOpening(`its nonce is not the base64 of ${NONCE_BYTES} bytes`);
  }
  return {
    v: VERSION,
    canonicalisation: parseCanonicalisation(canonicalisation),
    mediaType: parseMediaType(mediaType),
    ...(source === undefined ? {} : { source: parseSource(source) }),
    ...(sequence === undefined ? {} : { sequence: parseSequence(sequence) }),
    nonce,
  };
}

/**
 * The commitment (32 bytes) that an opening and an event's bytes stand for.
 *
 * Throws EventError as `parseOpening`, and with `jcs` `malformed_json` and `not_canonicalisable`.
 */
export function openCommitment(opening: Opening, bytes: Uint8Array): Uint8Array {
  const { v: _, nonce, ...fields } = parseOpening(opening);
  return hmac(sha256, decodeBase64(nonce, "The nonce"), messageOf(fields, bytes));
}

/** A tenant key as `credentials.json` holds it: 64 lower-case hex digits. Throws EventError `malformed_key`. */
export function parseTenantKey(text: string): Uint8Array {
  if (/^[0-9a-f]{64}$/.test(text)) return hexToBytes(text);
  throw new EventError(
    "malformed_key",
    `A tenant key is ${TENANT_KEY_BYTES} bytes as ${2 * TENANT_KEY_BYTES} lower-case hex digits: check the credentials.`,
  );
}

/** What stands before the event's bytes in the message, checked. */
type Fields = Omit<Opening, "v" | "nonce">;

function fieldsOf({ canonicalisation = "raw", mediaType, source, sequence }: EventInput): Fields {
  return {
    canonicalisation: parseCanonicalisation(canonicalisation),
    mediaType: parseMediaType(mediaType),
    ...(source === undefined ? {} : { source: parseSource(source) }),
    ...(sequence === undefined ? {} : { sequence: parseSequence(sequence.toString()) }),
  };
}

/** No field holds a NUL and the bytes come last, so no two events have the same message. */
function messageOf({ canonicalisation, mediaType, source, sequence }: Fields, bytes: Uint8Array): Uint8Array {
  const head = [VERSION, canonicalisation, mediaType, source ?? "", sequence ?? "", ""].join("\0");
  return concatBytes(utf8ToBytes(head), canonicalise(canonicalisation, bytes));
}

function deriveNonce(tenantKey: Uint8Array, message: Uint8Array, hashes: Hashes): Uint8Array {
  return hashes.hmac(tenantKey, concatBytes(utf8ToBytes(`${VERSION} nonce\0`), hashes.sha256(message)));
}

/**
 * A source as it may stand in a commitment. Empty is how an absent one is encoded, and UTF-8 has no lone surrogates: two of
 * them would become one. Throws EventError `malformed_field`.
 */
export function parseSource(source: unknown): string {
  if (typeof source === "string" && source !== "" && !/[\0\p{Surrogate}]/u.test(source)) return source;
  throw new EventError(
    "malformed_field",
    "A source is a name that is not empty and has neither NUL nor lone surrogates: rename it, or leave it out.",
  );
}

function parseSequence(sequence: unknown): string {
  const isDecimal = typeof sequence === "string" && /^(0|[1-9][0-9]{0,18})$/.test(sequence);
  if (isDecimal && BigInt(sequence) <= MAX_SEQUENCE) return sequence;
  throw new EventError(
    "malformed_field",
    "A sequence is a decimal from 0 to 2^63 - 1 without leading zeroes: number the events of a source 1, 2, 3, …",
  );
}

/** The one base64 spelling of 32 bytes: 43 digits, the last of which carries four bits, and one pad. */
const NONCE = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/;

function checkLength(key: Uint8Array, length: number, name: string): Uint8Array {
  if (key.length === length) return key;
  throw new EventError(
    "malformed_key",
    `A ${name} is ${length} bytes, not ${key.length}: check where it comes from.`,
  );
}

function malformedOpening(what: string): EventError {
  return new EventError(
    "malformed_opening",
    `The opening cannot be read: ${what}. Use the file as it was when the event was committed.`,
  );
}
