/** What is read of a journal: by the process that writes it, and by others beside that. */
import { quoted } from "@kedge/verify/text";
import type { Database } from "../lmdb/open.ts";
import { damaged as damagedIn, JournalError, otherKey, unwritable } from "./error.ts";
import {
  allOf,
  commitmentOf,
  cursorKey,
  cursorOf,
  epochOf,
  type Header,
  headerKey,
  keyCheck,
  numberKey,
  numberOf,
  openCursorKey,
  openNonce,
  type Run,
  readBody,
  readCursor,
  readHeader,
  readRecord,
  readRun,
  receiptKey,
  timeOf,
} from "./layout.ts";
import type { Entry, EntryRange, EpochKeys, Outgoing, Receipt, SourceState } from "./types.ts";

/** Events, or about bytes, that are read before they are passed on: no reader keeps an old snapshot open. */
const PAGE = { events: 256, bytes: 4 << 20 };
/** About so many bytes are given to who sends them on. */
const FORWARD_BYTES = 16 << 20;

/** @param latest the database, as it was committed by now. Without keys no bytes are read. */
export function reading(folder: string, latest: () => Database, keys: EpochKeys | undefined) {
  const damaged = (what: string, cause?: unknown) => damagedIn(folder, what, cause);
  /** Reads what was committed by now. */
  const read = <T>(run: (db: Database) => T): T => {
    const db = latest();
    try {
      return run(db);
    } catch (cause) {
      if (cause instanceof JournalError) throw cause;
      // A disk that failed: the files are about to be opened anew.
      if (/MDB_PANIC/.test(String(cause))) throw unwritable(folder, cause);
      throw damaged("it cannot be read", cause);
    }
  };

  const toHeader = (bytes: Buffer): Header => {
    const header = readHeader(bytes);
    if (header === undefined) throw damaged("what it says of a source is unreadable");
    return header;
  };
  const headers = (db: Database): Header[] =>
    [...db.getRange(allOf("header"))]
      .map(({ value }) => toHeader(value))
      .sort((a, b) => (a.source < b.source ? -1 : 1));
  const header = (db: Database, source: string): Header | undefined => {
    const bytes = db.get(headerKey(source));
    return bytes && toHeader(bytes);
  };
  const record = (db: Database, source: string, number: bigint): Buffer => {
    const bytes = db.get(numberKey("record", source, number));
    if (bytes === undefined) throw damaged(`number ${number} of the source ${quoted(source)} is gone`);
    return bytes;
  };
  const runs = (db: Database, source: string, limit: number): Run[] =>
    [...db.getRange({ ...within("run", source, 0n, undefined), limit })].map(({ key, value }) =>
      readRun(key, value),
    );

  const stateOf = (db: Database, of: Header): SourceState => {
    const { source, next, passedBy, gaps, posted, sealed } = of;
    const [run] = runs(db, source, 1);
    const [oldest] = db.getKeys({ ...within("forward", source, 0n, undefined), limit: 1 });
    return {
      name: source,
      seen: next - 1n + passedBy,
      journalled: next - 1n,
      gaps,
      forwarding: oldest === undefined ? 0n : of.forward - numberOf(oldest),
      posted,
      sealed,
      ...(next === 1n ? {} : { last: next - 1n }),
      ...(run === undefined ? {} : { unsealedSince: run.postedAt }),
      ...(posted + 1n === next ? {} : { unpostedSince: timeOf(record(db, source, posted + 1n)) }),
    };
  };

  /** The first number from `low` on, and before `end`, whose event was journalled at that time or later; `end` when none. */
  const firstSince = (db: Database, source: string, time: number, low: bigint, end: bigint): bigint => {
    let [from, to] = [low, end];
    while (from < to) {
      const middle = (from + to) / 2n;
      if (timeOf(record(db, source, middle)) < time) from = middle + 1n;
      else to = middle;
    }
    return from;
  };

  /** Numbers of a range as they are now: from the first, to before the second. */
  const boundsOf = (db: Database, source: string, range: EntryRange): [bigint, bigint] => {
    const next = header(db, source)?.next ?? 1n;
    const from = range.from === undefined || range.from < 1n ? 1n : range.from;
    const end = range.to === undefined || range.to >= next ? next : range.to + 1n;
    const { since, before } = range;
    if (end <= from) return [from, from];
    return [
      since === undefined ? from : firstSince(db, source, since, from, end),
      before === undefined ? end : firstSince(db, source, before, from, end),
    ];
  };

  const toEntry = (db: Database, source: string, number: bigint, bytes: Buffer, isWhole: boolean): Entry => {
    const found = readRecord(bytes);
    if (found === undefined) throw damaged(`number ${number} of the source ${quoted(source)} is unreadable`);
    const { nonce, ...rest } = found;
    const entry: Entry = { source, number, ...rest };
    if (!isWhole || keys === undefined) return entry;
    try {
      const stored = db.get(numberKey("body", source, number));
      const body = stored && readBody("body", { source, number }, stored, keys.of);
      const key = keys.of(found.epoch);
      if (body !== undefined) entry.bytes = body;
      else if (nonce !== undefined && key !== undefined) {
        entry.nonce = openNonce({ source, number }, nonce, key.tenantKey);
      }
      return entry;
    } catch (cause) {
      const what = `number ${number} of the source ${quoted(source)} is not what was written`;
      throw cause instanceof JournalError ? cause : damaged(what, cause);
    }
  };

  function* entries(source: string, range: EntryRange = {}): Generator<Entry, void> {
    const isWhole = range.withoutBytes !== true;
    let from: bigint | undefined = range.from ?? 1n;
    // The end moves while it is read, where the range leaves it open.
    while (from !== undefined) {
      const start: bigint = from;
      const { page, next } = read((db) => pageOf(db, source, { ...range, from: start }, isWhole));
      yield* page;
      from = next;
    }
  }

  const pageOf = (db: Database, source: string, range: EntryRange, isWhole: boolean) => {
    const page: Entry[] = [];
    let bytes = 0;
    const [from, end] = boundsOf(db, source, range);
    for (let number = from; number < end; number++) {
      const entry = toEntry(db, source, number, record(db, source, number), isWhole);
      page.push(entry);
      bytes += entry.bytes?.length ?? 0;
      if (page.length === PAGE.events || bytes > PAGE.bytes) return { page, next: number + 1n };
    }
    return { page, next: undefined };
  };

  let cursorsKey: Uint8Array | undefined;
  /** As any of the epochs has it whose key is at hand. */
  const keyOfCursors = (db: Database): Uint8Array | undefined => {
    if (cursorsKey !== undefined || keys === undefined) return cursorsKey;
    for (const { key, value } of db.getRange(allOf("cursorKey"))) {
      const tenantKey = keys.of(epochOf(key))?.tenantKey;
      if (tenantKey === undefined) continue;
      cursorsKey = openCursorKey(value, tenantKey);
      return cursorsKey;
    }
    return undefined;
  };
  const toCursor = (db: Database, key: Buffer, value: Buffer): string => {
    try {
      return readCursor(key, value, keyOfCursors(db));
    } catch (cause) {
      throw damaged(
        "where a source stands is not what was written, or the keys of its epochs are gone",
        cause,
      );
    }
  };

  const reader = {
    sources: () => read((db) => headers(db).map((of) => stateOf(db, of))),
    entries,
    cursor: (source: string, key: string) =>
      read((db) => {
        const stored = cursorKey(source, key);
        const value = db.get(stored);
        return value && toCursor(db, stored, value);
      }),
    *gaps(source: string, range: EntryRange = {}): Generator<Entry, void> {
      const [from, end] = read((db) => boundsOf(db, source, range));
      // Few: what is missing is the exception.
      const numbers = read((db) => [...db.getKeys(within("gap", source, from, end))].map(numberOf));
      for (const number of numbers) yield* entries(source, { ...range, from: number, to: number });
    },
    *receipts({
      from = 0,
      to = 2 ** 53 - 1,
    } = {}): Generator<Receipt & { batch: readonly Outgoing[] }, void> {
      let start = receiptKey(from, 0);
      for (;;) {
        const bounds = { start, end: receiptKey(to, 0), limit: 2 };
        const [found, next] = read((db) => [...db.getRange(bounds)]);
        if (found === undefined) return;
        yield read((db) => toReceipt(db, found.value));
        if (next === undefined) return;
        start = Buffer.from(next.key);
      }
    },
  };

  const toReceipt = (db: Database, bytes: Buffer) => {
    const { runs: made, ...receipt }: Receipt & { runs: [string, string, string][] } = JSON.parse(
      bytes.toString("utf8"),
    );
    const batch = made.flatMap(([source, from, to]) => outgoing(db, source, BigInt(from), BigInt(to) + 1n));
    return { ...receipt, batch };
  };

  const outgoing = (db: Database, source: string, from: bigint, end: bigint): Outgoing[] => {
    const found: Outgoing[] = [];
    for (let number = from; number < end; number++) {
      found.push({ source, number, commitment: commitmentOf(record(db, source, number)) });
    }
    return found;
  };

  /** Where the next turn begins, so that with many sources none waits for ever. */
  let turn = 0;
  return {
    ...reader,
    header: (source: string) => read((db) => header(db, source)),
    keyOfCursors: () => read(keyOfCursors),
    cursors: (source: string, prefix: string) =>
      read((db) => {
        const start = cursorKey(source, prefix);
        const found: [string, string][] = [];
        for (const { key, value } of db.getRange({ start })) {
          if (!key.subarray(0, start.length).equals(start)) break;
          found.push([cursorOf(key), toCursor(db, Buffer.from(key), value)]);
        }
        return found;
      }),
    forwards: (source: string, limit: number) =>
      read((db) => {
        const found: { id: bigint; message: Uint8Array }[] = [];
        let bytes = 0;
        for (const { key, value } of db.getRange(within("forward", source, 0n, undefined))) {
          if (found.length === limit || bytes > FORWARD_BYTES) break;
          const id = numberOf(key);
          if (keys === undefined) break;
          const message = readMessage(source, id, value, keys);
          // Its epoch was shredded: nobody can send it on any more.
          if (message === undefined) continue;
          bytes += message.length;
          found.push({ id, message });
        }
        return found;
      }),
    isOutgoing: () => read((db) => headers(db).some(({ next, posted }) => posted + 1n < next)),
    outbox: (limit: number): Outgoing[] =>
      read((db) => {
        const waiting = headers(db).filter(({ next, posted }) => posted + 1n < next);
        turn = (turn + 1) % Math.max(1, waiting.length);
        const order = [...waiting.slice(turn), ...waiting.slice(0, turn)];
        const given = shares(order, limit);
        return order.flatMap(({ source, posted }, i) =>
          outgoing(db, source, posted + 1n, posted + 1n + (given[i] ?? 0n)),
        );
      }),
    unsealed: (limit: number): Outgoing[] =>
      read((db) => {
        const oldest = headers(db)
          .flatMap(({ source }) => runs(db, source, limit).map((run) => ({ ...run, source })))
          .sort((a, b) => a.postedAt - b.postedAt);
        const found: Outgoing[] = [];
        for (const { source, from, to } of oldest) {
          const room = BigInt(limit - found.length);
          if (room === 0n) break;
          found.push(...outgoing(db, source, from, to - from < room ? to + 1n : from + room));
        }
        return found;
      }),
    boundsOf: (source: string, range: EntryRange) => read((db) => boundsOf(db, source, range)),
    /** @throws JournalError `other_key` where nobody can tell any more how far its sources are. */
    checkCursors: () =>
      read((db) => {
        // Without it each source would be read from its beginning again, and its events be there twice.
        const epochs = [...db.getKeys(allOf("cursorKey"))].map(epochOf);
        if (epochs.length > 0 && keyOfCursors(db) === undefined) {
          throw otherKey(
            folder,
            `where its sources stand is under the keys of the epochs ${epochs.join(", ")}`,
          );
        }
      }),
    /** @throws JournalError `other_key` where an epoch that it knows has another tenant key. */
    checkKeys: (of: EpochKeys) =>
      read((db) => {
        for (const { key, value } of db.getRange(allOf("epoch"))) {
          const known = of.of(epochOf(key));
          if (known === undefined || keyCheck(known.tenantKey).equals(value)) continue;
          throw otherKey(folder, `epoch ${epochOf(key)} has another tenant key`);
        }
      }),
  };

  function readMessage(source: string, id: bigint, value: Buffer, of: EpochKeys) {
    try {
      return readBody("forward", { source, number: id }, value, of.of);
    } catch (cause) {
      throw damaged(`a message of the source ${quoted(source)} is not what was written`, cause);
    }
  }
}

/** How many each source gives: as many as any other, as far as it has them. */
function shares(waiting: readonly Header[], limit: number): bigint[] {
  const left = waiting.map(({ next, posted }) => next - 1n - posted);
  const given = left.map(() => 0n);
  let room = BigInt(limit);
  for (let open = left.filter((n) => n > 0n).length; room > 0n && open > 0; ) {
    const each = room / BigInt(open) || 1n;
    for (const [i, n] of left.entries()) {
      const some = [each, n, room].reduce((a, b) => (a < b ? a : b));
      given[i] = (given[i] ?? 0n) + some;
      left[i] = n - some;
      room -= some;
    }
    open = left.filter((n) => n > 0n).length;
  }
  return given;
}

const within = (
  kind: "record" | "gap" | "forward" | "run",
  source: string,
  from: bigint,
  end: bigint | undefined,
) => ({
  start: numberKey(kind, source, from),
  end: numberKey(kind, source, end ?? 2n ** 64n - 1n),
});
