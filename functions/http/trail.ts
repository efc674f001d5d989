/** Kedge's own trail: who did what in it, and what is reported to it of the officer's work, which is done in a browser. */
import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { MAX_TRAIL_PAGE } from "@kedge/cli/contract/limits";
import { newExportSchema, newReviewSchema, recordedSchema, trailSchema } from "@kedge/cli/contract/people";
import { timeText } from "@kedge/cli/contract/wire";
import * as z from "zod";
import type { ApiService } from "../../service/config.ts";
import type { Recorded } from "../../service/trail.ts";
import { verbs } from "../../service/verbs.ts";
import { allow } from "./auth.ts";
import { JSON_TYPE } from "./body.ts";
import type { ApiEnv } from "./env.ts";
import { absentProblem, bodyProblems, keyProblems } from "./problem.ts";
import { json, jsonBody, logParams, sizeQuery, sizeText } from "./schema.ts";

const tags = ["Trail"];

export function trailRoutes(app: OpenAPIHono<ApiEnv>, service: ApiService): void {
  const getTrail = createRoute({
    ...allow(service, verbs.readTrail),
    method: "get",
    path: "/v1/trail",
    operationId: "getTrail",
    summary: "Who did what in Kedge: the tenant's own trail",
    description:
      "Newest first. Each event is one of the system log's, numbered from 1 without a gap under the source `kedge.trail`; its proof is that of its `commitment` there. The operator keeps events and openings for a time, and the log's entries for good. Also for an API key with the scope admin.",
    tags,
    request: {
      query: z.object({
        before: sizeText.optional().meta({ ...sizeQuery, description: "Only of lower numbers." }),
        limit: sizeText
          .default("100")
          .refine((text) => Number(text) >= 1 && Number(text) <= MAX_TRAIL_PAGE, `1 to ${MAX_TRAIL_PAGE}`)
          .meta({ type: "integer", minimum: 1, maximum: MAX_TRAIL_PAGE, default: 100 }),
      }),
    },
    responses: { 200: json("A page.", trailSchema), ...keyProblems },
  });
  app.openapi(getTrail, async (c) => {
    const { before, limit } = c.req.valid("query");
    const page = await c.var.act({
      limit: Number(limit),
      ...(before !== undefined && { before: BigInt(before) }),
    });
    const events = page.events.map(({ at, event, commitment, opening }) => ({
      ...{ at: timeText(at), event, commitment, opening: JSON.parse(opening) },
    }));
    const { log, next } = page;
    return c.json(
      { ...(log !== undefined && { log }), events, ...(next !== undefined && { next: String(next) }) },
      200,
    );
  });

  const postReview = createRoute({
    ...allow(service, verbs.recordReview, JSON_TYPE),
    method: "post",
    path: "/v1/logs/{log}/reviews",
    operationId: "recordReview",
    summary: "Sign off a review",
    description:
      "The review itself stays with whoever made it: its commitment becomes an entry of the tenant's log of reviews, and the trail says who signed it off.",
    tags,
    request: { params: logParams, ...jsonBody(newReviewSchema) },
    responses: {
      202: json("Recorded durably.", recordedSchema),
      ...bodyProblems,
      ...keyProblems,
      ...absentProblem,
    },
  });
  app.openapi(postReview, async (c) => {
    const { from, to, ...review } = c.req.valid("json");
    const period = { ...(from !== undefined && { from }), ...(to !== undefined && { to }) };
    return c.json(recordedBody(await c.var.act({ ...review, ...period })), 202);
  });

  const postExport = createRoute({
    ...allow(service, verbs.recordExport, JSON_TYPE),
    method: "post",
    path: "/v1/exports",
    operationId: "recordExport",
    summary: "Report what was made in the browser",
    description: "By kind and count: nothing of an event. For people and viewer links, not for API keys.",
    tags,
    request: jsonBody(newExportSchema),
    responses: {
      202: json("Recorded durably.", recordedSchema),
      ...bodyProblems,
      ...keyProblems,
      ...absentProblem,
    },
  });
  app.openapi(postExport, async (c) => {
    const { kind, log, count, digest } = c.req.valid("json");
    const recorded = await c.var.act({
      ...{ kind, count },
      ...(log !== undefined && { log }),
      ...(digest !== undefined && { digest }),
    });
    return c.json(recordedBody(recorded), 202);
  });
}

const recordedBody = ({ log, at }: Recorded) => ({ log, at: timeText(at) });
