/** A real identity provider on loopback (oidc-provider), and a browser's way through it. */
import { createHash, randomBytes } from "node:crypto";
import type { RequestListener } from "node:http";
import Provider from "oidc-provider";
import { listen, type newKey } from "./oidc-forger.ts";

export type Account = { readonly [claim: string]: unknown };

/** People by their `sub`; whom `login_hint` names is signed in without being asked. */
export async function startProvider(
  accounts: Readonly<Record<string, Account>>,
  redirectUris: readonly string[],
) {
  let handle: RequestListener = (_, response) => response.end();
  const { url, close } = await listen((request, response) => handle(request, response));
  const clientOf = (id: string) => ({
    ...{ client_id: id, redirect_uris: redirectUris, application_type: "native" },
    ...{ token_endpoint_auth_method: "none", grant_types: ["authorization_code"], response_types: ["code"] },
  });
  /** Begins anew, with these keys and no memory: the first one signs. */
  const start = (...keys: readonly ReturnType<typeof newKey>[]) => {
    const provider: Provider = new Provider(url, {
      clients: ["console", "another"].map(clientOf),
      jwks: { keys: keys.map(({ privateJwk }) => privateJwk) },
      claims: { openid: ["sub", "groups", "tid"], profile: ["name"] },
      conformIdTokenClaims: false,
      pkce: { required: () => true },
      features: { devInteractions: { enabled: false } },
      interactions: { url: () => "/interaction" },
      cookies: { keys: [randomBytes(16).toString("hex")] },
      findAccount: (_: unknown, sub: string) => ({
        accountId: sub,
        claims: () => ({ sub, ...accounts[sub] }),
      }),
      // Everybody has consented.
      loadExistingGrant: async ({ oidc }: Existing) => {
        const grant = new provider.Grant({
          accountId: oidc.session.accountId,
          clientId: oidc.client.clientId,
        });
        grant.addOIDCScope("openid profile");
        await grant.save();
        return grant;
      },
    });
    const callback = provider.callback();
    handle = async (request, response) => {
      if (!request.url?.startsWith("/interaction")) return callback(request, response);
      const { params } = await provider.interactionDetails(request, response);
      const login = { accountId: params.login_hint ?? "" };
      await provider.interactionFinished(request, response, {
        ...{ login, consent: {} },
      });
    };
  };
  return { issuer: url, start, close };
}
type Existing = { oidc: { session: { accountId: string }; client: { clientId: string } } };

/** What a browser does: goes there, and is sent back. @returns what stands in the redirect. */
export async function signInThere(
  endpoint: string,
  {
    redirectUri,
    ...sent
  }: { clientId: string; login: string; nonce: string; verifier: string; redirectUri: string },
): Promise<URLSearchParams> {
  const cookies = new Map<string, string>();
  const query = new URLSearchParams({
    ...{
      response_type: "code",
      client_id: sent.clientId,
      redirect_uri: redirectUri,
      scope: "openid profile",
    },
    ...{ state: "s", nonce: sent.nonce, login_hint: sent.login, code_challenge_method: "S256" },
    code_challenge: createHash("sha256").update(sent.verifier).digest("base64url"),
  });
  let url = new URL(`${endpoint}?${query}`);
  for (let hop = 0; hop < 10; hop++) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(url, { redirect: "manual", headers: { cookie } });
    await response.body?.cancel();
    for (const set of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(set) ?? [];
      cookies.set(name, value);
    }
    url = new URL(response.headers.get("location") ?? "", url);
    if (url.href.startsWith(redirectUri)) return url.searchParams;
  }
  throw new Error("the provider does not send back");
}
