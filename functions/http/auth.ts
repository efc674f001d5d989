/** Who may: first the API key, then its scope, then the log; each step sees only what the one before allows (I7). */
import { createMiddleware } from "hono/factory";
import type { ApiService } from "../../service/config.ts";
import { authenticate, findTenantLog, type Principal, type Scope } from "../../service/tenants.ts";
import type { ApiEnv } from "./app.ts";
import { notFound, Problem } from "./problem.ts";

/** Lower-case base32 of tenants.ts; anything else is not worth a read, and may be too long for a key. */
const LOG_ID = /^[a-z2-7]{19}$/;

/** @throws Problem `unauthorized`, or `forbidden` by the key alone. */
export const requireScope = (service: ApiService, scope: Scope) =>
  createMiddleware<ApiEnv>(async (c, next) => {
    const principal = await identify(service, c.req.header("authorization"));
    c.set("principal", principal);
    if (!principal.key.scopes.includes(scope)) {
      throw new Problem("forbidden", `This needs an API key with the scope ${scope}.`);
    }
    await next();
  });

/** After requireScope. @throws Problem `not_found`, the same for a log that is absent, malformed or foreign. */
export const requireLog = (service: ApiService) =>
  createMiddleware<ApiEnv>(async (c, next) => {
    const id = c.req.param("log") ?? "";
    const log = LOG_ID.test(id) ? await findTenantLog(service, c.get("principal"), id) : undefined;
    if (log === undefined) throw notFound();
    c.set("log", log);
    await next();
  });

async function identify(service: ApiService, header: string | undefined): Promise<Principal> {
  const apiKey = /^Bearer +(\S+)$/i.exec(header ?? "")?.[1];
  const principal = apiKey === undefined ? undefined : await authenticate(service, apiKey);
  if (principal !== undefined) return principal;
  throw new Problem("unauthorized", "Send a valid API key as `Authorization: Bearer kedge_…`.", {
    "WWW-Authenticate": "Bearer",
  });
}
