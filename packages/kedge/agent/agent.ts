/**
 * The process of `kedge agent`: its sources write the journal, and what is in the journal is posted, followed until it is
 * sealed, and summed up in manifests. Each of these goes on where it was when the process ends, however it ends.
 */

import { ClientError } from "@kedge/verify/error";
import { exchange } from "@kedge/verify/net/fetch";
import type { Connection } from "@kedge/verify/net/http";
import { openClient } from "../client/api.ts";
import { type FindIndex, openFindIndex } from "../find/index.ts";
import { USES } from "../find/used.ts";
import { JournalError } from "../journal/error.ts";
import { openJournal } from "../journal/journal.ts";
import type { EpochKeys, Journal } from "../journal/types.ts";
import { takeOwnership } from "../lmdb/owner.ts";
import { type Clock, openClock } from "./clock.ts";
import { type AgentConfig, DEFAULT_HEALTH } from "./config.ts";
import { AgentError } from "./error.ts";
import { searchAuditEvents } from "./fhir-search.ts";
import { keepFollowing } from "./follow.ts";
import { startHealth } from "./health.ts";
import { openSource, type SourceOptions } from "./kinds.ts";
import { manifestMaker } from "./manifests.ts";
import { aborted, pause } from "./pause.ts";
import { keepPosting } from "./post.ts";
import { openReport, type Report } from "./report.ts";
import type { Source } from "./source.ts";

export type AgentOptions = {
  config: AgentConfig;
  /** Of the service; each call is tried once. */
  connection: Connection;
  log: string;
  /** `refresh` reads them again where they have changed, as by a rotation. */
  keys: EpochKeys & { refresh?(): Promise<boolean> };
  report?: Report;
  clock?: Clock;
};

/** Ms. */
const EVERY = {
  manifests: 5_000,
  index: 2_000,
  keys: 10_000,
  alerts: 2_000,
  retention: 3_600_000,
  source: 60_000,
  time: 30_000,
};
/** How long a stop lets sources finish what they have begun, and then what is journalled be posted. */
const GRACE = { sources: 10_000, posting: 10_000 };
/** The service's word on the time counts so long: a machine that slept has a clock that stood still. */
const TIME_HOLDS = 600_000;
/** A clock that is further off is a trouble. */
const MAX_SKEW = 300_000;
const DAY = 86_400_000;

/**
 * Runs until `stop` is aborted, or until all sources have come to their end by themselves and all is posted. Rejects with
 * AgentError or JournalError when it cannot start.
 */
export async function runAgent(options: AgentOptions, stop: AbortSignal, grace = GRACE): Promise<void> {
  const { config, keys, report = openReport(), clock = openClock() } = options;
  const ending = new AbortController();
  const draining = new AbortController();
  const taking = new AbortController();
  const journal = await openJournal({ folder: config.data, keys, now: clock.wall });
  const release = await takeOwnership(config.data, "kedge.agent");
  if (release === undefined) {
    await journal.close();
    // Also one with other sources: they share what posts, and the manifests.
    throw new JournalError(
      "in_use",
      `Another agent runs on ${config.data}: stop it, or name another data folder`,
    );
  }
  let health: Awaited<ReturnType<typeof startHealth>> | undefined;
  let index: FindIndex | undefined;
  try {
    index = config.index ? openFindIndex(config.data, journal, keys) : undefined;
    health = await openHealth(config, journal, { report, clock });
    const sources = await startSources(
      { config, journal, report, search: index && (await searcher(options, journal, index)) },
      taking.signal,
    );
    report.log("info", "started", {
      ...{ sources: sources.names.join(" "), data: config.data, log: options.log },
      ...(health && { health: health.url }),
    });
    const loops = startLoops(
      options,
      journal,
      { report, clock, index },
      { ending: ending.signal, draining: draining.signal },
    );
    await Promise.race([sources.ended, aborted(stop), loops.failed]);
    report.log("info", "stopping", { reason: stop.aborted ? "signal" : "the sources have ended" });
    taking.abort();
    await Promise.race([sources.ended, pause(grace.sources, ending.signal)]);
    draining.abort();
    // Who ends by itself has the time that it takes; who is told to has not.
    await Promise.race([
      loops.posting,
      aborted(stop).then(() => pause(grace.posting, ending.signal)),
      loops.failed,
    ]);
    ending.abort();
    await loops.ended;
    report.log("info", "stopped", { unposted: unposted(journal) });
  } finally {
    taking.abort();
    ending.abort();
    await health?.close();
    await index?.close();
    await journal.close();
    await release();
  }
}

const unposted = (journal: Journal): number =>
  Number(journal.sources().reduce((sum, { journalled, posted }) => sum + journalled - posted, 0n));

async function openHealth(
  config: AgentConfig,
  journal: Journal,
  { report, clock }: { report: Report; clock: Clock },
) {
  if (config.health === false) return undefined;
  const health = { report, clock, sources: () => journal.sources() };
  if (config.health !== undefined) return await startHealth(config.health.listen, health);
  try {
    return await startHealth(DEFAULT_HEALTH, health);
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    report.log("warn", "no_health", { what: error.message });
    return undefined;
  }
}

type Search = (request: Request) => Promise<Response>;
type Shared = { journal: Journal; report: Report; search: Search | undefined };

async function searcher(
  { connection, log, keys, clock = openClock() }: AgentOptions,
  journal: Journal,
  index: FindIndex,
): Promise<Search> {
  const client = openClient({ ...connection, attempts: 1 });
  const uses = await journal.intake(USES);
  const proofs = (commitments: readonly Uint8Array[]) => client.proofs(log, commitments);
  return (request) => searchAuditEvents({ index, uses, keys, proofs, now: clock.wall }, request);
}

// ---- sources ------------------------------------------------------------------------------------------------------------

/** Resolves once all of them listen or read. `ended`: each has come to its end, by the signal or by itself. */
async function startSources(
  { config, ...shared }: Shared & { config: AgentConfig },
  signal: AbortSignal,
): Promise<{ names: string[]; ended: Promise<unknown> }> {
  const started = await Promise.all(
    config.sources.map(async (options) => {
      const { report } = shared;
      const open = await opener(options, shared, signal);
      const source = open();
      const run = source.run();
      // Until it is ready, what it cannot do is said to who starts the agent.
      const { url } = await Promise.race([source.ready(), run.then(() => ({ url: undefined }))]);
      report.log("info", "source", {
        source: options.name,
        kind: options.kind,
        ...(url !== undefined && { url }),
      });
      return { name: options.name, ended: keepRunning(options.name, open, run, report, signal) };
    }),
  );
  return { names: started.map(({ name }) => name), ended: Promise.all(started.map(({ ended }) => ended)) };
}

async function opener(
  options: SourceOptions,
  { journal, report, search }: Shared,
  signal: AbortSignal,
): Promise<() => Source> {
  const { name } = options;
  const intake = await journal.intake(name);
  const host = {
    intake,
    signal,
    trouble: (key: string, what: string | undefined) => report.trouble(name, key, what),
    count: (counter: string, by?: number) => report.count(name, counter, by),
    ...(search && { search }),
  };
  return () => openSource(options, host);
}

/** One source's end is not that of the others: it is begun again, and is a trouble until then. */
async function keepRunning(
  name: string,
  open: () => Source,
  first: Promise<void>,
  report: Report,
  signal: AbortSignal,
): Promise<void> {
  for (let run = first; ; ) {
    try {
      await run;
      return;
    } catch (error) {
      if (signal.aborted) return;
      report.trouble(name, "ended", messageOf(error));
    }
    await pause(EVERY.source, signal);
    if (signal.aborted) return;
    run = (async () => {
      const source = open();
      const running = source.run();
      await Promise.race([source.ready(), running]);
      report.trouble(name, "ended", undefined);
      await running;
    })();
  }
}

// ---- what goes on beside them -------------------------------------------------------------------------------------------

function startLoops(
  { config, connection, log, keys }: AgentOptions,
  journal: Journal,
  { report, clock, index }: { report: Report; clock: Clock; index: FindIndex | undefined },
  { ending, draining }: { ending: AbortSignal; draining: AbortSignal },
) {
  const client = openClient({ ...connection, attempts: 1, signal: ending });
  const post = (commitments: readonly Uint8Array[]) => client.post(log, commitments);
  const names = config.sources.map(({ name }) => name);
  const makeManifests = manifestMaker({ journal, sources: names, clock, signal: ending });
  const posting = keepPosting({ journal, post, log, clock, report }, { draining, signal: ending });
  const loops = [
    posting,
    keepFollowing(
      { journal, post, report, places: (commitments) => placesOf(client, log, commitments) },
      ending,
    ),
    every(EVERY.manifests, ending, async () => {
      await trying(report, "manifests", async () => report.count("manifests", "made", await makeManifests()));
    }),
    every(EVERY.index, ending, () =>
      trying(report, "index", async () => void (await index?.catchUp(ending))),
    ),
    every(EVERY.time, ending, () => askTime(connection, clock, ending)),
    every(EVERY.alerts, ending, () =>
      trying(report, "alerts", async () => alert(config, journal, report, clock)),
    ),
    every(EVERY.keys, ending, () => trying(report, "keys", async () => void (await keys.refresh?.()))),
    every(EVERY.retention, ending, () => trying(report, "archive", () => dropOld(config, journal, clock))),
  ];
  const ended = Promise.all(loops);
  // As soon as one fails, and never otherwise.
  const failed = ended.then(() => new Promise<never>(() => undefined));
  return { posting, failed, ended };
}

async function every(ms: number, signal: AbortSignal, run: () => Promise<void>): Promise<void> {
  while (!signal.aborted) {
    await run();
    await pause(ms, signal);
  }
}

/** What fails now is tried again the next time. */
async function trying(report: Report, part: string, run: () => Promise<void>): Promise<void> {
  try {
    await run();
    report.trouble(part, "failed", undefined);
  } catch (error) {
    report.trouble(part, "failed", messageOf(error));
  }
}

/** What no post has brought lately: the time by the service's clock, of the Date of its answer (RFC 9110 §6.6.1). */
async function askTime(
  { url, timeout = 10_000 }: Connection,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  if (clock.isFresh(TIME_HOLDS)) return;
  try {
    const date = await exchange(
      new URL(`${url.replace(/\/$/, "")}/healthz`),
      { headers: { "Cache-Control": "no-cache" } },
      { timeout, signal },
      async (answer) => {
        await answer.body?.cancel();
        return answer.headers.get("Date");
      },
    );
    if (date !== null) clock.heard(Date.parse(date));
  } catch (error) {
    if (!signal.aborted && !(error instanceof ClientError)) throw error;
  }
}

function alert(
  { alertAfter, lagAfter }: AgentConfig,
  journal: Pick<Journal, "sources">,
  report: Report,
  clock: Clock,
): void {
  const now = clock.wall();
  const since = (time: number | undefined, seconds: number) =>
    time !== undefined && now - time > 1000 * seconds;
  for (const { name, unpostedSince, unsealedSince } of journal.sources()) {
    report.trouble(
      name,
      "unposted",
      since(unpostedSince, lagAfter) ? `Events wait for more than ${lagAfter} s to be posted` : undefined,
    );
    report.trouble(
      name,
      "unsealed",
      since(unsealedSince, alertAfter)
        ? `Events that the service accepted are not sealed after ${alertAfter} s: ask who runs it`
        : undefined,
    );
  }
  const ahead = clock.ahead() ?? 0;
  report.trouble(
    "clock",
    "skew",
    Math.abs(ahead) > MAX_SKEW
      ? `This machine's clock is more than ${MAX_SKEW / 60_000} minutes ${ahead > 0 ? "ahead of" : "behind"} the service's: set it. Manifests wait until both say that the hour is over`
      : undefined,
  );
}

/** By the earlier clock: one that leaps ahead takes nothing away. */
async function dropOld({ keepDays }: AgentConfig, journal: Journal, clock: Clock): Promise<void> {
  const now = clock.trusted();
  if (now === undefined) return;
  for (const [name, days] of Object.entries(keepDays)) await journal.dropBodies(name, now - days * DAY);
}

type Client = ReturnType<typeof openClient>;

async function placesOf(client: Client, log: string, commitments: readonly Uint8Array[]) {
  const places: (bigint | "pending" | "unknown")[] = [];
  for await (const answer of client.statuses(log, commitments)) {
    places.push(answer.state === "sealed" ? BigInt(answer.index) : answer.state);
  }
  return places;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
