/**
 * The journal of an agent: an LMDB database in which every event is, with its number and commitment, before its sender is told
 * anything (docs/decisions/0025). One process or several write it; others read it beside them.
 */
import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { Worker } from "node:worker_threads";
import { makeFolder } from "@kedge/verify/cli/files";
import { parseSource } from "@kedge/verify/events/commitment";
import { parseMediaType } from "@kedge/verify/events/media";
import { quoted } from "@kedge/verify/text";
import { decodeBase64 } from "@kedge/verify/tlog/bytes";
import { appendBegun, readBegun } from "../lmdb/begun.ts";
import { identityOf, lookAt } from "../lmdb/files.ts";
import { type Database, openDatabase } from "../lmdb/open.ts";
import { takeOwnership } from "../lmdb/owner.ts";
import { closed, damaged, inUse, JournalError, lost, refused, replaced, unwritable } from "./error.ts";
import { MAX_CURSOR_KEY, sealNonce } from "./layout.ts";
import { openingOf } from "./opening.ts";
import type { Numbers, Operation, Outcome } from "./operations.ts";
import { reading } from "./reading.ts";
import {
  type EpochKeys,
  type Intake,
  type Journal,
  type JournalReader,
  type Outgoing,
  SHARED_SOURCES,
  type Taking,
} from "./types.ts";
import type { Answer, Order, WriterData } from "./writer.ts";

const DATABASE = "journal.mdb";
/** The sources begun here: they tell a lost database from one that is new. */
const BEGUN = "sources";

/** Of an event, or of a message for the upstream, in bytes. */
const MAX_EVENT_BYTES = 64 << 20;
/** Of all that is in one take: a Bundle's events, and the Bundle for the upstream. */
const MAX_TAKE_BYTES = 4 * MAX_EVENT_BYTES;
/** About so much goes into one commit, so that none of those that share it waits long. */
const COMMIT = { bytes: 16 << 20, events: 4_000 };
/** How often it is looked whether another process has journalled something, in ms. */
const LOOK_MS = 1_000;
/** So many bodies are taken away in one commit, and made ready without a pause of the event loop. */
const DROP = 256;

export type JournalOptions = {
  /** Made for its owner alone, if absent. */
  folder: string;
  keys: EpochKeys;
  /** Ms since the epoch. */
  now?: () => number;
};

/** To take events. Rejects with JournalError. */
export async function openJournal({ folder, keys, now = Date.now }: JournalOptions): Promise<Journal> {
  await makeFolder(folder, 0o700).catch((cause: unknown) => {
    throw unwritable(folder, cause);
  });
  checkFiles(folder);
  let files = openFiles(folder);
  const { identity } = files;
  let isClosed = false;
  let renewing: Promise<void> | undefined;

  const latest = (): Database => {
    if (isClosed) throw closed(folder);
    // Closed, and not damaged: who reads tries again.
    if (renewing !== undefined) throw unwritable(folder, new Error("its files are being opened anew"));
    files.db.resetReadTxn();
    return files.db;
  };
  const read = reading(folder, latest, keys);
  const check = () => {
    read.checkKeys(keys);
    read.checkCursors();
    checkBegun(folder, (source) => read.header(source) !== undefined);
  };
  try {
    check();
  } catch (error) {
    await files.close();
    throw error;
  }

  /** The open files, opened anew where they are broken. */
  const sound = async (): Promise<Files> => {
    if (files.isSound()) return files;
    renewing ??= (async () => {
      await files.close();
      if (identityOf(join(folder, DATABASE)) !== identity) throw replaced(folder);
      checkFiles(folder);
      files = openFiles(folder);
    })().finally(() => {
      renewing = undefined;
    });
    await renewing;
    return files;
  };

  const waiting: Waiting[] = [];
  let committing: Promise<void> | undefined;
  const outgoing = new Set<() => void>();
  const write: Write = (operation, weight = NOTHING) =>
    new Promise((resolve, reject) => {
      if (isClosed) return reject(closed(folder));
      waiting.push({ operation, weight, resolve, reject });
      committing ??= commitAll();
    });
  const commitAll = async () => {
    while (waiting.length > 0) {
      // What came together shares a commit.
      await new Promise(setImmediate);
      const group = takeGroup(waiting);
      try {
        const { writer } = await sound();
        const operations = group.map(({ operation }) => operation());
        const answer = await writer.commit({
          operations,
          key: keys.current(),
          now: now(),
          cursorKey: read.keyOfCursors(),
        });
        if ("error" in answer) {
          // Before it is said: until the files are opened anew nothing can be read either.
          await sound().catch(() => undefined);
          throw refused(folder, answer);
        }
        for (const [i, { resolve, reject }] of group.entries()) {
          const outcome = answer.outcomes[i];
          if (outcome !== undefined && "done" in outcome) resolve(outcome.done);
          else reject(refused(folder, outcome ?? { code: "unwritable", error: "no answer" }));
        }
        for (const wake of outgoing) wake();
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    // At once, for who was answered may write the next before anything else runs.
    committing = undefined;
  };

  const owned = new Map<string, () => Promise<void>>();
  const own = async (source: string) => {
    if (SHARED_SOURCES.includes(source)) return;
    const release = await takeOwnership(folder, source).catch((cause: unknown) => {
      throw unwritable(folder, cause);
    });
    if (release === undefined) {
      throw inUse(folder, quoted(source));
    }
    owned.set(source, release);
  };
  const disown = async (source: string) => {
    const release = owned.get(source);
    owned.delete(source);
    await release?.();
  };

  return {
    sources: read.sources,
    entries: read.entries,
    gaps: read.gaps,
    cursor: read.cursor,
    receipts: read.receipts,
    outbox: read.outbox,
    unsealed: read.unsealed,

    async intake(name) {
      const source = parseSource(name);
      if (isClosed) throw closed(folder);
      const owner = SHARED_SOURCES.includes(source) ? 0n : randomBytes(8).readBigUInt64BE();
      await own(source);
      try {
        // The database first: a source that is only in the other file counts as lost.
        await write(() => ({ kind: "begin", source, owner }));
        if (!begunIn(folder).has(source)) {
          await appendBegun(join(folder, BEGUN), source).catch((cause: unknown) => {
            throw unwritable(folder, cause);
          });
        }
      } catch (error) {
        await disown(source);
        throw error;
      }
      return intakeOf({ source, owner }, { read, write, close: () => disown(source) });
    },

    async posted(batch, receipt) {
      await write(() => ({ kind: "posted", runs: runsOf(batch), receipt }));
    },

    async sealed(places) {
      const indices = new Map(places.map(({ source, number, index }) => [`${number} ${source}`, index]));
      await Promise.all(
        runsOf(places).map(({ source, from, to }) => {
          const found = numbersFrom(from, to).map((number) => {
            const index = indices.get(`${number} ${source}`);
            // A place that is made up would be told as evidence.
            if (index === undefined) throw new RangeError(`no place was given of number ${number}`);
            return index;
          });
          return write(() => ({ kind: "sealed", source, from, indices: found }), {
            bytes: 0,
            events: found.length,
          });
        }),
      );
    },

    whenOutgoing: (signal) =>
      new Promise((resolve, reject) => {
        const look = () => {
          try {
            if (read.isOutgoing()) end(resolve);
          } catch (error) {
            end(() => reject(error));
          }
        };
        const abort = () => end(() => reject(signal.reason));
        const timer = setInterval(look, LOOK_MS);
        const end = (settle: () => void) => {
          clearInterval(timer);
          outgoing.delete(look);
          signal.removeEventListener("abort", abort);
          settle();
        };
        outgoing.add(look);
        signal.addEventListener("abort", abort, { once: true });
        if (signal.aborted) abort();
        else look();
      }),

    async dropBodies(source, before) {
      const first = (read.header(source)?.dropped ?? 0n) + 1n;
      const [from, end] = read.boundsOf(source, { from: first, before });
      for (let at = from; at < end; ) {
        const to = at + BigInt(DROP) < end ? at + BigInt(DROP) : end;
        const nonces: (Uint8Array | undefined)[] = [];
        for (const entry of read.entries(source, { from: at, to: to - 1n })) {
          const { bytes, number, epoch } = entry;
          const key = keys.of(epoch);
          const opening = bytes && key && openingOf(entry, keys);
          nonces.push(
            opening &&
              key &&
              sealNonce({ source, number }, decodeBase64(opening.nonce, "The nonce"), key.tenantKey),
          );
        }
        const start = at;
        await write(() => ({ kind: "drop", source, from: start, nonces }), {
          bytes: 0,
          events: nonces.length,
        });
        at = to;
      }
      return Number(end - from);
    },

    async close() {
      if (isClosed) return;
      isClosed = true;
      await committing;
      for (const wake of outgoing) wake();
      await renewing?.catch(() => undefined);
      await files.close();
      for (const source of [...owned.keys()]) await disown(source);
    },
  };
}

/** To read, beside whoever writes; undefined when there is none. Without keys it has no bytes. Throws JournalError. */
export function readJournal({
  folder,
  keys,
}: {
  folder: string;
  keys?: EpochKeys;
}): JournalReader | undefined {
  if (!checkFiles(folder)) return undefined;
  const db = opened(folder, true);
  let isClosed = false;
  const read = reading(
    folder,
    () => {
      if (isClosed) throw closed(folder);
      db.resetReadTxn();
      return db;
    },
    keys,
  );
  try {
    if (keys !== undefined) read.checkKeys(keys);
    checkBegun(folder, (source) => read.header(source) !== undefined);
  } catch (error) {
    void db.close();
    throw error;
  }
  return {
    sources: read.sources,
    entries: read.entries,
    gaps: read.gaps,
    cursor: read.cursor,
    receipts: read.receipts,
    async close() {
      if (isClosed) return;
      isClosed = true;
      await db.close();
    },
  };
}

// ---- taking -----------------------------------------------------------------------------------------------------------

type Weight = { bytes: number; events: number };
const NOTHING: Weight = { bytes: 0, events: 0 };
/** Made when its turn has come: until then it takes no memory. */
type Write = (operation: () => Operation, weight?: Weight) => Promise<Outcome>;
type Waiting = {
  readonly operation: () => Operation;
  readonly weight: Weight;
  resolve(outcome: Outcome): void;
  reject(error: unknown): void;
};

/** Takes the first, and those after it as far as they fit into one commit. */
function takeGroup(waiting: Waiting[]): Waiting[] {
  let [bytes, events] = [0, 0];
  const end = waiting.findIndex(({ weight }, i) => {
    bytes += weight.bytes;
    events += weight.events;
    return i > 0 && (bytes > COMMIT.bytes || events > COMMIT.events);
  });
  return waiting.splice(0, end === -1 ? waiting.length : end);
}

type Reading = ReturnType<typeof reading>;
type Owned = { source: string; owner: bigint };

function intakeOf(
  { source, owner }: Owned,
  { read, write, close }: { read: Reading; write: Write; close: () => Promise<void> },
): Intake {
  const pending = new Set<Promise<unknown>>();
  let isClosed = false;
  const begun = <T>(run: Promise<T>): Promise<T> => {
    const done = run.catch(() => undefined).finally(() => pending.delete(done));
    pending.add(done);
    return run;
  };
  return {
    source,
    async take(taking) {
      if (isClosed) throw new JournalError("closed", `The intake of the source ${quoted(source)} was closed`);
      const { arrivals } = taking;
      const bytes = checkedSize(taking);
      const weight = { bytes, events: arrivals.length };
      const first = (await begun(write(() => operationOf({ source, owner }, taking, bytes), weight))) ?? 0n;
      return arrivals.map((_, i) => first + BigInt(i));
    },
    cursor: (key) => read.cursor(source, key),
    cursors: (prefix) => read.cursors(source, prefix),
    forwards: (limit) => read.forwards(source, limit),
    async forwarded(id) {
      await begun(write(() => ({ kind: "forwarded", source, owner, id })));
    },
    async close() {
      if (isClosed) return;
      isClosed = true;
      await Promise.all(pending);
      await close();
    },
  };
}

/** In bytes. @throws EventError of a media type, RangeError of what is too long. */
function checkedSize({ arrivals, cursors = new Map(), forward = [] }: Taking): number {
  for (const { mediaType } of arrivals) parseMediaType(mediaType);
  for (const key of cursors.keys()) {
    const length = Buffer.byteLength(key);
    if (length > MAX_CURSOR_KEY) throw new RangeError(`a cursor's key has ${MAX_CURSOR_KEY} bytes at most`);
  }
  let size = 0;
  for (const { length } of [...arrivals.map(({ bytes }) => bytes), ...forward]) {
    if (length > MAX_EVENT_BYTES) throw new RangeError(`an event has ${MAX_EVENT_BYTES} bytes at most`);
    size += length;
  }
  if (size > MAX_TAKE_BYTES)
    throw new RangeError(`what is taken at once has ${MAX_TAKE_BYTES} bytes at most`);
  return size;
}

/** Its bytes are copies, in memory that can be given to the other thread. */
function operationOf(of: Owned, taking: Taking, length: number): Operation {
  const { arrivals, cursors = [], forward = [], passedBy = 0 } = taking;
  const bytes = new Uint8Array(length);
  const parts = [...arrivals.map((of) => of.bytes), ...forward];
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return {
    ...{ ...of, kind: "take", bytes, passedBy },
    arrivals: arrivals.map(({ mediaType, notes = [], bytes: { length: of } }) => ({
      ...{ mediaType, notes, length: of },
    })),
    forward: forward.map(({ length }) => length),
    cursors: [...cursors],
  };
}

/** Of each source, in the order of their numbers, as far as they follow on each other. */
function runsOf(batch: readonly Outgoing[]): Numbers[] {
  const numbers = new Map<string, bigint[]>();
  for (const { source, number } of batch) {
    const some = numbers.get(source) ?? [];
    numbers.set(source, some);
    some.push(number);
  }
  return [...numbers].flatMap(([source, some]) => {
    const runs: Numbers[] = [];
    for (const number of some.sort((a, b) => (a < b ? -1 : 1))) {
      const last = runs.at(-1);
      if (last !== undefined && number <= last.to + 1n) last.to = number;
      else runs.push({ source, from: number, to: number });
    }
    return runs;
  });
}

const numbersFrom = (from: bigint, to: bigint): bigint[] =>
  Array.from({ length: Number(to - from) + 1 }, (_, i) => from + BigInt(i));

// ---- the files --------------------------------------------------------------------------------------------------------

type Files = {
  readonly db: Database;
  readonly writer: Writer;
  /** Of the database; another in its place is another journal. */
  readonly identity: string | undefined;
  isSound(): boolean;
  close(): Promise<void>;
};

function openFiles(folder: string): Files {
  const db = opened(folder, false);
  const identity = identityOf(join(folder, DATABASE));
  const writer = startWriter({ path: join(folder, DATABASE), identity });
  let isClosed: Promise<void> | undefined;
  return {
    db,
    writer,
    identity,
    isSound: () => isClosed === undefined && !writer.isBroken(),
    close() {
      // Threads share what they have open: LMDB forgets it when the last has closed it.
      isClosed ??= writer.close().then(() => db.close());
      return isClosed;
    },
  };
}

type Writer = {
  commit(order: Order): Promise<Answer>;
  /** Nothing can be written before the files are opened anew. */
  isBroken(): boolean;
  close(): Promise<void>;
};

function startWriter(data: WriterData): Writer {
  let isBroken = false;
  let answer: (answer: Answer) => void = () => undefined;
  const failed = (error: string) => {
    isBroken = true;
    answer({ code: "unwritable", error, isBroken });
  };
  // The compiled one, for a thread has no loader of TypeScript.
  const root = createRequire(import.meta.url).resolve("@kedge/cli/package.json");
  const file = join(dirname(root), "dist/journal/writer.js");
  const worker = new Worker(file, { workerData: data, execArgv: [] });
  worker.on("message", (message: Answer) => answer(message));
  worker.on("error", (error) => failed(String(error)));
  const exited = new Promise<void>((resolve) => {
    worker.once("exit", (code) => {
      failed(`its thread ended with ${code}`);
      resolve();
    });
  });
  // A process that waits for nothing else may end.
  worker.unref();
  return {
    async commit(order) {
      const answered = new Promise<Answer>((resolve) => {
        answer = resolve;
      });
      worker.ref();
      const bytes = order.operations.flatMap((one) => (one.kind === "take" ? [one.bytes.buffer] : []));
      worker.postMessage(order, bytes);
      const result = await answered;
      worker.unref();
      if ("error" in result) isBroken ||= result.isBroken;
      return result;
    },
    isBroken: () => isBroken,
    async close() {
      worker.ref();
      worker.postMessage(undefined);
      await exited;
    },
  };
}

function opened(folder: string, readOnly: boolean): Database {
  try {
    return openDatabase(join(folder, DATABASE), { readOnly });
  } catch (cause) {
    throw unwritable(folder, cause);
  }
}

function begunIn(folder: string): ReadonlySet<string> {
  try {
    return readBegun(join(folder, BEGUN));
  } catch (cause) {
    throw damaged(folder, `its file ${BEGUN} cannot be read`, cause);
  }
}

/** Before LMDB maps it. @returns whether there is a journal. */
function checkFiles(folder: string): boolean {
  const begun = begunIn(folder);
  const [name] = begun;
  switch (lookedAt(folder)) {
    case "absent":
      if (name !== undefined) throw lost(folder, name);
      return false;
    case "empty":
      // Who was stopped between making the file and its first page had journalled nothing.
      if (name === undefined) return false;
      throw damaged(folder, `${DATABASE} is not a database any more`);
    case "foreign":
      throw damaged(folder, `${DATABASE} is not a database any more`);
    case "cut":
      throw damaged(folder, `${DATABASE} is cut short`);
    case "whole":
      return true;
  }
}

function lookedAt(folder: string) {
  try {
    return lookAt(join(folder, DATABASE));
  } catch (cause) {
    throw unwritable(folder, cause);
  }
}

function checkBegun(folder: string, has: (source: string) => boolean): void {
  for (const source of begunIn(folder)) if (!has(source)) throw lost(folder, source);
}
