/** What requests over HTTP share, whoever makes them: time-outs, bounded bodies, retries, and the pause that a server asks for. */
import { ClientError } from "../error.ts";
import { joinBytes } from "../tlog/bytes.ts";

const DEFAULT_ATTEMPTS = 6;
const FIRST_DELAY = 250;
const MAX_DELAY = 20_000;
/** A server that asks for a longer pause is not waited for. */
const MAX_RETRY_AFTER = 120_000;
/** Nor are pauses that end later than this after the first time. */
const MAX_PATIENCE = 300_000;

/** How long a call is tried. Without any of it, six times. */
export type Retries = {
  /** How often, the first time included. */
  attempts?: number;
  /** In place of `attempts`: until this long after the first time, in ms. */
  patience?: number;
  /** Is told of a pause, in ms, before it is made. */
  onPause?: (pause: number, why: ClientError) => void;
  /** Ends a pause, and so the call, with its reason. */
  signal?: AbortSignal;
};

/** What is given to a fetch, whichever it is. */
export type Sent = {
  method?: string;
  headers?: Record<string, string>;
  body?: string | Uint8Array<ArrayBuffer>;
  redirect: "manual";
  signal: AbortSignal;
};

/** What is used of the answer. */
export type Answer = {
  readonly ok: boolean;
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  readonly body: (AsyncIterable<Uint8Array> & { cancel(): Promise<void> }) | null;
};

/** A fetch through the proxy that a variable of the environment names. */
export type NamedProxy = { readonly variable: string; fetch(url: URL, init: Sent): Promise<Answer> };

/** Why `withTimeout` ended a call. */
export class Late extends Error {
  constructor() {
    super("no whole answer in time");
    this.name = "Late";
  }
}

/**
 * Runs a call, its body included, that ends after `ms` with Late, or with `outer` and its reason, whatever the call does.
 *
 * By a timer, for Node 20 may collect what AbortSignal.any makes of AbortSignal.timeout before its time has come; and by
 * a race, for fetch may lose its signal in the same way once there are headers.
 */
export async function withTimeout<T>(
  ms: number,
  run: (signal: AbortSignal) => Promise<T>,
  outer?: AbortSignal,
): Promise<T> {
  outer?.throwIfAborted();
  const controller = new AbortController();
  const { signal } = controller;
  const ended = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  const stop = () => controller.abort(outer?.reason);
  outer?.addEventListener("abort", stop, { once: true });
  const timer = setTimeout(() => controller.abort(new Late()), ms);
  try {
    return await Promise.race([run(signal), ended]);
  } finally {
    clearTimeout(timer);
    outer?.removeEventListener("abort", stop);
  }
}

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
  return joinBytes(parts);
}

/**
 * Runs a call until it succeeds, fails for good, or has been tried as often or as long as it may: with exponential
 * backoff and full jitter, or the pause that the service asked for.
 * @param idempotent whether to send it again when it is not known if the first one arrived
 */
export async function withRetries<T>(
  { attempts, patience, onPause, signal }: Retries,
  idempotent: boolean,
  call: () => Promise<T>,
): Promise<T> {
  const most = attempts ?? (patience === undefined ? DEFAULT_ATTEMPTS : Number.POSITIVE_INFINITY);
  const longest = patience ?? MAX_RETRY_AFTER;
  const deadline = performance.now() + (patience ?? MAX_PATIENCE);
  for (let attempt = 1; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof ClientError) || attempt >= most || !isTransient(error, idempotent)) throw error;
      const backoff = Math.random() * Math.min(MAX_DELAY, FIRST_DELAY * 2 ** attempt);
      // Who is patient does not hammer a server that asks for no pause, again and again.
      const pause =
        patience === undefined ? (error.retryAfter ?? backoff) : Math.max(error.retryAfter ?? 0, backoff);
      if (pause > longest || performance.now() + pause > deadline) throw error;
      onPause?.(pause, error);
      await pauseFor(pause, signal);
    }
  }
}

/** Throws the reason of the signal, also of one that was aborted before. */
export async function pauseFor(ms: number, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  await new Promise<void>((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end);
  });
  signal?.throwIfAborted();
}

/** A throttled request was not carried out, so anything throttled may be sent again. */
function isTransient({ code }: ClientError, idempotent: boolean): boolean {
  return code === "throttled" || (idempotent && (code === "network" || code === "server"));
}

/**
 * The pause of a Retry-After header (RFC 9110 §10.2.3: seconds or a date), in ms; undefined when it has none.
 * @param date of the answer, by the clock that a date is by: ours may be wrong.
 */
export function retryAfterMs(header: string | null, date: string | null = null): number | undefined {
  if (header === null) return undefined;
  const answeredAt = Date.parse(date ?? "");
  const now = Number.isNaN(answeredAt) ? Date.now() : answeredAt;
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now;
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}
