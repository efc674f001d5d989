/**
 * Whether a source is complete: its manifests against each other, and against the events that were given. A manifest says
 * which numbers the events of an hour have, and what their commitments make; it was in the log before anybody asked. Pure; no I/O.
 *
 * Hostile: all of it, but that a commitment is of the manifest or event beside it.
 */
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { countOf, type Manifest } from "../events/manifest.ts";
import { equalBytes } from "../tlog/bytes.ts";
import { extendFrontier, frontierRoot, leafHash } from "../tlog/merkle.ts";
import type { AuditFinding } from "./audit.ts";

/** A manifest later than this after the end of its hour is late, ms: an agent makes it within minutes, or once it is up again. */
const LATE = 24 * 3_600_000;

/** A manifest as it was committed. `number` is its own, among the manifests of the source. */
export type GivenManifest = {
  manifest: Manifest;
  number: bigint;
  commitment: Uint8Array;
  /** Of its entry; absent when it is not in the log. */
  index?: bigint;
  /** Ms since the epoch, by the operator's clock; absent when it is not known. */
  sealedAt?: number;
};

/**
 * - `complete`: the manifest is in the log, and the events that were given are those that it counts, all of them
 * - `incomplete`: some are missing, or are others
 * - `untold`: no events of the source were given to compare, or the manifest cannot be relied on
 */
export type PeriodVerdict = "complete" | "incomplete" | "untold";
/** `from`, `to` in ms since the epoch. */
export type JudgedPeriod = {
  from: number;
  to: number;
  count: bigint;
  numbers?: { first: bigint; last: bigint };
  verdict: PeriodVerdict;
};
export type SourceCompleteness = { source: string; periods: JudgedPeriod[]; findings: AuditFinding[] };

/** Periods that follow one another, and of which the same is shown, as one. */
export function stretchesOf(periods: readonly JudgedPeriod[]): JudgedPeriod[] {
  const stretches: JudgedPeriod[] = [];
  for (const period of periods) {
    const last = stretches.at(-1);
    if (last === undefined || last.verdict !== period.verdict || last.to !== period.from) {
      stretches.push({ ...period });
      continue;
    }
    last.to = period.to;
    last.count += period.count;
    const { numbers } = period;
    if (numbers !== undefined)
      last.numbers = { first: last.numbers?.first ?? numbers.first, last: numbers.last };
  }
  return stretches;
}

// ---- the events ---------------------------------------------------------------------------------------------------

/** The events of one source, forty bytes each. */
export type NumberedEvents = { count: number; numbers: BigUint64Array; commitments: Uint8Array };

export const noNumbered = (): NumberedEvents => ({
  count: 0,
  numbers: new BigUint64Array(16),
  commitments: new Uint8Array(16 * 32),
});

/** @param commitment hex */
export function addNumbered(to: NumberedEvents, number: bigint, commitment: string): void {
  if (to.count === to.numbers.length) {
    const { numbers, commitments } = to;
    to.numbers = new BigUint64Array(2 * numbers.length);
    to.commitments = new Uint8Array(2 * commitments.length);
    to.numbers.set(numbers);
    to.commitments.set(commitments);
  }
  to.numbers[to.count] = number;
  to.commitments.set(hexToBytes(commitment), to.count * 32);
  to.count += 1;
}

/** In the order of their numbers. */
type Sorted = { length: number; numberAt(i: number): bigint; commitmentAt(i: number): Uint8Array };

function sorted({ count, numbers, commitments }: NumberedEvents): Sorted {
  const at = (i: number): bigint => numbers[i] ?? 0n;
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  order.sort((a, b) => (at(a) < at(b) ? -1 : at(a) > at(b) ? 1 : 0));
  return {
    length: count,
    numberAt: (i) => at(order[i] ?? 0),
    commitmentAt(i) {
      const start = 32 * (order[i] ?? 0);
      return commitments.subarray(start, start + 32);
    },
  };
}

/** The place of the first number that is not below this one. */
function firstFrom({ length, numberAt }: Sorted, number: bigint): number {
  let [low, high] = [0, length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numberAt(middle) < number) low = middle + 1;
    else high = middle;
  }
  return low;
}

type Run = { first: bigint; last: bigint };

/** Numbers of the run that no event has, and the root of its events where it has each number once. */
function compareRun(events: Sorted, run: Run): { missing: Run[]; root?: Uint8Array } {
  const start = firstFrom(events, run.first);
  const missing: Run[] = [];
  let next = run.first;
  let isOnce = true;
  let end = start;
  for (; end < events.length && events.numberAt(end) <= run.last; end++) {
    const number = events.numberAt(end);
    if (number < next) isOnce = false;
    if (number > next) missing.push({ first: next, last: number - 1n });
    if (number >= next) next = number + 1n;
  }
  if (next <= run.last) missing.push({ first: next, last: run.last });
  if (!isOnce || missing.length > 0) return { missing };
  return { missing, root: rootOf(events, start, end) };
}

const CHUNK = 1_024;

function rootOf(events: Sorted, start: number, end: number): Uint8Array {
  let frontier: Uint8Array[] = [];
  for (let at = start; at < end; at += CHUNK) {
    const length = Math.min(CHUNK, end - at);
    const leaves = Array.from({ length }, (_, i) => leafHash(events.commitmentAt(at + i)));
    frontier = extendFrontier(BigInt(at - start), frontier, leaves);
  }
  return frontierRoot(frontier);
}

// ---- the manifests ------------------------------------------------------------------------------------------------

/** Of one source. `events` is absent where none were given to compare: the manifests are then held against each other alone. */
export function judgeSource(
  source: string,
  given: readonly GivenManifest[],
  events: NumberedEvents | undefined,
): SourceCompleteness {
  const { kept, repeated } = earliest(given);
  const findings = repeated.map((other) => about("manifest_repeated", source, other));
  const byNumber = events && sorted(events);
  const periods: JudgedPeriod[] = [];
  let before: GivenManifest | undefined;
  // A source's numbers begin at 1, and so do those of its manifests.
  let counted: Counted = kept[0]?.number === 1n ? { last: 0n, isAll: true } : undefined;
  for (const one of kept) {
    const { manifest, index } = one;
    const chain = checkChain(source, before, one, counted);
    findings.push(...chain, ...checkLate(source, one));
    const isRelied = index !== undefined && !chain.some(({ finding }) => finding !== "manifest_missing");
    const compared = byNumber && compareEvents(source, one, byNumber);
    findings.push(...(compared?.findings ?? []));
    const verdict = compared?.verdict === "complete" && !isRelied ? "untold" : compared?.verdict;
    const { from, to, numbers } = manifest;
    const period = { from, to, count: countOf(manifest), ...(numbers && { numbers }) };
    periods.push({ ...period, verdict: verdict ?? "untold" });
    if (numbers !== undefined) counted = { last: numbers.last, isAll: true };
    else if (counted !== undefined && before?.manifest.to !== from)
      counted = { ...counted, isAll: before === undefined };
    before = one;
  }
  if (byNumber !== undefined) findings.push(...gapsOutside(source, byNumber, kept));
  return { source, periods, findings };
}

/** The earliest in the log counts for its period; what overlaps it, and came later or is not in the log, is another. */
function earliest(given: readonly GivenManifest[]): { kept: GivenManifest[]; repeated: GivenManifest[] } {
  const kept: GivenManifest[] = [];
  const repeated: GivenManifest[] = [];
  for (const one of given.toSorted(inOrderOfLog)) {
    const place = kept.findLastIndex(({ manifest }) => manifest.from < one.manifest.to) + 1;
    const before = kept[place - 1];
    if (before !== undefined && before.manifest.to > one.manifest.from) repeated.push(one);
    else kept.splice(place, 0, one);
  }
  return { kept, repeated };
}

function inOrderOfLog(a: GivenManifest, b: GivenManifest): number {
  if (a.index !== b.index) {
    if (a.index === undefined) return 1;
    if (b.index === undefined) return -1;
    return a.index < b.index ? -1 : 1;
  }
  return a.number < b.number ? -1 : a.number > b.number ? 1 : 0;
}

/** The last number that any manifest so far counts; not `isAll` once one is missing that may have counted more. */
type Counted = { last: bigint; isAll: boolean } | undefined;

/** What is wrong between a manifest and the one before it. */
function checkChain(
  source: string,
  before: GivenManifest | undefined,
  one: GivenManifest,
  counted: Counted,
): AuditFinding[] {
  const { manifest, number } = one;
  const { previous, numbers } = manifest;
  const findings: AuditFinding[] = [];
  const isNext = before === undefined || before.manifest.to === manifest.from;
  const leftOut = numbers && counted && between(counted.last, numbers.first);
  if (!isNext) {
    const [from, to] = [timeOf(before.manifest.to), timeOf(manifest.from)];
    findings.push({ finding: "manifest_missing", source, from, to, ...(leftOut && textOf(leftOut)) });
  } else if (leftOut !== undefined && counted?.isAll) {
    findings.push({ ...about("manifest_numbers", source, one), ...textOf(leftOut) });
  }
  if (numbers !== undefined && counted !== undefined && counted.last > 0n && numbers.first <= counted.last) {
    const { last } = counted;
    const overlap = { first: numbers.first, last: numbers.last < last ? numbers.last : last };
    findings.push({
      ...about("manifest_numbers", source, one),
      ...textOf(overlap),
      detail: { isTwice: true },
    });
  }
  if (before === undefined) {
    // The first that was given need not be the first there is; the first there is has none before it.
    if ((number === 1n) !== (previous === undefined)) findings.push(about("manifest_chain", source, one));
    return findings;
  }
  const follows = previous !== undefined && equalBytes(previous, before.commitment);
  // Where one is missing, it is what the next one names.
  if (previous === undefined || (!follows && isNext)) findings.push(about("manifest_chain", source, one));
  return findings;
}

const between = (last: bigint, first: bigint): Run | undefined =>
  first > last + 1n ? { first: last + 1n, last: first - 1n } : undefined;

function checkLate(source: string, one: GivenManifest): AuditFinding[] {
  const late = (one.sealedAt ?? 0) - one.manifest.to;
  if (late <= LATE) return [];
  return [{ ...about("manifest_late", source, one), detail: { hours: Math.floor(late / 3_600_000) } }];
}

function compareEvents(
  source: string,
  one: GivenManifest,
  events: Sorted,
): { findings: AuditFinding[]; verdict: PeriodVerdict } {
  const { from, to, numbers, root } = one.manifest;
  if (numbers === undefined) return { findings: [], verdict: "complete" };
  const { missing, root: made } = compareRun(events, numbers);
  const period = { from: timeOf(from), to: timeOf(to) };
  if (missing.length > 0) {
    const findings = missing.map(
      (run): AuditFinding => ({ finding: "sequence_missing", source, ...period, ...textOf(run) }),
    );
    return { findings, verdict: "incomplete" };
  }
  if (made !== undefined && equalBytes(made, root)) return { findings: [], verdict: "complete" };
  // Of a number that is there twice it is said elsewhere.
  return { findings: made === undefined ? [] : [about("manifest_root", source, one)], verdict: "incomplete" };
}

/** Numbers that are missing between events, and that no manifest counts. */
function gapsOutside(source: string, events: Sorted, kept: readonly GivenManifest[]): AuditFinding[] {
  const runs = kept
    .flatMap(({ manifest: { numbers } }) => numbers ?? [])
    .toSorted((a, b) => (a.first < b.first ? -1 : 1));
  let passed = 0;
  const findings: AuditFinding[] = [];
  for (let i = 1; i < events.length; i++) {
    let first = events.numberAt(i - 1) + 1n;
    const last = events.numberAt(i) - 1n;
    if (last < first) continue;
    while ((runs[passed]?.last ?? first) < first) passed += 1;
    for (let at = passed; at < runs.length; at++) {
      const run = runs[at];
      if (run === undefined || run.first > last) break;
      if (run.first > first) findings.push(missingOf(source, { first, last: run.first - 1n }));
      if (run.last >= first) first = run.last + 1n;
    }
    if (first <= last) findings.push(missingOf(source, { first, last }));
  }
  return findings;
}

const missingOf = (source: string, run: Run): AuditFinding => ({
  finding: "sequence_missing",
  source,
  ...textOf(run),
});

type OfManifest =
  | "manifest_repeated"
  | "manifest_chain"
  | "manifest_numbers"
  | "manifest_late"
  | "manifest_root";

const about = (
  finding: OfManifest,
  source: string,
  { manifest, commitment, index }: GivenManifest,
): AuditFinding => ({
  finding,
  source,
  from: timeOf(manifest.from),
  to: timeOf(manifest.to),
  entry: bytesToHex(commitment),
  ...(index === undefined ? {} : { index: `${index}` }),
});

const textOf = ({ first, last }: Run): { first: string; last: string } => ({
  first: `${first}`,
  last: `${last}`,
});

/** RFC 3339, of a whole hour. */
export const timeOf = (ms: number): string => new Date(ms).toISOString().replace(".000Z", "Z");
