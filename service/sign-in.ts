/**
 * Sign-in: what makes a session, for somebody who is no principal yet. Each is recorded in the tenant's trail before
 * it is answered; a refusal is, where an identity provider vouched for somebody.
 */

import { TENANT_ID } from "@kedge/cli/contract/ids";
import { nameSchema } from "@kedge/cli/contract/wire";
import { ServiceError } from "../platform/error.ts";
import { logLine } from "../platform/log.ts";
import { type Holder, LOCAL_SUBJECT, openSession, type Session, type SessionContext } from "./people.ts";
import { openLink, placeOf } from "./people-links.ts";
import { spendStart } from "./people-start.ts";
import { countSignIn, useOnce } from "./sign-in-count.ts";
import { type Callback, discover, redeem } from "./sign-in-oidc.ts";
import { findProvider, type Provider } from "./sign-in-provider.ts";
import { type Claims, judgeClaims } from "./sign-in-rule.ts";
import { findTenant } from "./tenants.ts";
import { type Act, recordAct, type TrailContext } from "./trail.ts";

export type SignInContext = SessionContext &
  TrailContext & {
    /** Whether start links count: on one machine that listens on a loopback address alone. */
    readonly startLinks?: boolean;
  };

export type SignedIn = Session & { readonly token: string; readonly tenantName: string };

/** @returns undefined for a link that is malformed, unknown, wrong, expired or revoked: all alike. @throws ServiceError `throttled` */
export async function signInByLink(ctx: SignInContext, text: string): Promise<SignedIn | undefined> {
  const opened = await openLink(ctx, text);
  if (opened === undefined) return undefined;
  const { tenant, link } = opened;
  await countSignIn(ctx, tenant, `link/${placeOf(tenant, link)}`);
  const { id, log, expiresAt } = link;
  const holder = { kind: "link", link: id, log, expiresAt } as const;
  return await signIn(ctx, tenant, holder, () => ({ is: "link_opened", link: id, log }));
}

/** @returns undefined for a text that is malformed, unknown, wrong, expired or spent, and where start links do not count. */
export async function signInByStart(ctx: SignInContext, text: string): Promise<SignedIn | undefined> {
  if (ctx.startLinks !== true) return undefined;
  const tenant = await spendStart(ctx, text);
  if (tenant === undefined) return undefined;
  return await signIn(ctx, tenant, {
    kind: "person",
    subject: LOCAL_SUBJECT,
    role: "administrator",
    logs: "all",
  });
}

/** Where people of the tenant sign in. @throws ServiceError `not_found` where they do not; `unavailable`. */
export async function whereToSignIn(ctx: SignInContext, tenant: string) {
  const { issuer, clientId, scope } = await providerOf(ctx, tenant);
  const { authorization_endpoint: authorizationEndpoint = "" } = await discover(issuer);
  return { authorizationEndpoint, clientId, scope };
}

/**
 * What the provider sent back is redeemed and judged by the registration of the tenant that was named.
 * @returns undefined for what is worth no sign-in. @throws ServiceError `not_found` where nobody of the tenant signs in so,
 * `forbidden` for a person who is nobody there, `throttled`, `unavailable`.
 */
export async function signInByProvider(
  ctx: SignInContext,
  tenant: string,
  callback: Callback,
): Promise<SignedIn | undefined> {
  const provider = await providerOf(ctx, tenant);
  const redirect = URL.canParse(callback.redirectUri) ? new URL(callback.redirectUri) : undefined;
  if (redirect?.origin !== provider.origin) {
    throw new ServiceError(
      "invalid",
      `redirectUri: not of ${provider.origin}, where people of this tenant sign in`,
    );
  }
  await countSignIn(ctx, tenant, "provider");
  const redeemed = await redeem(provider, callback, ctx.clock());
  if (typeof redeemed === "string") return refused(tenant, redeemed);
  const { claims } = redeemed;
  if (!(await useOnce(ctx, tenant, callback.nonce))) {
    await recordAct(ctx, tenant, { kind: "unknown" }, { is: "sign_in_refused", reason: "used" });
    return refused(tenant, "used");
  }
  const judged = judgeClaims(provider.rule, claims);
  if (typeof judged === "string") {
    await recordAct(ctx, tenant, { kind: "unknown" }, { is: "sign_in_refused", reason: judged });
    refused(tenant, judged);
    throw new ServiceError(
      "forbidden",
      "You are signed in there, and have no role here: ask your administrator.",
    );
  }
  const name = nameOf(claims);
  return await signIn(ctx, tenant, {
    ...{ kind: "person", subject: claims.sub, role: judged.role, logs: judged.logs ?? "all" },
    ...(name !== undefined && { name }),
    provider: provider.version,
  });
}

async function providerOf({ store }: SignInContext, tenant: string): Promise<Provider> {
  const provider = TENANT_ID.test(tenant) ? await findProvider(store, tenant) : undefined;
  if (provider !== undefined) return provider;
  throw new ServiceError("not_found", "nobody of such a tenant signs in here");
}

/** For the operator: of a token nothing is told but why it was refused. */
function refused(tenant: string, reason: string): undefined {
  logLine("info", { event: "sign-in refused", tenant, reason });
}

/** As people of the tenant know the person. */
function nameOf(claims: Claims): string | undefined {
  const names = ["name", "preferred_username", "email"].map((claim) => claims[claim]);
  return names.find((name): name is string => nameSchema.safeParse(name).success);
}

async function signIn(
  ctx: SignInContext,
  tenant: string,
  holder: Holder,
  act: (session: string) => Act = (session) => ({ is: "signed_in", session }),
): Promise<SignedIn> {
  const session = await openSession(ctx, tenant, holder);
  const { who } = session.principal;
  // Whose session is not on record gets none: the token is told last.
  await recordAct(ctx, tenant, who, act(who.id));
  return { ...session, tenantName: (await findTenant(ctx, tenant))?.name ?? "" };
}
