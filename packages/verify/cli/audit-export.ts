/** A tenant's export for `kedge audit`: events, with the openings that records or the tenant key give them. */
import { basename } from "node:path";
import {
  type AuditFinding,
  addEvent,
  type Export,
  type ExportedEvent,
  emptyExport,
  sequenceFindings,
} from "../audit/audit.ts";
import { type Pair, type PairedEvent, type PairedRecord, startPairing } from "../audit/pairing.ts";
import type { AuditFlags, ComparedExport, Findings } from "./audit-report.ts";
import { committer, where } from "./committer.ts";
import { findTenantKey } from "./credentials.ts";
import { type EventSource, listFiles, looksLikeRecord, readEvents } from "./inputs.ts";
import { CliError, misuse, progress, warn } from "./output.ts";
import { proofName } from "./proof-names.ts";
import { isLitter } from "./recognise.ts";
import { readRecords } from "./records.ts";

/** The events with their commitments; undefined when neither events nor records are given. */
export async function readExport(
  flags: AuditFlags,
  found: Findings,
  { leftOut, litter }: { leftOut: string[]; litter: string[] },
): Promise<ComparedExport | undefined> {
  const { events, records } = flags;
  if (events === undefined && records === undefined) return undefined;
  const areRecords = events === undefined;
  const all: ComparedExport = {
    ...emptyExport({ areRecords, isPartial: flags.source !== undefined }),
    others: new Map(),
    absentSources: undefined,
  };
  const shown = progress(areRecords ? "records read" : "events read");
  if (events === undefined) {
    for await (const { otherwise: _, ...record } of readRecords(records ?? [], flags, leftOut)) {
      include(all, record, flags);
      shown.add(1);
    }
  } else {
    const paired = await readPairedRecords(records ?? [], flags);
    const unused: PairedRecord[] = [];
    for await (const pair of pairs(events, paired, { flags, leftOut, litter, onEvent: () => shown.add(1) })) {
      const isUnread = pair.kind === "unused" && mayBeIn(litter, pair.record);
      await found.tell(includePair(all, pair, { flags, hasRecords: paired.length > 0, isUnread }));
      if (pair.kind === "unused") unused.push(pair.record);
    }
    all.absentSources = sourcesWithoutEvents(all, unused);
  }
  await found.tell(leftOut.map((event): AuditFinding => ({ finding: "left_out", event })));
  shown.done();
  if (all.count === 0) warn(`There is no ${areRecords ? "record" : "event"} in the export`);
  await found.tell(sequenceFindings(all));
  return all;
}

const isCompared = ({ opening: { source } }: ExportedEvent, { source: wanted }: AuditFlags): boolean =>
  wanted === undefined || (source !== undefined && wanted.includes(source));

function include(all: ComparedExport, event: ExportedEvent, flags: AuditFlags): void {
  if (isCompared(event, flags)) {
    addEvent(all, event);
    return;
  }
  addEvent(all, event, "other");
  countOther(all, event);
}

function countOther(all: ComparedExport, { opening: { source = "" } }: ExportedEvent): void {
  all.others.set(source, (all.others.get(source) ?? 0) + 1);
}

/**
 * Adds what a pair shows, and says what is wrong with it. What a record says of its source counts once an event is opened by
 * it: before that, no event and no entry is another source's because of it.
 */
function includePair(
  all: ComparedExport,
  pair: Pair,
  { flags, hasRecords, isUnread }: { flags: AuditFlags; hasRecords: boolean; isUnread: boolean },
): AuditFinding[] {
  switch (pair.kind) {
    case "opened": {
      const { commitment, opening } = pair.record;
      include(all, { ...named(pair.event), commitment, opening }, flags);
      return [];
    }
    case "changed":
      addEvent(all, isCompared(pair.record, flags) ? pair.record : unnumbered(pair.record), "changed");
      return [{ finding: "event_changed", ...named(pair.event) }];
    case "unopened":
      if (pair.event.derived !== undefined) {
        // The key made it without a source. Beside records, it is another's only if the log has it: it may be an altered one.
        if (hasRecords && !isCompared(pair.event.derived, flags)) {
          addEvent(all, pair.event.derived, "unsourced");
          countOther(all, pair.event.derived);
        } else include(all, pair.event.derived, flags);
        return [];
      }
      return [{ finding: "event_without_opening", ...named(pair.event) }];
    case "unused":
      if (isUnread) {
        addEvent(all, isCompared(pair.record, flags) ? pair.record : unnumbered(pair.record), "left");
        return [{ finding: "left_out", ...named(pair.record) }];
      }
      if (isCompared(pair.record, flags)) addEvent(all, pair.record, "absent");
      else countOther(all, pair.record);
      return [];
    case "untold": {
      for (const record of pair.records) addEvent(all, record, "untold");
      const detail = { events: pair.events, records: pair.records.length };
      return [{ finding: "untold", detail }];
    }
  }
}

/** Whether the record is of a file that was passed by, or of one below it, as far as names tell. */
function mayBeIn(litter: readonly string[], { event }: PairedRecord): boolean {
  const parts = event.split("/");
  return litter.some((path) => parts.includes(basename(path)));
}

function unnumbered(record: PairedRecord): PairedRecord {
  const { source: _, sequence: __, ...opening } = record.opening;
  return { ...record, opening };
}

function sourcesWithoutEvents(all: Export, unused: readonly PairedRecord[]): Set<string> | undefined {
  const sources = new Set(unused.map(({ opening }) => opening.source));
  const isOther = [...sources].every((source) => source !== undefined && !all.sources.has(source));
  return sources.size > 0 && isOther ? new Set([...sources].flatMap((source) => source ?? [])) : undefined;
}

async function readPairedRecords(files: readonly string[], flags: AuditFlags): Promise<PairedRecord[]> {
  const records: PairedRecord[] = [];
  for await (const { below: _, otherwise: __, ...record } of readRecords(files, flags)) {
    records.push({ ...record, path: proofName(record.event, record.line) });
  }
  return records;
}

type Reading = { flags: AuditFlags; leftOut: string[]; litter: string[]; onEvent: () => void };

/** Each event with the record that opens it, or without. */
async function* pairs(
  paths: readonly string[],
  records: readonly PairedRecord[],
  { flags, leftOut, litter, onEvent }: Reading,
): AsyncGenerator<Pair> {
  const tenantKey = findTenantKey(flags);
  const derive = records.length === 0 || tenantKey !== undefined ? committer(flags, tenantKey) : undefined;
  const pairing = startPairing(records);
  for (const path of paths) {
    // What is given by its own name is meant, whatever that looks like.
    const noting = isLitter(basename(path)) ? {} : { onLitter: (name: string) => litter.push(name) };
    for await (const file of listFiles([path], leftOut, { asBytes: flags.asBytes, ...noting })) {
      for await (const source of readEvents(file, flags.ndjson)) {
        if (looksLikeRecord(source.bytes)) {
          throw misuse(`${where(source)} is a record of kedge commit, not an event: give it with --records`);
        }
        yield* pairing.add(pairedEvent(source, derive));
        onEvent();
      }
    }
  }
  yield* pairing.finish();
}

function pairedEvent(source: EventSource, derive: ReturnType<typeof committer> | undefined): PairedEvent {
  const { name, line, bytes } = source;
  const derived = derive && commitTo(source, derive);
  return {
    ...named({ event: name, ...(line === undefined ? {} : { line }) }),
    path: proofName(name, line),
    bytes,
    ...(derived && { derived }),
  };
}

const named = ({ event, line }: { event: string; line?: number }) => ({
  event,
  ...(line === undefined ? {} : { line }),
});

/** undefined for what cannot be committed to, such as broken JSON with `jcs`. */
function commitTo(source: EventSource, commit: ReturnType<typeof committer>): ExportedEvent | undefined {
  try {
    return commit(source);
  } catch (error) {
    if (error instanceof CliError && error.code === "failed") return undefined;
    throw error;
  }
}
