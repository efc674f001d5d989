/** The FHIR endpoint under the load of many senders, in front of the journal: each event once, told after it is on the disk. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { fhirSchema, openFhir } from "@kedge/cli/agent/http";
import { openJournal } from "@kedge/cli/journal/journal";
import type { EpochKeys } from "@kedge/cli/journal/types";
import { afterAll, expect, test } from "vitest";

const folder = mkdtempSync(join(tmpdir(), "kedge-load-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const key = { epoch: 0, tenantKey: new Uint8Array(32).fill(5), bodyKey: new Uint8Array(32).fill(6) };
const keys: EpochKeys = { current: () => key, of: (epoch) => (epoch === 0 ? key : undefined) };

const SENDERS = 16;
const EACH = 1500;
const PADDING = "x".repeat(700);

/** In a thread of its own, as senders are elsewhere: each sends its next event once it has the answer to the last one. */
const SENDING = `
  const { parentPort, workerData: { url, senders, each, padding } } = require("node:worker_threads");
  const http = require("node:http");
  const agent = new http.Agent({ keepAlive: true, maxSockets: senders });
  const post = (body) => new Promise((resolve, reject) => {
    const headers = { "Content-Type": "application/fhir+json", "Content-Length": Buffer.byteLength(body) };
    const request = http.request(url + "/AuditEvent", { method: "POST", agent, headers }, (response) => {
      response.resume().on("end", () => resolve([response.statusCode, response.headers.location]));
    });
    request.on("error", reject).end(body);
  });
  (async () => {
    const told = [];
    const start = performance.now();
    await Promise.all(Array.from({ length: senders }, async (_, sender) => {
      for (let i = 0; i < each; i++) {
        const id = sender + "-" + i;
        const body = '{"resourceType":"AuditEvent","id":"' + id + '","outcomeDesc":"' + padding + '"}';
        const [status, location] = await post(body);
        told.push([id, status, location]);
      }
    }));
    parentPort.postMessage({ told, ms: performance.now() - start });
    agent.destroy();
  })();
`;

test("16 senders at a time: every event is once in the journal, under the number that its sender was told", async () => {
  const journal = await openJournal({ folder, keys });
  const controller = new AbortController();
  const host = {
    ...{ intake: await journal.intake("ehr"), signal: controller.signal },
    ...{ trouble: () => undefined, count: () => undefined },
  };
  const listen = { address: "http://127.0.0.1:0" };
  const source = openFhir(fhirSchema.parse({ kind: "fhir", name: "ehr", listen }), host);
  const done = source.run();
  const { url } = await source.ready();
  const workerData = { url, senders: SENDERS, each: EACH, padding: PADDING };
  const worker = new Worker(SENDING, { eval: true, workerData });
  const { told, ms } = await new Promise<{ told: [string, number, string][]; ms: number }>(
    (resolve, reject) => {
      worker.on("message", resolve).on("error", reject);
    },
  );
  process.stderr.write(`${Math.round((1000 * told.length) / ms)} events a second from ${SENDERS} senders\n`);
  controller.abort();
  await done;
  const numbers = new Map(
    [...journal.entries("ehr")].map(({ number, bytes }) => {
      const { id }: { id: string } = JSON.parse(new TextDecoder().decode(bytes));
      return [id, number];
    }),
  );
  await journal.close();
  expect(numbers.size).toBe(SENDERS * EACH);
  expect(told).toHaveLength(SENDERS * EACH);
  for (const [id, status, location] of told) {
    expect([status, location]).toEqual([201, `${url}/AuditEvent/${numbers.get(id)}/_history/1`]);
  }
});
