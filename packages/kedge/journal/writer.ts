/**
 * The thread that writes the journal, so that no commit holds up the event loop.
 *
 * By synchronous transactions. lmdb's own asynchronous ones print a stack trace where a commit fails, reject a promise
 * that nobody holds, and wait for ever where a transaction cannot begin (lmdb 3.5, write.js and writer.cpp).
 */
import { parentPort, workerData } from "node:worker_threads";
import { type Database, identityOf, openDatabase } from "../lmdb/file.ts";
import { type Moment, type Operation, type Outcome, transaction } from "./operations.ts";

/** Of the file as it was when it was opened: what goes into one that nobody finds again is not journalled. */
export type WriterData = { path: string; identity: string | undefined };
export type Order = Moment & { operations: readonly Operation[] };
/** Of each operation, in their order; or why nothing of all was written. */
export type Answer =
  | { outcomes: readonly ({ done: Outcome } | Failure)[] }
  | (Failure & { isBroken: boolean });
type Failure = { error: string; isFull: boolean };

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
      const outcomes = commitAll(db, order);
      return isInPlace() ? { outcomes } : GONE;
    } catch (error) {
      return { error: String(error), isFull: isFull(error), isBroken: !isReadable(db) };
    }
  };

  to.on("message", (order: Order | undefined) => {
    if (order !== undefined) return to.postMessage(commit(order));
    db.close().then(() => to.close());
  });
}

const GONE: Answer = { error: "its files were removed or replaced", isFull: false, isBroken: true };

/** One transaction; or where one of the operations is refused, one for each, so that it takes no other with it. */
function commitAll(db: Database, { operations, ...moment }: Order): ({ done: Outcome } | Failure)[] {
  const together = (some: readonly Operation[]) =>
    db.transactionSync(() => {
      const { apply, finish } = transaction(db, moment);
      const outcomes = some.map((operation) => ({ done: apply(operation) }));
      finish();
      return outcomes;
    });
  try {
    return together(operations);
  } catch (error) {
    if (operations.length === 1 || isFull(error) || !isReadable(db)) throw error;
  }
  return operations.flatMap((operation): ({ done: Outcome } | Failure)[] => {
    try {
      return together([operation]);
    } catch (error) {
      return [{ error: String(error), isFull: isFull(error) }];
    }
  });
}

const isFull = (error: unknown): boolean =>
  /No space left|Disk quota exceeded|File too large/.test(String(error));

/** After a failure to write a meta page LMDB refuses everything (MDB_PANIC) until it is opened anew. */
function isReadable(db: Database): boolean {
  try {
    db.resetReadTxn();
    db.getBinary(Buffer.of(0));
    return true;
  } catch {
    return false;
  }
}
