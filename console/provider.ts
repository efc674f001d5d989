/**
 * Signing in at an organisation's identity provider: OpenID Connect, authorization code with PKCE S256 (RFC 7636). The service
 * exchanges the code. What only who began may know waits in sessionStorage while this page is away, and is deleted first
 * thing on return; where another window goes to the provider instead, it stays in memory.
 */
import { TENANT_ID } from "@kedge/cli/contract/ids";
import { checkUrl } from "@kedge/verify/net/http";
import {
  calculatePKCECodeChallenge,
  generateRandomCodeVerifier,
  generateRandomNonce,
  generateRandomState,
} from "oauth4webapi";
import * as z from "zod";
import type { Arrival } from "./address.ts";
import type { Credential, Service } from "./session.ts";

type Begun = { tenant: string; state: string; nonce: string; codeVerifier: string; page: string };
const begunSchema: z.ZodType<Begun> = z.strictObject({
  tenant: z.string().regex(TENANT_ID),
  state: z.string().min(32),
  nonce: z.string(),
  codeVerifier: z.string(),
  page: z.string().max(100),
});

const KEPT = "kedge-sign-in";
/** Of a state whose answer another window waits for. */
const ELSEWHERE = "w.";
const redirectUri = (): string => `${location.origin}/`;

async function begin(
  service: Service,
  tenant: string,
  prefix: string,
): Promise<{ begun: Begun; url: string }> {
  const { authorizationEndpoint, clientId, scope } = await service.provider(tenant);
  const [state, nonce, codeVerifier] = [
    prefix + generateRandomState(),
    generateRandomNonce(),
    generateRandomCodeVerifier(),
  ];
  const url = checkUrl(authorizationEndpoint);
  const asked = {
    response_type: "code",
    client_id: clientId,
    redirect_uri: redirectUri(),
    ...{ scope, state, nonce, code_challenge_method: "S256" },
    code_challenge: await calculatePKCECodeChallenge(codeVerifier),
  };
  for (const [name, value] of Object.entries(asked)) url.searchParams.set(name, value);
  return { begun: { tenant, state, nonce, codeVerifier, page: location.hash }, url: url.href };
}

/** Leaves the page for the provider's. */
export async function leaveForProvider(service: Service, tenant: string): Promise<void> {
  const { begun, url } = await begin(service, tenant, "");
  sessionStorage.setItem(KEPT, JSON.stringify(begun));
  location.assign(url);
}

/** `refused`: by the provider, with its code. `foreign`: nobody here asked for it, as in a login CSRF (RFC 6749 §10.12). */
export type Returned =
  | { readonly is: "credential"; readonly credential: Credential; readonly page: string }
  | { readonly is: "refused"; readonly error: string }
  | { readonly is: "foreign" };

/** What to do with what the provider sent back. Whatever it is, what waited for it is gone. */
export function returned(arrival: Extract<Arrival, { kind: "provider" }>): Returned {
  const kept = sessionStorage.getItem(KEPT);
  sessionStorage.removeItem(KEPT);
  const begun = begunSchema.safeParse(parsed(kept)).data;
  return begun === undefined ? { is: "foreign" } : answerTo(begun, arrival);
}

function answerTo(
  { tenant, state, nonce, codeVerifier, page }: Begun,
  arrival: Extract<Arrival, { kind: "provider" }>,
): Returned {
  if (arrival.state !== state) return { is: "foreign" };
  const { code, error, iss } = arrival;
  if (code === undefined) return { is: "refused", error: error ?? "no_code" };
  const answer = { code, codeVerifier, nonce, redirectUri: redirectUri(), ...(iss !== undefined && { iss }) };
  return { is: "credential", credential: { tenant, answer }, page };
}

function parsed(text: string | null): unknown {
  try {
    return text === null ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Deletes what waits for a provider that nobody came back from. */
export const forgetBegun = (): void => sessionStorage.removeItem(KEPT);

// ---- in another window, so that the work in this one stays ------------------------------------------------------

const CHANNEL = "kedge-sign-in";
const arrivalSchema: z.ZodType<Extract<Arrival, { kind: "provider" }>> = z.object({
  kind: z.literal("provider"),
  state: z.string(),
  code: z.string().exactOptional(),
  error: z.string().exactOptional(),
  iss: z.string().exactOptional(),
});

/**
 * Opens the provider in a window of its own, and resolves with what it sends back there.
 * The two cannot see each other (Cross-Origin-Opener-Policy): they share a channel of this origin, and the state.
 * Undefined when the browser opens no window.
 */
export async function askProviderElsewhere(
  service: Service,
  tenant: string,
  signal: AbortSignal,
): Promise<Returned | undefined> {
  const { begun, url } = await begin(service, tenant, ELSEWHERE);
  const channel = new BroadcastChannel(CHANNEL);
  try {
    if (open(url, "_blank", "popup,width=520,height=720") === null) return undefined;
    return await new Promise<Returned>((resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      channel.addEventListener("message", ({ data }) => {
        const arrival = arrivalSchema.safeParse(data).data;
        if (arrival?.state === begun.state) resolve(answerTo(begun, arrival));
      });
    });
  } finally {
    channel.close();
  }
}

/** In the window of its own: hands on what came back. True when there was something to hand on. */
export function handOn(arrival: Arrival): boolean {
  if (arrival.kind !== "provider" || !arrival.state.startsWith(ELSEWHERE)) return false;
  const channel = new BroadcastChannel(CHANNEL);
  channel.postMessage(arrival);
  channel.close();
  window.close();
  return true;
}
