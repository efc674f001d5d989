/**
 * Every call has an end, whatever a server does, and whatever the garbage collector takes meanwhile: on Node 20 it takes
 * a signal that AbortSignal.any made of AbortSignal.timeout, and then the call waits for ever.
 */
import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { post } from "@kedge/verify/cli/webhook";
import { Late, readBounded, retryAfterMs, withTimeout } from "@kedge/verify/net/exchange";
import { openLogFiles } from "@kedge/verify/net/files";
import { request } from "@kedge/verify/net/http";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { calendar, esplora, tsa } from "../../../../service/authorities.ts";
import { httpExchange } from "../../../../service/witness-http.ts";

setFlagsFromString("--expose-gc");
const collectGarbage: unknown = runInNewContext("gc");
let collecting: NodeJS.Timeout;
let server: Server | undefined;
beforeEach(() => {
  if (typeof collectGarbage !== "function") throw new Error("no gc");
  collecting = setInterval(() => collectGarbage(), 5);
});
afterEach(async () => {
  clearInterval(collecting);
  server?.closeAllConnections();
  server?.close();
  if (server !== undefined) await once(server, "close");
  server = undefined;
});

async function serve(handler: RequestListener): Promise<string> {
  server = createServer(handler).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return `http://127.0.0.1:${address.port}`;
}

const silent: RequestListener = () => {};
const trickling: RequestListener = (_, response) => {
  const timer = setInterval(() => response.write("a"), 10);
  response.on("close", () => clearInterval(timer));
};
const MS = 150;
const never = new AbortController();
const message = new Uint8Array(32);

describe.each([
  ["accepts and never answers", silent],
  ["answers a byte at a time", trickling],
])("a server that %s is given up in time", (_, handler) => {
  test.each<[string, (url: string) => Promise<unknown>, RegExp]>([
    [
      "by who asks a witness",
      (url) => withTimeout(MS, (signal) => httpExchange({ url, body: "x", signal }), never.signal),
      /no whole answer in time/,
    ],
    [
      "by who reads a log's files",
      (url) => openLogFiles(url, { timeout: MS, attempts: 1 }).checkpoint(),
      /in time/,
    ],
    [
      "by the API's client",
      (url) =>
        request(
          { url, apiKey: "k", attempts: 1, timeout: MS },
          { method: "GET", path: "/", idempotent: false },
        ),
      /in time/,
    ],
    ["by who asks a timestamping authority", (url) => tsa(url, [], MS).stamp(message), /not in time/],
    ["by who asks a calendar", (url) => calendar(url, esplora(url, MS), MS).submit(message), /not in time/],
    ["by who asks for a Bitcoin block", (url) => esplora(url, MS)(1), /not in time/],
  ])("%s", async (_, call, reason) => {
    await expect(call(await serve(handler))).rejects.toThrow(reason);
  });
});

test("a webhook's answer is not read, however long it takes", async () => {
  await post(await serve(trickling), {});
});

describe("a call with a time-out", () => {
  test("ends in time even if it heeds no signal", async () => {
    await expect(withTimeout(10, () => new Promise(() => {}))).rejects.toBeInstanceOf(Late);
  });

  test("ends with what ends the whole, and for its reason", async () => {
    const stop = new AbortController();
    const reason = new Error("enough");
    const call = withTimeout(60_000, () => new Promise(() => {}), stop.signal);
    stop.abort(reason);
    await expect(call).rejects.toBe(reason);
    let called = false;
    const late = withTimeout(60_000, async () => (called = true), stop.signal);
    await expect(late).rejects.toBe(reason);
    expect(called).toBe(false);
  });

  test("gives what the call gives, and its signal stays quiet afterwards", async () => {
    const stop = new AbortController();
    const signal = await withTimeout(60_000, async (signal) => signal, stop.signal);
    stop.abort();
    expect(signal.aborted).toBe(false);
    await expect(withTimeout(60_000, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
  });

  test("whose body hangs is given up after the headers came", async () => {
    const url = await serve((_, response) => void response.write("a"));
    const call = withTimeout(MS, async (signal) => {
      const { body } = await fetch(url, { signal });
      return await readBounded(body, 10);
    });
    await expect(call).rejects.toBeInstanceOf(Late);
  });
});

describe("the pause that a server asks for", () => {
  test.each([
    ["3", null, 3_000],
    ["0", null, 0],
    ["Wed, 21 Oct 2015 07:28:30 GMT", "Wed, 21 Oct 2015 07:28:00 GMT", 30_000],
    ["Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:30 GMT", 0],
    ["Wed, 21 Oct 2015 07:28:00 GMT", null, 0], // long ago
    ["Wed, 21 Oct 2015 07:28:00 GMT", "never", 0],
    ["soon", null, undefined],
    [null, null, undefined],
  ])("%j at %j is %j ms", (header, date, ms) => {
    expect(retryAfterMs(header, date)).toBe(ms);
  });
});
