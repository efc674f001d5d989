/**
 * The start link of one machine: it signs in whoever sits there, once, without an identity provider. Made by the operator on
 * the data folder; a deployment has none.
 */
import { randomBytes, timingSafeEqual } from "node:crypto";
import { LINK } from "@kedge/cli/contract/ids";
import * as z from "zod";
import { binary, type Key, parseItem, putIf } from "../platform/store.ts";
import { hashOf, idOf, newSecret } from "./places.ts";
import { type TenantContext, tenantPartition } from "./tenants.ts";

const LIFE_MS = 15 * 60_000;
const START_OWN_LENGTH = 26;
const startKey = (tenant: string): Key => ({ pk: tenantPartition(tenant), sk: "start" });

/** In place of the one before. @returns its text, shown once: of the secret only the SHA-256 is stored. */
export async function createStart(ctx: TenantContext, tenant: string): Promise<string> {
  const own = idOf(randomBytes(17), START_OWN_LENGTH);
  const secret = newSecret();
  const expiresAt = BigInt(ctx.clock() + LIFE_MS);
  await ctx.store.put({ ...startKey(tenant), own, hash: hashOf(secret), expiresAt });
  return `${tenant}${own}_${secret}`;
}

/** Off-boarding: one that is printed and not yet spent signs nobody in. */
export async function endStart({ store }: TenantContext, tenant: string): Promise<void> {
  await store.write([], [startKey(tenant)]);
}

/** Spends it. @returns undefined for a text that is malformed, unknown, wrong, expired or spent: all alike. */
export async function spendStart(ctx: TenantContext, text: string): Promise<string | undefined> {
  const [, tenant, own, secret] = LINK.exec(text) ?? [];
  if (tenant === undefined || own === undefined || secret === undefined) return undefined;
  const key = startKey(tenant);
  const [item] = await ctx.store.get([key]);
  if (item === undefined) return undefined;
  const stored = parseItem(schema, item);
  if (stored.own !== own || stored.expiresAt <= BigInt(ctx.clock())) return undefined;
  if (!timingSafeEqual(stored.hash, hashOf(secret))) return undefined;
  const spent = { ...item, own: "" };
  const isFirst = await putIf(ctx.store, spent, { kind: "equals", attribute: "own", value: own });
  return isFirst ? tenant : undefined;
}

const schema = z.object({ own: z.string(), hash: binary, expiresAt: z.bigint() });
