/**
 * OpenID Connect from the service's side: discovery, the exchange of a code with PKCE (RFC 7636), and the validation of the
 * ID token (OpenID Connect Core 1.0 §3.1.3.7). What a provider answers is bounded in time and size, and its words are repeated
 * to nobody.
 */
import { type Answer, readBounded } from "@kedge/verify/net/exchange";
import { exchange, isLoopback } from "@kedge/verify/net/fetch";
import * as oauth from "oauth4webapi";
import { ServiceError } from "../platform/error.ts";
import { LOCAL_SUBJECT } from "./people.ts";
import type { NewProvider } from "./sign-in-provider.ts";

/** What the browser hands on. */
export type Callback = {
  readonly code: string;
  readonly codeVerifier: string;
  readonly nonce: string;
  readonly redirectUri: string;
  readonly iss?: string;
};

/** Why a sign-in is refused; a code, which says nothing of the token. */
export type OidcRefusal = "response" | "code" | "token" | "signature" | "stale";

/** Three requests stay below the 29 s that API Gateway waits. */
const TIMEOUT_MS = 5_000;
const MAX_BYTES = 256 * 1024;
/** Metadata changes seldom; keys are asked for anew by whoever meets one that is not known. */
const KEPT_MS = 10 * 60_000;
/** Who fails is left alone for a moment, however many ask. */
const FAILED_MS = 5_000;
const MAX_KEPT = 1_000;
/** Of the clocks of provider and service. */
const TOLERANCE_S = 60;
/** OpenID Connect Core 1.0 §2. */
const MAX_SUBJECT = 255;
/** A token comes fresh from the provider; some date it back by minutes. */
export const MAX_TOKEN_AGE_MS = 15 * 60_000;

/** Signatures by a key pair: neither `none`, nor a MAC under what may be a public key (RFC 8725 §2.1, §3.1). */
const ALGORITHMS = [
  ...["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
  ...["ES256", "ES384", "ES512", "Ed25519", "EdDSA"],
];

type Kept = { readonly server: Promise<oauth.AuthorizationServer>; until: number };
const kept = new Map<string, Kept>();

/** The provider's metadata. @throws ServiceError `unavailable` where it does not answer as one. */
export async function discover(issuer: string): Promise<oauth.AuthorizationServer> {
  const now = performance.now();
  const before = kept.get(issuer);
  if (before !== undefined && before.until > now) return await before.server;
  if (kept.size >= MAX_KEPT) kept.clear();
  const entry: Kept = { server: ask(issuer), until: now + KEPT_MS };
  kept.set(issuer, entry);
  try {
    return await entry.server;
  } catch (error) {
    entry.until = performance.now() + FAILED_MS;
    throw error;
  }
}

async function ask(issuer: string): Promise<oauth.AuthorizationServer> {
  const url = new URL(issuer);
  try {
    const response = await oauth.discoveryRequest(url, options(url));
    const server = await oauth.processDiscoveryResponse(url, response);
    const { id_token_signing_alg_values_supported: named = ["RS256"] } = server;
    const algorithms = ALGORITHMS.filter((algorithm) => named.includes(algorithm));
    const endpoints = [server.authorization_endpoint, server.token_endpoint, server.jwks_uri];
    if (algorithms.length === 0 || !endpoints.every((endpoint) => isSafe(url, endpoint))) {
      throw new Error("the metadata names no signature that is taken, or an endpoint that is not safe");
    }
    return { ...server, id_token_signing_alg_values_supported: algorithms };
  } catch (cause) {
    throw unavailable(cause);
  }
}

/** Where a browser, or this service, is sent: only a loopback issuer may name loopback, and without TLS. */
function isSafe(issuer: URL, endpoint: string | undefined): boolean {
  if (endpoint === undefined || !URL.canParse(endpoint)) return false;
  const url = new URL(endpoint);
  if (isLoopback(issuer)) return url.protocol === "https:" || (url.protocol === "http:" && isLoopback(url));
  return url.protocol === "https:" && !isLoopback(url);
}

/**
 * The claims of the ID token that the code is worth, or why it is worth none.
 * @param now ms since the epoch. @throws ServiceError `unavailable` where the provider fails or does not answer.
 */
export async function redeem(
  { issuer, clientId }: Pick<NewProvider, "issuer" | "clientId">,
  { code, codeVerifier, nonce, redirectUri, iss }: Callback,
  now: number,
): Promise<{ claims: oauth.IDToken } | OidcRefusal> {
  const server = await discover(issuer);
  const client: oauth.Client = {
    client_id: clientId,
    [oauth.clockSkew]: Math.round((now - Date.now()) / 1000),
    [oauth.clockTolerance]: TOLERANCE_S,
  };
  const settings = options(new URL(issuer));
  const sent = new URLSearchParams({ code, ...(iss !== undefined && { iss }) });

  // RFC 9207 §2.4. The state is the browser's, which began the sign-in, to check.
  const answer = await attempt(() => oauth.validateAuthResponse(server, client, sent, oauth.skipStateCheck));
  if (answer === undefined) return "response";
  const response = await oauth.authorizationCodeGrantRequest(
    server,
    client,
    oauth.None(),
    answer,
    redirectUri,
    codeVerifier,
    settings,
  );
  if (response.status !== 200) return "code";
  const expected = { expectedNonce: nonce, requireIdToken: true };
  const tokens = await attempt(() =>
    oauth.processAuthorizationCodeResponse(server, client, response, expected),
  );
  const claims = tokens && oauth.getValidatedIdTokenClaims(tokens);
  if (claims === undefined || !isSubject(claims.sub)) return "token";
  if (!(await isSigned(server, response, settings))) return "signature";
  const issued = claims.iat * 1000;
  if (issued > now + TOLERANCE_S * 1000 || issued < now - MAX_TOKEN_AGE_MS) return "stale";
  return { claims };
}

/**
 * Nobody is who could be taken for another in the trail: by characters that are not seen or turn others around, or by the name of
 * who needs no provider. (The standard has ASCII alone.)
 */
const isSubject = (sub: string): boolean =>
  sub.length > 0 &&
  sub.length <= MAX_SUBJECT &&
  sub !== LOCAL_SUBJECT &&
  sub === sub.trim() &&
  !UNSEEN.test(sub);
/** What neither the store nor the trail could keep is among them. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Surrogate}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;

/** Also by a key that came after the keys were last asked for. */
async function isSigned(
  server: oauth.AuthorizationServer,
  response: Response,
  settings: Settings,
): Promise<boolean> {
  const check = async (keysOf: oauth.AuthorizationServer) => {
    await oauth.validateApplicationLevelSignature(keysOf, response, settings);
    return "signed" as const;
  };
  const isUnknownKey = (error: unknown) =>
    error instanceof oauth.OperationProcessingError && error.code === oauth.KEY_SELECTION;
  const first = await attempt(() =>
    check(server).catch((error: unknown) => {
      if (isUnknownKey(error)) return "unknown key" as const;
      throw error;
    }),
  );
  // Keys are kept with the metadata that they are of: of a copy none are.
  const last = first === "unknown key" ? await attempt(() => check({ ...server })) : first;
  return last === "signed";
}

/** What the library refuses is undefined; that a provider does not answer is an error still. */
async function attempt<T>(run: () => T | Promise<T>): Promise<T | undefined> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof ServiceError) throw error;
    return undefined;
  }
}

type Settings = ReturnType<typeof options>;

const options = (issuer: URL) => ({
  [oauth.customFetch]: bounded,
  // What may be without TLS is looked at in the metadata.
  [oauth.allowInsecureRequests]: isLoopback(issuer),
});

type Request = { method: string; headers: Record<string, string>; body?: URLSearchParams | undefined };

/**
 * A fetch within bounds, which follows no redirect. @throws ServiceError `unavailable` for whatever says nothing of the request:
 * no answer in time, too large a one, a redirect, a failure, a throttling, or no document where one is asked for.
 */
async function bounded(url: string, { method, headers, body }: Request): Promise<Response> {
  const init = { method, headers, ...(body !== undefined && { body: body.toString() }) };
  const read = async (answer: Answer) => ({
    status: answer.status,
    type: answer.headers.get("content-type") ?? "",
    bytes: await readBounded(answer.body, MAX_BYTES),
  });
  const answer = await exchange(new URL(url), init, { timeout: TIMEOUT_MS }, read).catch((cause: unknown) => {
    throw unavailable(cause);
  });
  const { status, type, bytes } = answer;
  const isRefusal = method === "POST" && status >= 400 && status < 500 && status !== 429;
  if (bytes === undefined || (status !== 200 && !isRefusal)) {
    throw unavailable(
      new Error(`${bytes === undefined ? "too large an answer" : "an answer"} with HTTP ${status}`),
    );
  }
  return new Response(bytes, { status, headers: { "Content-Type": type } });
}

const unavailable = (cause: unknown): ServiceError =>
  cause instanceof ServiceError
    ? cause
    : new ServiceError("unavailable", "the identity provider does not answer as it should", { cause });
