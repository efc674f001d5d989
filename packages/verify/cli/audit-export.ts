/** A tenant's export for `kedge audit`: events, with the openings that records or the tenant key give them. */
import {
  type AuditFinding,
  addEvent,
  type Export,
  type ExportedEvent,
  emptyExport,
  sequenceFindings,
} from "../audit/audit.ts";
import { openCommitment } from "../events/commitment.ts";
import { EventError } from "../events/error.ts";
import type { AuditFlags, Findings } from "./audit-report.ts";
import { type CommitRecord, committer, where } from "./committer.ts";
import { findTenantKey } from "./credentials.ts";
import { type EventSource, listFiles, looksLikeRecord, readEvents } from "./inputs.ts";
import { CliError, misuse, progress, warn } from "./output.ts";
import { proofName } from "./proof-names.ts";
import { readRecords } from "./records.ts";

/** Records that share a file name and are tried with one event. */
const MAX_NAMESAKES = 1_000;

/** The events with their commitments; undefined when neither events nor records are given. */
export async function readExport(
  flags: AuditFlags,
  found: Findings,
  leftOut: string[],
): Promise<Export | undefined> {
  const { events, records } = flags;
  if (events === undefined && records === undefined) return undefined;
  const all = emptyExport();
  const shown = progress("events read");
  const source =
    events === undefined
      ? readRecords(records ?? [], flags, leftOut)
      : openEvents(events, await readPairs(records ?? [], flags), { flags, found, leftOut });
  for await (const event of source) {
    addEvent(all, event);
    shown.add(1);
  }
  shown.done();
  if (all.count === 0) warn("There is no event in the export");
  await found.tell(sequenceFindings(all));
  return all;
}

/** Records by every suffix of their event's path, for the folder may have moved; and those that no event has used. */
type Pairs = { bySuffix: Map<string, CommitRecord[]>; unused: Set<CommitRecord> };

async function readPairs(files: readonly string[], flags: AuditFlags): Promise<Pairs> {
  const pairs: Pairs = { bySuffix: new Map(), unused: new Set() };
  for await (const { below: _, ...record } of readRecords(files, flags)) {
    pairs.unused.add(record);
    for (const suffix of suffixesOf(proofName(record.event, record.line))) {
      const records = pairs.bySuffix.get(suffix);
      if (records === undefined) pairs.bySuffix.set(suffix, [record]);
      else if (records.length < MAX_NAMESAKES) records.push(record);
    }
  }
  return pairs;
}

/** `day/a.json` and `a.json` for `day/a.json`. */
function suffixesOf(path: string): string[] {
  const parts = path.split("/");
  return parts.map((_, i) => parts.slice(i).join("/"));
}

/** The records whose path shares the longest suffix with the event's; those that no event has used come first. */
function candidatesOf(source: EventSource, { bySuffix, unused }: Pairs): CommitRecord[] {
  const suffix = suffixesOf(proofName(source.name, source.line)).find((suffix) => bySuffix.has(suffix));
  const records = bySuffix.get(suffix ?? "") ?? [];
  return [
    ...records.filter((record) => unused.has(record)),
    ...records.filter((record) => !unused.has(record)),
  ];
}

/** Each event with the opening that a record has for it, or else the tenant key gives. */
async function* openEvents(
  paths: readonly string[],
  pairs: Pairs,
  { flags, found, leftOut }: { flags: AuditFlags; found: Findings; leftOut: string[] },
): AsyncGenerator<ExportedEvent> {
  const derive =
    pairs.bySuffix.size === 0 || findTenantKey(flags) !== undefined ? committer(flags) : undefined;
  for await (const file of listFiles(paths, leftOut)) {
    for await (const source of readEvents(file, flags.ndjson)) {
      if (looksLikeRecord(source.bytes)) {
        throw misuse(`${where(source)} is a record of kedge commit, not an event: give it with --records`);
      }
      const candidates = candidatesOf(source, pairs);
      const record = candidates.find((candidate) => opens(candidate, source));
      if (record !== undefined) {
        pairs.unused.delete(record);
        yield { ...named(source), commitment: record.commitment, opening: record.opening };
        continue;
      }
      const [nearest] = candidates;
      const event = nearest === undefined && derive !== undefined ? commitTo(source, derive) : undefined;
      if (event !== undefined) yield event;
      else await found.tell([unopened(source, nearest !== undefined)]);
      if (nearest !== undefined) pairs.unused.delete(nearest);
    }
  }
  for (const record of pairs.unused) await found.tell([unused(record)]);
}

const named = ({ name, line }: EventSource) => ({ event: name, ...(line === undefined ? {} : { line }) });

function opens({ opening, commitment }: CommitRecord, { bytes }: EventSource): boolean {
  try {
    return Buffer.from(openCommitment(opening, bytes)).toString("hex") === commitment;
  } catch (error) {
    if (error instanceof EventError) return false;
    throw error;
  }
}

/** undefined for what cannot be committed to, such as broken JSON with `jcs`. */
function commitTo(source: EventSource, commit: ReturnType<typeof committer>): ExportedEvent | undefined {
  try {
    return commit(source);
  } catch (error) {
    if (error instanceof CliError && error.code === "failed") return undefined;
    throw error;
  }
}

function unopened(source: EventSource, hasRecord: boolean): AuditFinding {
  return { finding: hasRecord ? "event_changed" : "event_without_opening", ...named(source) };
}

function unused({ event, line, commitment }: CommitRecord): AuditFinding {
  return {
    finding: "record_without_event",
    event,
    ...(line === undefined ? {} : { line }),
    entry: commitment,
  };
}
