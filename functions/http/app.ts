/** The HTTP API: wiring only. What it does is in service/, one file per verb. */
import { randomUUID } from "node:crypto";
import { OpenAPIHono } from "@hono/zod-openapi";
import { matchedRoutes } from "hono/route";
import { errorFields, logLine } from "../../platform/log.ts";
import type { ApiService } from "../../service/config.ts";
import { isIndexFault } from "../../service/index/fault.ts";
import type { SignInContext } from "../../service/sign-in.ts";
import { anchorRoutes } from "./anchor.ts";
import { claimedKeyId } from "./auth.ts";
import { checkpointRoutes } from "./checkpoints.ts";
import { consoleRoutes } from "./console.ts";
import { entryRoutes } from "./entries.ts";
import type { ApiEnv } from "./env.ts";
import { keyRoutes } from "./keys.ts";
import { linkRoutes } from "./links.ts";
import { logRoutes } from "./logs.ts";
import { metaRoutes } from "./meta.ts";
import { methodsOf } from "./methods.ts";
import { pageRoutes } from "./pages.ts";
import { invalidInput, methodNotAllowed, notFound, problemOf, respondProblem } from "./problem.ts";
import { proofRoutes } from "./proofs.ts";
import { readyRoutes } from "./ready.ts";
import { sessionRoutes } from "./session.ts";
import { signInRoutes } from "./sign-in.ts";
import { trailRoutes } from "./trail.ts";

/** @example const response = await createApp(openService(process.env)).request("/healthz"); */
export function createApp(service: ApiService & SignInContext): OpenAPIHono<ApiEnv> {
  const words = new Set<string>();
  const app = new OpenAPIHono<ApiEnv>({
    defaultHook: (result) => {
      if (!result.success) throw invalidInput(result.error);
    },
  });

  app.use(async (c, next) => {
    const started = performance.now();
    // Never the client's own: two requests must not share an id, and a log line must not be forged.
    const requestId = c.env?.requestContext?.requestId ?? randomUUID();
    c.set("requestId", requestId);
    await next();
    c.res.headers.set("X-Request-Id", requestId);
    c.res.headers.set("X-Content-Type-Options", "nosniff");
    if (!c.res.headers.has("Cache-Control")) c.res.headers.set("Cache-Control", "no-store");

    // A probe that is told what stands still was answered: what failed has lines of its own.
    const failed = c.res.status >= 500 && c.get("reasons") === undefined;
    const line = {
      requestId,
      method: c.req.method,
      route: routeOf(matchedRoutes(c).at(-1)?.path) ?? masked(c.req.path, words),
      status: c.res.status,
      ms: Math.round(performance.now() - started),
      tenant: c.var.principal?.tenant,
      keyId: c.var.principal?.who.id ?? claimedKeyId(c.req.header("authorization")),
      entries: c.get("entries"),
      reasons: c.get("reasons"),
      ...(c.error !== undefined && (failed ? errorFields(c.error) : { code: problemOf(c.error).code })),
    };
    // 202 says that entries are durable, and nothing else does.
    logLine(failed ? "error" : "info", line, {
      EntriesAccepted: c.res.status === 202 ? c.get("entries") : undefined,
      // A log that nothing is posted to is not sealed: a look-up is then the first to meet what is lost.
      IndexFault: isIndexFault(c.error) ? 1 : undefined,
    });
  });
  // Before the routes: `/entries/octets` is no hash, whatever the method.
  let methods: ReturnType<typeof methodsOf> | undefined;
  app.use(async (c, next) => {
    methods ??= methodsOf(app.openAPIRegistry.definitions);
    const taken = methods(c.req.path);
    if (taken !== undefined && !taken.includes(c.req.method)) throw methodNotAllowed(taken);
    await next();
  });
  app.onError((error, c) => respondProblem(c, problemOf(error), c.get("requestId")));
  app.notFound((c) => {
    const problem = notFound("There is no such route; /openapi.json names those there are.");
    return respondProblem(c, problem, c.get("requestId"));
  });

  entryRoutes(app, service);
  proofRoutes(app, service);
  logRoutes(app, service);
  checkpointRoutes(app, service);
  keyRoutes(app, service);
  signInRoutes(app, service);
  sessionRoutes(app, service);
  linkRoutes(app, service);
  trailRoutes(app, service);
  anchorRoutes(app, service);
  readyRoutes(app, service);
  consoleRoutes(app);
  pageRoutes(app);
  metaRoutes(app);
  for (const { path } of app.routes) for (const word of path.split("/")) words.add(word);
  return app;
}

/** The pattern that was matched, unless it is that of whatever matches nothing else. */
const routeOf = (path: string | undefined): string | undefined => (path?.endsWith("*") ? undefined : path);

const MAX_SEGMENTS = 10;

/** A path that is no route: of its words those that routes have. Any other may be an id, a key or a name. */
function masked(path: string, words: ReadonlySet<string>): string {
  const segments = path.split("/", MAX_SEGMENTS + 1);
  return segments.map((segment) => (words.has(segment) ? segment : "*")).join("/");
}
