import { ROLES, type Role } from "@kedge/cli/contract/ids";
import { bytesToHex, randomBytes } from "@noble/hashes/utils.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { handler as anchorer } from "../../functions/anchorer.ts";
import { service } from "../../functions/open.ts";
import { handler as sealer } from "../../functions/sealer.ts";
import { openSession } from "../../service/people.ts";
import { signInByLink } from "../../service/sign-in.ts";
import { timestampPublic } from "../../service/stamp.ts";
import { createKey } from "../../service/tenants.ts";
import {
  bearer,
  credentialFor,
  type Harness,
  json,
  newTenant,
  pendingCount,
  startHarness,
} from "./harness.ts";
import { needsProvider, type Operation, readDocument, send, type Target, visible } from "./operations.ts";

let kedge: Harness;
let guarded: Operation[];
let open: Operation[];
/** Tenant A's sealed entry, its log and one of its keys. */
let own: Target;
/** Of the same shape, and nobody's. */
let absent: Target;

beforeAll(async () => {
  kedge = await startHarness();
  const { operations } = await readDocument(kedge.app);
  guarded = operations.filter(({ security }) => security.length > 0);
  open = operations.filter(({ security }) => security.length === 0);

  const hash = bytesToHex(randomBytes(32));
  const posted = await kedge.app.request(
    `/v1/logs/${kedge.a.log.id}/entries`,
    json(kedge.a.write, { hashes: [hash] }),
  );
  expect(posted.status).toBe(202);
  await sealer({});
  await anchorer();
  const stamp = async () => ({ token: randomBytes(8), genTime: kedge.service.clock() });
  const authorities = [{ kind: "rfc3161" as const, url: "https://tsa.example/", stamp }];
  await timestampPublic({ ...service(), authorities, every: 1 });
  own = { log: kedge.a.log.id, hash, ...(await made()) };
  absent = {
    ...{ log: "a".repeat(19), hash: "0".repeat(64), id: "a".repeat(25) },
    ...{ link: "a".repeat(42), linkText: `${"a".repeat(42)}_${"a".repeat(52)}` },
  };
});
afterAll(() => kedge.close());

/** A key and a link of tenant A's, new ones. */
async function made() {
  const link = await kedge.a.link(kedge.a.log.id);
  return { id: (await kedge.a.key(["read"])).id, link: link.id, linkText: link.text };
}

/** Tokens of sessions that never were, have ended or expired, and of a link that is revoked. */
async function deadSessions(): Promise<string[]> {
  const { a, app, service: now } = kedge;
  const [ended, live] = [await a.session("administrator"), await a.session("administrator")];
  expect((await app.request("/v1/session", { method: "DELETE", headers: bearer(ended) })).status).toBe(204);
  const holder = { kind: "person", subject: "past", role: "administrator", logs: "all" } as const;
  const expired = await openSession({ ...now, clock: () => 1 }, a.id, holder);
  const link = await a.link(a.log.id);
  const viewer = await signInByLink(now, link.text);
  const officer = bearer(await a.session("officer"));
  const revoked = await app.request(`/v1/links/${link.id}`, { method: "DELETE", headers: officer });
  expect(revoked.status).toBe(204);
  const [, id = "", secret = ""] = live.split("_");
  return [
    ...[ended, expired.token, viewer?.token ?? "", `${live}a`],
    ...[`kedgesession_${id}_${"a".repeat(secret.length)}`, `kedgesession_${"a".repeat(id.length)}_${secret}`],
    ...[`kedge_${id}_${secret}`, `kedgesession_${id}_${secret.toUpperCase()}`, link.text],
  ];
}

const ABOUT = /\{(?:log|id)\}/;
/** Operations about a log, a key or a link that is named in the path, or in the body. */
const named = () =>
  guarded.filter(({ path, operationId }) => ABOUT.test(path) || /^create(?:Key|Link)$/.test(operationId));

const ROLE_NAMES = ["engineer", "officer", "auditor", "administrator"] as const;
const mayBy = (role: Role, needed: readonly string[]) => ROLES[role].some((scope) => needed.includes(scope));

describe("I7 isolation", () => {
  test("the walk reaches everything: a tenant's own key or session, and none on public routes, succeed", async () => {
    expect(guarded.length).toBeGreaterThanOrEqual(14);
    for (const operation of guarded) {
      const credential = await credentialFor(kedge.a, operation);
      const response = await send(kedge, operation, { ...own, ...(await made()) }, credential);
      expect([operation.operationId, response.ok]).toEqual([operation.operationId, true]);
    }
    // No timestamp authority is asked here.
    const isAnswered = (each: Operation) => each.path !== "/anchor/timestamped" && !needsProvider(each);
    for (const operation of open.filter(isAnswered)) {
      const response = await send(kedge, operation, own, undefined);
      expect([operation.operationId, response.ok]).toEqual([operation.operationId, true]);
    }
  });

  test("only /v1 needs a key or a session, and all of it but signing in", () => {
    expect(guarded.every(({ path }) => path.startsWith("/v1/"))).toBe(true);
    const doors = open.filter(({ path }) => path.startsWith("/v1/")).map(({ path }) => path);
    expect(doors.every((path) => /^\/v1\/sign-in(\/|$)/.test(path))).toBe(true);
  });

  test("missing, malformed, unknown, wrong, expired and revoked keys and sessions are one and the same 401", async () => {
    const revoked = await kedge.a.key(["read", "write", "admin"]);
    const deletion = { method: "DELETE", headers: bearer(kedge.a.admin) };
    expect((await kedge.app.request(`/v1/keys/${revoked.id}`, deletion)).status).toBe(204);
    const past = { ...kedge.service, clock: () => 1 };
    const limits = { name: "expired", scopes: ["read", "write", "admin"], expiresAt: 2n } as const;
    const expired = await createKey(past, kedge.a.id, limits);
    const [, id = "", secret = ""] = kedge.a.all.split("_");
    const keys = [
      undefined,
      "",
      "kedge",
      `kedge_${id}_${"a".repeat(secret.length)}`,
      `kedge_${"a".repeat(id.length)}_${secret}`,
      `${kedge.a.all}a`,
      `kedge_${id}_${secret.toUpperCase()}`,
      revoked.apiKey,
      expired.apiKey,
      ...(await deadSessions()),
    ];
    for (const operation of guarded) {
      const answers = new Set<string>();
      for (const apiKey of keys) {
        for (const target of [own, absent]) {
          answers.add(JSON.stringify(await visible(await send(kedge, operation, target, apiKey))));
        }
      }
      expect([operation.operationId, [...answers].length]).toEqual([operation.operationId, 1]);
      expect([...answers][0]).toContain("urn:kedge:problem:unauthorized");
    }
  });

  test("with another tenant's key or session, what is foreign and what is absent cannot be told apart", async () => {
    for (const operation of named()) {
      const needed = operation.security.flatMap(Object.values).flat();
      const sessions = await Promise.all(
        ROLE_NAMES.filter((role) => mayBy(role, needed)).map((role) => kedge.b.session(role)),
      );
      const keys = operation.security.some((scheme) => "apiKey" in scheme) ? [kedge.b.all] : [];
      expect(keys.length + sessions.length).toBeGreaterThan(0);
      for (const credential of [...keys, ...sessions]) {
        const foreign = await visible(await send(kedge, operation, own, credential));
        const nothing = await visible(await send(kedge, operation, absent, credential));
        expect([operation.operationId, foreign]).toEqual([operation.operationId, nothing]);
        expect(foreign).toMatchObject({ status: 404 });
      }
    }
  });

  test("a log or key id that is malformed, or the anchor log's, is answered as an absent one", async () => {
    const ids = [
      "anchor",
      "A".repeat(19),
      "a".repeat(5_000),
      "..%2Fhead",
      "%00",
      "a%20b",
      "__proto__",
      "%ff",
    ];
    for (const operation of guarded.filter(({ path }) => ABOUT.test(path))) {
      const credential = await credentialFor(kedge.a, operation);
      const nothing = await visible(await send(kedge, operation, absent, credential));
      for (const id of [...ids, `${kedge.a.id}${"b".repeat(2_000)}`]) {
        const target = { ...own, log: id, id, link: id };
        const answer = await visible(await send(kedge, operation, target, credential));
        expect([operation.operationId, id, answer]).toEqual([operation.operationId, id, nothing]);
      }
    }
  });

  test("a key, session or link limited to one log finds no other of its own tenant's", async () => {
    const limited = await newTenant(kedge.service);
    const logs = [limited.log.id];
    const only = await limited.key(["read", "write"], { log: limited.log.id });
    const viewer = await signInByLink(kedge.service, (await limited.link(limited.log.id)).text);
    const people = await Promise.all(ROLE_NAMES.map((role) => limited.session(role, { logs })));
    const created = await kedge.app.request("/v1/logs", json(limited.admin, { name: "other" }));
    const other = z.object({ id: z.string() }).parse(await created.json()).id;
    for (const operation of guarded.filter(({ path }) => path.includes("{log}"))) {
      for (const credential of [only.apiKey, viewer?.token, ...people]) {
        const beyond = await visible(await send(kedge, operation, { ...own, log: other }, credential));
        const nothing = await visible(await send(kedge, operation, absent, credential));
        expect([operation.operationId, beyond]).toEqual([operation.operationId, nothing]);
      }
    }
    for (const credential of [viewer?.token ?? "", ...people.slice(0, 1)]) {
      const listed = await (await kedge.app.request("/v1/logs", { headers: bearer(credential) })).json();
      expect(listed).toMatchObject({ logs: [{ id: limited.log.id }] });
    }
    expect(await pendingCount(kedge.service, other)).toBe(0n);
  });

  test("each role, key and link may what its scopes say, and else gets one 403, whatever is asked about", async () => {
    const foreign = { ...own, log: kedge.b.log.id };
    for (const operation of guarded) {
      const needed = operation.security.flatMap(Object.values).flat();
      const credentials: [name: string, scopes: readonly string[], credential: string][] = [
        ["a write key", ["write"], kedge.a.write],
        ["a read key", ["read"], kedge.a.read],
        ["an admin key", ["admin"], kedge.a.admin],
      ];
      for (const role of ROLE_NAMES) credentials.push([role, ROLES[role], await kedge.a.session(role)]);
      const viewer = await signInByLink(kedge.service, (await made()).linkText);
      credentials.push(["a link", ["read"], viewer?.token ?? ""]);
      for (const [name, scopes, credential] of credentials) {
        const isKey = name.endsWith("key");
        const may = needed.length === 0 ? !isKey : needed.some((scope) => scopes.includes(scope));
        if (may) {
          const response = await send(kedge, operation, { ...own, ...(await made()) }, credential);
          expect([operation.operationId, name, response.ok]).toEqual([operation.operationId, name, true]);
          continue;
        }
        const answers = [];
        for (const target of [own, foreign, absent]) {
          answers.push(await visible(await send(kedge, operation, target, credential)));
        }
        for (const answer of answers) {
          expect(answer).toEqual(answers[0]);
          expect([operation.operationId, name, answer]).toMatchObject([
            operation.operationId,
            name,
            { status: 403 },
          ]);
        }
      }
    }
  });

  test("lists name a tenant's own logs and keys only", async () => {
    const administrator = await kedge.b.session("administrator");
    for (const [path, credential] of [
      ["/v1/logs", kedge.b.admin],
      ["/v1/keys", kedge.b.admin],
      ["/v1/links", administrator],
      ["/v1/session", administrator],
    ] as const) {
      const response = await kedge.app.request(path, { headers: bearer(credential) });
      expect([path, response.status]).toEqual([path, 200]);
      const body = await response.text();
      expect(body).not.toContain(kedge.a.id);
      expect(body).not.toContain(kedge.a.log.id);
    }
  });

  test("nothing that another tenant sent has changed anything", async () => {
    const response = await kedge.app.request(`/v1/logs/${own.log}/entries/${own.hash}`, {
      headers: bearer(kedge.a.read),
    });
    expect(await response.json()).toMatchObject({ assurance: "anchored", index: 0 });
    const keys = await (await kedge.app.request("/v1/keys", { headers: bearer(kedge.a.admin) })).json();
    const { revokedAt } = z
      .object({ keys: z.array(z.looseObject({ id: z.string(), revokedAt: z.string().optional() })) })
      .parse(keys)
      .keys.find(({ id }) => id === own.id) ?? { revokedAt: "gone" };
    expect(revokedAt).toBeUndefined();
  });
});
