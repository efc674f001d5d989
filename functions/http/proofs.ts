/** Proof files of entries, of the highest assurance available: one, or up to 1,000 in an answer. */
import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { assuranceSchema, proofLineSchema, proofsRequestSchema } from "@kedge/cli/contract/wire";
import { COMMITMENT_BYTES } from "@kedge/verify/events/commitment";
import { hexToBytes } from "@noble/hashes/utils.js";
import * as z from "zod";
import { NOTE_TYPE } from "../../platform/publication.ts";
import type { ApiService } from "../../service/config.ts";
import type { Proof } from "../../service/prove.ts";
import { verbs } from "../../service/verbs.ts";
import { allow } from "./auth.ts";
import { JSON_TYPE } from "./body.ts";
import type { ApiEnv } from "./env.ts";
import {
  absentProblem,
  bodyProblems,
  keyProblems,
  noEntry,
  Problem,
  pending,
  pendingProblem,
} from "./problem.ts";
import { entryParams, jsonBody, logParams, note } from "./schema.ts";

/** Lambda answers with at most 6 MB, which JSON-escapes or base64-encodes the body. */
const MAX_RESPONSE = 4_500_000;

/** A text, so that generated clients hand it out: of application/x-ndjson they know nothing, and lose the answer. */
const NDJSON = "text/x-ndjson; charset=utf-8";

export function proofRoutes(app: OpenAPIHono<ApiEnv>, service: ApiService): void {
  const getProof = createRoute({
    ...allow(service, verbs.prove),
    method: "get",
    path: "/v1/logs/{log}/entries/{hash}/proof",
    operationId: "getProof",
    summary: "Fetch an entry's proof",
    description: "A C2SP .tlog-proof file of the highest assurance available, to be verified offline.",
    tags: ["Entries"],
    request: { params: entryParams },
    responses: {
      200: { ...note("The proof file."), headers: z.object({ "Kedge-Assurance": assuranceSchema }) },
      ...keyProblems,
      ...pendingProblem,
    },
  });
  app.openapi(getProof, async (c) => {
    const [found] = await c.var.act([hexToBytes(c.req.valid("param").hash)]);
    if (found === undefined || found === "pending") throw noProof(found);
    return c.text(found.proof, 200, { "Content-Type": NOTE_TYPE, "Kedge-Assurance": found.assurance });
  });

  app.openAPIRegistry.register("ProofLine", proofLineSchema.clone());
  const postProofs = createRoute({
    ...allow(service, verbs.prove, JSON_TYPE),
    method: "post",
    path: "/v1/logs/{log}/proofs",
    operationId: "getProofs",
    summary: "Fetch many proofs",
    description:
      "One line of JSON per hash, in order. A line has a proof or a problem; ask again for those of type `response_full`.",
    tags: ["Entries"],
    request: { params: logParams, ...jsonBody(proofsRequestSchema) },
    responses: {
      200: { description: "NDJSON.", content: { [NDJSON]: { schema: proofLineSchema } } },
      ...bodyProblems,
      ...keyProblems,
      ...absentProblem,
    },
  });
  app.openapi(postProofs, async (c) => {
    const { hashes } = c.req.valid("json");
    c.set("entries", hashes.length);
    const found = await c.var.act(hashes.map(hexToBytes));
    return c.body(proofLines(hashes, found), 200, { "Content-Type": NDJSON });
  });
}

const noProof = (found: "pending" | undefined): Problem => (found === "pending" ? pending() : noEntry());

/** NDJSON of at most about MAX_RESPONSE bytes: what no longer fits is named, so that the client asks again. */
function proofLines(hashes: readonly string[], found: readonly (Proof | "pending" | undefined)[]): string {
  const full = new Problem("response_full", "The response is full: ask again for this and the later hashes.");
  let text = "";
  // Room for every line to say that the response is full.
  let left = MAX_RESPONSE - hashes.length * lineOf("0".repeat(2 * COMMITMENT_BYTES), full).length;
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
