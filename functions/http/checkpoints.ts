/** A log as a C2SP tlog-tiles prefix, and what auditors compare over time: its checkpoints and their consistency. */
import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { checkpointsSchema, consistencySchema, MAX_PAGE, timeText } from "@kedge/cli/contract/wire";
import { encodeBase64 } from "@kedge/verify/tlog/bytes";
import * as z from "zod";
import { NOTE_TYPE } from "../../platform/publication.ts";
import type { ApiService } from "../../service/config.ts";
import { verbs } from "../../service/verbs.ts";
import { allow } from "./auth.ts";
import { OCTETS } from "./body.ts";
import type { ApiEnv } from "./env.ts";
import { absentProblem, keyProblems, noTile, notFound } from "./problem.ts";
import { json, logParams, note, sizeQuery, sizeText, tile, tileParams } from "./schema.ts";

export function checkpointRoutes(app: OpenAPIHono<ApiEnv>, service: ApiService): void {
  const common = { method: "get" as const, tags: ["Log"] };

  const getCheckpoint = createRoute({
    ...common,
    ...allow(service, verbs.newestCheckpoint),
    path: "/v1/logs/{log}/checkpoint",
    operationId: "getCheckpoint",
    summary: "The newest checkpoint",
    description: "c2sp.org/tlog-checkpoint. Every tile that it needs is readable.",
    request: { params: logParams },
    responses: { 200: note("A signed note."), ...keyProblems, ...absentProblem },
  });
  app.openapi(getCheckpoint, async (c) => {
    const checkpoint = await c.var.act();
    if (checkpoint === undefined) throw notFound("The log has no checkpoint yet: post an entry first.");
    return c.text(checkpoint, 200, { "Content-Type": NOTE_TYPE });
  });

  const tileVerb = allow(service, verbs.tile);
  const getTile = createRoute({
    ...common,
    ...tileVerb,
    path: "/v1/logs/{log}/tile/{path}",
    operationId: "getTile",
    summary: "A tile or entry bundle",
    description: "c2sp.org/tlog-tiles: `<L>/<N>[.p/<W>]` or `entries/<N>[.p/<W>]`. The path has slashes.",
    request: { params: logParams.extend(tileParams) },
    responses: { 200: tile, ...keyProblems, ...absentProblem },
  });
  // The document names the parameter; the router needs to be told that it spans slashes.
  app.openAPIRegistry.registerPath(getTile);
  app.get("/v1/logs/:log/tile/:path{.+}", tileVerb.middleware, async (c) => {
    const bytes = await c.var.act(c.req.param("path"));
    if (bytes === undefined) throw noTile();
    return c.body(new Uint8Array(bytes), 200, {
      "Content-Type": OCTETS,
      "Cache-Control": "private, max-age=31536000, immutable",
    });
  });

  const getCheckpoints = createRoute({
    ...common,
    ...allow(service, verbs.history),
    path: "/v1/logs/{log}/checkpoints",
    operationId: "listCheckpoints",
    summary: "Published checkpoints",
    description: "Smallest first. Each is consistent with every earlier one.",
    request: {
      params: logParams,
      query: z.object({
        after: sizeText.default("0").meta({ ...sizeQuery, default: 0, description: "Only of larger trees." }),
        limit: sizeText
          .default("100")
          .refine((text) => Number(text) >= 1 && Number(text) <= MAX_PAGE, `1 to ${MAX_PAGE}`)
          .meta({ type: "integer", minimum: 1, maximum: MAX_PAGE, default: 100 }),
      }),
    },
    responses: {
      200: json("A page.", checkpointsSchema),
      ...keyProblems,
      ...absentProblem,
    },
  });
  app.openapi(getCheckpoints, async (c) => {
    const { after, limit } = c.req.valid("query");
    const page = await c.var.act({ after: BigInt(after), limit: Number(limit) });
    const checkpoints = page.checkpoints.map(({ size, at, note }) => ({
      size: Number(size),
      publishedAt: timeText(at),
      checkpoint: note,
    }));
    return c.json({ checkpoints, ...(page.next !== undefined && { next: Number(page.next) }) }, 200);
  });

  const getConsistency = createRoute({
    ...common,
    ...allow(service, verbs.consistency),
    path: "/v1/logs/{log}/consistency",
    operationId: "getConsistency",
    summary: "Prove that a tree grew out of another",
    description: "Between any two sizes up to the published one; they need not be those of checkpoints.",
    request: {
      params: logParams,
      query: z.object({ from: sizeText.meta(sizeQuery), to: sizeText.meta(sizeQuery) }),
    },
    responses: {
      200: json("The proof.", consistencySchema),
      ...keyProblems,
      ...absentProblem,
    },
  });
  app.openapi(getConsistency, async (c) => {
    const { from, to } = c.req.valid("query");
    const hashes = await c.var.act({ from: BigInt(from), to: BigInt(to) });
    return c.json({ from: Number(from), to: Number(to), proof: hashes.map(encodeBase64) }, 200);
  });
}
