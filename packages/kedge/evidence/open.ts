/**
 * Which commitment an event of an export has: that of the record that opens it, found by name, by order, and by trying; or
 * what the tenant's keys make of it. Nothing is asked of anybody. Runs in a browser.
 */

import { type Pair, type PairedEvent, type PairedRecord, startPairing } from "@kedge/verify/audit/pairing";
import type { Canonicalisation } from "@kedge/verify/events/canonical";
import { commitEvent, openCommitment } from "@kedge/verify/events/commitment";
import { EventError } from "@kedge/verify/events/error";
import type { Columns } from "@kedge/verify/events/formats/columns";
import { readColumns } from "@kedge/verify/events/formats/formats";
import { mediaTypeOf } from "@kedge/verify/events/media";
import { instantOf, UTC } from "@kedge/verify/pack/time";
import { proofName } from "@kedge/verify/proof/names";
import type { VerifyClaim } from "@kedge/verify/proof/verify";
import { bytesToHex } from "@noble/hashes/utils.js";
import { ownName } from "./given.ts";
import type { Commits, ExportedEvent, GivenRecord, OpenedEvent, OtherCommits, Proofs } from "./types.ts";

export type OpenOptions = {
  /** With them, what no record opens has a commitment by a key alone. */
  records?: readonly GivenRecord[];
  /** The tenant's, 32 bytes each, the current one first. Of an event that was numbered they make none: its record does. */
  tenantKeys?: readonly Uint8Array[];
  /** How events were committed that only keys open; `raw` when absent. */
  canonicalisation?: Canonicalisation;
};

/** What is left once all events were gone through. */
export type OpenRest = {
  /** Records that open no event of the export. */
  unused: readonly GivenRecord[];
  /**
   * Of so many events it would take too many tries to find their records. It takes none with the tenant key, and few where
   * the events are in the order of the records or of time.
   */
  untold: number;
};

/**
 * Each event once it is known what opens it; what nothing opens comes last. Long work is done between two of them: whoever
 * shows progress counts what goes in and what comes out.
 */
export function* openEvents(
  events: Iterable<ExportedEvent>,
  { records = [], ...keys }: OpenOptions,
): Generator<OpenedEvent, OpenRest> {
  const derive = deriver(keys);
  if (records.length === 0) return yield* deriveAll(events, derive);
  const rest = new Map<ExportedEvent, GivenRecord | undefined>();
  const headers: ExportedEvent[] = [];
  const wholes = new Map<string, ExportedEvent>();
  const opened = new Set<string>();
  let unused: PairedRecord[] = [];
  let untold = 0;
  function* take(pairs: Iterable<Pair<Paired>>): Generator<OpenedEvent> {
    for (const pair of pairs) {
      if (pair.kind === "unused") unused.push(pair.record);
      else if (pair.kind === "untold") [unused, untold] = [pair.records, pair.events];
      else if (pair.kind === "changed") rest.set(pair.event.exported, recordOf(pair.record));
      else if (pair.kind === "opened") {
        rest.delete(pair.event.exported);
        opened.add(pair.event.exported.file);
        yield openedBy(pair.event.exported, recordOf(pair.record));
      }
    }
  }
  const pairing = startPairing<Paired>(
    records.map((record) => ({ ...record, path: proofName(record.event, record.line) })),
    FIRST_TRIES,
  );
  for (const event of events) {
    if (event.whole !== undefined && !wholes.has(event.file)) wholes.set(event.file, wholeOf(event));
    if (event.isHeader) headers.push(event);
    else {
      rest.set(event, undefined);
      yield* take(pairing.add(pairedOf(event, derive)));
    }
  }
  yield* take(pairing.finish());
  if (untold > 0) {
    // An export has another order than a journal, yet both can be put into that of time.
    const again = startPairing<Paired>(unused);
    [unused, untold] = [[], 0];
    for (const event of [...rest.keys()].toSorted(byTime)) yield* take(again.add(pairedOf(event, derive)));
    yield* take(again.finish());
  }
  const left = new Set(unused.map(recordOf));
  // That a name or a place led to a record means nothing once the record opens something else.
  const claims = new Map(
    [...rest].flatMap(([other, record]) => (record === undefined ? [] : [[record, other]])),
  );
  const find = finder([...left, ...claims.keys()]);
  function openPart(event: ExportedEvent): OpenedEvent | undefined {
    const record = find(event);
    if (record === undefined) return undefined;
    left.delete(record);
    const other = claims.get(record);
    if (other !== undefined && rest.has(other)) rest.set(other, undefined);
    opened.add(event.file);
    return openedBy(event, record);
  }
  for (const event of headers) {
    const part = openPart(event);
    if (part !== undefined) yield part;
  }
  for (const [file, event] of wholes) {
    const part = opened.has(file) ? undefined : openPart(event);
    if (part === undefined) continue;
    for (const other of rest.keys()) if (other.file === file) rest.delete(other);
    yield part;
  }
  for (const [event, changedFrom] of rest) {
    yield { ...derivedOf(event, derive), ...(changedFrom === undefined ? {} : { changedFrom }) };
  }
  return { unused: [...left], untold };
}

/** Before what is left is put into the order of time: a few seconds' worth. */
const FIRST_TRIES = 20_000;

// ---- records ------------------------------------------------------------------------------------------------------

type Paired = PairedEvent & { exported: ExportedEvent };

function pairedOf(exported: ExportedEvent, derive: Derive): Paired {
  const { file, line, bytes, otherBytes } = exported;
  const derived = derive(exported);
  return {
    ...{ exported, event: file, bytes, path: proofName(file, line) },
    ...(line === undefined ? {} : { line }),
    ...(otherBytes === undefined ? {} : { otherBytes }),
    ...(derived.length > 0 && { derived: derived.map((commits) => ({ event: file, ...commits })) }),
  };
}

const recordOf = ({ event, line, commitment, opening }: PairedRecord): GivenRecord => ({
  event,
  ...(line === undefined ? {} : { line }),
  commitment,
  opening,
});

/** By those of its bytes that the record opens. With `jcs` they may be others than were committed to. */
function openedBy(event: ExportedEvent, { commitment, opening }: GivenRecord): OpenedEvent {
  const { bytes, otherBytes = [] } = event;
  const other = otherBytes.length > 0 && commitmentOf({ opening }, bytes) !== commitment;
  const own = other && otherBytes.find((one) => commitmentOf({ opening }, one) === commitment);
  return { ...event, bytes: own || bytes, columns: columnsOf(event, opening.mediaType), commitment, opening };
}

function commitmentOf({ opening }: Pick<GivenRecord, "opening">, bytes: Uint8Array): string | undefined {
  try {
    return bytesToHex(openCommitment(opening, bytes));
  } catch (error) {
    if (error instanceof EventError) return undefined;
    throw error;
  }
}

/** Records that are tried with a header, or with a file as a whole, beside those of its name. */
const MAX_TRIED = 256;
/** Bytes that are hashed for it: 256 records of a file of 300 MB would take a quarter of an hour. */
const MAX_HASHED = 1 << 28;

/** The record that opens an event, each once. */
function finder(records: readonly GivenRecord[]): (event: ExportedEvent) => GivenRecord | undefined {
  const free = new Set(records);
  const byName = grouped(records);
  return (event) => {
    const likely = byName.get(ownName(event.file)) ?? [];
    const most = Math.min(MAX_TRIED, Math.floor(MAX_HASHED / Math.max(1, event.bytes.length)));
    for (const record of new Set([...likely.slice(0, most), ...firstOf(free, most)])) {
      const isOpen = [event.bytes, ...(event.otherBytes ?? [])].some(
        (bytes) => commitmentOf(record, bytes) === record.commitment,
      );
      if (isOpen && free.delete(record)) return record;
    }
    return undefined;
  };
}

function grouped(records: readonly GivenRecord[]): ReadonlyMap<string, GivenRecord[]> {
  const groups = new Map<string, GivenRecord[]>();
  for (const record of records) {
    const name = ownName(record.event);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [record]);
    else group.push(record);
  }
  return groups;
}

function* firstOf<T>(items: Iterable<T>, count: number): Generator<T> {
  let left = count;
  for (const item of items) {
    if (left-- <= 0) return;
    yield item;
  }
}

function wholeOf({ file, whole = new Uint8Array() }: ExportedEvent): ExportedEvent {
  return { file, bytes: whole, mediaType: mediaTypeOf(file, whole.subarray(0, 1 << 16)) };
}

function byTime(a: ExportedEvent, b: ExportedEvent): number {
  return timeOf(a) - timeOf(b);
}

const times = new WeakMap<ExportedEvent, number>();

/** Only to put them in order: the zone of times without an offset does not matter. */
function timeOf(event: ExportedEvent): number {
  const known = times.get(event) ?? instantOf(columnsOf(event).when, UTC) ?? 0;
  times.set(event, known);
  return known;
}

// ---- keys ---------------------------------------------------------------------------------------------------------

/** What an event may be committed as, the likeliest first; nothing without keys, or where it cannot be committed to. */
type Derive = (event: ExportedEvent) => OtherCommits[];

function deriver({ tenantKeys = [], canonicalisation = "raw" }: Omit<OpenOptions, "records">): Derive {
  return ({ bytes, otherBytes = [], mediaType }) =>
    tenantKeys.flatMap((tenantKey) =>
      [bytes, ...otherBytes].flatMap((one) => {
        try {
          const made = commitEvent({ bytes: one, mediaType, canonicalisation }, { tenantKey });
          return { commitment: bytesToHex(made.commitment), opening: made.opening, bytes: one };
        } catch (error) {
          if (error instanceof EventError) return [];
          throw error;
        }
      }),
    );
}

function* deriveAll(events: Iterable<ExportedEvent>, derive: Derive): Generator<OpenedEvent, OpenRest> {
  let file: string | undefined;
  for (const event of events) {
    if (event.whole !== undefined && event.file !== file) {
      file = event.file;
      yield* perhaps(wholeOf(event), derive);
    }
    if (event.isHeader) yield* perhaps(event, derive);
    else yield derivedOf(event, derive);
  }
  return { unused: [], untold: 0 };
}

function* perhaps(event: ExportedEvent, derive: Derive): Generator<OpenedEvent> {
  const opened = derivedOf(event, derive);
  if (opened.commitment !== undefined) yield { ...opened, isPerhaps: true };
}

function derivedOf(event: ExportedEvent, derive: Derive): OpenedEvent {
  const [first, ...otherwise] = derive(event);
  const columns = columnsOf(event);
  return {
    ...{ ...event, ...first, columns },
    ...(otherwise.length > 0 && { otherwise }),
  };
}

/**
 * Events as the log knows them: each under the one of its commitments that `knows` says yes to. What is an event only if the
 * log knows it, a header or a file as a whole, is left out where it does not; and the parts of a file that it knows as a whole.
 */
export function settleEvents(
  events: readonly OpenedEvent[],
  knows: (commitment: string) => boolean,
): OpenedEvent[] {
  const settled = events.map((event) => settle(event, knows));
  const isKnown = ({ commitment }: OpenedEvent) => commitment !== undefined && knows(commitment);
  const wholes = new Set(
    settled.filter((event) => event.isPerhaps && !event.isHeader && isKnown(event)).map(({ file }) => file),
  );
  return settled.filter(
    (event) => isKnown(event) || !(event.isPerhaps || (event.whole !== undefined && wholes.has(event.file))),
  );
}

function settle(event: OpenedEvent, knows: (commitment: string) => boolean): OpenedEvent {
  const { otherwise = [], commitment, opening, ...rest } = event;
  if (commitment !== undefined && knows(commitment)) return event;
  const known = otherwise.find((other) => knows(other.commitment));
  if (known !== undefined) return { ...rest, ...known };
  // What a key makes of bytes that the log never had says less than the record that they were changed from.
  return event.changedFrom === undefined ? event : rest;
}

/** All that the log may know an event by. */
export const candidatesOf = ({ commitment, otherwise = [], changedFrom }: OpenedEvent): string[] =>
  [commitment, ...otherwise.map((other) => other.commitment), changedFrom?.commitment].filter(
    (hex) => hex !== undefined,
  );

/** What an event was committed as; of one that was changed, what the record is that was its own. */
export function commitsOf({ commitment, opening, changedFrom }: OpenedEvent): Commits | undefined {
  if (commitment !== undefined && opening !== undefined) return { commitment, opening };
  return changedFrom;
}

/**
 * What is verified of an event: its bytes against the proof of what it was committed as, or of the record that it was changed
 * from. Undefined where there is no proof: then nothing can be told of it.
 */
export function claimOf(event: OpenedEvent, proofs: Proofs): VerifyClaim | undefined {
  const commits = commitsOf(event);
  const proof = commits && proofs.get(commits.commitment)?.proof;
  if (commits === undefined || proof === undefined) return undefined;
  return { event: event.bytes, proof, opening: commits.opening };
}

// ---- columns ------------------------------------------------------------------------------------------------------

/** A row is read by its header, whatever media type it was committed with. */
function columnsOf({ bytes, mediaType, header, isHeader }: ExportedEvent, committedAs = mediaType): Columns {
  if (isHeader) return {};
  try {
    return readColumns(bytes, header === undefined ? committedAs : mediaType, header);
  } catch (error) {
    if (error instanceof EventError) return {};
    throw error;
  }
}
