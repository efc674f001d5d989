/** Append: accept entries durably. They are in no tree until the sealer comes. */
import { MAX_ENTRIES } from "@kedge/cli/contract/limits";
import { countEntries, type Entries, encodeEntries, listEntries } from "@kedge/verify/tlog/tile";
import { ServiceError } from "../platform/error.ts";
import type { Store } from "../platform/store.ts";
import { encodeChunk } from "./pending.ts";

/** At 34 bytes each, MAX_ENTRIES of commitments stay below it; DynamoDB takes 400 KB an item. */
const MAX_CHUNK_BYTES = 390_000;
/** So that a bundle of 256 stays below an item's limit too. */
export const MAX_ENTRY_BYTES = 1_400;

export type AppendContext = {
  readonly store: Store;
  readonly clock: () => number;
  /** Told of a log with new entries, where its sealer is in this process: what a table's stream is to a function. */
  readonly onAppended?: (log: string) => void;
};

/**
 * Writes one pending chunk. When this returns, the entries are durable: the caller may acknowledge them.
 * Idempotent by nature: a repeated append makes duplicates, which seal drops.
 * @returns the arrival time, ms since the epoch.
 * @throws ServiceError `invalid` for no entries, more than MAX_ENTRIES or too many bytes; `throttled`, `unavailable`.
 */
export async function append(
  ctx: AppendContext,
  log: string,
  list: Entries | readonly Uint8Array[],
): Promise<number> {
  const entries = "data" in list ? list : encodeEntries(list);
  const count = countEntries(entries);
  if (count === 0 || count > MAX_ENTRIES) {
    throw new ServiceError("invalid", `${count} entries: send 1 to ${MAX_ENTRIES} in a request`);
  }
  if (listEntries(entries).some(({ length }) => length > MAX_ENTRY_BYTES)) {
    throw new ServiceError("invalid", `an entry is larger than ${MAX_ENTRY_BYTES} bytes`);
  }
  if (entries.data.length > MAX_CHUNK_BYTES) {
    throw new ServiceError(
      "invalid",
      `entries of ${entries.data.length} bytes: send ${MAX_CHUNK_BYTES} at most`,
    );
  }
  // By a clock before 1970 it came in 1970: its key must sort, or the log could not be sealed.
  const arrival = Math.max(0, ctx.clock());
  await ctx.store.put(encodeChunk(log, arrival, entries));
  ctx.onAppended?.(log);
  return arrival;
}
