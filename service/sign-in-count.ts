/** How often a tenant's people may sign in and report what they made, and that each answer of a provider counts once. */
import { createHash } from "node:crypto";
import * as z from "zod";
import { ServiceError } from "../platform/error.ts";
import { type Item, ifVersion, parseItem, putIf } from "../platform/store.ts";
import type { Who } from "./principal.ts";
import { MAX_TOKEN_AGE_MS } from "./sign-in-oidc.ts";
import { type TenantContext, tenantPartition } from "./tenants.ts";

/** Apart for people, who come by the provider, and for each link: who has one keeps nobody else out. */
const MOST_A_MINUTE = 120n;
const MAX_TRIES = 5;

const countSchema = z.object({ minute: z.bigint(), count: z.bigint(), version: z.bigint() });

/** Counted before it is looked into. @throws ServiceError `throttled` beyond so many in a minute, or too many at once. */
export const countSignIn = (
  ctx: TenantContext,
  tenant: string,
  by: "provider" | `link/${string}`,
): Promise<void> => count(ctx, tenant, `sign-ins/${by}`);

/** Each is an event that is kept for years: so who has a link does not fill the trail. @throws ServiceError `throttled` */
export const countExport = (ctx: TenantContext, tenant: string, kind: Who["kind"]): Promise<void> =>
  count(ctx, tenant, `exports/${kind}`);

async function count(ctx: TenantContext, tenant: string, sk: string): Promise<void> {
  const key = { pk: tenantPartition(tenant), sk };
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const minute = BigInt(Math.floor(ctx.clock() / 60_000));
    const [item] = await ctx.store.get([key]);
    const before = item && parseItem(countSchema, item);
    const sofar = before?.minute === minute ? before.count : 0n;
    if (sofar >= MOST_A_MINUTE) break;
    const version = before?.version ?? 0n;
    const next = { ...key, minute, count: sofar + 1n, version: version + 1n };
    if (await putIf(ctx.store, next, ifVersion(version))) return;
  }
  throw new ServiceError("throttled", "too many people of this tenant do this at once");
}

/** Then its ID token is too old to count anyway, by this clock or one that is behind. */
const KEPT_MS = 2 * MAX_TOKEN_AGE_MS;
/** What is left of earlier sign-ins that is looked at by each: more than each leaves. */
const SWEPT = 25;

const usedSchema = z.object({ until: z.bigint() });

/**
 * Each sign-in has a nonce of its own, and an ID token names it: whoever sends a code or a token again sends its nonce again.
 * @returns false where it was used before.
 */
export async function useOnce(ctx: TenantContext, tenant: string, nonce: string): Promise<boolean> {
  const pk = tenantPartition(tenant);
  const sk = `used/${createHash("sha256").update(nonce).digest("hex")}`;
  const old: Item[] = [];
  const now = BigInt(ctx.clock());
  // The places are hashes: those after any of them are as good as any others.
  for await (const item of ctx.store.query({ pk, from: sk, to: "used/~", limit: SWEPT })) {
    if (item.sk !== sk && parseItem(usedSchema, item).until < now) old.push(item);
  }
  if (old.length > 0) await ctx.store.write([], old);
  const until = now + BigInt(KEPT_MS);
  return await putIf(ctx.store, { pk, sk, until }, { kind: "absent" });
}
