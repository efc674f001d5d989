/** `kedge monitor`: looks at the anchor log's static files, keeps what it saw, and tells what is wrong. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Command, Option } from "commander";
import { ClientError } from "../error.ts";
import { type MonitorState, type MonitorTrust, monitorTrust, openHead } from "../monitor/monitor.ts";
import { formatState, parseState } from "../monitor/state.ts";
import { type WatchOptions, watch } from "../monitor/watch.ts";
import { checkUrl } from "../net/http.ts";
import { anchoringsOf, parseProofFile } from "../proof/extra.ts";
import type { Vkey } from "../tlog/note.ts";
import type { Policy } from "../tlog/policy.ts";
import { MAX_PROOF_SIZE, parseProof } from "../tlog/proof.ts";
import { openFiles } from "./copy.ts";
import { judgeEvidence } from "./evidence.ts";
import { appendNew, readIfThere, readText, replaceFile } from "./files.ts";
import { checkOwner, readPolicy, readVkeys } from "./keys.ts";
import { describe, lookReport, type Report, unreachableReport, type WatchedLog } from "./monitor-report.ts";
import { collect, entryCount, MAX_TIMER, seconds } from "./options.ts";
import { asMisuse, EXIT_FAILED, misuse, print, printJson, warn } from "./output.ts";
import { post } from "./webhook.ts";

/** The log could not be read: nothing is known to be wrong with it, or right. */
const EXIT_UNREACHABLE = 3;
/** 64 MiB of tenants' checkpoints, as JSON with all the rest. */
const MAX_STATE = 256 << 20;
const parseTimer = seconds(MAX_TIMER);

export function monitorCommand(command: Command): Command {
  return command
    .argument(
      "[url]",
      "of the anchor log: https://audit.example.org/anchor, or the folder of a copy of its files: ./anchor",
    )
    .requiredOption(
      "--policy <file>",
      "C2SP tlog-policy: the log's keys, and which witnesses must have cosigned",
    )
    .option("--state <file>", "what was seen before; written anew after every look")
    .addOption(
      new Option("--follow [seconds]", "look again and again, until interrupted")
        .preset("60")
        .argParser(parseTimer),
    )
    .option("--json", "the report as JSON, a line for every look")
    .option("--webhook <url>", "where to POST the report as JSON when anything is wrong")
    .option("--evidence <file>", "where evidence is kept (default: the state file's name and .evidence)")
    .option("--compare <file>", "a checkpoint, or a proof, that others were given; may be repeated", collect)
    .option(
      "--log-vkey <keys>",
      "keys of tenants' logs, to check their entries: vkeys, or a file with one on each line; may be repeated",
      collect,
    )
    .option("--max-age <seconds>", "a newest checkpoint older than this is a finding", parseTimer)
    .addOption(
      new Option("--max-entries <n>", "new entries that one look reads at most")
        .argParser(entryCount)
        .default(1_000_000n, "1000000"),
    )
    .addOption(
      new Option("--timeout <seconds>", "for one look").argParser(parseTimer).default(600_000, "600"),
    )
    .option("--from-now", "on the first look, do not read what is in the log already")
    .option("--acknowledge", "forget the findings of earlier looks: they have been dealt with")
    .option("--check-evidence <file>", "instead: does this evidence convince somebody with only the policy?")
    .addHelpText(
      "after",
      "\nExit code: 0 all good, 1 findings, 2 used wrongly, 3 the log cannot be read.\n" +
        "With --check-evidence: 0 convincing, 1 not convincing.",
    )
    .action(monitor);
}

type MonitorFlags = {
  policy: string;
  state?: string;
  /** Seconds are ms here. */
  follow?: number;
  json?: boolean;
  webhook?: string;
  evidence?: string;
  compare?: string[];
  logVkey?: string[];
  maxAge?: number;
  maxEntries: bigint;
  timeout: number;
  fromNow?: boolean;
  acknowledge?: boolean;
  checkEvidence?: string;
};

async function monitor(url: string | undefined, flags: MonitorFlags): Promise<void> {
  process.exitCode = EXIT_FAILED; // until it is known to be good
  const keys = readKeys(flags);
  if (flags.checkEvidence !== undefined) {
    const anchorVkeys = keys.policy.logs.map(({ vkey }) => vkey);
    await judgeEvidence(flags.checkEvidence, [...anchorVkeys, ...keys.logVkeys], flags.json);
    return;
  }
  const trust = asMisuse(
    () => monitorTrust(keys.policy, keys.logVkeys),
    ({ message }) => `${flags.policy}: ${message}`,
  );
  const monitor = prepare(url, flags, trust);
  const stop = new AbortController();
  // A second signal ends it at once: the state file is replaced whole or not at all.
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
  if (flags.follow === undefined) process.exitCode = await lookOnce(monitor, stop.signal);
  else process.exitCode = await follow(monitor, flags.follow, stop.signal);
}

/** The policy, which is of the anchor log, and the keys of tenants' logs that it lists or that are given beside it. */
function readKeys(flags: MonitorFlags): { policy: Policy; logVkeys: Vkey[] } {
  const given = (flags.logVkey ?? []).flatMap(readVkeys);
  checkOwner("log", given, "--log-vkey");
  const { policy, logVkeys } = readPolicy(flags.policy);
  return { policy, logVkeys: [...logVkeys, ...given] };
}

/** Everything about a run that stays the same, and the two things that do not. */
type Monitor = WatchedLog & {
  readonly flags: MonitorFlags;
  readonly statePath: string;
  readonly options: Omit<WatchOptions, "now">;
  state: MonitorState | undefined;
  /** What was told last, so that following does not repeat it. */
  told: string;
};

function prepare(url: string | undefined, flags: MonitorFlags, trust: MonitorTrust): Monitor {
  if (url === undefined)
    throw misuse("Give the URL of the anchor log, such as https://audit.example.org/anchor");
  if (flags.state === undefined) throw misuse("Name the file that keeps what was seen: --state");
  asMisuse(() => {
    openFiles(url);
    if (flags.webhook !== undefined) checkUrl(flags.webhook);
  });
  const state = readState(flags.state, trust.origin);
  return {
    url,
    trust,
    flags,
    statePath: flags.state,
    policyPath: flags.policy,
    evidencePath: flags.evidence ?? `${flags.state}.evidence`,
    options: {
      others: (flags.compare ?? []).flatMap((path) => readOthers(path, trust)),
      ...(flags.maxAge === undefined ? {} : { maxAge: flags.maxAge }),
      maxEntries: flags.maxEntries,
      fromNow: flags.fromNow ?? false,
    },
    state: state && (flags.acknowledge ? { ...state, findings: [] } : state),
    told: "",
  };
}

/** undefined before the first look. */
function readState(path: string, origin: string): MonitorState | undefined {
  const text = readIfThere(path, MAX_STATE);
  if (text === undefined) return undefined;
  const advice = "Restore it from a copy. Without it, what was seen before is forgotten";
  return asMisuse(
    () => parseState(text, origin),
    ({ message }) => `The state in ${path} cannot be used. ${message}. ${advice}`,
  );
}

/** The notes of checkpoints of the anchor log: one in a file of its own, or those in the proof of an entry or an event. */
function readOthers(path: string, trust: MonitorTrust): string[] {
  const text = readText(path, MAX_PROOF_SIZE);
  const open = () => {
    const notes = text.startsWith("c2sp.org/tlog-proof@") ? anchorNotes(text) : [text];
    for (const note of notes) openHead(note, trust, Date.now());
    return notes;
  };
  return asMisuse(open, ({ message }) => `${path} is no checkpoint that the anchor log signed. ${message}`);
}

/** A renewed proof has several, and each is what somebody was shown. */
function anchorNotes(text: string): string[] {
  const { proof, extra } = parseProofFile(text);
  const notes = anchoringsOf(extra).map(({ anchor }) => parseProof(anchor).checkpoint);
  return notes.length === 0 ? [proof.checkpoint] : notes;
}

const EXITS = { good: 0, findings: EXIT_FAILED, unreachable: EXIT_UNREACHABLE } as const;

/** Returns the exit code. Evidence is kept first and the state last: what was not told is found again. */
async function lookOnce(monitor: Monitor, stop: AbortSignal): Promise<number> {
  const { timeout } = monitor.flags;
  const late = new AbortController();
  const reason = `Not done after ${timeout / 1000} s: see --timeout`;
  const timer = setTimeout(() => late.abort(new ClientError("network", reason)), timeout);
  // Not AbortSignal.any: on Node 20 what it makes may be collected before its time.
  const end = (): void => late.abort(stop.reason);
  stop.addEventListener("abort", end);
  if (stop.aborted) end();
  const files = openFiles(monitor.url, { signal: late.signal });
  const now = Date.now();
  try {
    const look = await watch(files, monitor.state, monitor.trust, { ...monitor.options, now });
    const pieces = look.evidence.map((piece) => JSON.stringify(piece));
    await appendNew(monitor.evidencePath, pieces);
    return await conclude(monitor, lookReport(monitor, look, now), look.state);
  } catch (error) {
    if (stop.aborted) return EXIT_UNREACHABLE;
    if (!(error instanceof ClientError)) throw error;
    return await conclude(monitor, unreachableReport(monitor, error.message, now), monitor.state);
  } finally {
    clearTimeout(timer);
    stop.removeEventListener("abort", end);
  }
}

async function conclude(monitor: Monitor, report: Report, next: MonitorState | undefined): Promise<number> {
  if (await tell(monitor, report)) {
    if (next !== undefined) await replaceFile(monitor.statePath, formatState(next));
    monitor.state = next;
  }
  return EXITS[report.outcome];
}

/** Until stopped. The exit code is that of the worst look: findings, then unreachable. */
async function follow(monitor: Monitor, every: number, stop: AbortSignal): Promise<number> {
  const codes = new Set<number>();
  while (!stop.aborted) {
    const code = await lookOnce(monitor, stop);
    if (!stop.aborted) codes.add(code);
    await sleep(every, undefined, { signal: stop }).catch(() => undefined);
  }
  return [EXIT_FAILED, EXIT_UNREACHABLE].find((code) => codes.has(code)) ?? 0;
}

/** Whether whoever is to know was told: false when the webhook did not take it. */
async function tell(monitor: Monitor, report: Report): Promise<boolean> {
  const { at: _, read: __, ...what } = report;
  const known = JSON.stringify(what);
  const isNews = known !== monitor.told;
  if (monitor.flags.json) printJson(report);
  else if (isNews) print(...describe(report, monitor));
  const { webhook } = monitor.flags;
  if (webhook !== undefined && isNews && needsTelling(report)) {
    try {
      await post(webhook, report);
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      warn(`The webhook did not take the report, so the state is left as it was. ${error.message}`);
      return false;
    }
  }
  monitor.told = known;
  return true;
}

/** What earlier looks found was told then. */
const needsTelling = ({ outcome, findings }: Report): boolean =>
  outcome === "unreachable" || findings.length > 0;
