/** Lambda: seals the logs that DynamoDB stream records name, or, on any other event (a schedule), every log. */
import { z } from "zod";
import { type SweptLog, sweep } from "../service/sweep.ts";
import { logOfPending } from "../service/table.ts";
import { errorFields, logLine } from "./http/log.ts";
import { service } from "./open.ts";

const streamEvent = z.object({
  Records: z.array(
    z.object({
      eventName: z.string(),
      dynamodb: z.object({ Keys: z.object({ pk: z.object({ S: z.string() }) }) }),
    }),
  ),
});

/** @throws when a log could not be sealed, so that Lambda counts it and the stream's records come again. */
export async function handler(event: unknown): Promise<void> {
  const failed: string[] = [];
  for await (const swept of sweep(service(), logsOf(event))) {
    report(swept);
    if ("error" in swept) failed.push(swept.log);
  }
  if (failed.length > 0) throw new Error(`not sealed, see the log lines: ${failed.join(", ")}`);
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
  const lagMs = service().clock() - Number(oldest);
  logLine("info", { event: "seal", log, sealed, batches, size: Number(size), lagMs });
}
