/** The one place where requests are made: through the proxy that the environment names, and within a time that holds. */
// What a browser has in its place is in package.json.
import { proxyFor } from "#proxy";
import { ClientError } from "../error.ts";
import { type Answer, type Sent, withTimeout } from "./exchange.ts";

/** `timeout` in ms, for the whole answer. `signal` ends it with its reason. */
type Limits = { timeout: number; signal?: AbortSignal | undefined };

/**
 * What `read` makes of the answer. No redirect is followed: it would carry the request, and what it holds, elsewhere.
 * Throws ClientError `network` when no whole answer comes in time, what `read` throws, and the reason of `signal`.
 */
export async function exchange<T>(
  url: URL,
  init: Omit<Sent, "redirect" | "signal">,
  { timeout, signal }: Limits,
  read: (answer: Answer) => Promise<T>,
): Promise<T> {
  const proxy = isLoopback(url) ? undefined : proxyFor();
  const ask = async (ending: AbortSignal): Promise<T> => {
    const request: Sent = { ...init, redirect: "manual", signal: ending };
    return await read(
      proxy === undefined ? await fetchDirectly(url, request) : await proxy.fetch(url, request),
    );
  };
  try {
    return await withTimeout(timeout, ask, signal);
  } catch (cause) {
    signal?.throwIfAborted();
    if (cause instanceof ClientError) throw cause;
    const reason = reasonOf(cause);
    const advice =
      proxy === undefined ? "the network" : `the network, for which ${proxy.variable} names a proxy`;
    throw new ClientError("network", `Cannot reach ${url.origin} (${reason}): check the URL and ${advice}`, {
      cause,
    });
  }
}

async function fetchDirectly(url: URL, sent: Sent): Promise<Answer> {
  const { ok, status, headers, body } = await fetch(url, sent);
  const parts = body && Object.assign(partsOf(body), { cancel: () => body.cancel() });
  return { ok, status, headers, body: parts };
}

/** By its reader: not every browser's streams can be iterated over. */
async function* partsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
  } finally {
    await reader.cancel();
  }
}

/** This machine is never behind a proxy. */
export function isLoopback({ hostname }: URL): boolean {
  return /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
}

/** fetch reports `fetch failed`, and the reason as its cause. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown reason";
  const code = error.cause instanceof Error && "code" in error.cause ? error.cause.code : undefined;
  return typeof code === "string" ? code : error.message;
}
