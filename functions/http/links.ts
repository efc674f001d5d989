/** Viewer links: one log, read only, for an outside auditor. Made and revoked by whoever signs off reviews. */
import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { createdLinkSchema, linksSchema, newLinkSchema } from "@kedge/cli/contract/people";
import { timeText } from "@kedge/cli/contract/wire";
import * as z from "zod";
import type { ApiService } from "../../service/config.ts";
import type { Link } from "../../service/people-links.ts";
import { verbs } from "../../service/verbs.ts";
import { allow } from "./auth.ts";
import { JSON_TYPE } from "./body.ts";
import type { ApiEnv } from "./env.ts";
import { absentProblem, bodyProblems, conflictProblem, keyProblems } from "./problem.ts";
import { json, jsonBody } from "./schema.ts";

export function linkRoutes(app: OpenAPIHono<ApiEnv>, service: ApiService): void {
  const postLink = createRoute({
    ...allow(service, verbs.createLink, JSON_TYPE),
    method: "post",
    path: "/v1/links",
    operationId: "createLink",
    summary: "Create a viewer link",
    description: "It lasts a year at most. Whoever has it reads the log and its proofs, and nothing else.",
    tags: ["People"],
    request: jsonBody(newLinkSchema),
    responses: {
      201: json("The link, shown once.", createdLinkSchema),
      ...bodyProblems,
      ...keyProblems,
      ...absentProblem,
      ...conflictProblem,
    },
  });
  app.openapi(postLink, async (c) => {
    const { name, log, expiresAt } = c.req.valid("json");
    const { text, ...link } = await c.var.act({ name, log, expiresAt: BigInt(Date.parse(expiresAt)) });
    return c.json({ ...linkBody(link), link: text }, 201);
  });

  const getLinks = createRoute({
    ...allow(service, verbs.listLinks),
    method: "get",
    path: "/v1/links",
    operationId: "listLinks",
    summary: "The viewer links of the tenant's logs",
    description: "Without their secrets, which are not stored.",
    tags: ["People"],
    responses: { 200: json("All.", linksSchema), ...keyProblems },
  });
  app.openapi(getLinks, async (c) => c.json({ links: (await c.var.act()).map(linkBody) }, 200));

  const deleteLink = createRoute({
    ...allow(service, verbs.revokeLink),
    method: "delete",
    path: "/v1/links/{id}",
    operationId: "revokeLink",
    summary: "Revoke a viewer link",
    description: "At once, with every session by it. Revoking again changes nothing.",
    tags: ["People"],
    request: { params: z.object({ id: z.string().meta({ description: "Id of the link." }) }) },
    responses: { 204: { description: "Revoked." }, ...keyProblems, ...absentProblem },
  });
  app.openapi(deleteLink, async (c) => {
    await c.var.act(c.req.valid("param").id);
    return c.body(null, 204);
  });
}

const linkBody = ({ createdAt, expiresAt, revokedAt, ...link }: Link) => ({
  ...link,
  createdAt: timeText(createdAt),
  expiresAt: timeText(expiresAt),
  ...(revokedAt !== undefined && { revokedAt: timeText(revokedAt) }),
});
