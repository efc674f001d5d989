import { API_KEY, KEY_ID, LOG_ID, TENANT_ID } from "@kedge/cli/contract/ids";
import { MAX_OF_A_KIND } from "@kedge/cli/contract/limits";
import { describe, expect, test, vi } from "vitest";
import type { Store } from "../../platform/store.ts";
import { allLogs, logsKey } from "../../service/logs.ts";
import {
  authenticate,
  createKey,
  createLog,
  createTenant,
  findTenantLog,
  listKeys,
  listLogs,
  oldApiKeyKey,
  revokeKey,
  tenantLogKey,
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
    for (let i = 0; i < MAX_OF_A_KIND; i++) await createKey(ctx, id, { name: "k", scopes: ["write"] });
    for (const { id: key } of (await listKeys(ctx, id)).slice(0, 100)) await revokeKey(ctx, id, key);
    for (let i = 0; i < 100; i++) await createKey(ctx, id, { name: "k", scopes: ["write"] });
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

  test("a log that was found is not read again, one that is absent or another's is", async () => {
    const ctx = newContext();
    const [a, b] = [await createTenant(ctx, "A"), await createTenant(ctx, "B")];
    const log = await createLog(ctx, a.id, "one");
    const get = vi.spyOn(ctx.store, "get");
    const reads = async (tenant: string, id: string) => {
      get.mockClear();
      await findTenantLog(ctx, tenant, id);
      return get.mock.calls.length;
    };
    expect([await reads(a.id, log.id), await reads(a.id, log.id)]).toEqual([1, 0]);
    expect([await reads(b.id, log.id), await reads(b.id, log.id)]).toEqual([1, 1]);
  });

  test("a tenant's name stands in no id and no origin", async () => {
    const ctx = newContext();
    const tenant = await createTenant(ctx, "mercy");
    const log = await createLog(ctx, tenant.id, "mercy audit");
    expect(`${tenant.id} ${log.id} ${log.origin}`).not.toContain("mercy");
  });
});

describe("a tenant's 1,000 logs, and its 1,000 keys", () => {
  type Context = ReturnType<typeof newContext>;
  const KINDS = {
    logs: {
      create: (ctx: Context, tenant: string) => createLog(ctx, tenant, "l"),
      list: listLogs,
      old: (tenant: string, i: number) => ({ ...tenantLogKey(tenant, `old${i}`), origin: "o" }),
    },
    keys: {
      create: (ctx: Context, tenant: string) => createKey(ctx, tenant, { name: "k", scopes: ["write"] }),
      list: listKeys,
      old: (tenant: string, i: number) => ({
        ...oldApiKeyKey(tenant, `oldkey${100 + i}`),
        ...{ scopes: "write", hash: new Uint8Array(32) },
      }),
    },
  } as const;
  const stored = { name: "old", createdAt: 1n };
  /** With so many of them, made before there were places. */
  const tenantWith = async (kind: keyof typeof KINDS, count: number) => {
    const ctx = newContext();
    const { id } = await createTenant(ctx, "A");
    await ctx.store.write(
      Array.from({ length: count }, (_, i) => ({ ...KINDS[kind].old(id, i), ...stored })),
    );
    return { ctx, id };
  };
  const outcomes = async (tries: readonly Promise<unknown>[]) => {
    const settled = await Promise.allSettled(tries);
    const refused = settled.filter((each) => each.status === "rejected").map(({ reason }) => reason.code);
    return { made: settled.length - refused.length, codes: [...new Set(refused)] };
  };
  const racing = (count: number, make: () => Promise<unknown>) =>
    outcomes(Array.from({ length: count }, make));

  describe.each(["logs", "keys"] as const)("%s", (kind) => {
    const { create, list } = KINDS[kind];

    test.each([
      ["all made before there were places", 999],
      ["some of both", 900],
    ])("50 creations at once at 999 end at 1,000: %s", async (_, old) => {
      const { ctx, id } = await tenantWith(kind, old);
      expect(await racing(999 - old, () => create(ctx, id))).toEqual({ made: 999 - old, codes: [] });
      expect(await racing(50, () => create(ctx, id))).toEqual({ made: 1, codes: ["conflict"] });
      const all = (await list(ctx, id)).map((each) => each.id);
      expect([all.length, new Set(all).size]).toEqual([1_000, 1_000]);
    });

    test("a creation that dies at any of its writes takes no room, and one that was made counts", async () => {
      const { ctx, id } = await tenantWith(kind, 998);
      for (let dies = 0; dies < 4; dies++) {
        for (const persisted of [false, true]) {
          let writes = 0;
          const failing: Pick<Store, "put"> = {
            async put(item, condition) {
              const isLast = writes++ === dies;
              if (!isLast || persisted) await ctx.store.put(item, condition);
              if (isLast) throw new Error("killed");
            },
          };
          await create({ ...ctx, store: { ...ctx.store, ...failing } }, id).catch(() => undefined);
        }
      }
      const before = (await list(ctx, id)).length;
      expect(before).toBeLessThanOrEqual(1_000);
      expect(await racing(5, () => create(ctx, id))).toEqual({
        made: 1_000 - before,
        codes: ["conflict"],
      });
      expect(await list(ctx, id)).toHaveLength(1_000);
    });
  });

  test("what lost a race for a log leaves nothing for sweeps to walk but the log that won", async () => {
    const { ctx, id } = await tenantWith("logs", 995);
    await racing(50, () => createLog(ctx, id, "l"));
    const own = (await listLogs(ctx, id)).map((log) => log.id).filter((log) => !log.startsWith("old"));
    const registered: string[] = [];
    for await (const log of allLogs(ctx.store)) registered.push(log.id);
    expect(registered.sort()).toEqual(own.sort());
    expect(await ctx.store.get([logsKey("nothing")])).toEqual([undefined]);
  });

  test("the room of dead keys is one key's each, however many want it at once", async () => {
    const { ctx, id } = await tenantWith("keys", 950);
    const made = await Promise.all(
      Array.from({ length: 50 }, () => createKey(ctx, id, { name: "k", scopes: ["write"] })),
    );
    for (const { key } of made.slice(0, 3)) await revokeKey(ctx, id, key.id);
    ctx.advance(1);
    expect(await racing(50, () => KINDS.keys.create(ctx, id))).toEqual({ made: 3, codes: ["conflict"] });
    const listed = await listKeys(ctx, id);
    expect([listed.length, listed.filter(({ revokedAt }) => revokedAt !== undefined)]).toEqual([1_000, []]);
    for (const { apiKey, key } of made.slice(0, 3)) {
      expect(await authenticate(ctx, apiKey)).toBeUndefined();
      await expect(revokeKey(ctx, id, key.id)).rejects.toMatchObject({ code: "not_found" });
    }
    for (const { apiKey } of made.slice(3)) expect(await authenticate(ctx, apiKey)).toBeDefined();
  });

  test("dead keys made before there were places give way too", async () => {
    const { ctx, id } = await tenantWith("keys", 1_000);
    for (const { id: key } of (await listKeys(ctx, id)).slice(0, 2)) {
      await ctx.store.put({
        ...oldApiKeyKey(id, key.slice(id.length)),
        ...{ ...stored, scopes: "write", hash: new Uint8Array(32), revokedAt: 2n },
      });
    }
    expect(await racing(9, () => KINDS.keys.create(ctx, id))).toEqual({ made: 2, codes: ["conflict"] });
    expect(await listKeys(ctx, id)).toHaveLength(1_000);
  });

  test("ids of logs tell neither whose they are nor that they belong together", async () => {
    const { ctx, id } = await tenantWith("logs", 0);
    const other = await createTenant(ctx, "B");
    const ids = await Promise.all(
      [id, other.id].flatMap((tenant) => Array.from({ length: 20 }, () => createLog(ctx, tenant, "l"))),
    );
    expect(ids.every((log) => LOG_ID.test(log.id))).toBe(true);
    expect(new Set(ids.map((log) => log.id.slice(0, 8))).size).toBe(40);
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
