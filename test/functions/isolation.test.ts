import { bytesToHex, randomBytes } from "@noble/hashes/utils.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { handler as anchorer } from "../../functions/anchorer.ts";
import { service } from "../../functions/open.ts";
import { handler as sealer } from "../../functions/sealer.ts";
import { timestampPublic } from "../../service/stamp.ts";
import { createKey } from "../../service/tenants.ts";
import { bearer, type Harness, json, newTenant, pendingCount, startHarness } from "./harness.ts";
import { type Operation, readDocument, send, type Target, visible } from "./operations.ts";

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
  own = { log: kedge.a.log.id, hash, id: (await kedge.a.key(["read"])).id };
  absent = { log: "a".repeat(19), hash: "0".repeat(64), id: "a".repeat(25) };
});
afterAll(() => kedge.close());

const ABOUT = /\{(?:log|id)\}/;
/** Operations about a log or a key that is named in the path, or in the body. */
const named = () =>
  guarded.filter(({ path, operationId }) => ABOUT.test(path) || operationId === "createKey");

describe("I7 isolation", () => {
  test("the walk reaches everything: a tenant's own key, and no key on public routes, succeed", async () => {
    expect(guarded.length).toBeGreaterThanOrEqual(14);
    for (const operation of guarded) {
      const target = { ...own, id: (await kedge.a.key(["read"])).id };
      const response = await send(kedge, operation, target, kedge.a.all);
      expect([operation.operationId, response.ok]).toEqual([operation.operationId, true]);
    }
    // No timestamp authority is asked here.
    for (const operation of open.filter(({ path }) => path !== "/anchor/timestamped")) {
      const response = await send(kedge, operation, own, undefined);
      expect([operation.operationId, response.ok]).toEqual([operation.operationId, true]);
    }
  });

  test("only /v1 needs a key, and all of it", () => {
    expect(guarded.every(({ path }) => path.startsWith("/v1/"))).toBe(true);
    expect(open.some(({ path }) => path.startsWith("/v1/"))).toBe(false);
  });

  test("missing, malformed, unknown, wrong, expired and revoked keys are one and the same 401", async () => {
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

  test("with another tenant's key, what is foreign and what is absent cannot be told apart", async () => {
    for (const operation of named()) {
      const foreign = await visible(await send(kedge, operation, own, kedge.b.all));
      const nothing = await visible(await send(kedge, operation, absent, kedge.b.all));
      expect([operation.operationId, foreign]).toEqual([operation.operationId, nothing]);
      expect(foreign).toMatchObject({ status: 404 });
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
      const nothing = await visible(await send(kedge, operation, absent, kedge.a.all));
      for (const id of [...ids, `${kedge.a.id}${"b".repeat(2_000)}`]) {
        const answer = await visible(await send(kedge, operation, { ...own, log: id, id }, kedge.a.all));
        expect([operation.operationId, id, answer]).toEqual([operation.operationId, id, nothing]);
      }
    }
  });

  test("a key limited to one log finds no other of its own tenant's", async () => {
    const limited = await newTenant(kedge.service);
    const only = await limited.key(["read", "write"], { log: limited.log.id });
    const created = await kedge.app.request("/v1/logs", json(limited.admin, { name: "other" }));
    const other = z.object({ id: z.string() }).parse(await created.json()).id;
    for (const operation of guarded.filter(({ path }) => path.includes("{log}"))) {
      const beyond = await visible(await send(kedge, operation, { ...own, log: other }, only.apiKey));
      const nothing = await visible(await send(kedge, operation, absent, only.apiKey));
      expect([operation.operationId, beyond]).toEqual([operation.operationId, nothing]);
    }
    expect(await pendingCount(kedge.service, other)).toBe(0n);
  });

  test("a key without the scope gets one 403, whatever the log is", async () => {
    for (const operation of guarded) {
      const needed = operation.security[0]?.["apiKey"]?.[0];
      const { write, read, admin } = kedge.a;
      for (const [scope, apiKey] of Object.entries({ write, read, admin })) {
        const foreign = { ...own, log: kedge.b.log.id };
        const answers = [];
        for (const target of scope === needed ? [] : [own, foreign, absent]) {
          answers.push(await visible(await send(kedge, operation, target, apiKey)));
        }
        for (const answer of answers) {
          expect(answer).toEqual(answers[0]);
          expect([operation.operationId, answer]).toMatchObject([operation.operationId, { status: 403 }]);
        }
      }
    }
  });

  test("lists name a tenant's own logs and keys only", async () => {
    for (const path of ["/v1/logs", "/v1/keys"]) {
      const response = await kedge.app.request(path, { headers: bearer(kedge.b.admin) });
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
