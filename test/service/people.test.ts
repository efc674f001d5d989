/** Sessions, viewer links and start links: how they end, and what races leave. */
import { LINK, SESSION } from "@kedge/cli/contract/ids";
import { MAX_OF_A_KIND } from "@kedge/cli/contract/limits";
import { beforeEach, describe, expect, test } from "vitest";
import {
  authenticateSession,
  endAllSessions,
  endSession,
  type Holder,
  openSession,
} from "../../service/people.ts";
import { createLink, listLinks, revokeAllLinks, revokeLink } from "../../service/people-links.ts";
import { createStart, endStart } from "../../service/people-start.ts";
import type { Principal } from "../../service/principal.ts";
import { signInByLink, signInByStart } from "../../service/sign-in.ts";
import { registerProvider } from "../../service/sign-in-provider.ts";
import type { RoleRule } from "../../service/sign-in-rule.ts";
import { createLog, createTenant } from "../../service/tenants.ts";
import { memoryStore } from "../support/memory-store.ts";

const HOUR = 3_600_000;

async function start() {
  const store = memoryStore();
  let now = 1_800_000_000_000;
  const clock = () => now;
  const ctx = { store, clock, domain: "kedge.example", sessionMs: 8 * HOUR, startLinks: true };
  const tenant = (await createTenant(ctx, "a hospital")).id;
  const other = (await createTenant(ctx, "another")).id;
  const log = (await createLog(ctx, tenant, "ward 7")).id;
  const officer: Principal = {
    ...{ tenant, scopes: ["read", "review"], logs: "all" },
    who: { kind: "person", id: "", subject: "olga", role: "officer" },
  };
  const link = (life = HOUR, at = log) =>
    createLink(ctx, officer, { name: "an auditor", log: at, expiresAt: BigInt(now + life) });
  const later = (ms: number) => {
    now += ms;
  };
  return { store, ctx, tenant, other, log, officer, link, later };
}

let world: Awaited<ReturnType<typeof start>>;
beforeEach(async () => {
  world = await start();
});
const person = (subject: string, changes: Partial<Extract<Holder, { kind: "person" }>> = {}): Holder => ({
  ...{ kind: "person", subject, role: "officer", logs: "all" },
  ...changes,
});
const found = async (token: string) => (await authenticateSession(world.ctx, token)) !== undefined;

describe("a session", () => {
  test("is its holder's: tenant, scopes of the role, logs", async () => {
    const { ctx, tenant, log } = world;
    const { token } = await openSession(ctx, tenant, person("olga", { logs: [log] }));
    expect(token).toMatch(SESSION);
    expect(await authenticateSession(ctx, token)).toMatchObject({
      ...{ tenant, scopes: ["read", "review", "trail"], logs: [log] },
      who: { kind: "person", subject: "olga", role: "officer" },
    });
  });

  test("ends after its hours, and not before", async () => {
    const { token } = await openSession(world.ctx, world.tenant, person("olga"));
    world.later(8 * HOUR - 1);
    expect(await found(token)).toBe(true);
    world.later(1);
    expect(await found(token)).toBe(false);
  });

  test("ends at once when signed out, alone", async () => {
    const { ctx, tenant } = world;
    const [one, two] = [
      await openSession(ctx, tenant, person("olga")),
      await openSession(ctx, tenant, person("olga")),
    ];
    await endSession(ctx, one.principal);
    await endSession(ctx, one.principal);
    expect([await found(one.token), await found(two.token)]).toEqual([false, true]);
  });

  test("of a secret nothing is stored but a hash", async () => {
    const { token } = await openSession(world.ctx, world.tenant, person("olga"));
    const [, , , secret = "none"] = SESSION.exec(token) ?? [];
    expect(secret).toHaveLength(52);
    const stored = world.store.items().flatMap((item) => Object.values(item).map(String));
    expect(stored.filter((value) => value.includes(secret))).toEqual([]);
  });

  test("one person has so many at most: another one ends the oldest, and nobody else's", async () => {
    const { ctx, tenant } = world;
    const ada = await openSession(ctx, tenant, person("ada"));
    const tokens: string[] = [];
    for (let i = 0; i < 40; i++) {
      world.later(1);
      tokens.push((await openSession(ctx, tenant, person("olga"))).token);
    }
    const alive = await Promise.all(tokens.map(found));
    expect(alive.filter(Boolean)).toHaveLength(32);
    expect(alive.slice(8)).toEqual(Array.from({ length: 32 }, () => true));
    expect(await found(ada.token)).toBe(true);
  });

  test("many that begin at once have each their own place, or are put off", async () => {
    const { ctx, tenant } = world;
    const opening = Array.from({ length: 48 }, () => openSession(ctx, tenant, person("olga")));
    const settled = await Promise.allSettled(opening);
    const tokens = settled.flatMap((each) => (each.status === "fulfilled" ? [each.value.token] : []));
    expect((await Promise.all(tokens.map(found))).filter(Boolean).length).toBeLessThanOrEqual(32);
    for (const each of settled) {
      if (each.status === "rejected") expect(each.reason).toMatchObject({ code: "throttled" });
    }
    expect(world.store.items().filter(({ sk }) => sk.startsWith("session/")).length).toBeLessThanOrEqual(32);
  });

  test("with another tenant's id in its token is nobody's", async () => {
    const { ctx, tenant, other } = world;
    const { token } = await openSession(ctx, tenant, person("olga"));
    expect(await found(token.replace(tenant, other))).toBe(false);
  });

  test("of a provider ends when it is registered anew; off-boarding ends all", async () => {
    const { ctx, tenant, store } = world;
    const register = async () => {
      const rule = { claim: "groups", roles: [{ value: "o", role: "officer" as const }], require: {} };
      const at = {
        issuer: "https://login.example",
        clientId: "c",
        scope: "openid",
        origin: "https://a.example",
      };
      await registerProvider(ctx, tenant, { ...at, rule });
      const [item] = await store.get([{ pk: `tenant/${tenant}`, sk: "provider" }]);
      return String(item?.["version"]);
    };
    const provided = await openSession(ctx, tenant, person("olga", { provider: await register() }));
    expect(await found(provided.token)).toBe(true);
    const next = await openSession(ctx, tenant, person("olga", { provider: await register() }));
    expect([await found(provided.token), await found(next.token)]).toEqual([false, true]);
    await endAllSessions(ctx, tenant);
    expect(await found(next.token)).toBe(false);
  });
});

describe("a registration", () => {
  const provider = (issuer: string, role: Omit<RoleRule, "value"> = { role: "officer" }) => ({
    ...{ issuer, clientId: "console", scope: "openid", origin: "https://audit.example" },
    rule: { claim: "groups", roles: [{ value: "staff", ...role }], require: {} },
  });

  test("is of one issuer and client however the issuer's URL is spelled", async () => {
    const { ctx, tenant, other } = world;
    await registerProvider(ctx, tenant, provider("https://login.example"));
    for (const same of ["https://login.example/", "https://LOGIN.example", "https://login.example:443"]) {
      await expect(registerProvider(ctx, other, provider(same))).rejects.toMatchObject({ code: "conflict" });
    }
    await registerProvider(ctx, other, provider("https://login.example/other"));
  });

  test("limits no administrator to some logs, who could make keys for all", async () => {
    const { ctx, tenant, log } = world;
    for (const logs of [[log], []]) {
      const limited = provider("https://login.example", { role: "administrator", logs });
      await expect(registerProvider(ctx, tenant, limited)).rejects.toMatchObject({ code: "invalid" });
    }
  });
});

describe("a viewer link", () => {
  test("opens one log, to read, and no longer than it lasts", async () => {
    const { ctx, log, link, later } = world;
    const made = await link(60_000);
    expect(made.text).toMatch(LINK);
    const viewer = await signInByLink(ctx, made.text);
    expect(viewer?.principal).toMatchObject({ scopes: ["read"], logs: [log], who: { link: made.id } });
    expect(viewer?.expiresAt).toBe(made.expiresAt);
    later(60_000);
    expect(await found(viewer?.token ?? "")).toBe(false);
    expect(await signInByLink(ctx, made.text)).toBeUndefined();
  });

  test("that is revoked ends its sessions at once, also one that is in use", async () => {
    const { ctx, officer, link } = world;
    const [made, kept] = [await link(), await link()];
    const viewers = await Promise.all([made, made, kept].map(({ text }) => signInByLink(ctx, text)));
    const tokens = viewers.map((viewer) => viewer?.token ?? "");
    const using = tokens.map(found);
    await revokeLink(ctx, officer, made.id);
    await Promise.all(using);
    expect(await Promise.all(tokens.map(found))).toEqual([false, false, true]);
    expect(await signInByLink(ctx, made.text)).toBeUndefined();
    expect(await revokeLink(ctx, officer, made.id)).toMatchObject({ id: made.id });
  });

  test("that is opened while it is revoked leaves no session", async () => {
    const { ctx, officer, link } = world;
    for (let i = 0; i < 20; i++) {
      const made = await link();
      const [viewer] = await Promise.all([signInByLink(ctx, made.text), revokeLink(ctx, officer, made.id)]);
      expect(await found(viewer?.token ?? "")).toBe(false);
    }
  });

  test("lasts a year at most, and is of a log that its maker may use", async () => {
    const { ctx, officer, link, other } = world;
    await expect(link(-1)).rejects.toMatchObject({ code: "invalid" });
    await expect(link(367 * 24 * HOUR)).rejects.toMatchObject({ code: "invalid" });
    const foreign = await createLog(ctx, other, "ward 1");
    for (const log of [foreign.id, "a".repeat(19), "anchor", ""]) {
      await expect(link(HOUR, log)).rejects.toMatchObject({ code: "not_found" });
    }
    const made = await link();
    const limited = { ...officer, logs: [foreign.id] };
    expect(await listLinks(ctx, limited)).toEqual([]);
    await expect(revokeLink(ctx, limited, made.id)).rejects.toMatchObject({ code: "not_found" });
    const stranger = { ...officer, tenant: other };
    await expect(revokeLink(ctx, stranger, made.id)).rejects.toMatchObject({ code: "not_found" });
  });

  test("a tenant has so many: those that are over give way, others do not", async () => {
    const { store, link, later, ctx, officer, tenant } = world;
    const first = await link();
    const [item] = store.items().filter(({ sk }) => sk.startsWith("link/"));
    if (item === undefined) expect.fail("no link is stored");
    const places = await import("../../service/places.ts");
    const all = places.PLACE_NAMES.map((place) => ({
      ...item,
      sk: `link/${place}`,
      own: `${place}${"x".repeat(24)}`,
    }));
    await store.write(all);
    expect(all).toHaveLength(MAX_OF_A_KIND);
    await expect(link()).rejects.toMatchObject({ code: "conflict" });
    later(HOUR);
    expect(await link()).toMatchObject({ log: first.log });
    expect(await listLinks(ctx, officer)).toHaveLength(MAX_OF_A_KIND);
    expect(await revokeAllLinks(ctx, tenant)).toBe(1);
    expect(await listLinks(ctx, officer)).toEqual([]);
  });

  test("is opened so often in a minute, and who does so keeps no other link out", async () => {
    const { ctx, link, later } = world;
    const { text } = await link();
    const other = await link();
    for (let i = 0; i < 120; i++) expect(await signInByLink(ctx, text)).toBeDefined();
    await expect(signInByLink(ctx, text)).rejects.toMatchObject({ code: "throttled" });
    expect(await signInByLink(ctx, other.text)).toBeDefined();
    later(60_000);
    expect(await signInByLink(ctx, text)).toBeDefined();
  });
});

describe("a start link", () => {
  test("signs in one administrator, once, however many come at the same time", async () => {
    const { ctx, tenant } = world;
    const text = await createStart(ctx, tenant);
    const all = await Promise.all(Array.from({ length: 10 }, () => signInByStart(ctx, text)));
    const [first, ...more] = all.filter((each) => each !== undefined);
    expect([first?.principal.who, more]).toMatchObject([{ role: "administrator", subject: "local" }, []]);
    expect(await signInByStart(ctx, text)).toBeUndefined();
  });

  test("ends after a quarter of an hour, with the next one, and where the port is open to others", async () => {
    const { ctx, tenant, later } = world;
    const old = await createStart(ctx, tenant);
    const text = await createStart(ctx, tenant);
    expect(await signInByStart(ctx, old)).toBeUndefined();
    expect(await signInByStart({ ...ctx, startLinks: false }, text)).toBeUndefined();
    later(15 * 60_000);
    expect(await signInByStart(ctx, text)).toBeUndefined();
    const wrong = (await createStart(ctx, tenant)).replace(/_.*/, `_${"a".repeat(52)}`);
    expect(await signInByStart(ctx, wrong)).toBeUndefined();
  });

  test("is worth nothing once the tenant is off-boarded", async () => {
    const { ctx, tenant } = world;
    const text = await createStart(ctx, tenant);
    await endStart(ctx, tenant);
    expect(await signInByStart(ctx, text)).toBeUndefined();
  });

  test("is no viewer link, nor the other way round", async () => {
    const { ctx, tenant, link } = world;
    const text = await createStart(ctx, tenant);
    expect(await signInByLink(ctx, text)).toBeUndefined();
    expect(await signInByStart(ctx, (await link()).text)).toBeUndefined();
  });
});
