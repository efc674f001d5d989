/** Every operation of the OpenAPI document, with a request that a tenant's own key would succeed with. */
import { hexToBytes } from "@noble/hashes/utils.js";
import { expect } from "vitest";
import { z } from "zod";
import { type App, bearer, type Harness } from "./harness.ts";

const problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  instance: z.string(),
});
const media = z.object({
  schema: z.looseObject({}),
  examples: z.record(z.string(), z.object({ value: problem })).optional(),
});
const operation = z.object({
  operationId: z.string(),
  summary: z.string(),
  tags: z.array(z.string()).length(1),
  security: z.array(z.record(z.string(), z.array(z.string()))),
  parameters: z
    .array(z.object({ name: z.string(), in: z.enum(["path", "query"]), required: z.boolean() }))
    .default([]),
  requestBody: z
    .object({
      required: z.literal(true),
      // Of two, openapi-python-client knows one only, and says nothing of the other.
      content: z.record(z.string(), media).refine((types) => Object.keys(types).length === 1),
    })
    .optional(),
  responses: z.record(
    z.string().regex(/^[2-5]\d\d$/),
    z.object({ description: z.string().min(1), content: z.record(z.string(), media).optional() }),
  ),
});
const documentSchema = z.object({
  openapi: z.literal("3.1.0"),
  info: z.object({ title: z.string(), version: z.string(), description: z.string() }),
  servers: z.array(z.object({ url: z.string() })).min(1),
  paths: z.record(
    z.string().startsWith("/"),
    z.partialRecord(z.enum(["get", "post", "put", "patch", "delete"]), operation),
  ),
  components: z.object({
    schemas: z.record(z.string(), z.looseObject({})),
    securitySchemes: z.record(z.string(), z.object({ type: z.literal("http"), scheme: z.literal("bearer") })),
  }),
});

export type Operation = z.infer<typeof operation> & { readonly method: string; readonly path: string };

export async function readDocument(app: App) {
  const response = await app.request("/openapi.json");
  const raw: unknown = await response.json();
  const document = documentSchema.parse(raw);
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, each]): Operation => ({ ...each, path, method })),
  );
  return { raw, document, operations };
}

/** What an operation is about: ids and hashes to fill its path and body with. */
export type Target = {
  readonly log: string;
  readonly hash: string;
  /** Of an API key. */
  readonly id: string;
  /** A viewer link's id, and its whole text. */
  readonly link: string;
  readonly linkText: string;
};

/** Bodies by operation; a new operation with a body and no entry here fails the walk. */
const BODIES: Record<string, (target: Target) => unknown> = {
  appendEntries: ({ hash }) => ({ hashes: [hash] }),
  appendOctets: ({ hash }) => hexToBytes(hash),
  getEntries: ({ hash }) => ({ hashes: [hash] }),
  getProofs: ({ hash }) => ({ hashes: [hash] }),
  createLog: () => ({ name: "another log" }),
  createKey: ({ log }) => ({ name: "another key", scopes: ["read"], log }),
  recordReview: ({ hash }) => ({ commitment: hash, filter: ["user"], count: 1, root: hash }),
  recordExport: ({ log }) => ({ kind: "pack", log, count: 1 }),
  createLink: ({ log }) => ({
    ...{ name: "an auditor", log },
    expiresAt: new Date(Date.now() + 3_600_000).toISOString(),
  }),
  signIn: () => ({
    ...{ code: "a code", codeVerifier: "v".repeat(43), nonce: "n".repeat(43) },
    redirectUri: "https://console.example/",
  }),
  signInByLink: ({ linkText }) => ({ link: linkText }),
};

/** An identity provider is asked, and nobody has registered one here: sign-in.system.test.ts has its answers. */
export const needsProvider = ({ path }: Operation): boolean => path === "/v1/sign-in/{tenant}";

/** Sends an operation about `target` with this API key, or none. */
export async function send(
  { app }: Harness,
  { method, path, operationId, requestBody }: Operation,
  target: Target,
  apiKey: string | undefined,
): Promise<Response> {
  const values: Record<string, string> = {
    ...{ ...target, path: "0/000.p/1", size: "1", tenant: "a".repeat(16) },
    ...(path.startsWith("/v1/links/") && { id: target.link }),
  };
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? expect.fail(`no ${name}`));
  const headers = apiKey === undefined ? {} : bearer(apiKey);
  const query = "?from=0&to=1";
  if (requestBody === undefined) return await app.request(`${filled}${query}`, { method, headers });
  const make = BODIES[operationId] ?? expect.fail(`no body for ${operationId}: add it above`);
  const body = make(target);
  const [type = ""] = Object.keys(requestBody.content);
  return await app.request(filled, {
    method,
    headers: { ...headers, "Content-Type": type },
    body: body instanceof Uint8Array ? body.slice() : JSON.stringify(body),
  });
}

/** All that a client can tell two answers apart by, but for the request id. */
export async function visible(response: Response): Promise<unknown> {
  const id = response.headers.get("x-request-id") ?? expect.fail("no request id");
  const headers = [...response.headers].filter(([name]) => name !== "x-request-id");
  return { status: response.status, headers, body: (await response.text()).replaceAll(id, "<request id>") };
}
