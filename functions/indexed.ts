/** What is told of a log's index once the log was sealed. It never kept the log from being sealed. */
import { errorFields, logLine } from "../platform/log.ts";
import { isIndexFault } from "../service/index/fault.ts";
import type { IndexState } from "../service/seal.ts";

/** What metrics count of it: entries that are in no run, if that can be told, and whether a run is lost or altered. */
export function reportIndex(log: string, { uncovered, error }: IndexState): { lag?: number; fault: boolean } {
  const lag = uncovered === undefined ? {} : { lag: Number(uncovered) };
  if (error === undefined) return { ...lag, fault: false };
  logLine("error", { event: "index", log, uncovered: lag.lag, ...errorFields(error) });
  return { ...lag, fault: isIndexFault(error) };
}
