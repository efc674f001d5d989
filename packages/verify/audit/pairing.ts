/**
 * Which record is of which event. A commitment says nothing of its event, so that a record is of an event is seen by
 * trying: the likely ones first, by name and by order, and the rest within a bound. Pure; no I/O.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { openCommitment } from "../events/commitment.ts";
import { EventError } from "../events/error.ts";
import type { ExportedEvent } from "./audit.ts";

/** `path` is what it goes by: the folders, the file and maybe the line, with `/` between. */
export type PairedRecord = ExportedEvent & { path: string };
/** `derived` is what the tenant's keys make of it, the current one first, where there are any. */
export type PairedEvent = {
  event: string;
  line?: number;
  path: string;
  bytes: Uint8Array;
  /** What else its bytes may have been when it was committed to. */
  otherBytes?: readonly Uint8Array[];
  derived?: readonly ExportedEvent[];
};

/**
 * - `opened`: the record opens the event
 * - `changed`: by its name, or its place among the others, the event is that of the record, which does not open it
 * - `unopened`: no record opens it
 * - `unused`: the record opens no event
 * - `untold`: of so many events and these records, it would take too many tries to know which belong together
 */
export type Pair<E extends PairedEvent = PairedEvent> =
  | { kind: "opened" | "changed"; event: E; record: PairedRecord }
  | { kind: "unopened"; event: E }
  | { kind: "unused"; record: PairedRecord }
  | { kind: "untold"; events: number; records: PairedRecord[] };

/** Records that share a name and are tried with one event. */
const MAX_NAMESAKES = 64;
/** Records after and before that of the last event that was opened, and at the place of this one, that are tried with it. */
const NEAR = { after: 48, before: 16, place: 4 } as const;
/** The same once so many events in a row had none: they are in another order, or have no records. */
const LOST = 100;
const NEAR_WHEN_LOST = { after: 4, before: 0, place: 4 } as const;
/** How far on from the last record that was opened is tried at the end, as long as it helps: lines may be gone by the block. */
const REACH = [64, 1_024, 16_384] as const;
const MAX_MISSES = 32;
/** Tries of each event with each record, once all have been read: half a minute. */
const MAX_TRIES = 1_000_000;
/** Of the events that are kept for that. */
const MAX_KEPT_BYTES = 128 << 20;
/** Bytes that a copy of an event takes beside the event: its names. */
const KEPT_FOR_COPY = 512;

/** Call `add` with every event, in their order, then `finish`. */
export function startPairing<E extends PairedEvent>(given: readonly PairedRecord[], maxTries = MAX_TRIES) {
  const records = given.slice();
  const free = freeNumbers(records.length);
  const bySuffix = suffixes(records);
  const byCommitment = new Map(records.map(({ commitment }, number) => [commitment, number]));
  /** By the digest of an event, the record that opened it. */
  const opened = new Map<string, number>();
  let waiting: Waiting<E>[] = [];
  /** By the digest of an event that a record has opened already, those that are the same: each may have a record of its own. */
  const copies = new Map<string, { events: E[]; known: number }>();
  /** Copies that were not tried with every record that is free. */
  let untriedCopies = 0;
  let keptBytes = 0;
  let dropped = 0;
  /** After the record of the last event that was opened, one on for each event since. */
  let place = 0;
  let lastOpened = -1;
  let misses = 0;

  const opens = (number: number, { bytes, otherBytes = [] }: E): boolean => {
    const record = records[number];
    return record !== undefined && [bytes, ...otherBytes].some((one) => isOpening(record, one));
  };
  function* candidates(event: E): Generator<number> {
    const named = namesakes(bySuffix, event.path);
    yield* named.filter((number) => free.has(number));
    const near = misses < LOST ? NEAR : NEAR_WHEN_LOST;
    yield* free.from(lastOpened + 1, near.after);
    yield* free.from(place, near.place);
    yield* free.before(lastOpened + 1, near.before);
  }
  function find(event: E): number | undefined {
    for (const { commitment, opening } of event.derived ?? []) {
      const derived = byCommitment.get(commitment);
      const record = derived === undefined || !free.has(derived) ? undefined : records[derived];
      if (derived === undefined || record === undefined) continue;
      // The commitment is the key's. Nobody has checked the record's own opening: its source and number may be made up.
      records[derived] = { ...record, opening };
      return derived;
    }
    for (const number of candidates(event)) if (opens(number, event)) return number;
    return undefined;
  }
  /** The record that has opened another event, and opens this one too. With `jcs` their bytes may differ. */
  function findTaken(event: E): number | undefined {
    const known = opened.get(digestOf(event));
    if (known !== undefined) return known;
    for (const { commitment } of event.derived ?? []) {
      const derived = byCommitment.get(commitment);
      if (derived !== undefined) return derived;
    }
    return namesakes(bySuffix, event.path).find((number) => !free.has(number) && opens(number, event));
  }
  function take(event: E, number: number): Pair<E>[] {
    const record = records[number];
    if (record === undefined) return [];
    free.take(number);
    opened.set(digestOf(event), number);
    return [{ kind: "opened", event, record }];
  }

  /** From there on, and once all is in reach, those before it as well. */
  function* onFrom(start: number, reach: number): Generator<number> {
    yield* free.from(start, reach);
    if (reach === records.length) yield* free.before(start, reach);
  }
  let tries = maxTries;
  /** Tries the events that wait with so many records from the last one that was opened on, until too few are found. */
  function* tryOn(reach: number, maxMisses: number): Generator<Pair<E>> {
    const left: Waiting<E>[] = [];
    let missed = 0;
    let from = 0;
    for (const item of waiting) {
      let found: number | undefined;
      for (const number of missed < maxMisses ? onFrom(from, reach) : []) {
        if (--tries < 0) break;
        if (opens(number, item.event)) found = number;
        if (found !== undefined) break;
      }
      if (found === undefined) {
        left.push(item);
        missed += 1;
        continue;
      }
      yield* take(item.event, found);
      from = found + 1;
      missed = 0;
    }
    waiting = left;
  }
  /** Tries every event that waits with every record that is free, while there are tries. True if all were tried. */
  function* tryAll(): Generator<Pair<E>, boolean> {
    for (const reach of REACH) if (reach < records.length) yield* tryOn(reach, MAX_MISSES);
    yield* tryOn(records.length, Number.POSITIVE_INFINITY);
    return tries >= 0 && dropped === 0;
  }
  function addCopy(event: E, known: number): Pair<E>[] {
    if (free.from(0, 1).next().done) return take(event, known);
    const digest = digestOf(event);
    const same = copies.get(digest);
    keptBytes += KEPT_FOR_COPY + (same === undefined ? event.bytes.length : 0);
    if (keptBytes > MAX_KEPT_BYTES) {
      untriedCopies += 1;
      return take(event, known);
    }
    const bytes = same?.events[0]?.bytes ?? event.bytes;
    if (same === undefined) copies.set(digest, { events: [event], known });
    else same.events.push({ ...event, bytes });
    return [];
  }
  /** Each copy with a record of its own that opens it, and with the one that is taken where there is none. */
  function* takeCopies(): Generator<Pair<E>, boolean> {
    for (const { events, known } of copies.values()) {
      let own = 0;
      for (const number of free.from(0, records.length)) {
        const event = events[own];
        if (event === undefined || --tries < 0) break;
        if (!opens(number, event)) continue;
        yield* take(event, number);
        own += 1;
      }
      if (tries < 0) untriedCopies += events.length - own;
      for (const event of events.slice(own)) yield* take(event, known);
    }
    return untriedCopies === 0;
  }
  /** The records that are of the events that wait, by their names, and then by their places. */
  function counterparts(): Map<Waiting<E>, number> {
    const found = new Map<Waiting<E>, number>();
    const pair = (item: Waiting<E>, number: number | undefined): void => {
      if (number === undefined) return;
      free.take(number);
      found.set(item, number);
    };
    for (const item of waiting) {
      const named = namesakes(bySuffix, item.event.path).filter((number) => free.has(number));
      const own = named.find((number) => records[number]?.path === item.event.path);
      pair(item, own ?? (named.length === 1 ? named[0] : undefined));
    }
    // As many events as records between the same two neighbours: each is in the place of the other.
    const byGap = new Map<number, Waiting<E>[]>();
    const gaps = freeRuns(free, records.length);
    for (const item of waiting) {
      const gap = found.has(item) ? undefined : gaps.of(item.place);
      if (gap !== undefined)
        byGap
          .set(gap, byGap.get(gap) ?? [])
          .get(gap)
          ?.push(item);
    }
    for (const [gap, items] of byGap) {
      if (items.length === gaps.length(gap)) for (const [i, item] of items.entries()) pair(item, gap + i);
    }
    return found;
  }

  return {
    /** What is known of the event at once: nothing, when it has to wait for the others. */
    add(event: E): Pair<E>[] {
      const number = records.length === 0 ? undefined : find(event);
      if (number !== undefined) {
        place = number + 1;
        lastOpened = number;
        misses = 0;
        return take(event, number);
      }
      const taken = records.length === 0 ? undefined : findTaken(event);
      if (taken !== undefined) return addCopy(event, taken);
      if (records.length === 0) return [{ kind: "unopened", event }];
      keptBytes += event.bytes.length;
      if (keptBytes > MAX_KEPT_BYTES) dropped += 1;
      else waiting.push({ event, place });
      place += 1;
      misses += 1;
      return [];
    },
    *finish(): Generator<Pair<E>> {
      const areTried = yield* tryAll();
      const waited = waiting;
      waiting = [];
      for (const item of waited) {
        // The same as one that came after it, and was opened.
        const known = opened.get(digestOf(item.event));
        if (known === undefined) waiting.push(item);
        else yield* addCopy(item.event, known);
      }
      const areCopiesTried = yield* takeCopies();
      // Names and places say nothing while another record may open the event: files may have been renamed, lines moved.
      const found = areTried && areCopiesTried ? counterparts() : new Map<Waiting<E>, number>();
      let untold = dropped;
      for (const item of waiting) {
        const record = records[found.get(item) ?? -1];
        if (record !== undefined) yield { kind: "changed", event: item.event, record };
        else if (areTried) yield { kind: "unopened", event: item.event };
        else untold += 1;
      }
      const rest = [...free.from(0, records.length)].flatMap((number) => records[number] ?? []);
      if (rest.length > 0) untold += untriedCopies;
      if (untold > 0) yield { kind: "untold", events: untold, records: rest };
      else for (const record of rest) yield { kind: "unused", record };
    },
  };
}

/** `place` is where its record would be among the others. */
type Waiting<E> = { event: E; place: number };

function isOpening({ opening, commitment }: PairedRecord, bytes: Uint8Array): boolean {
  try {
    return bytesToHex(openCommitment(opening, bytes)) === commitment;
  } catch (error) {
    if (error instanceof EventError) return false;
    throw error;
  }
}

/** Half of a digest will do: who finds two events of one has only called one a copy of the other. */
const digestOf = ({ bytes }: PairedEvent): string => bytesToHex(sha256(bytes).subarray(0, 16));

/** Records by every suffix of their path, for the folder may have moved. */
function suffixes(records: readonly PairedRecord[]): Map<string, number[]> {
  const numbers = new Map<string, number[]>();
  for (const [number, { path }] of records.entries()) {
    for (const suffix of suffixesOf(path)) {
      const known = numbers.get(suffix);
      if (known === undefined) numbers.set(suffix, [number]);
      else if (known.length < MAX_NAMESAKES) known.push(number);
    }
  }
  return numbers;
}

/** The records whose path shares the longest suffix with this one. */
function namesakes(bySuffix: ReadonlyMap<string, number[]>, path: string): readonly number[] {
  const suffix = suffixesOf(path).find((suffix) => bySuffix.has(suffix));
  return bySuffix.get(suffix ?? "") ?? [];
}

/** `day/a.json` and `a.json` for `day/a.json`. */
function suffixesOf(path: string): string[] {
  const parts = path.split("/");
  return parts.map((_, i) => parts.slice(i).join("/"));
}

/** The numbers below `count` that were not taken. To go from one to the next takes no time, however many are between. */
type Free = ReturnType<typeof freeNumbers>;
function freeNumbers(count: number) {
  // Number n is at n + 1, with a free one at either end. Each leads to itself while it is free, and then on or back.
  const next = Int32Array.from({ length: count + 2 }, (_, at) => at);
  const last = next.slice();
  const has = (number: number): boolean => number >= 0 && number < count && next[number + 1] === number + 1;
  return {
    has,
    take(number: number): void {
      if (!has(number)) return;
      next[number + 1] = number + 2;
      last[number + 1] = number;
    },
    /** At most so many from this one on. */
    *from(start: number, most: number): Generator<number> {
      let at = follow(next, Math.min(start, count) + 1);
      for (let i = 0; i < most && at <= count; i++) {
        yield at - 1;
        at = follow(next, at + 1);
      }
    },
    /** At most so many before this one, the nearest first. */
    *before(start: number, most: number): Generator<number> {
      let at = follow(last, Math.min(start, count));
      for (let i = 0; i < most && at >= 1; i++) {
        yield at - 1;
        at = follow(last, at - 1);
      }
    },
  };
}

/** Where the links from here end. The way there is shortened, for the next time. */
function follow(links: Int32Array, start: number): number {
  let end = start;
  for (let link = links[end] ?? end; link !== end; link = links[end] ?? end) end = link;
  for (let at = start; at !== end; ) {
    const link = links[at] ?? end;
    links[at] = end;
    at = link;
  }
  return end;
}

/** Runs of free numbers, each by its first. */
function freeRuns(free: Free, count: number) {
  const starts = new Map<number, number>();
  const lengths = new Map<number, number>();
  let start = -1;
  for (let number = 0; number < count; number++) {
    if (!free.has(number)) continue;
    if (number === 0 || !free.has(number - 1)) start = number;
    starts.set(number, start);
    lengths.set(start, (lengths.get(start) ?? 0) + 1);
  }
  return {
    of: (number: number): number | undefined => starts.get(number),
    length: (start: number): number => lengths.get(start) ?? 0,
  };
}
