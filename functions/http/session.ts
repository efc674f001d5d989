/** Who is signed in, and signing out. */
import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { sessionSchema } from "@kedge/cli/contract/people";
import { timeText } from "@kedge/cli/contract/wire";
import type { ApiService } from "../../service/config.ts";
import type { Session } from "../../service/people.ts";
import { verbs } from "../../service/verbs.ts";
import { allow } from "./auth.ts";
import type { ApiEnv } from "./env.ts";
import { absentProblem, keyProblems } from "./problem.ts";
import { json } from "./schema.ts";

export function sessionRoutes(app: OpenAPIHono<ApiEnv>, service: ApiService): void {
  const getSession = createRoute({
    ...allow(service, verbs.readSession),
    method: "get",
    path: "/v1/session",
    operationId: "getSession",
    summary: "Who is signed in",
    tags: ["People"],
    responses: { 200: json("The session.", sessionSchema), ...keyProblems, ...absentProblem },
  });
  app.openapi(getSession, async (c) => {
    const { tenantName, ...session } = await c.var.act();
    return c.json(sessionBody(session, tenantName), 200);
  });

  const deleteSession = createRoute({
    ...allow(service, verbs.endSession),
    method: "delete",
    path: "/v1/session",
    operationId: "endSession",
    summary: "Sign out",
    description: "At once.",
    tags: ["People"],
    responses: { 204: { description: "Signed out." }, ...keyProblems },
  });
  app.openapi(deleteSession, async (c) => {
    await c.var.act();
    return c.body(null, 204);
  });
}

export function sessionBody({ principal, holder, name, expiresAt }: Session, tenantName: string) {
  const { tenant, who, scopes, logs } = principal;
  return {
    tenant: { id: tenant, name: tenantName },
    holder,
    ...(name !== undefined && { name }),
    ...(who.kind === "person" && { role: who.role }),
    scopes: [...scopes],
    ...(logs !== "all" && { logs: [...logs] }),
    expiresAt: timeText(expiresAt),
  };
}
