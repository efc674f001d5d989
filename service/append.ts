/** Append: accept entries durably. They are in no tree until the sealer comes. */
import { createHash } from "node:crypto";
import { MAX_ENTRIES } from "@kedge/cli/contract/limits";
import { decodeEntries, encodeEntries } from "@kedge/verify/tlog/tile";
import * as z from "zod";
import { ServiceError } from "../platform/error.ts";
import type { Item, Key, Store } from "../platform/store.ts";
import { PENDING_SHARDS, pendingPartition, pendingSort } from "../platform/table.ts";

/** At 34 bytes each, MAX_ENTRIES of commitments stay below it; DynamoDB takes 400 KB an item. */
const MAX_CHUNK_BYTES = 390_000;
/** So that a bundle of 256 stays below an item's limit too. */
export const MAX_ENTRY_BYTES = 1_400;

export type AppendContext = { readonly store: Store; readonly clock: () => number };

/** A chunk read back: its key, its arrival in ms since the epoch, its entries. */
export type PendingChunk = {
  readonly key: Key;
  readonly arrival: bigint;
  readonly entries: readonly Uint8Array[];
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
  entries: readonly Uint8Array[],
): Promise<number> {
  if (entries.length === 0 || entries.length > MAX_ENTRIES) {
    throw new ServiceError("invalid", `${entries.length} entries: send 1 to ${MAX_ENTRIES} in a request`);
  }
  if (entries.some(({ length }) => length > MAX_ENTRY_BYTES)) {
    throw new ServiceError("invalid", `an entry is larger than ${MAX_ENTRY_BYTES} bytes`);
  }
  const data = encodeEntries(entries);
  if (data.length > MAX_CHUNK_BYTES) {
    throw new ServiceError("invalid", `entries of ${data.length} bytes: send ${MAX_CHUNK_BYTES} at most`);
  }
  const arrival = ctx.clock();
  // The digest makes the key stand for this content alone, so no put can ever replace another's entries.
  const digest = createHash("sha256").update(data).digest();
  const shard = (digest[0] ?? 0) % PENDING_SHARDS;
  const key = { pk: pendingPartition(log, shard), sk: pendingSort(BigInt(arrival), digest.toString("hex")) };
  await ctx.store.put({ ...key, data, count: BigInt(entries.length) });
  return arrival;
}

const schema = z.object({ data: z.instanceof(Uint8Array), count: z.bigint() });

export function decodeChunk(item: Item): PendingChunk {
  const parsed = schema.safeParse(item);
  const arrival = /^(\d{16})\//.exec(item.sk)?.[1];
  if (!parsed.success || arrival === undefined) {
    throw new ServiceError("corrupt", `pending chunk ${item.pk} ${item.sk} is malformed`);
  }
  const { data, count } = parsed.data;
  return {
    key: { pk: item.pk, sk: item.sk },
    arrival: BigInt(arrival),
    entries: decodeEntries(data, Number(count)),
  };
}
