import { encodeEntries, listEntries } from "@kedge/verify/tlog/tile";
import { randomBytes } from "@noble/hashes/utils.js";
import { expect, test } from "vitest";
import { append } from "../../service/append.ts";
import { encodeChunk, oldestFirst, PENDING_SHARDS, pendingPartition } from "../../service/pending.ts";
import { memoryStore } from "../support/memory-store.ts";

const LOG = "a".repeat(19);
const some = (count: number) => Array.from({ length: count }, () => randomBytes(32));
/** Of 100 chunks of so many entries, no two alike. */
const partitionsOf = (count: number) =>
  new Set(
    Array.from({ length: 100 }, (_, n) => {
      const entries = Array.from({ length: count }, () => new Uint8Array(32).fill(n));
      return encodeChunk(LOG, 1, encodeEntries(entries)).pk;
    }),
  );

test("small chunks of a log lie in one partition, large ones spread over all", () => {
  for (const count of [1, 2, 100]) expect(partitionsOf(count)).toEqual(new Set([pendingPartition(LOG, 0)]));
  for (const count of [101, 300]) expect(partitionsOf(count).size).toBe(PENDING_SHARDS);
});

test("chunks come oldest first from whatever partition, those of an earlier version too", async () => {
  const store = memoryStore();
  const appended: Uint8Array[] = [];
  for (let at = 1; at <= 30; at++) {
    const entries = some(at % 3 === 0 ? 101 : 2);
    appended.push(...entries);
    if (at % 2 === 0) await append({ store, clock: () => at }, LOG, entries);
    else {
      // Until 0.1.0 a small chunk lay in any partition.
      const pk = pendingPartition(LOG, at % PENDING_SHARDS);
      await store.put({ ...encodeChunk(LOG, at, encodeEntries(entries)), pk });
    }
  }
  const read: Uint8Array[] = [];
  for await (const { entries } of oldestFirst(store, LOG)) read.push(...listEntries(entries));
  expect(read).toEqual(appended);
});
