/** What a run on a schedule does for Kedge's own trail, beside the logs; told in log lines. */
import { errorFields, logLine } from "../platform/log.ts";
import { codeOf } from "../service/runs.ts";
import { sweepTrail } from "../service/trail.ts";
import { service } from "./open.ts";

/** @returns the codes of what went wrong: no reason for the logs not to be sealed. */
export async function tidyTrail(): Promise<string[]> {
  try {
    const { settled, deleted, failed } = await sweepTrail(service());
    if (settled + deleted > 0) logLine("info", { event: "trail", settled, deleted });
    for (const { item, error } of failed) logLine("error", { event: "trail", item, ...errorFields(error) });
    return [...new Set(failed.map(({ error }) => codeOf(error)))];
  } catch (error) {
    logLine("error", { event: "trail", ...errorFields(error) });
    return [codeOf(error)];
  }
}
