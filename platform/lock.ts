/**
 * A lock across processes, which one that is killed does not leave behind: the mutex of LMDB's write transactions, which the
 * kernel gives back.
 */
import { resolve } from "node:path";
import { isInPlace } from "./lmdb-files.mjs";
import { openDatabase } from "./lmdb-folder.ts";

/** One of each folder in a process: two would share the file that they opened first, also after it was removed. */
const opened = new Map<string, ReturnType<typeof openDatabase>>();

/**
 * Runs `work` while nobody else holds the lock of this folder, which is made if absent. Work is short: who waits, waits
 * with all else. Who finds the lock's files removed locks those that all others find.
 * @throws what the file system says, and what `work` throws.
 */
export function holdLock<T>(folder: string, work: () => T): T {
  const path = resolve(folder);
  for (;;) {
    const { db, inPlace } = opened.get(path) ?? openDatabase(path);
    opened.set(path, { db, inPlace });
    // Nothing is written to it: a transaction without changes ends without the disk.
    const done = db.transactionSync(() => (isInPlace(inPlace) ? { result: work() } : undefined));
    if (done !== undefined) return done.result;
    opened.delete(path);
    // At once, for no write of it is under way.
    db.close();
  }
}
