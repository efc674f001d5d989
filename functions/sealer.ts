/** Lambda: seals the logs that DynamoDB stream records name, or, on any other event (a schedule), every log. */
import * as z from "zod";
import { ServiceError } from "../platform/error.ts";
import { errorFields, logLine, metricLine, metricsWanted } from "../platform/log.ts";
import { ageOf } from "../service/clock.ts";
import { logOfPending, oldestPending } from "../service/pending.ts";
import { codeOf } from "../service/runs.ts";
import { type SweptLog, sweep } from "../service/sweep.ts";
import { service, takeSignatures } from "./open.ts";
import { type RestoreResult, reported, restoreLogs, restoreRequest, tenantLogs } from "./restore.ts";
import { noteRun } from "./runs.ts";

const streamEvent = z.object({
  Records: z.array(
    z.object({
      eventName: z.string(),
      dynamodb: z.object({ Keys: z.object({ pk: z.object({ S: z.string() }) }) }),
    }),
  ),
});

/**
 * Also takes an operator's `{"restore": "<log>"}` (restore.ts).
 * @throws when a log could not be sealed or restored, so that Lambda counts it and the stream's records come again.
 */
export async function handler(event: unknown): Promise<RestoreResult[] | undefined> {
  const wanted = restoreRequest(event);
  if (wanted !== undefined) return await reported(restoreLogs(service(), tenantLogs(service()), wanted));
  const run: SealerRun = { logs: 0, failed: [], codes: [], lags: [], conflicts: 0, rollbacks: 0 };
  const named = logsOf(event);
  const note = async (...more: string[]) => {
    // A few logs' run says nothing of the others.
    if (named === undefined) await noteRun("sealer", { codes: [...run.codes, ...more] });
  };
  try {
    for await (const swept of sweep(service(), named)) {
      report(swept);
      await count(run, swept);
    }
  } catch (error) {
    await note(codeOf(error));
    throw error;
  }
  reportRun(run);
  await note();
  const { failed } = run;
  if (failed.length > 0) throw new Error(`not sealed, see the log lines: ${failed.join(", ")}`);
  return undefined;
}

/** @returns the logs with new pending chunks; undefined when the event is not of a stream. */
function logsOf(event: unknown): string[] | undefined {
  const parsed = streamEvent.safeParse(event);
  if (!parsed.success) return undefined;
  const ids = parsed.data.Records.filter(({ eventName }) => eventName !== "REMOVE")
    .map(({ dynamodb }) => logOfPending(dynamodb.Keys.pk.S))
    .filter((id) => id !== undefined);
  return [...new Set(ids)];
}

function report(swept: SweptLog): void {
  if ("error" in swept) {
    logLine("error", { event: "seal", log: swept.log, ...errorFields(swept.error) });
    return;
  }
  const { log, sealed, batches, size, oldest } = swept;
  // A schedule finds most logs idle.
  if (oldest === undefined) return;
  const line = { event: "seal", log, sealed, batches, size: Number(size ?? 0n), lagMs: age(oldest) };
  logLine("info", line, { BatchSize: batches > 0 ? sealed / batches : undefined });
}

/** What the metrics of a run are made of. */
type SealerRun = {
  logs: number;
  readonly failed: string[];
  /** Why they failed. */
  readonly codes: string[];
  /** How long the oldest entry has waited, in ms, of each log of which it is known. */
  readonly lags: number[];
  conflicts: number;
  rollbacks: number;
};

async function count(run: SealerRun, swept: SweptLog): Promise<void> {
  run.logs++;
  if ("error" in swept) {
    run.failed.push(swept.log);
    run.codes.push(codeOf(swept.error));
    if (swept.error instanceof ServiceError && swept.error.code === "rollback") run.rollbacks++;
  } else if (swept.conflict) run.conflicts++;

  const lag = await lagOf(swept);
  if (lag !== undefined) run.lags.push(lag);
}

/** How long the log's oldest entry has waited, in ms; 0: none does; undefined: it cannot be told. */
async function lagOf(swept: SweptLog): Promise<number | undefined> {
  if (!("error" in swept)) {
    if (swept.oldest !== undefined) return age(swept.oldest);
    if (!swept.conflict) return 0;
  }
  if (!metricsWanted()) return undefined;
  // Of a log that is stopped nobody else says it: its entries must go on ageing in sight.
  return await oldestPending(service().store, swept.log)
    .then((oldest) => (oldest === undefined ? 0 : age(oldest)))
    .catch(() => undefined);
}

const age = (arrival: bigint): number => ageOf(arrival, service().clock());

/** Also of an idle run, so that no value means no run. */
function reportRun({ logs, failed, lags, conflicts, rollbacks }: SealerRun): void {
  const lag = lags.reduce((greatest, one) => Math.max(greatest, one), 0);
  metricLine(
    { event: "sweep", logs, failed: failed.length },
    {
      // Of logs of which nothing is known, 0 would say that all is well.
      SealLag: lags.length > 0 || logs === 0 ? lag : undefined,
      Signatures: takeSignatures("log"),
      Conflicts: conflicts,
      RollbackRefused: rollbacks,
    },
  );
}
