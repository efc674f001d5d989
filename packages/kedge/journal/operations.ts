/** What is written to the journal, each within a transaction that others may share. Whoever calls sees to the commit. */
import { commitEvent } from "@kedge/verify/events/commitment";
import { GAP_MEDIA_TYPE } from "@kedge/verify/events/gap";
import { quoted } from "@kedge/verify/text";
import type { Database } from "../lmdb/open.ts";
import { JournalError } from "./error.ts";
import { NATIVE } from "./hashes.ts";
import {
  allOf,
  cursorKey,
  epochKey,
  type Header,
  headerKey,
  keyCheck,
  type NumberedKind,
  newCursorKey,
  newHeader,
  numberKey,
  openCursorKey,
  type Run,
  readHeader,
  readRecord,
  readRun,
  receiptCountOf,
  receiptKey,
  sealCursorKey,
  setIndex,
  writeBody,
  writeCursor,
  writeHeader,
  writeRecord,
  writeRun,
} from "./layout.ts";
import type { EpochKey, Receipt } from "./types.ts";

/** Numbers of a source one after the other, both ends included. */
export type Numbers = { source: string; from: bigint; to: bigint };

export type Operation =
  /** Makes the source's header when it is new, and its owner this one: whoever was it before takes nothing more. */
  | { kind: "begin"; source: string; owner: bigint }
  | {
      kind: "take";
      source: string;
      owner: bigint;
      arrivals: readonly { mediaType: string; notes: readonly string[]; length: number }[];
      /** Lengths of the messages for the upstream. */
      forward: readonly number[];
      /** Of the arrivals, then of those messages, without anything between. */
      bytes: Uint8Array<ArrayBuffer>;
      cursors: readonly (readonly [key: string, value: string | undefined])[];
      passedBy: number;
    }
  | { kind: "forwarded"; source: string; owner: bigint; id: bigint }
  | { kind: "posted"; runs: readonly Numbers[]; receipt: Receipt }
  | { kind: "sealed"; source: string; from: bigint; indices: readonly bigint[] }
  /** Bodies away, from a number on; of each the nonce as it is kept, where it is known. */
  | { kind: "drop"; source: string; from: bigint; nonces: readonly (Uint8Array | undefined)[] };

/** What a transaction is given: the key that is current, the time, and that of cursors where it is known. */
export type Moment = { key: EpochKey; now: number; cursorKey?: Uint8Array | undefined };

/** What a take gave: its first number, for the others follow it. */
export type Outcome = bigint | undefined;

/** Their messages are parts of sentences: error.ts. */
const damaged = (what: string) => new JournalError("damaged", what);
const otherKey = (epoch: number) => new JournalError("other_key", `epoch ${epoch} has another tenant key`);

/** The changes of one transaction. @throws JournalError on what contradicts itself: nothing may be committed then. */
export function transaction(db: Database, { key, now, cursorKey: knownCursorKey }: Moment) {
  const headers = new Map<string, Header>();
  const headerOf = (source: string): Header => {
    const known = headers.get(source);
    if (known !== undefined) return known;
    const stored = db.get(headerKey(source));
    const header = stored && readHeader(stored);
    if (header?.source !== source) throw damaged("a source is gone from it, or unreadable");
    headers.set(source, header);
    return header;
  };

  /** Of a journal that is kept plain there is none. In the first transaction under an epoch, it is written down for it. */
  const keyOfCursors = ((): (() => Uint8Array | undefined) => {
    let found: Uint8Array | undefined;
    return () => {
      if (key.bodyKey === undefined || found !== undefined) return found;
      const wrapped = db.get(epochKey(key.epoch, "cursorKey"));
      if (wrapped !== undefined) {
        found = openCursorKey(wrapped, key.tenantKey);
        return found;
      }
      const isFirst = [...db.getKeys({ ...allOf("cursorKey"), limit: 1 })].length === 0;
      found = isFirst ? newCursorKey() : knownCursorKey;
      if (found === undefined)
        throw new JournalError("other_key", "no key is known that its cursors are under");
      db.putSync(epochKey(key.epoch, "cursorKey"), sealCursorKey(found, key.tenantKey));
      return found;
    };
  })();

  /** Two that do not see each other, as from two containers, are told apart here. */
  const ownedBy = ({ source, owner }: { source: string; owner: bigint }): Header => {
    const header = headerOf(source);
    if (header.owner !== owner) throw new JournalError("in_use", quoted(source));
    return header;
  };

  const apply = (operation: Operation): Outcome => {
    switch (operation.kind) {
      case "begin":
        if (db.get(headerKey(operation.source)) === undefined) {
          headers.set(operation.source, newHeader(operation.source));
        }
        headerOf(operation.source).owner = operation.owner;
        return undefined;
      case "take":
        return take(operation);
      case "forwarded":
        ownedBy(operation);
        removeUpTo("forward", operation.source, operation.id);
        return undefined;
      case "posted":
        return posted(operation);
      case "sealed":
        return sealed(operation);
      case "drop":
        return drop(operation);
    }
  };

  const take = (taking: Extract<Operation, { kind: "take" }>): bigint => {
    const { source, bytes } = taking;
    const header = ownedBy(taking);
    const first = header.next;
    // Its clock may be set back.
    if (taking.arrivals.length > 0) header.at = Math.max(header.at, now);
    let at = 0;
    const part = (length: number) => {
      at += length;
      return bytes.subarray(at - length, at);
    };
    for (const { mediaType, notes, length } of taking.arrivals) {
      const number = header.next++;
      const body = part(length);
      const { commitment } = commitEvent({ bytes: body, mediaType, source, sequence: number }, key, NATIVE);
      const record = {
        at: header.at,
        epoch: key.epoch,
        commitment: Buffer.from(commitment),
        mediaType,
        notes,
      };
      db.putSync(numberKey("record", source, number), writeRecord(record));
      db.putSync(numberKey("body", source, number), writeBody("body", { source, number }, body, key));
      if (mediaType !== GAP_MEDIA_TYPE) continue;
      header.gaps++;
      db.putSync(numberKey("gap", source, number), Buffer.alloc(0));
    }
    for (const length of taking.forward) {
      const number = header.forward++;
      const message = writeBody("forward", { source, number }, part(length), key);
      db.putSync(numberKey("forward", source, number), message);
    }
    for (const [name, value] of taking.cursors) {
      const stored = cursorKey(source, name);
      if (value === undefined) db.removeSync(stored);
      else db.putSync(stored, writeCursor(stored, value, keyOfCursors()));
    }
    header.passedBy += BigInt(taking.passedBy);
    return first;
  };

  const posted = ({ runs, receipt }: Extract<Operation, { kind: "posted" }>): undefined => {
    for (const { source, from, to } of runs) {
      const header = headerOf(source);
      if (from > header.posted + 1n || to >= header.next)
        throw damaged("what was posted is not what is next");
      // Posted before, by another.
      if (to <= header.posted) continue;
      const first = header.posted + 1n;
      db.putSync(numberKey("run", source, first), writeRun({ from: first, to, postedAt: receipt.postedAt }));
      header.posted = to;
    }
    const [last] = [
      ...db.getKeys({
        start: receiptKey(receipt.postedAt, 2 ** 32 - 1),
        end: receiptKey(receipt.postedAt, 0),
        inclusiveEnd: true,
        reverse: true,
        limit: 1,
      }),
    ];
    const count = last === undefined ? 0 : receiptCountOf(last) + 1;
    const value = { ...receipt, runs: runs.map(({ source, from, to }) => [source, `${from}`, `${to}`]) };
    db.putSync(receiptKey(receipt.postedAt, count), Buffer.from(JSON.stringify(value)));
  };

  const sealed = ({ source, from, indices }: Extract<Operation, { kind: "sealed" }>): undefined => {
    const header = headerOf(source);
    const to = from + BigInt(indices.length) - 1n;
    if (to > header.posted) throw damaged("what is sealed was never posted");
    for (const [i, index] of indices.entries()) {
      const recordKey = numberKey("record", source, from + BigInt(i));
      const record = db.get(recordKey);
      if (record === undefined) throw damaged(`the record of number ${from + BigInt(i)} is gone from it`);
      if (!setIndex(record, index)) continue;
      header.sealed++;
      db.putSync(recordKey, record);
    }
    for (const run of runsWithin(source, from, to)) {
      db.removeSync(numberKey("run", source, run.from));
      if (run.from < from) putRun(source, { ...run, to: from - 1n });
      if (run.to > to) putRun(source, { ...run, from: to + 1n });
    }
  };
  const putRun = (source: string, run: Run) => db.putSync(numberKey("run", source, run.from), writeRun(run));
  /** Those that have a number in common with from–to. */
  const runsWithin = (source: string, from: bigint, to: bigint): Run[] => {
    const bounds = { start: numberKey("run", source, to), end: numberKey("run", source, 0n) };
    const runs: Run[] = [];
    for (const { key: runKey, value } of db.getRange({ ...bounds, reverse: true })) {
      const run = readRun(runKey, value);
      if (run.to < from) break;
      runs.push(run);
    }
    return runs;
  };

  const drop = ({ source, from, nonces }: Extract<Operation, { kind: "drop" }>): undefined => {
    const header = headerOf(source);
    for (const [i, nonce] of nonces.entries()) {
      const number = from + BigInt(i);
      db.removeSync(numberKey("body", source, number));
      const stored = db.get(numberKey("record", source, number));
      const record = stored && readRecord(stored);
      if (record === undefined) throw damaged(`the record of number ${number} is gone from it`);
      if (nonce === undefined || record.nonce !== undefined) continue;
      db.putSync(numberKey("record", source, number), writeRecord({ ...record, nonce: Buffer.from(nonce) }));
    }
    const to = from + BigInt(nonces.length) - 1n;
    if (from <= header.dropped + 1n && to > header.dropped) header.dropped = to;
  };

  const removeUpTo = (kind: NumberedKind, source: string, number: bigint) => {
    const bounds = { start: numberKey(kind, source, 0n), end: numberKey(kind, source, number + 1n) };
    for (const stored of [...db.getKeys(bounds)]) db.removeSync(stored);
  };

  return {
    apply,
    /** Before the commit. */
    finish() {
      const known = db.get(epochKey(key.epoch));
      if (known === undefined) db.putSync(epochKey(key.epoch), keyCheck(key.tenantKey));
      else if (!known.equals(keyCheck(key.tenantKey))) throw otherKey(key.epoch);
      keyOfCursors();
      for (const [source, header] of headers) db.putSync(headerKey(source), writeHeader(header));
    },
  };
}
