/**
 * Sessions of people: what a sign-in makes, and what a request is then known by. A session is an item in its tenant's
 * partition with the SHA-256 of its secret; it ends by itself within hours, and at once with what it was made from.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { type AnyScope, ROLES, type Role, SESSION } from "@kedge/cli/contract/ids";
import * as z from "zod";
import { ServiceError } from "../platform/error.ts";
import { binary, type Condition, type Item, type Key, parseItem, putIf } from "../platform/store.ts";
import { findLink } from "./people-links.ts";
import { hashOf, idOf, newSecret, take } from "./places.ts";
import type { Principal } from "./principal.ts";
import { type TenantContext, tenantPartition } from "./tenants.ts";

export type SessionContext = TenantContext & {
  /** How long a session lasts at most. */
  readonly sessionMs: number;
};

/** In place of a `sub`, of who signs in on this machine by a start link: no provider's person is called so. */
export const LOCAL_SUBJECT = "local";

/** Whom a session is for. */
export type Holder =
  | {
      readonly kind: "person";
      /** The `sub` of the provider's token, or LOCAL_SUBJECT. */
      readonly subject: string;
      readonly name?: string;
      readonly role: Role;
      readonly logs: readonly string[] | "all";
      /** The registration that let the person in (sign-in-provider.ts); absent: a start link did. */
      readonly provider?: string;
    }
  | { readonly kind: "link"; readonly link: string; readonly log: string; readonly expiresAt: bigint };

export type Session = {
  readonly principal: Principal;
  /** What the sessions of one holder have in common; it says nothing of who that is. */
  readonly holder: string;
  readonly name?: string;
  readonly expiresAt: bigint;
};

/**
 * Sessions of one holder; whoever begins one more ends the oldest. So a tenant's sessions are bounded by its people and its
 * links, and nobody keeps others out.
 */
const SESSIONS_OF_ONE = 32;
const SESSION_OWN_LENGTH = 26;
/** An id's own part begins with its holder's characters and one of the place. */
const HOLDER_LENGTH = 13;
const MAX_TRIES = 8;

const sessionKey = (tenant: string, own: string): Key => ({
  pk: tenantPartition(tenant),
  sk: `session/${own.slice(0, HOLDER_LENGTH + 1)}`,
});
/** The tenant's registered identity provider: sessions that it let in end with it. */
export const providerKey = (tenant: string): Key => ({ pk: tenantPartition(tenant), sk: "provider" });

/**
 * Begins a session. Its secret is returned here and never again.
 * @throws ServiceError `throttled` where too many begin at the same time.
 */
export async function openSession(
  ctx: SessionContext,
  tenant: string,
  holder: Holder,
): Promise<Session & { token: string }> {
  const createdAt = BigInt(ctx.clock());
  const latest = createdAt + BigInt(ctx.sessionMs);
  const expiresAt = holder.kind === "link" && holder.expiresAt < latest ? holder.expiresAt : latest;
  const mark = markOf(holder);
  const secret = newSecret();
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const { place, condition } = await placeOf(ctx, tenant, mark);
    const own = `${mark}${place}${idOf(randomBytes(8), SESSION_OWN_LENGTH - HOLDER_LENGTH - 1)}`;
    const item = {
      ...sessionKey(tenant, own),
      own,
      hash: hashOf(secret),
      createdAt,
      expiresAt,
      ...encode(holder),
    };
    if (!(await take(ctx.store, item, condition))) continue;
    return { ...toSession(tenant, item), token: `kedgesession_${tenant}${own}_${secret}` };
  }
  throw new ServiceError("throttled", "too many sessions of one person begin at once");
}

/** Sessions of one holder stand side by side, and say nothing of who it is. */
const markOf = (holder: Holder): string => {
  const of =
    holder.kind === "link" ? ["link", holder.link] : ["person", holder.provider ?? "", holder.subject];
  return idOf(createHash("sha256").update(of.join("\0")).digest(), HOLDER_LENGTH);
};

/** An empty place or a dead session's, else the oldest session's. */
async function placeOf(
  ctx: SessionContext,
  tenant: string,
  mark: string,
): Promise<{ place: string; condition: Condition }> {
  const items: Item[] = [];
  const from = `session/${mark}`;
  for await (const item of ctx.store.query({ pk: tenantPartition(tenant), from, to: `${from}~` })) {
    items.push(item);
  }
  const placeIn = ({ sk }: Item) => sk.slice(from.length);
  const taken = new Set(items.map(placeIn));
  const empty = [...PLACES_OF_ONE].filter((place) => !taken.has(place));
  const some = empty[Math.floor(Math.random() * empty.length)];
  if (some !== undefined) return { place: some, condition: { kind: "absent" } };
  const now = BigInt(ctx.clock());
  const sessions = items.map((item) => ({ item, ...parseItem(schema, item) }));
  const [oldest] = sessions.sort((a, b) => Number(a.createdAt - b.createdAt));
  const gone = sessions.find(({ expiresAt, endedAt }) => endedAt !== undefined || expiresAt <= now) ?? oldest;
  if (gone === undefined) throw new ServiceError("corrupt", "sessions without a place");
  return { place: placeIn(gone.item), condition: { kind: "equals", attribute: "own", value: gone.own } };
}
/** As many as characters of ids. */
const PLACES_OF_ONE = "abcdefghijklmnopqrstuvwxyz234567".slice(0, SESSIONS_OF_ONE);

/** @returns undefined for a token that is malformed, unknown, wrong, expired or ended: all alike. */
export async function authenticateSession(ctx: TenantContext, token: string): Promise<Principal | undefined> {
  const [, tenant, own, secret] = SESSION.exec(token) ?? [];
  if (tenant === undefined || own === undefined || secret === undefined) return undefined;
  const [item, provider] = await ctx.store.get([sessionKey(tenant, own), providerKey(tenant)]);
  if (item?.["own"] !== own) return undefined;
  const stored = parseItem(schema, item);
  if (!timingSafeEqual(stored.hash, hashOf(secret))) return undefined;
  if (stored.endedAt !== undefined || stored.expiresAt <= BigInt(ctx.clock())) return undefined;
  const isWhole =
    stored.kind === "link"
      ? (await findLink(ctx, tenant, stored.link)) !== undefined
      : stored.provider === undefined || provider?.["version"] === stored.provider;
  return isWhole ? toSession(tenant, item).principal : undefined;
}

/** The session that a principal came by. @throws ServiceError `not_found` when it has ended meanwhile, or is none. */
export async function readSession(ctx: TenantContext, { tenant, who }: Principal): Promise<Session> {
  const item = await itemOf(ctx, tenant, who.id);
  if (item === undefined) throw new ServiceError("not_found", "there is no such session");
  return toSession(tenant, item);
}

/** Ends it at once; ending it again changes nothing. */
export async function endSession(ctx: TenantContext, { tenant, who }: Principal): Promise<void> {
  const item = await itemOf(ctx, tenant, who.id);
  if (item?.["own"] === undefined || item["endedAt"] !== undefined) return;
  const condition = { kind: "equals", attribute: "own", value: item["own"] } as const;
  // Its place is another's already: then it has ended.
  await putIf(ctx.store, { ...item, endedAt: BigInt(ctx.clock()) }, condition);
}

async function itemOf({ store }: TenantContext, tenant: string, id: string): Promise<Item | undefined> {
  const own = id.slice(tenant.length);
  const [item] = await store.get([sessionKey(tenant, own)]);
  return item?.["own"] === own ? item : undefined;
}

/** Off-boarding: nobody of the tenant is signed in from now on. @returns how many sessions there were. */
export async function endAllSessions({ store }: TenantContext, tenant: string): Promise<number> {
  const sessions: Item[] = [];
  for await (const item of store.query({ pk: tenantPartition(tenant), from: "session/", to: "session/~" })) {
    sessions.push(item);
  }
  await store.write([], sessions);
  return sessions.length;
}

// ---- the item ----------------------------------------------------------------------------------------------------

const common = {
  own: z.string(),
  hash: binary,
  createdAt: z.bigint(),
  expiresAt: z.bigint(),
  endedAt: z.bigint().optional(),
};
export const roleSchema = z.enum(["engineer", "officer", "auditor", "administrator"]);
const schema = z.discriminatedUnion("kind", [
  z.object({
    ...common,
    kind: z.literal("person"),
    subject: z.string(),
    name: z.string().optional(),
    role: roleSchema,
    /** Ids, separated by spaces; absent: all. */
    logs: z.string().optional(),
    provider: z.string().optional(),
  }),
  z.object({
    ...common,
    kind: z.literal("link"),
    link: z.string(),
    log: z.string(),
  }),
]);

function encode(holder: Holder) {
  if (holder.kind === "link") return { kind: holder.kind, link: holder.link, log: holder.log };
  const { kind, subject, name, role, logs, provider } = holder;
  return {
    ...{ kind, subject, role },
    ...(name !== undefined && { name }),
    ...(logs !== "all" && { logs: logs.join(" ") }),
    ...(provider !== undefined && { provider }),
  };
}

const LINK_SCOPES: readonly AnyScope[] = ["read"];

function toSession(tenant: string, item: Item): Session {
  const stored = parseItem(schema, item);
  const id = `${tenant}${stored.own}`;
  const { expiresAt } = stored;
  const holder = stored.own.slice(0, HOLDER_LENGTH);
  if (stored.kind === "link") {
    const who = { kind: "link", id, link: stored.link } as const;
    return { principal: { tenant, scopes: LINK_SCOPES, logs: [stored.log], who }, holder, expiresAt };
  }
  const { subject, role, name, logs } = stored;
  const who = { kind: "person", id, subject, role } as const;
  const may = logs === undefined ? "all" : logs.split(" ").filter(Boolean);
  return {
    principal: { tenant, scopes: ROLES[role], logs: may, who },
    holder,
    ...(name !== undefined && { name }),
    expiresAt,
  };
}
