// The thread that writes the store on LMDB (lmdb.ts), so that no commit holds up a request. Plain JavaScript, so that it
// starts under node and vitest alike.
//
// By synchronous transactions. lmdb's own asynchronous ones print a stack trace where a commit fails, reject a promise
// that nobody holds, and wait for ever where a transaction cannot begin (lmdb 3.5, write.js and writer.cpp).
import { parentPort, workerData } from "node:worker_threads";
import { open } from "lmdb";
import { isInPlace } from "./lmdb-files.mjs";

/** Readers of processes that were killed would keep old pages for ever. */
const READER_CHECK_MS = 60_000;

const { path, options, files } = workerData;
const db = open({ ...options, path });
let checked = performance.now();

parentPort.on("message", (writes) => {
  if (writes !== undefined) return parentPort.postMessage(commit(writes));
  db.close().then(() => parentPort.close());
});

/**
 * One transaction for all of them.
 * @returns for each whether what it expects was there, and so whether it was made; or why none was.
 */
function commit(writes) {
  try {
    if (!isInPlace(files)) return { error: "its files were removed or replaced" };
    if (performance.now() - checked > READER_CHECK_MS) {
      checked = performance.now();
      db.readerCheck();
    }
    const done = db.transactionSync(() => writes.map(write));
    // What went into files that nobody finds again is not acknowledged.
    return isInPlace(files) ? { done } : { error: "its files were removed or replaced" };
  } catch (error) {
    return { error: String(error), isBroken: !isReadable() };
  }
}

/** @param expects what stands there before: null, nothing at all; undefined, whatever it is. */
function write({ expects, puts, deletes }) {
  if (expects !== undefined) {
    const now = db.getBinary(Buffer.from(puts[0].key));
    if (expects === null ? now !== undefined : now === undefined || Buffer.compare(now, expects) !== 0)
      return false;
  }
  for (const { key, value } of puts) db.putSync(Buffer.from(key), Buffer.from(value));
  for (const key of deletes) db.removeSync(Buffer.from(key));
  return true;
}

/** After a failure to write a meta page LMDB refuses everything (MDB_PANIC) until it is opened anew. */
function isReadable() {
  try {
    db.resetReadTxn();
    db.getBinary(Buffer.of(0));
    return true;
  } catch {
    return false;
  }
}
