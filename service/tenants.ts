/**
 * Tenants, their logs and their API keys. All of a tenant is one partition: no read can reach another's (I7). Who may is
 * not asked here: a tenant comes through verbs.ts, an operator under their own AWS credentials.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { API_KEY, KEY_ID, logOrigin, SCOPES, type Scope } from "@kedge/cli/contract/ids";
import { MAX_OF_A_KIND } from "@kedge/cli/contract/limits";
import { LATEST } from "@kedge/verify/rfc3339";
import * as z from "zod";
import { ServiceError } from "../platform/error.ts";
import { binary, type Item, type Key, parseItem, putIf, type Store } from "../platform/store.ts";
import { logsKey } from "./logs.ts";
import {
  type FreePlace,
  freePlaces,
  full,
  hashOf,
  idOf,
  newSecret,
  PLACE_LENGTH,
  PLACE_NAMES,
  PLACES,
  shuffled,
  take,
  unchanged,
} from "./places.ts";
import type { Principal } from "./principal.ts";

export type TenantContext = {
  readonly store: Store;
  readonly clock: () => number;
  /** The operator's domain, the first part of every origin. */
  readonly domain: string;
};

export const tenantPartition = (tenant: string): string => `tenant/${tenant}`;
export const tenantKey = (tenant: string): Key => ({ pk: tenantPartition(tenant), sk: "tenant" });
export const tenantLogKey = (tenant: string, log: string): Key => ({
  pk: tenantPartition(tenant),
  sk: `log/${log}`,
});
/** The key's own part of its id begins with its place: at most one key has it. */
const apiKeyKey = (tenant: string, id: string): Key => oldApiKeyKey(tenant, id.slice(0, PLACE_LENGTH));
/** Of a key made before there were places. */
export const oldApiKeyKey = (tenant: string, id: string): Key => ({
  pk: tenantPartition(tenant),
  sk: `key/${id}`,
});

export type Tenant = { readonly id: string; readonly name: string; readonly createdAt: bigint };
export type TenantLog = {
  readonly id: string;
  readonly origin: string;
  readonly name: string;
  readonly createdAt: bigint;
  /** Kedge's own of the tenant (`systemLog`), to which nobody posts; absent: a log of the tenant's events. */
  readonly kind?: "system";
};
/** An API key without its secret. Times are ms since the epoch. */
export type ApiKey = {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** The only log this key may use; absent: every log of its tenant. */
  readonly log?: string;
  readonly createdAt: bigint;
  readonly expiresAt?: bigint;
  readonly revokedAt?: bigint;
};
const TENANT_ID_LENGTH = 16;
const LOG_ID_LENGTH = 19;
const KEY_OWN_LENGTH = 9;

/**
 * What is told of a change before it is made, and then makes it (trail.ts): `id` is of the key or log. @returns what the change
 * does: whether it was made.
 */
export type Announce = (id: string, change: () => Promise<boolean>) => Promise<boolean>;
/** Of what only operators and tests do. */
export const quietly: Announce = (_, change) => change();

/** Operators call this under their own AWS credentials; there is no public route to it. */
export async function createTenant(ctx: TenantContext, name: string): Promise<Tenant> {
  const tenant = { id: idOf(randomBytes(10), TENANT_ID_LENGTH), name, createdAt: BigInt(ctx.clock()) };
  await ctx.store.put({ ...tenantKey(tenant.id), name, createdAt: tenant.createdAt });
  return tenant;
}

const tenantSchema = z.object({ name: z.string(), createdAt: z.bigint() });

/** @returns undefined when there is no such tenant. */
export async function findTenant({ store }: TenantContext, id: string): Promise<Tenant | undefined> {
  const [item] = await store.get([tenantKey(id)]);
  return item && { id, ...parseItem(tenantSchema, item) };
}

/** @throws ServiceError `conflict` when the tenant has MAX_OF_A_KIND. */
export async function createLog(
  ctx: TenantContext,
  tenant: string,
  name: string,
  announce: Announce = quietly,
): Promise<TenantLog> {
  const [ids, logs] = await Promise.all([logIds(ctx.store, tenant), listLogs(ctx, tenant)]);
  const createdAt = BigInt(ctx.clock());
  const places = new Set(ids);
  const old = logs.filter(({ id, kind }) => kind === undefined && !places.has(id)).length;
  const taken = new Set(logs.map(({ id }) => id));
  const free = ids.slice(0, MAX_OF_A_KIND - old).filter((id) => !taken.has(id));
  for (const id of shuffled(free)) {
    const origin = logOrigin(ctx.domain, id);
    // The registry first: a log that can take entries must be one that sweeps find. Who repeats it writes the same.
    await ctx.store.put({ ...logsKey(id), origin, tenant });
    const item = { ...tenantLogKey(tenant, id), origin, name, createdAt };
    const isMade = await announce(id, () => take(ctx.store, item, { kind: "absent" }));
    if (isMade) return { id, origin, name, createdAt };
  }
  throw full();
}

/**
 * Logs of Kedge's own, by their names: the trail, and reviews, whose commitments are the officers'. Were those in the trail, an
 * officer could have an event of their own proven to be Kedge's.
 */
export const SYSTEM_LOGS = { trail: "Kedge's own trail", reviews: "What was signed off" } as const;
type SystemLog = keyof typeof SYSTEM_LOGS;

/**
 * One of each, whoever makes it first. Its place is beside those of the tenant's logs.
 * @throws ServiceError `not_found` when there is no such tenant.
 */
export async function systemLog(ctx: TenantContext, tenant: string, which: SystemLog): Promise<TenantLog> {
  if ((await findTenant(ctx, tenant)) === undefined) {
    throw new ServiceError("not_found", "there is no such tenant");
  }
  const id = await systemLogId(ctx.store, tenant, which);
  const there = await findTenantLog(ctx, tenant, id);
  if (there !== undefined) return there;
  const origin = logOrigin(ctx.domain, id);
  const kind = "system";
  const item = { ...tenantLogKey(tenant, id), origin, name: SYSTEM_LOGS[which], kind };
  await ctx.store.put({ ...logsKey(id), origin, tenant, kind });
  await putIf(ctx.store, { ...item, createdAt: BigInt(ctx.clock()) }, { kind: "absent" });
  const made = await findTenantLog(ctx, tenant, id);
  if (made === undefined)
    throw new ServiceError("corrupt", `the log ${which} of tenant ${tenant} has vanished`);
  return made;
}

/** @returns undefined while the tenant has none. */
export const findTrailLog = async (ctx: TenantContext, tenant: string): Promise<TenantLog | undefined> =>
  findTenantLog(ctx, tenant, await systemLogId(ctx.store, tenant, "trail"));

const systemLogId = async (store: Store, tenant: string, which: SystemLog): Promise<string> =>
  idOf(
    createHash("sha256")
      .update(await logSeed(store, tenant))
      .update(which)
      .digest(),
    LOG_ID_LENGTH,
  );

/** The ids that the tenant's logs have, by their places: each stands for one log for ever, and nobody else can tell whose. */
async function logIds(store: Store, tenant: string): Promise<string[]> {
  const seed = await logSeed(store, tenant);
  const of = (place: number) => createHash("sha256").update(seed).update(`log ${place}`).digest();
  return PLACES.map((place) => idOf(of(place), LOG_ID_LENGTH));
}

/** What ids of the tenant's logs are made of: drawn once. */
async function logSeed(store: Store, tenant: string): Promise<Uint8Array> {
  const key = { pk: tenantPartition(tenant), sk: "log-ids" };
  const read = async () => {
    const [item] = await store.get([key]);
    return item && parseItem(seedSchema, item).seed;
  };
  let seed = await read();
  if (seed === undefined) {
    await putIf(store, { ...key, seed: new Uint8Array(randomBytes(32)) }, { kind: "absent" });
    seed = await read();
  }
  if (seed === undefined) throw new ServiceError("corrupt", `the item ${key.pk} ${key.sk} has vanished`);
  return seed;
}
const seedSchema = z.object({ seed: binary });

const logSchema = z.object({
  origin: z.string(),
  name: z.string(),
  createdAt: z.bigint(),
  kind: z.literal("system").optional(),
});

export async function listLogs(ctx: TenantContext, tenant: string): Promise<TenantLog[]> {
  const logs: TenantLog[] = [];
  for await (const item of ctx.store.query(prefix(tenant, "log/"))) {
    logs.push(decodeLog(item.sk.slice("log/".length), item));
  }
  return logs;
}

function decodeLog(id: string, item: Item): TenantLog {
  const { kind, ...log } = parseItem(logSchema, item);
  return { id, ...log, ...(kind !== undefined && { kind }) };
}

/** Logs that were found: a registration neither changes nor goes, and each request would read it before its own work. */
const found = new WeakMap<Store, Map<string, TenantLog>>();
const MAX_FOUND = 10_000;

/** @returns undefined when it is absent or another tenant's: both alike. */
export async function findTenantLog(
  { store }: Pick<TenantContext, "store">,
  tenant: string,
  id: string,
): Promise<TenantLog | undefined> {
  const logs = found.get(store) ?? new Map<string, TenantLog>();
  found.set(store, logs);
  const key = tenantLogKey(tenant, id);
  const name = `${key.pk} ${key.sk}`;
  const before = logs.get(name);
  if (before !== undefined) return before;
  const [item] = await store.get([key]);
  if (item === undefined) return undefined;
  const log = decodeLog(id, item);
  if (logs.size >= MAX_FOUND) logs.clear();
  logs.set(name, log);
  return log;
}

export type NewKey = {
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly log?: string;
  readonly expiresAt?: bigint;
};

/**
 * Creates an API key. Its secret is returned here and never again: only its SHA-256 is stored.
 * @throws ServiceError `invalid` for no scopes, an admin key limited to a log, or an expiry in the past; `not_found`
 *   for a log that is not the tenant's; `conflict` when the tenant has MAX_OF_A_KIND that are alive.
 */
export async function createKey(
  ctx: TenantContext,
  tenant: string,
  { name, scopes, log, expiresAt }: NewKey,
  announce: Announce = quietly,
): Promise<{ readonly key: ApiKey; readonly apiKey: string }> {
  const createdAt = BigInt(ctx.clock());
  if (scopes.length === 0)
    throw new ServiceError("invalid", `name at least one scope of ${SCOPES.join(", ")}`);
  if (log !== undefined && scopes.includes("admin")) {
    throw new ServiceError("invalid", "an admin key manages every log: it cannot be limited to one");
  }
  if (expiresAt !== undefined && expiresAt <= createdAt) {
    throw new ServiceError("invalid", "the expiry is in the past: name a later time");
  }
  if (expiresAt !== undefined && expiresAt > LATEST) {
    throw new ServiceError("invalid", "the expiry is after the year 9999: name none, and it never expires");
  }
  if (log !== undefined && (await findTenantLog(ctx, tenant, log)) === undefined) {
    throw new ServiceError("not_found", "the log that the key is limited to does not exist");
  }
  const secret = newSecret();
  const limits = { ...(log !== undefined && { log }), ...(expiresAt !== undefined && { expiresAt }) };
  const stored = {
    ...{ name, scopes: [...new Set(scopes)].join(" "), createdAt, ...limits },
    hash: hashOf(secret),
  };
  for (const { place, condition } of await keyPlaces(ctx, tenant)) {
    const own = `${place}${idOf(randomBytes(5), KEY_OWN_LENGTH - PLACE_LENGTH)}`;
    const id = `${tenant}${own}`;
    const item = { ...apiKeyKey(tenant, own), own, ...stored };
    if (!(await announce(id, () => take(ctx.store, item, condition)))) continue;
    const key: ApiKey = { id, name, scopes: [...new Set(scopes)], createdAt, ...limits };
    return { key, apiKey: `kedge_${key.id}_${secret}` };
  }
  throw full();
}

/** The places that a new key may take, and on what condition: first those that are empty, then those of dead keys. */
async function keyPlaces(ctx: TenantContext, tenant: string): Promise<Iterable<FreePlace>> {
  const byPlace = new Map<string, Item>();
  for await (const item of ctx.store.query(prefix(tenant, "key/"))) {
    byPlace.set(item.sk.slice("key/".length), item);
  }
  const old = [...byPlace].filter(([place]) => place.length > PLACE_LENGTH).map(([, item]) => item);
  const dead = (item: Item) => isDead(decodeKey(tenant, item).key, ctx.clock());
  const places = PLACE_NAMES.slice(0, MAX_OF_A_KIND - old.length);
  const empty = places.filter((place) => !byPlace.has(place));
  if (empty.length === 0 && old.some(dead)) {
    // Nothing is ever put there again, so that what is freed stays free.
    await ctx.store.write([], old.filter(dead));
    return keyPlaces(ctx, tenant);
  }
  return freePlaces(places, byPlace, dead);
}

export async function listKeys(ctx: TenantContext, tenant: string): Promise<ApiKey[]> {
  const keys: ApiKey[] = [];
  for await (const item of ctx.store.query(prefix(tenant, "key/"))) keys.push(decodeKey(tenant, item).key);
  return keys;
}

/** Revokes at once; revoking again changes nothing. @throws ServiceError `not_found` for a key that is not the tenant's. */
export async function revokeKey(
  ctx: TenantContext,
  tenant: string,
  id: string,
  announce: Announce = quietly,
): Promise<void> {
  // Any other text is not worth a read, and may be too long for a key of the store.
  const isOwn = KEY_ID.test(id) && id.startsWith(tenant);
  const item = isOwn ? await findKey(ctx.store, tenant, id.slice(tenant.length)) : undefined;
  if (item === undefined) throw new ServiceError("not_found", "there is no such API key");
  if (decodeKey(tenant, item).key.revokedAt !== undefined) return;
  const revoked = { ...item, revokedAt: BigInt(ctx.clock()) };
  // It was dead, and its place is another's now: then it is not found.
  const isMade = await announce(id, () => putIf(ctx.store, revoked, unchanged(item)));
  if (!isMade) await revokeKey(ctx, tenant, id, announce);
}

/** @param own the key's own part of its id. */
async function findKey(store: Store, tenant: string, own: string): Promise<Item | undefined> {
  const [item] = await store.get([apiKeyKey(tenant, own)]);
  if (item?.["own"] === own) return item;
  const [old] = await store.get([oldApiKeyKey(tenant, own)]);
  return old;
}

/**
 * Off-boarding: no key of the tenant's works from now on. Its logs and all proofs stay as they are.
 * @returns how many keys were revoked, which could still have been used.
 */
export async function revokeAllKeys(
  ctx: TenantContext,
  tenant: string,
  announce: Announce = quietly,
): Promise<number> {
  for (let revoked = 0; ; ) {
    const alive = (await listKeys(ctx, tenant)).filter((key) => !isDead(key, ctx.clock()));
    // An admin key may have made another one meanwhile.
    if (alive.length === 0) return revoked;
    for (const { id } of alive) await revokeKey(ctx, tenant, id, announce);
    revoked += alive.length;
  }
}

/** @returns undefined for a key that is malformed, unknown, wrong, expired or revoked: all alike. */
export async function authenticate(ctx: TenantContext, apiKey: string): Promise<Principal | undefined> {
  const [, tenant, id, secret] = API_KEY.exec(apiKey) ?? [];
  if (tenant === undefined || id === undefined || secret === undefined) return undefined;
  const item = await findKey(ctx.store, tenant, id);
  if (item === undefined) return undefined;
  const { key, hash } = decodeKey(tenant, item);
  if (!timingSafeEqual(hash, hashOf(secret))) return undefined;
  if (isDead(key, ctx.clock())) return undefined;
  const logs = key.log === undefined ? "all" : [key.log];
  return { tenant, scopes: key.scopes, logs, who: { kind: "api key", id: key.id } };
}

const keySchema = z.object({
  own: z.string().optional(),
  name: z.string(),
  scopes: z.string().transform((text) => z.array(z.enum(SCOPES)).parse(text.split(" "))),
  log: z.string().optional(),
  createdAt: z.bigint(),
  expiresAt: z.bigint().optional(),
  revokedAt: z.bigint().optional(),
  hash: binary,
});

function decodeKey(tenant: string, item: Item): { key: ApiKey; hash: Uint8Array } {
  const stored = parseItem(keySchema, item);
  const { own, name, scopes, log, createdAt, expiresAt, revokedAt, hash } = stored;
  const key = {
    id: `${tenant}${own ?? item.sk.slice("key/".length)}`,
    name,
    scopes,
    createdAt,
    ...(log !== undefined && { log }),
    ...(expiresAt !== undefined && { expiresAt }),
    ...(revokedAt !== undefined && { revokedAt }),
  };
  return { key, hash };
}

const isDead = ({ revokedAt, expiresAt }: ApiKey, now: number): boolean =>
  revokedAt !== undefined || (expiresAt !== undefined && expiresAt <= BigInt(now));

const prefix = (tenant: string, kind: string) => ({
  pk: tenantPartition(tenant),
  from: kind,
  to: `${kind}~`,
});
