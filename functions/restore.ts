/** What an operator asks of the sealer or the anchorer when a log's table is behind its record (docs/operations.md). */
import * as z from "zod";
import { ServiceError } from "../platform/error.ts";
import { errorFields, logLine } from "../platform/log.ts";
import { ANCHOR } from "../service/anchor-items.ts";
import type { Service } from "../service/config-sealing.ts";
import { allLogs, findLog } from "../service/logs.ts";
import { restore } from "../service/restore.ts";
import type { SealableLog, SealContext } from "../service/seal.ts";
import { passLostNumbers } from "../service/trail.ts";

/** In the place of a log's id: every log of the function's. */
const ALL = "all";

const request = z.strictObject({ restore: z.string().min(1), whole: z.boolean().default(false) });

type RestoreRequest = z.infer<typeof request>;
export type RestoreResult = LogResult & {
  readonly batches: number;
  readonly entries: number;
  readonly size: number;
};

/** What was done to a log. */
export type LogResult = {
  readonly log: string;
  /** Why it failed, where all logs were asked for: then the others did not. */
  readonly error?: string;
};

/**
 * @returns undefined for any other event.
 * @throws ServiceError `invalid` for an event that means to be one and is not.
 */
export function restoreRequest(event: unknown): RestoreRequest | undefined {
  if (typeof event !== "object" || event === null || !("restore" in event)) return undefined;
  const parsed = request.safeParse(event);
  if (parsed.success) return parsed.data;
  throw new ServiceError(
    "invalid",
    'send {"restore": "<log id>"} or "all", with "whole": true to rebuild from the first entry',
  );
}

export const anchorLog = ({ anchorOrigin, signAnchor }: Service): SealableLog => ({
  id: ANCHOR,
  origin: anchorOrigin,
  sign: signAnchor,
});

export async function* tenantLogs({ store, signLog }: Service): AsyncGenerator<SealableLog> {
  for await (const { id, origin } of allLogs(store)) yield { id, origin, sign: signLog };
}

type Logs = AsyncIterable<SealableLog> | Iterable<SealableLog>;

/** As `ofEach`. @throws ServiceError as `restore` for one log. */
export const restoreLogs = (
  ctx: SealContext,
  logs: Logs,
  { restore: wanted, whole }: RestoreRequest,
): Promise<RestoreResult[]> =>
  ofEach(logs, wanted, { batches: 0, entries: 0, size: 0 }, async (log) => {
    const { batches, entries, size } = await restore(ctx, log, { whole });
    const registered = log.id === ANCHOR || entries === 0 ? undefined : await findLog(ctx.store, log.id);
    if (registered?.kind === "system") await passLostNumbers(ctx.store, registered.tenant, size);
    return { batches, entries, size: Number(size) };
  });

/**
 * Does it to the log that was asked for, or to all of them, one after the other.
 * @param nothing what is said of a log for which it failed
 * @throws ServiceError `not_found`, or of one log what `run` throws. Of all, each says for itself whether it failed.
 */
export async function ofEach<R extends object>(
  logs: Logs,
  wanted: string,
  nothing: R,
  run: (log: SealableLog) => Promise<R>,
): Promise<(LogResult & R)[]> {
  const results: (LogResult & R)[] = [];
  for await (const log of logs) {
    if (wanted !== ALL && wanted !== log.id) continue;
    try {
      results.push({ log: log.id, ...(await run(log)) });
    } catch (error) {
      if (wanted !== ALL || !(error instanceof ServiceError)) throw error;
      results.push({ log: log.id, ...nothing, error: `${error.code}: ${error.message}` });
    }
  }
  if (results.length === 0 && wanted !== ALL) {
    throw new ServiceError("not_found", `there is no log ${wanted} here: the anchor log is the anchorer's`);
  }
  return results;
}

/** Writes what became of an operator's request to the function's log. */
export async function reported<R extends LogResult>(event: string, asked: Promise<R[]>): Promise<R[]> {
  try {
    const results = await asked;
    for (const result of results)
      logLine(result.error === undefined ? "info" : "error", { event, ...result });
    return results;
  } catch (error) {
    logLine("error", { event, ...errorFields(error) });
    throw error;
  }
}
