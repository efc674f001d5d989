import { bytesToHex, randomBytes } from "@noble/hashes/utils.js";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { bearer, type Harness, pendingCount, startHarness } from "./harness.ts";

let kedge: Harness;
beforeAll(async () => {
  kedge = await startHarness();
});
afterAll(() => kedge.close());

const problem = z.strictObject({
  type: z.string().regex(/^urn:kedge:problem:[a-z_]+$/),
  title: z.string().min(1),
  status: z.int(),
  detail: z.string().min(1).max(400),
  instance: z.string(),
});

/** The problem of a refused request, told consistently in status, body and headers. */
async function problemOf(response: Response): Promise<string> {
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  expect(response.headers.get("cache-control")).toBe("no-store");
  const body = problem.parse(await response.json());
  expect(body.status).toBe(response.status);
  expect(body.instance).toBe(`urn:kedge:request:${response.headers.get("x-request-id")}`);
  return `${body.status} ${body.type.slice("urn:kedge:problem:".length)}`;
}

const hash = (): string => bytesToHex(randomBytes(32));
const hashes = (count: number) => JSON.stringify({ hashes: Array.from({ length: count }, hash) });
const JSON_TYPE = { "Content-Type": "application/json" };
const OCTETS = { "Content-Type": "application/octet-stream" };

describe("entries that are refused leave nothing behind", () => {
  const good = `{"hashes":["${hash()}"]}`;
  const cases: [string, Record<string, string>, string | Uint8Array<ArrayBuffer> | undefined, string][] = [
    ["no body", JSON_TYPE, undefined, "400 invalid"],
    ["no hash", JSON_TYPE, `{"hashes":[]}`, "400 invalid"],
    ["10,001 hashes", JSON_TYPE, hashes(10_001), "400 invalid"],
    ["an upper-case hash", JSON_TYPE, `{"hashes":["${"A".repeat(64)}"]}`, "400 invalid"],
    ["a short hash", JSON_TYPE, `{"hashes":["${"a".repeat(62)}"]}`, "400 invalid"],
    ["an odd hash", JSON_TYPE, `{"hashes":["${"a".repeat(65)}"]}`, "400 invalid"],
    ["a hash and a newline", JSON_TYPE, `{"hashes":["${"a".repeat(64)}\\n"]}`, "400 invalid"],
    ["a good and a bad hash", JSON_TYPE, `{"hashes":["${hash()}","x"]}`, "400 invalid"],
    ["a number for a hash", JSON_TYPE, `{"hashes":[7]}`, "400 invalid"],
    ["another member", JSON_TYPE, `{"hashes":["${hash()}"],"more":1}`, "400 invalid"],
    ["a member __proto__", JSON_TYPE, `{"hashes":["${hash()}"],"__proto__":{}}`, "400 invalid"],
    ["a list", JSON_TYPE, `["${hash()}"]`, "400 invalid"],
    ["null", JSON_TYPE, "null", "400 invalid"],
    ["truncated JSON", JSON_TYPE, good.slice(0, -2), "400 invalid"],
    ["two JSON values", JSON_TYPE, good + good, "400 invalid"],
    ["deep JSON", JSON_TYPE, "[".repeat(500_000), "400 invalid"],
    ["not UTF-8", JSON_TYPE, Uint8Array.of(0x22, 0xff, 0x22), "400 invalid"],
    ["a body over 1 MiB", JSON_TYPE, `${good}${" ".repeat(1 << 20)}`, "413 too_large"],
    [
      "a body that claims to be short",
      { ...JSON_TYPE, "Content-Length": "9" },
      " ".repeat(2 << 20),
      "413 too_large",
    ],
    ["a body that claims to be long", { ...JSON_TYPE, "Content-Length": "9999999" }, good, "413 too_large"],
    ["no media type", {}, new TextEncoder().encode(good), "415 unsupported_media_type"],
    ["text", { "Content-Type": "text/plain" }, good, "415 unsupported_media_type"],
    ["another +json", { "Content-Type": "application/fhir+json" }, good, "415 unsupported_media_type"],
    [
      "another charset",
      { "Content-Type": "application/json; charset=utf-16" },
      good,
      "415 unsupported_media_type",
    ],
    [
      "two media types",
      { "Content-Type": "application/json, text/plain" },
      good,
      "415 unsupported_media_type",
    ],
    ["a compressed body", { ...JSON_TYPE, "Content-Encoding": "gzip" }, good, "415 unsupported_media_type"],
    ["a form", { "Content-Type": "application/x-www-form-urlencoded" }, "a=b", "415 unsupported_media_type"],
    ["no octets", OCTETS, new Uint8Array(), "400 invalid"],
    ["31 octets", OCTETS, new Uint8Array(31), "400 invalid"],
    ["33 octets", OCTETS, new Uint8Array(33), "400 invalid"],
    ["10,001 entries of octets", OCTETS, new Uint8Array(32 * 10_001), "400 invalid"],
  ];

  test.each(cases)("%s", async (_, headers, body, expected) => {
    const { log, write } = kedge.a;
    const response = await kedge.app.request(`/v1/logs/${log.id}/entries`, {
      method: "POST",
      headers: { ...bearer(write), ...headers },
      ...(body !== undefined && { body }),
    });
    if (response.status === 415) expect(response.headers.get("accept")).toContain("application/json");
    expect(await problemOf(response)).toBe(expected);
    expect(await pendingCount(kedge.service, log.id)).toBe(0n);
  });

  test("an unknown log", async () => {
    const response = await kedge.app.request(`/v1/logs/${"a".repeat(19)}/entries`, {
      method: "POST",
      headers: { ...bearer(kedge.a.write), ...JSON_TYPE },
      body: good,
    });
    expect(await problemOf(response)).toBe("404 not_found");
    expect(await pendingCount(kedge.service, "a".repeat(19))).toBe(0n);
  });

  test("a body without end is cut off", async () => {
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 65_536;
        controller.enqueue(new Uint8Array(65_536));
      },
    });
    const request = new Request(`http://localhost/v1/logs/${kedge.a.log.id}/entries`, {
      method: "POST",
      headers: { ...bearer(kedge.a.write), ...OCTETS },
      body,
      duplex: "half",
    });
    expect(await problemOf(await kedge.app.request(request))).toBe("413 too_large");
    expect(sent).toBeLessThan(2 << 20);
  });
});

describe("names, scopes and times of logs and keys", () => {
  const scopes = ["read"];
  test.each([
    ["/v1/logs", {}],
    ["/v1/logs", { name: "" }],
    ["/v1/logs", { name: "n".repeat(101) }],
    ["/v1/logs", { name: "a\u0000b" }],
    ["/v1/logs", { name: "a\u0085b" }],
    ["/v1/logs", { name: "\ud800" }],
    ["/v1/logs", { name: "a", id: "mine" }],
    ["/v1/keys", { name: "a", scopes: [] }],
    ["/v1/keys", { name: "a", scopes: ["root"] }],
    ["/v1/keys", { name: "a", scopes: ["read", "read", "read", "read"] }],
    ["/v1/keys", { name: "a", scopes, log: "../head" }],
    ["/v1/keys", { name: "a", scopes, expiresAt: "tomorrow" }],
    ["/v1/keys", { name: "a", scopes, expiresAt: "2026-02-30T00:00:00Z" }],
    ["/v1/keys", { name: "a", scopes, expiresAt: "2020-01-01T00:00:00Z" }],
    ["/v1/keys", { name: "a", scopes, expiresAt: "9999-12-31T23:59:59-23:59" }],
    ["/v1/keys", { name: "a", scopes, expiresAt: "0000-01-01T00:00:00+23:59" }],
    ["/v1/keys", { name: "a", scopes, expiresAt: 4102444800 }],
    ["/v1/keys", { name: "a", scopes, tenant: "another" }],
  ])("%s refuses %j", async (path, body) => {
    const headers = { ...bearer(kedge.a.admin), ...JSON_TYPE };
    const before = await (await kedge.app.request(path, { headers })).text();
    const init = { method: "POST", headers, body: JSON.stringify(body) };
    expect(await problemOf(await kedge.app.request(path, init))).toBe("400 invalid");
    expect(await (await kedge.app.request(path, { headers })).text()).toBe(before);
  });

  test("a limited admin key is refused", async () => {
    const init = {
      method: "POST",
      headers: { ...bearer(kedge.a.admin), ...JSON_TYPE },
      body: JSON.stringify({ name: "a", scopes: ["admin"], log: kedge.a.log.id }),
    };
    expect(await problemOf(await kedge.app.request("/v1/keys", init))).toBe("400 invalid");
  });
});

describe("fuzz", () => {
  const segments = () => [
    ...[
      "v1",
      "logs",
      "keys",
      "entries",
      "proofs",
      "tile",
      "checkpoint",
      "checkpoints",
      "consistency",
      "proof",
    ],
    ...["anchor", "policy", "healthz", "openapi.json", "docs", "0", "000", "000.p", "1", "x001", "entries"],
    ...[
      kedge.a.log.id,
      kedge.b.log.id,
      kedge.a.id,
      "%00",
      "%ff",
      "%",
      "%2e%2e",
      "%2F",
      "..",
      "__proto__",
      "",
    ],
    ...["a".repeat(64), "9".repeat(30), "constructor", "é", "{log}", ":log", "*"],
  ];
  const templates = () => [
    ...[
      "",
      "/entries",
      "/entries/status",
      "/proofs",
      "/checkpoint",
      "/checkpoints",
      "/consistency",
      "/tile/0/000",
    ].map((end) => `/v1/logs/${kedge.a.log.id}${end}`),
    ...["/v1/logs", "/v1/keys", "/anchor/tile/0/000", "/anchor/checkpoints/1", "/docs"],
  ];
  const path = () =>
    fc.oneof(
      fc.constantFrom(...templates()),
      fc.array(fc.constantFrom(...segments()), { maxLength: 8 }).map((parts) => `/${parts.join("/")}`),
      fc.webPath(),
      fc.string({ unit: "binary", maxLength: 300 }).map((text) => `/${text}`),
    );
  const query = () =>
    fc.oneof(
      fc.constant(""),
      fc.webQueryParameters().map((text) => `?${text}`),
      fc
        .record({
          from: fc.oneof(fc.bigInt(), fc.string()),
          to: fc.oneof(fc.bigInt(), fc.string()),
          after: fc.oneof(fc.bigInt(), fc.string()),
          limit: fc.oneof(fc.integer(), fc.string()),
        })
        .map(({ from, to, after, limit }) => `?from=${from}&to=${to}&after=${after}&limit=${limit}`),
      fc.constant(`?${"q=%ff&".repeat(3_000)}`),
    );
  const method = fc.constantFrom("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW");
  const authorization = () =>
    fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(`Bearer ${kedge.a.all}`, `bearer  ${kedge.a.all}`) },
      fc.constantFrom("", "Bearer", "Bearer ", "Basic YTpi", `Bearer kedge_${"a".repeat(100_000)}`),
      fc.string(),
    );
  const contentType = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom("application/json", "application/octet-stream") },
    fc.constantFrom(
      "",
      "application/json; charset=utf-8",
      "multipart/form-data",
      "application/json;;",
      "*/*",
    ),
    fc.string(),
  );
  const body = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((bytes) => bytes.slice()),
    fc.json(),
    fc
      .record({ hashes: fc.array(fc.oneof(fc.string(), fc.constant("a".repeat(64)))) })
      .map((value) => JSON.stringify(value)),
    fc.record({ name: fc.string(), scopes: fc.array(fc.anything()) }).map((value) => {
      try {
        return JSON.stringify(value);
      } catch {
        return "{";
      }
    }),
  );

  test("no input makes a 5xx, and every refusal is a problem", async () => {
    const requests = fc.record({
      url: fc.tuple(path(), query()).map((parts) => parts.join("")),
      method,
      authorization: authorization(),
      contentType,
      accept: fc.string(),
      body,
    });
    await fc.assert(
      fc.asyncProperty(requests, async (input) => {
        const request = toRequest(input);
        fc.pre(request !== undefined);
        const response = await kedge.app.request(request);
        expect(response.status).toBeLessThan(500);
        if (response.status < 400) return;
        if (input.method === "HEAD") expect(await response.text()).toBe("");
        else await problemOf(response);
      }),
      { numRuns: 1_000 },
    );
  });

  function toRequest(input: {
    url: string;
    method: string;
    authorization: string;
    contentType: string;
    accept: string;
    body: string | Uint8Array<ArrayBuffer>;
  }): Request | undefined {
    try {
      const headers = new Headers({ Authorization: input.authorization, Accept: input.accept });
      if (input.contentType !== "") headers.set("Content-Type", input.contentType);
      const bodiless = input.method === "GET" || input.method === "HEAD";
      return new Request(new URL(`http://localhost${input.url}`), {
        method: input.method,
        headers,
        ...(!bodiless && { body: input.body }),
      });
    } catch (error) {
      // What the Fetch standard cannot express never reaches the app.
      if (error instanceof TypeError) return undefined;
      throw error;
    }
  }
});
