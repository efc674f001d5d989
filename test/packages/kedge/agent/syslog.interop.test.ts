/** Other people's senders and collectors: logger, rsyslog, openssl s_client. What a machine lacks is skipped, and said. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSyslog, type SyslogOptions, syslogSchema } from "@kedge/cli/agent/syslog";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { hasOpenssl, makeCertificates } from "./certificates.ts";
import { type MemoryHost, memoryHost } from "./memory-host.ts";

const SOON = { timeout: 60_000 };
const event = (i: number): string => `<AuditMessage><EventIdentification/>${i} größer</AuditMessage>`;
const message = (i: number): string => `<85>1 2026-11-28T09:00:00Z h a 1 IHE+RFC-3881 - ${event(i)}`;
const counted = (text: string): string => `${Buffer.byteLength(text)} ${text}`;
const numbers = Array.from({ length: 300 }, (_, i) => i);

/** Whether it is on the PATH and fit; says so where it is not. */
function has(command: string, args: string[], expected: RegExp): boolean {
  const { error, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
  const found = error === undefined && expected.test(`${stdout}${stderr}`);
  if (!found) process.stderr.write(`skipped: no ${command} that has what is needed\n`);
  return found;
}
const hasLogger = has("logger", ["--help"], /--octet-count/);
const hasRsyslog = has("rsyslogd", ["-v"], /rsyslogd +8/);
const hasRsyslogTls =
  hasRsyslog &&
  hasOpenssl &&
  ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"].some((folder) =>
    existsSync(join(folder, "rsyslog/lmnsd_gtls.so")),
  );
if (hasRsyslog && !hasRsyslogTls)
  process.stderr.write("skipped: rsyslog has no gtls driver (rsyslog-gnutls)\n");

const folder = mkdtempSync(join(tmpdir(), "kedge-syslog-"));
const made = hasOpenssl ? makeCertificates() : undefined;
afterAll(() => {
  made?.remove();
  rmSync(folder, { recursive: true, force: true });
});
const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

function certificates() {
  if (made === undefined) throw new Error("There is no openssl");
  return made;
}

async function start(listen: SyslogOptions["listen"], options: Partial<SyslogOptions> = {}) {
  const stopping = new AbortController();
  const host = memoryHost({ signal: stopping.signal });
  const parsed = syslogSchema.parse({ kind: "syslog", name: "atna", listen });
  const source = openSyslog({ ...parsed, ...options }, host);
  const done = source.run();
  const { url = "" } = await source.ready();
  stops.push(async () => {
    stopping.abort();
    await done;
  });
  return { host, port: new URL(url).port, url };
}
const texts = ({ arrivals }: MemoryHost): string[] =>
  arrivals.map(({ bytes }) => Buffer.from(bytes).toString());
const tls = () => {
  const { server, ca } = certificates();
  return { address: "tls://127.0.0.1:0", tls: { ...server, clientCa: ca.cert } };
};

describe.runIf(hasOpenssl)("openssl s_client", () => {
  test.each([
    ["octet-counted", counted],
    ["with a line each", (text: string) => `${text}\n`],
  ])("%s, with a client certificate", async (_, framed) => {
    const { host, port } = await start(tls());
    const { ca, client } = certificates();
    const as = ["-CAfile", ca.cert, "-verify_return_error", "-cert", client.cert, "-key", client.key];
    const child = spawn(
      "openssl",
      ["s_client", "-connect", `127.0.0.1:${port}`, ...as, "-quiet", "-no_ign_eof"],
      {
        stdio: ["pipe", "ignore", "ignore"],
      },
    );
    const ended = once(child, "close");
    child.stdin.end(numbers.map((i) => framed(message(i))).join(""));
    await ended;
    await expect.poll(() => host.arrivals.length, SOON).toBe(numbers.length);
    expect(texts(host)).toEqual(numbers.map(event));
  });
});

describe.runIf(hasLogger)("logger", () => {
  test.each([
    ["TCP, octet-counted", "tcp", ["--tcp", "--octet-count"]],
    ["TCP, with a line each", "tcp", ["--tcp"]],
    ["TCP, RFC 3164", "tcp", ["--tcp", "--rfc3164"]],
    ["UDP", "udp", ["--udp"]],
  ])("over %s", async (_, scheme, args) => {
    const { host, port } = await start({ address: `${scheme}://127.0.0.1:0` });
    const format = args.includes("--rfc3164") ? [] : ["--rfc5424", "--msgid", "IHE+RFC-3881"];
    execFileSync("logger", ["--server", "127.0.0.1", "--port", port, ...args, ...format, "--size", "32KiB"], {
      input: numbers
        .slice(0, 50)
        .map((i) => `${event(i)}\n`)
        .join(""),
    });
    await expect.poll(() => host.arrivals.length, SOON).toBe(50);
    expect(texts(host)).toEqual(numbers.slice(0, 50).map(event));
  });
});

/** It listens on a free port of its own, and goes on as is said. */
async function startRsyslog(name: string, action: string, withTls = false): Promise<number> {
  const portFile = join(folder, `${name}.port`);
  const configuration = join(folder, `${name}.conf`);
  const drivers =
    made === undefined
      ? ""
      : `DefaultNetstreamDriverCAFile="${made.ca.cert}" DefaultNetstreamDriverCertFile="${made.server.cert}" DefaultNetstreamDriverKeyFile="${made.server.key}"`;
  writeFileSync(
    configuration,
    `global(workDirectory="${folder}" maxMessageSize="64k" net.enableDNS="off" ${drivers})
module(load="imtcp"${withTls ? ' StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="x509/certvalid"' : ""})
input(type="imtcp" address="127.0.0.1" port="0" listenPortFileName="${portFile}")
${action}
`,
  );
  const child: ChildProcess = spawn(
    "rsyslogd",
    ["-n", "-f", configuration, "-i", join(folder, `${name}.pid`)],
    {
      stdio: "ignore",
    },
  );
  stops.push(async () => {
    const ended = once(child, "close");
    child.kill("SIGTERM");
    await ended;
  });
  await expect
    .poll(() => existsSync(portFile) && Number(readFileSync(portFile, "utf8")), SOON)
    .toBeGreaterThan(0);
  return Number(readFileSync(portFile, "utf8"));
}

async function sendTo(port: number, text: string): Promise<void> {
  const socket = connect({ host: "127.0.0.1", port });
  socket.resume();
  socket.end(text);
  await once(socket, "close");
}

describe.runIf(hasRsyslogTls)("rsyslog", () => {
  test.each(["octet-counted", "traditional"])("over TLS, with %s framing", async (framing) => {
    const { host, port } = await start(tls());
    const rsyslog = await startRsyslog(
      framing,
      `action(type="omfwd" target="127.0.0.1" port="${port}" protocol="tcp" TCP_Framing="${framing}" template="RSYSLOG_SyslogProtocol23Format"
  StreamDriver="gtls" StreamDriverMode="1" StreamDriverAuthMode="x509/certvalid")`,
    );
    await sendTo(rsyslog, numbers.map((i) => counted(message(i))).join(""));
    await expect.poll(() => host.arrivals.length, SOON).toBe(numbers.length);
    expect(texts(host)).toEqual(numbers.map(event));
  });
});

describe.runIf(hasRsyslog)("rsyslog as the upstream", () => {
  test.each([
    ["tcp", "counted"],
    ["tcp", "lines"],
    ...(hasRsyslogTls ? [["tls", "counted"] as const] : []),
  ] as const)("over %s gets each message once and in order, framed: %s", async (scheme, framing) => {
    const name = `upstream-${scheme}-${framing}`;
    const file = join(folder, name);
    const upstream = await startRsyslog(
      name,
      `template(name="raw" type="string" string="%rawmsg%\\n")
action(type="omfile" file="${file}" template="raw" asyncWriting="off" ioBufferSize="1")`,
      scheme === "tls",
    );
    const as = scheme === "tls" ? { ...certificates().client, ca: certificates().ca.cert } : {};
    const to = { url: `${scheme}://127.0.0.1:${upstream}`, framing, unencrypted: false, ...as };
    const { host, port } = await start({ address: "tcp://127.0.0.1:0" }, { upstream: to });
    await sendTo(Number(port), numbers.map((i) => `${message(i)}\n`).join(""));
    await expect.poll(() => host.intake.forwards(1), SOON).toEqual([]);
    const got = () => (existsSync(file) ? readFileSync(file, "utf8") : "");
    await expect.poll(() => got().split("\n").length, SOON).toBe(numbers.length + 1);
    expect(got()).toBe(numbers.map((i) => `${message(i)}\n`).join(""));
  });
});
