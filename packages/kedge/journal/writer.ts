/**
 * The thread that writes the journal, so that no commit holds up the event loop.
 *
 * By synchronous transactions. lmdb's own asynchronous ones print a stack trace where a commit fails, reject a promise
 * that nobody holds, and wait for ever where a transaction cannot begin (lmdb 3.5, write.js and writer.cpp).
 */
import { statfsSync } from "node:fs";
import { dirname } from "node:path";
import { parentPort, workerData } from "node:worker_threads";
import { identityOf } from "../lmdb/files.ts";
import { type Database, isReadable, openDatabase } from "../lmdb/open.ts";
import { JournalError, type JournalErrorCode } from "./error.ts";
import { type Moment, type Operation, type Outcome, transaction } from "./operations.ts";

/** Of the file as it was when it was opened: what goes into one that nobody finds again is not journalled. */
export type WriterData = { path: string; identity: string | undefined };
export type Order = Moment & { operations: readonly Operation[] };
/** Of each operation, in their order; or why nothing of all was written. */
export type Answer =
  | { outcomes: readonly ({ done: Outcome } | Failure)[] }
  | (Failure & { isBroken: boolean });
export type Failure = { code: JournalErrorCode; error: string };

/** Readers of processes that were killed would keep old pages for ever. */
const READER_CHECK_MS = 60_000;

const port = parentPort;
if (port !== null) write(port, workerData);

function write(to: NonNullable<typeof parentPort>, { path, identity }: WriterData): void {
  const db = openDatabase(path, { readOnly: false });
  const isInPlace = () => identityOf(path) === identity;
  let checked = performance.now();

  const commit = (order: Order): Answer => {
    try {
      if (!isInPlace()) return GONE;
      if (performance.now() - checked > READER_CHECK_MS) {
        checked = performance.now();
        db.readerCheck();
      }
      const outcomes = commitAll(db, path, order);
      return isInPlace() ? { outcomes } : GONE;
    } catch (error) {
      return { ...failureOf(error, path, order), isBroken: !isReadable(db) };
    }
  };

  to.on("message", (order: Order | undefined) => {
    if (order !== undefined) return to.postMessage(commit(order));
    db.close().then(() => to.close());
  });
}

const GONE: Answer = { code: "unwritable", error: "its files were removed or replaced", isBroken: true };

/** One transaction; or where one of the operations is refused, one for each, so that it takes no other with it. */
function commitAll(db: Database, path: string, order: Order): ({ done: Outcome } | Failure)[] {
  const together = (some: readonly Operation[]) =>
    db.transactionSync(() => {
      const { apply, finish } = transaction(db, order);
      const outcomes = some.map((operation) => ({ done: apply(operation) }));
      finish();
      return outcomes;
    });
  try {
    return together(order.operations);
  } catch (error) {
    // What the disk refuses to one it refuses to all.
    if (order.operations.length === 1 || isOfDisk(error)) throw error;
  }
  return order.operations.flatMap((operation): ({ done: Outcome } | Failure)[] => {
    try {
      return together([operation]);
    } catch (error) {
      return [failureOf(error, path, order)];
    }
  });
}

/** LMDB gives its own number, or that of the system. */
const isOfDisk = (error: unknown): boolean =>
  error instanceof Error && "code" in error && typeof error.code === "number";

function failureOf(error: unknown, path: string, order: Order): Failure {
  if (error instanceof JournalError) return { code: error.code, error: error.message };
  return { code: isFull(error, path, order) ? "full" : "unwritable", error: String(error) };
}

/** What a file system has in its last corner, and LMDB takes to write so much. */
const MARGIN = 1 << 20;

/** LMDB says EIO where the disk has taken a part of what it was to write: then its room tells. */
function isFull(error: unknown, path: string, { operations }: Order): boolean {
  if (/No space left|Disk quota exceeded|File too large/.test(String(error))) return true;
  const { bavail, bsize } = statfsSync(dirname(path));
  const wanted = operations.reduce((sum, one) => sum + (one.kind === "take" ? one.bytes.length : 0), 0);
  return bavail * bsize < 2 * wanted + MARGIN;
}
