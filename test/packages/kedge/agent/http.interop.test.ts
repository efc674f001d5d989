/** curl as a sender, against the journal itself. What a machine lacks is skipped, and said. */
import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { fhirSchema, openFhir } from "@kedge/cli/agent/http";
import { openJournal } from "@kedge/cli/journal/journal";
import type { EpochKeys } from "@kedge/cli/journal/types";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import type * as z from "zod";
import { hasOpenssl, makeCertificates } from "./certificates.ts";

const hasCurl = spawnSync("curl", ["--version"]).status === 0;
if (!hasCurl) process.stderr.write("skipped: there is no curl\n");
const made = hasCurl && hasOpenssl ? makeCertificates() : undefined;
if (hasCurl && !hasOpenssl) process.stderr.write("skipped: there is no openssl, so there is no TLS\n");
const folder = mkdtempSync(join(tmpdir(), "kedge-curl-"));
afterAll(() => {
  made?.remove();
  rmSync(folder, { recursive: true, force: true });
});
const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

const tenantKey = new Uint8Array(32).fill(5);
const keys: EpochKeys = {
  current: () => ({ epoch: 0, tenantKey }),
  of: (epoch) => (epoch === 0 ? { epoch, tenantKey } : undefined),
};

async function start(listen: z.input<typeof fhirSchema>["listen"]) {
  const journal = await openJournal({ folder: mkdtempSync(join(folder, "journal-")), keys });
  const controller = new AbortController();
  const host = {
    intake: await journal.intake("fhir"),
    signal: controller.signal,
    trouble: () => undefined,
    count: () => undefined,
  };
  const source = openFhir(fhirSchema.parse({ kind: "fhir", name: "fhir", listen }), host);
  const done = source.run();
  const { url = "" } = await source.ready();
  stops.push(async () => {
    controller.abort();
    await done;
    await journal.close();
  });
  const events = () =>
    [...journal.entries("fhir")].map(({ bytes = new Uint8Array() }) => new TextDecoder().decode(bytes));
  return { url, events };
}

const run = promisify(execFile);
/** Whatever the configuration of the machine is. @returns the status and the body */
async function curl(...args: string[]): Promise<{ status: number; body: string }> {
  const { stdout } = await run("curl", ["-q", "-sS", "--max-time", "120", "-w", "\n%{http_code}", ...args]);
  const at = stdout.lastIndexOf("\n");
  return { status: Number(stdout.slice(at + 1)), body: stdout.slice(0, at) };
}
let files = 0;
function file(content: string | Uint8Array): string {
  const path = join(folder, `body-${files++}`);
  writeFileSync(path, content);
  return `@${path}`;
}

const JSON_TYPE = ["-H", "Content-Type: application/fhir+json"];
const XML_TYPE = ["-H", "Content-Type: application/fhir+xml"];
const EVENT = `{"resourceType" : "AuditEvent",\r\n "outcomeDesc":"größer"}`;
const XML = `<AuditEvent xmlns="http://hl7.org/fhir"><outcomeDesc value="größer"/></AuditEvent>`;

describe.skipIf(!hasCurl)("curl", () => {
  test("posts resources in JSON and XML, whole, in chunks and in gzip: each is in the journal byte for byte", async () => {
    const { url, events } = await start({ address: "http://127.0.0.1:0" });
    const at = `${url}/AuditEvent`;
    expect(await curl(...JSON_TYPE, "--data-binary", file(EVENT), at)).toEqual({ status: 201, body: "" });
    expect((await curl(...XML_TYPE, "--data-binary", file(XML), at)).status).toBe(201);
    const chunked = ["-H", "Transfer-Encoding: chunked"];
    expect((await curl(...JSON_TYPE, ...chunked, "--data-binary", file(EVENT), at)).status).toBe(201);
    const gzip = ["-H", "Content-Encoding: gzip"];
    expect((await curl(...JSON_TYPE, ...gzip, "--data-binary", file(gzipSync(EVENT)), at)).status).toBe(201);
    expect(events()).toEqual([EVENT, XML, EVENT, EVENT]);
  });

  test("posts a transaction that is so large that it waits for 100 (Continue)", async () => {
    const { url, events } = await start({ address: "http://127.0.0.1:0" });
    const entry = `{"resource":${EVENT},"request":{"method":"POST","url":"AuditEvent"}}`;
    const bundle = `{"resourceType":"Bundle","type":"transaction","entry":[${Array(9000).fill(entry).join()}]}`;
    const expecting = ["-H", "Expect: 100-continue"];
    const { status, body } = await curl(...JSON_TYPE, ...expecting, "--data-binary", file(bundle), url);
    expect(status).toBe(200);
    expect(JSON.parse(body)).toMatchObject({ type: "transaction-response", entry: { length: 9000 } });
    expect(events()).toEqual(Array(9000).fill(EVENT));
  });

  test("is refused with an outcome what it may not do, and an announced body that is too long before it is sent", async () => {
    const { url, events } = await start({ address: "http://127.0.0.1:0" });
    const { status, body } = await curl(
      ...JSON_TYPE,
      "--data-binary",
      file(" ".repeat(2 << 20)),
      `${url}/AuditEvent`,
    );
    expect(status).toBe(413);
    expect(JSON.parse(body)).toMatchObject({ resourceType: "OperationOutcome" });
    expect((await curl("-X", "DELETE", `${url}/AuditEvent/1`)).status).toBe(405);
    expect(JSON.parse((await curl(`${url}/metadata`)).body)).toMatchObject({ kind: "instance" });
    expect(events()).toEqual([`{"kind":"overlong"}`]);
  });

  test.skipIf(made === undefined)("shows its certificate, or a token, or gets nowhere", async () => {
    if (made === undefined) return;
    const posted = ["--cacert", made.ca.cert, ...JSON_TYPE, "--data-binary", file(EVENT)];
    const { cert, key } = made.server;
    const asking = await start({
      address: "https://127.0.0.1:0",
      tls: { cert, key, clientCa: made.ca.cert },
    });
    const as = ({ cert, key }: { cert: string; key: string }) => ["--cert", cert, "--key", key];
    expect((await curl(...posted, ...as(made.client), `${asking.url}/AuditEvent`)).status).toBe(201);
    await expect(curl(...posted, ...as(made.stranger), `${asking.url}/AuditEvent`)).rejects.toThrow();
    await expect(curl(...posted, `${asking.url}/AuditEvent`)).rejects.toThrow();
    await expect(curl(...posted, asking.url.replace("https", "http"))).rejects.toThrow();
    expect(asking.events()).toEqual([EVENT]);

    const token = "t".repeat(32);
    const tokenFile = file(token).slice(1);
    const open = await start({ address: "https://127.0.0.1:0", tls: { cert, key }, tokenFile });
    const bearing = (given: string) => ["-H", `Authorization: Bearer ${given}`];
    expect((await curl(...posted, ...bearing(token), `${open.url}/AuditEvent`)).status).toBe(201);
    expect((await curl(...posted, ...bearing(`${token}t`), `${open.url}/AuditEvent`)).status).toBe(401);
    expect((await curl(...posted, `${open.url}/AuditEvent`)).status).toBe(401);
    expect(open.events()).toEqual([EVENT]);
  });
});
