/**
 * The anchor log in public: what anyone needs to verify a proof against, static and cacheable. The same as the public files
 * (service/public-files.ts), for those who have only the API's address.
 */
import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { timestampSchema } from "@kedge/verify/time/timestampform";
import * as z from "zod";
import { fileHeaders, NOTE_TYPE, policyText, vkeysText } from "../../platform/publication.ts";
import { ANCHOR, decodePublic, publicCheckpointKey, publicKey } from "../../service/anchor-items.ts";
import { decodeCheckpoint } from "../../service/checkpoints.ts";
import type { ApiService } from "../../service/config.ts";
import { logVkeys } from "../../service/sign.ts";
import { timestampsOf } from "../../service/timestamps.ts";
import type { ApiEnv } from "./app.ts";
import { JSON_TYPE, OCTETS } from "./body.ts";
import { absentProblem, anyProblems, notFound } from "./problem.ts";
import { sizeText } from "./schema.ts";
import { publishedTile, tileParams } from "./tiles.ts";

const timestamps = z.object({ timestamps: z.array(timestampSchema) }).openapi("Timestamps");

export function anchorRoutes(app: OpenAPIHono<ApiEnv>, service: ApiService): void {
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
    responses: {
      200: { description: "A signed note.", content: { [NOTE_TYPE]: { schema: z.string() } } },
      ...anyProblems,
      ...absentProblem,
    },
  });
  app.openapi(getCheckpoint, async (c) => {
    const newest = await readPublic(service);
    if (newest === undefined) throw notFound("The anchor log has no public checkpoint yet.");
    return c.text(newest.note, 200, headersOf("checkpoint"));
  });

  const getOne = createRoute({
    ...common,
    path: "/anchor/checkpoints/{size}",
    operationId: "getAnchorCheckpointOfSize",
    summary: "The public checkpoint of a size",
    request: {
      params: z.object({ size: z.string().openapi({ description: "Tree size.", example: "4096" }) }),
    },
    responses: {
      200: {
        description: "A signed note. It never changes.",
        content: { [NOTE_TYPE]: { schema: z.string() } },
      },
      ...anyProblems,
      ...absentProblem,
    },
  });
  app.openapi(getOne, async (c) => {
    const size = sizeText.safeParse(c.req.valid("param").size);
    const [item] = size.success ? await service.store.get([publicCheckpointKey(BigInt(size.data))]) : [];
    if (item === undefined) throw notFound("The anchor log has no public checkpoint of this size.");
    const { note } = decodeCheckpoint(ANCHOR, item);
    return c.text(note, 200, headersOf(`checkpoints/${size.data}`));
  });

  const getTimestamps = createRoute({
    ...common,
    path: "/anchor/timestamps/{size}",
    operationId: "getAnchorTimestamps",
    summary: "Timestamps from outside of the public checkpoint of a size",
    description:
      "RFC 3161 tokens and OpenTimestamps proofs over the checkpoint's signed note, whole. Empty while there is none.",
    request: {
      params: z.object({ size: z.string().openapi({ description: "Tree size.", example: "4096" }) }),
    },
    responses: {
      200: {
        description: "Base64 of DER, or of `.ots` files. More may come.",
        content: { [JSON_TYPE]: { schema: timestamps } },
      },
      ...anyProblems,
      ...absentProblem,
    },
  });
  app.openapi(getTimestamps, async (c) => {
    const size = sizeText.safeParse(c.req.valid("param").size);
    const wanted = size.success ? BigInt(size.data) : 0n;
    const [item] = await service.store.get([publicCheckpointKey(wanted)]);
    if (item === undefined) throw notFound("The anchor log has no public checkpoint of this size.");
    const found = await timestampsOf(service.store, wanted, decodeCheckpoint(ANCHOR, item).note);
    return c.json({ timestamps: found }, 200, headersOf(`timestamps/${wanted}`));
  });

  const getTile = createRoute({
    ...common,
    path: "/anchor/tile/{path}",
    operationId: "getAnchorTile",
    summary: "A tile or entry bundle of the anchor log",
    description: "c2sp.org/tlog-tiles: `<L>/<N>[.p/<W>]` or `entries/<N>[.p/<W>]`. The path has slashes.",
    request: { params: z.object(tileParams) },
    responses: {
      200: {
        description: "The tile. It never changes.",
        content: { [OCTETS]: { schema: z.string().openapi({ format: "binary" }) } },
      },
      ...anyProblems,
      ...absentProblem,
    },
  });
  // The document names the parameter; the router needs to be told that it spans slashes.
  app.openAPIRegistry.registerPath(getTile);
  app.get("/anchor/tile/:path{.+}", async (c) => {
    const tile = await publishedTile(service.store, ANCHOR, c.req.param("path"), async () => {
      const newest = await readPublic(service);
      return newest?.size ?? 0n;
    });
    return c.body(tile, 200, headersOf(`tile/${c.req.param("path")}`));
  });

  const getPolicy = createRoute({
    ...common,
    path: "/anchor/policy",
    operationId: "getAnchorPolicy",
    summary: "The trust policy of the anchor log",
    description:
      "c2sp.org/tlog-policy. Compare it with a copy obtained elsewhere: who serves a log cannot vouch for its keys.",
    responses: {
      200: { description: "The policy.", content: { [NOTE_TYPE]: { schema: z.string() } } },
      ...anyProblems,
    },
  });
  app.openapi(getPolicy, async (c) => {
    const vkeys = await logVkeys(service.anchorKeys, service.anchorOrigin);
    return c.text(policyText(service.policy, vkeys), 200, headersOf("policy"));
  });

  const getVkeys = createRoute({
    ...common,
    path: "/anchor/vkeys",
    operationId: "getAnchorVkeys",
    summary: "The verifier keys of the anchor log",
    description: "c2sp.org/signed-note, a line each. Compare them with a copy obtained elsewhere, too.",
    responses: {
      200: { description: "The keys that sign now.", content: { [NOTE_TYPE]: { schema: z.string() } } },
      ...anyProblems,
    },
  });
  app.openapi(getVkeys, async (c) => {
    const vkeys = await logVkeys(service.anchorKeys, service.anchorOrigin);
    return c.text(vkeysText(vkeys), 200, headersOf("vkeys"));
  });
}

/** As the published file of the same path has them. */
function headersOf(path: string): { "Content-Type": string; "Cache-Control": string } {
  const { contentType, cacheControl } = fileHeaders(`anchor/${path}`);
  return { "Content-Type": contentType, "Cache-Control": cacheControl };
}

async function readPublic({ store }: ApiService) {
  const [item] = await store.get([publicKey()]);
  return decodePublic(item);
}
