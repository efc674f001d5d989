/** The proxy that the environment names for a URL, in Node.js. */
import type { Answer, NamedProxy, Sent } from "./exchange.ts";

/** The variables that name a proxy for https, in the order in which they count. NO_PROXY is looked at later. */
const VARIABLES = ["https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"] as const;

export function proxyFor(): NamedProxy | undefined {
  const variable = VARIABLES.find((name) => (process.env[name] ?? "") !== "");
  return variable === undefined ? undefined : { variable, fetch: fetchByProxy };
}

/** Loaded once there is a proxy: undici's own fetch, for a dispatcher belongs to the fetch that it came with. */
async function fetchByProxy(url: URL, init: Sent): Promise<Answer> {
  const undici = await import("undici");
  agent ??= new undici.EnvHttpProxyAgent();
  return await undici.fetch(url, { ...init, dispatcher: agent });
}

/** One for all requests, so that connections are used again. */
let agent: import("undici").EnvHttpProxyAgent | undefined;
