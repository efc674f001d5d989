/** The poster against a service on loopback that fails in every way. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { openClock } from "@kedge/cli/agent/clock";
import { keepPosting } from "@kedge/cli/agent/post";
import { openReport } from "@kedge/cli/agent/report";
import { openClient } from "@kedge/cli/client/api";
import { JournalError } from "@kedge/cli/journal/error";
import { bytesToHex } from "@noble/hashes/utils.js";
import { afterEach, expect, test } from "vitest";
import { memoryJournal } from "./memory-journal.ts";

const PAUSES = { linger: 1, first: 5, most: 20, refused: 20 };
const LOG = "k3v7q2m5xj4t6n2hbya";

type Fault = (response: ServerResponse, hashes: string[]) => void;
const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

/** Takes each hash once, as the service does; a fault answers one request in its place. */
async function fakeService(faults: Fault[]) {
  const taken = new Map<string, number>();
  const accept = (hashes: readonly string[]) => {
    for (const hash of hashes) if (!taken.has(hash)) taken.set(hash, taken.size);
  };
  let requests = 0;
  const sizes: number[] = [];
  const server = createServer(async (request: IncomingMessage, response) => {
    requests += 1;
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part);
    const octets = Buffer.concat(parts);
    const hashes = Array.from({ length: octets.length / 32 }, (_, i) =>
      octets.subarray(32 * i, 32 * i + 32).toString("hex"),
    );
    sizes.push(hashes.length);
    const fault = faults.shift();
    if (fault !== undefined) return fault(response, hashes);
    accept(hashes);
    answer(response, 202, { accepted: hashes.length, receivedAt: "2026-03-01T08:00:00.000Z" });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stops.push(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  const isFailing = () => faults.length > 0;
  return { url: `http://127.0.0.1:${port}`, taken, accept, requests: () => requests, sizes, isFailing };
}

function answer(response: ServerResponse, status: number, body: object, headers = {}): void {
  response.writeHead(status, { "Content-Type": "application/json", ...headers });
  response.end(JSON.stringify(body));
}

const problem =
  (status: number, code: string, headers = {}): Fault =>
  (response) =>
    answer(response, status, { type: `urn:kedge:problem:${code}`, title: code, detail: "no" }, headers);

async function agent(url: string, events: number, timeout = () => 30_000) {
  const { journal, faults } = memoryJournal();
  const add = async (count: number) => {
    const intake = await journal.intake("ehr");
    const arrivals = Array.from({ length: count }, (_, i) => ({
      bytes: new TextEncoder().encode(`${i} ${Math.random()}`),
      mediaType: "text/plain",
    }));
    await intake.take({ arrivals });
  };
  await add(events);
  const lines: string[] = [];
  const report = openReport((line) => lines.push(line));
  const [draining, ending] = [new AbortController(), new AbortController()];
  stops.push(() => ending.abort());
  const connection = {
    ...{ url, apiKey: "kedge_a_b", attempts: 1, signal: ending.signal },
    get timeout() {
      return timeout();
    },
  };
  const client = openClient(connection);
  const clock = openClock();
  const post = (commitments: readonly Uint8Array[]) => client.post(LOG, commitments);
  const done = keepPosting(
    { journal, post, log: LOG, clock, report },
    { draining: draining.signal, signal: ending.signal },
    PAUSES,
  );
  const commitments = () => [...journal.entries("ehr")].map(({ commitment }) => bytesToHex(commitment));
  return { journal, faults, add, lines, report, clock, draining, ending, done, commitments };
}

const FAULTS: [string, Fault][] = [
  ["429", problem(429, "throttled")],
  ["429 with Retry-After", problem(429, "throttled", { "Retry-After": "0" })],
  ["503", problem(503, "unavailable")],
  ["401", problem(401, "unauthorized")],
  ["403", problem(403, "forbidden")],
  ["404", problem(404, "not_found")],
  ["a reset", (response) => void response.socket?.destroy()],
  ["no answer", () => undefined],
  [
    "half an answer",
    (response) => void response.writeHead(202, { "Content-Length": "100" }).write('{"accep'),
  ],
  ["a page of a proxy", (response) => void response.writeHead(200).end("<html>Sign in</html>")],
  [
    "fewer than were posted",
    (response) => answer(response, 202, { accepted: 0, receivedAt: "2026-03-01T08:00:00Z" }),
  ],
  ["a redirect", (response) => void response.writeHead(302, { Location: "https://example.org/" }).end()],
];

/** Who waits for these waits in vain; for any other answer a busy machine has its time. */
const SILENT = ["no answer", "half an answer"];

test.each(FAULTS)("%s: every event is posted once, in order, and it is said once", async (name, fault) => {
  const service = await fakeService([fault, fault, fault]);
  const timeout = () => (SILENT.includes(name) && service.isFailing() ? 200 : 30_000);
  const { draining, done, journal, commitments, lines, report, clock } = await agent(
    service.url,
    20,
    timeout,
  );
  draining.abort();
  await done;
  expect([...service.taken.keys()]).toEqual(commitments());
  expect(service.requests()).toBe(4);
  expect(journal.outbox(100)).toEqual([]);
  expect([...journal.receipts()]).toMatchObject([
    { log: LOG, accepted: 20, receivedAt: "2026-03-01T08:00:00.000Z" },
  ]);
  expect(lines.map((line) => JSON.parse(line).event)).toEqual(["trouble", "over"]);
  expect(report.troubles()).toEqual([]);
  expect(clock.isFresh(60_000)).toBe(true);
});

test("an answer that is lost after the service took the events: they are posted again, and are there once", async () => {
  const service = await fakeService([]);
  const lost: Fault = (response, hashes) => {
    service.accept(hashes);
    response.socket?.destroy();
  };
  const again = await fakeService([lost]);
  const { draining, done, commitments } = await agent(again.url, 5);
  draining.abort();
  await done;
  expect([...again.taken.keys()]).toEqual(commitments());
  expect([...service.taken.keys()]).toEqual(commitments());
});

test("a request that is refused as too large is made smaller until it is taken", async () => {
  const service = await fakeService([]);
  const tooLarge: Fault = problem(413, "too_large");
  const strict = await fakeService([tooLarge, tooLarge, tooLarge]);
  const { draining, done, commitments } = await agent(strict.url, 80);
  draining.abort();
  await done;
  expect(strict.sizes.slice(0, 4)).toEqual([80, 40, 20, 10]);
  expect([...strict.taken.keys()]).toEqual(commitments());
  expect(service.requests()).toBe(0);
});

test("a service that is down for good is not asked without end, and a stop leaves what is not posted", async () => {
  const service = await fakeService(Array.from({ length: 10_000 }, () => problem(503, "unavailable")));
  const { draining, ending, done, journal } = await agent(service.url, 5);
  await expect.poll(service.requests, { timeout: 30_000 }).toBeGreaterThan(4);
  draining.abort();
  const before = service.requests();
  await expect.poll(service.requests, { timeout: 30_000 }).toBeGreaterThan(before);
  ending.abort();
  await done;
  expect(service.requests()).toBeLessThan(1_000);
  expect(journal.outbox(100)).toHaveLength(5);
});

test("a receipt that cannot be written waits for room, and the service is not asked again", async () => {
  const service = await fakeService([]);
  const { draining, done, journal, faults, report } = await agent(service.url, 5);
  faults.posted = new Error("no room");
  await expect.poll(() => report.troubles().map(({ key }) => key), { timeout: 30_000 }).toEqual(["receipt"]);
  faults.posted = undefined;
  draining.abort();
  await done;
  expect(service.requests()).toBe(1);
  expect(journal.outbox(100)).toEqual([]);
});

test("a journal that is being opened anew is asked again, and the agent goes on", async () => {
  const service = await fakeService([]);
  const { add, draining, done, journal, faults, report } = await agent(service.url, 1);
  await expect.poll(() => service.taken.size, { timeout: 30_000 }).toBe(1);
  faults.outbox = new JournalError("unwritable", "its disk failed");
  await add(1);
  await expect.poll(() => report.troubles().map(({ key }) => key), { timeout: 30_000 }).toEqual(["outbox"]);
  faults.outbox = undefined;
  draining.abort();
  await done;
  expect(service.taken.size).toBe(2);
  expect(journal.outbox(100)).toEqual([]);
  expect(report.troubles()).toEqual([]);
});

test("what comes while it waits is posted too", async () => {
  const service = await fakeService([]);
  const { add, draining, done, commitments } = await agent(service.url, 1);
  await expect.poll(() => service.taken.size, { timeout: 30_000 }).toBe(1);
  await add(3);
  await expect.poll(() => service.taken.size, { timeout: 30_000 }).toBe(4);
  draining.abort();
  await done;
  expect([...service.taken.keys()]).toEqual(commitments());
});
