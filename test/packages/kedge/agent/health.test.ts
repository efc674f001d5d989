import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openClock } from "@kedge/cli/agent/clock";
import { exposition, startHealth } from "@kedge/cli/agent/health";
import type { Listen } from "@kedge/cli/agent/listen";
import { openReport } from "@kedge/cli/agent/report";
import { JournalError } from "@kedge/cli/journal/error";
import type { SourceState } from "@kedge/cli/journal/types";
import { afterEach, expect, test } from "vitest";

const NOW = Date.UTC(2026, 2, 1, 8);
const STATE: SourceState = {
  ...{
    name: 'e"h\\r',
    seen: 12n,
    journalled: 10n,
    gaps: 1n,
    forwarding: 0n,
    posted: 8n,
    sealed: 7n,
    last: 10n,
  },
  ...{ unsealedSince: NOW - 30_000 },
};
const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

async function start(listen: Listen = { address: "http://127.0.0.1:0" }, sources = () => [STATE]) {
  const report = openReport(() => undefined);
  const health = await startHealth(listen, { report, clock: openClock(() => NOW), sources });
  stops.push(() => health.close());
  return { report, url: health.url };
}

test("it is healthy as long as it runs, and ready as long as nothing is wrong", async () => {
  const { report, url } = await start();
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
  report.trouble("ehr", "unsealed", "Events are not sealed");
  const troubled = await fetch(`${url}/readyz`);
  expect(troubled.status).toBe(503);
  expect(await troubled.json()).toMatchObject({ reasons: [{ scope: "ehr", what: "Events are not sealed" }] });
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  report.trouble("ehr", "unsealed", undefined);
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
});

test("metrics are in Prometheus' format, each family with its help and type", async () => {
  const { report, url } = await start();
  report.count("ehr", "unreadable", 3);
  const answer = await fetch(`${url}/metrics`);
  const text = await answer.text();
  expect(answer.headers.get("Content-Type")).toMatch(/^text\/plain; version=0\.0\.4/);
  expect(text).toContain('kedge_agent_posted_total{source="e\\"h\\\\r"} 8\n');
  expect(text).toContain('kedge_agent_unsealed_age_seconds{source="e\\"h\\\\r"} 30\n');
  expect(text).toContain('kedge_agent_occurrences_total{source="ehr",counter="unreadable"} 3\n');
  for (const line of text.trimEnd().split("\n")) {
    expect(line).toMatch(/^(# (HELP|TYPE) kedge_agent_\w+ .+|kedge_agent_\w+(\{.*\})? -?[\d.e+]+)$/);
  }
});

test("a service whose time is not known has no skew, and one that is has", () => {
  const report = openReport(() => undefined);
  const clock = openClock(() => NOW);
  expect(exposition([], report, clock)).not.toContain("clock_ahead");
  clock.heard(NOW - 2_000);
  expect(exposition([], report, clock)).toMatch(/clock_ahead_seconds (2|1\.99)/);
});

test("nothing but reading is answered, and with a token nobody else is", async () => {
  const folder = mkdtempSync(join(tmpdir(), "kedge-health-"));
  stops.push(() => rmSync(folder, { recursive: true }));
  const token = "0123456789abcdefghijklmnop";
  writeFileSync(join(folder, "token"), token);
  const { url } = await start({ address: "http://127.0.0.1:0", tokenFile: join(folder, "token") });
  const headers = { Authorization: `Bearer ${token}` };
  expect((await fetch(`${url}/metrics`)).status).toBe(401);
  expect((await fetch(`${url}/metrics`, { headers })).status).toBe(200);
  expect((await fetch(`${url}/metrics`, { headers, method: "POST", body: "x" })).status).toBe(405);
  expect((await fetch(`${url}/other`, { headers })).status).toBe(404);
});

test("a trouble is said once until it is over", () => {
  const lines: string[] = [];
  const report = openReport(
    (line) => lines.push(line),
    () => NOW,
  );
  for (let i = 0; i < 3; i++) report.trouble("post", "unposted", `no answer ${i}`);
  report.trouble("post", "unposted", undefined);
  report.trouble("post", "unposted", undefined);
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    {
      ...{ time: "2026-03-01T08:00:00.000Z", level: "warn", event: "trouble" },
      ...{ scope: "post", trouble: "unposted", what: "no answer 0" },
    },
    { time: "2026-03-01T08:00:00.000Z", level: "info", event: "over", scope: "post", trouble: "unposted" },
  ]);
});

test("a journal that cannot be read now is an answer, and not the end of the agent", async () => {
  const { url } = await start(undefined, () => {
    throw new JournalError("unwritable", "The journal cannot be read");
  });
  const answer = await fetch(`${url}/metrics`);
  expect([answer.status, await answer.text()]).toEqual([503, "The journal cannot be read\n"]);
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
});
