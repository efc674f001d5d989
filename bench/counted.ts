/** Counts what is asked of the store and the index, and slows it down: what it costs on AWS, and how often it is waited for. */
import { setTimeout as sleep } from "node:timers/promises";
import type { IndexPlace } from "../platform/index-place.ts";
import type { Item, Store } from "../platform/store.ts";

export type Calls = {
  storeReads: number;
  /** Of DynamoDB, a unit for 4 KB of an item. */
  readUnits: number;
  storeWrites: number;
  gets: number;
  getBytes: number;
  puts: number;
};

export type Counter = {
  readonly store: Store;
  readonly index: IndexPlace;
  take(): Calls;
  /** From now on every call takes so many ms more. */
  slow(ms: number): void;
};

const NONE: Calls = {
  storeReads: 0,
  readUnits: 0,
  storeWrites: 0,
  gets: 0,
  getBytes: 0,
  puts: 0,
};
/** Keys of one BatchGetItem, and items of one BatchWriteItem. */
const GET_KEYS = 100;
const WRITE_ITEMS = 25;
const UNIT = 4096;

export function counted(store: Store, index: IndexPlace): Counter {
  let calls = { ...NONE };
  let delay = 0;
  const slowly = async () => {
    if (delay > 0) await sleep(delay);
  };
  const call = async <T>(run: () => Promise<T>): Promise<T> => {
    await slowly();
    return await run();
  };
  return {
    store: {
      async get(keys) {
        calls.storeReads += Math.ceil(keys.length / GET_KEYS);
        const items = await call(() => store.get(keys));
        for (const item of items) calls.readUnits += unitsOf(item);
        return items;
      },
      async *query(query) {
        calls.storeReads++;
        await slowly();
        let bytes = 0;
        for await (const item of store.query(query)) {
          bytes += sizeOf(item);
          yield item;
        }
        calls.readUnits += Math.max(1, Math.ceil(bytes / UNIT));
      },
      put(item, condition) {
        calls.storeWrites++;
        return call(() => store.put(item, condition));
      },
      write(puts, deletes = []) {
        calls.storeWrites += Math.ceil((puts.length + deletes.length) / WRITE_ITEMS);
        return call(() => store.write(puts, deletes));
      },
    },
    index: {
      async read(path, from, to) {
        calls.gets++;
        const bytes = await call(() => index.read(path, from, to));
        calls.getBytes += bytes?.length ?? 0;
        return bytes;
      },
      write(path, bytes) {
        calls.puts++;
        return call(() => index.write(path, bytes));
      },
      list: (folder) => index.list(folder),
      remove: (path) => call(() => index.remove(path)),
    },
    take() {
      const taken = calls;
      calls = { ...NONE };
      return taken;
    },
    slow(ms) {
      delay = ms;
    },
  };
}

const unitsOf = (item: Item | undefined): number =>
  item === undefined ? 1 : Math.max(1, Math.ceil(sizeOf(item) / UNIT));

const sizeOf = (item: Item): number =>
  Object.entries(item).reduce(
    (sum, [name, value]) => sum + name.length + (typeof value === "bigint" ? 9 : value.length),
    0,
  );

/** What a call takes where rounds are measured: much more than the work in between. */
export const SLOW_MS = 50;

/** How many calls were waited for in turn, by the ms that it took fast, and slowed down by SLOW_MS a call. */
export const roundsOf = (fast: number, slow: number): number => Math.round((slow - fast) / SLOW_MS);
