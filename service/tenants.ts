/**
 * Tenants, their logs and their API keys. All of a tenant is one partition: no read can reach another's (I7). Who may is
 * not asked here: a tenant comes through verbs.ts, an operator under their own AWS credentials.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { API_KEY, KEY_ID, logOrigin, SCOPES, type Scope } from "@kedge/cli/contract/ids";
import { LATEST } from "@kedge/verify/rfc3339";
import { base32nopad } from "@scure/base";
import * as z from "zod";
import { ServiceError } from "../platform/error.ts";
import { binary, type Item, type Key, parseItem, type Store } from "../platform/store.ts";
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
export const apiKeyKey = (tenant: string, id: string): Key => ({
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
/** Per tenant: keeps every listing small enough to answer whole. */
const MAX_LOGS = 1_000;
export const MAX_KEYS = 1_000;

/** Random, opaque, lower case: 5 bits a character. */
const ID = { tenant: 10, log: 12, key: 6 } as const;
const newId = (bytes: number): string =>
  base32nopad.encode(randomBytes(bytes)).toLowerCase().slice(0, length(bytes));
const length = (bytes: number): number => Math.floor((bytes * 8) / 5);

/** Operators call this under their own AWS credentials; there is no public route to it. */
export async function createTenant(ctx: TenantContext, name: string): Promise<Tenant> {
  const tenant = { id: newId(ID.tenant), name, createdAt: BigInt(ctx.clock()) };
  await ctx.store.put({ ...tenantKey(tenant.id), name, createdAt: tenant.createdAt });
  return tenant;
}

const tenantSchema = z.object({ name: z.string(), createdAt: z.bigint() });

/** @returns undefined when there is no such tenant. */
export async function findTenant({ store }: TenantContext, id: string): Promise<Tenant | undefined> {
  const [item] = await store.get([tenantKey(id)]);
  return item && { id, ...parseItem(tenantSchema, item) };
}

/** @throws ServiceError `conflict` when the tenant has MAX_LOGS. */
export async function createLog(ctx: TenantContext, tenant: string, name: string): Promise<TenantLog> {
  await refuseMore(ctx.store, tenant, "log/", MAX_LOGS);
  const id = newId(ID.log);
  const origin = logOrigin(ctx.domain, id);
  const createdAt = BigInt(ctx.clock());
  // The registry first: a log that can take entries must be one that sweeps find.
  await ctx.store.put({ ...logsKey(id), origin, tenant });
  await ctx.store.put({ ...tenantLogKey(tenant, id), origin, name, createdAt });
  return { id, origin, name, createdAt };
}

const logSchema = z.object({ origin: z.string(), name: z.string(), createdAt: z.bigint() });

export async function listLogs(ctx: TenantContext, tenant: string): Promise<TenantLog[]> {
  const logs: TenantLog[] = [];
  for await (const item of ctx.store.query(prefix(tenant, "log/"))) {
    logs.push({ id: item.sk.slice("log/".length), ...parseItem(logSchema, item) });
  }
  return logs;
}

/** @returns undefined when it is absent or another tenant's: both alike. */
export async function findTenantLog(
  { store }: Pick<TenantContext, "store">,
  tenant: string,
  log: string,
): Promise<TenantLog | undefined> {
  const [item] = await store.get([tenantLogKey(tenant, log)]);
  return item && { id: log, ...parseItem(logSchema, item) };
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
 *   for a log that is not the tenant's; `conflict` when the tenant has MAX_KEYS.
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
  if (await isFull(ctx.store, tenant, "key/", MAX_KEYS)) await forgetDeadKeys(ctx, tenant);
  await refuseMore(ctx.store, tenant, "key/", MAX_KEYS);

  const id = newId(ID.key);
  const secret = base32nopad.encode(randomBytes(32)).toLowerCase();
  const limits = { ...(log !== undefined && { log }), ...(expiresAt !== undefined && { expiresAt }) };
  const stored = { name, scopes: [...new Set(scopes)].join(" "), createdAt, ...limits };
  await ctx.store.put({ ...apiKeyKey(tenant, id), ...stored, hash: hashOf(secret) });
  const key: ApiKey = { id: `${tenant}${id}`, name, scopes: [...new Set(scopes)], createdAt, ...limits };
  return { key, apiKey: `kedge_${key.id}_${secret}` };
}

export async function listKeys(ctx: TenantContext, tenant: string): Promise<ApiKey[]> {
  const keys: ApiKey[] = [];
  for await (const item of ctx.store.query(prefix(tenant, "key/"))) keys.push(decodeKey(tenant, item).key);
  return keys;
}

/** Revokes at once; revoking again changes nothing. @throws ServiceError `not_found` for a key that is not the tenant's. */
export async function revokeKey(ctx: TenantContext, tenant: string, id: string): Promise<void> {
  // Any other text is not worth a read, and may be too long for a key of the store.
  const isOwn = KEY_ID.test(id) && id.startsWith(tenant);
  const [item] = isOwn ? await ctx.store.get([apiKeyKey(tenant, id.slice(tenant.length))]) : [];
  if (item === undefined) throw new ServiceError("not_found", "there is no such API key");
  if (decodeKey(tenant, item).key.revokedAt === undefined)
    await ctx.store.put({ ...item, revokedAt: BigInt(ctx.clock()) });
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
  const [item] = await ctx.store.get([apiKeyKey(tenant, id)]);
  if (item === undefined) return undefined;
  const { key, hash } = decodeKey(tenant, item);
  if (!timingSafeEqual(hash, hashOf(secret))) return undefined;
  if (isDead(key, ctx.clock())) return undefined;
  const logs = key.log === undefined ? "all" : [key.log];
  return { tenant, scopes: key.scopes, logs, who: { kind: "api key", id: key.id } };
}

const hashOf = (secret: string): Uint8Array => new Uint8Array(createHash("sha256").update(secret).digest());

const keySchema = z.object({
  name: z.string(),
  scopes: z.string().transform((text) => z.array(z.enum(SCOPES)).parse(text.split(" "))),
  log: z.string().optional(),
  createdAt: z.bigint(),
  expiresAt: z.bigint().optional(),
  revokedAt: z.bigint().optional(),
  hash: binary,
});

function decodeKey(tenant: string, item: Item): { key: ApiKey; hash: Uint8Array } {
  const { name, scopes, log, createdAt, expiresAt, revokedAt, hash } = parseItem(keySchema, item);
  const key = {
    id: `${tenant}${item.sk.slice("key/".length)}`,
    name,
    scopes,
    createdAt,
    ...(log !== undefined && { log }),
    ...(expiresAt !== undefined && { expiresAt }),
    ...(revokedAt !== undefined && { revokedAt }),
  };
  return { key, hash };
}

async function isFull(store: Store, tenant: string, kind: string, max: number): Promise<boolean> {
  let count = 0;
  for await (const _ of store.query({ ...prefix(tenant, kind), limit: max })) count++;
  return count >= max;
}

async function refuseMore(store: Store, tenant: string, kind: string, max: number): Promise<void> {
  if (await isFull(store, tenant, kind, max)) {
    throw new ServiceError("conflict", `this tenant has ${max} of these already, the most it may have`);
  }
}

/** Dead keys are listed until their room is needed. */
async function forgetDeadKeys(ctx: TenantContext, tenant: string): Promise<void> {
  const keys = await listKeys(ctx, tenant);
  const dead = keys.filter((key) => isDead(key, ctx.clock()));
  await ctx.store.write(
    [],
    dead.map(({ id }) => apiKeyKey(tenant, id.slice(tenant.length))),
  );
}

const isDead = ({ revokedAt, expiresAt }: ApiKey, now: number): boolean =>
  revokedAt !== undefined || (expiresAt !== undefined && expiresAt <= BigInt(now));

const prefix = (tenant: string, kind: string) => ({
  pk: tenantPartition(tenant),
  from: kind,
  to: `${kind}~`,
});
