/**
 * Why a request did not succeed. The set is closed.
 *
 * - `network`: no whole answer came: no connection, a time-out, or an answer cut short
 * - `unauthorized`: the API key is missing, unknown, expired or revoked
 * - `forbidden`: the API key lacks the scope
 * - `not_found`: no such thing, or not for this key
 * - `pending`: accepted, not yet in a tree
 * - `invalid`: the request was refused as it is; sending it again will not help
 * - `throttled`: too many requests
 * - `server`: the service failed or is unavailable
 * - `protocol`: the answer is not what the API promises
 */
export type ClientErrorCode =
  | "network"
  | "unauthorized"
  | "forbidden"
  | "not_found"
  | "pending"
  | "invalid"
  | "throttled"
  | "server"
  | "protocol";

/** The only error that the HTTP client throws. The message never holds a key. */
export class ClientError extends Error {
  readonly code: ClientErrorCode;
  /** What the service asked to wait before the next attempt, in ms. */
  readonly retryAfter: number | undefined;

  constructor(code: ClientErrorCode, message: string, options?: { cause?: unknown; retryAfter?: number }) {
    super(message, options);
    this.name = "ClientError";
    this.code = code;
    this.retryAfter = options?.retryAfter;
  }
}

/**
 * Why a timestamp was refused. The set is closed.
 *
 * - `malformed`: the bytes are not in the format of their specification
 * - `unsupported`: well-formed, but an algorithm or extension that is not accepted here
 * - `rejected`: the authority did not grant the request
 * - `wrong_imprint`: it is over other bytes
 * - `wrong_nonce`: it is not the answer to this request
 * - `bad_signature`: it is not as its signer signed it
 * - `untrusted`: its signer does not lead to a certificate, or a block, that was pinned
 * - `wrong_purpose`: its signer's certificate is not for timestamping
 * - `expired`: a certificate was not valid at the time that it states
 * - `incomplete`: it is a promise so far, and shows no time yet
 */
export type TimestampErrorCode =
  | "malformed"
  | "unsupported"
  | "rejected"
  | "wrong_imprint"
  | "wrong_nonce"
  | "bad_signature"
  | "untrusted"
  | "wrong_purpose"
  | "expired"
  | "incomplete";

/** The only error that reading and verifying a timestamp throws. */
export class TimestampError extends Error {
  readonly code: TimestampErrorCode;

  constructor(code: TimestampErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "TimestampError";
    this.code = code;
  }
}
