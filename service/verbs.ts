/**
 * What a tenant may ask of the system: every verb, and the scopes that it takes. A door (HTTP) opens a verb for a
 * principal, which checks, and has only then something to call. What else is in service/ is the operator's and the
 * system's own, under AWS credentials, and no door imports it.
 */
import type { AnyScope } from "@kedge/cli/contract/ids";
import type { Vkey } from "@kedge/verify/tlog/note";
import type { Entries } from "@kedge/verify/tlog/tile";
import { hexToBytes } from "@noble/hashes/utils.js";
import { ServiceError } from "../platform/error.ts";
import { type AppendContext, append } from "./append.ts";
import { readHead } from "./head.ts";
import { consistency, history, newestCheckpoint, publishedTile } from "./history.ts";
import { endSession, readSession } from "./people.ts";
import { createLink, listLinks, type NewLink, revokeLink } from "./people-links.ts";
import { mayUse, type Principal, requireScope, requireSession } from "./principal.ts";
import { progress } from "./progress.ts";
import { entryStatus, entryStatuses, type ProveContext, prove } from "./prove.ts";
import { type LogKeys, logVkeys } from "./sign.ts";
import { countExport } from "./sign-in-count.ts";
import {
  type Announce,
  createKey,
  createLog,
  findTenant,
  findTenantLog,
  listKeys,
  listLogs,
  type NewKey,
  revokeKey,
  type TenantContext,
  type TenantLog,
} from "./tenants.ts";
import { timeline } from "./timeline.ts";
import { type Act, readTrail, record, recordChange } from "./trail.ts";

export type VerbContext = AppendContext & TenantContext & ProveContext & { readonly logKeys: LogKeys };

export type Verb<Input extends readonly unknown[], Output> = {
  /** One of them is needed; none: whoever is signed in may, and no API key. */
  readonly scopes: readonly AnyScope[];
  /** Whether it is about one log, or about the tenant. */
  readonly about: "log" | "tenant";
  /**
   * Checks, and returns what does the work.
   * @param log its id as it was asked for; of no meaning to a verb about the tenant.
   * @throws ServiceError `forbidden` without the scope; then `not_found` for a log that the principal may not know.
   */
  open(ctx: VerbContext, principal: Principal, log: string): Promise<(...input: Input) => Promise<Output>>;
};

type Review = Extract<Act, { is: "reviewed" }>["review"];
type Export = Omit<Extract<Act, { is: "exported" }>, "is">;

/** A verb's work knows for whom it is done. */
type AskedContext = VerbContext & { readonly by: Principal };
type Work<About, Input extends readonly unknown[], Output> = (
  ctx: AskedContext,
  about: About,
  ...input: Input
) => Promise<Output>;

function onLog<Input extends readonly unknown[], Output>(
  scope: AnyScope,
  run: Work<TenantLog, Input, Output>,
): Verb<Input, Output> {
  return {
    scopes: [scope],
    about: "log",
    async open(ctx, principal, id) {
      requireScope(principal, scope);
      const log = await logFor(ctx, principal, id);
      return (...input) => run({ ...ctx, by: principal }, log, ...input);
    },
  };
}

/** @throws ServiceError `not_found` for a log that the principal may not know. */
async function logFor(ctx: VerbContext, principal: Principal, id: string): Promise<TenantLog> {
  const log = mayUse(principal, id) ? await findTenantLog(ctx, principal.tenant, id) : undefined;
  if (log !== undefined) return log;
  throw new ServiceError("not_found", "there is no such log, or not for this key");
}

function onTenant<Input extends readonly unknown[], Output>(
  scopes: readonly [AnyScope, ...AnyScope[]],
  run: Work<Principal, Input, Output>,
): Verb<Input, Output> {
  return {
    scopes,
    about: "tenant",
    async open(ctx, principal) {
      requireScope(principal, ...scopes);
      return (...input) => run({ ...ctx, by: principal }, principal, ...input);
    },
  };
}

/** About the session that the principal came by. */
function onSession<Input extends readonly unknown[], Output>(
  run: Work<Principal, Input, Output>,
): Verb<Input, Output> {
  return {
    scopes: [],
    about: "tenant",
    async open(ctx, principal) {
      requireSession(principal);
      return (...input) => run({ ...ctx, by: principal }, principal, ...input);
    },
  };
}

export const verbs = {
  append: onLog("write", async (ctx, { id, kind }, entries: Entries) => {
    if (kind === "system") throw new ServiceError("forbidden", "Kedge alone posts to its own logs.");
    return append(ctx, id, entries);
  }),
  entryStatus: onLog("read", (ctx, { id }, entry: Uint8Array) => entryStatus(ctx, id, entry)),
  entryStatuses: onLog("read", (ctx, { id }, entries: readonly Uint8Array[]) =>
    entryStatuses(ctx, id, entries),
  ),
  prove: onLog("read", (ctx, { id }, entries: readonly Uint8Array[]) => prove(ctx, id, entries)),

  readLog: onLog("read", async (ctx, log) => {
    const [named, { published, checkpoint }] = await Promise.all([
      withVkeys(ctx, log),
      readHead(ctx.store, log.id),
    ]);
    return { ...named, size: published, ...(checkpoint && { publishedAt: checkpoint.at }) };
  }),
  progress: onLog("read", (ctx, { id }) => progress(ctx, id)),
  timeline: onLog("read", (ctx, { id }) => timeline(ctx, id)),
  newestCheckpoint: onLog("read", ({ store }, { id }) => newestCheckpoint(store, id)),
  history: onLog("read", ({ store }, { id }, page: Parameters<typeof history>[2]) =>
    history(store, id, page),
  ),
  consistency: onLog("read", ({ store }, { id }, sizes: Parameters<typeof consistency>[2]) =>
    consistency(store, id, sizes),
  ),
  tile: onLog("read", ({ store }, { id }, path: string) =>
    publishedTile(store, id, path, async () => (await readHead(store, id)).published),
  ),

  createLog: onTenant(["admin"], async (ctx, { tenant }, name: string) => {
    const announce = announced(ctx, (log) => ({ is: "log_created", log }));
    return withVkeys(ctx, await createLog(ctx, tenant, name, announce));
  }),
  listLogs: onTenant(["read", "admin"], async (ctx, principal) => {
    const logs = (await listLogs(ctx, principal.tenant)).filter(({ id }) => mayUse(principal, id));
    return Promise.all(logs.map((log) => withVkeys(ctx, log)));
  }),
  createKey: onTenant(["admin"], (ctx, { tenant }, key: NewKey) => {
    const announce = announced(ctx, (id) => ({ is: "key_created", key: id }));
    return createKey(ctx, tenant, key, announce);
  }),
  listKeys: onTenant(["admin"], (ctx, { tenant }) => listKeys(ctx, tenant)),
  revokeKey: onTenant(["admin"], (ctx, { tenant }, id: string) =>
    revokeKey(
      ctx,
      tenant,
      id,
      announced(ctx, (key) => ({ is: "key_revoked", key })),
    ),
  ),

  recordReview: onLog("review", (ctx, { id }, review: Review) => {
    const act = { is: "reviewed", log: id, review } as const;
    return record(ctx, ctx.by.tenant, ctx.by.who, act, { also: [hexToBytes(review.commitment)] });
  }),
  recordExport: onSession(async (ctx, principal, made: Export) => {
    if (made.log !== undefined) await logFor(ctx, principal, made.log);
    await countExport(ctx, principal.tenant, principal.who.kind);
    return record(ctx, principal.tenant, principal.who, { is: "exported", ...made });
  }),
  readTrail: onTenant(["trail", "admin"], (ctx, principal, page: Parameters<typeof readTrail>[2]) =>
    readTrail(ctx, principal, page),
  ),

  createLink: onTenant(["review"], (ctx, principal, link: NewLink) =>
    createLink(
      ctx,
      principal,
      link,
      announced(ctx, (id) => ({ is: "link_created", link: id, log: link.log })),
    ),
  ),
  listLinks: onTenant(["review"], listLinks),
  revokeLink: onTenant(["review"], async (ctx, principal, id: string) => {
    await revokeLink(ctx, principal, id, ({ log }) =>
      announced(ctx, (link) => ({ is: "link_revoked", link, log })),
    );
  }),

  readSession: onSession(async (ctx, principal) => {
    const [session, tenant] = await Promise.all([
      readSession(ctx, principal),
      findTenant(ctx, principal.tenant),
    ]);
    return { ...session, tenantName: tenant?.name ?? "" };
  }),
  endSession: onSession((ctx, principal) => {
    const { tenant, who } = principal;
    const act = { is: "signed_out", session: who.id } as const;
    return recordChange(ctx, tenant, who, act, () => endSession(ctx, principal));
  }),
};

/** A log and the keys that sign its checkpoints now, its own first. */
export type NamedLog = TenantLog & { readonly vkeys: readonly Vkey[] };

async function withVkeys({ logKeys }: VerbContext, log: TenantLog): Promise<NamedLog> {
  return { ...log, vkeys: await logVkeys(logKeys, log.origin) };
}

/** Each change is recorded as its principal's before it is made. */
const announced =
  (ctx: AskedContext, actOf: (id: string) => Act): Announce =>
  (id, change) =>
    recordChange(ctx, ctx.by.tenant, ctx.by.who, actOf(id), change);
