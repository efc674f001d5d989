/** How often the functions run in a month, and what they find: arrivals, stream windows and schedules, played through. */

import { PENDING_SHARDS, SMALL_CHUNK } from "../../service/pending.ts";
import { MAX_BATCH } from "../../service/seal.ts";

export type Load = {
  /** Events a month. */
  readonly events: number;
  /** Events in a request. */
  readonly batch: number;
  readonly tenants: number;
  readonly sealSeconds: number;
  readonly anchorMinutes: number;
  readonly sweepMinutes: number;
  /** Shards of the table's stream: one a partition of the table. Lambda calls the sealer once a window for each. */
  readonly streamShards: number;
};

export type Month = {
  readonly requests: number;
  /** Calls of the sealer by the stream, and logs named in one of them on average. */
  readonly sealerRuns: number;
  readonly logsPerRun: number;
  readonly seals: number;
  readonly requestsPerSeal: number;
  /** Logs that the stream named and another shard's sealer had sealed before. */
  readonly idleVisits: number;
  readonly sweeps: number;
  readonly anchorRuns: number;
  readonly checkpointsPerAnchor: number;
  /** Runs of the anchorer that found no new checkpoint. */
  readonly idleAnchorRuns: number;
};

export const MONTH_SECONDS = 30 * 24 * 3_600;
/** Enough that chance does not show in the third digit. */
const MAX_ARRIVALS = 200_000;
/** Records in one call of the sealer (infra/sealer/stream.ts); a window ends early when as many have come. */
const MAX_RECORDS = 10_000;

/**
 * Requests arrive evenly spread, one tenant's after another's, and fall on pending shards by chance, as digests do, unless they
 * are small (service/pending.ts).
 * A window of a stream shard opens with the first record in it.
 * @returns counts of a month, scaled up from as much of it as `MAX_ARRIVALS` requests take.
 */
export function monthOf(load: Load): Month {
  const { events, batch, tenants, sealSeconds, streamShards } = load;
  const requests = events / batch;
  const gap = MONTH_SECONDS / requests;
  const played = Math.min(MONTH_SECONDS, gap * MAX_ARRIVALS);
  const chance = chances(1);
  const spread = batch <= SMALL_CHUNK ? 1 : PENDING_SHARDS;
  const shardOf = Array.from({ length: tenants * PENDING_SHARDS }, () => Math.floor(chance() * streamShards));

  const seen = { sealerRuns: 0, visits: 0, seals: 0, sealed: 0, idleVisits: 0 };
  const anchors = { runs: 0, busy: 0, checkpoints: 0 };
  const pending = new Map<number, number>();
  const sealedLogs = new Set<number>();
  const opened = new Set<number>();
  const windows = Array.from({ length: streamShards }, () => newWindow());

  const seal = (log: number): void => {
    const waiting = pending.get(log);
    if (waiting === undefined) {
      seen.idleVisits++;
      return;
    }
    pending.delete(log);
    sealedLogs.add(log);
    seen.sealed += waiting;
    seen.seals += Math.ceil((waiting * batch) / MAX_BATCH);
  };
  const close = (shard: number): void => {
    const { logs } = windows[shard] ?? newWindow();
    windows[shard] = newWindow();
    seen.sealerRuns++;
    seen.visits += logs.size;
    for (const log of logs) seal(log);
  };
  const arrive = (i: number, now: number): void => {
    const log = i % tenants;
    pending.set(log, (pending.get(log) ?? 0) + 1);
    const shard = shardOf[log * PENDING_SHARDS + Math.floor(chance() * spread)] ?? 0;
    const window = windows[shard] ?? newWindow();
    // Windows of different shards are in step with nothing, their first ones included.
    if (window.logs.size === 0) window.closes = now + sealSeconds * (opened.has(shard) ? 1 : chance());
    opened.add(shard);
    window.logs.add(log);
    window.records++;
    if (window.records === MAX_RECORDS) close(shard);
  };
  const sweep = (): void => {
    for (const log of [...pending.keys()]) seal(log);
  };
  const anchor = (): void => {
    anchors.runs++;
    if (sealedLogs.size > 0) anchors.busy++;
    anchors.checkpoints += sealedLogs.size;
    sealedLogs.clear();
  };

  const [sweepEvery, anchorEvery] = [load.sweepMinutes * 60, load.anchorMinutes * 60];
  const timers = [
    { at: sweepEvery, every: sweepEvery, run: sweep },
    { at: anchorEvery, every: anchorEvery, run: anchor },
  ];
  /** Everything that is due by then, in the order of time. */
  const runUntil = (then: number): void => {
    for (;;) {
      const shard = windows.reduce<number>((first, { closes }, i) => {
        return closes < (windows[first]?.closes ?? 0) ? i : first;
      }, 0);
      const closes = windows[shard]?.closes ?? Number.POSITIVE_INFINITY;
      const timer = timers.reduce((first, other) => (other.at < first.at ? other : first));
      if (Math.min(closes, timer.at) > then) return;
      if (closes <= timer.at) close(shard);
      else {
        timer.at += timer.every;
        timer.run();
      }
    }
  };
  for (let i = 0; (i + 0.5) * gap < played; i++) {
    runUntil((i + 0.5) * gap);
    arrive(i, (i + 0.5) * gap);
  }
  runUntil(played);

  const scale = MONTH_SECONDS / played;
  const busyShare = ratio(anchors.busy, anchors.runs);
  return {
    requests,
    sealerRuns: seen.sealerRuns * scale,
    logsPerRun: ratio(seen.visits, seen.sealerRuns),
    seals: seen.seals * scale,
    requestsPerSeal: ratio(seen.sealed, seen.seals),
    idleVisits: seen.idleVisits * scale,
    sweeps: MONTH_SECONDS / sweepEvery,
    anchorRuns: (MONTH_SECONDS / anchorEvery) * busyShare,
    checkpointsPerAnchor: ratio(anchors.checkpoints, anchors.busy),
    idleAnchorRuns: (MONTH_SECONDS / anchorEvery) * (1 - busyShare),
  };
}

type Window = { readonly logs: Set<number>; records: number; closes: number };
const newWindow = (): Window => ({ logs: new Set(), records: 0, closes: Number.POSITIVE_INFINITY });

const ratio = (sum: number, count: number): number => (count === 0 ? 0 : sum / count);

/** The same chances in every run (mulberry32): a bill must not change by itself. */
function chances(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
