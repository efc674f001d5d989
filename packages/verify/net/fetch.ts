/** The one place where requests are made: through the proxy that the environment names, and within a time that holds. */
import { ClientError } from "../error.ts";
import { withTimeout } from "./exchange.ts";

/** As of `fetch`. */
type Init = { method?: string; headers?: Record<string, string>; body?: string };

/** `timeout` in ms, for the whole answer. `signal` ends it with its reason. */
type Limits = { timeout: number; signal?: AbortSignal | undefined };

/** What is used of the answer that a fetch gives, whichever it is. */
export type Answer = {
  readonly ok: boolean;
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  readonly body: (AsyncIterable<Uint8Array> & { cancel(): Promise<void> }) | null;
};

/**
 * What `read` makes of the answer. No redirect is followed: it would carry the request, and what it holds, elsewhere.
 * Throws ClientError `network` when no whole answer comes in time, what `read` throws, and the reason of `signal`.
 */
export async function exchange<T>(
  url: URL,
  init: Init,
  { timeout, signal }: Limits,
  read: (answer: Answer) => Promise<T>,
): Promise<T> {
  const proxy = proxyVariable(url);
  const ask = async (ending: AbortSignal): Promise<T> => {
    const request = { ...init, redirect: "manual", signal: ending } as const;
    return await read(proxy === undefined ? await fetch(url, request) : await fetchByProxy(url, request));
  };
  try {
    return await withTimeout(timeout, ask, signal);
  } catch (cause) {
    signal?.throwIfAborted();
    if (cause instanceof ClientError) throw cause;
    const reason = reasonOf(cause);
    const advice = proxy === undefined ? "the network" : `the network, for which ${proxy} names a proxy`;
    throw new ClientError("network", `Cannot reach ${url.origin} (${reason}): check the URL and ${advice}`, {
      cause,
    });
  }
}

/** The variables that name a proxy for https, in the order in which they count. */
const PROXY_VARIABLES = ["https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"] as const;

/** Which of them names one for this URL; NO_PROXY is looked at later. This machine is never behind a proxy. */
function proxyVariable(url: URL): string | undefined {
  return isLoopback(url) ? undefined : PROXY_VARIABLES.find((name) => (process.env[name] ?? "") !== "");
}

/** Loaded once there is a proxy: undici's own fetch, for a dispatcher belongs to the fetch that it came with. */
async function fetchByProxy(
  url: URL,
  init: Init & { redirect: "manual"; signal: AbortSignal },
): Promise<Answer> {
  const undici = await import("undici");
  agent ??= new undici.EnvHttpProxyAgent();
  return await undici.fetch(url, { ...init, dispatcher: agent });
}

/** One for all requests, so that connections are used again. */
let agent: import("undici").EnvHttpProxyAgent | undefined;

export function isLoopback({ hostname }: URL): boolean {
  return /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
}

/** fetch reports `fetch failed`, and the reason as its cause. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown reason";
  const code = error.cause instanceof Error && "code" in error.cause ? error.cause.code : undefined;
  return typeof code === "string" ? code : error.message;
}
