/** A tenant's export for `kedge audit`: events, with the openings that records or the tenant key give them. */
import { basename } from "node:path";
import { hexToBytes } from "@noble/hashes/utils.js";
import {
  type AuditFinding,
  addEvent,
  type Export,
  type ExportedEvent,
  emptyExport,
  sequenceFindings,
} from "../audit/audit.ts";
import { addNumbered, noNumbered } from "../audit/completeness.ts";
import { type Pair, type PairedEvent, type PairedRecord, startPairing } from "../audit/pairing.ts";
import { EventError } from "../events/error.ts";
import { GAP_MEDIA_TYPE, type Gap, parseGap } from "../events/gap.ts";
import { MANIFEST_MEDIA_TYPE, manifestSource, parseManifest } from "../events/manifest.ts";
import { proofName } from "../proof/names.ts";
import type { AuditFlags, ComparedExport, Findings, Numbering } from "./audit-report.ts";
import { committer, type TenantKeys, where } from "./committer.ts";
import { noTenantKey } from "./credentials.ts";
import { type EventSource, listFiles, looksLikeRecord, readEvents } from "./inputs.ts";
import { CliError, misuse, progress, warn } from "./output.ts";
import { isLitter } from "./recognise.ts";
import { readRecords } from "./records.ts";

/** The events with their commitments; undefined when neither events nor records are given. */
export async function readExport(
  flags: AuditFlags,
  found: Findings,
  { leftOut, litter, openKeys }: { leftOut: string[]; litter: string[]; openKeys: OpenKeys },
): Promise<ComparedExport | undefined> {
  const { events, records, manifests } = flags;
  if (events === undefined && records === undefined) return undefined;
  const areRecords = events === undefined;
  const all: ComparedExport = {
    ...emptyExport({ areRecords, isPartial: flags.source !== undefined }),
    others: new Map(),
    absentSources: undefined,
    ...(manifests && { numbered: { events: new Map(), manifests: new Map(), areEvents: !areRecords } }),
  };
  const shown = progress(areRecords ? "records read" : "events read");
  const opened = new Set<string>();
  const reading = { flags, openKeys, leftOut, litter, onEvent: () => shown.add(1) };
  if (events === undefined) {
    for await (const pair of manifestPairs(reading)) {
      if (pair.kind === "unused") continue; // it is told of among the records
      if (pair.kind === "opened") opened.add(pair.record.commitment);
      await found.tell(includePair(all, pair, { flags, hasRecords: true, isUnread: false }));
    }
    for await (const { otherwise: _, ...record } of readRecords(records ?? [], flags, leftOut)) {
      if (opened.has(record.commitment)) continue;
      await found.tell(include(all, record, flags));
      shown.add(1);
    }
  } else {
    const paired = await readPairedRecords(records ?? [], flags);
    const unused: PairedRecord[] = [];
    for await (const pair of pairs([...events, ...(manifests ?? [])], paired, reading)) {
      const isUnread = pair.kind === "unused" && mayBeIn(litter, pair.record);
      await found.tell(includePair(all, pair, { flags, hasRecords: paired.length > 0, isUnread }));
      if (pair.kind === "unused") unused.push(pair.record);
    }
    all.absentSources = sourcesWithoutEvents(all, unused);
  }
  await found.tell(leftOut.map((event): AuditFinding => ({ finding: "left_out", event })));
  shown.done();
  if (all.count === 0) warn(`There is no ${areRecords ? "record" : "event"} in the export`);
  const isJudged = (source: string): boolean => all.numbered?.manifests.has(source) ?? false;
  // Of a source with manifests they say what is missing.
  await found.tell(
    [...sequenceFindings(all)].filter(
      ({ finding, source = "" }) => finding !== "sequence_missing" || !isJudged(source),
    ),
  );
  return all;
}

/** One that is asked for, or the manifests of one. */
const isCompared = ({ opening: { source } }: ExportedEvent, { source: wanted }: AuditFlags): boolean =>
  wanted === undefined || wanted.some((name) => source === name || source === manifestSource(name));

const isOfManifest = ({ opening }: ExportedEvent): boolean => opening.mediaType === MANIFEST_MEDIA_TYPE;

/** `bytes` where the event itself was given, not only its record. */
function include(
  all: ComparedExport,
  event: ExportedEvent,
  flags: AuditFlags,
  bytes?: Uint8Array,
  otherwise: readonly ExportedEvent[] = [],
): AuditFinding[] {
  if (!isCompared(event, flags)) {
    addEvent(all, event, "other");
    countOther(all, event);
    return [];
  }
  if (!addEvent(all, event, "event", otherwise)) return [];
  number(all, event);
  if (event.opening.mediaType === GAP_MEDIA_TYPE) return [gapSeen(event, bytes)];
  if (all.numbered === undefined || bytes === undefined || !isOfManifest(event)) return [];
  return includeManifest(all.numbered, event, bytes);
}

function number({ numbered }: ComparedExport, { commitment, opening: { source, sequence } }: ExportedEvent) {
  if (numbered === undefined || source === undefined || sequence === undefined) return;
  const events = numbered.events.get(source) ?? noNumbered();
  numbered.events.set(source, events);
  addNumbered(events, BigInt(sequence), commitment);
}

function includeManifest({ manifests }: Numbering, event: ExportedEvent, bytes: Uint8Array): AuditFinding[] {
  const { source, sequence } = event.opening;
  try {
    const manifest = parseManifest(bytes);
    if (source !== manifestSource(manifest.source) || sequence === undefined) {
      throw new EventError(
        "malformed_field",
        "It was not committed with a number of the source's manifests.",
      );
    }
    const ofSource = manifests.get(manifest.source) ?? [];
    manifests.set(manifest.source, ofSource);
    ofSource.push({ manifest, number: BigInt(sequence), commitment: hexToBytes(event.commitment) });
    return [];
  } catch (cause) {
    if (!(cause instanceof EventError)) throw cause;
    return [{ finding: "manifest_malformed", ...named(event), detail: { cause } }];
  }
}

function gapSeen({ event, line, opening }: ExportedEvent, bytes: Uint8Array | undefined): AuditFinding {
  const { source = "", sequence = "" } = opening;
  const gap = bytes && readGap(bytes);
  return {
    finding: "gap_seen",
    ...named({ event, ...(line === undefined ? {} : { line }) }),
    ...{ source, first: sequence, last: sequence },
    ...(gap && { detail: { gap } }),
  };
}

function readGap(bytes: Uint8Array): Gap | undefined {
  try {
    return parseGap(bytes);
  } catch (error) {
    if (error instanceof EventError) return undefined;
    throw error;
  }
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
      return include(all, { ...named(pair.event), commitment, opening }, flags, pair.event.bytes);
    }
    case "changed":
      // Its number is not missing, and what stood under it is what the record was made of.
      if (isCompared(pair.record, flags)) number(all, pair.record);
      addEvent(all, isCompared(pair.record, flags) ? pair.record : unnumbered(pair.record), "changed");
      return [{ finding: "event_changed", ...named(pair.event) }];
    case "unopened": {
      const [derived, ...otherwise] = pair.event.derived ?? [];
      if (derived !== undefined) {
        // The key made it without a source. Beside records, it is another's only if the log has it: it may be an altered one.
        if (hasRecords && !isCompared(derived, flags)) {
          addEvent(all, derived, "unsourced", otherwise);
          countOther(all, derived);
          return [];
        }
        return include(all, derived, flags, pair.event.bytes, otherwise);
      }
      return [{ finding: "event_without_opening", ...named(pair.event) }];
    }
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

/** The tenant's keys; none where there are none, or they stay sealed. */
export type OpenKeys = (flags: AuditFlags) => Promise<TenantKeys>;

type Reading = {
  flags: AuditFlags;
  openKeys: OpenKeys;
  leftOut: string[];
  litter: string[];
  onEvent: () => void;
};

/** Of manifests beside records alone. */
async function* manifestPairs(reading: Reading): AsyncGenerator<Pair> {
  const { manifests, records } = reading.flags;
  if (manifests === undefined) return;
  const paired = await readPairedRecords(records ?? [], reading.flags);
  yield* pairs(manifests, paired.filter(isOfManifest), reading);
}

/** Each event with the record that opens it, or without. */
async function* pairs(
  paths: readonly string[],
  records: readonly PairedRecord[],
  { flags, openKeys, leftOut, litter, onEvent }: Reading,
): AsyncGenerator<Pair> {
  const tenantKeys = await openKeys(flags);
  if (records.length === 0 && tenantKeys.length === 0) throw noTenantKey();
  const derive = tenantKeys.map((tenantKey) => committer(flags, tenantKey));
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

function pairedEvent(source: EventSource, derive: readonly ReturnType<typeof committer>[]): PairedEvent {
  const { name, line, bytes } = source;
  const derived = derive.flatMap((commit) => commitTo(source, commit) ?? []);
  return {
    ...named({ event: name, ...(line === undefined ? {} : { line }) }),
    path: proofName(name, line),
    bytes,
    ...(derived.length > 0 && { derived }),
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
