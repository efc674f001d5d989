import { createHash, createHmac } from "node:crypto";
import { OpenAPIHono } from "@hono/zod-openapi";
import { commitEvent } from "@kedge/verify/events/commitment";
import { encodeBase64 } from "@kedge/verify/tlog/bytes";
import { parseVkey } from "@kedge/verify/tlog/note";
import { parsePolicy } from "@kedge/verify/tlog/policy";
import { bytesToHex, hexToBytes, randomBytes } from "@noble/hashes/utils.js";
import canonicalize from "canonicalize";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { handler as anchorer } from "../../functions/anchorer.ts";
import { createApp } from "../../functions/http/app.ts";
import { consoleRoutes } from "../../functions/http/console.ts";
import type { ApiEnv } from "../../functions/http/env.ts";
import { handler as sealer } from "../../functions/sealer.ts";
import type { Signer } from "../../platform/signer.ts";
import type { LogKeys } from "../../service/sign.ts";
import { bearer, credentialFor, type Harness, json, startHarness } from "./harness.ts";
import { needsProvider, readDocument, send } from "./operations.ts";

const logSchema = z.object({ origin: z.string(), vkey: z.string(), vkeys: z.array(z.string()) });
const vectorsSchema = z.array(
  z.strictObject({
    ...{ event: z.string(), mediaType: z.string(), canonicalisation: z.enum(["raw", "jcs"]) },
    ...{ source: z.string().optional(), sequence: z.string().optional() },
    ...{ tenantKey: z.string().optional(), nonce: z.string(), commitment: z.string() },
  }),
);
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

test("each problem has an example of its own: of its type, with a detail as the service words it", () => {
  const examples = new Map<string, Set<string>>();
  for (const { responses } of read.operations) {
    for (const [status, { description, content }] of Object.entries(responses)) {
      if (Number(status) < 400) continue;
      for (const [code, { value }] of Object.entries(content?.["application/problem+json"]?.examples ?? {})) {
        expect(value).toMatchObject({ type: `urn:kedge:problem:${code}`, status: Number(status) });
        expect(description).toContain(`\`urn:kedge:problem:${code}\``);
        examples.set(code, (examples.get(code) ?? new Set()).add(value.detail));
      }
    }
  }
  expect([...examples].map(([code, details]) => [code, details.size]).sort()).toEqual(
    [
      ...["conflict", "forbidden", "internal", "invalid", "not_found", "pending", "throttled", "too_large"],
      ...["unauthorized", "unavailable", "unsupported_media_type"],
    ].map((code) => [code, 1]),
  );
});

test("the examples of problems are what the service answers", async () => {
  const { a, app } = kedge;
  const path = `/v1/logs/${a.log.id}/entries`;
  const unread = `/v1/logs/${a.log.id}`;
  const answers = await Promise.all([
    app.request(path, json(a.write, { hashes: ["x"] })),
    app.request("/v1/logs", { method: "POST", headers: bearer(a.admin), body: "name" }),
    app.request(path, json(a.read, {})),
    app.request(unread),
    app.request("/v1/logs/x", { headers: bearer(a.read) }),
    app.request("/v1/logs", json(a.admin, { name: "n".repeat(1 << 20) })),
  ]);
  const documented = read.operations.flatMap(({ responses }) =>
    Object.values(responses).flatMap(({ content }) =>
      Object.values(content?.["application/problem+json"]?.examples ?? {}).map(({ value }) => value),
    ),
  );
  for (const answer of answers) {
    const { instance: _, ...body } = z.looseObject({ type: z.string() }).parse(await answer.json());
    expect(documented).toContainEqual(expect.objectContaining(body));
  }
});

test("every pattern compiles, for ECMA-262 and for Python, and takes the example beside it", async () => {
  const found: { pattern: string; example: string }[] = [];
  JSON.stringify(read.raw, (_, value: unknown) => {
    const schema = z.object({ pattern: z.string(), example: z.string().optional() }).safeParse(value);
    if (schema.success) {
      expect([schema.data.pattern, schema.data.example]).toEqual([schema.data.pattern, expect.any(String)]);
      found.push({ pattern: schema.data.pattern, example: schema.data.example ?? "" });
    }
    return value;
  });
  expect(found.length).toBeGreaterThanOrEqual(4);
  for (const { pattern, example } of found) {
    for (const flags of ["u", "v", ""]) expect(example).toMatch(new RegExp(pattern, flags));
    // What Python's re has not, or reads differently: classes of Unicode, named groups, sticky slashes.
    expect(pattern).not.toMatch(/\\[pPk]|\(\?<|\/[a-z]*$/);
  }
  const names = found.filter(({ example }) => example.includes("ward")).map(({ pattern }) => pattern);
  expect(new Set(names).size).toBe(1);
  for (const name of ["St. Mary's, ward 7", "Öffentliches Spital", "病院 🏥", "a/u"])
    expect(name).toMatch(new RegExp(names[0] ?? "", "u"));
  for (const name of ["a\u0000", "a\nb", "a\u0085"])
    expect(name).not.toMatch(new RegExp(names[0] ?? "", "u"));
});

test("a name is as long as the document says, in characters", async () => {
  const { a, app } = kedge;
  const status = async (name: string) => (await app.request("/v1/logs", json(a.admin, { name }))).status;
  expect([await status("🏥".repeat(100)), await status("🏥".repeat(101))]).toEqual([201, 400]);
});

describe("the introduction", () => {
  const utf8 = (text: string): Buffer => Buffer.from(text, "utf8");
  const hmac = (key: string, message: Uint8Array) =>
    createHmac("sha256", Buffer.from(key, "hex")).update(message).digest("hex");
  const vectors = () => {
    const [, text = ""] = /```json\n(.*?)```/s.exec(read.document.info.description) ?? [];
    return vectorsSchema.parse(JSON.parse(text));
  };

  test("says how a commitment is made, with vectors that its recipe gives, and the code that commits", () => {
    expect(vectors().map(({ canonicalisation }) => canonicalisation)).toEqual(["raw", "raw", "jcs"]);
    for (const {
      event,
      mediaType,
      canonicalisation,
      source,
      sequence,
      tenantKey,
      nonce,
      commitment,
    } of vectors()) {
      const bytes = canonicalisation === "raw" ? event : canonicalize(JSON.parse(event));
      const fields = ["kedge/v1", canonicalisation, mediaType, source ?? "", sequence ?? "", bytes ?? ""];
      const message = utf8(fields.join("\0"));
      const digest = createHash("sha256").update(message).digest();
      const derived = tenantKey && hmac(tenantKey, Buffer.concat([utf8("kedge/v1 nonce\0"), digest]));
      expect([nonce, commitment]).toEqual([derived ?? nonce, hmac(nonce, message)]);

      const made = commitEvent(
        {
          ...{ bytes: utf8(event), mediaType, canonicalisation },
          ...(source !== undefined && { source }),
          ...(sequence !== undefined && { sequence: BigInt(sequence) }),
        },
        tenantKey === undefined ? { nonce: hexToBytes(nonce) } : { tenantKey: hexToBytes(tenantKey) },
      );
      expect(bytesToHex(made.commitment)).toBe(commitment);
      expect(made.opening.nonce).toBe(encodeBase64(hexToBytes(nonce)));
    }
  });

  test("names limits that hold, and every part that a client needs", () => {
    const { description } = read.document.info;
    for (const heading of ["Making a commitment", "API keys", "Repeating a request", "Limits", "Errors"])
      expect(description).toContain(`\n## ${heading}\n`);
    for (const limit of ["10,000", "1,000", "1,048,576"]) expect(description).toContain(`| ${limit}`);
    expect(read.document.servers).toEqual([expect.objectContaining({ url: "/" })]);
  });
});

describe("a path with another method", () => {
  const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "PROPFIND"];

  test("is a 405 that names those it takes, with a key or without", async () => {
    const paths = new Map<string, string[]>();
    for (const { path, method } of read.operations) {
      const names = method === "get" ? ["GET", "HEAD"] : [method.toUpperCase()];
      paths.set(path, [...(paths.get(path) ?? []), ...names]);
    }
    for (const [path, taken] of paths) {
      const filled = path.replace(/\{(\w+)\}/g, (_, name) => (name === "path" ? "0/x001/000.p/1" : "x"));
      for (const method of METHODS.filter((each) => !taken.includes(each))) {
        for (const headers of [{}, bearer(kedge.a.all)]) {
          const answer = await kedge.app.request(filled, { method, headers });
          expect([path, method, answer.status, answer.headers.get("allow")]).toEqual([
            ...[path, method, 405],
            taken.join(", "),
          ]);
          if (method === "HEAD") continue;
          expect(await answer.json()).toMatchObject({ type: "urn:kedge:problem:method_not_allowed" });
        }
      }
    }
  });

  test("that does not exist is a 404, whatever the method", async () => {
    for (const path of ["/v1", "/v1/logs/", "/v1/logs//entries", "/v1/nothing", "/anchor/nothing", "/%00"]) {
      for (const method of METHODS) {
        expect([path, (await kedge.app.request(path, { method })).status]).toEqual([path, 404]);
      }
    }
  });
});

test("what is no JSON is a text or bytes in the document: a schema of its parts would be read as JSON, or not at all", () => {
  const found = new Set<string>();
  for (const { responses } of read.operations) {
    for (const [type, { schema }] of Object.entries(responses["200"]?.content ?? {})) {
      if (type === "application/json") continue;
      expect([type, schema]).toEqual([type, expect.objectContaining({ type: "string" })]);
      found.add(type);
    }
  }
  expect([...found].sort()).toEqual([
    ...["application/octet-stream", "text/html; charset=utf-8", "text/plain; charset=utf-8"],
    "text/x-ndjson; charset=utf-8",
  ]);
});

test("octets are taken at a route of their own, and still at the one where they came first", async () => {
  const { a, app } = kedge;
  const octets = (path: string, type: string, length: number) =>
    app.request(`/v1/logs/${a.log.id}/${path}`, {
      method: "POST",
      headers: { ...bearer(a.write), "Content-Type": type },
      body: randomBytes(length).slice(),
    });
  for (const path of ["entries", "entries/octets"]) {
    const accepted = await octets(path, "application/octet-stream", 64);
    expect([accepted.status, await accepted.json()]).toMatchObject([202, { accepted: 2 }]);
    expect((await octets(path, "application/octet-stream", 33)).status).toBe(400);
  }
  const refused = await octets("entries/octets", "application/json", 64);
  expect([refused.status, refused.headers.get("accept")]).toEqual([415, "application/octet-stream"]);
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
  for (const operation of read.operations.filter((each) => !needsProvider(each))) {
    const link = await a.link(a.log.id);
    const id = (await a.key(["read"])).id;
    const target = { log: a.log.id, hash, id, link: link.id, linkText: link.text };
    const credential = operation.security.length > 0 ? await credentialFor(a, operation) : undefined;
    const response = await send(kedge, operation, target, credential);
    const declared = operation.responses[String(response.status)]?.content;
    const type = response.headers.get("content-type");
    expect([operation.operationId, type === null ? [] : [type]]).toEqual([
      operation.operationId,
      Object.keys(declared ?? {}),
    ]);
    const lineOf: Record<string, string> = { getProofs: "ProofLine", getEntries: "StatusLine" };
    const schemaOfLine = read.document.components.schemas[lineOf[operation.operationId] ?? ""];
    if (type !== "application/json" && !schemaOfLine) continue;
    const text = JSON.stringify(schemaOfLine || declared?.[type ?? ""]?.schema).replaceAll(
      "#/components/schemas/",
      "#/$defs/",
    );
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

test("/anchor/ is a page for people: it loads nothing, and leads to what is there", async () => {
  const page = await kedge.app.request("/anchor/");
  const html = await page.text();
  expect([page.status, page.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
  const policy = page.headers.get("content-security-policy") ?? "";
  const [, style = ""] = /<style>(.*?)<\/style>/s.exec(html) ?? [];
  expect(policy).toContain("default-src 'none'");
  expect(policy).toContain(`style-src 'sha256-${createHash("sha256").update(style).digest("base64")}'`);
  expect(policy).not.toContain("unsafe");
  expect(html).not.toMatch(/<script|src=|kedge_[a-z2-7]/);
  const links = [...html.matchAll(/href="([^":]+)"/g)].map(
    ([, link = ""]) => new URL(link, "http://x/anchor/"),
  );
  expect(links.length).toBeGreaterThanOrEqual(3);
  for (const { pathname } of links) {
    expect([pathname, (await kedge.app.request(pathname)).status]).toEqual([pathname, 200]);
  }
  const moved = await kedge.app.request("/anchor");
  expect([moved.status, moved.headers.get("location")]).toEqual([308, "/anchor/"]);
});

describe("the pages that the build makes", () => {
  const get = (path: string, headers: Record<string, string> = {}) => kedge.app.request(path, { headers });
  const HTML = "text/html; charset=utf-8";

  test("/ is the console, asked for anew each time, under a policy that allows this origin alone", async () => {
    const page = await get("/", { accept: "text/html,*/*;q=0.8" });
    expect(page.status).toBe(200);
    expect(Object.fromEntries(page.headers)).toMatchObject({
      ...{ "content-type": HTML, "cache-control": "no-cache", "referrer-policy": "no-referrer" },
      ...{ "cross-origin-opener-policy": "same-origin", "x-content-type-options": "nosniff", vary: "Accept" },
      "permissions-policy": expect.stringContaining("camera=()"),
    });
    const policy = page.headers.get("content-security-policy") ?? "";
    expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'");
    for (const end of ["base-uri", "form-action", "frame-ancestors"])
      expect(policy).toContain(`${end} 'none'`);
    expect(policy).not.toMatch(/unsafe|https?:|\*|blob:/);
    const html = await page.text();
    expect(html).not.toMatch(/<style|style=|<script>| on[a-z]+="|https?:/);
  });

  test("what its page loads is there, for ever, each with its type", async () => {
    const html = await (await get("/")).text();
    const loaded = [...html.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, path = ""]) => path);
    expect(loaded.length).toBeGreaterThanOrEqual(1);
    for (const path of loaded) {
      const file = await get(path);
      expect([path, file.status]).toEqual([path, 200]);
      expect(file.headers.get("content-type")).toMatch(/^text\/(?:javascript|css);/);
      expect(file.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
      expect(JSON.stringify(await file.text()).length).toBeLessThan(6_000_000);
    }
  });

  test("/verify.html is the verifier page", async () => {
    const page = await get("/verify.html");
    expect([page.status, page.headers.get("content-type")]).toEqual([200, HTML]);
    expect(page.headers.get("content-security-policy")).toBe("frame-ancestors 'none'");
    expect(page.headers.get("cache-control")).toMatch(/^public, max-age=/);
    expect(await page.text()).toMatch(
      /<meta http-equiv="Content-Security-Policy" content="default-src 'none'/,
    );
  });

  test("who has a file by its ETag is told so, and sent nothing", async () => {
    for (const path of ["/", "/verify.html"]) {
      const etag = (await get(path)).headers.get("etag") ?? "";
      expect(etag).toMatch(/^"[\w-]{43}"$/);
      for (const known of [etag, `W/${etag}`, `"other", ${etag}`]) {
        const again = await get(path, { "if-none-match": known });
        expect([again.status, await again.text(), again.headers.get("etag")]).toEqual([304, "", etag]);
      }
      expect((await get(path, { "if-none-match": '"other"' })).status).toBe(200);
    }
  });

  test("a program that accepts JSON alone is told where the parts of the service are", async () => {
    const answer = await get("/", { accept: "application/json" });
    expect(answer.headers.get("content-type")).toBe("application/json");
    const { service, ...parts } = z.record(z.string(), z.string()).parse(await answer.json());
    expect(service).toBe("Kedge");
    for (const path of Object.values(parts)) expect([path, (await get(path)).status]).toEqual([path, 200]);
    for (const accept of [
      "*/*",
      "application/json, */*",
      "text/html",
      "image/png",
      "application/json;q=x, text/*",
    ])
      expect([accept, (await get("/", { accept })).headers.get("content-type")]).toEqual([accept, HTML]);
  });

  test("where they are not built / says how to build them, and loads nothing", async () => {
    const app = new OpenAPIHono<ApiEnv>();
    consoleRoutes(app, () => undefined);
    const page = await app.request("/");
    const html = await page.text();
    expect([page.status, page.headers.get("content-type")]).toEqual([200, HTML]);
    expect(html).toContain("<code>npm run build</code>");
    const [, style = ""] = /<style>(.*?)<\/style>/s.exec(html) ?? [];
    const hash = createHash("sha256").update(style).digest("base64");
    expect(page.headers.get("content-security-policy")).toContain(`style-src 'sha256-${hash}'`);
    expect(html).not.toMatch(/<script|src=/);
    expect((await app.request("/", { headers: { accept: "application/json" } })).status).toBe(200);
  });

  test("what is no file of theirs is a problem, whatever its name", async () => {
    const paths = [
      "index.html",
      "assets/",
      "assets/x.js",
      "assets/..%2findex.html",
      "assets/%2e%2e%2f%2e%2e%2fpackage.json",
    ];
    for (const path of [...paths, "assets/%00", "assets/__proto__", "console/dist/index.html"]) {
      const answer = await get(`/${path}`);
      expect([path, answer.status, answer.headers.get("content-type")]).toEqual([
        ...[path, 404, "application/problem+json"],
      ]);
    }
    expect((await kedge.app.request("/", { method: "POST" })).status).toBe(405);
  });
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
