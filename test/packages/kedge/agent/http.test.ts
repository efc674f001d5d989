import { once } from "node:events";
import { createServer, type ServerOptions } from "node:http";
import { connect } from "node:net";
import { fhirSchema, openFhir } from "@kedge/cli/agent/http";
import fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import type * as z from "zod";
import { memoryHost } from "./memory-host.ts";

const EVENT = `{"resourceType":"AuditEvent" , "action":"R"}`;
const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function listening(
  options: Omit<z.input<typeof fhirSchema>, "kind" | "name" | "listen"> = {},
  limits?: ServerOptions,
) {
  const controller = new AbortController();
  const host = memoryHost({ signal: controller.signal });
  const listen = { address: "http://127.0.0.1:0" };
  const source = openFhir(fhirSchema.parse({ kind: "fhir", name: "ehr", listen, ...options }), host, limits);
  const running = source.run();
  const stop = () => {
    controller.abort();
    return running;
  };
  ends.push(stop);
  const { url = "" } = await source.ready();
  const texts = () => host.arrivals.map(({ bytes }) => new TextDecoder().decode(bytes));
  let openGate = (): void => undefined;
  const gateIsShut = () => {
    host.gate = new Promise((open) => {
      openGate = open;
    });
  };
  return {
    ...host,
    gateIsShut,
    openGate: () => openGate(),
    texts,
    url,
    port: Number(new URL(url).port),
    stop,
  };
}

const request = (body: string, length = Buffer.byteLength(body)) =>
  `POST /AuditEvent HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/fhir+json\r\nContent-Length: ${length}\r\n\r\n${body}`;

async function answerTo(port: number, pieces: readonly Uint8Array[]): Promise<string> {
  const socket = connect(port, "127.0.0.1").setNoDelay();
  const parts: Buffer[] = [];
  socket.on("data", (part) => parts.push(part));
  for (const piece of pieces) {
    await new Promise((written) => socket.write(piece, written));
    await new Promise(setImmediate);
  }
  await once(socket, "close");
  return Buffer.concat(parts).toString();
}

test("a request is the same event however it is cut up on its way", async () => {
  const { port, texts } = await listening();
  const whole = Buffer.from(request(EVENT));
  let count = 0;
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(fc.nat(whole.length), { maxLength: 6 }), async (cuts) => {
      const at = [0, ...cuts.toSorted((a, b) => a - b), whole.length];
      const pieces = at.slice(1).map((end, i) => whole.subarray(at[i], end));
      expect(await answerTo(port, pieces)).toMatch(/^HTTP\/1.1 201 /);
      expect(texts()).toEqual(Array(++count).fill(EVENT));
    }),
    { numRuns: 30 },
  );
});

test("a sender that goes away before its body ends commits nothing", async () => {
  const { port, arrivals, counts } = await listening();
  const socket = connect(port, "127.0.0.1");
  socket.write(request(EVENT, 1000));
  await expect.poll(() => counts.get("requests"), { timeout: 30_000 }).toBe(1);
  socket.destroy();
  await expect.poll(() => counts.get("refused"), { timeout: 30_000 }).toBe(1);
  expect(arrivals).toEqual([]);
});

test("a body that comes too slowly is cut off, and commits nothing", async () => {
  const { port, arrivals } = await listening({}, { requestTimeout: 200, connectionsCheckingInterval: 20 });
  expect(await answerTo(port, [Buffer.from(request(EVENT, 1000))])).toMatch(/^HTTP\/1.1 408 /);
  expect(arrivals).toEqual([]);
});

test("requests behind one that waits for the journal are bounded, and taken again once it goes on", async () => {
  const { port, gateIsShut, arrivals, counts, openGate } = await listening();
  gateIsShut();
  const socket = connect(port, "127.0.0.1");
  const one = request(EVENT).replace("Connection: close\r\n", "");
  socket.write(one.repeat(1500));
  await expect.poll(() => counts.get("refused"), { timeout: 30_000 }).toBeGreaterThan(0);
  expect(arrivals).toEqual([]);
  openGate();
  await expect.poll(() => arrivals.length, { timeout: 30_000 }).toBeGreaterThanOrEqual(1000);
  socket.destroy();
});

test("a body in chunks that is too long is refused before its end, and the listener goes on", async () => {
  const { port, url } = await listening({ limit: 1024 });
  const head = `POST /AuditEvent HTTP/1.1\r\nHost: a\r\nContent-Type: application/fhir+json\r\nTransfer-Encoding: chunked\r\n\r\n`;
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => undefined);
  socket.write(`${head}800\r\n${" ".repeat(0x800)}\r\n`);
  const [answer] = await once(socket, "data");
  expect(String(answer)).toMatch(/^HTTP\/1.1 413 /);
  socket.destroy();
  const after = await fetch(`${url}/AuditEvent`, {
    ...{ method: "POST", body: EVENT, headers: { "content-type": "application/fhir+json" } },
  });
  expect(after.status).toBe(201);
});

test("what is no HTTP is refused, and the listener goes on", async () => {
  const { port, url } = await listening();
  for (const head of [
    "nonsense\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    "GET /../../x HTTP/1.1\r\nHost: :::\r\nConnection: close\r\n\r\n",
    `GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(20_000)}\r\n\r\n`,
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
  ]) {
    expect(await answerTo(port, [Buffer.from(head)])).toMatch(/^HTTP\/1.1 4[0-9][0-9] /);
  }
  expect((await fetch(`${url}/metadata`)).status).toBe(200);
});

test("the address of a listener that is taken is told", async () => {
  const { url } = await listening();
  const host = memoryHost({ signal: new AbortController().signal });
  const source = openFhir(fhirSchema.parse({ kind: "fhir", name: "b", listen: { address: url } }), host);
  await expect(source.run()).rejects.toMatchObject({ code: "address" });
  await expect(source.ready()).rejects.toMatchObject({ code: "address" });
});

/** An upstream that answers what it is told to, and keeps what it was sent. */
async function upstreamAnswering(...statuses: number[]) {
  const got: { path: string | undefined; body: string; headers: NodeJS.Dict<string | string[]> }[] = [];
  const server = createServer((incoming, outgoing) => {
    let body = "";
    incoming.on("data", (part) => {
      body += part;
    });
    incoming.on("end", () => {
      const status = statuses.shift() ?? 201;
      if (status < 500) got.push({ path: incoming.url, body, headers: incoming.headers });
      outgoing.writeHead(status).end("patient");
    });
  });
  await new Promise<void>((bound) => server.listen(0, "127.0.0.1", bound));
  ends.push(async () => {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  });
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return { got, url: `http://127.0.0.1:${port}/fhir` };
}

test("the upstream has each request as it came, in order, also those that it failed at first", async () => {
  const { got, url: upstream } = await upstreamAnswering(503, 201, 201, 422);
  const { url, intake, troubles } = await listening({ path: "/r4", upstream: { url: upstream } });
  const bodies = [1, 2, 3].map((number) => `{"resourceType":"AuditEvent", "id":"${number}"}`);
  for (const body of bodies) {
    const headers = {
      "content-type": "application/fhir+json; fhirVersion=4.0",
      prefer: "return=minimal",
      authorization: "Bearer of-the-agent",
    };
    const answer = await fetch(`${url}/AuditEvent?a=1`, { method: "POST", body, headers });
    expect(answer.status).toBe(201);
    expect(answer.headers.get("location")).toMatch(url);
  }
  await expect.poll(() => intake.forwards(1), { timeout: 30_000 }).toEqual([]);
  expect(got.map(({ path, body }) => [path, body])).toEqual(
    bodies.map((body) => ["/fhir/AuditEvent?a=1", body]),
  );
  expect(got[0]?.headers).toMatchObject({
    "content-type": "application/fhir+json; fhirVersion=4.0",
    prefer: "return=minimal",
  });
  expect(got[0]?.headers).not.toHaveProperty("authorization");
  expect(troubles.get("upstream refuses")).toMatch("422");
  expect([...troubles.values()].join()).not.toContain("patient");
});
