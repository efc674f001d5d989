/** The agent in this process, between a file and the API. */
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runAgent } from "@kedge/cli/agent/agent";
import { configOfFlags } from "@kedge/cli/agent/config";
import { openReport } from "@kedge/cli/agent/report";
import { statusOf } from "@kedge/cli/agent/status";
import { readJournal } from "@kedge/cli/journal/journal";
import { afterEach, expect, test } from "vitest";
import { API_KEY, LOG_ID, startServer } from "../../../support/fake-api.ts";

const key = { epoch: 0, tenantKey: new Uint8Array(32).fill(7) };
const keys = { current: () => key, of: (epoch: number) => (epoch === 0 ? key : undefined) };
const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function hospital() {
  const folder = mkdtempSync(join(tmpdir(), "kedge-agent-"));
  stops.push(() => rmSync(folder, { recursive: true, force: true }));
  const server = await startServer();
  stops.push(() => server.stop());
  const data = join(folder, "data");
  const file = join(folder, "ehr.ndjson");
  writeFileSync(file, "");
  const config = configOfFlags(data, { health: "off", sources: new Map([["follow", [`ehr=${file}`]]]) });
  const lines: string[] = [];
  const start = (settings: Partial<typeof config> = {}) => {
    const stop = new AbortController();
    const done = runAgent(
      {
        ...{ config: { ...config, ...settings }, log: LOG_ID, keys },
        connection: { url: server.url, apiKey: API_KEY },
        report: openReport((line) => lines.push(line)),
      },
      stop.signal,
      { sources: 10_000, posting: 500 },
    );
    done.catch(() => undefined);
    stops.push(async () => {
      stop.abort();
      await done.catch(() => undefined);
    });
    return { stop: () => stop.abort(), done };
  };
  const status = async () => {
    const journal = readJournal({ folder: data, keys });
    if (journal === undefined) return undefined;
    const [source] = statusOf(journal).sources;
    await journal.close();
    return source;
  };
  const events = () =>
    lines.map((line): { event: string; what?: string } => JSON.parse(line)).map(({ event }) => event);
  return { server, file, start, status, lines, events, data };
}

const patience = { timeout: 60_000 };

test("a line of a file is journalled, posted, and known to be sealed; a stop ends it", async () => {
  const { server, file, start, status, events } = await hospital();
  const agent = start();
  appendFileSync(file, '{"n":1}\n{"n":2}\n');
  await expect.poll(status, patience).toMatchObject({ journalled: 2, posted: 2, sealed: 0 });
  await server.seal();
  await expect
    .poll(status, patience)
    .toEqual({ name: "ehr", seen: 2, journalled: 2, posted: 2, sealed: 2, last: 2, gaps: [] });
  agent.stop();
  await agent.done;
  expect(events()).toEqual(["source", "started", "stopping", "stopped"]);
  expect(server.sealed()).toHaveLength(2);
});

test("a stop while the service fails keeps what is not posted, and the next start posts it once", async () => {
  const { server, file, start, status } = await hospital();
  server.faults.push(...Array.from({ length: 1_000 }, () => () => server.problem(503, "unavailable")));
  const agent = start();
  appendFileSync(file, '{"n":1}\n{"n":2}\n{"n":3}\n');
  await expect.poll(status, patience).toMatchObject({ journalled: 3 });
  await expect.poll(() => server.requests.length, patience).toBeGreaterThan(0);
  agent.stop();
  await agent.done;
  expect(await status()).toMatchObject({ journalled: 3, posted: 0, last: 3 });
  server.faults.splice(0);
  start();
  await expect.poll(status, patience).toMatchObject({ journalled: 3, posted: 3, last: 3 });
  await server.seal();
  expect(new Set(server.sealed()).size).toBe(3);
});

test("what is accepted and not sealed in time is an alert", async () => {
  const { file, start, lines } = await hospital();
  appendFileSync(file, '{"n":1}\n');
  start({ alertAfter: 1 });
  await expect.poll(() => lines.join(""), patience).toContain("are not sealed after 1 s");
});

test("two agents on one folder: the second is refused, with other sources too, and the first goes on", async () => {
  const { file, start, status, data } = await hospital();
  const others = configOfFlags(data, { health: "off", sources: new Map([["follow", [`lab=${file}`]]]) });
  start();
  await expect.poll(status, patience).toMatchObject({ journalled: 0 });
  await expect(start().done).rejects.toMatchObject({ code: "in_use" });
  await expect(start({ sources: others.sources }).done).rejects.toMatchObject({ code: "in_use" });
  appendFileSync(file, '{"n":1}\n');
  await expect.poll(status, patience).toMatchObject({ posted: 1 });
});
