/** Proof files of entries, of the highest assurance available: one, or up to 1,000 in an answer. */
import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { assuranceSchema, proofLineSchema, proofsRequestSchema } from "@kedge/cli/contract/wire";
import { COMMITMENT_BYTES } from "@kedge/verify/events/commitment";
import { hexToBytes } from "@noble/hashes/utils.js";
import * as z from "zod";
import { errorFields, logLine } from "../../platform/log.ts";
import { NOTE_TYPE } from "../../platform/publication.ts";
import type { ApiService } from "../../service/config.ts";
import { isIndexFault } from "../../service/index/fault.ts";
import type { Proof } from "../../service/prove.ts";
import { verbs } from "../../service/verbs.ts";
import { allow } from "./auth.ts";
import { JSON_TYPE, NDJSON } from "./body.ts";
import type { ApiEnv } from "./env.ts";
import {
  absentProblem,
  bodyProblems,
  keyProblems,
  noEntry,
  PROBLEMS,
  Problem,
  pending,
  pendingProblem,
} from "./problem.ts";
import { entryParams, jsonBody, logParams, note } from "./schema.ts";
import { openTurns } from "./turns.ts";

/** Lambda answers with at most 6 MB, which JSON-escapes or base64-encodes the body. */
const MAX_RESPONSE = 4_500_000;

/** Proofs that are made in one turn, some 40 ms of work: as many keys as the store reads in one request. */
const SLICE = 100;

/** For the whole process: a tenant's next slice begins when the one before is made, whichever request asks. */
const slices = openTurns(1);

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
      200: {
        description: "NDJSON: each line is a `ProofLine`.",
        content: { [NDJSON]: { schema: z.string() } },
      },
      ...bodyProblems,
      ...keyProblems,
      ...absentProblem,
    },
  });
  app.openapi(postProofs, async (c) => {
    const { hashes } = c.req.valid("json");
    c.set("entries", hashes.length);
    const { act, requestId, principal } = c.var;
    const find = (some: readonly string[]) => slices(principal.tenant, () => act(some.map(hexToBytes)));
    const lines = proofLines(hashes, find, requestId);
    // What fails before the first line is a problem of the request; later, the answer has begun.
    const first = await lines.next();
    return c.body(streamOf(first.value ?? "", lines), 200, { "Content-Type": NDJSON });
  });
}

const noProof = (found: "pending" | undefined): Problem => (found === "pending" ? pending() : noEntry());

type Found = Proof | "pending" | undefined;

/**
 * NDJSON of at most about MAX_RESPONSE bytes, in slices: each is a turn of its own, and is made when the one before has
 * been read. What no longer fits is named, so that the client asks again; and so is what could not be read any more.
 */
async function* proofLines(
  hashes: readonly string[],
  find: (some: readonly string[]) => Promise<readonly Found[]>,
  requestId: string,
): AsyncGenerator<string, undefined> {
  // Room for every line to say that the response is full.
  let left = MAX_RESPONSE - hashes.length * lineOf("0".repeat(2 * COMMITMENT_BYTES), full()).length;
  for (let from = 0; from < hashes.length; from += SLICE) {
    const some = hashes.slice(from, from + SLICE);
    let found: readonly Found[];
    try {
      found = await find(some);
    } catch (error) {
      if (from === 0) throw error;
      logLine(
        "error",
        { requestId, ...errorFields(error) },
        { IndexFault: isIndexFault(error) ? 1 : undefined },
      );
      yield hashes
        .slice(from)
        .map((hash) => lineOf(hash, full()))
        .join("");
      return;
    }
    let text = "";
    for (const [i, hash] of some.entries()) {
      const line = lineOf(hash, found[i]);
      left -= Buffer.byteLength(line);
      text += left >= 0 ? line : lineOf(hash, full());
    }
    yield text;
    if (left >= 0) continue;
    yield hashes
      .slice(from + SLICE)
      .map((hash) => lineOf(hash, full()))
      .join("");
    return;
  }
}

const full = (): Problem => new Problem("response_full", PROBLEMS.response_full.example);

/** Pulled by its reader; when that goes away, no more is made. */
function streamOf(first: string, rest: AsyncGenerator<string, undefined>): ReadableStream<Uint8Array> {
  const utf8 = new TextEncoder();
  return new ReadableStream(
    {
      start: (controller) => controller.enqueue(utf8.encode(first)),
      async pull(controller) {
        const next = await rest.next();
        if (next.done) controller.close();
        else controller.enqueue(utf8.encode(next.value));
      },
      cancel: () => void rest.return(undefined),
    },
    { highWaterMark: 1 },
  );
}

function lineOf(hash: string, found: Found | Problem): string {
  const content =
    found === undefined || found === "pending"
      ? { problem: noProof(found) }
      : found instanceof Problem
        ? { problem: found }
        : found;
  return `${JSON.stringify({ hash, ...content })}\n`;
}
