/** Entries: post commitments, see how far they have come, fetch their proofs. */
import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { hexToBytes } from "@noble/hashes/utils.js";
import * as z from "zod";
import { append, MAX_ENTRIES } from "../../service/append.ts";
import type { ApiService } from "../../service/config.ts";
import { entryStatus, type Proof, prove } from "../../service/prove.ts";
import type { ApiEnv } from "./app.ts";
import { requireLog, requireScope } from "./auth.ts";
import { acceptBody, JSON_TYPE, mediaType, OCTETS } from "./body.ts";
import {
  absentProblem,
  bodyProblems,
  invalidProblem,
  keyProblems,
  notFound,
  Problem,
  pending,
  pendingProblem,
} from "./problem.ts";
import { hashSchema, invalidInput, logParams, sizeSchema, timeSchema, timeText } from "./schema.ts";

const HASH_BYTES = 32;
const MAX_PROOFS = 1_000;
/** Lambda answers with at most 6 MB, which JSON-escapes or base64-encodes the body. */
const MAX_RESPONSE = 4_500_000;

/** Typed as any string: of a name that ends in json the framework would expect a JSON response. */
const NDJSON: string = "application/x-ndjson";

const newEntries = z.strictObject({ hashes: z.array(hashSchema).min(1).max(MAX_ENTRIES) });
const accepted = z
  .object({
    accepted: z.int().openapi({ example: 1, description: "Hashes in the request, repeated ones included." }),
    receivedAt: timeSchema,
  })
  .openapi("Accepted");

const assurance = z.enum(["pending", "sealed", "anchored", "witnessed", "timestamped"]).openapi("Assurance", {
  description: "How far the entry has come: pending < sealed < anchored < witnessed < timestamped.",
});
const status = z
  .object({
    hash: hashSchema,
    assurance,
    index: sizeSchema.optional().openapi({ description: "Index of the leaf. Absent while pending." }),
    treeSize: sizeSchema.optional().openapi({ description: "Size of the tree that its proof is made for." }),
    sealedAt: timeSchema.optional(),
    anchoredAt: timeSchema.optional(),
  })
  .openapi("EntryStatus");

const proofs = z
  .strictObject({ hashes: z.array(hashSchema).min(1).max(MAX_PROOFS) })
  .openapi("ProofsRequest");
const proofLine = z
  .object({
    hash: hashSchema,
    assurance: assurance.optional(),
    proof: z.string().optional().openapi({ description: "The .tlog-proof file." }),
    problem: z
      .object({ type: z.string(), title: z.string(), status: z.int(), detail: z.string() })
      .optional()
      .openapi({ description: "Instead of a proof. Type `not_found`, `pending` or `response_full`." }),
  })
  .openapi("ProofLine", { description: "One line of the answer." });

const entryParams = logParams.extend({ hash: hashSchema });

export function entryRoutes(app: OpenAPIHono<ApiEnv>, service: ApiService): void {
  const read = [requireScope(service, "read"), requireLog(service)];

  // By reference, because a body of one of two types is not for the framework to validate.
  app.openAPIRegistry.register("NewEntries", newEntries);
  const post = createRoute({
    method: "post",
    path: "/v1/logs/{log}/entries",
    operationId: "appendEntries",
    summary: "Post commitments",
    description:
      "Durable once answered, sealed within seconds. Idempotent: an entry stands in a log once, so repeat freely.",
    tags: ["Entries"],
    security: [{ apiKey: ["write"] }],
    middleware: [requireScope(service, "write"), requireLog(service), acceptBody(JSON_TYPE, OCTETS)],
    request: {
      params: logParams,
      body: {
        required: true,
        content: {
          [JSON_TYPE]: { schema: { $ref: "#/components/schemas/NewEntries" } },
          [OCTETS]: {
            schema: {
              type: "string",
              format: "binary",
              minLength: HASH_BYTES,
              maxLength: HASH_BYTES * MAX_ENTRIES,
              description: "1 to 10,000 commitments of 32 bytes, one after the other.",
            },
          },
        },
      },
    },
    responses: {
      202: { description: "Every hash is stored durably.", content: { [JSON_TYPE]: { schema: accepted } } },
      ...bodyProblems,
      ...keyProblems,
      ...absentProblem,
    },
  });
  app.openapi(post, async (c) => {
    const body = new Uint8Array(await c.req.arrayBuffer());
    const entries = mediaType(c) === OCTETS ? splitEntries(body) : parseEntries(body);
    const receivedAt = await append(service, c.get("log").id, entries);
    c.set("entries", entries.length);
    return c.json({ accepted: entries.length, receivedAt: timeText(receivedAt) }, 202);
  });

  const getStatus = createRoute({
    method: "get",
    path: "/v1/logs/{log}/entries/{hash}",
    operationId: "getEntry",
    summary: "See how far an entry has come",
    tags: ["Entries"],
    security: [{ apiKey: ["read"] }],
    middleware: read,
    request: { params: entryParams },
    responses: {
      200: {
        description: "The entry. Times are by the operator's clock: informative, not evidence.",
        content: { [JSON_TYPE]: { schema: status } },
      },
      ...invalidProblem,
      ...keyProblems,
      ...absentProblem,
    },
  });
  app.openapi(getStatus, async (c) => {
    const { hash } = c.req.valid("param");
    const found = await entryStatus(service, c.get("log").id, hexToBytes(hash));
    if (found === undefined) throw notFound("The log does not have this entry: post it.");
    if (found.assurance === "pending") return c.json({ hash, assurance: found.assurance }, 200);
    const { index, treeSize, sealedAt, anchoredAt } = found;
    return c.json(
      {
        hash,
        assurance: found.assurance,
        index: Number(index),
        treeSize: Number(treeSize),
        sealedAt: timeText(sealedAt),
        ...(anchoredAt !== undefined && { anchoredAt: timeText(anchoredAt) }),
      },
      200,
    );
  });

  const getProof = createRoute({
    method: "get",
    path: "/v1/logs/{log}/entries/{hash}/proof",
    operationId: "getProof",
    summary: "Fetch an entry's proof",
    description: "A C2SP .tlog-proof file of the highest assurance available, to be verified offline.",
    tags: ["Entries"],
    security: [{ apiKey: ["read"] }],
    middleware: read,
    request: { params: entryParams },
    responses: {
      200: {
        description: "The proof file.",
        headers: z.object({ "Kedge-Assurance": assurance }),
        content: { "text/plain; charset=utf-8": { schema: z.string() } },
      },
      ...invalidProblem,
      ...keyProblems,
      ...pendingProblem,
    },
  });
  app.openapi(getProof, async (c) => {
    const { hash } = c.req.valid("param");
    const [found] = await prove(service, c.get("log").id, [hexToBytes(hash)]);
    if (found === undefined || found === "pending") throw noProof(found);
    return c.text(found.proof, 200, {
      "Content-Type": "text/plain; charset=utf-8",
      "Kedge-Assurance": found.assurance,
    });
  });

  const postProofs = createRoute({
    method: "post",
    path: "/v1/logs/{log}/proofs",
    operationId: "getProofs",
    summary: "Fetch many proofs",
    description:
      "One line of JSON per hash, in order. A line has a proof or a problem; ask again for those of type `response_full`.",
    tags: ["Entries"],
    security: [{ apiKey: ["read"] }],
    middleware: [...read, acceptBody(JSON_TYPE)],
    request: {
      params: logParams,
      body: { required: true, content: { [JSON_TYPE]: { schema: proofs } } },
    },
    responses: {
      200: { description: "NDJSON.", content: { [NDJSON]: { schema: proofLine } } },
      ...bodyProblems,
      ...keyProblems,
      ...absentProblem,
    },
  });
  app.openapi(postProofs, async (c) => {
    const { hashes } = c.req.valid("json");
    c.set("entries", hashes.length);
    const found = await prove(service, c.get("log").id, hashes.map(hexToBytes));
    const body = proofLines(hashes, found);
    return c.body(body, 200, { "Content-Type": NDJSON });
  });
}

function parseEntries(body: Uint8Array): Uint8Array[] {
  const parsed = newEntries.safeParse(parseJson(body));
  if (!parsed.success) throw invalidInput(parsed.error);
  return parsed.data.hashes.map(hexToBytes);
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(body));
  } catch {
    throw new Problem("invalid", "The body is not JSON.");
  }
}

function splitEntries(body: Uint8Array): Uint8Array[] {
  const count = body.length / HASH_BYTES;
  if (!Number.isInteger(count) || count < 1 || count > MAX_ENTRIES) {
    throw new Problem("invalid", `Send 1 to ${MAX_ENTRIES} commitments of ${HASH_BYTES} bytes each.`);
  }
  return Array.from({ length: count }, (_, i) => body.slice(i * HASH_BYTES, (i + 1) * HASH_BYTES));
}

const noProof = (found: "pending" | undefined): Problem =>
  found === "pending" ? pending() : notFound("The log does not have this entry: post it.");

/** NDJSON of at most about MAX_RESPONSE bytes: what no longer fits is named, so that the client asks again. */
function proofLines(hashes: readonly string[], found: readonly (Proof | "pending" | undefined)[]): string {
  const full = new Problem("response_full", "The response is full: ask again for this and the later hashes.");
  let text = "";
  // Room for every line to say that the response is full.
  let left = MAX_RESPONSE - hashes.length * lineOf("0".repeat(2 * HASH_BYTES), full).length;
  for (const [i, hash] of hashes.entries()) {
    const line = lineOf(hash, found[i]);
    left -= Buffer.byteLength(line);
    text += left >= 0 ? line : lineOf(hash, full);
  }
  return text;
}

function lineOf(hash: string, found: Proof | Problem | "pending" | undefined): string {
  const content =
    found === undefined || found === "pending"
      ? { problem: noProof(found) }
      : found instanceof Problem
        ? { problem: found }
        : found;
  return `${JSON.stringify({ hash, ...content })}\n`;
}
