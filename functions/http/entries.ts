/** Entries: post commitments, and see how far they have come. */
import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { MAX_ENTRIES } from "@kedge/cli/contract/limits";
import {
  acceptedSchema,
  entryStatusSchema,
  newEntriesSchema,
  statusLineSchema,
  statusRequestSchema,
  timeText,
} from "@kedge/cli/contract/wire";
import { COMMITMENT_BYTES, COMMITMENT_HEX } from "@kedge/verify/events/commitment";
import { countEntries, type Entries, encodeOctets } from "@kedge/verify/tlog/tile";
import { hexToBytes } from "@noble/hashes/utils.js";
import * as z from "zod";
import type { ApiService } from "../../service/config.ts";
import type { EntryStatus } from "../../service/prove.ts";
import { verbs } from "../../service/verbs.ts";
import { allow } from "./auth.ts";
import { JSON_TYPE, mediaType, NDJSON, OCTETS } from "./body.ts";
import type { ApiEnv } from "./env.ts";
import { absentProblem, bodyProblems, invalidInput, keyProblems, noEntry, Problem } from "./problem.ts";
import { entryParams, json, logParams } from "./schema.ts";
import { openTurns } from "./turns.ts";

/** For the whole process: ten thousand hashes are some 60 ms of work, and a tenant's next question waits for the one before. */
const questions = openTurns(1);

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
    return c.json(receiptOf(entries, receivedAt), 202);
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
    return c.json(receiptOf(entries, receivedAt), 202);
  });

  // Before the one of `{hash}`, which `status` would be taken for.
  app.openAPIRegistry.register("StatusRequest", statusRequestSchema.clone());
  app.openAPIRegistry.register("StatusLine", statusLineSchema.clone());
  const postStatus = createRoute({
    ...allow(service, verbs.entryStatuses, JSON_TYPE),
    method: "post",
    path: "/v1/logs/{log}/entries/status",
    operationId: "getEntries",
    summary: "See how far many entries have come",
    description: `One line of JSON per hash, in order; 1 to ${MAX_ENTRIES} hashes. A line has how far its entry has come, or a problem. Times are by the operator's clock: informative, not evidence.`,
    tags: ["Entries"],
    request: {
      params: logParams,
      body: {
        required: true,
        // By reference, because ten thousand hashes are not for the framework to validate one by one.
        content: { [JSON_TYPE]: { schema: { $ref: "#/components/schemas/StatusRequest" } } },
      },
    },
    responses: {
      200: {
        description: "NDJSON: each line is a `StatusLine`.",
        content: { [NDJSON]: { schema: z.string() } },
      },
      ...bodyProblems,
      ...keyProblems,
      ...absentProblem,
    },
  });
  app.openapi(postStatus, async (c) => {
    const { act, body, principal } = c.var;
    const hashes = parseHashes(body);
    c.set("entries", hashes.length);
    const found = await questions(principal.tenant, () => act(hashes.map(hexToBytes)));
    const lines = hashes.map((hash, i) => `${JSON.stringify(lineOf(hash, found[i]))}\n`);
    return c.body(lines.join(""), 200, { "Content-Type": NDJSON });
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
    return c.json(statusOf(hash, found), 200);
  });
}

const receiptOf = (entries: Entries, receivedAt: number) => ({
  accepted: countEntries(entries),
  receivedAt: timeText(receivedAt),
  note: "A receipt: it tells the tenant, and proves nothing to others. An entry's proof does.",
});

const lineOf = (hash: string, found: EntryStatus | undefined) =>
  found === undefined ? { hash, problem: noEntry() } : statusOf(hash, found);

function statusOf(hash: string, found: EntryStatus) {
  const { assurance } = found;
  if (assurance === "pending") return { hash, assurance };
  const { index, treeSize, sealedAt, anchoredAt } = found;
  return {
    hash,
    assurance,
    index: Number(index),
    treeSize: Number(treeSize),
    sealedAt: timeText(sealedAt),
    ...(anchoredAt !== undefined && { anchoredAt: timeText(anchoredAt) }),
  };
}

const parseEntries = (body: Uint8Array): Entries =>
  encodeOctets(Buffer.from(parseHashes(body).join(""), "hex"), COMMITMENT_BYTES);

/** The same as `newEntriesSchema` takes, without its time a hash: it says what is wrong where something is. */
function parseHashes(body: Uint8Array): readonly string[] {
  const parsed = parseJson(body);
  const hashes = hashesOf(parsed);
  if (hashes?.every(isHash)) return hashes;
  const refused = newEntriesSchema.safeParse(parsed);
  throw refused.success ? new Problem("invalid", "The body is malformed.") : invalidInput(refused.error);
}

const isHash = (hash: unknown): hash is string => typeof hash === "string" && COMMITMENT_HEX.test(hash);

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
