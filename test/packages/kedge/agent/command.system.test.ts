/** `kedge agent` as it is installed: its flags, its exit codes, its process, and that nothing of an event shows outside the journal. */
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { kedge } from "../../../cli/run.ts";
import { startTenant, type Tenant } from "../../../cli/tenant.ts";
import { API_KEY } from "../../../support/fake-api.ts";
import { stop } from "../../../support/serve.ts";

const KEDGE = fileURLToPath(new URL("../../../../packages/kedge/dist/cli/kedge.js", import.meta.url));
const CANARY = "Winnifred-Qzx-1873";

let tenant: Tenant;
beforeAll(async () => {
  tenant = await startTenant();
});
afterAll(() => tenant.stop());

const run = (...args: string[]) => kedge(["agent", ...args], { cwd: tenant.cwd });

async function start(...args: string[]) {
  const child = spawn(process.execPath, [KEDGE, "agent", ...args], {
    cwd: tenant.cwd,
    env: { PATH: process.env["PATH"] },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const lines: string[] = [];
  const urls = new Map<string, string>();
  const reader = createInterface({ input: child.stderr });
  await new Promise<void>((resolve, reject) => {
    reader.on("line", (line) => {
      lines.push(line);
      const said: Record<string, string> = line.startsWith("{") ? JSON.parse(line) : {};
      if (said["source"] !== undefined) urls.set(said["source"], said["url"] ?? "");
      if (said["health"] !== undefined) urls.set("health", said["health"]);
      if (said["event"] === "started") resolve();
    });
    child.once("exit", () => reject(new Error(lines.join("\n"))));
  });
  return { child, lines, urls };
}

test("init writes a configuration once, and check tells what is wrong with it", async () => {
  expect((await run("init")).code).toBe(0);
  expect(statSync(join(tenant.cwd, "agent.json")).mode & 0o777).toBe(0o600);
  expect((await run("init")).code).toBe(2);
  const config = readFileSync(join(tenant.cwd, "agent.json"), "utf8").replace(
    "/etc/kedge/credentials.json",
    ".kedge/credentials.json",
  );
  writeFileSync(join(tenant.cwd, "agent.json"), config);
  const good = await run("check", "--config", "agent.json");
  expect(good.err).toBe("");
  expect(good.code).toBe(0);
  expect(good.out).toMatch(
    /ehr: files[\s\S]*finds 0 files[\s\S]*tcp:\/\/127\.0\.0\.1:6514 \(this machine alone\)/,
  );
  expect(existsSync("/var/lib/kedge-agent")).toBe(false);
  writeFileSync(join(tenant.cwd, "open.json"), config.replace("tcp://127.0.0.1", "tcp://0.0.0.0"));
  const open = await run("check", "--config", "open.json");
  expect(open).toMatchObject({ code: 2, err: expect.stringContaining("not encrypted") });
});

test.each([
  [["check", "--data", "d"], /There is no source/],
  [["check", "--data", "d", "--follow", "ehr"], /<name>=<path>/],
  [["check", "--config", "agent.json", "--data", "d"], /--config has all of it/],
  [["status", "--data", "nowhere"], /no journal in nowhere/],
  [["check", "--config", "absent.json"], /no such file/],
])("used wrongly: %j", async (args, why) => {
  expect(await run(...args)).toMatchObject({ code: 2, err: expect.stringMatching(why) });
});

test("a key that is not taken is said by check, with code 1", async () => {
  tenant.server.faults.push(() => tenant.server.problem(401, "unauthorized"));
  const { code, err } = await run("check", "--data", "d", "--follow", "ehr=ehr.ndjson");
  expect({ code, err }).toMatchObject({ code: 1, err: expect.stringContaining("not accepted") });
});

test("it takes a patient's event in by three ways, and shows nothing of it", async () => {
  writeFileSync(join(tenant.cwd, "ehr.ndjson"), `{"patient":"${CANARY}"}\n{"patient":"${CANARY}"\n`);
  const agent = await start(
    ...["--data", "data", "--follow", "ehr=ehr.ndjson", "--fhir", "fhir=http://127.0.0.1:0"],
    ...["--syslog", "atna=udp://127.0.0.1:0", "--health", "http://127.0.0.1:0"],
  );
  const fhir = agent.urls.get("fhir") ?? "";
  const send = (body: string) =>
    fetch(`${fhir}/AuditEvent`, {
      method: "POST",
      headers: { "Content-Type": "application/fhir+json" },
      body,
    });
  expect(
    (await send(JSON.stringify({ resourceType: "AuditEvent", id: "a", text: { div: CANARY } }))).status,
  ).toBe(201);
  expect((await send(`{"resourceType":"AuditEvent","id":"${CANARY}`)).status).toBe(400);
  const status = async () => {
    const { out } = await run("status", "--data", "data", "--json");
    const { sources }: { sources: { name: string; posted: number; journalled: number }[] } = JSON.parse(out);
    return sources
      .filter(({ posted, journalled }) => posted === journalled && posted > 0)
      .map(({ name }) => name);
  };
  await expect.poll(status, { timeout: 60_000 }).toEqual(expect.arrayContaining(["ehr", "fhir"]));
  const health = agent.urls.get("health") ?? "";
  const metrics = await (await fetch(`${health}/metrics`)).text();
  const ready = await (await fetch(`${health}/readyz`)).text();
  const shown = readFileSync(`/proc/${agent.child.pid}/cmdline`, "utf8");
  expect(shown).toMatch(/^kedge agent/);
  expect(shown).not.toContain("ehr.ndjson");
  const { out } = await run("status", "--data", "data");
  expect(await stop(agent.child, "SIGTERM")).toBe(0);

  const said = [agent.lines.join("\n"), metrics, ready, shown, out].join("\n");
  expect(said).not.toContain(CANARY);
  expect(said).not.toContain(API_KEY);
  const data = join(tenant.cwd, "data");
  expect(statSync(data).mode & 0o777).toBe(0o700);
  for (const name of readdirSync(data)) {
    expect(statSync(join(data, name)).mode & 0o777, name).toBe(0o600);
    expect(readFileSync(join(data, name)).includes(CANARY), name).toBe(false);
  }
  for (const { body } of tenant.server.requests) expect(body).not.toContain(CANARY);
});

test("an address that is taken ends it with what to do", async () => {
  const agent = await start("--data", "one", "--fhir", "fhir=http://127.0.0.1:0", "--health", "off");
  const taken = agent.urls.get("fhir") ?? "";
  const { code, err } = await run("--data", "two", "--fhir", `fhir=${taken}`, "--health", "off");
  expect({ code, err }).toMatchObject({ code: 2, err: expect.stringContaining(new URL(taken).port) });
  expect(await stop(agent.child, "SIGINT")).toBe(0);
});

test("the unit is what systemd takes", async () => {
  const { out, code } = await run("unit");
  expect(code).toBe(0);
  expect(out).toMatch(/^\[Unit\]$[\s\S]*^\[Service\]$[\s\S]*^\[Install\]$/m);
});
