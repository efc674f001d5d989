/** Requests that go on to an upstream over HTTP as they came: how they lie in the queue, and how they are sent. */

import { exchange } from "@kedge/verify/net/fetch";
import { concatBytes } from "@kedge/verify/tlog/bytes";
import { utf8ToBytes } from "@noble/hashes/utils.js";
import * as z from "zod";
import type { Send } from "./forward.ts";
import { secretOf, urlSchema } from "./http-client.ts";
import type { Host } from "./source.ts";

export const upstreamSchema = z.strictObject({
  /** What the paths of the requests are added to. */
  url: urlSchema,
  /** A file with what is sent as `Authorization: Bearer …`; the sender's own does not go on. */
  tokenFile: z.string().optional(),
});

/** Of the sender's headers those that say what the body is, or what is to be done with it. */
const KEPT =
  /^(accept|content-encoding|content-type|idempotency-key|if-none-exist|prefer|traceparent|tracestate|ce-.+)$/;
const packed = z.strictObject({
  method: z.string(),
  path: z.string(),
  headers: z.array(z.tuple([z.string(), z.string()])),
});
const LF = 0x0a;

/** A line of JSON, and the body as it was sent. `base` is what our own paths begin with, and the upstream's do not. */
export function packRequest(request: Request, base: string, sent: Uint8Array): Uint8Array {
  const { pathname, search } = new URL(request.url);
  const headers = [...request.headers].filter(([name]) => KEPT.test(name));
  const head: z.output<typeof packed> = {
    method: request.method,
    path: pathname.slice(base.length) + search,
    headers,
  };
  return concatBytes(utf8ToBytes(`${JSON.stringify(head)}\n`), sent);
}

/** What an upstream says no to for good: to send it again would stop all that comes after it. */
const REFUSED: ReadonlySet<number> = new Set([400, 409, 410, 412, 413, 415, 422]);
const TIMEOUT = 60_000;

/** Sends one after another: an upstream has them in the order in which they came. */
export function sendRequests(
  { url, tokenFile }: z.output<typeof upstreamSchema>,
  { count, trouble }: Pick<Host, "count" | "trouble">,
): Send {
  const base = url.replace(/\/+$/, "");
  return async (messages, signal) => {
    let sent = 0;
    try {
      for (const message of messages) {
        const status = await post(base, tokenFile, message, signal);
        if (REFUSED.has(status)) {
          count("refusedByUpstream");
          trouble(
            "upstream refuses",
            `It answered ${status} to an event: that is in the journal, and not there`,
          );
        } else if (status < 200 || status > 299) {
          throw new Error(`The upstream answered ${status}`);
        } else {
          trouble("upstream refuses", undefined);
        }
        sent++;
      }
    } catch (cause) {
      if (sent === 0) throw cause;
    }
    return sent;
  };
}

async function post(
  base: string,
  tokenFile: string | undefined,
  message: Uint8Array,
  signal: AbortSignal,
): Promise<number> {
  const end = message.indexOf(LF);
  const head = packed.parse(JSON.parse(new TextDecoder().decode(message.subarray(0, end))));
  const { method, path } = head;
  const headers = Object.fromEntries(head.headers);
  if (tokenFile !== undefined) headers["authorization"] = `Bearer ${secretOf(tokenFile)}`;
  const body = new Uint8Array(message.subarray(end + 1));
  const limits = { timeout: TIMEOUT, signal };
  return exchange(new URL(`${base}${path}`), { method, headers, body }, limits, async (answer) => {
    await answer.body?.cancel();
    return answer.status;
  });
}
