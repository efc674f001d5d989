/**
 * The anchor log in public: what anyone needs to verify a proof against, static and cacheable. The same as the public files
 * (service/public-files.ts), for those who have only the API's address.
 */
import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { timestampsSchema } from "@kedge/cli/contract/wire";
import * as z from "zod";
import { fileHeaders, policyText, vkeysText } from "../../platform/publication.ts";
import type { ApiService } from "../../service/config.ts";
import {
  anchorVkeys,
  publicCheckpoint,
  publicCheckpointOf,
  publicTile,
  publicTimestampsOf,
  timestampedCheckpoint,
} from "../../service/public.ts";
import type { ApiEnv } from "./env.ts";
import { absentProblem, anyProblems, noTile, notFound } from "./problem.ts";
import { json, note, sizeParams, sizeText, tile, tileParams } from "./schema.ts";

export function anchorRoutes(app: OpenAPIHono<ApiEnv>, service: ApiService): void {
  const { store } = service;
  // A verifier in a browser reads this from any page; nothing here is anybody's own.
  app.use("/anchor/*", async (c, next) => {
    await next();
    c.res.headers.set("Access-Control-Allow-Origin", "*");
  });
  const common = { method: "get" as const, tags: ["Anchor log"], security: [] };

  const getCheckpoint = createRoute({
    ...common,
    path: "/anchor/checkpoint",
    operationId: "getAnchorCheckpoint",
    summary: "The newest checkpoint of the anchor log",
    description: "Cosigned by the quorum of the policy.",
    responses: { 200: note("A signed note."), ...anyProblems, ...absentProblem },
  });
  app.openapi(getCheckpoint, async (c) => {
    const newest = await publicCheckpoint(store);
    if (newest === undefined) throw notFound("The anchor log has no public checkpoint yet.");
    return c.text(newest, 200, headersOf("checkpoint"));
  });

  const getTimestamped = createRoute({
    ...common,
    path: "/anchor/timestamped",
    operationId: "getTimestampedAnchorCheckpoint",
    summary: "The newest timestamped checkpoint of the anchor log",
    description: "Old proofs are renewed by it: see `kedge proof --renew`.",
    responses: { 200: note("A signed note."), ...anyProblems, ...absentProblem },
  });
  app.openapi(getTimestamped, async (c) => {
    const newest = await timestampedCheckpoint(store);
    if (newest === undefined) throw notFound("No checkpoint of the anchor log has a timestamp yet.");
    return c.text(newest, 200, headersOf("timestamped"));
  });

  const getOne = createRoute({
    ...common,
    path: "/anchor/checkpoints/{size}",
    operationId: "getAnchorCheckpointOfSize",
    summary: "The public checkpoint of a size",
    request: { params: sizeParams },
    responses: { 200: note("A signed note. It never changes."), ...anyProblems, ...absentProblem },
  });
  app.openapi(getOne, async (c) => {
    const size = parseSize(c.req.valid("param").size);
    const found = await publicCheckpointOf(store, size);
    if (found === undefined) throw noCheckpoint();
    return c.text(found, 200, headersOf(`checkpoints/${size}`));
  });

  const getTimestamps = createRoute({
    ...common,
    path: "/anchor/timestamps/{size}",
    operationId: "getAnchorTimestamps",
    summary: "Timestamps from outside of the public checkpoint of a size",
    description:
      "RFC 3161 tokens and OpenTimestamps proofs over the checkpoint's signed note, whole. Empty while there is none.",
    request: { params: sizeParams },
    responses: {
      200: json("Base64 of DER, or of `.ots` files. More may come.", timestampsSchema),
      ...anyProblems,
      ...absentProblem,
    },
  });
  app.openapi(getTimestamps, async (c) => {
    const size = parseSize(c.req.valid("param").size);
    const timestamps = await publicTimestampsOf(store, size);
    if (timestamps === undefined) throw noCheckpoint();
    return c.json({ timestamps }, 200, headersOf(`timestamps/${size}`));
  });

  const getTile = createRoute({
    ...common,
    path: "/anchor/tile/{path}",
    operationId: "getAnchorTile",
    summary: "A tile or entry bundle of the anchor log",
    description: "c2sp.org/tlog-tiles: `<L>/<N>[.p/<W>]` or `entries/<N>[.p/<W>]`. The path has slashes.",
    request: { params: z.object(tileParams) },
    responses: { 200: tile, ...anyProblems, ...absentProblem },
  });
  // The document names the parameter; the router needs to be told that it spans slashes.
  app.openAPIRegistry.registerPath(getTile);
  app.get("/anchor/tile/:path{.+}", async (c) => {
    const path = c.req.param("path");
    const bytes = await publicTile(store, path);
    if (bytes === undefined) throw noTile();
    return c.body(new Uint8Array(bytes), 200, headersOf(`tile/${path}`));
  });

  const getPolicy = createRoute({
    ...common,
    path: "/anchor/policy",
    operationId: "getAnchorPolicy",
    summary: "The trust policy of the anchor log",
    description:
      "c2sp.org/tlog-policy. Compare it with a copy obtained elsewhere: who serves a log cannot vouch for its keys.",
    responses: { 200: note("The policy."), ...anyProblems },
  });
  app.openapi(getPolicy, async (c) =>
    c.text(policyText(service.policy, await anchorVkeys(service)), 200, headersOf("policy")),
  );

  const getVkeys = createRoute({
    ...common,
    path: "/anchor/vkeys",
    operationId: "getAnchorVkeys",
    summary: "The verifier keys of the anchor log",
    description: "c2sp.org/signed-note, a line each. Compare them with a copy obtained elsewhere, too.",
    responses: { 200: note("The keys that sign now."), ...anyProblems },
  });
  app.openapi(getVkeys, async (c) => c.text(vkeysText(await anchorVkeys(service)), 200, headersOf("vkeys")));
}

const noCheckpoint = () => notFound("The anchor log has no public checkpoint of this size.");

/** What is no size is answered as one that no checkpoint has. */
function parseSize(text: string): bigint {
  const size = sizeText.safeParse(text);
  if (!size.success) throw noCheckpoint();
  return BigInt(size.data);
}

/** As the published file of the same path has them. */
function headersOf(path: string): { "Content-Type": string; "Cache-Control": string } {
  const { contentType, cacheControl } = fileHeaders(`anchor/${path}`);
  return { "Content-Type": contentType, "Cache-Control": cacheControl };
}
