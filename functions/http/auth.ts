/** Who asks, by the API key or the session. What they may do is for the verb to check (service/verbs.ts). */
import { type AnyScope, SCOPES } from "@kedge/cli/contract/ids";
import { createMiddleware } from "hono/factory";
import type { ApiService } from "../../service/config.ts";
import { authenticateSession } from "../../service/people.ts";
import type { Principal } from "../../service/principal.ts";
import { authenticate } from "../../service/tenants.ts";
import type { Verb } from "../../service/verbs.ts";
import { acceptBody } from "./body.ts";
import type { ApiEnv } from "./env.ts";
import { Problem } from "./problem.ts";
import { openTurns } from "./turns.ts";

/** For the whole process. Several at once, for most of a request is waiting for the store. */
const turns = openTurns(8);

/**
 * What a route of this verb declares, and does before anything else: the scope in the document is the verb's own. The
 * handler finds the verb, opened for whoever asks, as `c.var.act`.
 * @param bodyTypes the media types of the request's body, where the route takes one: it is read once the verb is open.
 */
export const allow = <Input extends readonly unknown[], Output>(
  service: ApiService,
  verb: Verb<Input, Output>,
  ...bodyTypes: readonly string[]
) => ({
  security: securityOf(verb.scopes),
  middleware: createMiddleware<ActEnv<Input, Output>>(async (c, next) => {
    const open = async () => {
      const principal = await identify(service, c.req.header("authorization"));
      c.set("principal", principal);
      const act = await verb.open(service, principal, c.req.param("log") ?? "");
      // The body is read before a turn begins: who sends it slowly keeps nobody's.
      c.set("act", (...input) => turns(principal.tenant, () => act(...input)));
    };
    await open();
    if (bodyTypes.length > 0) {
      const began = service.clock();
      c.set("body", await acceptBody(c, bodyTypes));
      // Whoever holds a body back may have been signed out or revoked meanwhile.
      if (service.clock() - began > BODY_MS) await open();
    }
    await next();
  }),
});

/** A body that took longer, in ms, is one that is sent slowly. */
const BODY_MS = 1_000;

type ActEnv<Input extends readonly unknown[], Output> = ApiEnv & {
  Variables: { act: (...input: Input) => Promise<Output> };
};

/** Each alternative suffices (OpenAPI 3.1 §4.8.30). API keys have neither `review` nor `trail`. */
const securityOf = (scopes: readonly AnyScope[]): { [scheme: string]: string[] }[] =>
  scopes.length === 0
    ? [{ session: [] }]
    : scopes.flatMap((scope) => [
        ...(SCOPES.some((each) => each === scope) ? [{ apiKey: [scope] }] : []),
        { session: [scope] },
      ]);

/**
 * The id of the API key or session that a request claims to have, for the log line of one that is refused: half of
 * `kedge_<id>_<secret>` is public. Undefined when the text is not so, for then it may be anything.
 */
export const claimedKeyId = (header: string | undefined): string | undefined =>
  /^Bearer +(?:kedge_([a-z2-7]{25})|kedgesession_([a-z2-7]{42}))_/i
    .exec(header ?? "")
    ?.slice(1)
    .find(Boolean);

/** @throws Problem `unauthorized`. */
async function identify(service: ApiService, header: string | undefined): Promise<Principal> {
  const token = /^Bearer +(\S+)$/i.exec(header ?? "")?.[1] ?? "";
  const principal = (await authenticate(service, token)) ?? (await authenticateSession(service, token));
  if (principal !== undefined) return principal;
  throw unauthorized("Send a valid API key as `Authorization: Bearer kedge_…`, or sign in again.");
}

export const unauthorized = (detail: string): Problem =>
  new Problem("unauthorized", detail, { "WWW-Authenticate": "Bearer" });
