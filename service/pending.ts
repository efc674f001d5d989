/** Pending chunks: entries that were accepted durably and are in no tree yet. */
import { createHash } from "node:crypto";
import { countEntries, decodeEntries, type Entries } from "@kedge/verify/tlog/tile";
import * as z from "zod";
import { ServiceError } from "../platform/error.ts";
import { binary, type Item, type Key, parseItem, type Store, sortable } from "../platform/store.ts";

/** A partition takes 1,000 write units a second; a 10,000-entry chunk is 340. */
export const PENDING_SHARDS = 8;
/**
 * Entries of a chunk that stays in the first: 4 write units, so it takes 250 of them a second. Each shard may lie in another
 * shard of the table's stream, and each of those starts a sealer of its own.
 */
export const SMALL_CHUNK = 100;

export const pendingPartition = (log: string, shard: number): string => `pending/${log}/${shard}`;
export const pendingSort = (arrival: bigint, digest: string): string => `${sortable(arrival)}/${digest}`;
/** The log of a pending chunk's partition key, or undefined for any other key: what a stream record names. */
export const logOfPending = (pk: string): string | undefined => /^pending\/([^/]+)\/\d+$/.exec(pk)?.[1];

/** A chunk read back: its key, its arrival in ms since the epoch, its entries. */
export type PendingChunk = {
  readonly key: Key;
  readonly arrival: bigint;
  readonly entries: Entries;
};

export function encodeChunk(log: string, arrival: number, entries: Entries): Item {
  const { data } = entries;
  const count = countEntries(entries);
  // The digest makes the key stand for this content alone, so no put can ever replace another's entries.
  const digest = createHash("sha256").update(data).digest();
  const shard = count <= SMALL_CHUNK ? 0 : (digest[0] ?? 0) % PENDING_SHARDS;
  const sk = pendingSort(BigInt(arrival), digest.toString("hex"));
  return { pk: pendingPartition(log, shard), sk, data, count: BigInt(count) };
}

const schema = z.object({ data: binary, count: z.bigint() });

export function decodeChunk(item: Item): PendingChunk {
  const { data, count } = parseItem(schema, item);
  const { pk, sk } = item;
  return { key: { pk, sk }, arrival: arrivalOf(sk), entries: decodeEntries(data, Number(count)) };
}

/** 0 for what an earlier version wrote by a clock before 1970, such as `000000000000-500/…`. */
function arrivalOf(sk: string): bigint {
  const [, digits] = /^(\d{16}|0*-\d+)\//.exec(sk) ?? [];
  if (digits === undefined) throw new ServiceError("corrupt", `the pending chunk ${sk} has no arrival time`);
  return digits.includes("-") ? 0n : BigInt(digits);
}

/** A log's chunks, oldest first: merges its shards, and reads each no further than it is asked for. */
export async function* oldestFirst(store: Store, log: string): AsyncGenerator<PendingChunk> {
  const shards = Array.from({ length: PENDING_SHARDS }, (_, shard) =>
    store.query({ pk: pendingPartition(log, shard) })[Symbol.asyncIterator](),
  );
  const next = async (shard: AsyncIterator<Item>) => {
    const { done, value } = await shard.next();
    return done === true ? [] : [{ shard, chunk: decodeChunk(value) }];
  };
  let firsts = (await Promise.all(shards.map(next))).flat();
  for (;;) {
    const [oldest, ...others] = firsts.sort((a, b) => (a.chunk.key.sk < b.chunk.key.sk ? -1 : 1));
    if (oldest === undefined) return;
    yield oldest.chunk;
    firsts = [...others, ...(await next(oldest.shard))];
  }
}

/** Arrival of a log's oldest pending chunk, ms since the epoch; undefined: nothing is pending. One query a shard. */
export async function oldestPending(store: Store, log: string): Promise<bigint | undefined> {
  const shards = Array.from({ length: PENDING_SHARDS }, (_, shard) => pendingPartition(log, shard));
  const firsts = await Promise.all(shards.map((pk) => firstSortKey(store, pk)));
  // The key alone says it: a chunk that cannot be decoded may be what keeps the log from being sealed.
  const [first] = firsts.filter((sk) => sk !== undefined).sort();
  return first === undefined ? undefined : arrivalOf(first);
}

async function firstSortKey(store: Store, pk: string): Promise<string | undefined> {
  for await (const { sk } of store.query({ pk, limit: 1 })) return sk;
  return undefined;
}
