/**
 * What a tenant may ask of the system: every verb, and the scope that it takes. A door (HTTP, later a page) opens a verb
 * for a principal, which checks, and has only then something to call. What else is in service/ is the operator's and the
 * system's own, under AWS credentials, and no door imports it.
 */
import type { Scope } from "@kedge/cli/contract/ids";
import type { Vkey } from "@kedge/verify/tlog/note";
import type { Entries } from "@kedge/verify/tlog/tile";
import { ServiceError } from "../platform/error.ts";
import { type AppendContext, append } from "./append.ts";
import { readHead } from "./head.ts";
import { consistency, history, newestCheckpoint, publishedTile } from "./history.ts";
import { mayUse, type Principal, requireScope } from "./principal.ts";
import { progress } from "./progress.ts";
import { entryStatus, entryStatuses, type ProveContext, prove } from "./prove.ts";
import { type LogKeys, logVkeys } from "./sign.ts";
import {
  createKey,
  createLog,
  findTenantLog,
  listKeys,
  listLogs,
  revokeKey,
  type TenantContext,
  type TenantLog,
} from "./tenants.ts";

export type VerbContext = AppendContext & TenantContext & ProveContext & { readonly logKeys: LogKeys };

export type Verb<Input extends readonly unknown[], Output> = {
  readonly scope: Scope;
  /** Whether it is about one log, or about the tenant. */
  readonly about: "log" | "tenant";
  /**
   * Checks, and returns what does the work.
   * @param log its id as it was asked for; of no meaning to a verb about the tenant.
   * @throws ServiceError `forbidden` without the scope; then `not_found` for a log that the principal may not know.
   */
  open(ctx: VerbContext, principal: Principal, log: string): Promise<(...input: Input) => Promise<Output>>;
};

type Work<About, Input extends readonly unknown[], Output> = (
  ctx: VerbContext,
  about: About,
  ...input: Input
) => Promise<Output>;

function onLog<Input extends readonly unknown[], Output>(
  scope: Scope,
  run: Work<TenantLog, Input, Output>,
): Verb<Input, Output> {
  return {
    scope,
    about: "log",
    async open(ctx, principal, id) {
      requireScope(principal, scope);
      const log = mayUse(principal, id) ? await findTenantLog(ctx, principal.tenant, id) : undefined;
      if (log === undefined) throw new ServiceError("not_found", "there is no such log, or not for this key");
      return (...input) => run(ctx, log, ...input);
    },
  };
}

function onTenant<Input extends readonly unknown[], Output>(
  scope: Scope,
  run: Work<string, Input, Output>,
): Verb<Input, Output> {
  return {
    scope,
    about: "tenant",
    async open(ctx, principal) {
      requireScope(principal, scope);
      return (...input) => run(ctx, principal.tenant, ...input);
    },
  };
}

export const verbs = {
  append: onLog("write", (ctx, { id }, entries: Entries) => append(ctx, id, entries)),
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

  createLog: onTenant("admin", async (ctx, tenant, name: string) =>
    withVkeys(ctx, await createLog(ctx, tenant, name)),
  ),
  listLogs: onTenant("admin", async (ctx, tenant) =>
    Promise.all((await listLogs(ctx, tenant)).map((log) => withVkeys(ctx, log))),
  ),
  createKey: onTenant("admin", createKey),
  listKeys: onTenant("admin", listKeys),
  revokeKey: onTenant("admin", revokeKey),
};

/** A log and the keys that sign its checkpoints now, its own first. */
export type NamedLog = TenantLog & { readonly vkeys: readonly Vkey[] };

async function withVkeys({ logKeys }: VerbContext, log: TenantLog): Promise<NamedLog> {
  return { ...log, vkeys: await logVkeys(logKeys, log.origin) };
}
