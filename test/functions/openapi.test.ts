import { parseVkey } from "@kedge/verify/tlog/note";
import { parsePolicy } from "@kedge/verify/tlog/policy";
import { bytesToHex, randomBytes } from "@noble/hashes/utils.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { handler as anchorer } from "../../functions/anchorer.ts";
import { createApp } from "../../functions/http/app.ts";
import { handler as sealer } from "../../functions/sealer.ts";
import type { Signer } from "../../platform/signer.ts";
import type { LogKeys } from "../../service/sign.ts";
import { bearer, type Harness, json, startHarness } from "./harness.ts";
import { readDocument, send } from "./operations.ts";

const logSchema = z.object({ origin: z.string(), vkey: z.string(), vkeys: z.array(z.string()) });
const logsSchema = z.object({ logs: z.array(logSchema) });

let kedge: Harness;
let read: Awaited<ReturnType<typeof readDocument>>;
beforeAll(async () => {
  kedge = await startHarness();
  read = await readDocument(kedge.app);
});
afterAll(() => kedge.close());

test("every operation has an id of its own, a scheme that exists, and its path's parameters", () => {
  const { document, operations } = read;
  const ids = operations.map(({ operationId }) => operationId);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { path, parameters, security } of operations) {
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    const declared = parameters.filter((parameter) => parameter.in === "path");
    expect([path, declared.map(({ name }) => name)]).toEqual([path, inPath]);
    expect(declared.every(({ required }) => required)).toBe(true);
    for (const name of security.flatMap(Object.keys)) {
      expect(document.components.securitySchemes).toHaveProperty(name);
    }
  }
});

test("every operation names its problems, as problem+json", () => {
  for (const { operationId, responses, security, requestBody, path } of read.operations) {
    const expected = [
      ...["429", "500", "503"],
      ...(security.length > 0 ? ["401", "403"] : []),
      ...(requestBody !== undefined ? ["400", "413", "415"] : []),
      ...(path.includes("{") ? ["404"] : []),
    ];
    expect([operationId, Object.keys(responses)]).toEqual([operationId, expect.arrayContaining(expected)]);
    for (const [status, { content }] of Object.entries(responses)) {
      if (Number(status) >= 400) expect(Object.keys(content ?? {})).toEqual(["application/problem+json"]);
    }
  }
});

test("every reference leads to a component", () => {
  const references = [...JSON.stringify(read.raw).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)];
  expect(references.length).toBeGreaterThan(10);
  for (const [, name = ""] of references) expect(read.document.components.schemas).toHaveProperty(name);
});

test("the limits of the API are in the document", () => {
  const schemas = JSON.stringify(read.document.components.schemas);
  expect(schemas).toContain('"maxItems":10000');
  expect(schemas).toContain('"maxItems":1000');
  expect(schemas).toContain('"pattern":"^[0-9a-f]{64}$"');
});

test("answers are of the media type and schema that the document declares", async () => {
  const hash = bytesToHex(randomBytes(32));
  const { a } = kedge;
  await kedge.app.request(`/v1/logs/${a.log.id}/entries`, json(a.write, { hashes: [hash] }));
  await sealer({});
  await anchorer();
  const definitions = JSON.parse(
    JSON.stringify(read.document.components.schemas).replaceAll("#/components/schemas/", "#/$defs/"),
  );
  for (const operation of read.operations) {
    const target = { log: a.log.id, hash, id: (await a.key(["read"])).id };
    const response = await send(kedge, operation, target, operation.security.length > 0 ? a.all : undefined);
    const declared = operation.responses[String(response.status)]?.content;
    const type = response.headers.get("content-type");
    expect([operation.operationId, type === null ? [] : [type]]).toEqual([
      operation.operationId,
      Object.keys(declared ?? {}),
    ]);
    if (type !== "application/json" && type !== "application/x-ndjson") continue;
    const text = JSON.stringify(declared?.[type]?.schema).replaceAll("#/components/schemas/", "#/$defs/");
    const schema = z.fromJSONSchema({ ...JSON.parse(text), $defs: definitions });
    const body: unknown = JSON.parse(await response.text());
    const checked = schema.safeParse(body);
    expect([operation.operationId, checked.error]).toEqual([operation.operationId, undefined]);
  }
});

test("every key that signs is named, the log's own first", async () => {
  const { a, service } = kedge;
  const publicKey = randomBytes(32);
  const rider: Signer = { publicKey: async () => publicKey, sign: async () => randomBytes(64) };
  const riding = ({ ed25519, mldsa44 }: LogKeys): LogKeys => ({ ed25519: [...ed25519, rider], mldsa44 });
  const app = createApp({
    ...service,
    logKeys: riding(service.logKeys),
    anchorKeys: riding(service.anchorKeys),
  });
  const bodies = await Promise.all([
    app.request("/v1/logs", json(a.admin, { name: "another log" })),
    app.request(`/v1/logs/${a.log.id}`, { headers: bearer(a.read) }),
  ]).then((answers) => Promise.all(answers.map((answer): Promise<unknown> => answer.json())));
  const { logs } = logsSchema.parse(
    await (await app.request("/v1/logs", { headers: bearer(a.admin) })).json(),
  );
  expect(logs.length).toBeGreaterThanOrEqual(2);
  for (const { origin, vkey, vkeys } of [...logs, ...bodies.map((body) => logSchema.parse(body))]) {
    expect(vkeys.map((text) => parseVkey(text).name)).toEqual([origin, origin]);
    expect(vkey).toBe(vkeys[0]);
    expect(parseVkey(vkeys[1] ?? "").publicKey).toEqual(publicKey);
  }
  const policy = parsePolicy(await (await app.request("/anchor/policy")).text());
  expect(policy.logs.map(({ vkey }) => vkey.name)).toEqual([service.anchorOrigin, service.anchorOrigin]);
});

test("the reference page loads nothing from elsewhere", async () => {
  const page = await kedge.app.request("/docs");
  const html = await page.text();
  expect(html).not.toMatch(/https?:/);
  expect(page.headers.get("content-security-policy")).toContain("default-src 'none'");
  const loaded = [...html.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(([, path = ""]) => path);
  expect(loaded.length).toBe(3);
  for (const path of loaded) {
    const response = await kedge.app.request(path);
    expect([path, response.status]).toEqual([path, 200]);
    expect(response.headers.get("content-type")).toMatch(/^text\/(?:javascript|css);/);
    // API Gateway and Lambda answer with at most 6 MB, JSON-escaped.
    expect(JSON.stringify(await response.text()).length).toBeLessThan(6_000_000);
  }
});
