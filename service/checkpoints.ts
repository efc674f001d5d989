/** Published checkpoints of a log: the history that is never rewritten. */
import * as z from "zod";
import { ServiceError } from "../platform/error.ts";
import { type Item, type Key, parseItem, putIf, type Store, sortable } from "../platform/store.ts";

/** A signed note; times are ms since the epoch, by the operator's clock. */
export type PublishedCheckpoint = {
  readonly note: string;
  /** When it was published. */
  readonly at: bigint;
  /** Arrival of the oldest entry that no earlier checkpoint has; absent where nobody knows any more (head.ts). */
  readonly pendingSince?: bigint;
};

export const checkpointKey = (log: string, size: bigint): Key => ({
  pk: `log/${log}`,
  sk: `checkpoint/${sortable(size)}`,
});

const schema = z.object({
  note: z.string(),
  at: z.bigint(),
  pendingSince: z.bigint().exactOptional(),
});

/** @throws ServiceError `corrupt`, also where there is none. */
export function decodeCheckpoint(log: string, item: Item | undefined): PublishedCheckpoint {
  if (item !== undefined) return parseItem(schema, item);
  throw new ServiceError("corrupt", `a checkpoint of log ${log} is missing`);
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
