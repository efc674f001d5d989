/** The system in this process, under hostile clients and a hostile environment. */
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatVkey } from "@kedge/verify/tlog/note";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { service } from "../../functions/open.ts";
import { readEnvironment } from "../../local/open.ts";
import { createTenantForOperator, readCredentials, type TenantCredentials } from "../../local/operator.ts";
import { type Local, startLocal } from "../../local/start.ts";
import { ed25519Cosigner } from "../packages/verify/tlog/signers.ts";

let folder: string;
let data: string;
let local: Local;
let tenant: TenantCredentials;

beforeAll(async () => {
  // What a developer's shell may hold.
  vi.stubEnv("AWS_PROFILE", "someone-else");
  vi.stubEnv("AWS_SESSION_TOKEN", "a token of someone else");
  vi.stubEnv("KEDGE_DOMAIN", "");
  vi.stubEnv("KEDGE_LOG_FILE", "");
  folder = await mkdtemp(join(tmpdir(), "kedge-start-"));
  data = join(folder, "data");
  local = await startLocal({ data, host: "127.0.0.1", port: 0 });
  tenant = await createTenantForOperator({ name: "A", out: join(folder, "credentials.json") });
});
afterAll(async () => {
  await local.close();
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

async function dial(): Promise<Socket> {
  const socket = connect(Number(new URL(local.url).port), "127.0.0.1").on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** A POST whose body does not come to its end. */
const half = () =>
  `POST /v1/logs/${tenant.log}/entries HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${tenant.apiKey}\r\n` +
  'Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"hashes":';

async function logged(): Promise<Record<string, unknown>[]> {
  const text = await readFile(join(data, "kedge.log"), "utf8");
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line));
}

describe("what cannot be started leaves nothing behind", () => {
  test.each([-1, 65_536, 99_999, 0.5, Number.NaN])(
    "the port %d is refused before anything is made",
    async (port) => {
      const fresh = join(folder, "fresh");
      const started = startLocal({ data: fresh, host: "127.0.0.1", port });
      await expect(started).rejects.toMatchObject({ code: "invalid" });
      expect(existsSync(fresh)).toBe(false);
    },
  );

  test.skipIf(process.platform !== "linux")("a folder that cannot be made is refused at once", async () => {
    const started = startLocal({ data: "/proc/nope", host: "127.0.0.1", port: 0 });
    await expect(started).rejects.toMatchObject({ code: "unavailable" });
  });
});

describe("a log that witnesses had to cosign", () => {
  test("is not started without its policy because a variable was forgotten", async () => {
    const witnessed = join(folder, "witnessed");
    await mkdir(join(witnessed, "published/anchor"), { recursive: true });
    const { vkey } = ed25519Cosigner("w.example/witness");
    const policy = `witness w ${formatVkey(vkey)}\nquorum w\n`;
    await writeFile(join(witnessed, "published/anchor/policy"), policy);
    const started = startLocal({ data: witnessed, host: "127.0.0.1", port: 0 });
    await expect(started).rejects.toMatchObject({
      code: "invalid",
      message: expect.stringContaining("KEDGE_POLICY"),
    });
  });
});

describe("a tenant for the operator", () => {
  async function logs(): Promise<unknown[]> {
    const found: unknown[] = [];
    for await (const item of service().store.query({ pk: "logs" })) found.push(item);
    return found;
  }

  test("its credentials are its owner's only, and come back as they were given", async () => {
    const out = join(folder, "credentials.json");
    expect((await stat(out)).mode & 0o777).toBe(0o600);
    expect(await readCredentials(out)).toEqual(tenant);
  });

  test("without a file for its keys, nothing is created", async () => {
    const before = await logs();
    const taken = join(folder, "taken");
    await writeFile(taken, "mine");
    const outs: [string, string][] = [
      [taken, "conflict"],
      [folder, "conflict"],
      [join(folder, "absent", "a.json"), "invalid"],
      [join(taken, "a.json"), "invalid"],
    ];
    for (const [out, code] of outs) {
      await expect(createTenantForOperator({ name: "A", out })).rejects.toMatchObject({ code });
    }
    expect(await readFile(taken, "utf8")).toBe("mine");
    expect(await logs()).toEqual(before);
  });

  test("a name that is empty, long or has control characters is refused", async () => {
    const out = join(folder, "never.json");
    const control = fc.constantFrom("\0", "\n", "\x1b", "\x7f", "\x9b", "\ud800");
    const name = fc.oneof(
      fc.constant(""),
      fc.string({ minLength: 101 }),
      fc.tuple(fc.string(), control, fc.string()).map((parts) => parts.join("")),
    );
    await fc.assert(
      fc.asyncProperty(name, async (text) => {
        const created = createTenantForOperator({ name: text, out });
        await expect(created).rejects.toMatchObject({ code: "invalid" });
      }),
    );
    expect(existsSync(out)).toBe(false);
  });

  test("of two that race for one file, one gets it", async () => {
    const out = join(folder, "raced.json");
    const made = await Promise.allSettled([1, 2, 3].map(() => createTenantForOperator({ name: "A", out })));
    const [winner, ...others] = made.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    expect(others).toEqual([]);
    expect(await readCredentials(out)).toEqual(winner);
  });
});

describe("hostile clients", () => {
  test("one that does not read what it asks for costs no memory for each answer", async () => {
    await fetch(`${local.url}/docs/swagger-ui-bundle.js`).then((response) => response.arrayBuffer());
    const asset = "/docs/swagger-ui-bundle.js";
    const before = { memory: process.memoryUsage().external, requests: (await logged()).length };
    const socket = await dial();
    socket.pause();
    socket.write(`GET ${asset} HTTP/1.1\r\nHost: a\r\n\r\n`.repeat(100));
    // Those beyond the limit of a connection would be answered 503 and not logged.
    const answered = async () =>
      (await logged()).slice(before.requests).filter(({ route }) => route === asset).length;
    await expect.poll(answered, { timeout: 30_000 }).toBe(100);
    expect(process.memoryUsage().external - before.memory).toBeLessThan(30_000_000);
    socket.destroy();
  });

  test("one that hangs up in the middle of a body is no failure of the service", async () => {
    const before = (await logged()).length;
    const socket = await dial();
    socket.write(half());
    // An answer on a later connection shows that the request is under way.
    await fetch(`${local.url}/healthz`);
    socket.destroy();
    const about = async () =>
      (await logged()).slice(before).find(({ route }) => route === "/v1/logs/:log/entries");
    await expect
      .poll(about, { timeout: 30_000 })
      .toMatchObject({ level: "info", status: 400, code: "invalid" });
  });
});

describe("the environment that it shares", () => {
  test("has a new access key id, and is its owner's only", async () => {
    const path = join(data, "environment.json");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const environment = await readEnvironment(data);
    expect(environment["AWS_ACCESS_KEY_ID"]).toMatch(/^[0-9a-f]{32}$/);
    expect(environment).not.toHaveProperty("AWS_SESSION_TOKEN");
    expect((await readdir(data)).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  test("goes with it; what kill -9 leaves is recognised", async () => {
    const path = join(data, "environment.json");
    const text = await readFile(path, "utf8");
    const stuck = await dial();
    stuck.write(half());
    await fetch(`${local.url}/healthz`);
    const ended = once(stuck, "close");
    // Not for ever: a stuck connection is cut.
    await local.close();
    await ended;
    expect(existsSync(path)).toBe(false);
    const refusal = { code: "unavailable", message: expect.stringContaining("npm start") };
    await expect(readEnvironment(data)).rejects.toMatchObject(refusal);
    await writeFile(path, text);
    await expect(readEnvironment(data)).rejects.toMatchObject(refusal);
  });
});
