/** What is told of the logs that were swept: log lines, metrics (docs/metrics.md), and how the run went. */
import { errorFields, type LogFields, logLine, metricLine, metricsWanted } from "../platform/log.ts";
import { ageOf } from "../service/clock.ts";
import { isIndexFault } from "../service/index/fault.ts";
import { oldestPending } from "../service/pending.ts";
import { codeOf } from "../service/runs.ts";
import type { SweptLog } from "../service/sweep.ts";
import { reportIndex } from "./indexed.ts";
import { service, takeSignatures } from "./open.ts";

/** A log that is stopped: why, and the arrival of its oldest entry, ms since the epoch; undefined: not known, or none. */
type Stopped = { readonly code: string; readonly oldest: bigint | undefined };

export type Seals = {
  add(swept: SweptLog): Promise<void>;
  /** Reports what was added since the last report. Also of nothing, so that no value means no run. */
  report(): void;
  /** The logs that failed, and have not been well since. */
  readonly stopped: ReadonlyMap<string, Stopped>;
};

/** Codes of what is not one log's own trouble: they are told once in a report, however many logs meet it. */
const COMMON = ["throttled", "unavailable", "signer"];

export function openSeals(): Seals {
  const stopped = new Map<string, Stopped>();
  const none = () => ({
    ...{ logs: 0, known: 0, lag: 0, failed: 0, conflicts: 0, rollbacks: 0, faults: 0 },
    uncovered: undefined as number | undefined,
  });
  let since = none();
  const common = new Map<string, { readonly fields: LogFields; logs: number }>();

  return {
    stopped,
    async add(swept) {
      since.logs++;
      if ("error" in swept) {
        const code = codeOf(swept.error);
        since.failed++;
        if (code === "rollback") since.rollbacks++;
        if (isIndexFault(swept.error)) since.faults++;
        const left = await pendingOf(swept.log);
        if (left !== undefined && left.oldest === undefined) note(0);
        stopped.set(swept.log, { code, oldest: left?.oldest });
        const fields = { event: "seal", ...errorFields(swept.error) };
        if (!COMMON.includes(code)) logLine("error", { ...fields, log: swept.log });
        else {
          const name = JSON.stringify(fields);
          const met = common.get(name) ?? { fields, logs: 0 };
          met.logs++;
          common.set(name, met);
        }
        return;
      }
      const { log, sealed, batches, size, oldest, conflict, index = {} } = swept;
      stopped.delete(log);
      if (conflict) since.conflicts++;
      const { lag, fault } = reportIndex(log, index);
      if (fault) since.faults++;
      if (lag !== undefined) since.uncovered = Math.max(lag, since.uncovered ?? 0);
      if (oldest !== undefined) {
        const lagMs = age(oldest);
        note(lagMs);
        const line = { event: "seal", log, sealed, batches, size: Number(size ?? 0n), lagMs };
        logLine("info", line, { BatchSize: batches > 0 ? sealed / batches : undefined });
      } else if (!conflict) note(0);
      else {
        const left = await pendingOf(log);
        if (left !== undefined) note(left.oldest === undefined ? 0 : age(left.oldest));
      }
    },
    report() {
      for (const { fields, logs } of common.values()) logLine("error", { ...fields, logs });
      common.clear();
      // Of a log that is stopped nobody else says it: its entries must go on ageing in sight.
      for (const { oldest } of stopped.values()) if (oldest !== undefined) note(age(oldest));
      const { logs, known, lag, failed, conflicts, rollbacks, faults, uncovered } = since;
      since = none();
      metricLine(
        { event: "sweep", logs, failed },
        {
          // Of logs of which nothing is known, 0 would say that all is well.
          SealLag: known > 0 || logs === 0 ? lag : undefined,
          Signatures: takeSignatures("log"),
          Conflicts: conflicts,
          RollbackRefused: rollbacks,
          IndexFault: faults,
          IndexLag: uncovered,
        },
      );
    },
  };

  function note(lag: number): void {
    since.known++;
    since.lag = Math.max(since.lag, lag);
  }
}

/** Arrival of a log's oldest pending entry, if it has any, read for the metrics alone; undefined: it cannot be told. */
async function pendingOf(log: string): Promise<{ readonly oldest: bigint | undefined } | undefined> {
  if (!metricsWanted()) return undefined;
  return await oldestPending(service().store, log).then(
    (oldest) => ({ oldest }),
    () => undefined,
  );
}

const age = (arrival: bigint): number => ageOf(arrival, service().clock());
