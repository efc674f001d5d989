/** Staging: the entries of a batch that is committed, or may be, under the id of the attempt that staged them. */
import { randomBytes } from "node:crypto";
import { decodeEntries, encodeEntries } from "@kedge/verify/tlog/tile";
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

function encodePart(key: Key, entries: readonly Uint8Array[]): Item {
  return { ...key, data: encodeEntries(entries), count: BigInt(entries.length) };
}

function decodePart(item: Item): Uint8Array[] {
  const { data, count } = parseItem(schema, item);
  return decodeEntries(data, Number(count));
}

/** Stages a batch that is to follow this head, under a fresh attempt id. */
export async function stage(store: Store, head: Head, entries: readonly Uint8Array[]): Promise<Staging> {
  const parts: Uint8Array[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const entry of entries) {
    bytes += 2 + entry.length;
    if (bytes > MAX_STAGED_BYTES) {
      parts.push([]);
      bytes = 2 + entry.length;
    }
    parts.at(-1)?.push(entry);
  }
  const staging = { base: head.version, attempt: randomBytes(12).toString("hex"), items: parts.length };
  const keys = keysOf(head.log, staging);
  await store.write(keys.map((key, n) => encodePart(key, parts[n] ?? [])));
  return staging;
}

/** The entries of the committed batch; undefined when another sealer has published it, and the staging is gone. */
export async function readStaging(store: Store, head: Head): Promise<Uint8Array[] | undefined> {
  const staged = await store.get(head.staging === undefined ? [] : keysOf(head.log, head.staging));
  if (staged.every((item) => item !== undefined)) {
    const entries = staged.flatMap(decodePart);
    if (BigInt(entries.length) === head.size - head.published) return entries;
  } else if ((await readHead(store, head.log)).version !== head.version) {
    return undefined;
  }
  const attempt = head.staging?.attempt ?? "no attempt";
  throw new ServiceError("corrupt", `log ${head.log}: the batch committed as ${attempt} is not staged whole`);
}

export async function discardAttempt(store: Store, log: string, staging: Staging): Promise<void> {
  await store.write([], keysOf(log, staging));
}

/** Deletes the staging of every attempt that started before this head: none of them can commit any more. */
export async function discardStaging(store: Store, head: Head): Promise<void> {
  if (head.staging !== undefined) await discardAttempt(store, head.log, head.staging);
  const dead: Key[] = [];
  // The bound sorts after every key of an earlier version and before those of this one.
  for await (const { pk, sk } of store.query({
    pk: stagingPartition(head.log),
    to: sortable(head.version),
  })) {
    dead.push({ pk, sk });
  }
  await store.write([], dead);
}
