/** Lambda: seals the logs that DynamoDB stream records name, or, on any other event (a schedule), every log. */
import * as z from "zod";
import { logOfPending } from "../service/pending.ts";
import { codeOf } from "../service/runs.ts";
import { sweep } from "../service/sweep.ts";
import { service } from "./open.ts";
import { onRequest } from "./rebuild.ts";
import { tenantLogs } from "./restore.ts";
import { noteRun } from "./runs.ts";
import { openSeals } from "./seals.ts";
import { tidyTrail } from "./trail.ts";

const streamEvent = z.object({
  Records: z.array(
    z.object({
      eventName: z.string(),
      dynamodb: z.object({ Keys: z.object({ pk: z.object({ S: z.string() }) }) }),
    }),
  ),
});

/**
 * Also takes an operator's `{"restore": "<log>"}` and `{"rebuild": "<log>"}` (restore.ts, rebuild.ts).
 * @throws when a log could not be sealed, restored or rebuilt, or an act not settled, so that Lambda counts it and
 * the stream's records come again.
 */
export async function handler(event: unknown): ReturnType<typeof onRequest> {
  const done = await onRequest(event, service(), tenantLogs(service()));
  if (done !== undefined) return done;
  const seals = openSeals();
  const named = logsOf(event);
  const note = async (...more: string[]) => {
    const codes = [...seals.stopped.values()].map(({ code }) => code);
    // A few logs' run says nothing of the others.
    if (named === undefined) await noteRun("sealer", { codes: [...codes, ...more] });
  };
  // First, so that what it appends is sealed in the same run.
  const trail = named === undefined ? await tidyTrail() : [];
  try {
    for await (const swept of sweep(service(), named)) await seals.add(swept);
  } catch (error) {
    await note(codeOf(error), ...trail);
    throw error;
  }
  seals.report();
  await note(...trail);
  const failed = [...seals.stopped.keys()];
  if (failed.length > 0) throw new Error(`not sealed, see the log lines: ${failed.join(", ")}`);
  if (trail.length > 0) throw new Error(`the trail is not settled, see its log lines: ${trail.join(", ")}`);
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
