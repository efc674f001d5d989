/** What the service needs of a database: `dynamodb.ts` on AWS, `lmdb.ts` on one machine. */
import * as z from "zod";
import { ServiceError } from "./error.ts";

export type Key = { readonly pk: string; readonly sk: string };
export type Value = string | bigint | Uint8Array;
export type Item = Key & { readonly [attribute: string]: Value };

export type Condition =
  /** No item has this key. */
  | { readonly kind: "absent" }
  /** The item exists and this attribute has this value: compare-and-swap. */
  | { readonly kind: "equals"; readonly attribute: string; readonly value: Value }
  /** No item has this key, or this attribute of it is below this value. */
  | { readonly kind: "absentOrBelow"; readonly attribute: string; readonly value: bigint };

export type Query = {
  readonly pk: string;
  /** Inclusive lower and upper bounds of the sort key; absent: unbounded. */
  readonly from?: string;
  readonly to?: string;
  readonly reverse?: boolean;
  /** At most this many items are read. */
  readonly limit?: number;
};

/**
 * Every read is strongly consistent. A write that returns is durable; one that throws anything but
 * `condition_failed` may or may not have happened. Errors are ServiceErrors: `condition_failed`, `throttled`,
 * `unavailable`.
 */
export interface Store {
  /** The items of these keys in their order, undefined where absent. One round trip for up to 100 distinct keys. */
  get(keys: readonly Key[]): Promise<(Item | undefined)[]>;
  /** Items of one partition in the order of their sort keys. */
  query(query: Query): AsyncIterable<Item>;
  /** Puts the whole item, atomically with its condition. */
  put(item: Item, condition?: Condition): Promise<void>;
  /** Unconditional puts and deletes of distinct keys; not atomic together: if it throws, any subset may have happened. */
  write(puts: readonly Item[], deletes?: readonly Key[]): Promise<void>;
}

/** @returns false when the item was not as the condition requires. @throws ServiceError, any other. */
export async function putIf(store: Store, item: Item, condition: Condition): Promise<boolean> {
  try {
    await store.put(item, condition);
    return true;
  } catch (error) {
    if (error instanceof ServiceError && error.code === "condition_failed") return false;
    throw error;
  }
}

/** The first item of a partition between these sort keys, both inclusive; undefined where there is none. */
export async function first(store: Store, pk: string, from: string, to: string): Promise<Item | undefined> {
  if (from > to) return undefined;
  for await (const item of store.query({ pk, from, to, limit: 1 })) return item;
  return undefined;
}

/** Compare-and-swap on an item's `version`, which counts its moves: 0 is that of an item that is not there. */
export const ifVersion = (version: bigint): Condition =>
  version === 0n ? { kind: "absent" } : { kind: "equals", attribute: "version", value: version };

/** A schema of binary attributes. */
export const binary = z.custom<Uint8Array>((value) => value instanceof Uint8Array);

/** An item as its schema reads it. @throws ServiceError `corrupt`, naming the item. */
export function parseItem<T>(schema: z.ZodType<T>, item: Item): T {
  const parsed = schema.safeParse(item);
  if (parsed.success) return parsed.data;
  throw new ServiceError("corrupt", `the item ${item.pk} ${item.sk} is malformed`, { cause: parsed.error });
}

/** A number in a sort key: 16 digits hold every integer below 2^53, so the order of keys is that of the numbers. */
export function sortable(n: bigint): string {
  if (n < 0n) throw new RangeError(`${n} has no place in a sort key`);
  return n.toString().padStart(16, "0");
}
