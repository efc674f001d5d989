/** What `kedge audit` found, as it is told: on the terminal, as JSON, and in the files that are kept. */
import { once } from "node:events";
import type { Audit, AuditFinding, AuditFindingKind, Export } from "../audit/audit.ts";
import type { NamedHead, SignedHead } from "../audit/heads.ts";
import { tellAuditFinding } from "../audit/words.ts";
import type { Evidence } from "../evidence/evidence.ts";
import { keyLabel, quoted } from "../text.ts";
import { encodeBase64 } from "../tlog/bytes.ts";
import type { Range } from "../tlog/merkle.ts";
import type { CommitFlags } from "./committer.ts";
import type { PinnedKeys } from "./credentials.ts";
import { keepEvidence } from "./evidence.ts";
import { replaceFile } from "./files.ts";
import { print, printJson, warn } from "./output.ts";

export type AuditFlags = CommitFlags & {
  events?: string[];
  records?: string[];
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
  json?: boolean;
};

/** What an audit has come to; what was not reached is absent. */
export type AuditOutcome = {
  origin: string;
  head?: SignedHead;
  period?: Range & { clockWentBack?: boolean };
  audit?: Audit;
  evidence: Evidence[];
  leftOut: string[];
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

/** What says that the log itself is not as it was signed, or was not read. */
const OF_LOG: readonly AuditFindingKind[] = [
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

export async function conclude(outcome: AuditOutcome, found: Findings, basis: Basis): Promise<void> {
  const { events, pinned, flags } = basis;
  const isGood = found.counts.size === 0;
  if (flags.evidence !== undefined) await keepEvidence(flags.evidence, outcome.evidence);
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
    keysLine(pinned),
  );
}

export function keysLine({ sources, logVkeys }: PinnedKeys): string {
  return `Keys  ${sources.join(", ")}: ${logVkeys.map((key) => `log ${keyLabel(key)}`).join(", ")}`;
}

function summary({ head, period }: AuditOutcome, { counts }: Findings, events: Export | undefined): string {
  const size = `${head?.size ?? "unknown"} entries of the log`;
  const wrong = [...counts.values()].reduce((sum, n) => sum + n, 0);
  const findings = wrong === 0 ? "" : `: ${wrong} ${wrong === 1 ? "finding" : "findings"}`;
  if (events === undefined) return `${size}${findings}`;
  const entries = period === undefined ? "unknown" : period.end - period.start;
  return `${events.count} events, ${entries} entries of the period, ${size}${findings}`;
}

function statements({ head, period, audit }: AuditOutcome, { events, flags }: Basis): string[] {
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

function caveats({ period, leftOut }: AuditOutcome, { events, kept, pinned, flags }: Basis): string[] {
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
  { origin, head, period, audit, evidence, leftOut }: AuditOutcome,
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
