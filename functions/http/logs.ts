/** A tenant's logs: created and listed by its administrator, read by whoever may read them. */
import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import {
  logSchema,
  logStateSchema,
  logsSchema,
  newLogSchema,
  progressSchema,
  timelineSchema,
  timeText,
} from "@kedge/cli/contract/wire";
import { formatVkey } from "@kedge/verify/tlog/note";
import type { ApiService } from "../../service/config.ts";
import type { Stage } from "../../service/progress.ts";
import { type NamedLog, verbs } from "../../service/verbs.ts";
import { allow } from "./auth.ts";
import { JSON_TYPE } from "./body.ts";
import type { ApiEnv } from "./env.ts";
import { absentProblem, bodyProblems, conflictProblem, keyProblems } from "./problem.ts";
import { json, jsonBody, logParams } from "./schema.ts";

export function logRoutes(app: OpenAPIHono<ApiEnv>, service: ApiService): void {
  const postLog = createRoute({
    ...allow(service, verbs.createLog, JSON_TYPE),
    method: "post",
    path: "/v1/logs",
    operationId: "createLog",
    summary: "Create a log",
    tags: ["Manage"],
    request: jsonBody(newLogSchema),
    responses: { 201: json("The log.", logSchema), ...bodyProblems, ...keyProblems, ...conflictProblem },
  });
  app.openapi(postLog, async (c) => c.json(logBody(await c.var.act(c.req.valid("json").name)), 201));

  const getLogs = createRoute({
    ...allow(service, verbs.listLogs),
    method: "get",
    path: "/v1/logs",
    operationId: "listLogs",
    summary: "The tenant's logs",
    tags: ["Manage"],
    responses: { 200: json("All.", logsSchema), ...keyProblems },
  });
  app.openapi(getLogs, async (c) => c.json({ logs: (await c.var.act()).map(logBody) }, 200));

  const getLog = createRoute({
    ...allow(service, verbs.readLog),
    method: "get",
    path: "/v1/logs/{log}",
    operationId: "getLog",
    summary: "A log: its origin, verifier key and size",
    tags: ["Log"],
    request: { params: logParams },
    responses: { 200: json("The log.", logStateSchema), ...keyProblems, ...absentProblem },
  });
  app.openapi(getLog, async (c) => {
    const log = await c.var.act();
    const published = log.publishedAt !== undefined && { publishedAt: timeText(log.publishedAt) };
    return c.json({ ...logBody(log), size: Number(log.size), ...published }, 200);
  });

  progressRoute(app, service);
  timelineRoute(app, service);
}

function progressRoute(app: OpenAPIHono<ApiEnv>, service: ApiService): void {
  const getProgress = createRoute({
    ...allow(service, verbs.progress),
    method: "get",
    path: "/v1/logs/{log}/progress",
    operationId: "getLogProgress",
    summary: "How far a log has come, and what it waits for",
    description:
      "A stage is absent while no entry has come so far. Times are by the operator's clock: informative.",
    tags: ["Log"],
    request: { params: logParams },
    responses: { 200: json("The stages.", progressSchema), ...keyProblems, ...absentProblem },
  });
  const stageBody = (stage: Stage | undefined) =>
    stage && { size: Number(stage.size), at: timeText(stage.at) };
  app.openapi(getProgress, async (c) => {
    const { pendingSince, sealed, anchored, witnessed, timestamped, waitsFor } = await c.var.act();
    return c.json(
      {
        pendingSince: pendingSince === undefined ? undefined : timeText(pendingSince),
        sealed: stageBody(sealed),
        anchored: stageBody(anchored),
        witnessed: stageBody(witnessed),
        timestamped: stageBody(timestamped),
        waitsFor: [...waitsFor],
      },
      200,
    );
  });
}

function timelineRoute(app: OpenAPIHono<ApiEnv>, service: ApiService): void {
  const getTimeline = createRoute({
    ...allow(service, verbs.timeline),
    method: "get",
    path: "/v1/logs/{log}/timeline",
    operationId: "getLogTimeline",
    summary: "How a log came to where it is, checkpoint by checkpoint",
    description:
      "At most 100 checkpoints, smallest first: when each was sealed, anchored, cosigned and timestamped. Informative: a proof is the evidence.",
    tags: ["Log"],
    request: { params: logParams },
    responses: { 200: json("The checkpoints.", timelineSchema), ...keyProblems, ...absentProblem },
  });
  const maybe = (ms: bigint | undefined) => (ms === undefined ? undefined : timeText(ms));
  app.openapi(getTimeline, async (c) => {
    const { points, isSampled } = await c.var.act();
    const checkpoints = points.map(({ size, at, cosigned, timestamps, ...times }) => ({
      size: Number(size),
      pendingSince: maybe(times.pendingSince),
      sealedAt: timeText(at),
      anchoredAt: maybe(times.anchoredAt),
      witnessedAt: maybe(times.witnessedAt),
      cosignatures: cosigned.map(({ name, at }) => ({ witness: name, at: timeText(at) })),
      timestamps: timestamps.map(({ type, time }) => ({ type, at: maybe(time) })),
    }));
    return c.json({ checkpoints, isSampled }, 200);
  });
}

function logBody({ id, origin, name, vkeys: keys, createdAt, kind }: NamedLog) {
  const vkeys = keys.map(formatVkey);
  const named = { id, origin, name, ...(kind !== undefined && { kind }) };
  return { ...named, vkey: vkeys[0] ?? "", vkeys, createdAt: timeText(createdAt) };
}
