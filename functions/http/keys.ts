/** A tenant's API keys, managed by its administrator. */
import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { apiKeysSchema, createdApiKeySchema, newApiKeySchema, timeText } from "@kedge/cli/contract/wire";
import * as z from "zod";
import type { ApiService } from "../../service/config.ts";
import type { ApiKey } from "../../service/tenants.ts";
import { verbs } from "../../service/verbs.ts";
import { allow } from "./auth.ts";
import { JSON_TYPE } from "./body.ts";
import type { ApiEnv } from "./env.ts";
import { absentProblem, bodyProblems, conflictProblem, keyProblems } from "./problem.ts";
import { json, jsonBody } from "./schema.ts";

export function keyRoutes(app: OpenAPIHono<ApiEnv>, service: ApiService): void {
  const postKey = createRoute({
    ...allow(service, verbs.createKey, JSON_TYPE),
    method: "post",
    path: "/v1/keys",
    operationId: "createKey",
    summary: "Create an API key",
    tags: ["Manage"],
    request: jsonBody(newApiKeySchema),
    responses: {
      201: json("The key, shown once.", createdApiKeySchema),
      ...bodyProblems,
      ...keyProblems,
      ...absentProblem,
      ...conflictProblem,
    },
  });
  app.openapi(postKey, async (c) => {
    const { expiresAt, log, name, scopes } = c.req.valid("json");
    const created = await c.var.act({
      name,
      scopes,
      ...(log !== undefined && { log }),
      ...(expiresAt !== undefined && { expiresAt: BigInt(Date.parse(expiresAt)) }),
    });
    return c.json({ ...keyBody(created.key), apiKey: created.apiKey }, 201);
  });

  const getKeys = createRoute({
    ...allow(service, verbs.listKeys),
    method: "get",
    path: "/v1/keys",
    operationId: "listKeys",
    summary: "The tenant's API keys",
    description: "Without their secrets, which are not stored.",
    tags: ["Manage"],
    responses: { 200: json("All.", apiKeysSchema), ...keyProblems },
  });
  app.openapi(getKeys, async (c) => c.json({ keys: (await c.var.act()).map(keyBody) }, 200));

  const deleteKey = createRoute({
    ...allow(service, verbs.revokeKey),
    method: "delete",
    path: "/v1/keys/{id}",
    operationId: "revokeKey",
    summary: "Revoke an API key",
    description: "At once. Revoking again changes nothing.",
    tags: ["Manage"],
    request: { params: z.object({ id: z.string().meta({ description: "Id of the API key." }) }) },
    responses: { 204: { description: "Revoked." }, ...keyProblems, ...absentProblem },
  });
  app.openapi(deleteKey, async (c) => {
    await c.var.act(c.req.valid("param").id);
    return c.body(null, 204);
  });
}

function keyBody({ id, name, scopes, log, createdAt, expiresAt, revokedAt }: ApiKey) {
  return {
    id,
    name,
    scopes: [...scopes],
    ...(log !== undefined && { log }),
    createdAt: timeText(createdAt),
    ...(expiresAt !== undefined && { expiresAt: timeText(expiresAt) }),
    ...(revokedAt !== undefined && { revokedAt: timeText(revokedAt) }),
  };
}
