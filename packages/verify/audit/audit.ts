/**
 * The audit of a tenant log: from all its entries, in order, to the root that they make, the checkpoints that were ever
 * signed of it, and the events of an export. Pure; no I/O.
 *
 * Trusted: the pinned keys. Hostile: entries, tiles, checkpoints and their times.
 */
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { COMMITMENT_BYTES, type Opening } from "../events/commitment.ts";
import type { Gap } from "../events/gap.ts";
import { type Evidence, type Fork, forkOf } from "../evidence/evidence.ts";
import { equalBytes } from "../tlog/bytes.ts";
import { parseCheckpoint } from "../tlog/checkpoint.ts";
import { TlogError } from "../tlog/error.ts";
import { extendFrontier, frontierRoot, leafHash, type Range } from "../tlog/merkle.ts";
import {
  decodeBundle,
  extendTiles,
  rightEdge,
  type Tile,
  type TileMap,
  tileKey,
  tilePath,
  tilesChanged,
  widthAt,
} from "../tlog/tile.ts";
import {
  finishFork,
  type GrowingFork,
  growFork,
  type NamedHead,
  openHead,
  type PinnedLog,
  type SignedHead,
  startFork,
} from "./heads.ts";

/** Bytes of one entry in a bundle: uint16 length and commitment. */
export const BUNDLED = 2 + COMMITMENT_BYTES;

/** The commitments in a bundle, exactly as many as it is wide. Throws TlogError `malformed`. */
export function decodeCommitments(tile: Tile, bytes: Uint8Array): Uint8Array[] {
  try {
    const entries = decodeBundle(bytes, tile.width);
    if (entries.every(({ length }) => length === COMMITMENT_BYTES)) return entries;
  } catch (cause) {
    if (!(cause instanceof TlogError)) throw cause;
    throw new TlogError("malformed", `${tilePath(tile)} is not ${tile.width} entries. ${cause.message}`, {
      cause,
    });
  }
  throw new TlogError("malformed", `${tilePath(tile)} has an entry that is no commitment of 32 bytes`);
}

/** The hash tiles that reach their width in the tree of `size` leaves with its leaves `start` to `end`. */
export function tilesCompleted({ start, end }: Range, size: bigint): Tile[] {
  return tilesChanged(start, end).filter(({ level, index, width }) => width === widthAt(size, level, index));
}

// ---- the export ---------------------------------------------------------------------------------------------------

/** One event of the export, as `kedge commit` records it: `commitment` is hex. */
export type ExportedEvent = { event: string; line?: number; commitment: string; opening: Opening };

/**
 * What a commitment of the export is of.
 *
 * - `event`: an event that was given, or where only records were, a record
 * - `absent`: a record whose event was not given
 * - `changed`: a record whose event was given, and is another now
 * - `left`: a record of an event in a file that was passed by or left out
 * - `other`: an event or a record of a source that is not compared
 * - `unsourced`: an event that is of no source, and so not compared, if it is in the log
 * - `untold`: a record of which it is not known whether its event was given
 * - `otherwise`: what an event would be under another of the tenant's keys
 */
const ROLES = ["event", "absent", "changed", "left", "other", "unsourced", "untold", "otherwise"] as const;
export type Role = (typeof ROLES)[number];

/**
 * The events of an export by their number, so that millions fit: sixty bytes for each, none of them an object. V8 would
 * let its heap grow to several times what objects take.
 */
export type Export = {
  /** Of all roles. */
  count: number;
  /** The commitments, in 32-bit words. */
  words: Uint32Array;
  /** Near the hash of a commitment, its number plus one; 0 where none is. */
  slots: Uint32Array;
  /** 0: none. */
  lines: Float64Array;
  /** The index of the event's entry plus one, 0 while it is not found; below 0 when that is the entry of what it is otherwise. */
  found: Float64Array;
  /** Of what an event is otherwise: its number plus one. */
  events: Uint32Array;
  /** Places in ROLES. */
  roles: Uint8Array;
  /** The name of the events from number `first` on. */
  names: { first: number; name: string }[];
  /** How many of each role, copies left out. */
  total: Record<Role, number>;
  copies: number;
  /** The sequence numbers of each source as runs, in the order in which they came. */
  sources: Map<string, SequenceRun[]>;
  /** No events were given, but records of them. */
  areRecords: boolean;
  /** Only some sources are compared: an entry that nothing here is of may be another's. */
  isPartial: boolean;
};
type SequenceRun = { first: bigint; last: bigint };

const WORDS = COMMITMENT_BYTES / Uint32Array.BYTES_PER_ELEMENT;

export function emptyExport(kind: { areRecords?: boolean; isPartial?: boolean } = {}): Export {
  const [words, slots] = [new Uint32Array(WORDS), new Uint32Array(4)];
  const [lines, found, roles] = [new Float64Array(1), new Float64Array(1), new Uint8Array(1)];
  const events = new Uint32Array(1);
  const total = { event: 0, absent: 0, changed: 0, left: 0, other: 0, unsourced: 0, untold: 0, otherwise: 0 };
  const { areRecords = false, isPartial = false } = kind;
  const rest = { names: [], total, copies: 0, sources: new Map(), areRecords, isPartial };
  return { count: 0, words, slots, lines, found, events, roles, ...rest };
}

/**
 * A commitment has the first role that it is given. False when it has one already. `otherwise`: what the event would be under
 * the tenant's other keys; any of them in the log is the event.
 */
export function addEvent(
  to: Export,
  exported: ExportedEvent,
  role: Role = "event",
  otherwise: readonly ExportedEvent[] = [],
): boolean {
  if (!insert(to, exported, role)) {
    if (role === "event") to.copies += 1;
    return false;
  }
  const number = to.count;
  for (const other of otherwise) if (insert(to, other, "otherwise")) to.events[to.count - 1] = number;
  const { source, sequence } = exported.opening;
  // The opening of a record that opened no event is nobody's word but its own: it fills no gap.
  const isNumbered = role === "event" || role === "changed";
  if (!isNumbered || source === undefined || sequence === undefined) return true;
  addSequence(to.sources, source, BigInt(sequence));
  return true;
}

/** False for a commitment that is there. */
function insert(to: Export, { event, line = 0, commitment }: ExportedEvent, role: Role): boolean {
  const slot = slotOf(to, hexToBytes(commitment));
  if (to.slots[slot] !== 0) return false;
  if (to.count === to.lines.length) grow(to);
  to.words.set(KEY, to.count * WORDS);
  to.lines[to.count] = line;
  to.roles[to.count] = ROLES.indexOf(role);
  if (to.names.at(-1)?.name !== event) to.names.push({ first: to.count, name: event });
  to.count += 1;
  to.total[role] += 1;
  to.slots[slot] = to.count;
  if (2 * to.count > to.slots.length) spread(to);
  return true;
}

/** The index of a commitment's entry, once the log was read; undefined when it is not in it. */
export function indexOf(events: Export, commitment: Uint8Array): bigint | undefined {
  const found = events.found[numberOf(events, commitment)] ?? 0;
  return found === 0 ? undefined : BigInt(Math.abs(found) - 1);
}

function grow(to: Export): void {
  const { words, lines, found, events, roles } = to;
  to.words = new Uint32Array(2 * words.length);
  to.roles = new Uint8Array(2 * roles.length);
  to.lines = new Float64Array(2 * lines.length);
  to.found = new Float64Array(2 * found.length);
  to.events = new Uint32Array(2 * events.length);
  to.events.set(events);
  to.words.set(words);
  to.lines.set(lines);
  to.found.set(found);
  to.roles.set(roles);
}

/** Gives the commitments twice as many slots: half of them are free, so the next free one is near. */
function spread(to: Export): void {
  to.slots = new Uint32Array(2 * to.slots.length);
  for (let number = 0; number < to.count; number++) {
    to.slots[slotOf(to, commitmentAt(to, number))] = number + 1;
  }
}

/** Secret to this process: nobody can choose commitments that all fall on one slot. */
const SEEDS = crypto.getRandomValues(new Uint32Array(WORDS));
const KEY = new Uint32Array(WORDS);
const KEY_BYTES = new Uint8Array(KEY.buffer);

/** The slot that has this commitment, or is free for it; its words are in KEY then. */
function slotOf({ words, slots }: Export, commitment: Uint8Array): number {
  KEY_BYTES.set(commitment);
  let hash = 0;
  for (let i = 0; i < WORDS; i++) {
    hash = Math.imul(hash ^ (KEY[i] ?? 0), (SEEDS[i] ?? 0) | 1);
    hash ^= hash >>> 15;
  }
  for (let at = hash; ; at++) {
    const slot = at & (slots.length - 1);
    const number = (slots[slot] ?? 0) - 1;
    if (number < 0 || KEY.every((word, i) => word === words[number * WORDS + i])) return slot;
  }
}

/** The number of the event, -1 when there is none. */
function numberOf(events: Export, commitment: Uint8Array): number {
  return (events.slots[slotOf(events, commitment)] ?? 0) - 1;
}

function commitmentAt({ words }: Export, number: number): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset + number * COMMITMENT_BYTES, COMMITMENT_BYTES);
}

function roleOf({ roles }: Export, number: number): Role {
  return ROLES[roles[number] ?? 0] ?? "event";
}

/** Its name, maybe its line, and its commitment. */
function labelOf(events: Export, number: number): Pick<AuditFinding, "event" | "line" | "entry"> {
  const { names, lines } = events;
  let [low, high] = [0, names.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((names[middle]?.first ?? 0) <= number) low = middle;
    else high = middle - 1;
  }
  const line = lines[number] || undefined;
  return {
    event: names[low]?.name ?? "",
    ...(line === undefined ? {} : { line }),
    entry: bytesToHex(commitmentAt(events, number)),
  };
}

/** The first and the last number of each source. */
export function sequences({ sources }: Export): { source: string; first: bigint; last: bigint }[] {
  return [...sources].map(([source, runs]) => {
    const first = runs.reduce((least, run) => (run.first < least ? run.first : least), runs[0]?.first ?? 0n);
    const last = runs.reduce((most, run) => (run.last > most ? run.last : most), first);
    return { source, first, last };
  });
}

function addSequence(sources: Export["sources"], source: string, number: bigint): void {
  const runs = sources.get(source) ?? [];
  sources.set(source, runs);
  const run = runs.at(-1);
  if (run !== undefined && run.last + 1n === number) run.last = number;
  else runs.push({ first: number, last: number });
}

/** Where a source's numbering, which counts up by one, leaves a number out or has one twice. */
export function* sequenceFindings({ sources }: Export): Generator<AuditFinding> {
  for (const [source, unsorted] of sources) {
    const runs = unsorted.toSorted((a, b) => (a.first < b.first ? -1 : 1));
    let last = (runs[0]?.first ?? 0n) - 1n;
    for (const run of runs) {
      const overlap = run.last < last ? run.last : last;
      if (run.first > last + 1n) yield sequence("sequence_missing", source, last + 1n, run.first - 1n);
      if (run.first <= last) yield sequence("sequence_repeated", source, run.first, overlap);
      if (run.last > last) last = run.last;
    }
  }
}

function sequence(
  finding: "sequence_missing" | "sequence_repeated",
  source: string,
  first: bigint,
  last: bigint,
): AuditFinding {
  return { finding, source, first: `${first}`, last: `${last}` };
}

// ---- the log ------------------------------------------------------------------------------------------------------

/**
 * What is wrong. The set is closed.
 *
 * - `root_differs`: the entries that were served do not make the signed root
 * - `tile_differs`: a hash tile is not what the entries make it
 * - `checkpoint_differs`: the entries do not make the root of an earlier checkpoint at its size
 * - `contradiction`: two signed checkpoints of the log of which neither tree grew out of the other; there is evidence
 * - `log_shrunk`: the log has signed more entries than it now shows
 * - `bad_checkpoint`: what is given as the log's checkpoint is not signed as the log's
 * - `period_beyond_log`: the period goes beyond the last entry
 * - `entry_without_event`, `entry_repeated`, `event_not_in_log`: log and export do not match
 * - `event_changed`, `event_without_opening`, `record_without_event`: events and openings do not match
 * - `left_out`: what a path of the export leads to was not read, or a record's event is in a file that was passed by
 * - `untold`: too many events and records to know which belong together
 * - `sequence_missing`, `sequence_repeated`: the export has a gap, or two events under one number
 * - `incomplete`: the log could not be read to its end
 * - `gap_seen`: an event that says that the agent saw one it could not take, or that one is lost
 * - `manifest_missing`, `manifest_repeated`: an hour of a source has no manifest, or a second one, which counts for nothing
 * - `manifest_chain`: a manifest does not name the one before it
 * - `manifest_numbers`: between two manifests numbers are left out, or they have some twice
 * - `manifest_root`: a period's events have the numbers of its manifest, and are not those that it counts
 * - `manifest_late`: a manifest came into the log long after its hour
 * - `manifest_malformed`: what was committed as a manifest is none
 * - `no_manifest`: nothing says how many events a source had
 */
export type AuditFindingKind =
  | "root_differs"
  | "tile_differs"
  | "checkpoint_differs"
  | "contradiction"
  | "log_shrunk"
  | "bad_checkpoint"
  | "period_beyond_log"
  | "entry_without_event"
  | "entry_repeated"
  | "event_not_in_log"
  | "event_changed"
  | "event_without_opening"
  | "record_without_event"
  | "left_out"
  | "untold"
  | "sequence_missing"
  | "sequence_repeated"
  | "incomplete"
  | "gap_seen"
  | "manifest_missing"
  | "manifest_repeated"
  | "manifest_chain"
  | "manifest_numbers"
  | "manifest_root"
  | "manifest_late"
  | "manifest_malformed"
  | "no_manifest";

/** Sizes, indices and numbers are decimal, hashes hex; `event` is a name, never what the event holds. */
export type AuditFinding = {
  finding: AuditFindingKind;
  index?: string;
  entry?: string;
  event?: string;
  line?: number;
  size?: string;
  tile?: string;
  source?: string;
  first?: string;
  last?: string;
  /** Of a manifest's period, RFC 3339. */
  from?: string;
  to?: string;
  detail?: {
    /** Where the checkpoint of `size` is from; absent: the log's history. */
    checkpoint?: string;
    /** No pinned key has signed it. */
    isUnsigned?: boolean;
    laterSize?: string;
    laterCheckpoint?: string;
    /** Up to this one the entries are those of an earlier checkpoint. */
    lastIndex?: string;
    /** The entry that is repeated. */
    firstIndex?: string;
    /** Why the log could not be read, or its checkpoint is not taken for one. */
    cause?: Error;
    /** No events were given: it is of a record. */
    isRecord?: boolean;
    /** How many. */
    events?: number;
    records?: number;
    /** The numbers are in two manifests. */
    isTwice?: boolean;
    /** After the end of its hour. */
    hours?: number;
    /** What the agent saw, where the event itself was given. */
    gap?: Gap;
  };
};

/** Where an audit stands. `matched` counts the earlier checkpoints that are of this tree. */
type State = {
  size: bigint;
  frontier: Uint8Array[];
  edge: TileMap;
  matched: { kept: number; history: number; largest: bigint };
  /** Events that were found, and of these how many outside the period. */
  found: number;
  outside: number;
  /** Entries of the period: of sources that are not compared, and of which nothing is known. */
  others: number;
  unknown: number;
  fork?: GrowingFork;
};

export type AuditInput = {
  log: PinnedLog;
  /** The signed checkpoint that is audited. */
  head: SignedHead;
  /** Checkpoints that the auditor has kept, verified already. */
  kept: readonly NamedHead[];
  /** Each entry of these must belong to an event. */
  period: Range;
  events?: Export;
};

export type Audit = ReturnType<typeof startAudit>;

/** The entries that follow, the history's checkpoints of no more entries than there are then, and maybe hash tiles. */
export type Step = {
  entries: readonly Uint8Array[];
  history: readonly SignedHead[];
  /** At least those of `tilesCompleted`, or none in the whole audit. */
  tiles?: readonly { tile: Tile; bytes: Uint8Array }[];
};

/** Call `add` until every entry of `head` was given, then `finish`. */
export function startAudit({ log, head, kept, period, events }: AuditInput) {
  const state: State = {
    size: 0n,
    frontier: [],
    edge: new Map(),
    matched: { kept: 0, history: 0, largest: 0n },
    found: 0,
    outside: 0,
    others: 0,
    unknown: 0,
  };
  const waiting = bySize(kept.filter(({ size }) => size <= head.size));

  function compare(earlier: Earlier): AuditFinding[] {
    const root = frontierRoot(state.frontier);
    const isOfEntries = equalBytes(root, earlier.root);
    const isTwin = earlier.size === head.size && !equalBytes(earlier.root, head.root);
    // One contradiction is enough, and only of what contradicts does it matter who signed.
    const contradicts = isTwin || (!isOfEntries && earlier.size < head.size && state.fork === undefined);
    const isSigned = !contradicts || isSignedBy(log, earlier.note);
    if (contradicts && isSigned) {
      state.fork = startFork(earlier, isTwin ? head.root : root, state.frontier, head);
    }
    if (isOfEntries) {
      state.matched[earlier.name === undefined ? "history" : "kept"] += 1;
      state.matched.largest = earlier.size;
      return [];
    }
    const { size, name: checkpoint } = earlier;
    const detail = { ...(checkpoint === undefined ? {} : { checkpoint }), isUnsigned: !isSigned };
    return [{ finding: "checkpoint_differs", size: `${size}`, detail }];
  }

  return {
    get size(): bigint {
      return state.size;
    },
    get found(): number {
      return state.found;
    },
    get outside(): number {
      return state.outside;
    },
    /** Entries of the period that were not compared: by the export of other sources, and such as it says nothing of. */
    get notCompared(): { others: number; unknown: number } {
      return state;
    },
    get matched(): { kept: number; history: number } {
      return state.matched;
    },
    add({ entries, history, tiles }: Step): AuditFinding[] {
      const leaves = entries.map(leafHash);
      const start = state.size;
      const end = start + BigInt(leaves.length);
      const findings = tiles === undefined ? [] : checkTiles(state, leaves, tiles);
      const due = takeWhile(waiting, ({ size }) => size <= end);
      for (const earlier of bySize<Earlier>([...due, ...history])) {
        extend(state, leaves.slice(Number(state.size - start), Number(earlier.size - start)));
        findings.push(...compare(earlier));
      }
      extend(state, leaves.slice(Number(state.size - start)));
      if (events !== undefined) findings.push(...matchEntries(state, events, period, start, entries));
      return findings;
    },
    /** What is known once all entries were given. Throws RangeError before. */
    finish(): { findings: Iterable<AuditFinding>; evidence?: Fork } {
      if (state.size !== head.size) throw new RangeError("an audit is finished once it has every entry");
      const isWhole = equalBytes(frontierRoot(state.frontier), head.root);
      const { fork } = state;
      const isShown = isWhole || fork?.earlier.size === head.size;
      const evidence = isShown && fork ? finishFork(fork, head) : undefined;
      const findings = function* (): Generator<AuditFinding> {
        if (!isWhole) yield rootDiffers(head, state.matched.largest);
        if (evidence !== undefined) yield contradiction(evidence);
        if (events !== undefined) yield* missingEvents(events);
      };
      return { findings: findings(), ...(evidence && { evidence }) };
    },
  };
}

/** One that the auditor kept has a name, one of the log's history has none. */
type Earlier = SignedHead & { name?: string };

function bySize<T extends { size: bigint }>(heads: readonly T[]): T[] {
  return heads.toSorted((a, b) => (a.size < b.size ? -1 : a.size > b.size ? 1 : 0));
}

function takeWhile<T>(items: T[], test: (item: T) => boolean): T[] {
  const end = items.findIndex((item) => !test(item));
  return items.splice(0, end === -1 ? items.length : end);
}

function isSignedBy(log: PinnedLog, note: string): boolean {
  try {
    openHead(note, log);
    return true;
  } catch (error) {
    if (error instanceof TlogError) return false;
    throw error;
  }
}

function extend(state: State, leaves: readonly Uint8Array[]): void {
  if (state.fork) growFork(state.fork, state.size, leaves);
  state.frontier = extendFrontier(state.size, state.frontier, leaves);
  state.size += BigInt(leaves.length);
}

function checkTiles(
  state: State,
  leaves: readonly Uint8Array[],
  tiles: readonly { tile: Tile; bytes: Uint8Array }[],
): AuditFinding[] {
  const made = extendTiles(state.size, state.edge, leaves);
  const wrong = tiles.filter(({ tile, bytes }) => {
    const expected = made.get(tileKey(tile.level, tile.index));
    return expected === undefined || !equalBytes(expected, bytes);
  });
  const edge = rightEdge(state.size + BigInt(leaves.length)).map(({ level, index }) => tileKey(level, index));
  state.edge = new Map(
    edge.flatMap((key) => {
      const bytes = made.get(key) ?? state.edge.get(key);
      return bytes === undefined ? [] : [[key, bytes] as const];
    }),
  );
  return wrong.map(({ tile }) => ({ finding: "tile_differs", tile: tilePath(tile) }));
}

function matchEntries(
  state: State,
  events: Export,
  period: Range,
  start: bigint,
  entries: readonly Uint8Array[],
): AuditFinding[] {
  const findings: AuditFinding[] = [];
  for (const [i, entry] of entries.entries()) {
    const index = start + BigInt(i);
    const isOfPeriod = period.start <= index && index < period.end;
    const hit = numberOf(events, entry);
    const first = (events.found[hit] ?? 0) - 1;
    if (hit < 0) {
      if (!isOfPeriod) continue;
      if (events.isPartial) state.unknown += 1;
      else findings.push({ finding: "entry_without_event", ...named(index, entry) });
      continue;
    }
    if (first >= 0) {
      const detail = { firstIndex: `${first}` };
      findings.push({ finding: "entry_repeated", ...named(index, entry), detail });
      continue;
    }
    events.found[hit] = Number(index) + 1;
    const number = (events.events[hit] || hit + 1) - 1;
    if (number !== hit) {
      // Posted again after a rotation, it is in the log under two keys, and one event.
      const isKnown = events.found[number] !== 0;
      if (!isKnown) events.found[number] = -(Number(index) + 1);
      if (isKnown) continue;
    } else if (first < -1) continue;
    const role = roleOf(events, number);
    if (role === "event") {
      state.found += 1;
      if (!isOfPeriod) state.outside += 1;
    } else if (role === "other" || role === "unsourced") {
      if (isOfPeriod) state.others += 1;
    } else if (role === "absent" && isOfPeriod) {
      findings.push({ finding: "record_without_event", index: `${index}`, ...labelOf(events, number) });
    }
  }
  return findings;
}

const named = (index: bigint, entry: Uint8Array) => ({ index: `${index}`, entry: bytesToHex(entry) });

function* missingEvents(events: Export): Generator<AuditFinding> {
  for (let number = 0; number < events.count; number++) {
    if (events.found[number] !== 0) continue;
    const role = roleOf(events, number);
    if (role === "event" || role === "unsourced") {
      const detail = events.areRecords ? { detail: { isRecord: true } } : {};
      yield { finding: "event_not_in_log", ...labelOf(events, number), ...detail };
    } else if (role === "absent") yield { finding: "record_without_event", ...labelOf(events, number) };
  }
}

function rootDiffers({ size }: SignedHead, largest: bigint): AuditFinding {
  const detail = largest === 0n ? {} : { lastIndex: `${largest - 1n}` };
  return { finding: "root_differs", size: `${size}`, detail };
}

/** What two checkpoints of one log say of it when the log has grown in between, or not. */
export function compareLater(
  earlier: NamedHead,
  later: NamedHead,
): { findings: AuditFinding[]; evidence?: Evidence } {
  if (later.size > earlier.size || (later.size === earlier.size && equalBytes(later.root, earlier.root))) {
    return { findings: [] };
  }
  if (later.size === earlier.size) {
    const evidence = forkOf(earlier.size, { ...earlier, proof: [] }, { ...later, proof: [] });
    return { findings: [contradiction(evidence)], evidence };
  }
  const finding: AuditFinding = {
    finding: "log_shrunk",
    size: `${earlier.size}`,
    detail: { checkpoint: earlier.name, laterSize: `${later.size}`, laterCheckpoint: later.name },
  };
  return { findings: [finding], evidence: { kind: "unproven", checkpoints: [later.note, earlier.note] } };
}

// ---- the period ---------------------------------------------------------------------------------------------------

/** A checkpoint of the history: its size, and when the operator says that it was published, ms since the epoch. */
export type Published = { size: bigint; at: number };

/**
 * The entries that were first published from `from` on and before `to`, ms since the epoch. An entry whose time the
 * history does not tell is one of them: to be left out, it takes a checkpoint that says so.
 */
export async function periodByTime(
  history: AsyncIterable<Published> | Iterable<Published>,
  size: bigint,
  { from = Number.NEGATIVE_INFINITY, to = Number.POSITIVE_INFINITY }: { from?: number; to?: number },
): Promise<Range & { clockWentBack: boolean }> {
  let start: bigint | undefined;
  let end = 0n;
  let last: Published = { size: 0n, at: Number.NEGATIVE_INFINITY };
  let clockWentBack = false;
  for await (const published of history) {
    if (published.at < last.at) clockWentBack = true;
    if (published.at >= from) start ??= last.size;
    if (published.at < to) end = published.size;
    last = published;
  }
  start ??= last.size;
  if (last.size < size) end = size;
  return { start, end: end < start ? start : end, clockWentBack };
}

function contradiction({ checkpoints: [older, newer] }: Fork): AuditFinding {
  const [a, b] = [parseCheckpoint(older).checkpoint.size, parseCheckpoint(newer).checkpoint.size];
  return { finding: "contradiction", size: `${a}`, detail: { laterSize: `${b}` } };
}
