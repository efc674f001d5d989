/** Staging: the entries of a batch that is committed, or may be, under the id of the attempt that staged them. */
import { randomBytes } from "node:crypto";
import {
  countEntries,
  decodeEntries,
  type Entries,
  encodedSlice,
  joinEntries,
} from "@kedge/verify/tlog/tile";
import * as z from "zod";
import { ServiceError } from "../platform/error.ts";
import { binary, type Item, type Key, parseItem, type Store, sortable } from "../platform/store.ts";
import { type Head, readHead, type Staging } from "./head.ts";

/** DynamoDB's item limit is 400 KB; the rest is room for keys and names. */
const MAX_STAGED_BYTES = 350_000;

export const stagingPartition = (log: string): string => `staging/${log}`;
const stagingKey = (log: string, version: bigint, attempt: string, n: number): Key => ({
  pk: stagingPartition(log),
  sk: `${sortable(version)}/${attempt}/${String(n).padStart(6, "0")}`,
});

const keysOf = (log: string, { base, attempt, items }: Staging): Key[] =>
  Array.from({ length: items }, (_, n) => stagingKey(log, base, attempt, n));

const schema = z.object({ data: binary, count: z.bigint() });

function decodePart(item: Item): Entries {
  const { data, count } = parseItem(schema, item);
  return decodeEntries(data, Number(count));
}

/** Stages a batch that is to follow this head, under a fresh attempt id. */
export async function stage(store: Store, head: Head, entries: Entries): Promise<Staging> {
  const bounds = partBounds(entries);
  const staging = {
    base: head.version,
    attempt: randomBytes(12).toString("hex"),
    items: bounds.length - 1,
  };
  await store.write(
    keysOf(head.log, staging).map((key, n) => {
      const [start = 0, end = 0] = [bounds[n], bounds[n + 1]];
      return { ...key, data: encodedSlice(entries, start, end), count: BigInt(end - start) };
    }),
  );
  return staging;
}

/** Where parts of at most MAX_STAGED_BYTES begin, and the last one ends. */
function partBounds({ offsets }: Entries): number[] {
  const bounds = [0];
  let begun = 0;
  for (let end = 1; end < offsets.length; end++) {
    if ((offsets[end] ?? 0) - begun <= MAX_STAGED_BYTES) continue;
    bounds.push(end - 1);
    begun = offsets[end - 1] ?? 0;
  }
  return [...bounds, offsets.length - 1];
}

/** The entries of the committed batch; undefined when another sealer has published it, and the staging is gone. */
export async function readStaging(store: Store, head: Head): Promise<Entries | undefined> {
  const staged = await store.get(head.staging === undefined ? [] : keysOf(head.log, head.staging));
  if (staged.every((item) => item !== undefined)) {
    const entries = joinEntries(staged.map(decodePart));
    if (BigInt(countEntries(entries)) === head.size - head.published) return entries;
  } else if ((await readHead(store, head.log)).version !== head.version) {
    return undefined;
  }
  const attempt = head.staging?.attempt ?? "no attempt";
  throw new ServiceError("corrupt", `log ${head.log}: the batch committed as ${attempt} is not staged whole`);
}

export async function discardAttempt(store: Store, log: string, staging: Staging): Promise<void> {
  await store.write([], keysOf(log, staging));
}

/**
 * Deletes the staging of every attempt that started before this published head: none of them can commit any more.
 * @param others keys that nothing needs any more either.
 */
export async function discardStaging(store: Store, head: Head, others: readonly Key[]): Promise<void> {
  const dead = new Map<string, Key>();
  for (const key of head.staging === undefined ? [] : keysOf(head.log, head.staging)) dead.set(key.sk, key);
  // The bound sorts after every key of an earlier version and before those of this one.
  for await (const { pk, sk } of store.query({
    pk: stagingPartition(head.log),
    to: sortable(head.version),
  })) {
    dead.set(sk, { pk, sk });
  }
  await store.write([], [...dead.values(), ...others]);
}
