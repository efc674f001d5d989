/** What an operator asks of the sealer or the anchorer when a log's table is behind its record (docs/operations.md). */
import * as z from "zod";
import { ServiceError } from "../platform/error.ts";
import { errorFields, logLine } from "../platform/log.ts";
import { ANCHOR } from "../service/anchor-items.ts";
import type { Service } from "../service/config-sealing.ts";
import { allLogs } from "../service/logs.ts";
import { restore } from "../service/restore.ts";
import type { SealableLog, SealContext } from "../service/seal.ts";

/** In the place of a log's id: every log of the function's. */
const ALL = "all";

const request = z.strictObject({ restore: z.string().min(1), whole: z.boolean().default(false) });

type RestoreRequest = z.infer<typeof request>;
export type RestoreResult = {
  readonly log: string;
  readonly batches: number;
  readonly entries: number;
  readonly size: number;
  /** Why it could not be restored, where all logs were asked for: then the others are. */
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

/**
 * Restores the log that was asked for, or all of them, one after the other.
 * @throws ServiceError `not_found`, or as `restore` for one log. Of all, each says for itself whether it failed.
 */
export async function restoreLogs(
  ctx: SealContext,
  logs: AsyncIterable<SealableLog> | Iterable<SealableLog>,
  { restore: wanted, whole }: RestoreRequest,
): Promise<RestoreResult[]> {
  const results: RestoreResult[] = [];
  for await (const log of logs) {
    if (wanted !== ALL && wanted !== log.id) continue;
    try {
      const { batches, entries, size } = await restore(ctx, log, { whole });
      results.push({ log: log.id, batches, entries, size: Number(size) });
    } catch (error) {
      if (wanted !== ALL || !(error instanceof ServiceError)) throw error;
      results.push({
        log: log.id,
        batches: 0,
        entries: 0,
        size: 0,
        error: `${error.code}: ${error.message}`,
      });
    }
  }
  if (results.length === 0 && wanted !== ALL) {
    throw new ServiceError("not_found", `there is no log ${wanted} here: the anchor log is the anchorer's`);
  }
  return results;
}

/** Writes what became of a function's restore to its log. */
export async function reported(restoring: Promise<RestoreResult[]>): Promise<RestoreResult[]> {
  try {
    const results = await restoring;
    for (const result of results) {
      logLine(result.error === undefined ? "info" : "error", { event: "restore", ...result });
    }
    return results;
  } catch (error) {
    logLine("error", { event: "restore", ...errorFields(error) });
    throw error;
  }
}
