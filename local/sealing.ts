/**
 * Sealing in one process, without end: a log is sealed soon after its entries came, a batch at a time, the tenants in turn.
 * What came by another process, or before a crash, is found by walking all logs.
 */
import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fairTurns } from "../service/fair.ts";
import { findLog, type RegisteredLog } from "../service/logs.ts";
import type { IndexState } from "../service/seal.ts";
import { PARALLEL, type SweepContext, type SweptLog, sealBatch, walk } from "../service/sweep.ts";

/**
 * `batchMs`: between the first entry that waits, or a batch that took all, and the next batch: the longer, the larger they
 * are. `retryMs`: before what failed is tried again, doubled each time, up to the longest.
 */
const PAUSES = { batchMs: 50, retryMs: 1_000, longestRetryMs: 15_000 };

/**
 * Whose the first turns of logs are that a walk has found, in its order, which is fair: a tenant with a thousand of them
 * waits with a new entry for one of these, and not for all. No tenant has this id.
 */
const FOUND = "";

/** @param failures one after the other. */
export const retryAfter = (failures: number, { retryMs, longestRetryMs } = PAUSES): number =>
  Math.min(longestRetryMs, retryMs * 2 ** (failures - 1));

export type Sealing = {
  /** Has a log sealed. Resolves once it has been tried. */
  wake(log: string): Promise<void>;
  /** Wakes every log that has something to seal. Resolves once each has been tried. @throws ServiceError of the store. */
  wakeAll(): Promise<void>;
  /** Begins no batch any more, and waits for those that are under way. */
  close(): Promise<void>;
};

/** A log that is being seen to. */
type Work = {
  /** More has come since its last batch was begun. */
  more: boolean;
  /** Whose turns it takes; undefined: its tenant's. */
  owner: string | undefined;
  readonly tried: Promise<void>;
  readonly setTried: () => void;
};

/** @param onSwept is told of each batch and, when all are woken, of the logs that have nothing to seal. Never throws. */
export function openSealing(
  ctx: SweepContext,
  onSwept: (swept: SweptLog) => Promise<void>,
  pauses = PAUSES,
): Sealing {
  const turns = fairTurns(PARALLEL);
  const stopping = new AbortController();
  // One for each log that pauses.
  setMaxListeners(0, stopping.signal);
  const works = new Map<string, Work>();
  const ends = new Set<Promise<void>>();
  // A merge of two million entries takes seconds.
  const beside = besideSeals();
  const sealing: SweepContext = { ...ctx, beside: beside.start };
  /** A registration never changes. */
  const registered = new Map<string, RegisteredLog>();

  /** Seals a log until nothing of it waits, and tries again what failed. */
  async function seeTo(id: string, work: Work): Promise<void> {
    try {
      let failures = 0;
      let pause = pauses.batchMs;
      do {
        await sleep(pause, undefined, { signal: stopping.signal }).catch(() => undefined);
        const swept = await sealOne(id, work);
        if (swept === undefined) return;
        await onSwept(swept);
        work.setTried();
        const hasFailed = "error" in swept;
        failures = hasFailed ? failures + 1 : 0;
        pause = hasFailed ? retryAfter(failures, pauses) : swept.more ? 0 : pauses.batchMs;
        // No size: all races were lost, to another process.
        if (hasFailed || swept.more || swept.size === undefined) work.more = true;
      } while (work.more);
    } finally {
      // In the same step as the last look at `more`: a wake comes before it, or begins anew.
      works.delete(id);
    }
  }

  /** One batch; undefined: there is no such log, or no more is to be begun. */
  async function sealOne(id: string, work: Work): Promise<SweptLog | undefined> {
    try {
      const log = registered.get(id) ?? (await findLog(ctx.store, id));
      if (log === undefined) return undefined;
      registered.set(id, log);
      return await turns(work.owner ?? log.tenant, async () => {
        if (stopping.signal.aborted) return undefined;
        work.owner = undefined;
        work.more = false;
        return await sealBatch(sealing, log);
      });
    } catch (error) {
      return stopping.signal.aborted ? undefined : { log: id, error };
    }
  }

  function wake(id: string, owner?: string): Promise<void> {
    const known = works.get(id);
    if (known !== undefined) {
      known.more = true;
      return known.tried;
    }
    let setTried = () => {};
    const tried = new Promise<void>((resolve) => {
      setTried = resolve;
    });
    const work: Work = { more: false, owner, tried, setTried };
    works.set(id, work);
    const end = seeTo(id, work).finally(() => {
      ends.delete(end);
      work.setTried();
    });
    ends.add(end);
    return work.tried;
  }

  return {
    wake: (log) => wake(log),
    async wakeAll() {
      const tried: Promise<void>[] = [];
      for await (const { due, rest } of walk(ctx)) {
        for (const { id } of due) tried.push(wake(id, FOUND));
        for (const swept of rest) await onSwept(swept);
        if (stopping.signal.aborted) return;
      }
      await Promise.all(tried);
    },
    async close() {
      stopping.abort();
      await Promise.all(ends);
      await beside.ended();
    },
  };
}

/** One piece of work at a time for a log. How it ended is told with a later batch. */
function besideSeals() {
  const running = new Map<string, Promise<void>>();
  const last = new Map<string, IndexState>();
  return {
    start(log: string, work: () => Promise<IndexState>): IndexState {
      if (!running.has(log)) {
        const done = work().then((state) => {
          running.delete(log);
          last.set(log, state);
        });
        running.set(log, done);
      }
      const state = last.get(log) ?? {};
      last.delete(log);
      return state;
    },
    ended: () => Promise.all(running.values()),
  };
}
