/** A log as a C2SP tlog-tiles prefix, and what auditors compare over time: its checkpoints and their consistency. */
import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { encodeBase64 } from "@kedge/verify/tlog/bytes";
import * as z from "zod";
import { NOTE_TYPE } from "../../platform/publication.ts";
import type { ApiService } from "../../service/config.ts";
import { readHead } from "../../service/head.ts";
import { consistency, history } from "../../service/history.ts";
import type { ApiEnv } from "./app.ts";
import { requireLog, requireScope } from "./auth.ts";
import { JSON_TYPE, OCTETS } from "./body.ts";
import { absentProblem, invalidProblem, keyProblems, notFound } from "./problem.ts";
import { logParams, sizeSchema, sizeText, timeSchema, timeText } from "./schema.ts";
import { publishedTile, tileParams } from "./tiles.ts";

const MAX_PAGE = 1_000;

const checkpoints = z
  .object({
    checkpoints: z.array(
      z.object({ size: sizeSchema, publishedAt: timeSchema, checkpoint: z.string() }).openapi("Checkpoint"),
    ),
    next: sizeSchema.optional().openapi({ description: "`after` of the next page. Absent on the last." }),
  })
  .openapi("Checkpoints");

const proof = z
  .object({
    from: sizeSchema,
    to: sizeSchema,
    proof: z.array(z.string()).openapi({ description: "Hashes of RFC 6962 §2.1.2, base64." }),
  })
  .openapi("ConsistencyProof");

export function logRoutes(app: OpenAPIHono<ApiEnv>, service: ApiService): void {
  const scope = requireScope(service, "read");
  const ofLog = requireLog(service);
  const common = {
    method: "get" as const,
    tags: ["Log"],
    security: [{ apiKey: ["read"] }],
    middleware: [scope, ofLog],
  };

  const getCheckpoint = createRoute({
    ...common,
    path: "/v1/logs/{log}/checkpoint",
    operationId: "getCheckpoint",
    summary: "The newest checkpoint",
    description: "c2sp.org/tlog-checkpoint. Every tile that it needs is readable.",
    request: { params: logParams },
    responses: {
      200: { description: "A signed note.", content: { [NOTE_TYPE]: { schema: z.string() } } },
      ...keyProblems,
      ...absentProblem,
    },
  });
  app.openapi(getCheckpoint, async (c) => {
    const { checkpoint } = await readHead(service.store, c.get("log").id);
    if (checkpoint === undefined) throw notFound("The log has no checkpoint yet: post an entry first.");
    return c.text(checkpoint.note, 200, { "Content-Type": NOTE_TYPE });
  });

  const getTile = createRoute({
    ...common,
    path: "/v1/logs/{log}/tile/{path}",
    operationId: "getTile",
    summary: "A tile or entry bundle",
    description: "c2sp.org/tlog-tiles: `<L>/<N>[.p/<W>]` or `entries/<N>[.p/<W>]`. The path has slashes.",
    request: { params: logParams.extend(tileParams) },
    responses: {
      200: {
        description: "The tile. It never changes.",
        content: { [OCTETS]: { schema: z.string().openapi({ format: "binary" }) } },
      },
      ...keyProblems,
      ...absentProblem,
    },
  });
  // The document names the parameter; the router needs to be told that it spans slashes.
  app.openAPIRegistry.registerPath(getTile);
  app.get("/v1/logs/:log/tile/:path{.+}", scope, ofLog, async (c) => {
    const { id } = c.get("log");
    const tile = await publishedTile(service.store, id, c.req.param("path"), async () => {
      const { published } = await readHead(service.store, id);
      return published;
    });
    return c.body(tile, 200, {
      "Content-Type": OCTETS,
      "Cache-Control": "private, max-age=31536000, immutable",
    });
  });

  const getCheckpoints = createRoute({
    ...common,
    path: "/v1/logs/{log}/checkpoints",
    operationId: "listCheckpoints",
    summary: "Published checkpoints",
    description: "Smallest first. Each is consistent with every earlier one.",
    request: {
      params: logParams,
      query: z.object({
        after: sizeText
          .default("0")
          .openapi({ type: "integer", minimum: 0, default: 0, description: "Only of larger trees." }),
        limit: sizeText
          .default("100")
          .refine((text) => Number(text) >= 1 && Number(text) <= MAX_PAGE, `1 to ${MAX_PAGE}`)
          .openapi({ type: "integer", minimum: 1, maximum: MAX_PAGE, default: 100 }),
      }),
    },
    responses: {
      200: { description: "A page.", content: { [JSON_TYPE]: { schema: checkpoints } } },
      ...invalidProblem,
      ...keyProblems,
      ...absentProblem,
    },
  });
  app.openapi(getCheckpoints, async (c) => {
    const { after, limit } = c.req.valid("query");
    const page = await history(service.store, c.get("log").id, {
      after: BigInt(after),
      limit: Number(limit),
    });
    return c.json(
      {
        checkpoints: page.checkpoints.map(({ size, at, note }) => ({
          size: Number(size),
          publishedAt: timeText(at),
          checkpoint: note,
        })),
        ...(page.next !== undefined && { next: Number(page.next) }),
      },
      200,
    );
  });

  const getConsistency = createRoute({
    ...common,
    path: "/v1/logs/{log}/consistency",
    operationId: "getConsistency",
    summary: "Prove that a tree grew out of another",
    description: "Between any two sizes up to the published one; they need not be those of checkpoints.",
    request: {
      params: logParams,
      query: z.object({
        from: sizeText.openapi({ type: "integer", minimum: 0 }),
        to: sizeText.openapi({ type: "integer", minimum: 0 }),
      }),
    },
    responses: {
      200: { description: "The proof.", content: { [JSON_TYPE]: { schema: proof } } },
      ...invalidProblem,
      ...keyProblems,
      ...absentProblem,
    },
  });
  app.openapi(getConsistency, async (c) => {
    const { from, to } = c.req.valid("query");
    const hashes = await consistency(service.store, c.get("log").id, { from: BigInt(from), to: BigInt(to) });
    return c.json({ from: Number(from), to: Number(to), proof: hashes.map(encodeBase64) }, 200);
  });
}
