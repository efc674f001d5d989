import { bytesToHex, hexToBytes, randomBytes } from "@noble/hashes/utils.js";
import type { DynamoDBStreamEvent } from "aws-lambda";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { handler as anchorer } from "../../functions/anchorer.ts";
import { handler as api } from "../../functions/api.ts";
import { createApp } from "../../functions/http/app.ts";
import { handler as sealer } from "../../functions/sealer.ts";
import { ServiceError } from "../../platform/error.ts";
import { publicKey } from "../../service/anchor-items.ts";
import { headKey, readHead } from "../../service/head.ts";
import { gatewayEvent } from "../support/gateway-event.ts";
import { bearer, type Harness, json, newTenant, pendingCount, startHarness } from "./harness.ts";

let kedge: Harness;
beforeAll(async () => {
  kedge = await startHarness();
});
afterAll(() => kedge.close());
afterEach(() => {
  kedge.logged.length = 0;
});

const newHash = (): string => bytesToHex(randomBytes(32));
const lines = () => kedge.logged.map((text) => z.looseObject({ level: z.string() }).parse(JSON.parse(text)));

describe("the API behind API Gateway", () => {
  test("entries arrive in either form, under the gateway's request id", async () => {
    const { log, write } = await newTenant(kedge.service);
    const path = `/v1/logs/${log.id}/entries`;
    const hash = newHash();
    const text = { authorization: `Bearer ${write}`, "content-type": "application/json" };
    const posted = await api(gatewayEvent("POST", path, text, JSON.stringify({ hashes: [hash] })));
    expect(posted).toMatchObject({ statusCode: 202, headers: { "x-request-id": "JKJaXmPLvHcESHA=" } });
    const octets = { ...text, "content-type": "application/octet-stream" };
    expect(await api(gatewayEvent("POST", path, octets, randomBytes(64)))).toMatchObject({ statusCode: 202 });
    expect(await pendingCount(kedge.service, log.id)).toBe(3n);
  });

  test("a tile comes back in base64, text and NDJSON as they are", async () => {
    const { log, all } = await newTenant(kedge.service);
    const hash = newHash();
    await kedge.app.request(`/v1/logs/${log.id}/entries`, json(all, { hashes: [hash] }));
    await sealer({});
    const headers = { authorization: `Bearer ${all}`, "content-type": "application/json" };
    const bundle = await api(gatewayEvent("GET", `/v1/logs/${log.id}/tile/entries/000.p/1`, headers));
    expect(bundle.isBase64Encoded).toBe(true);
    const entry = new Uint8Array(Buffer.from(bundle.body, "base64")).slice(2);
    expect(entry).toEqual(hexToBytes(hash));
    const proof = await api(gatewayEvent("GET", `/v1/logs/${log.id}/entries/${hash}/proof`, headers));
    expect([proof.isBase64Encoded, proof.body.startsWith("c2sp.org/tlog-proof")]).toEqual([false, true]);
    const body = JSON.stringify({ hashes: [hash] });
    const proofs = await api(gatewayEvent("POST", `/v1/logs/${log.id}/proofs`, headers, body));
    expect([proofs.isBase64Encoded, JSON.parse(proofs.body)]).toMatchObject([false, { hash }]);
  });

  test.each(["GET", "TRACE", "CONNECT"])(
    "a %s that the Fetch standard does not know is a problem",
    async (method) => {
      const adapter = vi.spyOn(console, "error").mockImplementation(() => {});
      const result = await api(gatewayEvent(method, "/healthz", {}, "a body"));
      expect(result).toMatchObject({
        statusCode: 400,
        headers: { "content-type": "application/problem+json" },
      });
      expect(JSON.parse(result.body)).toMatchObject({ type: "urn:kedge:problem:invalid", status: 400 });
      adapter.mockRestore();
    },
  );
});

/** As DynamoDB sends it, with keys only. */
function streamEvent(eventName: "INSERT" | "MODIFY" | "REMOVE", ...pks: string[]): DynamoDBStreamEvent {
  return {
    Records: pks.map((pk) => ({
      eventSource: "aws:dynamodb",
      eventName,
      dynamodb: { Keys: { pk: { S: pk }, sk: { S: "-" } }, StreamViewType: "KEYS_ONLY" },
    })),
  };
}

async function logWithPending() {
  const tenant = await newTenant(kedge.service);
  await kedge.app.request(`/v1/logs/${tenant.log.id}/entries`, json(tenant.write, { hashes: [newHash()] }));
  const size = async () => (await readHead(kedge.service.store, tenant.log.id)).published;
  return { ...tenant, size };
}

describe("the sealer", () => {
  test("seals the logs that stream records name, and no other", async () => {
    const [one, other] = [await logWithPending(), await logWithPending()];
    const records = streamEvent(
      "INSERT",
      `pending/${one.log.id}/3`,
      `log/${other.log.id}`,
      "pending/anchor/0",
    );
    await sealer(records);
    expect([await one.size(), await other.size()]).toEqual([1n, 0n]);
    await sealer(streamEvent("REMOVE", `pending/${other.log.id}/3`));
    expect(await other.size()).toBe(0n);
    await sealer({ source: "aws.scheduler" });
    expect(await other.size()).toBe(1n);
  });

  test("one log's trouble stops no other, and fails the call", async () => {
    const [broken, sound] = [await logWithPending(), await logWithPending()];
    const head = headKey(broken.log.id);
    await kedge.service.store.put({ ...head, version: "not a number" });
    kedge.logged.length = 0;
    await expect(sealer({})).rejects.toThrow(broken.log.id);
    expect(await sound.size()).toBe(1n);
    expect(lines()).toContainEqual(
      expect.objectContaining({ level: "error", event: "seal", log: broken.log.id, code: "corrupt" }),
    );
    expect(lines()).toContainEqual(
      expect.objectContaining({ level: "info", log: sound.log.id, sealed: 1, lagMs: expect.any(Number) }),
    );
    await kedge.service.store.write([], [head]);
  });
});

describe("an operator's restore", () => {
  test("brings back a log whose table is older, and answers with what it did", async () => {
    const tenant = await logWithPending();
    const backup = await kedge.service.store.get([headKey(tenant.log.id)]);
    await sealer({});
    // The head alone is what says how far a table is.
    await kedge.service.store.write([], [headKey(tenant.log.id)]);
    expect(backup).toEqual([undefined]);
    await kedge.app.request(`/v1/logs/${tenant.log.id}/entries`, json(tenant.write, { hashes: [newHash()] }));
    await expect(sealer({})).rejects.toThrow(tenant.log.id);
    expect(await sealer({ restore: tenant.log.id })).toEqual([
      { log: tenant.log.id, batches: 1, entries: 1, size: 1 },
    ]);
    expect(lines()).toContainEqual(
      expect.objectContaining({ event: "restore", log: tenant.log.id, entries: 1 }),
    );
    await sealer({});
    expect(await tenant.size()).toBe(2n);
    await anchorer();
    expect(await anchorer({ restore: "anchor" })).toMatchObject([{ log: "anchor", batches: 0 }]);
  });

  test("makes the index of a log anew, or of all, and answers with what it covers", async () => {
    const { log } = await logWithPending();
    await sealer({}).catch(() => undefined);
    expect(await sealer({ rebuild: log.id })).toEqual([{ log: log.id, runs: 0, covered: 0 }]);
    expect(await sealer({ rebuild: "all" })).toContainEqual({ log: log.id, runs: 0, covered: 0 });
    expect(await anchorer({ rebuild: "anchor" })).toEqual([{ log: "anchor", runs: 0, covered: 0 }]);
    await expect(sealer({ rebuild: "anchor" })).rejects.toMatchObject({ code: "not_found" });
    await expect(sealer({ rebuild: "" })).rejects.toMatchObject({ code: "invalid" });
  });

  test.each([{ restore: 1 }, { restore: "" }, { restore: "all", whole: "yes" }, { restore: "all", more: 1 }])(
    "%j is refused, and nothing is sealed instead",
    async (event) => {
      const tenant = await logWithPending();
      await expect(sealer(event)).rejects.toMatchObject({ code: "invalid" });
      await expect(anchorer(event)).rejects.toMatchObject({ code: "invalid" });
      expect(await tenant.size()).toBe(0n);
    },
  );

  test("each function restores its own logs only", async () => {
    const { log } = await logWithPending();
    await expect(sealer({ restore: "anchor" })).rejects.toMatchObject({ code: "not_found" });
    await expect(anchorer({ restore: log.id })).rejects.toMatchObject({ code: "not_found" });
  });
});

describe("the anchorer", () => {
  test("says what it has anchored", async () => {
    await logWithPending();
    await sealer({});
    kedge.logged.length = 0;
    await anchorer();
    const [line] = lines();
    expect(line).toMatchObject({ level: "info", event: "anchor", quorum: true });
    expect(line?.["size"]).toBe(line?.["publicSize"]);
    expect(line?.["anchored"]).toBeGreaterThan(0);
  });

  test("fails when its run failed", async () => {
    const [before] = await kedge.service.store.get([publicKey()]);
    await kedge.service.store.put({ ...publicKey(), size: "not a number" });
    await expect(anchorer()).rejects.toMatchObject({ code: "corrupt" });
    expect(lines()).toContainEqual(
      expect.objectContaining({ level: "error", event: "anchor", code: "corrupt" }),
    );
    await kedge.service.store.write(before === undefined ? [] : [before]);
  });
});

test("without KEDGE_METRICS no line has metrics, and an idle run has no line", async () => {
  await logWithPending();
  await sealer({});
  await anchorer();
  expect(lines().map(({ event, status }) => event ?? status)).toEqual([202, "seal", "anchor"]);
  for (const line of lines()) {
    expect(Object.keys(line).filter((name) => /^(_aws|[A-Z].*)$/.test(name))).toEqual([]);
  }
  kedge.logged.length = 0;
  await sealer({});
  await anchorer();
  expect(lines()).toEqual([]);
});

describe("the request log", () => {
  test("has one line per request, and no key, hash, body, URL or header of it", async () => {
    const { log, all, id } = await newTenant(kedge.service);
    const hash = newHash();
    const secrets = [
      all,
      all.split("_")[2] ?? "",
      hash,
      "dr-who-name",
      "dr-who-query",
      "dr-who-header",
      "dr-who-id",
    ];
    kedge.logged.length = 0;
    const headers = {
      "X-Secret": "dr-who-header",
      "X-Request-Id": "dr-who-id",
      "User-Agent": "dr-who-header",
    };
    const requests: [string, RequestInit][] = [
      [`/v1/logs/${log.id}/entries`, json(all, { hashes: [hash] })],
      [`/v1/logs/${log.id}/entries`, json(all, { hashes: ["dr-who-name"], "dr-who-name": 1 })],
      [`/v1/logs/${log.id}/proofs`, json(all, { hashes: [hash] })],
      [`/v1/logs/${log.id}/entries/${hash}?dr-who-query`, { headers: bearer(all) }],
      [`/v1/logs/${log.id}/entries/${hash}`, { headers: bearer(`${all}x`) }],
      ["/v1/keys", json(all, { name: "dr-who-name", scopes: ["read"] })],
      [`/dr-who-query/${hash}`, { headers: { ...headers, ...bearer(all) } }],
    ];
    for (const [path, init] of requests) await kedge.app.request(path, init);
    const text = kedge.logged.join("");
    for (const secret of secrets) expect(text).not.toContain(secret);
    expect(lines()).toHaveLength(requests.length);
    expect(lines()[0]).toMatchObject({
      level: "info",
      method: "POST",
      route: "/v1/logs/:log/entries",
      status: 202,
      tenant: id,
      keyId: all.split("_")[1],
      entries: 1,
    });
    expect(lines()[4]).toMatchObject({ status: 401, code: "unauthorized" });
  });

  test("a failure of ours is a 500 without internals, and the log has them", async () => {
    const { log, read } = await newTenant(kedge.service);
    await kedge.service.store.put({ ...headKey(log.id), version: "not a number" });
    kedge.logged.length = 0;
    const response = await kedge.app.request(`/v1/logs/${log.id}/checkpoint`, { headers: bearer(read) });
    const body = await response.text();
    expect(response.status).toBe(500);
    expect(JSON.parse(body)).toMatchObject({ type: "urn:kedge:problem:internal" });
    expect(body).not.toMatch(/malformed|head/);
    expect(lines()).toMatchObject([{ level: "error", code: "corrupt", status: 500, error: /head of log/ }]);
    await kedge.service.store.write([], [headKey(log.id)]);
  });

  test.each([
    ["throttled", 429, "throttled"],
    ["unavailable", 503, "unavailable"],
    ["signer", 503, "unavailable"],
    ["rollback", 500, "internal"],
    ["condition_failed", 500, "internal"],
  ] as const)("a store that fails as %s is answered with %d %s", async (code, status, type) => {
    const get = () => Promise.reject(new ServiceError(code, "an internal of ours"));
    const app = createApp({ ...kedge.service, store: { ...kedge.service.store, get } });
    const response = await app.request("/v1/keys", { headers: bearer(kedge.a.admin) });
    expect(response.status).toBe(status);
    expect(response.headers.has("retry-after")).toBe(status !== 500);
    const body = await response.text();
    expect(JSON.parse(body)).toMatchObject({ type: `urn:kedge:problem:${type}` });
    expect(body).not.toContain("an internal of ours");
  });
});
