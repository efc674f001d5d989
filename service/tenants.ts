/**
 * Tenants, their logs and their API keys. All of a tenant is one partition: no read can reach another's (I7). Who may is
 * not asked here: a tenant comes through verbs.ts, an operator under their own AWS credentials.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { API_KEY, KEY_ID, logOrigin, SCOPES, type Scope } from "@kedge/cli/contract/ids";
import { MAX_OF_A_KIND } from "@kedge/cli/contract/limits";
import { LATEST } from "@kedge/verify/rfc3339";
import { base32nopad } from "@scure/base";
import * as z from "zod";
import { ServiceError } from "../platform/error.ts";
import {
  binary,
  type Condition,
  type Item,
  type Key,
  parseItem,
  putIf,
  type Store,
} from "../platform/store.ts";
import { logsKey } from "./logs.ts";
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
const apiKeyKey = (tenant: string, id: string): Key => oldApiKeyKey(tenant, id.slice(0, PLACE));
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
/**
 * A tenant has so many places for logs, and for API keys. One conditional write takes a place, and the place is in the
 * item's key: no race takes one twice, and a crash leaves none taken. What was made before there were places counts as one.
 */
const PLACES = Array.from({ length: MAX_OF_A_KIND }, (_, place) => place);

/** Opaque, lower case: 5 bits a character. */
const TENANT_ID_LENGTH = 16;
const LOG_ID_LENGTH = 19;
const KEY_OWN_LENGTH = 9;
const idOf = (bytes: Uint8Array, length: number): string =>
  base32nopad.encode(bytes).toLowerCase().slice(0, length);
/** The place of an API key, in the characters of ids: what its own part begins with. */
const PLACE = 2;
const KEY_PLACES = PLACES.map((place) => idOf(Uint8Array.of(place >> 2, (place & 3) << 6), PLACE));

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
export async function createLog(ctx: TenantContext, tenant: string, name: string): Promise<TenantLog> {
  const [ids, logs] = await Promise.all([logIds(ctx.store, tenant), listLogs(ctx, tenant)]);
  const createdAt = BigInt(ctx.clock());
  const places = new Set(ids);
  const old = logs.filter(({ id }) => !places.has(id)).length;
  const taken = new Set(logs.map(({ id }) => id));
  const free = ids.slice(0, MAX_OF_A_KIND - old).filter((id) => !taken.has(id));
  for (const id of shuffled(free)) {
    const origin = logOrigin(ctx.domain, id);
    // The registry first: a log that can take entries must be one that sweeps find. Who repeats it writes the same.
    await ctx.store.put({ ...logsKey(id), origin, tenant });
    const item = { ...tenantLogKey(tenant, id), origin, name, createdAt };
    if (await take(ctx.store, item, { kind: "absent" })) return { id, origin, name, createdAt };
  }
  throw full();
}

/** The ids that the tenant's logs have, by their places: each stands for one log for ever, and nobody else can tell whose. */
async function logIds(store: Store, tenant: string): Promise<string[]> {
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
  const of = (place: number) => createHash("sha256").update(seed).update(`log ${place}`).digest();
  return PLACES.map((place) => idOf(of(place), LOG_ID_LENGTH));
}
const seedSchema = z.object({ seed: binary });

/** Takes a place. Also true when an earlier try of this write did, and only its answer was lost. */
async function take(store: Store, item: Item, condition: Condition): Promise<boolean> {
  const attempt = randomBytes(16).toString("hex");
  if (await putIf(store, { ...item, attempt }, condition)) return true;
  const [there] = await store.get([item]);
  return there?.["attempt"] === attempt;
}

/** So that those who race try different places. */
function shuffled<T>(all: readonly T[]): T[] {
  const order = all.map((each) => ({ each, by: Math.random() }));
  return order.sort((a, b) => a.by - b.by).map(({ each }) => each);
}

const full = (): ServiceError =>
  new ServiceError("conflict", `this tenant has ${MAX_OF_A_KIND} of these already, the most it may have`);

const logSchema = z.object({ origin: z.string(), name: z.string(), createdAt: z.bigint() });

export async function listLogs(ctx: TenantContext, tenant: string): Promise<TenantLog[]> {
  const logs: TenantLog[] = [];
  for await (const item of ctx.store.query(prefix(tenant, "log/"))) {
    logs.push({ id: item.sk.slice("log/".length), ...parseItem(logSchema, item) });
  }
  return logs;
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
  const log = { id, ...parseItem(logSchema, item) };
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
  const secret = base32nopad.encode(randomBytes(32)).toLowerCase();
  const limits = { ...(log !== undefined && { log }), ...(expiresAt !== undefined && { expiresAt }) };
  const stored = {
    ...{ name, scopes: [...new Set(scopes)].join(" "), createdAt, ...limits },
    hash: hashOf(secret),
  };
  for (const { place, condition } of await keyPlaces(ctx, tenant)) {
    const own = `${place}${idOf(randomBytes(5), KEY_OWN_LENGTH - PLACE)}`;
    if (!(await take(ctx.store, { ...apiKeyKey(tenant, own), own, ...stored }, condition))) continue;
    const key: ApiKey = { id: `${tenant}${own}`, name, scopes: [...new Set(scopes)], createdAt, ...limits };
    return { key, apiKey: `kedge_${key.id}_${secret}` };
  }
  throw full();
}

type FreePlace = { readonly place: string; readonly condition: Condition };

/** The places that a new key may take, and on what condition: first those that are empty, then those of dead keys. */
async function keyPlaces(ctx: TenantContext, tenant: string): Promise<Iterable<FreePlace>> {
  const byPlace = new Map<string, Item>();
  for await (const item of ctx.store.query(prefix(tenant, "key/"))) {
    byPlace.set(item.sk.slice("key/".length), item);
  }
  const old = [...byPlace].filter(([place]) => place.length > PLACE).map(([, item]) => item);
  const dead = (item: Item) => isDead(decodeKey(tenant, item).key, ctx.clock());
  const places = KEY_PLACES.slice(0, MAX_OF_A_KIND - old.length);
  const empty = places.filter((place) => !byPlace.has(place));
  if (empty.length === 0 && old.some(dead)) {
    // Nothing is ever put there again, so that what is freed stays free.
    await ctx.store.write([], old.filter(dead));
    return keyPlaces(ctx, tenant);
  }
  return (function* () {
    for (const place of shuffled(empty)) yield { place, condition: { kind: "absent" } as const };
    for (const place of shuffled(places)) {
      const item = byPlace.get(place);
      if (item !== undefined && dead(item)) yield { place, condition: unchanged(item) };
    }
  })();
}

/** The place has the same key as when it was read: a dead one may give way to another meanwhile. */
const unchanged = ({ createdAt = 0n }: Item): Condition => ({
  kind: "equals",
  attribute: "createdAt",
  value: createdAt,
});

export async function listKeys(ctx: TenantContext, tenant: string): Promise<ApiKey[]> {
  const keys: ApiKey[] = [];
  for await (const item of ctx.store.query(prefix(tenant, "key/"))) keys.push(decodeKey(tenant, item).key);
  return keys;
}

/** Revokes at once; revoking again changes nothing. @throws ServiceError `not_found` for a key that is not the tenant's. */
export async function revokeKey(ctx: TenantContext, tenant: string, id: string): Promise<void> {
  // Any other text is not worth a read, and may be too long for a key of the store.
  const isOwn = KEY_ID.test(id) && id.startsWith(tenant);
  const item = isOwn ? await findKey(ctx.store, tenant, id.slice(tenant.length)) : undefined;
  if (item === undefined) throw new ServiceError("not_found", "there is no such API key");
  if (decodeKey(tenant, item).key.revokedAt !== undefined) return;
  const revoked = { ...item, revokedAt: BigInt(ctx.clock()) };
  // It was dead, and its place is another's now: then it is not found.
  if (!(await putIf(ctx.store, revoked, unchanged(item)))) await revokeKey(ctx, tenant, id);
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
export async function revokeAllKeys(ctx: TenantContext, tenant: string): Promise<number> {
  for (let revoked = 0; ; ) {
    const alive = (await listKeys(ctx, tenant)).filter((key) => !isDead(key, ctx.clock()));
    // An admin key may have made another one meanwhile.
    if (alive.length === 0) return revoked;
    for (const { id } of alive) await revokeKey(ctx, tenant, id);
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

const hashOf = (secret: string): Uint8Array => new Uint8Array(createHash("sha256").update(secret).digest());

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
