/** Entries: post commitments, and see how far they have come. */
import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { MAX_ENTRIES } from "@kedge/cli/contract/limits";
import { acceptedSchema, entryStatusSchema, newEntriesSchema, timeText } from "@kedge/cli/contract/wire";
import { COMMITMENT_BYTES, COMMITMENT_HEX } from "@kedge/verify/events/commitment";
import { countEntries, type Entries, encodeOctets } from "@kedge/verify/tlog/tile";
import { hexToBytes } from "@noble/hashes/utils.js";
import type { ApiService } from "../../service/config.ts";
import { verbs } from "../../service/verbs.ts";
import { allow } from "./auth.ts";
import { JSON_TYPE, mediaType, OCTETS } from "./body.ts";
import type { ApiEnv } from "./env.ts";
import { absentProblem, bodyProblems, invalidInput, keyProblems, noEntry, Problem } from "./problem.ts";
import { entryParams, json, logParams } from "./schema.ts";

export function entryRoutes(app: OpenAPIHono<ApiEnv>, service: ApiService): void {
  // By reference, because the older octets here are not for the framework to validate.
  // A copy, because the framework adds to what it registers, and only to schemas made since it was loaded.
  app.openAPIRegistry.register("NewEntries", newEntriesSchema.clone());
  const common = {
    method: "post" as const,
    tags: ["Entries"],
    responses: {
      202: json("Every hash is stored durably.", acceptedSchema),
      ...bodyProblems,
      ...keyProblems,
      ...absentProblem,
    },
  };
  const description =
    "Durable once answered, sealed within seconds. Idempotent: an entry stands in a log once, so repeat freely.";

  const post = createRoute({
    ...common,
    // Octets came here before they had a route of their own, and still may.
    ...allow(service, verbs.append, JSON_TYPE, OCTETS),
    path: "/v1/logs/{log}/entries",
    operationId: "appendEntries",
    summary: "Post commitments",
    description,
    request: {
      params: logParams,
      body: {
        required: true,
        content: { [JSON_TYPE]: { schema: { $ref: "#/components/schemas/NewEntries" } } },
      },
    },
  });
  app.openapi(post, async (c) => {
    const { body } = c.var;
    const entries = mediaType(c) === OCTETS ? splitEntries(body) : parseEntries(body);
    const receivedAt = await c.var.act(entries);
    c.set("entries", countEntries(entries));
    return c.json({ accepted: countEntries(entries), receivedAt: timeText(receivedAt) }, 202);
  });

  const postOctets = createRoute({
    ...common,
    ...allow(service, verbs.append, OCTETS),
    path: "/v1/logs/{log}/entries/octets",
    operationId: "appendOctets",
    summary: "Post commitments as octets",
    description: `${description} Half the size of the same in JSON.`,
    request: {
      params: logParams,
      body: {
        required: true,
        content: {
          [OCTETS]: {
            schema: {
              type: "string",
              format: "binary",
              description: `1 to ${MAX_ENTRIES} commitments of ${COMMITMENT_BYTES} bytes, one after the other.`,
            },
          },
        },
      },
    },
  });
  app.openapi(postOctets, async (c) => {
    const entries = splitEntries(c.var.body);
    const receivedAt = await c.var.act(entries);
    c.set("entries", countEntries(entries));
    return c.json({ accepted: countEntries(entries), receivedAt: timeText(receivedAt) }, 202);
  });

  const getStatus = createRoute({
    ...allow(service, verbs.entryStatus),
    method: "get",
    path: "/v1/logs/{log}/entries/{hash}",
    operationId: "getEntry",
    summary: "See how far an entry has come",
    tags: ["Entries"],
    request: { params: entryParams },
    responses: {
      200: json(
        "The entry. Times are by the operator's clock: informative, not evidence.",
        entryStatusSchema,
      ),
      ...keyProblems,
      ...absentProblem,
    },
  });
  app.openapi(getStatus, async (c) => {
    const { hash } = c.req.valid("param");
    const found = await c.var.act(hexToBytes(hash));
    if (found === undefined) throw noEntry();
    const { assurance } = found;
    if (assurance === "pending") return c.json({ hash, assurance }, 200);
    const { index, treeSize, sealedAt, anchoredAt } = found;
    return c.json(
      {
        hash,
        assurance,
        index: Number(index),
        treeSize: Number(treeSize),
        sealedAt: timeText(sealedAt),
        ...(anchoredAt !== undefined && { anchoredAt: timeText(anchoredAt) }),
      },
      200,
    );
  });
}

/** The same as `newEntriesSchema` takes, without its time a hash: it says what is wrong where something is. */
function parseEntries(body: Uint8Array): Entries {
  const parsed = parseJson(body);
  const hashes = hashesOf(parsed);
  if (
    hashes === undefined ||
    !hashes.every((hash) => typeof hash === "string" && COMMITMENT_HEX.test(hash))
  ) {
    const refused = newEntriesSchema.safeParse(parsed);
    throw refused.success ? new Problem("invalid", "The body is malformed.") : invalidInput(refused.error);
  }
  return encodeOctets(Buffer.from(hashes.join(""), "hex"), COMMITMENT_BYTES);
}

/** The list of the one member that there may be, if it is of a length that is taken. */
function hashesOf(parsed: unknown): readonly unknown[] | undefined {
  if (typeof parsed !== "object" || parsed === null || Object.keys(parsed).length !== 1) return undefined;
  const hashes = "hashes" in parsed && Object.hasOwn(parsed, "hashes") ? parsed.hashes : undefined;
  return Array.isArray(hashes) && hashes.length > 0 && hashes.length <= MAX_ENTRIES ? hashes : undefined;
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(body));
  } catch {
    throw new Problem("invalid", "The body is not JSON.");
  }
}

function splitEntries(body: Uint8Array): Entries {
  const count = body.length / COMMITMENT_BYTES;
  if (!Number.isInteger(count) || count < 1 || count > MAX_ENTRIES) {
    throw new Problem("invalid", `Send 1 to ${MAX_ENTRIES} commitments of ${COMMITMENT_BYTES} bytes each.`);
  }
  return encodeOctets(body, COMMITMENT_BYTES);
}
