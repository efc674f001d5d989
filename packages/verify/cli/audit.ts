/** `kedge audit`: reads a whole log, recomputes it, and reconciles it with an export of events. */
import { type Command, Option } from "commander";
import {
  type AuditFinding,
  BUNDLED,
  compareLater,
  decodeCommitments,
  type Export,
  indexOf,
  type Published,
  periodByTime,
  startAudit,
  tilesCompleted,
} from "../audit/audit.ts";
import { judgeSource, noNumbered, type SourceCompleteness } from "../audit/completeness.ts";
import { type NamedHead, openHead, type PinnedLog, parseHead, type SignedHead } from "../audit/heads.ts";
import { ClientError } from "../error.ts";
import { manifestSource } from "../events/manifest.ts";
import type { Evidence } from "../evidence/evidence.ts";
import { type LogReader, openLogReader } from "../net/log.ts";
import { MAYBE_ROTATED, quoted } from "../text.ts";
import { TlogError } from "../tlog/error.ts";
import { HASH_SIZE, type Range } from "../tlog/merkle.ts";
import { MAX_PROOF_SIZE, parseProof } from "../tlog/proof.ts";
import { TILE_WIDTH, type Tile, widthAt } from "../tlog/tile.ts";
import { type OpenKeys, readExport } from "./audit-export.ts";
import {
  type AuditFlags,
  type AuditOutcome,
  type ComparedExport,
  conclude,
  type Findings,
  findings,
  keysLine,
  type Numbering,
} from "./audit-report.ts";
import { type TenantKeys, withCommit } from "./committer.ts";
import {
  evidenceKeys,
  findTenantKey,
  namedLog,
  type PinnedKeys,
  pinnedKeys,
  serviceConnection,
  withService,
  withVkeys,
} from "./credentials.ts";
import { judgeEvidence } from "./evidence.ts";
import { readInput } from "./files.ts";
import { collect, entryCount, entryNumber, MAX_TIMER, seconds } from "./options.ts";
import { asMisuse, EXIT_FAILED, misuse, print, progress } from "./output.ts";
import { time } from "./time.ts";

/** `openKeys` is given by a program that knows a keyring. */
export function auditCommand(command: Command, openKeys: OpenKeys = storedKeys): Command {
  return withCommit(withVkeys(withService(command)))
    .argument("[log]", "the log's id (KEDGE_LOG, or of the credentials)")
    .option("--events <path>", "the export: an event file, a folder or .ndjson; may be repeated", collect)
    .option("--records <file>", "its openings, as kedge commit or post --out wrote them", collect)
    .option(
      "--manifests <path>",
      "the sources' manifests, whose openings are among the records: is each source complete? may be repeated",
      collect,
    )
    .option(
      "--source <name>",
      "compare what is of this source alone, by the openings: for a log of several systems; may be repeated",
      collect,
    )
    .addOption(byIndex("--from-index <n>", "the first entry of the period (default: of the log)"))
    .addOption(byIndex("--to-index <n>", "the last entry of the period (default: of the log)"))
    .option("--from <time>", "the period begins then, by the operator's clock (RFC 3339)", time)
    .option("--to <time>", "the period ends before then", time)
    .option("--since <file>", "a checkpoint, or a proof, that you kept from before; may be repeated", collect)
    .option("--keep <file>", "write the audited checkpoint there, for --since of the next audit")
    .option("--tiles", "compare the hash tiles too, byte for byte")
    .option("--evidence <file>", "add there which signed checkpoints contradict each other, if any do")
    .option("--check-evidence <file>", "instead: does this evidence convince with the log's key alone?")
    .addOption(
      new Option("--max-entries <n>", "read no larger log")
        .argParser(entryCount)
        .default(100_000_000n, "100000000"),
    )
    .addOption(
      new Option("--timeout <seconds>", "how long to ask for one answer, when the service is busy or away")
        .argParser(seconds(MAX_TIMER))
        .default(600_000, "600"),
    )
    .option("--json", "each finding as a line of JSON, and the report as the last line")
    .addHelpText(
      "after",
      "\nWithout --events and --records, only the log itself is audited." +
        "\nExit code: 0 reconciled (or consistent), 1 not, 2 used wrongly, 3 undecided: not read, or nothing to compare.",
    )
    .action((id: string | undefined, flags: AuditFlags) => audit(id, flags, openKeys));
}

async function storedKeys(flags: AuditFlags): Promise<TenantKeys> {
  const tenantKey = findTenantKey(flags);
  return tenantKey === undefined ? [] : [tenantKey];
}

function byIndex(flags: string, description: string): Option {
  return new Option(flags, description).argParser(entryNumber).conflicts(["from", "to"]);
}

/** Requests under way at most: enough to hide the way to the service, and 8 bundles in memory. */
const AHEAD = 8;
type AuditedLog = { log: LogReader; keys: PinnedLog };

async function audit(id: string | undefined, flags: AuditFlags, openKeys: OpenKeys): Promise<void> {
  process.exitCode = EXIT_FAILED; // until it is reconciled: a reader may close the pipe before that
  if (flags.checkEvidence !== undefined) {
    const keys = evidenceKeys(flags);
    await judgeEvidence(flags.checkEvidence, keys.logVkeys, flags.json);
    if (!flags.json) print(keysLine(keys));
    return;
  }
  const pinned = pinnedKeys(flags);
  checkPeriod(flags);
  const log = namedLog({ ...flags, log: id ?? process.env["KEDGE_LOG"] });
  const connection = { ...serviceConnection(flags), patience: flags.timeout };
  const target = { log: openLogReader(connection, log), keys: keysOf(log, pinned) };
  const kept = (flags.since ?? []).map((path) => readKept(path, target.keys));
  const found = findings(flags.json ?? false);
  const outcome: AuditOutcome = { origin: target.keys.origin, evidence: [], leftOut: [], litter: [] };
  const events = await readExport(flags, found, { ...outcome, openKeys });
  let isRead = false;
  try {
    await readLog(target, { kept, flags, events }, found, outcome);
    isRead = true;
  } catch (error) {
    if (!(error instanceof ClientError || error instanceof TlogError)) throw error;
    // Another's signature, or none that holds, is no trouble on the way.
    const isAnothers = error.code === "unknown_key" || error.code === "bad_signature";
    const finding = isAnothers ? "bad_checkpoint" : "incomplete";
    await found.tell([{ finding, detail: { cause: error } }]);
  }
  await conclude(outcome, found, { events, kept, pinned, flags });
  // The service may hold requests that are under way for minutes: nothing waits for them.
  if (!isRead) process.stdout.write("", () => process.exit());
}

// ---- what is given ------------------------------------------------------------------------------------------------

/** The pinned keys of this log: its origin ends in its id. A checkpoint of another pinned log is then not taken for it. */
function keysOf(log: string, { logVkeys }: PinnedKeys): PinnedLog {
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

function checkPeriod({ fromIndex, toIndex, from, to, events, records, manifests, source }: AuditFlags): void {
  if (manifests !== undefined && records === undefined) {
    throw misuse("A manifest is opened by its record, which has its number: give --records too");
  }
  if (source !== undefined && (events ?? records) === undefined) {
    throw misuse("A source is of events: give --events or --records, or leave it out");
  }
  const isGiven = (fromIndex ?? toIndex ?? from ?? to) !== undefined;
  if (isGiven && (events ?? records) === undefined) {
    throw misuse("A period is of events: give --events or --records, or leave it out");
  }
  const isBackwards =
    (fromIndex ?? 0n) > (toIndex ?? fromIndex ?? 0n) ||
    (from ?? Number.NEGATIVE_INFINITY) >= (to ?? Number.POSITIVE_INFINITY);
  if (isBackwards) throw misuse("The period ends before it begins");
}

/** A checkpoint of this log that the auditor has, from a file of it or of a proof. */
function readKept(path: string, keys: PinnedLog): NamedHead {
  // A byte order mark stays, for the parser to refuse: no signed note begins with one.
  const bytes = readInput(path, MAX_PROOF_SIZE);
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  const open = () =>
    openHead(text.startsWith("c2sp.org/tlog-proof@") ? parseProof(text).checkpoint : text, keys);
  const head = asMisuse(
    open,
    (cause) => `--since: ${path} has no checkpoint of the log ${whyNot(cause, keys)}`,
  );
  return { ...head, name: `kept in ${quoted(path)}` };
}

// ---- the log ------------------------------------------------------------------------------------------------------

type Plan = {
  kept: readonly NamedHead[];
  flags: AuditFlags;
  events: ComparedExport | undefined;
};

/** Reads the whole log once. Throws ClientError and TlogError when it cannot be read to its end. */
async function readLog(
  target: AuditedLog,
  plan: Plan,
  found: Findings,
  outcome: AuditOutcome,
): Promise<void> {
  const { log, keys } = target;
  const head = { ...openServed(await log.checkpoint(), keys), name: "shown by the service" };
  outcome.head = head;
  const learn = async (result: { findings: Iterable<AuditFinding>; evidence?: Evidence }) => {
    if (result.evidence !== undefined) outcome.evidence.push(result.evidence);
    await found.tell(result.findings);
  };
  for (const earlier of plan.kept) await learn(compareLater(earlier, head));
  const { kept, events, flags } = plan;
  if (head.size > flags.maxEntries) {
    const message = `It has ${head.size} entries, more than --max-entries ${flags.maxEntries}`;
    throw new ClientError("protocol", message);
  }
  const period = await findPeriod(target, head.size, flags);
  outcome.period = period;
  const { toIndex = 0n, fromIndex = 0n } = flags;
  const last = toIndex > fromIndex ? toIndex : fromIndex;
  if (last >= head.size && last > 0n) {
    await found.tell([{ finding: "period_beyond_log", last: `${last}`, size: `${head.size}` }]);
  }
  const audit = startAudit({ log: keys, head, kept, period, ...(events && { events }) });
  outcome.audit = audit;

  const published = publishedTimes();
  const history = upTo(readHistory(target, head.size));
  const shown = progress("entries read");
  try {
    for await (const { tile, bundle, tiles } of inOrder(bundlesOf(head.size), AHEAD, (tile) =>
      fetchStep(target, tile, head.size, flags.tiles),
    )) {
      const entries = decodeCommitments(tile, bundle); // not before its turn: as objects they are ten times as large
      const heads = await history(audit.size + BigInt(entries.length));
      if (events?.numbered !== undefined) for (const earlier of heads) published.add(earlier);
      await found.tell(audit.add({ entries, history: heads, ...(tiles && { tiles }) }));
      shown.add(entries.length);
    }
  } finally {
    shown.done();
  }
  await learn(audit.finish());
  if (events?.numbered !== undefined) {
    outcome.completeness = judgeSources(events, events.numbered, published);
    await found.tell(outcome.completeness.flatMap(({ findings }) => findings));
    await found.tell(withoutManifests(events, events.numbered));
  }
  const again = { ...openServed(await log.checkpoint(), keys), name: "shown when the audit ended" };
  await learn(compareLater(head, again));
}

type PublishedTimes = ReturnType<typeof publishedTimes>;

/** When entries were first in a published checkpoint, sixteen bytes for each of the history. */
function publishedTimes() {
  const sizes: number[] = [];
  const times: number[] = [];
  return {
    add({ size, at }: Published): void {
      sizes.push(Number(size));
      times.push(at);
    },
    /** undefined where the history does not say. */
    of(index: bigint): number | undefined {
      let [low, high] = [0, sizes.length];
      while (low < high) {
        const middle = (low + high) >> 1;
        if ((sizes[middle] ?? 0) <= Number(index)) low = middle + 1;
        else high = middle;
      }
      return times[low];
    },
  };
}

function judgeSources(
  all: Export,
  { manifests, events, areEvents }: Numbering,
  published: PublishedTimes,
): SourceCompleteness[] {
  return [...manifests].map(([source, given]) => {
    const placed = given.map((one) => {
      const index = indexOf(all, one.commitment);
      const sealedAt = index === undefined ? undefined : published.of(index);
      return {
        ...one,
        ...(index === undefined ? {} : { index }),
        ...(sealedAt === undefined ? {} : { sealedAt }),
      };
    });
    return judgeSource(source, placed, events.get(source) ?? (areEvents ? noNumbered() : undefined));
  });
}

/** Manifests have none of their own, and neither has a keyring: each of its records says what its number is. */
function withoutManifests({ sources }: Export, { manifests }: Numbering): AuditFinding[] {
  const own = [manifestSource(""), "kedge.keyring/"];
  return [...sources.keys()]
    .filter((source) => !manifests.has(source) && !own.some((name) => source.startsWith(name)))
    .map((source) => ({ finding: "no_manifest", source }));
}

function openServed(note: string, keys: PinnedLog): SignedHead {
  try {
    return openHead(note, keys);
  } catch (cause) {
    if (!(cause instanceof TlogError)) throw cause;
    const message = `The service's checkpoint is not one of ${whyNot(cause, keys)}`;
    throw new TlogError(cause.code, message, { cause });
  }
}

function whyNot({ code, message }: { code: string; message: string }, { origin }: PinnedLog): string {
  return `${origin}. ${message}.${code === "unknown_key" ? ` ${MAYBE_ROTATED}` : ""}`;
}

async function findPeriod(
  target: AuditedLog,
  size: bigint,
  { fromIndex = 0n, toIndex, from, to }: AuditFlags,
): Promise<Range & { clockWentBack?: boolean }> {
  if (from !== undefined || to !== undefined) {
    const times = { ...(from !== undefined && { from }), ...(to !== undefined && { to }) };
    return await periodByTime(readHistory(target, size), size, times);
  }
  const end = toIndex === undefined || toIndex >= size ? size : toIndex + 1n;
  return { start: fromIndex < end ? fromIndex : end, end };
}

function* bundlesOf(size: bigint): Generator<Tile> {
  for (let index = 0n; ; index++) {
    const width = widthAt(size, "entries", index);
    if (width === 0) return;
    yield { level: "entries", index, width };
  }
}

/** A bundle, and the hash tiles that it completes if they are wanted. */
async function fetchStep({ log }: AuditedLog, tile: Tile, size: bigint, withTiles = false) {
  const fetchTile = (tile: Tile, bytes: number) => log.tile(tile, tile.width * bytes);
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
async function* readHistory({ log, keys }: AuditedLog, size: bigint): AsyncGenerator<SignedHead & Published> {
  for (let after = 0n; ; ) {
    const { checkpoints, next } = await log.checkpoints(after);
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

/** Returns a function that takes the next items up to a size; each is taken once. */
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
