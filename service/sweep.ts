/** Sweep: seal logs until nothing is pending, each on its own, so that one log's trouble stops no other. */

import { allLogIds, findLog } from "./logs.ts";
import { type SealableLog, type SealContext, seal } from "./seal.ts";
import type { CheckpointSigner } from "./sign.ts";

export type DrainContext = SealContext & {
  /** Waits so many milliseconds before the next try after a lost race; absent: it is tried again at once. */
  readonly pause?: (ms: number) => Promise<unknown>;
};

export type SweepContext = DrainContext & { readonly signLog: CheckpointSigner };

/** What became of a log: what `drain` found and did, or why it stopped. */
export type SweptLog = { readonly log: string } & (Drained | { readonly error: unknown });

type Drained = {
  readonly sealed: number;
  readonly batches: number;
  /** The published tree size; absent: every race was lost. */
  readonly size?: bigint;
  /** Arrival of the oldest pending chunk, ms since the epoch; absent: nothing was pending, or every race was lost. */
  readonly oldest?: bigint;
  /** Another sealer moved the head first, at least once. */
  readonly conflict: boolean;
};

/** Logs sealed side by side: bounds memory to as many batches. */
const PARALLEL = 4;
/** Batches of one log before others have their turn; what is left waits for the next sweep. */
const MAX_BATCHES = 8;
/** Lost races of one log after which the winner is left to seal it. All pauses together: 6.35 s at most. */
const MAX_CONFLICTS = 8;
/** Upper bound of the pause after the first lost race; doubled after each of the next. */
const FIRST_PAUSE_MS = 50;

/** Seals the logs of these ids, or all. Yields what became of each; an id that names no log is passed over. */
export async function* sweep(ctx: SweepContext, ids?: readonly string[]): AsyncGenerator<SweptLog> {
  let running: Promise<SweptLog | undefined>[] = [];
  for await (const id of ids ?? allLogIds(ctx.store)) {
    running.push(sweepOne(ctx, id));
    if (running.length < PARALLEL) continue;
    for (const swept of await Promise.all(running)) if (swept) yield swept;
    running = [];
  }
  for (const swept of await Promise.all(running)) if (swept) yield swept;
}

async function sweepOne(ctx: SweepContext, id: string): Promise<SweptLog | undefined> {
  try {
    const log = await findLog(ctx.store, id);
    return log && { log: id, ...(await drain(ctx, { ...log, sign: ctx.signLog })) };
  } catch (error) {
    return { log: id, error };
  }
}

/**
 * Seals up to MAX_BATCHES batches, fewer when nothing is pending. After a lost race it tries again: entries that arrived
 * after the winner had read would otherwise wait for the next sweep.
 */
export async function drain(ctx: DrainContext, log: SealableLog): Promise<Drained> {
  let sealed = 0;
  let batches = 0;
  let size: bigint | undefined;
  let oldest: bigint | undefined;
  let conflicts = 0;
  for (let rounds = 0; rounds < MAX_BATCHES; ) {
    const batch = await seal(ctx, log);
    if (batch.conflict) {
      conflicts++;
      if (conflicts === MAX_CONFLICTS) break;
      // Full jitter: of sealers that lost together, one comes back well before the others.
      await ctx.pause?.(Math.random() * FIRST_PAUSE_MS * 2 ** (conflicts - 1));
      continue;
    }
    rounds++;
    size = batch.size;
    sealed += batch.sealed;
    if (batch.sealed > 0) batches++;
    oldest ??= batch.oldest;
    if (!batch.more) break;
  }
  return {
    sealed,
    batches,
    conflict: conflicts > 0,
    ...(size !== undefined && { size }),
    ...(oldest !== undefined && { oldest }),
  };
}
