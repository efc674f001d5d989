/** Where `kedge monitor` reports to, besides the terminal. */
import { ClientError } from "../error.ts";
import { reasonOf, withRetries, withTimeout } from "../net/exchange.ts";
import { checkUrl, codeOf } from "../net/http.ts";
import { jsonLine } from "./output.ts";

const ATTEMPTS = 3;
const TIMEOUT_MS = 10_000;

/** POSTs a value as JSON. What is answered is not read. Throws ClientError unless a 2xx comes. */
export async function post(address: string, value: unknown): Promise<void> {
  const url = checkUrl(address);
  const body = jsonLine(value);
  await withRetries({ attempts: ATTEMPTS }, true, () => attempt(url, body));
}

async function attempt(url: URL, body: string): Promise<void> {
  let status: number;
  try {
    status = await withTimeout(TIMEOUT_MS, async (signal) => {
      const headers = { "Content-Type": "application/json" };
      const response = await fetch(url, { method: "POST", headers, body, redirect: "manual", signal });
      await response.body?.cancel();
      return response.status;
    });
    if (status >= 200 && status < 300) return;
  } catch (cause) {
    throw new ClientError("network", `Cannot reach ${url.origin} (${reasonOf(cause)})`, { cause });
  }
  // The path of a webhook is often its secret.
  throw new ClientError(codeOf(status), `${url.origin} answers ${status}`);
}
