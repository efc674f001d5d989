/** What an operator asks of the sealer or the anchorer when a run of a log's index is lost or altered (docs/operations.md). */
import * as z from "zod";
import { ServiceError } from "../platform/error.ts";
import { rebuildIndex } from "../service/index/rebuild.ts";
import type { SealableLog, SealContext } from "../service/seal.ts";
import {
  type LogResult,
  ofEach,
  type RestoreResult,
  reported,
  restoreLogs,
  restoreRequest,
} from "./restore.ts";

const request = z.strictObject({ rebuild: z.string().min(1) });

export type RebuildResult = LogResult & {
  /** Runs that were made anew, and the entries that are in runs now. */
  readonly runs: number;
  readonly covered: number;
};

type Logs = AsyncIterable<SealableLog> | Iterable<SealableLog>;

/** As `ofEach`. @throws ServiceError as `rebuildIndex` for one log. */
export const rebuildLogs = (ctx: SealContext, logs: Logs, wanted: string): Promise<RebuildResult[]> =>
  ofEach(logs, wanted, { runs: 0, covered: 0 }, async ({ id }) => {
    const { runs, covered } = await rebuildIndex(ctx, id);
    return { runs, covered: Number(covered) };
  });

/**
 * Does what an operator's event asks: `{"restore": "<log>"}` or `{"rebuild": "<log>"}`, or of `"all"`.
 * @returns undefined for any other event.
 * @throws ServiceError `invalid` for an event that means to be one and is not, and as what it asks for.
 */
export async function onRequest(
  event: unknown,
  ctx: SealContext,
  logs: Logs,
): Promise<RestoreResult[] | RebuildResult[] | undefined> {
  const toRestore = restoreRequest(event);
  if (toRestore !== undefined) return await reported("restore", restoreLogs(ctx, logs, toRestore));
  if (typeof event !== "object" || event === null || !("rebuild" in event)) return undefined;
  const parsed = request.safeParse(event);
  if (!parsed.success) throw new ServiceError("invalid", 'send {"rebuild": "<log id>"} or "all"');
  return await reported("rebuild", rebuildLogs(ctx, logs, parsed.data.rebuild));
}
