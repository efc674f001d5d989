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

/** The only error that the client throws. The message never holds a key. */
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
