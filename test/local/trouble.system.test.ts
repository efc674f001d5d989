/** The system in this process, while its store cannot be written, as on a full disk. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bytesToHex, randomBytes } from "@noble/hashes/utils.js";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { z } from "zod";
import { service } from "../../functions/open.ts";
import { createTenantForOperator, type TenantCredentials } from "../../local/operator.ts";
import { type Local, startLocal } from "../../local/start.ts";
import { ServiceError } from "../../platform/error.ts";

let folder: string;
let local: Local;
let tenant: TenantCredentials;
const troubles: string[] = [];

beforeAll(async () => {
  vi.stubEnv("KEDGE_DOMAIN", "");
  vi.stubEnv("KEDGE_LOG_FILE", "");
  folder = await mkdtemp(join(tmpdir(), "kedge-trouble-"));
  const onTrouble = (message: string) => troubles.push(message);
  local = await startLocal({ data: join(folder, "data"), host: "127.0.0.1", port: 0, onTrouble });
  tenant = await createTenantForOperator({ name: "A", out: join(folder, "credentials.json") });
});
afterAll(async () => {
  await local.close();
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

const newHash = (): string => bytesToHex(randomBytes(32));
const ask = (path: string, method = "GET", body?: unknown) =>
  fetch(`${local.url}${path}`, {
    method,
    headers: { Authorization: `Bearer ${tenant.apiKey}`, "Content-Type": "application/json" },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
const post = (log: string, hash: string) => ask(`/v1/logs/${log}/entries`, "POST", { hashes: [hash] });

async function assurance(log: string, hash: string): Promise<string> {
  const answer = await ask(`/v1/logs/${log}/entries/${hash}`);
  return z.object({ assurance: z.string() }).parse(await answer.json()).assurance;
}
const untilSealed = (log: string, hash: string) =>
  vi.waitFor(async () => expect(await assurance(log, hash)).toMatch(/sealed|anchored|witnessed/), {
    timeout: 60_000,
  });

/** But for the count of their repetitions, which comes after a minute. */
async function sealErrors(): Promise<Record<string, unknown>[]> {
  const lines = (await readFile(join(folder, "data", "kedge.log"), "utf8")).split("\n").slice(0, -1);
  return lines
    .map((line): Record<string, unknown> => JSON.parse(line))
    .filter(({ level, event, times }) => level === "error" && event === "seal" && times === undefined);
}

test("a full disk: posts are refused with 503, reads go on, it is said once, and all goes on when there is room", async () => {
  const logs = [tenant.log];
  for (let n = 0; n < 5; n++) {
    const created = await ask("/v1/logs", "POST", { name: `log ${n}` });
    logs.push(z.object({ id: z.string() }).parse(await created.json()).id);
  }
  const sealed = newHash();
  expect((await post(tenant.log, sealed)).status).toBe(202);
  await untilSealed(tenant.log, sealed);

  const { store } = service();
  const full = new ServiceError("unavailable", "the store cannot be written (ENOSPC): make room on its disk");
  // First only what the sealer writes: what is accepted meanwhile must not be lost.
  const write = vi.spyOn(store, "write").mockRejectedValue(full);
  const waiting = logs.map((log) => ({ log, hash: newHash() }));
  for (const { log, hash } of waiting) expect((await post(log, hash)).status).toBe(202);
  await vi.waitFor(() => expect(write.mock.calls.length).toBeGreaterThanOrEqual(logs.length), {
    timeout: 60_000,
  });
  const put = vi.spyOn(store, "put").mockRejectedValue(full);
  const refused = await post(tenant.log, newHash());
  expect(refused.status).toBe(503);
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
  expect(await refused.json()).toMatchObject({ type: "urn:kedge:problem:unavailable" });
  expect((await ask(`/v1/logs/${tenant.log}/entries/${sealed}/proof`)).status).toBe(200);
  await vi.waitFor(async () => expect(await sealErrors()).toHaveLength(1), { timeout: 60_000 });

  put.mockRestore();
  await vi.waitFor(
    async () => {
      const ready = await ask("/readyz");
      expect([ready.status, await ready.json()]).toMatchObject([
        503,
        {
          reasons: expect.arrayContaining([
            expect.objectContaining({ part: "sealing", code: "unavailable" }),
          ]),
        },
      ]);
    },
    { timeout: 60_000 },
  );
  write.mockRestore();
  for (const { log, hash } of waiting) await untilSealed(log, hash);
  await vi.waitFor(async () => expect((await ask("/readyz")).status).toBe(200), { timeout: 60_000 });
  expect(await sealErrors()).toMatchObject([{ code: "unavailable", logs: expect.any(Number) }]);
  expect(troubles).toEqual([full.message]);
});
