import { readdirSync, readFileSync } from "node:fs";
import { ALL_SCOPES } from "@kedge/cli/contract/ids";
import { parsePolicy } from "@kedge/verify/tlog/policy";
import { randomBytes } from "@noble/hashes/utils.js";
import { beforeEach, describe, expect, test } from "vitest";
import { ServiceError } from "../../platform/error.ts";
import { newFilters } from "../../service/index/filters.ts";
import type { Principal } from "../../service/principal.ts";
import { createKey, createLog, createTenant } from "../../service/tenants.ts";
import { verbs } from "../../service/verbs.ts";
import { memoryIndex } from "../support/memory-index.ts";
import { memoryStore } from "../support/memory-store.ts";

/** Two tenants with two logs each and a key, in memory, and the partitions that have been read. */
async function start() {
  const memory = memoryStore();
  const reads: string[] = [];
  const store = {
    ...memory,
    get: (keys: Parameters<typeof memory.get>[0]) => {
      reads.push(...keys.map(({ pk }) => pk));
      return memory.get(keys);
    },
    query: (query: Parameters<typeof memory.query>[0]) => {
      reads.push(query.pk);
      return memory.query(query);
    },
  };
  const publicKey = randomBytes(32);
  const signer = { publicKey: async () => publicKey, sign: async () => randomBytes(64) };
  const logKeys = { ed25519: [signer], mldsa44: [] };
  const policy = parsePolicy("quorum none\n");
  const index = { index: memoryIndex(), filters: newFilters(1_000_000) };
  const ctx = { store, ...index, clock: () => 1_000, domain: "kedge.example", policy, logKeys };
  const tenant = async () => {
    const { id } = await createTenant(ctx, "a hospital");
    const [log, other] = [await createLog(ctx, id, "ward 7"), await createLog(ctx, id, "ward 9")];
    const { key } = await createKey(ctx, id, { name: "agent", scopes: ["read"] });
    return { id, log: log.id, other: other.id, key: key.id };
  };
  return { ctx, items: memory.items, reads, a: await tenant(), b: await tenant() };
}

let world: Awaited<ReturnType<typeof start>>;
beforeEach(async () => {
  world = await start();
});

const principal = (limits: Partial<Principal> = {}): Principal => ({
  tenant: world.a.id,
  scopes: ALL_SCOPES,
  logs: "all",
  who: { kind: "person", id: `${world.a.id}${"a".repeat(26)}`, subject: "local", role: "administrator" },
  ...limits,
});

const WALK = Object.entries(verbs).filter(([, { scopes }]) => scopes.length > 0);
const ABOUT_SESSIONS = Object.entries(verbs).filter(([, { scopes }]) => scopes.length === 0);
const ABOUT_LOGS = WALK.filter(([, { about }]) => about === "log");

/** Whether a verb opens, or the error of the refusal: it must be all that can be told of it. */
const answer = (opening: Promise<unknown>): Promise<unknown> =>
  opening.then(
    () => "opens",
    (error: unknown) => error,
  );

describe("I7 isolation: a verb", () => {
  test.each(WALK)(
    "%s opens with each of its scopes, and without them is forbidden before anything is read",
    async (_, verb) => {
      const { a, b, ctx, reads, items } = world;
      for (const scope of verb.scopes) {
        expect(await answer(verb.open(ctx, principal({ scopes: [scope] }), a.log))).toBe("opens");
      }
      const before = items();
      reads.length = 0;
      for (const scopes of [ALL_SCOPES.filter((scope) => !verb.scopes.includes(scope)), []]) {
        for (const log of [a.log, b.log, "a".repeat(19), ""]) {
          const refusal = await answer(verb.open(ctx, principal({ scopes }), log));
          expect(refusal).toMatchObject({ code: "forbidden" });
          expect(refusal).toEqual(await answer(verb.open(ctx, principal({ scopes }), a.log)));
        }
      }
      expect([reads, items()]).toEqual([[], before]);
    },
  );

  test.each(ABOUT_SESSIONS)("%s is for whoever is signed in, and no API key opens it", async (_, verb) => {
    const { a, ctx } = world;
    expect(await answer(verb.open(ctx, principal({ scopes: [] }), ""))).toBe("opens");
    const key = { kind: "api key", id: a.key } as const;
    expect(await answer(verb.open(ctx, principal({ who: key }), ""))).toMatchObject({ code: "forbidden" });
  });

  test.each(ABOUT_LOGS)("%s finds another tenant's log as little as one that is absent", async (_, verb) => {
    const { a, b, ctx, reads } = world;
    const absent = await answer(verb.open(ctx, principal(), "a".repeat(19)));
    expect(absent).toMatchObject({ code: "not_found" });
    for (const log of [b.log, b.other, "anchor", "", "../head", "A".repeat(19), "a".repeat(5_000)]) {
      expect(await answer(verb.open(ctx, principal(), log))).toEqual(absent);
    }
    expect(await answer(verb.open(ctx, principal({ tenant: b.id }), a.log))).toEqual(absent);
    expect(reads.every((pk) => pk === `tenant/${a.id}` || pk === `tenant/${b.id}`)).toBe(true);
  });

  test.each(ABOUT_LOGS)("%s finds no log beyond those that the principal is limited to", async (_, verb) => {
    const { a, b, ctx } = world;
    const absent = await answer(verb.open(ctx, principal(), "a".repeat(19)));
    const limited = principal({ logs: [a.log, b.log] });
    expect(await answer(verb.open(ctx, limited, a.log))).toBe("opens");
    for (const log of [a.other, b.log]) expect(await answer(verb.open(ctx, limited, log))).toEqual(absent);
    for (const log of [a.log, a.other]) {
      expect(await answer(verb.open(ctx, principal({ logs: [] }), log))).toEqual(absent);
    }
  });
});

describe("I7 isolation: what is about a tenant", () => {
  test("lists that tenant's logs and keys, and no other's", async () => {
    const { a, ctx } = world;
    const logs = await (await verbs.listLogs.open(ctx, principal(), ""))();
    expect(logs.map(({ id }) => id).sort()).toEqual([a.log, a.other].sort());
    const limited = principal({ logs: [a.other, world.b.log] });
    const some = await (await verbs.listLogs.open(ctx, limited, ""))();
    expect(some.map(({ id }) => id)).toEqual([a.other]);
    const keys = await (await verbs.listKeys.open(ctx, principal(), ""))();
    expect(keys.map(({ id }) => id)).toEqual([a.key]);
  });

  test("changes nothing of another's", async () => {
    const { b, ctx, items } = world;
    const before = items();
    const revoke = await verbs.revokeKey.open(ctx, principal(), "");
    const create = await verbs.createKey.open(ctx, principal(), "");
    for (const id of [b.key, "a".repeat(25), `${world.a.id}${"b".repeat(2_000)}`, ""]) {
      await expect(revoke(id)).rejects.toMatchObject({ code: "not_found" });
    }
    const key = { name: "k", scopes: ["read"], log: b.log } as const;
    await expect(create(key)).rejects.toMatchObject({ code: "not_found" });
    expect(items()).toEqual(before);
  });
});

/** Of service/, what a door may call: verbs, what is public, whose a key or session is, and signing in. Types do nothing. */
/** Readiness tells of no tenant; isIndexFault tells an error from others, and reads nothing. */
const DOORS_MAY_CALL = [
  "verbs.ts verbs",
  "public.ts *",
  "tenants.ts authenticate",
  "people.ts authenticateSession",
  "sign-in.ts signInByLink",
  "sign-in.ts signInByStart",
  "sign-in.ts signInByProvider",
  "sign-in.ts whereToSignIn",
  "runs.ts readiness",
  "index/fault.ts isIndexFault",
];

test("a door reaches what is a tenant's through a verb alone", () => {
  const folder = new URL("../../functions/http/", import.meta.url);
  const called = readdirSync(folder).flatMap((file) => {
    const text = readFileSync(new URL(file, folder), "utf8");
    expect([file, text.match(/platform\/(?:store|table|dynamodb)|import\(/)]).toEqual([file, null]);
    return [...text.matchAll(/import (?!type)\{([^}]*)\} from "\.\.\/\.\.\/service\/([^"]+)"/g)].flatMap(
      ([, names = "", module]) =>
        names
          .split(",")
          .map((name) => name.trim())
          .filter((name) => name !== "" && !name.startsWith("type "))
          .map((name) => (module === "public.ts" ? "public.ts *" : `${module} ${name}`)),
    );
  });
  expect(new Set(called)).toEqual(new Set(DOORS_MAY_CALL));
});

test("of a flood of exports so many a minute are events, and a link's keep no person's out", async () => {
  const { ctx, a, items } = world;
  const who = { kind: "link", id: `${a.id}${"b".repeat(26)}`, link: `${a.id}${"c".repeat(26)}` } as const;
  const link = principal({ scopes: ["read"], logs: [a.log], who });
  const report = async (by: Principal) =>
    (await verbs.recordExport.open(ctx, by, ""))({ kind: "proof", log: a.log, count: 1 });
  const codes = new Set<unknown>();
  for (let i = 0; i < 200; i++) {
    codes.add(
      await report(link).then(
        () => "recorded",
        (error: unknown) => error instanceof ServiceError && error.code,
      ),
    );
  }
  expect(codes).toEqual(new Set(["recorded", "throttled"]));
  expect(items().filter(({ pk, sk }) => pk === `trail/${a.id}` && /^\d/.test(sk))).toHaveLength(120);
  await expect(report(principal())).resolves.toMatchObject({ at: 1_000n });
});
