/** What `kedge audit` found, as it is told: on the terminal, as JSON, and in the files that are kept. */
import { once } from "node:events";
import {
  type Audit,
  type AuditFinding,
  type AuditFindingKind,
  type Export,
  sequences,
} from "../audit/audit.ts";
import {
  type GivenManifest,
  type JudgedPeriod,
  type NumberedEvents,
  type PeriodVerdict,
  type SourceCompleteness,
  timeOf,
} from "../audit/completeness.ts";
import type { NamedHead, SignedHead } from "../audit/heads.ts";
import { tellAuditFinding } from "../audit/words.ts";
import type { Evidence } from "../evidence/evidence.ts";
import { keyLabel, quoted } from "../text.ts";
import { encodeBase64 } from "../tlog/bytes.ts";
import { parseCheckpoint } from "../tlog/checkpoint.ts";
import type { Range } from "../tlog/merkle.ts";
import type { CommitFlags } from "./committer.ts";
import type { PinnedKeys } from "./credentials.ts";
import { keepEvidence } from "./evidence.ts";
import { replaceOwn } from "./files.ts";
import { EXIT_FAILED, EXIT_UNREAD, print, printJson, warn } from "./output.ts";

export type AuditFlags = Omit<CommitFlags, "source"> & {
  events?: string[];
  records?: string[];
  manifests?: string[];
  source?: string[];
  fromIndex?: bigint;
  toIndex?: bigint;
  /** ms since the epoch. */
  from?: number;
  to?: number;
  since?: string[];
  keep?: string;
  tiles?: boolean;
  evidence?: string;
  checkEvidence?: string;
  maxEntries: bigint;
  /** ms. */
  timeout: number;
  json?: boolean;
};

/** An export, and what of it is not compared, for it is of other sources than those that were asked for. */
export type ComparedExport = Export & {
  /** Events and records by their source; "" for those that have none. */
  others: Map<string, number>;
  /** Sources that have a record without an event, and no event; undefined when some such record is of another or none. */
  absentSources: Set<string> | undefined;
  /** Where completeness is asked for. */
  numbered?: Numbering;
};

/** By source. `areEvents`: events were given, and one of a source of which there is none is missing. */
export type Numbering = {
  events: Map<string, NumberedEvents>;
  manifests: Map<string, GivenManifest[]>;
  areEvents: boolean;
};

/** What an audit has come to; what was not reached is absent. */
export type AuditOutcome = {
  origin: string;
  head?: SignedHead;
  period?: Range & { clockWentBack?: boolean };
  audit?: Audit;
  evidence: Evidence[];
  /** Of each source that has manifests. */
  completeness?: SourceCompleteness[];
  leftOut: string[];
  /** What an editor or a desktop leaves, by its name: not read either. */
  litter: string[];
};

/** Findings of one kind that the terminal shows. */
const MAX_SHOWN = 20;

export type Findings = ReturnType<typeof findings>;

/** All are counted; JSON has each as it is found, the terminal some of each kind at the end. */
export function findings(json: boolean) {
  const counts = new Map<AuditFindingKind, number>();
  const shown = new Map<AuditFindingKind, string[]>();
  return {
    counts: counts as ReadonlyMap<AuditFindingKind, number>,
    async tell(list: Iterable<AuditFinding>): Promise<void> {
      for (const finding of list) {
        const told = tellAuditFinding(finding);
        const count = (counts.get(finding.finding) ?? 0) + 1;
        counts.set(finding.finding, count);
        if (json) {
          printJson(told);
          if (process.stdout.writableNeedDrain) await once(process.stdout, "drain");
        } else if (count <= MAX_SHOWN) {
          shown.set(finding.finding, [...(shown.get(finding.finding) ?? []), told.message]);
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

/** What says that something could not be known, and nothing of what is. */
const UNDECIDED: readonly AuditFindingKind[] = ["incomplete", "untold", "left_out", "no_manifest"];
/** What may be no more than that a file of the export was not read. */
const MISSING: readonly AuditFindingKind[] = [
  "entry_without_event",
  "record_without_event",
  "sequence_missing",
  "manifest_missing",
];

/** What says that the log itself is not as it was signed, or was not read. */
const OF_LOG: readonly AuditFindingKind[] = [
  "root_differs",
  "tile_differs",
  "checkpoint_differs",
  "contradiction",
  "log_shrunk",
  "bad_checkpoint",
  "incomplete",
];

type Basis = {
  events: ComparedExport | undefined;
  kept: readonly NamedHead[];
  pinned: PinnedKeys;
  flags: AuditFlags;
};

export async function conclude(outcome: AuditOutcome, found: Findings, basis: Basis): Promise<void> {
  const { pinned, flags } = basis;
  if (flags.evidence !== undefined) await keepEvidence(flags.evidence, outcome.evidence);
  if (flags.keep !== undefined && outcome.head !== undefined) {
    if (OF_LOG.some((kind) => found.counts.has(kind))) warn(`${flags.keep} is not written: see the findings`);
    else await replaceOwn(flags.keep, outcome.head.note, "a checkpoint", parseCheckpoint);
  }
  const { verdict, exitCode } = judge(outcome, found, basis);
  process.exitCode = exitCode;
  if (flags.json) {
    printJson({ verdict, ...reportOf(outcome, found, basis), notShown: caveats(outcome, basis) });
    return;
  }
  print(
    `${verdict}  ${summary(outcome, found, basis)}`,
    ...periodLines(outcome, basis).map((line) => `  ${line}`),
    ...found.lines().map((line) => `  ${line}`),
    ...hints(found, basis).map((line) => `  ${line}`),
    ...completenessLines(outcome).map((line) => `  ${line}`),
    ...evidenceLines(outcome, flags),
    ...(exitCode !== EXIT_FAILED && outcome.audit !== undefined && found.counts.size === 0
      ? statements(outcome, basis).map((line) => `  ${line}`)
      : []),
    "Not shown by this",
    ...caveats(outcome, basis).map((line) => `  ${line}`),
    keysLine(pinned),
  );
}

/** What could not be known is neither good nor bad, and neither is that nothing was compared. */
function judge({ period, leftOut, litter }: AuditOutcome, { counts }: Findings, { events, flags }: Basis) {
  const word = events === undefined ? "CONSISTENT" : "RECONCILED";
  const isEmpty = period !== undefined && period.start === period.end;
  const hasNothing = events !== undefined && (isEmpty || (events.isPartial && events.total.event === 0));
  if (counts.size === 0 && hasNothing) return { verdict: "NOTHING TO RECONCILE", exitCode: EXIT_UNREAD };
  if (counts.size === 0) return { verdict: word, exitCode: 0 };
  // What was left out may hold anything. What was passed by holds an event each, and with records these would name it.
  const unmatched = counts.get("entry_without_event") ?? 0;
  const mayBeUnread =
    leftOut.length > 0
      ? MISSING
      : MISSING.filter(
          (kind) =>
            kind === "entry_without_event" && flags.records === undefined && unmatched <= litter.length,
        );
  const isUndecided = [...counts.keys()].every(
    (kind) => UNDECIDED.includes(kind) || mayBeUnread.includes(kind),
  );
  return isUndecided
    ? { verdict: "UNDECIDED", exitCode: EXIT_UNREAD }
    : { verdict: `NOT ${word}`, exitCode: EXIT_FAILED };
}

export function keysLine({ sources, logVkeys }: PinnedKeys): string {
  return `Keys  ${sources.join(", ")}: ${logVkeys.map((key) => `log ${keyLabel(key)}`).join(", ")}`;
}

function summary({ head, period }: AuditOutcome, { counts }: Findings, { events }: Basis): string {
  const size = head === undefined ? "the log's size is unknown" : `${head.size} entries of the log`;
  const wrong = [...counts].reduce((sum, [kind, n]) => (UNDECIDED.includes(kind) ? sum : sum + n), 0);
  const findings = wrong === 0 ? "" : `: ${wrong} ${wrong === 1 ? "finding" : "findings"}`;
  if (events === undefined) return `${size}${findings}`;
  const what = events.areRecords ? "records (no events were given)," : "events,";
  const entries = period === undefined ? "" : `${period.end - period.start} entries of the period, `;
  return `${events.total.event} ${what} ${entries}${size}${findings}`;
}

/** What the period is, beside the verdict that it is of. */
function periodLines({ period }: AuditOutcome, { events, flags }: Basis): string[] {
  if (events === undefined || period === undefined) return [];
  const { from, to, fromIndex, toIndex } = flags;
  if ((from ?? to ?? fromIndex ?? toIndex) === undefined) return [];
  const which =
    period.start === period.end
      ? "The period has no entry of the log"
      : `The period is the entries from index ${period.start} to ${period.end - 1n}`;
  const by =
    from === undefined && to === undefined
      ? "by their place in the log, which is the order of posting"
      : "by when they were sealed, by the operator's clock";
  return [`${which}: ${by}, and not by when the events happened.`];
}

function hints({ counts }: Findings, { events, flags }: Basis): string[] {
  const lines: string[] = [];
  if (flags.records === undefined && counts.has("event_not_in_log")) {
    lines.push(
      "An event that was posted with a source has a number in its commitment, which the tenant key does not give: without its record (--records) it is not found in the log.",
    );
  }
  const [source] = events?.absentSources ?? [];
  if (source !== undefined && counts.has("record_without_event")) {
    lines.push(
      `Every record without an event is of a source of which you gave no event, such as ${quoted(source)}: --source compares the others alone.`,
    );
  }
  return lines;
}

/** Sources that are shown one by one. */
const MAX_SOURCES = 20;

function statements({ head, period, audit }: AuditOutcome, { events, flags }: Basis): string[] {
  if (head === undefined || period === undefined || audit === undefined) return [];
  const { history, kept } = audit.matched;
  const lines = [
    `Read and hashed: all ${head.size} entries. They make the root that the log signed${flags.tiles ? ", and every hash tile" : ""}.`,
    `Earlier checkpoints that are of this tree: ${history} of the log's history, ${kept} that you kept.`,
  ];
  if (events === undefined) return lines;
  const outside = audit.outside === 0 ? "" : `, ${audit.outside} of them outside the period`;
  const [thing, copy] = events.areRecords ? ["record", "entry"] : ["event", "event"];
  const copies = events.copies === 0 ? "" : ` Copies of one ${copy} that are one entry: ${events.copies}.`;
  if (events.total.event > 0) lines.push(`Every ${thing} of the export is in the log${outside}.${copies}`);
  if (period.start < period.end) lines.push(entriesLine(period, audit, events));
  const numbered = sequences(events);
  for (const { source, first, last } of numbered.slice(0, MAX_SOURCES)) {
    lines.push(`Source ${quoted(source)}: numbers ${first} to ${last}, none missing and none there twice.`);
  }
  if (numbered.length > MAX_SOURCES) {
    lines.push(
      `And ${numbered.length - MAX_SOURCES} sources more, none of whose numbers is missing or there twice.`,
    );
  }
  return lines;
}

function entriesLine({ start, end }: Range, { notCompared }: Audit, events: ComparedExport): string {
  if (!events.isPartial) {
    return `Every entry from index ${start} to ${end - 1n} is of one ${events.areRecords ? "record" : "event"} of the export.`;
  }
  const { others, unknown } = notCompared;
  const compared = end - start - BigInt(others + unknown);
  return `Of ${end - start} entries from index ${start} to ${end - 1n}, ${compared} are of the sources that were compared.`;
}

function caveats(
  { period, leftOut, litter, audit }: AuditOutcome,
  { events, kept, pinned, flags }: Basis,
): string[] {
  const [left] = leftOut;
  const [passed] = litter;
  const lines = [
    ...(left === undefined
      ? []
      : [`Left out of the export, and not read: ${leftOut.length}, such as ${quoted(left)}.`]),
    ...(passed === undefined
      ? []
      : [
          `Passed by as what an editor or a desktop leaves, and not read: ${litter.length}, such as ${quoted(passed)}. --as-bytes reads them too.`,
        ]),
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
  lines.push(...otherSources(events, audit, flags));
  if (events.areRecords) {
    lines.push("That there is an event behind each record: records were compared, and no events (--events).");
  }
  if (events.numbered !== undefined) lines.push(...LOST_BEFORE);
  lines.push(
    events.sources.size === 0
      ? "That every event was posted: no opening has a source and a number, so one that is missing would not be noticed."
      : "That every event was posted: of a source's events before the first number given and after the last, and of other sources, one that is missing would not be noticed.",
  );
  lines.push("That what the events say is true.");
  return lines;
}

/** What no number can show. */
const LOST_BEFORE = [
  "That the agent was given every event: what a system lost on the way to it, by a full queue, a datagram or a process that fell, was given no number and is in no count.",
  "That events happened in the hour whose manifest counts them: it counts what was written down then.",
];

/** Periods of a source that are shown one by one. */
const MAX_PERIODS = 20;

const SAID: Record<PeriodVerdict, string> = {
  complete: "complete",
  incomplete: "NOT complete: the findings say what is missing",
  untold: "cannot tell: its events were not given, or its manifests do not hold",
};

/** By source, periods that follow each other and are alike as one. */
export function completenessLines({ completeness = [] }: Pick<AuditOutcome, "completeness">): string[] {
  return completeness.flatMap(({ source, periods }) => {
    const lines = alike(periods).map(({ from, to, count, first, last, manifests, verdict }) => {
      const numbers = first === undefined ? "no events" : `${count} events, numbers ${first} to ${last}`;
      const by = manifests === 1 ? "one manifest" : `${manifests} manifests`;
      return `Source ${quoted(source)}, ${timeOf(from)} to ${timeOf(to)}: ${SAID[verdict]} (${numbers}, by ${by}).`;
    });
    const more = lines.length - MAX_PERIODS;
    return more <= 0
      ? lines
      : [...lines.slice(0, MAX_PERIODS), `… and ${more} more times: --json lists all.`];
  });
}

type Alike = Omit<JudgedPeriod, "numbers"> & { first?: bigint; last?: bigint; manifests: number };

function alike(periods: readonly JudgedPeriod[]): Alike[] {
  const runs: Alike[] = [];
  for (const { numbers, ...period } of periods) {
    const run = runs.at(-1);
    if (run === undefined || run.verdict !== period.verdict || run.to !== period.from) {
      runs.push({ ...period, ...numbers, manifests: 1 });
      continue;
    }
    run.to = period.to;
    run.count += period.count;
    run.manifests += 1;
    if (numbers === undefined) continue;
    run.first ??= numbers.first;
    run.last = numbers.last;
  }
  return runs;
}

/** What is of other sources is a hash and no more: it is counted, and nothing is said of it. */
function otherSources(
  { isPartial, areRecords, others }: ComparedExport,
  audit: Audit | undefined,
  flags: AuditFlags,
): string[] {
  if (!isPartial) return [];
  const wanted = (flags.source ?? []).map((name) => quoted(name)).join(", ");
  const given = [...others]
    .slice(0, MAX_SOURCES)
    .map(([name, n]) => `${n} ${name === "" ? "without a source" : `of ${quoted(name)}`}`);
  const more = others.size > MAX_SOURCES ? `, and of ${others.size - MAX_SOURCES} sources more` : "";
  const { others: known, unknown } = audit?.notCompared ?? { others: 0, unknown: 0 };
  return [
    ...(given.length === 0
      ? []
      : [`Given, and not compared, for only ${wanted} is: ${given.join(", ")}${more}.`]),
    ...(known === 0
      ? []
      : [`Entries of the period that are by these of other sources, and were not compared: ${known}.`]),
    ...(unknown === 0
      ? []
      : [
          `Entries of the period that are of ${areRecords ? "nothing" : "no event"} you gave: ${unknown}. Whose they are a hash does not say, and neither does a record without its event: other systems' events, or some of ${wanted} that the export does not have.`,
        ]),
  ];
}

function reportOf(
  { origin, head, period, audit, evidence, completeness, leftOut, litter }: AuditOutcome,
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
        total: events.total.event,
        areRecords: events.areRecords,
        copies: events.copies,
        found: audit?.found ?? 0,
        outsidePeriod: audit?.outside ?? 0,
        sources: events.sources.size,
        numbers: sequences(events).map(({ source, first, last }) => ({
          source,
          first: `${first}`,
          last: `${last}`,
        })),
        ...(events.isPartial && {
          notCompared: {
            given: Object.fromEntries(events.others),
            entriesOfOthers: audit?.notCompared.others ?? 0,
            entriesOfNothingGiven: audit?.notCompared.unknown ?? 0,
          },
        }),
      },
    }),
    ...(completeness && {
      completeness: completeness.map(({ source, periods }) => ({
        source,
        periods: periods.map(({ from, to, count, numbers, verdict }) => ({
          ...{ from: timeOf(from), to: timeOf(to), verdict, count: `${count}` },
          ...(numbers && { first: `${numbers.first}`, last: `${numbers.last}` }),
        })),
      })),
    }),
    findings: Object.fromEntries(found.counts),
    leftOut,
    passedBy: litter,
    evidence,
    keys: { source: pinned.sources.join(", "), log: pinned.logVkeys.map(keyLabel) },
  };
}

function evidenceLines({ evidence }: AuditOutcome, { evidence: path }: AuditFlags): string[] {
  if (evidence.length === 0) return [];
  return [
    path === undefined
      ? "There is evidence of this: audit again with --evidence FILE, while the service still shows it."
      : `Evidence  ${path}: anyone with the log's keys can check it: audit --check-evidence`,
  ];
}
