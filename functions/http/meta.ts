/** Health, the OpenAPI document, and the reference page that shows it. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import * as z from "zod";
import { JSON_TYPE } from "./body.ts";
import type { ApiEnv } from "./env.ts";
import { INTRODUCTION } from "./introduction.ts";
import { anyProblems } from "./problem.ts";
import { FOR_MINUTES, HTML_TYPE } from "./schema.ts";

const INFO = {
  openapi: "3.1.0",
  info: {
    title: "Kedge",
    version: "1",
    description: INTRODUCTION,
    license: { name: "Apache-2.0", identifier: "Apache-2.0" },
  },
  servers: [{ url: "/", description: "The service that serves this document." }],
  tags: [
    { name: "Entries", description: "Post commitments and fetch their proofs." },
    { name: "Log", description: "A log as a C2SP tlog-tiles prefix, and its history." },
    { name: "Manage", description: "The tenant's own logs and API keys." },
    { name: "People", description: "Sign in, and viewer links for who has no account." },
    { name: "Trail", description: "Who did what in Kedge, and what is reported to it." },
    { name: "Anchor log", description: "The operator's public log of all tenants' checkpoints." },
    { name: "Service", description: "Health and documentation." },
  ],
};

/** Call last: the document describes the routes that are there. */
export function metaRoutes(app: OpenAPIHono<ApiEnv>): void {
  const common = { method: "get" as const, tags: ["Service"], security: [] };
  app.openAPIRegistry.registerComponent("securitySchemes", "apiKey", {
    type: "http",
    scheme: "bearer",
    bearerFormat: "kedge_<id>_<secret>",
    description: "An API key of the tenant. Each operation names the scope that the key needs.",
  });
  app.openAPIRegistry.registerComponent("securitySchemes", "session", {
    type: "http",
    scheme: "bearer",
    bearerFormat: "kedgesession_<id>_<secret>",
    description:
      "A person's session, begun by a sign-in. Each operation names the scope that their role needs.",
  });

  const health = createRoute({
    ...common,
    path: "/healthz",
    operationId: "getHealth",
    summary: "Whether the API answers",
    responses: {
      200: {
        description: "It does.",
        content: { [JSON_TYPE]: { schema: z.object({ status: z.literal("ok") }) } },
      },
      ...anyProblems,
    },
  });
  app.openapi(health, (c) => c.json({ status: "ok" } as const, 200));

  const openapi = createRoute({
    ...common,
    path: "/openapi.json",
    operationId: "getOpenapi",
    summary: "This document",
    responses: {
      200: { description: "OpenAPI 3.1.", content: { [JSON_TYPE]: { schema: z.looseObject({}) } } },
      ...anyProblems,
    },
  });
  let document: string | undefined;
  app.openAPIRegistry.registerPath(openapi);
  app.get(openapi.path, (c) => {
    document ??= JSON.stringify(app.getOpenAPI31Document(INFO));
    return c.body(document, 200, { "Content-Type": JSON_TYPE, "Cache-Control": FOR_MINUTES });
  });

  const docs = createRoute({
    ...common,
    path: "/docs",
    operationId: "getDocs",
    summary: "This document as a page",
    responses: {
      200: {
        description: "HTML that loads nothing from elsewhere.",
        content: { [HTML_TYPE]: { schema: z.string() } },
      },
      ...anyProblems,
    },
  });
  app.openAPIRegistry.registerPath(docs);
  app.get(docs.path, (c) =>
    c.body(PAGE, 200, {
      "Content-Type": HTML_TYPE,
      "Content-Security-Policy": CONTENT_POLICY,
      "Cache-Control": FOR_MINUTES,
    }),
  );
  app.get("/docs/start.js", (c) =>
    c.body(START, 200, { "Content-Type": SCRIPT, "Cache-Control": FOR_MINUTES }),
  );
  for (const [name, type] of [
    ["swagger-ui-bundle.js", SCRIPT],
    ["swagger-ui.css", "text/css; charset=utf-8"],
  ] as const) {
    app.get(`/docs/${name}`, (c) =>
      c.body(asset(name), 200, { "Content-Type": type, "Cache-Control": FOR_MINUTES }),
    );
  }
}

const SCRIPT = "text/javascript; charset=utf-8";

/** The page needs this origin and nothing else; Swagger UI sets styles and images inline. */
const CONTENT_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Kedge API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="reference"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
`;

/** validatorUrl: Swagger UI would otherwise send the document's URL to a validator of its makers. */
const START = `SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  validatorUrl: null,
  persistAuthorization: false,
});
`;

/** One copy for all requests, or a client that reads slowly would hold a megabyte for each of its requests. */
const assets = new Map<string, Uint8Array<ArrayBuffer>>();

/** Read from the installed package at the first request: a megabyte that the Lambda bundle need not parse. */
function asset(name: string): Uint8Array<ArrayBuffer> {
  const path = createRequire(import.meta.url).resolve(`swagger-ui-dist/${name}`);
  const bytes = assets.get(name) ?? new Uint8Array(readFileSync(path));
  assets.set(name, bytes);
  return bytes;
}
