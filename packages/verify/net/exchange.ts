/** What requests over HTTP share, whoever makes them: bounded bodies, retries, and the pause that a server asks for. */
import { ClientError } from "../error.ts";

const DEFAULT_ATTEMPTS = 6;
const FIRST_DELAY = 250;
const MAX_DELAY = 20_000;
/** A server that asks for a longer pause is not waited for, nor are pauses that add up to more. */
const MAX_RETRY_AFTER = 120_000;
const MAX_PAUSES = 300_000;

/** How one call is repeated. */
export type Repeating = {
  /** How often to try, the first time included. */
  attempts?: number;
  /** Told of each pause before it begins: how long it is, in ms, and what failed. */
  onPause?: (ms: number, because: ClientError) => void;
};

/** A body of at most `limit` bytes; undefined when it is larger. To leave the loop cancels the rest of it. */
export async function readBounded(
  body: AsyncIterable<Uint8Array> | null,
  limit: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of body ?? []) {
    size += part.length;
    if (size > limit) return undefined;
    parts.push(part);
  }
  const whole = new Uint8Array(size);
  let offset = 0;
  // Not concatBytes(...parts): a hostile server sends more parts than a call can have arguments.
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/**
 * Runs a call until it succeeds, fails for good, or has been tried as often as it may, the first time included: with
 * exponential backoff and full jitter, or the pause that the service asked for.
 * @param idempotent whether to send it again when it is not known if the first one arrived
 */
export async function withRetries<T>(
  { attempts = DEFAULT_ATTEMPTS, onPause }: Repeating,
  idempotent: boolean,
  call: () => Promise<T>,
): Promise<T> {
  let paused = 0;
  for (let attempt = 1; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof ClientError) || attempt >= attempts || !isTransient(error, idempotent)) {
        throw error;
      }
      const pause = error.retryAfter ?? Math.random() * Math.min(MAX_DELAY, FIRST_DELAY * 2 ** attempt);
      paused += pause;
      if (pause > MAX_RETRY_AFTER || paused > MAX_PAUSES) throw error;
      onPause?.(pause, error);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}

/** A throttled request was not carried out, so anything throttled may be sent again. */
function isTransient({ code }: ClientError, idempotent: boolean): boolean {
  return code === "throttled" || (idempotent && (code === "network" || code === "server"));
}

/** The pause of a Retry-After header (RFC 9110 §10.2.3: seconds or a date), in ms; undefined when it has none. */
export function retryAfterMs(header: string | null): number | undefined {
  if (header === null) return undefined;
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}

/** fetch reports `fetch failed`, and the reason as its cause. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown reason";
  const code = error.cause instanceof Error && "code" in error.cause ? error.cause.code : undefined;
  return typeof code === "string" ? code : error.message;
}
