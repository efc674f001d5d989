/** Readiness: whether what was accepted is also being sealed, anchored and witnessed. Liveness is /healthz. */
import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { notReadySchema, readySchema } from "@kedge/cli/contract/wire";
import type { ApiService } from "../../service/config.ts";
import { type Reason, readiness } from "../../service/runs.ts";
import type { ApiEnv } from "./env.ts";
import { anyProblems, Problem } from "./problem.ts";
import { json } from "./schema.ts";

/** Anyone may ask: the store is asked once a second at most, and not waited for longer than a probe waits. */
const KEPT_MS = 1_000;
const PATIENCE_MS = 3_000;
const RETRY_SECONDS = 5;

const NO_STORE: Reason = { part: "store", code: "unavailable", detail: "the store does not answer" };

export function readyRoutes(app: OpenAPIHono<ApiEnv>, service: ApiService): void {
  const ready = createRoute({
    method: "get",
    path: "/readyz",
    operationId: "getReadiness",
    summary: "Whether entries are sealed, anchored and witnessed",
    description:
      "As of the last runs. What is accepted with 202 while it is not ready is kept, and comes later.",
    tags: ["Service"],
    security: [],
    responses: {
      200: json("It is ready.", readySchema),
      ...anyProblems,
      503: {
        description: `It is not: \`reasons\` says what stands still and why. Problem type \`urn:kedge:problem:unavailable\`.`,
        content: {
          "application/problem+json": { schema: notReadySchema, example: bodyOf([NO_STORE], "…") },
        },
      },
    },
  });
  const reasonsNow = onceASecond(() => inTime(readiness(service)));
  app.openapi(ready, async (c) => {
    const reasons = await reasonsNow();
    if (reasons.length === 0) return c.json({ status: "ready" } as const, 200);
    c.set("reasons", reasons.map(({ part, code }) => `${part}:${code}`).join(" "));
    return c.json(bodyOf(reasons, c.get("requestId")), 503, {
      "Content-Type": "application/problem+json",
      "Retry-After": String(RETRY_SECONDS),
    });
  });
}

function bodyOf(reasons: readonly Reason[], requestId: string) {
  const problem = new Problem("unavailable", reasons.map(({ detail }) => detail).join("; "));
  return { ...problem.toJSON(), instance: `urn:kedge:request:${requestId}`, reasons: [...reasons] };
}

/** A store that does not answer is what there is to say. */
async function inTime(asked: Promise<readonly Reason[]>): Promise<readonly Reason[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<readonly Reason[]>((resolve) => {
    timer = setTimeout(() => resolve([NO_STORE]), PATIENCE_MS);
  });
  try {
    return await Promise.race([asked.catch(() => [NO_STORE]), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** One call for all who ask meanwhile, and for a second after. */
function onceASecond<T>(call: () => Promise<T>): () => Promise<T> {
  let last: { readonly answer: Promise<T>; until: number } | undefined;
  return () => {
    if (last === undefined || performance.now() > last.until) {
      const now = { answer: call(), until: Number.POSITIVE_INFINITY };
      const keep = () => {
        now.until = performance.now() + KEPT_MS;
      };
      now.answer.then(keep, keep);
      last = now;
    }
    return last.answer;
  };
}
