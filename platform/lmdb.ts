/**
 * The store in a folder, on LMDB: for one machine, and for several processes on it at once.
 *
 * A commit is on the disk before anybody sees it, this process or another: what is acted on, such as a head that is to be
 * signed, survives a power cut. So `overlappingSync`, which shows a commit first and syncs it later, stays off; `flushed` and
 * `safeRestore` belong to it. Without it LMDB syncs the pages, then writes the meta page that names them through a file
 * descriptor with O_DSYNC, and then only tells readers of it (lmdb 3.5, mdb.c, mdb_env_write_meta).
 *
 * One thread writes (lmdb-writer.mjs), and this one reads. Writes that come while a commit is under way share the next.
 */

import { createRequire } from "node:module";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { ServiceError } from "./error.ts";
import { type Identities, identityOf, isInPlace } from "./lmdb-files.mjs";
import { DATA_FILE, type Database, LMDB_OPTIONS, openDatabase } from "./lmdb-folder.ts";
import type { Condition, Item, Key, Query, Store, Value } from "./store.ts";

/** Items, or about bytes, of a query that are read before they are passed on: no reader keeps an old snapshot open. */
const PAGE = { items: 256, bytes: 4 << 20 };
/** About so much goes into one commit, so that none of those that share it waits long. */
const COMMIT_BYTES = 16 << 20;
/** A write that takes longer is given up. */
const WRITE_MS = 10_000;

export type LmdbStore = Store & {
  /** Copies the store as it is at one moment into another folder, which is there and empty. */
  backup(folder: string): Promise<void>;
  close(): Promise<void>;
};

/** Opens the folder, made if absent. @throws ServiceError `unavailable` when it cannot be. */
export function lmdbStore(folder: string): LmdbStore {
  let files = openFiles(folder);
  const { recordOf, itemOf } = recordFormat();
  const { identity } = files;
  let isClosed = false;
  let renewing: Promise<void> | undefined;

  /** The open files, opened anew where they are broken. */
  const current = async (): Promise<Files> => {
    if (isClosed) throw new ServiceError("unavailable", `the store in ${folder} has been closed`);
    if (renewing === undefined && files.isSound()) return files;
    renewing ??= renew().finally(() => {
      renewing = undefined;
    });
    await renewing;
    return files;
  };
  const renew = async () => {
    await files.close();
    files = openFiles(folder, identity);
  };
  /** To read what was committed by now, by whomever. */
  const latest = async (): Promise<Database> => {
    const { db } = await current();
    db.resetReadTxn();
    return db;
  };

  const waiting: Waiting[] = [];
  let committing: Promise<void> | undefined;
  const commit = (write: Write): Promise<boolean> =>
    new Promise((resolve, reject) => {
      const one: Waiting = { write, resolve, reject };
      waiting.push(one);
      committing ??= commitAll();
      // A process that is stopped keeps the lock of LMDB. What has been begun by then may still be made.
      const timer = setTimeout(() => {
        const at = waiting.indexOf(one);
        if (at !== -1) waiting.splice(at, 1);
        const message = `the store in ${folder} has not been written for ${WRITE_MS / 1000} s: is a process that uses it stopped, or its disk?`;
        reject(new ServiceError("unavailable", message));
      }, WRITE_MS);
      one.ended = () => clearTimeout(timer);
    });
  const commitAll = async () => {
    while (waiting.length > 0) {
      // Requests that came together share a commit.
      await new Promise(setImmediate);
      const group = takeGroup(waiting);
      try {
        const { writer } = await current();
        const made = await writer.commit(group.map(({ write }) => write));
        for (const [i, { resolve }] of group.entries()) resolve(made[i] === true);
      } catch (error) {
        for (const { reject } of group) reject(error);
      } finally {
        for (const { ended } of group) ended?.();
      }
    }
    // At once, for who was answered may write the next before anything else runs.
    committing = undefined;
  };

  return {
    async get(keys) {
      const db = await latest();
      return keys.map((key) => {
        const record = reading(folder, () => db.getBinary(keyOf(key)));
        return record && itemOf(record);
      });
    },

    async *query(query: Query) {
      let left = query.limit ?? Number.POSITIVE_INFINITY;
      let next: Bounds | undefined = boundsOf(query);
      while (next !== undefined && left > 0) {
        const db = await latest();
        const bounds: Bounds = next;
        const { page, last } = reading(folder, () => readPage(db, bounds, left, itemOf));
        yield* page;
        left -= page.length;
        next = last && { ...bounds, start: last, exclusiveStart: true };
      }
    },

    async put(item, condition) {
      const key = keyText(item);
      if (condition === undefined) {
        await commit({ puts: [{ key, value: recordOf(item) }], deletes: [] });
        return;
      }
      // The writer compares bytes alone: it makes the write if what was judged here is still there.
      for (;;) {
        const db = await latest();
        const record = reading(folder, () => db.getBinary(keyOf(item)));
        if (!meets(record && itemOf(record), condition)) {
          throw new ServiceError("condition_failed", "the item is not as the condition requires");
        }
        const puts = [{ key, value: recordOf(item) }];
        if (await commit({ expects: record ?? null, puts, deletes: [] })) return;
      }
    },

    async write(puts, deletes = []) {
      await commit({
        puts: puts.map((item) => ({ key: keyText(item), value: recordOf(item) })),
        deletes: deletes.map(keyText),
      });
    },

    async backup(to) {
      const { db } = await current();
      await db.backup(to, true).catch((cause: unknown) => {
        const message = `the store in ${folder} cannot be copied to ${to} (${messageOf(cause)}): look at both disks`;
        throw new ServiceError("unavailable", message, { cause });
      });
    },

    async close() {
      await committing;
      isClosed = true;
      await renewing;
      await files.close();
    },
  };
}

// ---- the files ------------------------------------------------------------------------------------------------------

type Files = {
  readonly db: Database;
  readonly writer: Writer;
  /** Of the data file; another in its place is another store. */
  readonly identity: string;
  isSound(): boolean;
  close(): Promise<void>;
};

function openFiles(folder: string, identity?: string): Files {
  const data = join(folder, DATA_FILE);
  if (identity !== undefined && identityOf(data) !== identity) {
    const message = `the files of the store in ${folder} were removed or replaced while it was open: stop all that use it, bring them back, and start again`;
    throw new ServiceError("unavailable", message);
  }
  try {
    const { db, inPlace } = openDatabase(folder);
    const writer = startWriter(folder, inPlace);
    let closed: Promise<void> | undefined;
    return {
      db,
      writer,
      identity: identityOf(data) ?? "",
      isSound: () => closed === undefined && !writer.isBroken() && isInPlace(inPlace),
      close() {
        // Threads share what they have open: LMDB forgets it when the last has closed it.
        closed ??= writer.close().then(() => db.close());
        return closed;
      },
    };
  } catch (cause) {
    const message = `the store in ${folder} cannot be opened (${messageOf(cause)}): look at its disk, and at who owns it`;
    throw new ServiceError("unavailable", message, { cause });
  }
}

// ---- the writer -----------------------------------------------------------------------------------------------------

/** `expects`: the record that is there before, null for none; without it, whatever is there. */
type Write = {
  readonly expects?: Uint8Array | null;
  readonly puts: readonly { readonly key: string; readonly value: Uint8Array<ArrayBuffer> }[];
  readonly deletes: readonly string[];
};
type Waiting = {
  readonly write: Write;
  resolve(made: boolean): void;
  reject(error: unknown): void;
  ended?: () => void;
};
type Answer = { readonly done: readonly boolean[] } | { readonly error: string; readonly isBroken?: boolean };

type Writer = {
  /** In one transaction. @returns for each whether it was made. @throws ServiceError `unavailable`: none was made. */
  commit(writes: readonly Write[]): Promise<readonly boolean[]>;
  /** Nothing can be written before the files are opened anew. */
  isBroken(): boolean;
  close(): Promise<void>;
};

/** The thread is started by the first write: many a command only reads. */
function startWriter(folder: string, files: Identities): Writer {
  let worker: Worker | undefined;
  let exited: Promise<void> | undefined;
  let isBroken = false;
  let answer: (answer: Answer) => void = () => undefined;

  const start = (): Worker => {
    const started = new Worker(new URL("./lmdb-writer.mjs", import.meta.url), {
      workerData: { path: folder, options: LMDB_OPTIONS, files },
      // The flags of the process (--input-type and the like) are not meant for this file.
      execArgv: [],
    });
    const failed = (error: string) => {
      isBroken = true;
      answer({ error });
    };
    started.on("message", (message: Answer) => answer(message));
    started.on("error", (error) => failed(messageOf(error)));
    exited = new Promise((resolve) => {
      started.once("exit", (code) => {
        failed(`its thread ended with ${code}`);
        resolve();
      });
    });
    return started;
  };

  return {
    async commit(writes) {
      worker ??= start();
      const answered = new Promise<Answer>((resolve) => {
        answer = resolve;
      });
      // A process that waits for nothing else may end.
      worker.ref();
      worker.postMessage(
        writes,
        writes.flatMap(({ puts }) => puts.map(({ value }) => value.buffer)),
      );
      const result = await answered;
      worker.unref();
      if ("done" in result) return result.done;
      isBroken ||= result.isBroken === true;
      const message = `the store in ${folder} cannot be written (${result.error}): make room on its disk, or mend it`;
      throw new ServiceError("unavailable", message, { cause: new Error(result.error) });
    },
    isBroken: () => isBroken,
    async close() {
      worker?.ref();
      worker?.postMessage(undefined);
      await exited;
    },
  };
}

/** Takes the first, and those after it as far as they fit into one commit. */
function takeGroup(waiting: Waiting[]): Waiting[] {
  let bytes = 0;
  const end = waiting.findIndex(({ write }, i) => {
    bytes += write.puts.reduce((sum, { value }) => sum + value.length, 0);
    return i > 0 && bytes > COMMIT_BYTES;
  });
  return waiting.splice(0, end === -1 ? waiting.length : end);
}

// ---- records ---------------------------------------------------------------------------------------------------------

function reading<T>(folder: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    const message = `the store in ${folder} cannot be read (${messageOf(cause)}): look at its disk`;
    throw new ServiceError("unavailable", message, { cause });
  }
}

function readPage(
  db: Database,
  bounds: Bounds,
  most: number,
  itemOf: RecordFormat["itemOf"],
): { page: Item[]; last?: Buffer } {
  const page: Item[] = [];
  let bytes = 0;
  for (const { key, value } of db.getRange({ ...bounds, snapshot: false })) {
    const item = itemOf(value);
    page.push(item);
    bytes += sizeOf(item);
    if (page.length === Math.min(PAGE.items, most) || bytes > PAGE.bytes)
      return { page, last: Buffer.from(key) };
  }
  return { page };
}

type RecordFormat = {
  /** In memory of its own, that can be given to the other thread. */
  recordOf(item: Item): Uint8Array<ArrayBuffer>;
  /** Its bytes are parts of the record, which nobody else has. */
  itemOf(record: Buffer): Item;
};

/** Items as MessagePack, whole. */
function recordFormat(): RecordFormat {
  // Loaded when there is a store to open, as lmdb is.
  const { Packr }: typeof import("msgpackr") = createRequire(import.meta.url)("msgpackr");
  const packr = new Packr({ useRecords: false });
  return {
    recordOf: (item) => Uint8Array.from(packr.pack(item)),
    itemOf(record) {
      const item: Item = packr.unpack(record);
      return Object.fromEntries(
        Object.entries(item).map(([name, value]) => [
          name,
          value instanceof Uint8Array ? new Uint8Array(value.buffer, value.byteOffset, value.length) : value,
        ]),
      ) as Item;
    },
  };
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Sort keys are compared by their UTF-8 bytes, as DynamoDB does. No partition key holds a NUL. */
const keyText = ({ pk, sk }: Key): string => `${pk}\0${sk}`;
const keyOf = (key: Key): Buffer => Buffer.from(keyText(key));

type Bounds = {
  readonly start: Buffer;
  readonly end: Buffer;
  readonly reverse: boolean;
  readonly inclusiveEnd?: boolean;
  readonly exclusiveStart?: boolean;
};

function boundsOf({ pk, from = "", to, reverse = false }: Query): Bounds {
  const low = keyOf({ pk, sk: from });
  const high =
    to === undefined ? Buffer.from(`${pk}\x01`) : Buffer.concat([keyOf({ pk, sk: to }), Buffer.of(0)]);
  return reverse
    ? { start: high, end: low, reverse, inclusiveEnd: true }
    : { start: low, end: high, reverse };
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
