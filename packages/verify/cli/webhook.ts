/** Where `kedge monitor` reports to, besides the terminal. */
import { ClientError } from "../error.ts";
import { withRetries } from "../net/exchange.ts";
import { exchange } from "../net/fetch.ts";
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
  const init = { method: "POST", headers: { "Content-Type": "application/json" }, body };
  const { ok, status } = await exchange(url, init, { timeout: TIMEOUT_MS }, async (answer) => {
    await answer.body?.cancel();
    return answer;
  });
  // The path of a webhook is often its secret.
  if (!ok) throw new ClientError(codeOf(status), `${url.origin} answers ${status}`);
}
