/** Signing in. Nobody is known yet: these routes take neither an API key nor a session, and no cookie is ever set. */
import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import {
  linkSignInSchema,
  signedInSchema,
  signInRequestSchema,
  signInSchema,
} from "@kedge/cli/contract/people";
import { createMiddleware } from "hono/factory";
import * as z from "zod";
import type { ApiService } from "../../service/config.ts";
import {
  type SignedIn,
  type SignInContext,
  signInByLink,
  signInByProvider,
  signInByStart,
  whereToSignIn,
} from "../../service/sign-in.ts";
import { unauthorized } from "./auth.ts";
import { acceptBody, JSON_TYPE } from "./body.ts";
import type { ApiEnv } from "./env.ts";
import { absentProblem, anyProblems, bodyProblems, keyProblems, unauthorizedProblem } from "./problem.ts";
import { json, jsonBody } from "./schema.ts";
import { sessionBody } from "./session.ts";

/** The body is bounded before it is parsed, as behind `allow`. */
const takesJson = createMiddleware<ApiEnv>(async (c, next) => {
  c.set("body", await acceptBody(c, [JSON_TYPE]));
  await next();
});

export function signInRoutes(app: OpenAPIHono<ApiEnv>, service: ApiService & SignInContext): void {
  const postLink = createRoute({
    method: "post",
    path: "/v1/sign-in",
    operationId: "signInByLink",
    summary: "Sign in by a viewer link, or by the start link of one machine",
    tags: ["People"],
    security: [],
    middleware: takesJson,
    request: jsonBody(linkSignInSchema),
    responses: {
      201: json("The session; its token is shown once.", signedInSchema),
      ...bodyProblems,
      ...unauthorizedProblem,
      ...anyProblems,
    },
  });
  app.openapi(postLink, async (c) => {
    const by = c.req.valid("json");
    const signedIn =
      "link" in by ? await signInByLink(service, by.link) : await signInByStart(service, by.start);
    if (signedIn === undefined) {
      throw unauthorized("The link is wrong, or counts no longer: ask for a new one.");
    }
    return c.json(signedInBody(signedIn), 201);
  });

  providerRoutes(app, service);
}

function providerRoutes(app: OpenAPIHono<ApiEnv>, service: ApiService & SignInContext): void {
  const common = { path: "/v1/sign-in/{tenant}", tags: ["People"], security: [] };
  const getSignIn = createRoute({
    ...common,
    method: "get",
    operationId: "getSignIn",
    summary: "Where people of a tenant sign in",
    description: "At the tenant's own identity provider, by OpenID Connect: authorization code with PKCE.",
    request: { params: tenantParams },
    responses: { 200: json("The identity provider.", signInSchema), ...absentProblem, ...anyProblems },
  });
  app.openapi(getSignIn, async (c) => c.json(await whereToSignIn(service, c.req.valid("param").tenant), 200));

  const postSignIn = createRoute({
    ...common,
    method: "post",
    operationId: "signIn",
    summary: "Sign in with what the identity provider sent back",
    middleware: takesJson,
    request: { params: tenantParams, ...jsonBody(signInRequestSchema) },
    responses: {
      201: json("The session; its token is shown once.", signedInSchema),
      ...bodyProblems,
      ...keyProblems,
      ...absentProblem,
    },
  });
  app.openapi(postSignIn, async (c) => {
    const { iss, ...callback } = c.req.valid("json");
    const { tenant } = c.req.valid("param");
    const signedIn = await signInByProvider(service, tenant, {
      ...callback,
      ...(iss !== undefined && { iss }),
    });
    if (signedIn === undefined) throw unauthorized("The sign-in is refused: begin it again.");
    return c.json(signedInBody(signedIn), 201);
  });
}

const tenantParams = z.object({
  tenant: z.string().meta({ description: "Id of the tenant.", example: "ax3cptfhn35gsfuk" }),
});

const signedInBody = ({ token, tenantName, ...session }: SignedIn) => ({
  ...sessionBody(session, tenantName),
  token,
});
