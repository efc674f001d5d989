/** A witness over HTTP, c2sp.org/tlog-witness: submission and monitoring have one prefix. Errors are plain text. */
import { randomUUID } from "node:crypto";
import { formatSize, MAX_ADD_CHECKPOINT_SIZE, SIZE_TYPE } from "@kedge/verify/tlog/witness";
import { type Context, Hono } from "hono";
import { matchedRoutes } from "hono/route";
import { ServiceError } from "../platform/error.ts";
import { readLimited } from "../platform/limit.ts";
import { errorFields, logLine } from "../platform/log.ts";
import { vkeysText } from "../platform/publication.ts";
import { addCheckpoint, type CosignAnswer, type WitnessContext, witnessVkeys } from "./cosign.ts";
import { readCosigned } from "./items.ts";

type WitnessEnv = {
  /** Set by API Gateway, absent elsewhere. */
  Bindings: { requestContext?: { requestId?: string } };
  Variables: {
    requestId: string;
    answer: CosignAnswer | undefined;
  };
};

const TEXT = "text/plain; charset=utf-8";
const RETRY_SECONDS = 2;
/** Each request makes new cosignatures, and monitors ask rarely: a cache may answer for the witness this long. */
const CACHED_BRIEFLY = "public, max-age=5";

/** @example const response = await createWitness(openWitness(process.env)).request("/vkeys"); */
export function createWitness(witness: WitnessContext): Hono<WitnessEnv> {
  const app = new Hono<WitnessEnv>();

  app.use(async (c, next) => {
    const started = performance.now();
    // Never the client's own: two requests must not share an id.
    c.set("requestId", c.env?.requestContext?.requestId ?? randomUUID());
    await next();
    c.res.headers.set("X-Request-Id", c.get("requestId"));
    c.res.headers.set("X-Content-Type-Options", "nosniff");
    if (!c.res.headers.has("Cache-Control")) c.res.headers.set("Cache-Control", "no-store");
    logRequest(c, Math.round(performance.now() - started));
  });
  app.onError((error, c) => {
    const status = statusOf(error);
    if (status === 500) return text(c, "The witness failed; its operator has a record of this.", status);
    c.header("Retry-After", String(RETRY_SECONDS));
    return text(c, "The witness cannot answer now: ask again after Retry-After seconds.", status);
  });
  app.notFound((c) =>
    text(c, "There is no such route: POST /add-checkpoint, GET /<origin hash>/checkpoint.", 404),
  );

  app.post("/add-checkpoint", async (c) => {
    const body = await readLimited(c.req.raw, MAX_ADD_CHECKPOINT_SIZE);
    if (body === "ended_early") return text(c, "The body ended early: send it again.", 400);
    if (body === "too_large") {
      return text(c, `A body is at most ${MAX_ADD_CHECKPOINT_SIZE} bytes: send fewer signatures.`, 413);
    }
    const answer = await addCheckpoint(witness, body);
    c.set("answer", answer);
    if (answer.status === 200) return c.body(answer.lines, 200, { "Content-Type": TEXT });
    // The size and nothing else: the log parses it.
    if (answer.status === 409) return c.body(formatSize(answer.size), 409, { "Content-Type": SIZE_TYPE });
    return text(c, `${answer.reason}.`, answer.status);
  });

  app.get("/:hash{[0-9a-f]{64}}/checkpoint", async (c) => {
    const cosigned = await readCosigned(witness.store, c.req.param("hash"));
    if (cosigned === undefined) return text(c, "This witness has cosigned no checkpoint of such a log.", 404);
    return c.body(cosigned.note, 200, { "Content-Type": TEXT, "Cache-Control": CACHED_BRIEFLY });
  });

  // Who serves the keys cannot vouch for them; a policy takes them from the witness's operator.
  app.get("/vkeys", async (c) => {
    const vkeys = await witnessVkeys(witness.witness);
    return c.body(vkeysText(vkeys), 200, { "Content-Type": TEXT });
  });
  return app;
}

type Status = 400 | 403 | 404 | 413 | 422 | 429 | 500 | 503;

const text = (c: Context<WitnessEnv>, message: string, status: Status): Response =>
  c.body(`${message}\n`, status, { "Content-Type": TEXT });

function statusOf(error: unknown): 429 | 500 | 503 {
  const code = error instanceof ServiceError ? error.code : undefined;
  if (code === "throttled") return 429;
  return code === "unavailable" || code === "signer" ? 503 : 500;
}

/** Of a refused checkpoint that a log signed the line has the note itself: it may prove that the log misbehaved. */
function logRequest(c: Context<WitnessEnv>, ms: number): void {
  const answer = c.get("answer");
  const refusal = answer?.status === 200 ? undefined : answer;
  const isEvidence = refusal?.code === "equivocation";
  const line = {
    requestId: c.get("requestId"),
    method: c.req.method,
    route: matchedRoutes(c).at(-1)?.path,
    status: c.res.status,
    ms,
    code: refusal?.code,
    reason: refusal?.reason,
    refused: refusal?.refused,
    evidence: refusal?.evidence && JSON.stringify(refusal.evidence),
    ...(c.error !== undefined && errorFields(c.error)),
  };
  logLine(c.res.status >= 500 || isEvidence ? "error" : "info", line, {
    // Only what is new says that a log is alive: anyone can send the latest checkpoint again.
    Cosigned: answer?.status === 200 && answer.isNew ? 1 : undefined,
    Equivocations: isEvidence ? 1 : undefined,
  });
}
