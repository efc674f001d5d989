/**
 * The store in a folder, on LMDB: for one machine, and for several processes on it at once.
 *
 * A commit is on the disk before anybody sees it, this process or another: what is acted on, such as a head that is to be
 * signed, survives a power cut. So `overlappingSync`, which shows a commit first and syncs it later, stays off.
 */
import { createRequire } from "node:module";
import type { RootDatabase } from "lmdb";
import { ServiceError } from "./error.ts";
import type { Condition, Item, Key, Query, Store, Value } from "./store.ts";

/** Items, or about bytes, of a query that are read before they are passed on: no reader keeps an old snapshot open. */
const PAGE = { items: 256, bytes: 4 << 20 };

export type LmdbStore = Store & { close(): Promise<void> };

/** Opens the folder, made if absent. @throws ServiceError `unavailable` when it cannot be. */
export function lmdbStore(folder: string): LmdbStore {
  const db = openDatabase(folder);
  const read = (key: Key): Item | undefined => {
    const value = db.get(keyOf(key));
    return value && itemOf(value);
  };

  return {
    async get(keys) {
      return keys.map(read);
    },

    async *query(query: Query) {
      let left = query.limit ?? Number.POSITIVE_INFINITY;
      let bounds: Bounds | undefined = boundsOf(query);
      while (bounds !== undefined && left > 0) {
        const page: Item[] = [];
        let bytes = 0;
        let last: Buffer | undefined;
        for (const { key, value } of db.getRange({
          ...bounds,
          reverse: query.reverse ?? false,
          snapshot: false,
        })) {
          const item = itemOf(value);
          page.push(item);
          bytes += sizeOf(item);
          if (page.length === Math.min(PAGE.items, left) || bytes > PAGE.bytes) {
            last = key;
            break;
          }
        }
        yield* page;
        left -= page.length;
        bounds = last && after(bounds, last);
      }
    },

    async put(item, condition) {
      const holds = await run(() =>
        db.transaction(() => {
          if (condition !== undefined && !meets(read(item), condition)) return false;
          db.putSync(keyOf(item), item);
          return true;
        }),
      );
      if (!holds) throw new ServiceError("condition_failed", "the item is not as the condition requires");
    },

    async write(puts, deletes = []) {
      await run(() =>
        db.transaction(() => {
          for (const item of puts) db.putSync(keyOf(item), item);
          for (const key of deletes) db.removeSync(keyOf(key));
        }),
      );
    },

    close: () => db.close(),
  };

  async function run<T>(commit: () => Promise<T>): Promise<T> {
    try {
      return await commit();
    } catch (cause) {
      throw new ServiceError("unavailable", "the store cannot be written: is its disk full?", { cause });
    }
  }
}

function openDatabase(folder: string): RootDatabase<Item, Buffer> {
  try {
    // Loaded here: a Lambda function has no use for a native module, and its bundle has none.
    const { open }: typeof import("lmdb") = createRequire(import.meta.url)("lmdb");
    return open<Item, Buffer>({
      path: folder,
      noSubdir: false,
      keyEncoding: "binary",
      overlappingSync: false,
      encoder: { useRecords: false, copyBuffers: true },
    });
  } catch (cause) {
    throw new ServiceError("unavailable", `the store in ${folder} cannot be opened`, { cause });
  }
}

/** Sort keys are compared by their UTF-8 bytes, as DynamoDB does. No partition key holds a NUL. */
function keyOf({ pk, sk }: Key): Buffer {
  return Buffer.from(`${pk}\0${sk}`);
}

type Bounds = { start: Buffer; end: Buffer; inclusiveEnd?: boolean; exclusiveStart?: boolean };

function boundsOf({ pk, from = "", to, reverse = false }: Query): Bounds {
  const low = keyOf({ pk, sk: from });
  const high =
    to === undefined ? Buffer.from(`${pk}\x01`) : Buffer.concat([keyOf({ pk, sk: to }), Buffer.of(0)]);
  return reverse ? { start: high, end: low, inclusiveEnd: true } : { start: low, end: high };
}

const after = (bounds: Bounds, last: Buffer): Bounds => ({ ...bounds, start: last, exclusiveStart: true });

/** Bytes come back as parts of a Buffer; the store's values are plain. */
function itemOf(stored: Item): Item {
  return Object.fromEntries(
    Object.entries(stored).map(([name, value]) => [
      name,
      value instanceof Uint8Array ? new Uint8Array(value) : value,
    ]),
  ) as Item;
}

function sizeOf(item: Item): number {
  return Object.values(item).reduce((sum, value) => sum + (typeof value === "bigint" ? 9 : value.length), 0);
}

function meets(item: Item | undefined, condition: Condition): boolean {
  switch (condition.kind) {
    case "absent":
      return item === undefined;
    case "equals":
      return item !== undefined && equal(item[condition.attribute], condition.value);
    case "absentOrBelow": {
      const value = item?.[condition.attribute];
      return item === undefined || (typeof value === "bigint" && value < condition.value);
    }
  }
}

function equal(a: Value | undefined, b: Value): boolean {
  return a instanceof Uint8Array && b instanceof Uint8Array ? Buffer.compare(a, b) === 0 : a === b;
}
