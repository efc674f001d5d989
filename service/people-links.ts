/** Viewer links: one log of a tenant, read only, for whoever has the link, until it expires or is revoked. */
import { randomBytes, timingSafeEqual } from "node:crypto";
import { LINK, LOG_ID } from "@kedge/cli/contract/ids";
import * as z from "zod";
import { ServiceError } from "../platform/error.ts";
import { binary, type Item, type Key, parseItem, putIf } from "../platform/store.ts";
import {
  freePlaces,
  full,
  hashOf,
  idOf,
  newSecret,
  PLACE_LENGTH,
  PLACE_NAMES,
  take,
  unchanged,
} from "./places.ts";
import { mayUse, type Principal } from "./principal.ts";
import { type Announce, findTenantLog, quietly, type TenantContext, tenantPartition } from "./tenants.ts";

/** A link without its secret. Times are ms since the epoch. */
export type Link = {
  readonly id: string;
  readonly name: string;
  readonly log: string;
  readonly createdAt: bigint;
  readonly expiresAt: bigint;
  readonly revokedAt?: bigint;
};

/** A leap year. */
const MAX_LIFE_MS = 366n * 86_400_000n;
const LINK_OWN_LENGTH = 26;
const LINK_ID = /^[a-z2-7]{42}$/;

const linkKey = (tenant: string, own: string): Key => ({
  pk: tenantPartition(tenant),
  sk: `link/${own.slice(0, PLACE_LENGTH)}`,
});

/** No two links that could be used have the same; a new one may have that of one which is over. */
export const placeOf = (tenant: string, { id }: Link): string =>
  id.slice(tenant.length, tenant.length + PLACE_LENGTH);

export type NewLink = { readonly name: string; readonly log: string; readonly expiresAt: bigint };

/**
 * Creates a link. Its text is returned here and never again: only the SHA-256 of its secret is stored.
 * @throws ServiceError `not_found` for a log that the principal may not use, `invalid` for an expiry in the past or beyond a
 * year, `conflict` when the tenant has MAX_OF_A_KIND.
 */
export async function createLink(
  ctx: TenantContext,
  principal: Principal,
  { name, log, expiresAt }: NewLink,
  announce: Announce = quietly,
): Promise<Link & { text: string }> {
  const { tenant } = principal;
  const createdAt = BigInt(ctx.clock());
  if (!mayUse(principal, log) || (await findTenantLog(ctx, tenant, log)) === undefined) {
    throw new ServiceError("not_found", "the log that the link is for does not exist");
  }
  if (expiresAt <= createdAt)
    throw new ServiceError("invalid", "the expiry is in the past: name a later time");
  if (expiresAt > createdAt + MAX_LIFE_MS) {
    throw new ServiceError("invalid", "a link lasts a year at most: name an earlier expiry");
  }
  const byPlace = new Map(
    (await linkItems(ctx, tenant)).map((item) => [item.sk.slice("link/".length), item]),
  );
  const isDead = (item: Item) => isOver(decode(tenant, item).link, ctx.clock());
  const secret = newSecret();
  for (const { place, condition } of freePlaces(PLACE_NAMES, byPlace, isDead)) {
    const own = `${place}${idOf(randomBytes(15), LINK_OWN_LENGTH - PLACE_LENGTH)}`;
    const stored = { own, name, log, createdAt, expiresAt, hash: hashOf(secret) };
    const id = `${tenant}${own}`;
    const isMade = await announce(id, () =>
      take(ctx.store, { ...linkKey(tenant, own), ...stored }, condition),
    );
    if (!isMade) continue;
    return { id, name, log, createdAt, expiresAt, text: `${id}_${secret}` };
  }
  throw full();
}

/** Those of the logs that the principal may use. */
export async function listLinks(ctx: TenantContext, principal: Principal): Promise<Link[]> {
  const items = await linkItems(ctx, principal.tenant);
  return items.map((item) => decode(principal.tenant, item).link).filter(({ log }) => mayUse(principal, log));
}

/** Revokes at once, with every session by it. Again changes nothing. @throws ServiceError `not_found` */
export async function revokeLink(
  ctx: TenantContext,
  principal: Principal,
  id: string,
  announce: (link: Link) => Announce = () => quietly,
): Promise<Link> {
  const { tenant } = principal;
  const isOwn = LINK_ID.test(id) && id.startsWith(tenant);
  const item = isOwn ? await itemOf(ctx, tenant, id.slice(tenant.length)) : undefined;
  const link = item && decode(tenant, item).link;
  if (item === undefined || link === undefined || !mayUse(principal, link.log)) {
    throw new ServiceError("not_found", "there is no such viewer link");
  }
  if (link.revokedAt !== undefined) return link;
  const revokedAt = BigInt(ctx.clock());
  // It was dead, and its place is another's now: then it is not found.
  const isMade = await announce(link)(id, () => putIf(ctx.store, { ...item, revokedAt }, unchanged(item)));
  return isMade ? { ...link, revokedAt } : await revokeLink(ctx, principal, id, announce);
}

/** Off-boarding. @returns how many links could still have been used. */
export async function revokeAllLinks(ctx: TenantContext, tenant: string): Promise<number> {
  const items = await linkItems(ctx, tenant);
  const alive = items.filter((item) => !isOver(decode(tenant, item).link, ctx.clock()));
  await ctx.store.write([], items);
  return alive.length;
}

/** The link, if it may be used now. */
export async function findLink(ctx: TenantContext, tenant: string, id: string): Promise<Link | undefined> {
  const item = await itemOf(ctx, tenant, id.slice(tenant.length));
  const link = item && decode(tenant, item).link;
  return link === undefined || isOver(link, ctx.clock()) ? undefined : link;
}

/** @returns undefined for a text that is malformed, unknown, wrong, expired or revoked: all alike. */
export async function openLink(
  ctx: TenantContext,
  text: string,
): Promise<{ tenant: string; link: Link } | undefined> {
  const [, tenant, own, secret] = LINK.exec(text) ?? [];
  if (tenant === undefined || own === undefined || secret === undefined) return undefined;
  const item = await itemOf(ctx, tenant, own);
  if (item === undefined) return undefined;
  const { link, hash } = decode(tenant, item);
  if (!timingSafeEqual(hash, hashOf(secret)) || isOver(link, ctx.clock())) return undefined;
  return { tenant, link };
}

async function linkItems({ store }: TenantContext, tenant: string): Promise<Item[]> {
  const items: Item[] = [];
  for await (const item of store.query({ pk: tenantPartition(tenant), from: "link/", to: "link/~" })) {
    items.push(item);
  }
  return items;
}

async function itemOf({ store }: TenantContext, tenant: string, own: string): Promise<Item | undefined> {
  const [item] = await store.get([linkKey(tenant, own)]);
  return item?.["own"] === own ? item : undefined;
}

const isOver = ({ expiresAt, revokedAt }: Link, now: number): boolean =>
  revokedAt !== undefined || expiresAt <= BigInt(now);

const schema = z.object({
  own: z.string(),
  name: z.string(),
  log: z.string().regex(LOG_ID),
  createdAt: z.bigint(),
  expiresAt: z.bigint(),
  revokedAt: z.bigint().optional(),
  hash: binary,
});

function decode(tenant: string, item: Item): { link: Link; hash: Uint8Array } {
  const { own, hash, name, log, createdAt, expiresAt, revokedAt } = parseItem(schema, item);
  const link = { id: `${tenant}${own}`, name, log, createdAt, expiresAt };
  return { link: { ...link, ...(revokedAt !== undefined && { revokedAt }) }, hash };
}
