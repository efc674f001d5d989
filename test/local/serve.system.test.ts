/** The system as a person starts it: `kedge serve` as a process of its own, stopped and killed. */
import type { ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { openClient } from "@kedge/cli/client/api";
import { verifyEvent } from "@kedge/verify/proof/verify";
import { parseVkey } from "@kedge/verify/tlog/note";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { kedge } from "../cli/run.ts";
import { addressIn, serve, spawnServe, stop } from "../support/serve.ts";

let folder: string;
let data: string;
let running: ChildProcess | undefined;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-serve-"));
  data = join(folder, "data");
});
afterAll(async () => {
  running?.kill("SIGKILL");
  await rm(folder, { recursive: true, force: true });
});

/** Starts it and returns what it printed until it was ready. */
async function start(): Promise<{ output: string; child: ChildProcess }> {
  const started = await serve({ cwd: folder, data });
  running = started.child;
  return started;
}

async function credentials() {
  return JSON.parse(await readFile(join(data, "credentials.json"), "utf8"));
}

describe("the first run, then kill -9, then Ctrl-C", () => {
  test("the first run shows a proof verified offline, and leaves credentials and a proof for its owner only", async () => {
    const { output, child } = await start();
    expect(output).toMatch(/verify +offline.*PROVEN, anchored/);

    const { mode } = await stat(join(data, "credentials.json"));
    expect(mode & 0o777).toBe(0o600);
    const given = await credentials();
    const members = ["url", "tenant", "log", "apiKey", "tenantKey", "logVkey", "anchorVkey"];
    expect(Object.keys(given)).toEqual(expect.arrayContaining(members));
    expect(output).not.toContain(given.apiKey);
    expect(output).not.toContain(given.tenantKey);

    const event = join(data, "demo", "break-the-glass.json");
    const verified = await kedge(["verify", event, `${event}.tlog-proof`], {
      cwd: folder,
      env: { KEDGE_DATA: data },
    });
    expect(verified).toMatchObject({ code: 0, err: "" });
    expect(await stop(child, "SIGINT")).toBe(0);
  });

  test("kill -9 in the middle of traffic loses nothing that was acknowledged", async () => {
    const { output, child } = await start();
    expect(output).not.toContain("demonstration");
    const given = await credentials();
    const acknowledged: Uint8Array[] = [];
    const client = openClient({ url: addressIn(output), apiKey: given.apiKey, attempts: 1 });
    const exited = once(child, "exit");
    const poster = async () => {
      for (;;) {
        const commitments = Array.from({ length: 50 }, () => new Uint8Array(randomBytes(32)));
        try {
          await client.post(given.log, commitments);
        } catch {
          return;
        }
        acknowledged.push(...commitments);
        if (acknowledged.length === 2_000) child.kill("SIGKILL");
      }
    };
    await Promise.all([poster(), poster(), poster(), poster()]);
    await exited;
    expect(acknowledged.length).toBeGreaterThanOrEqual(2_000);

    const again = await start();
    const reader = openClient({ url: addressIn(again.output), apiKey: given.apiKey });
    const keys = { logVkeys: [parseVkey(given.logVkey)], anchorVkeys: [] };
    const waiting = new Set(acknowledged);
    while (waiting.size > 0) {
      const asked = [...waiting];
      let i = 0;
      for await (const answer of reader.proofs(given.log, asked)) {
        const commitment = asked[i++] ?? new Uint8Array();
        if (answer.state === "unknown") throw new Error("an acknowledged entry is unknown after kill -9");
        if (answer.state === "pending") break;
        waiting.delete(commitment);
        // Every signature is the same few checkpoints': a sample is enough here.
        if (i % 100 === 0)
          expect(verifyEvent({ ...keys, commitment, proof: answer.proof }).proven).toBe(true);
      }
    }
    expect(await stop(again.child, "SIGTERM")).toBe(0);
  });

  test("a second process on the same data is refused and harms nothing", async () => {
    const { child } = await start();
    const second = await kedge(["serve", "--port", "0"], { cwd: folder, env: { KEDGE_DATA: data } });
    expect(second.code).toBe(1);
    expect(second.err).toMatch(/Kedge runs on .*data already, at http.*stop that first/);
    expect(child.exitCode).toBeNull();
    expect(await stop(child, "SIGINT")).toBe(0);
  });

  test.each(["credentials.json", "demo"])(
    "a first run that was killed before it wrote %s is made good by the next",
    async (unwritten) => {
      const proof = join(data, "demo", "break-the-glass.json.tlog-proof");
      await rm(proof);
      if (unwritten === "credentials.json") await rm(join(data, unwritten));
      const { output, child } = await start();
      expect(output).toMatch(/verify +offline.*PROVEN, anchored/);
      expect(output).toContain(proof);
      expect((await credentials()).apiKey).toMatch(/^kedge_/);
      expect(await stop(child, "SIGINT")).toBe(0);
    },
  );

  test("a file that was deleted is not shown", async () => {
    await rm(join(data, "demo"), { recursive: true });
    await writeFile(join(data, "credentials.json"), '{"url":"http://an.own.one"}');
    const { output, child } = await start();
    expect(output).not.toContain("break-the-glass");
    expect(await stop(child, "SIGINT")).toBe(0);
  });

  test("signing keys that are missing beside a published log are never made anew", async () => {
    const keys = join(data, "keys.json");
    const text = await readFile(keys, "utf8");
    await rm(keys);
    const refused = await kedge(["serve", "--port", "0"], { cwd: folder, env: { KEDGE_DATA: data } });
    expect(refused.code).toBe(1);
    expect(refused.err).toContain("keys.json is missing");
    expect(existsSync(keys)).toBe(false);
    expect(text).not.toBe("");
  });
});

test("a log that cannot be sealed is told of on the terminal, once", async () => {
  const fresh = join(folder, "trouble");
  const { child: first } = await serve({ cwd: folder, data: fresh });
  running = first;
  await stop(first, "SIGINT");
  await writeFile(join(fresh, "published", "logs", "anchor", "head"), "altered\n");

  const second = spawnServe({ cwd: folder, data: fresh });
  running = second;
  second.stdout.resume();
  for await (const line of createInterface({ input: second.stderr })) {
    expect(line).toMatch(/logs\/anchor\/head is not a tree head.*docs\/operations\.md/);
    break;
  }
  expect(await stop(second, "SIGINT")).toBe(0);
});

test("a store that is taken away under the server is 503 and a line on the terminal, and goes on once it is back", async () => {
  const fresh = join(folder, "away");
  const { child, output } = await serve({ cwd: folder, data: fresh });
  running = child;
  const { apiKey, log } = JSON.parse(await readFile(join(fresh, "credentials.json"), "utf8"));
  const body = JSON.stringify({ hashes: ["ab".repeat(32)] });
  const headers = { Authorization: `Bearer ${apiKey}`, "Content-Type": "application/json" };
  const post = () => fetch(`${addressIn(output)}/v1/logs/${log}/entries`, { method: "POST", headers, body });

  let told = "";
  child.stderr?.on("data", (text: string) => {
    told += text;
  });
  await rename(join(fresh, "store"), join(folder, "taken"));
  expect((await post()).status).toBe(503);
  await vi.waitUntil(() => told.includes("\n"), { timeout: 60_000 });
  expect(told).toMatch(/the files of the store in .*store were removed or replaced.*; see .*kedge\.log/);
  expect(told).not.toMatch(/^ +at /m);
  await rename(join(folder, "taken"), join(fresh, "store"));
  expect((await post()).status).toBe(202);
  const reader = openClient({ url: addressIn(output), apiKey });
  const isSealed = async () => {
    for await (const answer of reader.proofs(log, [new Uint8Array(32).fill(0xab)]))
      return answer.state === "proof";
    return false;
  };
  await vi.waitUntil(isSealed, { timeout: 60_000 });
  expect(await stop(child, "SIGINT")).toBe(0);
});
