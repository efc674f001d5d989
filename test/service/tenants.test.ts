import { API_KEY, KEY_ID, LOG_ID, TENANT_ID } from "@kedge/cli/contract/ids";
import { describe, expect, test } from "vitest";
import type { Store } from "../../platform/store.ts";
import {
  authenticate,
  createKey,
  createLog,
  createTenant,
  findTenantLog,
  listKeys,
  listLogs,
  MAX_KEYS,
  revokeKey,
} from "../../service/tenants.ts";
import { memoryStore } from "../support/memory-store.ts";

const LATEST = BigInt(Date.parse("9999-12-31T23:59:59.999Z"));

const newContext = () => {
  let now = 1_000;
  return {
    store: memoryStore(),
    clock: () => now,
    domain: "kedge.example",
    advance: (ms: number) => (now += ms),
  };
};

describe("API keys", () => {
  test("a key is its tenant's alone and its secret is stored nowhere", async () => {
    const ctx = newContext();
    const [a, b] = [await createTenant(ctx, "A"), await createTenant(ctx, "B")];
    const { apiKey, key } = await createKey(ctx, a.id, { name: "k", scopes: ["read"] });
    const principal = { tenant: a.id, scopes: ["read"], logs: "all", who: { kind: "api key", id: key.id } };
    expect(await authenticate(ctx, apiKey)).toEqual(principal);
    const { id: log } = await createLog(ctx, a.id, "l");
    const limited = await createKey(ctx, a.id, { name: "k", scopes: ["read"], log });
    expect(await authenticate(ctx, limited.apiKey)).toMatchObject({ tenant: a.id, logs: [log] });
    for (const [id, pattern] of [
      [a.id, TENANT_ID],
      [log, LOG_ID],
      [key.id, KEY_ID],
      [apiKey, API_KEY],
    ] as const) {
      expect(id).toMatch(pattern);
    }
    const secret = apiKey.split("_")[2] ?? "";
    const stored = ctx.store.items().flatMap((item) => Object.values(item));
    expect(stored.filter((value) => typeof value === "string" && value.includes(secret))).toEqual([]);
    expect(await listKeys(ctx, b.id)).toEqual([]);
    await expect(revokeKey(ctx, b.id, key.id)).rejects.toMatchObject({ code: "not_found" });
    expect(await authenticate(ctx, apiKey)).toBeDefined();
  });

  test("a key with one character changed, expired or revoked is nobody's", async () => {
    const ctx = newContext();
    const { id } = await createTenant(ctx, "A");
    const { apiKey, key } = await createKey(ctx, id, { name: "k", scopes: ["read"], expiresAt: 2_000n });
    for (let i = 0; i < apiKey.length; i++) {
      const other = apiKey[i] === "a" ? "b" : "a";
      expect(await authenticate(ctx, apiKey.slice(0, i) + other + apiKey.slice(i + 1))).toBeUndefined();
    }
    ctx.advance(999);
    expect(await authenticate(ctx, apiKey)).toBeDefined();
    ctx.advance(1);
    expect(await authenticate(ctx, apiKey)).toBeUndefined();

    const second = await createKey(ctx, id, { name: "k", scopes: ["read"] });
    await revokeKey(ctx, id, second.key.id);
    await revokeKey(ctx, id, second.key.id);
    expect(await authenticate(ctx, second.apiKey)).toBeUndefined();
    expect((await listKeys(ctx, id)).find((listed) => listed.id === key.id)?.revokedAt).toBeUndefined();
  });

  test("a tenant that rotates its keys can always make another; one with as many live ones cannot", async () => {
    const ctx = newContext();
    const { id } = await createTenant(ctx, "A");
    for (let i = 0; i < MAX_KEYS; i++) {
      const { key } = await createKey(ctx, id, { name: "k", scopes: ["write"] });
      if (i % 2 === 0) await revokeKey(ctx, id, key.id);
    }
    for (let i = 0; i < MAX_KEYS / 2; i++) await createKey(ctx, id, { name: "k", scopes: ["write"] });
    await expect(createKey(ctx, id, { name: "k", scopes: ["write"] })).rejects.toMatchObject({
      code: "conflict",
    });
  });

  test.each([
    ["no scope", { name: "k", scopes: [] }, "invalid"],
    ["an admin key limited to a log", { name: "k", scopes: ["admin"], log: "x" }, "invalid"],
    ["an expiry in the past", { name: "k", scopes: ["read"], expiresAt: 1_000n }, "invalid"],
    ["an expiry that no answer can say", { name: "k", scopes: ["read"], expiresAt: LATEST + 1n }, "invalid"],
    ["a log that is not there", { name: "k", scopes: ["read"], log: "x" }, "not_found"],
  ] as const)("%s is refused and stores nothing", async (_, key, code) => {
    const ctx = newContext();
    const { id } = await createTenant(ctx, "A");
    const before = ctx.store.items();
    await expect(createKey(ctx, id, key)).rejects.toMatchObject({ code });
    expect(ctx.store.items()).toEqual(before);
  });
});

describe("logs", () => {
  test("a log is found as its tenant's, and not as another's", async () => {
    const ctx = newContext();
    const [a, b] = [await createTenant(ctx, "A"), await createTenant(ctx, "B")];
    const [one, two] = [await createLog(ctx, a.id, "one"), await createLog(ctx, a.id, "two")];
    expect(one.origin).toBe(`kedge.example/log/${one.id}`);
    expect(await findTenantLog(ctx, a.id, two.id)).toEqual(two);
    expect(await findTenantLog(ctx, b.id, one.id)).toBeUndefined();
    expect(await listLogs(ctx, b.id)).toEqual([]);
  });

  test("a tenant's name stands in no id and no origin", async () => {
    const ctx = newContext();
    const tenant = await createTenant(ctx, "mercy");
    const log = await createLog(ctx, tenant.id, "mercy audit");
    expect(`${tenant.id} ${log.id} ${log.origin}`).not.toContain("mercy");
  });
});

test("a write that the SDK repeats because its answer was lost succeeds", async () => {
  const ctx = newContext();
  const repeating: Store = {
    ...ctx.store,
    async put(item, condition) {
      await ctx.store.put(item, condition);
      await ctx.store.put(item, condition);
    },
  };
  const tenant = await createTenant({ ...ctx, store: repeating }, "A");
  const log = await createLog({ ...ctx, store: repeating }, tenant.id, "l");
  const { apiKey } = await createKey({ ...ctx, store: repeating }, tenant.id, {
    name: "k",
    scopes: ["read"],
  });
  expect(await listLogs(ctx, tenant.id)).toEqual([log]);
  expect(await authenticate(ctx, apiKey)).toBeDefined();
});
