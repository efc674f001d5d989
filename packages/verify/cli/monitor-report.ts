/** What `kedge monitor` tells of a look: one object, as JSON, to a webhook, and in plain words. */
import type { MonitorState, MonitorTrust, ToldMonitorFinding } from "../monitor/monitor.ts";
import type { Look } from "../monitor/watch.ts";
import { sayMonitorCaveat, tellMonitorFinding } from "../monitor/words.ts";

/** Sizes are decimal, times RFC 3339. */
export type Report = {
  outcome: "good" | "findings" | "unreachable";
  at: string;
  log: string;
  url: string;
  size?: string;
  /** Entries read in this look. */
  read?: string;
  /** Witnesses of the policy that cosigned. */
  witnesses?: string[];
  findings: ToldMonitorFinding[];
  /** Findings beyond those listed. */
  omitted: number;
  /** Lasting ones of earlier looks, until --acknowledge. */
  earlier: readonly ToldMonitorFinding[];
  /** The file that it is kept in, if there is any. */
  evidence?: string;
  notChecked: string[];
  /** Why it could not be read. */
  reason?: string;
};

/** What a report is about. `state` is that of before the look. */
export type WatchedLog = {
  readonly url: string;
  readonly trust: MonitorTrust;
  readonly evidencePath: string;
  readonly policyPath: string;
  readonly state: MonitorState | undefined;
};

/** `now` in ms since the epoch. */
export function lookReport(watched: WatchedLog, look: Look, now: number): Report {
  const { state, head, findings, omitted, read, failure, tooMany } = look;
  const reason = `${failure?.message}${tooMany ? " (--max-entries, --from-now)" : ""}`;
  if (failure !== undefined && findings.length === 0) {
    return unreachableReport(watched, reason, now);
  }
  const earlier = watched.state?.findings ?? [];
  const isKept = look.evidence.length > 0 || earlier.length > 0;
  const cut = failure === undefined ? [] : [`What could not be read. ${reason}`];
  return {
    outcome: findings.length + earlier.length > 0 ? "findings" : "good",
    ...about(watched, now),
    ...(state === undefined ? {} : { size: String(state.checkpoint.size) }),
    read: String(read),
    ...(head === undefined ? {} : { witnesses: head.witnesses }),
    findings: findings.map(tellMonitorFinding),
    omitted,
    earlier,
    ...(isKept ? { evidence: watched.evidencePath } : {}),
    notChecked: [...cut, ...look.caveats.map(sayMonitorCaveat), ...caveats(watched, state)],
  };
}

export function unreachableReport(watched: WatchedLog, reason: string, now: number): Report {
  const earlier = watched.state?.findings ?? [];
  return {
    outcome: "unreachable",
    ...about(watched, now),
    findings: [],
    omitted: 0,
    earlier,
    notChecked: [],
    reason,
  };
}

const about = ({ trust, url }: WatchedLog, now: number) => ({
  at: new Date(now).toISOString(),
  log: trust.origin,
  url,
});

function caveats({ trust, state: before }: WatchedLog, state: MonitorState | undefined): string[] {
  const { policy, logVkeys } = trust;
  const lines = [
    "Whether the checkpoints of a tenant log extend each other: its tiles are private. An audit shows it, with a read key.",
  ];
  if (before === undefined) {
    lines.unshift("What this log showed before, and to others: this is the first look. See --compare.");
  }
  if (state !== undefined && state.from > 0n) {
    lines.push(`Entries below ${state.from}: the first look began there.`);
  }
  if (policy.quorum === "none") {
    lines.push("Whether others are shown the same log: the policy asks for no witness.");
  }
  if (logVkeys.length === 0) {
    lines.push("Signatures of tenants' logs: no key of one is given (--log-vkey).");
  }
  return lines;
}

/** For a terminal, once its own control characters are taken out. */
export function describe(report: Report, { policyPath }: WatchedLog): string[] {
  const { outcome, log, size, read, witnesses, findings, omitted, earlier, evidence } = report;
  const before = section("Found by earlier looks (--acknowledge forgets them)", shown(earlier));
  if (report.reason !== undefined) {
    return [`UNREACHABLE  ${log}`, `  ${report.reason}`, "  What was seen before stays as it is.", ...before];
  }
  const more = omitted > 0 ? [`and ${omitted} more`] : [];
  const verdict = outcome === "good" ? "GOOD" : "FINDINGS";
  const at = size === undefined ? "" : `, size ${size}, ${read} new`;
  return [
    `${verdict}  ${log}${at}`,
    ...section("Found now", [...shown(findings), ...more]),
    ...before,
    ...(evidence === undefined ? [] : evidenceLines(evidence, policyPath)),
    ...section("Cosigned by", witnesses ?? []),
    ...section("Not checked", report.notChecked),
  ];
}

const evidenceLines = (path: string, policy: string): string[] => [
  `Evidence is kept in ${path}. Anyone who has the policy can check it:`,
  `  npx kedge monitor --check-evidence ${path} --policy ${policy}`,
];

const section = (heading: string, lines: readonly string[]): string[] =>
  lines.length === 0 ? [] : [heading, ...lines.map((line) => `  ${line}`)];

const shown = (findings: readonly ToldMonitorFinding[]): string[] =>
  findings.map(({ kind, message }) => `${kind}: ${message}`);
