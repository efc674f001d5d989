/** `kedge agent` as it is installed: its flags, its exit codes, its process, and that nothing of an event shows outside the journal. */
import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import { connect } from "node:net";
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

async function start(env: Record<string, string>, ...args: string[]) {
  const child = spawn(process.execPath, [KEDGE, "agent", ...args], {
    cwd: tenant.cwd,
    env: { PATH: process.env["PATH"], ...env },
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

/** As it stands, in UTF-16, and in base64 wherever it begins in that. */
const SPELLINGS: readonly Buffer[] = [
  Buffer.from(CANARY),
  Buffer.from(CANARY, "utf16le"),
  ...[0, 1, 2].map((before) => {
    const text = Buffer.from("x".repeat(before) + CANARY).toString("base64");
    // What its neighbours have a part in is left out.
    return Buffer.from(text.slice(before === 0 ? 0 : before + 1, -5));
  }),
];

/** Every file below a folder: for its owner alone, and of no patient. */
function expectSealed(folder: string): void {
  expect(statSync(folder).mode & 0o777, folder).toBe(0o700);
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      expectSealed(path);
      continue;
    }
    expect(statSync(path).mode & 0o777, path).toBe(0o600);
    const bytes = readFileSync(path);
    for (const spelling of SPELLINGS) expect(bytes.includes(spelling), path).toBe(false);
  }
}

const XML_EVENT = (text: string) =>
  `<AuditEvent xmlns="http://hl7.org/fhir"><id value="${text}"/></AuditEvent>`;
const ATNA = `<AuditMessage><ParticipantObjectIdentification ParticipantObjectID="${CANARY}"/></AuditMessage>`;

/** What a sender can put a patient into, well and badly: path, headers, body. */
const REQUESTS: readonly [path: string, headers: Record<string, string>, body: string][] = [
  [
    "/AuditEvent",
    {},
    `{"resourceType":"AuditEvent","id":"a","entity":[{"what":{"reference":"Patient/${CANARY}"}}]}`,
  ],
  ["/AuditEvent", {}, `{"resourceType":"AuditEvent","id":"${CANARY}`],
  ["/AuditEvent", {}, `{"${CANARY}":1,"${CANARY}":2}`],
  [
    `/AuditEvent?name=${CANARY}`,
    { traceparent: CANARY, "x-patient": CANARY },
    `{"resourceType":"${CANARY}"}`,
  ],
  [`/${CANARY}/${CANARY}`, { prefer: CANARY, authorization: `Basic ${CANARY}` }, CANARY],
  ["/AuditEvent", { "content-type": `application/${CANARY}` }, CANARY],
  ["/AuditEvent", { "content-type": `application/fhir+json; charset=${CANARY}` }, CANARY],
  ["/AuditEvent", { "content-encoding": "gzip" }, CANARY],
  ["/AuditEvent", { "content-encoding": CANARY }, CANARY],
  ["/AuditEvent", { "content-type": "application/fhir+xml" }, XML_EVENT(CANARY)],
  ["/AuditEvent", { "content-type": "application/fhir+xml" }, XML_EVENT(`&${CANARY};`)],
  ["/AuditEvent", { "content-type": "application/fhir+xml" }, `<${CANARY}:a ${CANARY}=1></${CANARY}>`],
  ["/AuditEvent", { "content-type": "application/fhir+xml" }, `<!DOCTYPE ${CANARY} SYSTEM "${CANARY}">`],
  [
    "/",
    {},
    `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"${CANARY}","url":"${CANARY}"},"resource":{"resourceType":"AuditEvent","id":"${CANARY}"}}]}`,
  ],
  ["/events", { "content-type": "text/plain", "ce-specversion": "1.0", "ce-subject": CANARY }, CANARY],
  ["/events", { "content-type": "application/x-ndjson" }, `{"a":"${CANARY}"}\n{"${CANARY}"\n`],
];

test("it takes patients' events in by every way, is killed and searched, and shows nothing of them", async () => {
  const cwd = tenant.cwd;
  const temporary = join(cwd, "temporary");
  const extracts = join(cwd, "extracts");
  for (const folder of [temporary, extracts]) mkdirSync(folder, { mode: 0o700 });
  writeFileSync(join(extracts, `${CANARY}.ndjson`), `{"patient":"${CANARY}"}\n{"patient":"${CANARY}"\n`);
  writeFileSync(join(extracts, `\u001b[31m${CANARY}\n.json`), `{"${CANARY}":`);
  writeFileSync(join(extracts, `${CANARY}.xml`), `<a>&${CANARY};</a>`);
  writeFileSync(join(extracts, `${CANARY}.csv`), `PAT_NAME,PAT_MRN_ID\n"${CANARY}\n`);
  writeFileSync(join(extracts, `${CANARY}.tlog-proof.ndjson`), `${CANARY}\0${CANARY}\n`);
  symlinkSync("/dev/zero", join(extracts, `${CANARY}.zero.json`));
  const token = "t0ken-of-the-viewer-9Qzx-32characters";
  writeFileSync(join(cwd, "token"), token, { mode: 0o600 });
  const asked = createServer((_, response) => {
    response
      .writeHead(403, { "x-patient": CANARY })
      .end(`{"issue":[{"code":"${CANARY}","diagnostics":"${CANARY}"}]}`);
  });
  await new Promise<void>((bound) => asked.listen(0, "127.0.0.1", bound));
  const at = asked.address();
  const ehr = `http://127.0.0.1:${typeof at === "object" && at !== null ? at.port : 0}/${CANARY}`;
  const config = {
    data: "data",
    health: { listen: { address: "http://127.0.0.1:0" } },
    sources: [
      { kind: "files", name: "ehr", path: extracts, settle: 0, closedAfter: 0, poll: 0.1 },
      {
        kind: "fhir",
        name: "fhir",
        listen: { address: "http://127.0.0.1:0", tokenFile: "token" },
        search: true,
      },
      { kind: "syslog", name: "atna", listen: { address: "udp://127.0.0.1:0" } },
      { kind: "syslog", name: "stream", listen: { address: "tcp://127.0.0.1:0" } },
      { kind: "poll", name: "polled", url: ehr, every: 1 },
    ],
  };
  writeFileSync(join(cwd, "canary.json"), JSON.stringify(config), { mode: 0o600 });
  const said: string[] = [];
  const begin = async () => {
    const agent = await start({ TMPDIR: temporary }, "--config", "canary.json");
    const fhir = agent.urls.get("fhir") ?? "";
    const authorization = `Bearer ${token}`;
    const send = (path: string, headers: Record<string, string>, body: string) =>
      fetch(fhir + path, {
        method: "POST",
        headers: { "content-type": "application/fhir+json", authorization, ...headers },
        body,
      });
    for (const [path, headers, body] of REQUESTS) {
      const answer = await send(path, headers, body);
      expect(answer.status, path).toBeLessThan(500);
      said.push(await answer.text());
    }
    const search = await fetch(`${fhir}/AuditEvent?patient=${CANARY}`, { headers: { authorization } });
    expect(await search.text()).toContain(CANARY);
    said.push(await (await fetch(`${fhir}/AuditEvent?${CANARY}=1`, { headers: { authorization } })).text());
    said.push(await (await fetch(`${fhir}/AuditEvent?patient=${CANARY}`)).text());
    const messages = [
      `<85>1 2026-03-14T10:00:00Z ${CANARY} ${CANARY} - IHE+RFC-3881 - ${ATNA}`,
      `<85>${CANARY}`,
      `<85>1 - - - - DICOM+RFC3881 [${CANARY} a="${CANARY}`,
      `<85>${ATNA.slice(0, -5)}`,
    ];
    const udp = createSocket("udp4");
    for (const message of messages) {
      await new Promise((sent) =>
        udp.send(message, Number(new URL(agent.urls.get("atna") ?? "").port), sent),
      );
    }
    udp.close();
    const stream = connect(Number(new URL(agent.urls.get("stream") ?? "").port), "127.0.0.1");
    stream.end(messages.map((message) => `${message.length} ${message}`).join("") + messages.join("\n"));
    await once(stream.resume(), "close");
    const health = agent.urls.get("health") ?? "";
    const reasons = async () => {
      const text = await (await fetch(`${health}/readyz?${CANARY}`)).text();
      said.push(text);
      return text;
    };
    await expect.poll(reasons, { timeout: 60_000 }).toContain("answered 403");
    for (const path of ["/metrics", `/${CANARY}`]) said.push(await (await fetch(health + path)).text());
    said.push(readFileSync(`/proc/${agent.child.pid}/comm`, "utf8"));
    const shown = readFileSync(`/proc/${agent.child.pid}/cmdline`, "utf8");
    expect(shown).toMatch(/^kedge agent/);
    said.push(shown);
    return agent;
  };
  const posted = async () => {
    const { out } = await run("status", "--data", "data", "--json");
    said.push(out);
    const { sources }: { sources: { name: string; posted: number; journalled: number }[] } = JSON.parse(out);
    return sources.filter((one) => one.posted === one.journalled && one.posted > 0).map(({ name }) => name);
  };

  try {
    const killed = await begin();
    await expect
      .poll(posted, { timeout: 60_000 })
      .toEqual(expect.arrayContaining(["ehr", "fhir", "atna", "stream"]));
    killed.child.kill("SIGKILL");
    await once(killed.child, "exit");
    expectSealed(join(cwd, "data"));

    const agent = await begin();
    const found = await kedge(["find", "--data", "data", "--patient", CANARY], { cwd });
    expect(found.out).toContain(CANARY);
    said.push(found.err);
    writeFileSync(join(cwd, "query.json"), `{"patient":"${CANARY}","from":"${CANARY}"}`, { mode: 0o600 });
    for (const args of [
      ["--query", "query.json"],
      ["--from", "2026-01-01T00:00:00Z", "--patient", `no-${CANARY}`],
    ]) {
      const { out, err } = await kedge(["find", "--data", "data", ...args], { cwd });
      said.push(out, err);
    }
    const out = join(cwd, "export");
    const exporting = spawn(
      process.execPath,
      [KEDGE, "find", "--data", "data", "--patient", CANARY, "--export", out, "--timeout", "60"],
      { cwd, env: { PATH: process.env["PATH"], TMPDIR: temporary }, stdio: "ignore" },
    );
    const shown = () => readFileSync(`/proc/${exporting.pid}/cmdline`, "utf8");
    await expect.poll(() => existsSync(join(out, "records.ndjson")), { timeout: 60_000 }).toBe(true);
    said.push(shown(), readFileSync(`/proc/${exporting.pid}/comm`, "utf8"));
    exporting.kill("SIGKILL");
    await once(exporting, "exit");
    for (const folder of [out, join(out, "events")]) expect(statSync(folder).mode & 0o777).toBe(0o700);

    expect(await stop(agent.child, "SIGTERM")).toBe(0);
    said.push((await run("status", "--data", "data")).out, ...killed.lines, ...agent.lines);
  } finally {
    asked.close();
  }
  for (const text of said) {
    expect(text).not.toContain(CANARY);
    expect(text).not.toContain(API_KEY);
    expect(text).not.toContain(token);
    expect(text).not.toContain("\u001b");
  }
  expectSealed(join(cwd, "data"));
  expect(readdirSync(temporary)).toEqual([]);
  const received = JSON.stringify(tenant.server.requests);
  for (const spelling of SPELLINGS) expect(received).not.toContain(spelling.toString());
});

test("an address that is taken ends it with what to do", async () => {
  const agent = await start({}, "--data", "one", "--fhir", "fhir=http://127.0.0.1:0", "--health", "off");
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
