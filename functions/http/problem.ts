/** RFC 9457 problem details: the closed set of what can go wrong with a request, and the one switch that chooses. */

import { problemSchema } from "@kedge/cli/contract/wire";
import type { Context } from "hono";
import { HTTPException } from "hono/http-exception";
import type { ZodError } from "zod";
import { ServiceError } from "../../platform/error.ts";

/** `example` is a detail as the service words it: what the document shows for each. */
export const PROBLEMS = {
  invalid: {
    status: 400,
    title: "The request is not valid",
    example: "hashes.0: 64 lower-case hexadecimal digits",
  },
  unauthorized: {
    status: 401,
    title: "A valid API key or session is required",
    example: "Send a valid API key as `Authorization: Bearer kedge_…`, or sign in again.",
  },
  forbidden: {
    status: 403,
    title: "The API key or the role lacks the scope",
    example: "This needs the scope write, of an API key or a role.",
  },
  not_found: {
    status: 404,
    title: "There is nothing here",
    example: "There is no such resource, or not for this API key.",
  },
  pending: {
    status: 404,
    title: "The entry is not sealed yet",
    example: "The entry is accepted and in no tree yet; ask again shortly.",
  },
  method_not_allowed: {
    status: 405,
    title: "The route has other methods",
    example: "This route takes GET, HEAD.",
  },
  conflict: {
    status: 409,
    title: "A limit of the tenant is reached",
    example: "this tenant has 1000 of these already, the most it may have",
  },
  too_large: {
    status: 413,
    title: "The body is too large",
    example: "A body is at most 1048576 bytes: split it into several requests.",
  },
  response_full: {
    status: 413,
    title: "The response is full",
    example: "The response is full: ask again for this and the later hashes.",
  },
  unsupported_media_type: {
    status: 415,
    title: "The media type is not supported",
    example: "Send the body as application/json, without Content-Encoding.",
  },
  throttled: {
    status: 429,
    title: "Too many requests",
    example: "Nothing is lost that was acknowledged; repeat the request after Retry-After seconds.",
  },
  internal: {
    status: 500,
    title: "The service failed",
    example: "The operator has a record of this; name the request id when you report it.",
  },
  unavailable: {
    status: 503,
    title: "The service is not available",
    example: "Nothing is lost that was acknowledged; repeat the request after Retry-After seconds.",
  },
} as const;

export type ProblemCode = keyof typeof PROBLEMS;

const RETRY_SECONDS = 2;

/** A problem as it goes to the client: `detail` says what happened and what to do next, without internals. */
export class Problem extends Error {
  override readonly name = "Problem";
  readonly code: ProblemCode;
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: ProblemCode, detail: string, headers: Readonly<Record<string, string>> = {}) {
    super(detail);
    this.code = code;
    this.headers = headers;
  }

  get status() {
    return PROBLEMS[this.code].status;
  }

  /** RFC 9457 §3.1, without `instance`. */
  toJSON() {
    return {
      type: problemType(this.code),
      title: PROBLEMS[this.code].title,
      status: this.status,
      detail: this.message,
    };
  }
}

const problemType = (code: ProblemCode): string => `urn:kedge:problem:${code}`;
const problemBody = (problem: Problem, requestId: string) => ({
  ...problem.toJSON(),
  instance: `urn:kedge:request:${requestId}`,
});

export function notFound(what: string = PROBLEMS.not_found.example): Problem {
  return new Problem("not_found", what);
}

/** RFC 9110 §15.5.6. */
export function methodNotAllowed(methods: readonly string[]): Problem {
  const allow = methods.join(", ");
  return new Problem("method_not_allowed", `This route takes ${allow}.`, { Allow: allow });
}

export const noEntry = (): Problem => notFound("The log does not have this entry: post it.");
export const noTile = (): Problem => notFound("The published tree has no such tile.");

export function pending(): Problem {
  return new Problem("pending", PROBLEMS.pending.example, { "Retry-After": String(RETRY_SECONDS) });
}

const MAX_DETAIL = 300;

/** The first issue of a refused input: where, and what is expected there. */
export function invalidInput(error: ZodError): Problem {
  const [issue] = error.issues;
  const where = issue?.path.join(".");
  const detail = `${where ? `${where}: ` : ""}${issue?.message ?? "malformed"}`;
  return new Problem("invalid", detail.slice(0, MAX_DETAIL));
}

const unavailable = (code: "throttled" | "unavailable"): Problem =>
  new Problem(code, PROBLEMS[code].example, { "Retry-After": String(RETRY_SECONDS) });

/** What to tell the client of an error: internals stay in the log. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  // The validators' own refusal: the body was read and is not JSON.
  if (error instanceof HTTPException && error.status === 400) {
    return new Problem("invalid", "The body is not JSON.");
  }
  if (!(error instanceof ServiceError)) return internal();
  switch (error.code) {
    case "invalid":
    case "forbidden":
    case "conflict":
      return new Problem(error.code, error.message);
    case "not_found":
      return notFound();
    case "throttled":
    case "unavailable":
      return unavailable(error.code);
    case "signer":
      return unavailable("unavailable");
    case "condition_failed":
    case "rollback":
    case "corrupt":
      return internal();
  }
}

const internal = (): Problem => new Problem("internal", PROBLEMS.internal.example);

export function respondProblem(c: Context, problem: Problem, requestId: string): Response {
  return c.body(JSON.stringify(problemBody(problem, requestId)), problem.status, {
    ...problem.headers,
    "Cache-Control": "no-store",
    "Content-Type": "application/problem+json",
  });
}

// ---- the same in the OpenAPI document ----------------------------------------------------------------------------

type HeaderSchema = { readonly type: "integer" | "string"; readonly minimum?: number };

const RETRY_AFTER = {
  "Retry-After": { description: "Seconds to wait.", schema: { type: "integer", minimum: 0 } },
} as const;
const ACCEPT = {
  Accept: { description: "The media types that are taken.", schema: { type: "string" } },
} as const;
const EXAMPLE_REQUEST = "7c1c3d2e-4a5b-4f60-9d1e-0a2b3c4d5e6f";

function response(
  description: string,
  codes: readonly [ProblemCode, ...ProblemCode[]],
  headers: Readonly<Record<string, { description: string; schema: HeaderSchema }>> = {},
) {
  const types = codes.map((code) => `\`${problemType(code)}\``).join(" or ");
  const examples = Object.fromEntries(
    codes.map((code) => [
      code,
      { value: problemBody(new Problem(code, PROBLEMS[code].example), EXAMPLE_REQUEST) },
    ]),
  );
  return {
    description: `${description} Problem type ${types}.`,
    content: { "application/problem+json": { schema: problemSchema, examples } },
    headers,
  };
}

/** Every route. */
export const anyProblems = {
  400: response("The request is not valid.", ["invalid"]),
  429: response("The service is throttled: retry after `Retry-After` seconds.", ["throttled"], RETRY_AFTER),
  500: response("The service failed.", ["internal"]),
  503: response(
    "The service is not available: retry after `Retry-After` seconds.",
    ["unavailable"],
    RETRY_AFTER,
  ),
};
/** Routes that find out who asks. */
export const unauthorizedProblem = {
  401: response(
    "The API key or session is missing, malformed, unknown, wrong, expired or revoked.",
    ["unauthorized"],
    { "WWW-Authenticate": { description: "`Bearer`", schema: { type: "string" } } },
  ),
};
/** Routes that need an API key or a session. */
export const keyProblems = {
  ...unauthorizedProblem,
  403: response("The API key or the role lacks the scope.", ["forbidden"]),
  ...anyProblems,
};
/** Routes under something that may be absent. What is another tenant's is answered as absent. */
export const absentProblem = { 404: response("Absent, or not this API key's.", ["not_found"]) };
export const pendingProblem = {
  404: response(
    "Absent, or pending: then retry after `Retry-After` seconds.",
    ["not_found", "pending"],
    RETRY_AFTER,
  ),
};
export const bodyProblems = {
  413: response("The body is larger than 1 MiB.", ["too_large"]),
  415: response("`Accept` names the media types that are supported.", ["unsupported_media_type"], ACCEPT),
};
export const conflictProblem = { 409: response("The tenant has as many as it may have.", ["conflict"]) };
