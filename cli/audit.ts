import { once } from "node:events";
import { existsSync } from "node:fs";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import type { Command } from "commander";
import { z } from "zod";
import type { Client } from "../client/api.ts";
import {
  type Audit,
  addEvent,
  BUNDLED,
  checkEvidence,
  compareLater,
  decodeCommitments,
  type Evidence,
  type Export,
  type ExportedEvent,
  emptyExport,
  eventLabel,
  type Finding,
  type FindingKind,
  type Head,
  type LogKeys,
  type NamedHead,
  openHead,
  type Published,
  parseEvidence,
  parseHead,
  periodByTime,
  sequenceFindings,
  startAudit,
  tilesCompleted,
} from "../client/audit.ts";
import { ClientError } from "../client/error.ts";
import { keyLabel, MAYBE_ROTATED, quoted } from "../client/text.ts";
import { openCommitment } from "../events/commitment.ts";
import { EventError } from "../events/error.ts";
import { encodeBase64 } from "../tlog/bytes.ts";
import { parseCheckpoint } from "../tlog/checkpoint.ts";
import { TlogError } from "../tlog/error.ts";
import { HASH_SIZE, type Range } from "../tlog/merkle.ts";
import { MAX_PROOF_SIZE, parseProof } from "../tlog/proof.ts";
import { TILE_WIDTH, type Tile, widthAt } from "../tlog/tile.ts";
import { type CommitFlags, committer, where, withCommit } from "./committer.ts";
import {
  collect,
  findTenantKey,
  openLog,
  type PinnedKeys,
  pinnedKeys,
  withService,
  withVkeys,
} from "./credentials.ts";
import { type EventSource, listFiles, looksLikeRecord, proofName, readEvents, statOf } from "./inputs.ts";
import { CliError, EXIT_FAILED, misuse, print, printJson, progress, warn } from "./output.ts";
import { type CommitRecord, readRecords } from "./records.ts";

export function auditCommand(command: Command): Command {
  return withCommit(withVkeys(withService(command)))
    .argument("[log]", "the log's id (KEDGE_LOG, or of the credentials)")
    .option("--events <path>", "the export: an event file, a folder or .ndjson; may be repeated", collect)
    .option("--records <file>", "its openings, as kedge commit or post --out wrote them", collect)
    .option("--from-index <n>", "the first entry of the period (default: of the log)")
    .option("--to-index <n>", "the last entry of the period (default: of the log)")
    .option("--from <time>", "the period begins then, by the operator's clock (RFC 3339)")
    .option("--to <time>", "the period ends before then")
    .option("--since <file>", "a checkpoint, or a proof, that you kept from before; may be repeated", collect)
    .option("--keep <file>", "write the audited checkpoint there, for --since of the next audit")
    .option("--tiles", "compare the hash tiles too, byte for byte")
    .option("--evidence <file>", "write there which signed checkpoints contradict each other, if any do")
    .option("--check-evidence <file>", "only check such a file, offline")
    .option("--max-entries <n>", "read no larger log", "100000000")
    .option("--json", "each finding as a line of JSON, and the report as the last line")
    .addHelpText(
      "after",
      "\nWithout --events and --records, only the log itself is audited." +
        "\nExit code: 0 reconciled (or consistent), 1 not, or not read to the end, 2 used wrongly.",
    )
    .action(audit);
}

type AuditFlags = CommitFlags & {
  events?: string[];
  records?: string[];
  fromIndex?: string;
  toIndex?: string;
  from?: string;
  to?: string;
  since?: string[];
  keep?: string;
  tiles?: boolean;
  evidence?: string;
  checkEvidence?: string;
  maxEntries: string;
  json?: boolean;
};

/** Requests under way at most: enough to hide the way to the service, and 8 bundles in memory. */
const AHEAD = 8;
/** Findings of one kind that the terminal shows. */
const MAX_SHOWN = 20;
/** Records of one name, such as of a file of every day, that are tried with an event. */
const MAX_NAMESAKES = 1_000;

type Target = { client: Client; log: string; keys: LogKeys };

/** What an audit has come to; what was not reached is absent. */
type Outcome = {
  origin: string;
  head?: Head;
  period?: Range & { clockWentBack?: boolean };
  audit?: Audit;
  evidence?: Evidence;
  leftOut: string[];
};

async function audit(id: string | undefined, flags: AuditFlags): Promise<void> {
  process.exitCode = EXIT_FAILED; // until it is reconciled: a reader may close the pipe before that
  const pinned = pinnedKeys(flags);
  if (flags.checkEvidence !== undefined) {
    await judge(flags.checkEvidence, pinned, flags);
    return;
  }
  const period = parsePeriod(flags);
  const maxEntries = parseIndex("--max-entries", flags.maxEntries);
  const { client, log } = await openLog(id === undefined ? flags : { ...flags, log: id });
  const target = { client, log, keys: keysOf(log, pinned) };
  const kept = await Promise.all((flags.since ?? []).map((path) => readKept(path, target.keys)));
  if (flags.evidence !== undefined && existsSync(flags.evidence)) {
    throw misuse(`${flags.evidence} exists: evidence is never written over. Name another file`);
  }
  const found = findings(flags.json ?? false);
  const outcome: Outcome = { origin: target.keys.origin, leftOut: [] };
  const events = await readExport(flags, found, outcome.leftOut);
  let isRead = false;
  try {
    await readLog(target, { kept, period, maxEntries, events, tiles: flags.tiles ?? false }, found, outcome);
    isRead = true;
  } catch (error) {
    const isOfService = [ClientError, TlogError, CliError].some((kind) => error instanceof kind);
    if (!(error instanceof Error && isOfService)) throw error;
    await found.tell([{ finding: "incomplete", message: `The log could not be read. ${error.message}` }]);
  }
  await conclude(outcome, found, { events, kept, pinned, flags });
  // The service may hold requests that are under way for minutes: nothing waits for them.
  if (!isRead) process.stdout.write("", () => process.exit());
}

// ---- what is given ------------------------------------------------------------------------------------------------

/** The pinned keys of this log: its origin ends in its id. A checkpoint of another pinned log is then not taken for it. */
function keysOf(log: string, { logVkeys }: PinnedKeys): LogKeys {
  const vkeys = logVkeys.filter(({ name }) => name.endsWith(`/log/${log}`));
  const [first] = vkeys;
  if (first === undefined || vkeys.some(({ name }) => name !== first.name)) {
    const names = [...new Set(logVkeys.map(({ name }) => name))].join(", ");
    throw misuse(
      `The pinned keys are of ${names}: pin the keys of the log ${quoted(log)}, and of no namesake`,
    );
  }
  return { origin: first.name, vkeys };
}

type Period = { fromIndex?: bigint; toIndex?: bigint; from?: number; to?: number };

function parsePeriod({ fromIndex, toIndex, from, to, events, records }: AuditFlags): Period {
  const indices = fromIndex ?? toIndex;
  const times = from ?? to;
  if (indices !== undefined && times !== undefined) {
    throw misuse("Give the period by --from-index and --to-index, or by --from and --to");
  }
  if ((indices ?? times) !== undefined && (events ?? records) === undefined) {
    throw misuse("A period is of events: give --events or --records, or leave it out");
  }
  const period = {
    ...(fromIndex !== undefined && { fromIndex: parseIndex("--from-index", fromIndex) }),
    ...(toIndex !== undefined && { toIndex: parseIndex("--to-index", toIndex) }),
    ...(from !== undefined && { from: parseTime("--from", from) }),
    ...(to !== undefined && { to: parseTime("--to", to) }),
  };
  const isBackwards =
    (period.fromIndex ?? 0n) > (period.toIndex ?? period.fromIndex ?? 0n) ||
    (period.from ?? Number.NEGATIVE_INFINITY) >= (period.to ?? Number.POSITIVE_INFINITY);
  if (isBackwards) throw misuse("The period ends before it begins");
  return period;
}

function parseIndex(flag: string, text: string): bigint {
  if (/^(0|[1-9]\d{0,14})$/.test(text)) return BigInt(text);
  throw misuse(`${flag} is a number from 0 on`);
}

function parseTime(flag: string, text: string): number {
  if (z.iso.datetime({ offset: true }).safeParse(text).success) return Date.parse(text);
  throw misuse(`${flag} is a time in RFC 3339, such as 2030-01-01T00:00:00Z`);
}

/** A checkpoint of this log that the auditor has, from a file of it or of a proof. */
async function readKept(path: string, keys: LogKeys): Promise<NamedHead> {
  const text = await readSmall(path);
  try {
    const note = text.startsWith("c2sp.org/tlog-proof@") ? parseProof(text).checkpoint : text;
    return { ...openHead(note, keys), name: `kept in ${quoted(path)}` };
  } catch (cause) {
    if (!(cause instanceof TlogError)) throw cause;
    const hint = cause.code === "unknown_key" ? ` ${MAYBE_ROTATED}` : "";
    throw misuse(
      `--since: ${path} has no checkpoint of the log ${keys.origin}. ${cause.message}.${hint}`,
      cause,
    );
  }
}

async function readSmall(path: string): Promise<string> {
  if ((await statOf(path)).size > MAX_PROOF_SIZE) throw misuse(`${path} is too large for what it should be`);
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw misuse(`${path} cannot be read: is it a file?`, cause);
  }
}

/** The events with their commitments; undefined when neither events nor records are given. */
async function readExport(
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

/** Records by every end of their event's path, for the folder may be elsewhere than it was; and those of no use yet. */
type Pairs = { byEnd: Map<string, CommitRecord[]>; unused: Set<CommitRecord> };

async function readPairs(files: readonly string[], flags: AuditFlags): Promise<Pairs> {
  const pairs: Pairs = { byEnd: new Map(), unused: new Set() };
  for await (const { below: _, ...record } of readRecords(files, flags)) {
    pairs.unused.add(record);
    for (const end of endsOf(proofName(record.event, record.line))) {
      const records = pairs.byEnd.get(end);
      if (records === undefined) pairs.byEnd.set(end, [record]);
      else if (records.length < MAX_NAMESAKES) records.push(record);
    }
  }
  return pairs;
}

/** `day/a.json` and `a.json` for `day/a.json`. */
function endsOf(path: string): string[] {
  const parts = path.split("/");
  return parts.map((_, i) => parts.slice(i).join("/"));
}

/** The records whose path has most in common with the event's, first those of no other event. */
function candidatesOf(source: EventSource, { byEnd, unused }: Pairs): CommitRecord[] {
  const end = endsOf(proofName(source.name, source.line)).find((end) => byEnd.has(end));
  const records = byEnd.get(end ?? "") ?? [];
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
  const derive = pairs.byEnd.size === 0 || findTenantKey(flags) !== undefined ? committer(flags) : undefined;
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

function unopened(source: EventSource, hasRecord: boolean): Finding {
  const label = eventLabel(source.name, source.line);
  return hasRecord
    ? {
        finding: "event_changed",
        message: `The event ${label} is not the one that its record was made of.`,
        ...named(source),
      }
    : {
        finding: "event_without_opening",
        message: `The event ${label} has no record, and no commitment by the tenant key.`,
        ...named(source),
      };
}

function unused({ event, line, commitment }: CommitRecord): Finding {
  return {
    finding: "record_without_event",
    message: `The event ${eventLabel(event, line)} has a record, and is not in the export.`,
    event,
    ...(line === undefined ? {} : { line }),
    entry: commitment,
  };
}

// ---- the log ------------------------------------------------------------------------------------------------------

type Plan = {
  kept: readonly NamedHead[];
  period: Period;
  maxEntries: bigint;
  events: Export | undefined;
  tiles: boolean;
};

/** Reads the whole log once. Throws ClientError, TlogError and CliError when it cannot be read to its end. */
async function readLog(target: Target, plan: Plan, found: Findings, outcome: Outcome): Promise<void> {
  const { client, log, keys } = target;
  const head = { ...openServed(await client.checkpoint(log), keys), name: "shown by the service" };
  outcome.head = head;
  const learn = async (result: { findings: Iterable<Finding>; evidence?: Evidence }) => {
    if (result.evidence?.proof !== undefined || outcome.evidence === undefined) {
      if (result.evidence !== undefined) outcome.evidence = result.evidence;
    }
    await found.tell(result.findings);
  };
  for (const earlier of plan.kept) await learn(compareLater(earlier, head));
  if (head.size > plan.maxEntries) {
    throw new CliError("failed", `It has ${head.size} entries, more than --max-entries ${plan.maxEntries}`);
  }
  const period = await findPeriod(target, head.size, plan.period);
  outcome.period = period;
  const { kept, events } = plan;
  const audit = startAudit({ log: keys, head, kept, period, ...(events && { events }) });
  outcome.audit = audit;

  const history = upTo(readHistory(target, head.size));
  const shown = progress("entries read");
  try {
    for await (const { tile, bundle, tiles } of inOrder(bundlesOf(head.size), AHEAD, (tile) =>
      fetchStep(target, tile, head.size, plan.tiles),
    )) {
      const entries = decodeCommitments(tile, bundle); // not before its turn: as objects they are ten times as large
      const heads = await history(audit.size + BigInt(entries.length));
      await found.tell(audit.add({ entries, history: heads, ...(tiles && { tiles }) }));
      shown.add(entries.length);
    }
  } finally {
    shown.done();
  }
  await learn(audit.finish());
  const again = { ...openServed(await client.checkpoint(log), keys), name: "shown when the audit ended" };
  await learn(compareLater(head, again));
}

function openServed(note: string, keys: LogKeys): Head {
  try {
    return openHead(note, keys);
  } catch (cause) {
    if (!(cause instanceof TlogError)) throw cause;
    const hint = cause.code === "unknown_key" ? ` ${MAYBE_ROTATED}` : "";
    const message = `The service's checkpoint is not one of ${keys.origin}. ${cause.message}.${hint}`;
    throw new CliError("failed", message, { cause });
  }
}

async function findPeriod(
  target: Target,
  size: bigint,
  { fromIndex = 0n, toIndex, from, to }: Period,
): Promise<Range & { clockWentBack?: boolean }> {
  if (from !== undefined || to !== undefined) {
    const times = { ...(from !== undefined && { from }), ...(to !== undefined && { to }) };
    return await periodByTime(readHistory(target, size), size, times);
  }
  const end = toIndex === undefined ? size : toIndex + 1n;
  if (fromIndex <= end && end <= size) return { start: fromIndex, end };
  throw new CliError("failed", `It has ${size} entries, and the period goes beyond`);
}

function* bundlesOf(size: bigint): Generator<Tile> {
  for (let index = 0n; ; index++) {
    const width = widthAt(size, "entries", index);
    if (width === 0) return;
    yield { level: "entries", index, width };
  }
}

/** A bundle, and the hash tiles that it completes if they are wanted. */
async function fetchStep({ client, log }: Target, tile: Tile, size: bigint, withTiles: boolean) {
  const fetchTile = (tile: Tile, bytes: number) => client.tile(log, tile, tile.width * bytes);
  const start = tile.index * BigInt(TILE_WIDTH);
  const completed = withTiles ? tilesCompleted({ start, end: start + BigInt(tile.width) }, size) : [];
  const [bundle, tiles] = await Promise.all([
    fetchTile(tile, BUNDLED),
    Promise.all(completed.map(async (tile) => ({ tile, bytes: await fetchTile(tile, HASH_SIZE) }))),
  ]);
  return { tile, bundle, ...(withTiles && { tiles }) };
}

/** What `run` makes of the items, in their order, with at most `ahead` under way or waiting for their turn. */
async function* inOrder<T, R>(
  items: Iterable<T>,
  ahead: number,
  run: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const running: Promise<R>[] = [];
  for (const item of items) {
    const result = run(item);
    result.catch(() => undefined); // is seen when it is its turn
    running.push(result);
    const [first] = running;
    if (first === undefined || running.length < ahead) continue;
    yield await first;
    running.shift();
  }
  for (const result of running) yield await result;
}

/** The published checkpoints of at most `size` entries, smallest first: what the service says, nothing verified. */
async function* readHistory({ client, log, keys }: Target, size: bigint): AsyncGenerator<Head & Published> {
  for (let after = 0n; ; ) {
    const { checkpoints, next } = await client.checkpoints(log, after);
    for (const { checkpoint, publishedAt, ...said } of checkpoints) {
      const head = parseHead(checkpoint, keys);
      if (head.size !== BigInt(said.size) || head.size <= after) throw disorder();
      after = head.size;
      if (after > size) return;
      yield { ...head, at: Date.parse(publishedAt) };
    }
    if (next === undefined) return;
    if (checkpoints.length === 0 || BigInt(next) !== after) throw disorder();
  }
}

function disorder(): ClientError {
  return new ClientError(
    "protocol",
    "The service's history of checkpoints is not in the order of their sizes",
  );
}

/** A function for what comes up to a size and was not taken yet. */
function upTo<T extends { size: bigint }>(items: AsyncIterator<T>): (size: bigint) => Promise<T[]> {
  let next: IteratorResult<T> | undefined;
  return async (size) => {
    const taken: T[] = [];
    for (;;) {
      next ??= await items.next();
      if (next.done || next.value.size > size) return taken;
      taken.push(next.value);
      next = undefined;
    }
  };
}

// ---- the report ---------------------------------------------------------------------------------------------------

type Findings = ReturnType<typeof findings>;

/** All are counted; JSON has each as it is found, the terminal some of each kind at the end. */
function findings(json: boolean) {
  const counts = new Map<FindingKind, number>();
  const shown = new Map<FindingKind, string[]>();
  return {
    counts: counts as ReadonlyMap<FindingKind, number>,
    async tell(list: Iterable<Finding>): Promise<void> {
      for (const finding of list) {
        const count = (counts.get(finding.finding) ?? 0) + 1;
        counts.set(finding.finding, count);
        if (json) {
          printJson(finding);
          if (process.stdout.writableNeedDrain) await once(process.stdout, "drain");
        } else if (count <= MAX_SHOWN) {
          shown.set(finding.finding, [...(shown.get(finding.finding) ?? []), finding.message]);
        }
      }
    },
    lines(): string[] {
      return [...shown].flatMap(([kind, messages]) => {
        const more = (counts.get(kind) ?? 0) - messages.length;
        return more === 0 ? messages : [...messages, `… and ${more} more of this kind: --json lists all.`];
      });
    },
  };
}

/** What says that the log itself is not as it was signed, or was not read. */
const OF_LOG: readonly FindingKind[] = [
  "root_differs",
  "tile_differs",
  "checkpoint_differs",
  "contradiction",
  "log_shrunk",
  "incomplete",
];

type Basis = {
  events: Export | undefined;
  kept: readonly NamedHead[];
  pinned: PinnedKeys;
  flags: AuditFlags;
};

async function conclude(outcome: Outcome, found: Findings, basis: Basis): Promise<void> {
  const { events, pinned, flags } = basis;
  const isGood = found.counts.size === 0;
  if (outcome.evidence !== undefined && flags.evidence !== undefined) {
    await writeEvidence(flags.evidence, outcome.evidence);
  }
  if (flags.keep !== undefined && outcome.head !== undefined) {
    if (OF_LOG.some((kind) => found.counts.has(kind))) warn(`${flags.keep} is not written: see the findings`);
    else await replaceFile(flags.keep, outcome.head.note);
  }
  const word = events === undefined ? "CONSISTENT" : "RECONCILED";
  const verdict = isGood ? word : `NOT ${word}`;
  if (isGood) process.exitCode = 0;
  if (flags.json) {
    printJson({ verdict, ...reportOf(outcome, found, basis), notShown: caveats(outcome, basis) });
    return;
  }
  print(
    `${verdict}  ${summary(outcome, found, events)}`,
    ...found.lines().map((line) => `  ${line}`),
    ...evidenceLines(outcome, flags),
    ...(isGood ? statements(outcome, basis).map((line) => `  ${line}`) : []),
    "Not shown by this",
    ...caveats(outcome, basis).map((line) => `  ${line}`),
    `Keys  ${pinned.sources.join(", ")}: ${pinned.logVkeys.map((key) => `log ${keyLabel(key)}`).join(", ")}`,
  );
}

function summary({ head, period }: Outcome, { counts }: Findings, events: Export | undefined): string {
  const size = `${head?.size ?? "unknown"} entries of the log`;
  const wrong = [...counts.values()].reduce((sum, n) => sum + n, 0);
  const findings = wrong === 0 ? "" : `: ${wrong} ${wrong === 1 ? "finding" : "findings"}`;
  if (events === undefined) return `${size}${findings}`;
  const entries = period === undefined ? "unknown" : period.end - period.start;
  return `${events.count} events, ${entries} entries of the period, ${size}${findings}`;
}

function statements({ head, period, audit }: Outcome, { events, flags }: Basis): string[] {
  if (head === undefined || period === undefined || audit === undefined) return [];
  const { history, kept } = audit.matched;
  const lines = [
    `Read and hashed: all ${head.size} entries. They make the root that the log signed${flags.tiles ? ", and every hash tile" : ""}.`,
    `Earlier checkpoints that are of this tree: ${history} of the log's history, ${kept} that you kept.`,
  ];
  if (events === undefined) return lines;
  const outside = audit.outside === 0 ? "" : `, ${audit.outside} of them outside the period`;
  const copies = events.copies === 0 ? "" : ` Copies of one event that are one entry: ${events.copies}.`;
  lines.push(
    `Every event of the export is in the log${outside}.${copies}`,
    period.start === period.end
      ? "The period has no entry."
      : `Every entry from index ${period.start} to ${period.end - 1n} belongs to one event.`,
  );
  if (events.sources.size > 0) {
    lines.push(
      `Sources that number their events: ${events.sources.size}. No number is missing or there twice.`,
    );
  }
  return lines;
}

function caveats({ period, leftOut }: Outcome, { events, kept, pinned, flags }: Basis): string[] {
  const [left] = leftOut;
  const lines = [
    ...(left === undefined
      ? []
      : [`Left out of the export, and not read: ${leftOut.length}, such as ${quoted(left)}.`]),
    ...(pinned.areFound
      ? ["The keys were found in the current folder: an audit is worth as much as its keys. Name yours."]
      : []),
  ];
  if (flags.from !== undefined || flags.to !== undefined) {
    lines.push("When entries came: the period is by the operator's own clock, which it can set as it likes.");
    if (period?.clockWentBack)
      lines.push("That clock went back: the period was taken as wide as it can mean.");
  }
  if (kept.length === 0) {
    lines.push("That the log never had another history: you gave no checkpoint from before (--since).");
  }
  lines.push("That others are shown the same log: its checkpoints in the public anchor log show it.");
  if (events === undefined) {
    lines.push("What the entries stand for: no events were given (--events, --records).");
    return lines;
  }
  if (flags.events === undefined) {
    lines.push("That there is an event behind each record: the events were not given (--events).");
  }
  lines.push(
    events.sources.size === 0
      ? "That every event was posted: no opening has a source and a number, so none could be missed."
      : "That every event was posted: of a source's events before the first number given and after the last, and of other sources, none could be missed.",
  );
  lines.push("That what the events say is true.");
  return lines;
}

function reportOf(
  { origin, head, period, audit, evidence, leftOut }: Outcome,
  found: Findings,
  basis: Basis,
) {
  const { events, pinned, kept, flags } = basis;
  return {
    origin,
    ...(head && {
      size: String(head.size),
      root: encodeBase64(head.root),
      checkpoint: head.note,
    }),
    ...(period && events && { period: { fromIndex: String(period.start), beforeIndex: String(period.end) } }),
    ...(audit && {
      read: String(audit.size),
      checkpoints: { history: audit.matched.history, kept: audit.matched.kept, given: kept.length },
    }),
    tiles: flags.tiles ?? false,
    ...(events && {
      events: {
        total: events.count,
        copies: events.copies,
        found: audit?.found ?? 0,
        outsidePeriod: audit?.outside ?? 0,
        sources: events.sources.size,
      },
    }),
    findings: Object.fromEntries(found.counts),
    leftOut,
    ...(evidence && { evidence }),
    keys: { source: pinned.sources.join(", "), log: pinned.logVkeys.map(keyLabel) },
  };
}

function evidenceLines({ evidence }: Outcome, { evidence: path }: AuditFlags): string[] {
  if (evidence === undefined) return [];
  return [
    path === undefined
      ? "There is evidence of this: audit again with --evidence FILE, while the service still shows it."
      : `Evidence  ${path}: anyone with the log's keys can check it with kedge audit --check-evidence`,
  ];
}

/** Shown instead where it cannot be written: it may never be had again. */
async function writeEvidence(path: string, evidence: Evidence): Promise<void> {
  const text = `${JSON.stringify(evidence, undefined, 2)}\n`;
  try {
    await writeFile(path, text, { flag: "wx" });
  } catch {
    warn(`${path} cannot be written. This is the evidence, keep it:`);
    process.stderr.write(text);
  }
}

async function replaceFile(path: string, text: string): Promise<void> {
  const partial = `${path}.${process.pid}.partial`;
  try {
    await writeFile(partial, text, { flag: "wx" });
    await rename(partial, path);
  } catch (cause) {
    await rm(partial, { force: true });
    throw new CliError("failed", `${path} cannot be written: check the folder and the disk`, { cause });
  }
}

// ---- a third party ------------------------------------------------------------------------------------------------

/** Whether evidence convinces somebody who has nothing but the log's keys. */
async function judge(path: string, { logVkeys, sources }: PinnedKeys, { json }: AuditFlags): Promise<void> {
  const judged = judgeText(await readSmall(path), logVkeys);
  if (judged.convincing) process.exitCode = 0;
  if (json) printJson(judged);
  else {
    print(judged.convincing ? "CONVINCING" : "NOT CONVINCING", `  ${judged.message}`);
    print(`Keys  ${sources.join(", ")}: ${logVkeys.map((key) => `log ${keyLabel(key)}`).join(", ")}`);
  }
}

function judgeText(text: string, logVkeys: PinnedKeys["logVkeys"]): { convincing: boolean; message: string } {
  try {
    const evidence = parseEvidence(text);
    const { origin } = parseCheckpoint(evidence.checkpoints[0]).checkpoint;
    const log = { origin, vkeys: logVkeys.filter(({ name }) => name === origin) };
    const { sizes, failure } = checkEvidence(evidence, log);
    const [older, newer] = sizes;
    const message = `${origin} signed a tree of ${older} entries and one of ${newer}, and the second did not grow out of the first.`;
    return { convincing: failure === undefined, message: failure ?? message };
  } catch (error) {
    if (!(error instanceof TlogError)) throw error;
    return { convincing: false, message: `It does not hold under these keys. ${error.message}.` };
  }
}
