/** A tenant's own logs and API keys. */
import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { formatVkey } from "@kedge/verify/tlog/note";
import * as z from "zod";
import type { ApiService } from "../../service/config.ts";
import { readHead } from "../../service/head.ts";
import { logVkeys } from "../../service/sign.ts";
import {
  type ApiKey,
  createKey,
  createLog,
  listKeys,
  listLogs,
  revokeKey,
  SCOPES,
  type TenantLog,
} from "../../service/tenants.ts";
import type { ApiEnv } from "./app.ts";
import { requireLog, requireScope } from "./auth.ts";
import { acceptBody, JSON_TYPE } from "./body.ts";
import { absentProblem, bodyProblems, conflictProblem, keyProblems, notFound } from "./problem.ts";
import { EXAMPLE_LOG, logParams, nameSchema, sizeSchema, timeSchema, timeText } from "./schema.ts";

const log = z
  .object({
    id: z.string().openapi({ example: EXAMPLE_LOG }),
    origin: z.string().openapi({ example: `audit.example.org/log/${EXAMPLE_LOG}` }),
    name: z.string(),
    vkey: z.string().openapi({ description: "Verifier key of its checkpoints, c2sp.org/signed-note." }),
    vkeys: z.array(z.string()).openapi({
      description:
        "All that sign its checkpoints now, `vkey` first: while a key takes over from another, both do. Who serves a log cannot vouch for its keys: pin those of a source you trust.",
    }),
    createdAt: timeSchema,
  })
  .openapi("Log");
const logState = log
  .extend({
    size: sizeSchema.openapi({ description: "Entries in the published tree." }),
    publishedAt: timeSchema.optional().openapi({ description: "Of the newest checkpoint." }),
  })
  .openapi("LogState");

/** `kedge_<id>_…` names the key's id: 25 base32 characters. */
const KEY_ID = /^[a-z2-7]{25}$/;

const key = z
  .object({
    id: z.string(),
    name: z.string(),
    scopes: z.array(z.enum(SCOPES)),
    log: z.string().optional().openapi({ description: "The only log the key may use." }),
    createdAt: timeSchema,
    expiresAt: timeSchema.optional(),
    revokedAt: timeSchema.optional(),
  })
  .openapi("ApiKey");
const createdKey = key
  .extend({ apiKey: z.string().openapi({ description: "The key itself: shown once, stored by its hash." }) })
  .openapi("CreatedApiKey");

const newLog = z.strictObject({ name: nameSchema }).openapi("NewLog");
const newKey = z
  .strictObject({
    name: nameSchema,
    scopes: z.array(z.enum(SCOPES)).min(1).max(SCOPES.length),
    log: z
      .string()
      .regex(/^[a-z2-7]{19}$/, "the id of a log")
      .optional()
      .openapi({ description: "Limits the key to one log. Not for admin keys.", example: EXAMPLE_LOG }),
    expiresAt: z.iso.datetime({ offset: true }).optional().openapi({ example: "2027-03-01T00:00:00Z" }),
  })
  .openapi("NewApiKey");

export function manageRoutes(app: OpenAPIHono<ApiEnv>, service: ApiService): void {
  const admin = {
    tags: ["Manage"],
    security: [{ apiKey: ["admin"] }],
    middleware: [requireScope(service, "admin")],
  };
  const adminPost = { ...admin, middleware: [...admin.middleware, acceptBody(JSON_TYPE)] };

  const postLog = createRoute({
    ...adminPost,
    method: "post",
    path: "/v1/logs",
    operationId: "createLog",
    summary: "Create a log",
    request: { body: { required: true, content: { [JSON_TYPE]: { schema: newLog } } } },
    responses: {
      201: { description: "The log.", content: { [JSON_TYPE]: { schema: log } } },
      ...bodyProblems,
      ...keyProblems,
      ...conflictProblem,
    },
  });
  app.openapi(postLog, async (c) => {
    const created = await createLog(service, c.get("principal").tenant, c.req.valid("json").name);
    return c.json(await logBody(service, created), 201);
  });

  const getLogs = createRoute({
    ...admin,
    method: "get",
    path: "/v1/logs",
    operationId: "listLogs",
    summary: "The tenant's logs",
    responses: {
      200: { description: "All.", content: { [JSON_TYPE]: { schema: z.object({ logs: z.array(log) }) } } },
      ...keyProblems,
    },
  });
  app.openapi(getLogs, async (c) => {
    const logs = await listLogs(service, c.get("principal").tenant);
    return c.json({ logs: await Promise.all(logs.map((each) => logBody(service, each))) }, 200);
  });

  const getLog = createRoute({
    method: "get",
    path: "/v1/logs/{log}",
    operationId: "getLog",
    summary: "A log: its origin, verifier key and size",
    tags: ["Log"],
    security: [{ apiKey: ["read"] }],
    middleware: [requireScope(service, "read"), requireLog(service)],
    request: { params: logParams },
    responses: {
      200: { description: "The log.", content: { [JSON_TYPE]: { schema: logState } } },
      ...keyProblems,
      ...absentProblem,
    },
  });
  app.openapi(getLog, async (c) => {
    const [body, head] = await Promise.all([
      logBody(service, c.get("log")),
      readHead(service.store, c.get("log").id),
    ]);
    const published = head.checkpoint && { publishedAt: timeText(head.checkpoint.at) };
    return c.json({ ...body, size: Number(head.published), ...published }, 200);
  });

  const postKey = createRoute({
    ...adminPost,
    method: "post",
    path: "/v1/keys",
    operationId: "createKey",
    summary: "Create an API key",
    request: { body: { required: true, content: { [JSON_TYPE]: { schema: newKey } } } },
    responses: {
      201: { description: "The key, shown once.", content: { [JSON_TYPE]: { schema: createdKey } } },
      ...bodyProblems,
      ...keyProblems,
      ...absentProblem,
      ...conflictProblem,
    },
  });
  app.openapi(postKey, async (c) => {
    const { expiresAt, log: only, name, scopes } = c.req.valid("json");
    const created = await createKey(service, c.get("principal").tenant, {
      name,
      scopes,
      ...(only !== undefined && { log: only }),
      ...(expiresAt !== undefined && { expiresAt: BigInt(Date.parse(expiresAt)) }),
    });
    return c.json({ ...keyBody(created.key), apiKey: created.apiKey }, 201);
  });

  const getKeys = createRoute({
    ...admin,
    method: "get",
    path: "/v1/keys",
    operationId: "listKeys",
    summary: "The tenant's API keys",
    description: "Without their secrets, which are not stored.",
    responses: {
      200: { description: "All.", content: { [JSON_TYPE]: { schema: z.object({ keys: z.array(key) }) } } },
      ...keyProblems,
    },
  });
  app.openapi(getKeys, async (c) => {
    const keys = await listKeys(service, c.get("principal").tenant);
    return c.json({ keys: keys.map(keyBody) }, 200);
  });

  const deleteKey = createRoute({
    ...admin,
    method: "delete",
    path: "/v1/keys/{id}",
    operationId: "revokeKey",
    summary: "Revoke an API key",
    description: "At once. Revoking again changes nothing.",
    request: { params: z.object({ id: z.string().openapi({ description: "Id of the API key." }) }) },
    responses: { 204: { description: "Revoked." }, ...keyProblems, ...absentProblem },
  });
  app.openapi(deleteKey, async (c) => {
    const { id } = c.req.valid("param");
    if (!KEY_ID.test(id)) throw notFound();
    await revokeKey(service, c.get("principal").tenant, id);
    return c.body(null, 204);
  });
}

async function logBody(service: ApiService, { id, origin, name, createdAt }: TenantLog) {
  const vkeys = (await logVkeys(service.logKeys, origin)).map(formatVkey);
  return { id, origin, name, vkey: vkeys[0] ?? "", vkeys, createdAt: timeText(createdAt) };
}

function keyBody({ id, name, scopes, log: only, createdAt, expiresAt, revokedAt }: ApiKey) {
  return {
    id,
    name,
    scopes: [...scopes],
    ...(only !== undefined && { log: only }),
    createdAt: timeText(createdAt),
    ...(expiresAt !== undefined && { expiresAt: timeText(expiresAt) }),
    ...(revokedAt !== undefined && { revokedAt: timeText(revokedAt) }),
  };
}
