/**
 * The index over a journal: which events say what, and when. It is derived: it may be behind, and may be deleted and made
 * again. It follows each source by the number of the next event that it has not read.
 */
import { createHash } from "node:crypto";
import { accessSync, constants, existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { EventError } from "@kedge/verify/events/error";
import type { Columns } from "@kedge/verify/events/formats/columns";
import { readColumns } from "@kedge/verify/events/formats/formats";
import { FIELDS, type Field, valuesOf } from "@kedge/verify/events/formats/values";
import { type Header, noted, readHeader } from "../journal/header.ts";
import type { Entry, EpochKeys, Journal } from "../journal/types.ts";
import { lookAt } from "../lmdb/files.ts";
import { type Database, isReadable, openDatabase } from "../lmdb/open.ts";
import { type TermKey, termKey, timeOf } from "./terms.ts";

/** Times in ms since the epoch, of the events' own, or of journalling where an event has none: from on, and before. */
export type Query = { [field in Field | "source"]?: string | undefined } & {
  from?: number | undefined;
  to?: number | undefined;
};
/** `header`: of a row of a delimited file, what stood above it. */
export type Found = { entry: Entry; columns: Columns; when: number; header?: Header };

/** What of the journal an index reads. */
export type Searched = Pick<Journal, "sources" | "entries" | "cursor">;

export type FindIndex = {
  /** Reads on in the journal, to what was its end when this began, or until the signal. @returns how many events were read */
  catchUp(signal?: AbortSignal): Promise<number>;
  /** How many events `catchUp` has to read. */
  behind(): bigint;
  /** In the order of their times. Lazy: what is not read costs nothing. */
  search(query: Query): Iterable<Found>;
  close(): Promise<void>;
};

const DATABASE = "find.mdb";
/** Of another layout the index is made again. */
const LAYOUT = "2";
/** Events that are read before they are written: sorted, neighbours fall into one page. */
const GROUP = 2_000;
/** Keys in one transaction, which holds the event loop for as long as it takes to put them. */
const PUT = 1_000;

const NOTHING = Buffer.alloc(1);

/** For the agent and for whoever searches beside it: several may have it open. The folder is the journal's. */
export function openFindIndex(folder: string, journal: Searched, keys: EpochKeys): FindIndex {
  let db = openIndex(folder);
  const columnsOf = columnReader(journal);
  const terms = new Map<number, TermKey>();
  const termsOf = (epoch: number): TermKey | undefined => {
    const key = keys.of(epoch);
    // What was shredded meanwhile is forgotten here too.
    if (key === undefined) terms.delete(epoch);
    else if (!terms.has(epoch)) terms.set(epoch, termKey(key));
    return terms.get(epoch);
  };
  const nextOf = (source: string): bigint => db.get(cursorKey(source))?.readBigUInt64BE() ?? 1n;
  let running: Promise<number> | undefined;
  const readOn = async (signal: AbortSignal | undefined): Promise<number> => {
    // After a meta page that its disk refused, LMDB refuses everything until it is opened anew.
    if (!isReadable(db)) {
      await db.close();
      db = openIndex(folder);
    }
    let read = 0;
    // What is journalled meanwhile is for the next time: a journal that is always written has no end.
    for (const { name, last = 0n } of journal.sources()) {
      const slice = openSlice();
      for (let more = true; more && signal?.aborted !== true; ) {
        const from = nextOf(name);
        const group = newGroup(name, from);
        for (const entry of journal.entries(name, { from, to: last })) {
          // What came after a rotation that these keys do not know yet would be found by its time alone.
          if (entry.epoch > keys.current().epoch) break;
          add(group, entry, columnsOf(entry).columns, termsOf(entry.epoch));
          if (group.count === GROUP) break;
          await slice.rest();
        }
        read += group.count;
        await store(db, group);
        more = group.count === GROUP;
      }
    }
    return read;
  };
  return {
    async catchUp(signal) {
      // One at a time: two would read the same.
      while (running !== undefined) await running.catch(() => undefined);
      running = readOn(signal).finally(() => {
        running = undefined;
      });
      return await running;
    },
    behind() {
      const left = journal.sources().map(({ name, last = 0n }) => last + 1n - nextOf(name));
      return left.reduce((sum, count) => sum + count, 0n);
    },
    *search(query) {
      const places = query.source === undefined ? undefined : sourceId(query.source);
      const names = new Map(journal.sources().map(({ name }) => [sourceId(name).toString("latin1"), name]));
      for (const { when, source, number } of candidates(db, query, keys, termsOf)) {
        const name = names.get(source.toString("latin1"));
        if (name === undefined || (places !== undefined && !places.equals(source))) continue;
        for (const entry of journal.entries(name, { from: number, to: number })) {
          yield { entry, ...columnsOf(entry), when };
        }
      }
    },
    close: () => db.close(),
  };
}

/** What cannot be read, or is of another layout, is made again: it is derived. */
function openIndex(folder: string): Database {
  const path = join(folder, DATABASE);
  const files = [path, `${path}-lock`];
  // One that root made by a search would keep the agent, which has the folder, from starting.
  if (!files.every(isOurs) || !["absent", "whole"].includes(lookAt(path))) {
    for (const file of files) rmSync(file, { force: true });
  }
  const db = openDatabase(path, { readOnly: false });
  const layout = db.get(LAYOUT_KEY)?.toString();
  if (layout !== LAYOUT) {
    if (layout !== undefined) db.clearSync();
    db.putSync(LAYOUT_KEY, Buffer.from(LAYOUT));
  }
  return db;
}

function isOurs(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return !existsSync(path);
  }
}

// ---- keys ---------------------------------------------------------------------------------------------------------

const LAYOUT_KEY = Buffer.from("layout");
const SOURCE_BYTES = 8;

function sourceId(source: string): Buffer {
  return createHash("sha256").update(source).digest().subarray(0, SOURCE_BYTES);
}

/** `c`, source: the number of the next event to read. */
const cursorKey = (source: string): Buffer => Buffer.concat([Buffer.from("c"), sourceId(source)]);
/** `w`: by time alone. */
const TIMES = Buffer.from("w");
/** `t`, field, term: by what an event says. */
const termPrefix = (field: Field, term: Buffer): Buffer =>
  Buffer.concat([Buffer.from("t"), Buffer.from([FIELDS.indexOf(field)]), term]);

/** A prefix, and then time, source and number: so that what has a prefix lies in the order of time. */
function placeKey(prefix: Buffer, when: number, source: Buffer, number: bigint): Buffer {
  return Buffer.concat([prefix, uint(BigInt(when)), source, uint(number)]);
}

function uint(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}

// ---- writing ------------------------------------------------------------------------------------------------------

/** Whoever takes events in goes first: after so many ms of reading. */
const SLICE_MS = 5;

function openSlice() {
  let began = performance.now();
  return {
    async rest(): Promise<void> {
      if (performance.now() - began < SLICE_MS) return;
      await setImmediate();
      began = performance.now();
    },
  };
}

type Group = { cursor: Buffer; id: Buffer; from: bigint; next: bigint; count: number; keys: Buffer[] };

const newGroup = (source: string, from: bigint): Group => ({
  ...{ cursor: cursorKey(source), id: sourceId(source) },
  ...{ from, next: from, count: 0, keys: [] },
});

function add(group: Group, entry: Entry, columns: Columns, terms: TermKey | undefined): void {
  const when = timeOf(columns) ?? entry.at;
  const said = terms === undefined ? [] : valuesOf(columns);
  const prefixes = said.flatMap(([field, value]) => terms && termPrefix(field, terms(field, value)));
  for (const prefix of [TIMES, ...prefixes]) {
    if (prefix !== undefined) group.keys.push(placeKey(prefix, when, group.id, entry.number));
  }
  group.next = entry.number + 1n;
  group.count += 1;
}

/**
 * The cursor last: what a crash cut off is written once more. Nothing is, when another process has read on meanwhile. Synchronous:
 * where a disk is full, lmdb's own asynchronous transactions reject promises that nobody holds, which ends the process (lmdb 3.5,
 * write.js).
 */
async function store(db: Database, { cursor, from, next, count, keys }: Group): Promise<void> {
  if (count === 0) return;
  keys.sort(Buffer.compare);
  for (let at = 0; at < keys.length; at += PUT) {
    db.transactionSync(() => {
      if ((db.get(cursor)?.readBigUInt64BE() ?? 1n) !== from) return;
      for (const key of keys.slice(at, at + PUT)) db.putSync(key, NOTHING);
      if (at + PUT >= keys.length) db.putSync(cursor, uint(next));
    });
    await setImmediate();
  }
}

type ColumnsOf = (entry: Entry) => Pick<Found, "columns" | "header">;

/** What cannot be read as its format says nothing, and is found by its time. */
function columnReader(journal: Searched): ColumnsOf {
  const headers = new Map<string, Header | undefined>();
  const headerOf = ({ source, notes }: Entry): Header | undefined => {
    const id = noted(notes);
    if (id === undefined) return undefined;
    const name = `${source}\0${id}`;
    if (!headers.has(name)) {
      headers.set(name, readHeader({ cursor: (key) => journal.cursor(source, key) }, id));
    }
    return headers.get(name);
  };
  return (entry) => {
    const header = headerOf(entry);
    const above = header === undefined ? {} : { header };
    if (entry.bytes === undefined) return { columns: {}, ...above };
    try {
      return { columns: readColumns(entry.bytes, entry.mediaType, header), ...above };
    } catch (error) {
      if (error instanceof EventError) return { columns: {}, ...above };
      throw error;
    }
  };
}

// ---- reading ------------------------------------------------------------------------------------------------------

type Place = { when: number; source: Buffer; number: bigint };

function* candidates(
  db: Database,
  query: Query,
  keys: EpochKeys,
  termsOf: (epoch: number) => TermKey | undefined,
): Iterable<Place> {
  const asked = FIELDS.flatMap((field) => {
    const value = query[field];
    return value === undefined ? [] : [{ field, value }];
  });
  if (asked.length === 0) {
    yield* places(db, TIMES, query);
    return;
  }
  const epochs = Array.from({ length: keys.current().epoch + 1 }, (_, epoch) => termsOf(epoch));
  const scans = epochs.flatMap((terms) => {
    if (terms === undefined) return [];
    const [first, ...others] = asked.map(({ field, value }) => termPrefix(field, terms(field, value)));
    return first === undefined ? [] : [having(db, places(db, first, query), others)];
  });
  yield* merge(scans);
}

function* places(db: Database, prefix: Buffer, { from = 0, to }: Query): Iterable<Place> {
  const start = Buffer.concat([prefix, uint(BigInt(Math.max(0, from)))]);
  const last = to === undefined ? Buffer.alloc(8, 0xff) : uint(BigInt(Math.max(0, to)));
  const end = Buffer.concat([prefix, last]);
  for (const key of db.getKeys({ start, end })) {
    const at = prefix.length;
    yield {
      when: Number(key.readBigUInt64BE(at)),
      source: Buffer.from(key.subarray(at + 8, at + 8 + SOURCE_BYTES)),
      number: key.readBigUInt64BE(at + 8 + SOURCE_BYTES),
    };
  }
}

/** Those that say the others too. */
function* having(db: Database, found: Iterable<Place>, prefixes: readonly Buffer[]): Iterable<Place> {
  for (const place of found) {
    const { when, source, number } = place;
    if (prefixes.every((prefix) => db.doesExist(placeKey(prefix, when, source, number)))) yield place;
  }
}

/** One order out of several, of which each is in order. */
function* merge(scans: readonly Iterable<Place>[]): Iterable<Place> {
  const heads = scans.flatMap((scan) => {
    const rest = scan[Symbol.iterator]();
    const { value, done } = rest.next();
    return done === true ? [] : [{ place: value, rest }];
  });
  while (heads.length > 0) {
    const first = heads.reduce((a, b) => (b.place.when < a.place.when ? b : a));
    yield first.place;
    const { value, done } = first.rest.next();
    if (done === true) heads.splice(heads.indexOf(first), 1);
    else first.place = value;
  }
}
