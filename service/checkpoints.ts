/** Published checkpoints of a log: the history that is never rewritten. */
import * as z from "zod";
import { ServiceError } from "../platform/error.ts";
import { type Item, type Key, putIf, type Store } from "../platform/store.ts";

/** A signed note and its publication time, ms since the epoch. */
export type PublishedCheckpoint = { readonly note: string; readonly at: bigint };

const schema = z.object({ note: z.string(), at: z.bigint() });

export function decodeCheckpoint(log: string, item: Item | undefined): PublishedCheckpoint {
  const parsed = schema.safeParse(item);
  if (!parsed.success) {
    throw new ServiceError("corrupt", `a checkpoint of log ${log} is missing or malformed`, {
      cause: parsed.error,
    });
  }
  return parsed.data;
}

/** One note stands for a size, for ever: where a sealer that crashed or was faster has left one, that one is returned. */
export async function keepFirst(
  store: Store,
  log: string,
  key: Key,
  checkpoint: PublishedCheckpoint,
): Promise<PublishedCheckpoint> {
  if (await putIf(store, { ...key, ...checkpoint }, { kind: "absent" })) return checkpoint;
  const [first] = await store.get([key]);
  return decodeCheckpoint(log, first);
}
