/** A store in memory that passes the store's contract suite: for tests that need thousands of fresh stores. */
import { ServiceError } from "../../platform/error.ts";
import type { Condition, Item, Key, Query, Store } from "../../platform/store.ts";

export type MemoryStore = Store & {
  /** A copy of everything stored, as a backup would hold it. */
  snapshot(): MemoryStore;
  items(): Item[];
};

export function memoryStore(initial: readonly Item[] = []): MemoryStore {
  const partitions = new Map<string, Map<string, Item>>();

  const find = ({ pk, sk }: Key): Item | undefined => partitions.get(pk)?.get(sk);
  const set = (item: Item): void => {
    const partition = partitions.get(item.pk) ?? new Map<string, Item>();
    partitions.set(item.pk, partition.set(item.sk, { ...item }));
  };
  for (const item of initial) set(item);

  const items = (): Item[] => [...partitions.values()].flatMap((partition) => [...partition.values()]);

  return {
    async get(keys) {
      return keys.map(find);
    },
    async *query({ pk, from = "", to = "\uffff", reverse, limit = Number.POSITIVE_INFINITY }: Query) {
      const found = [...(partitions.get(pk)?.values() ?? [])]
        .filter(({ sk }) => sk >= from && sk <= to)
        .sort((a, b) => (a.sk < b.sk ? -1 : 1));
      yield* (reverse === true ? found.reverse() : found).slice(0, limit);
    },
    async put(item, condition) {
      if (condition !== undefined && !holds(condition, find(item))) {
        throw new ServiceError("condition_failed", "the item is not as the write requires");
      }
      set(item);
    },
    async write(puts, deletes = []) {
      for (const item of puts) set(item);
      for (const { pk, sk } of deletes) partitions.get(pk)?.delete(sk);
    },
    snapshot: () => memoryStore(items()),
    items,
  };
}

function holds(condition: Condition, item: Item | undefined): boolean {
  if (condition.kind === "absent") return item === undefined;
  if (condition.kind === "equals") return item?.[condition.attribute] === condition.value;
  const value = item?.[condition.attribute];
  return item === undefined || (typeof value === "bigint" && value < condition.value);
}
