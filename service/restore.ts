/**
 * Restore: a log's table is older than its record outside the table. Commit, apply, sign and publish the missing batches
 * again, in order, from the copies that were kept beside the record (record.ts). Each tree head is one that was published
 * before, so nothing forks (I6).
 *
 * A call that dies is repeated: the batches that it brought back count as present, and the next call goes on after them.
 */

import { equalBytes } from "@kedge/verify/tlog/bytes";
import type { Checkpoint } from "@kedge/verify/tlog/checkpoint";
import { frontierRoot } from "@kedge/verify/tlog/merkle";
import { countEntries, type Entries } from "@kedge/verify/tlog/tile";
import { frontierFromTiles } from "@kedge/verify/tlog/tileproof";
import { bytesToHex } from "@noble/hashes/utils.js";
import { ServiceError } from "../platform/error.ts";
import { ANCHOR, encodeCursor } from "./anchor-items.ts";
import { emptyHead, type Head, moveHead, publishedHead, readHead } from "./head.ts";
import { rebuildIndex } from "./index/rebuild.ts";
import { readBatch, readRecord, rollback, sameHead } from "./record.ts";
import {
  apply,
  type Batch,
  commit,
  makeBatch,
  readEdge,
  type SealableLog,
  type SealContext,
  signAndPublish,
} from "./seal.ts";

export type Restored = {
  /** Batches and entries that were brought back; 0 when the table was not behind. */
  readonly batches: number;
  readonly entries: number;
  /** The published tree size after the call. */
  readonly size: bigint;
};

/** Lost races for the head without any progress between them, after which something else is wrong. */
const MAX_RACES = 10;

/**
 * A sealer beside it that finishes one of the batches takes nothing away: it goes on from what is there then.
 * @param whole rebuilds the log from its first entry, for a table that is lost or whose tiles are not its head's.
 * @throws ServiceError `rollback` when the table has another history than the record: no entries can mend that;
 * `corrupt` when a batch is missing or altered, or when only `whole` can help; `conflict` when something else moves the head.
 */
export async function restore(ctx: SealContext, log: SealableLog, { whole = false } = {}): Promise<Restored> {
  const done = { batches: 0, entries: 0 };
  let isReset = !whole;
  let last = -1n;
  for (let races = 0; ; ) {
    const forward = await bringForward(ctx, log, { reset: !isReset, mend: whole });
    isReset ||= forward.isReset;
    done.batches += forward.batches;
    done.entries += forward.entries;
    // After a lost race the winner may still be publishing what was committed.
    if (!forward.raced) {
      // The table's cover may be older than its runs, newer than its head, or gone.
      await rebuildIndex(ctx, log.id);
      return { ...done, size: forward.size > last ? forward.size : last };
    }
    races = forward.size > last ? 1 : races + 1;
    last = forward.size;
    if (races < MAX_RACES) continue;
    throw new ServiceError(
      "conflict",
      `log ${log.id}: something else moves its head; see what seals it, and run this again`,
    );
  }
}

/** What one try did. `raced`: something else moved the head, and the rest is to be looked at anew. */
type Forward = Restored & { readonly raced: boolean; readonly isReset: boolean };

async function bringForward(
  ctx: SealContext,
  log: SealableLog,
  { reset: wanted, mend }: { reset: boolean; mend: boolean },
): Promise<Forward> {
  const [record, found] = await Promise.all([readRecord(ctx.publication, log), readHead(ctx.store, log.id)]);
  const nothing = { batches: 0, entries: 0, size: found.published, raced: false, isReset: false };
  if (record === undefined || (!wanted && rollback(found, record) === undefined)) return nothing;
  if (record.size < found.published) {
    throw new ServiceError(
      "rollback",
      `log ${log.id}: the record is at ${record.size}, the table at ${found.published}; bring back the bucket's objects`,
    );
  }
  // Before the head is reset: all the batches that lead to the record must be there.
  const missing = await missingHeads(ctx, log, wanted ? emptyHead(log.id) : found, record);
  let head = wanted ? await reset(ctx, found) : found;
  if (head === undefined) return { ...nothing, raced: true };
  const done = { ...nothing, isReset: wanted };
  for (const next of missing) {
    const { entries } = await readBatch(ctx.publication, log, next);
    const batch = await nextBatch(ctx, log, head, next, entries);
    const committed: Head | undefined = await commit(ctx.store, head, batch);
    if (committed === undefined) return { ...done, raced: true };
    done.batches++;
    done.entries += countEntries(batch.entries);
    await apply(ctx.store, committed, batch, mend);
    // A sealer of this table that went another way may have left tiles as wide as these, which stay.
    await checkTiles(ctx, committed);
    head = await signAndPublish(ctx, log, committed);
    if (head === undefined) return { ...done, size: committed.size, raced: true };
    done.size = head.published;
  }
  return done;
}

/** @throws ServiceError `corrupt` unless the tiles of the committed tree lead to its root. */
async function checkTiles({ store }: SealContext, { log, size, root }: Head): Promise<void> {
  const { tiles } = await readEdge(store, log, size);
  if (equalBytes(frontierRoot(frontierFromTiles(size, tiles)), root)) return;
  throw new ServiceError("corrupt", `log ${log}: its tiles are not its head's; restore the whole log`);
}

/** Resets the head to the empty tree. The tiles stay: the same entries make the same tiles again. */
async function reset({ store }: SealContext, head: Head): Promise<Head | undefined> {
  // A put, not a delete: the anchorer's role may delete nothing beside its head.
  if (head.log === ANCHOR) await store.put(encodeCursor(0n));
  return await moveHead(store, head, emptyHead(head.log));
}

/**
 * The published tree heads between the table's and the record, oldest first. Each batch is read here and again when it is
 * replayed: all of them together might not fit into memory.
 */
async function missingHeads(
  { publication }: SealContext,
  log: SealableLog,
  head: Head,
  record: Checkpoint,
): Promise<Checkpoint[]> {
  const published = publishedHead(head);
  const missing: Checkpoint[] = [];
  let at: Checkpoint | undefined = record;
  while (at !== undefined && at.size > head.published) {
    missing.unshift(at);
    at = (await readBatch(publication, log, at)).before;
  }
  if (sameHead(at, published)) return missing;
  throw new ServiceError(
    "rollback",
    `log ${log.id}: the table's history at ${head.published} is not the one that was published; restore another backup`,
  );
}

/** One batch, to be committed again. @param next the tree head that it led to. */
async function nextBatch(
  ctx: SealContext,
  log: SealableLog,
  head: Head,
  next: Checkpoint,
  entries: Entries,
): Promise<Batch> {
  const batch = makeBatch(head.published, await readEdge(ctx.store, log.id, head.published), entries);
  const published = publishedHead(head);
  if (published !== undefined && !equalBytes(batch.growth.before, published.root)) {
    throw new ServiceError("corrupt", `log ${log.id}: its tiles are not its head's; restore the whole log`);
  }
  if (!equalBytes(batch.growth.root, next.root)) {
    throw new ServiceError(
      "corrupt",
      `log ${log.id}: the batch of size ${next.size} does not lead to ${bytesToHex(next.root)}; restore the object's first version`,
    );
  }
  return batch;
}
