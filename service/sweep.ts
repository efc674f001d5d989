/**
 * Sweep: find the logs with something to seal, and seal them a batch at a time, the tenants in turn. A log that is slow or
 * fails keeps no other waiting, and one with nothing pending costs no more than asking.
 */
import { setImmediate as letOthers } from "node:timers/promises";
import { ServiceError } from "../platform/error.ts";
import type { Item, Store } from "../platform/store.ts";
import { fairQueue, fairTurns } from "./fair.ts";
import { decodeHead, headKey } from "./head.ts";
import { mergeCover } from "./index/extend.ts";
import { RETENTION_MS, removeRetired } from "./index/retired.ts";
import { allLogs, findLog, type RegisteredLog } from "./logs.ts";
import { oldestPending } from "./pending.ts";
import { type IndexState, type SealableLog, type SealContext, seal } from "./seal.ts";
import type { CheckpointSigner } from "./sign.ts";

export type DrainContext = SealContext & {
  /** Waits so many milliseconds before the next try after a lost race; absent: it is tried again at once. */
  readonly pause?: (ms: number) => Promise<unknown>;
  /** How many ms a run of the index is kept that was merged into another; absent: as long as a table's backups reach back. */
  readonly retention?: number;
  /** Starts work on a log's index beside its next seals, and returns how the last of it ended. Absent: it is waited for. */
  readonly beside?: (log: string, work: () => Promise<IndexState>) => IndexState;
};

export type SweepContext = DrainContext & {
  readonly signLog: CheckpointSigner;
  /** The logs that this process has found well, with their records outside the store. Absent: each sweep looks at all. */
  readonly well?: Map<string, Well>;
};

/** A log that still has this published size, and nothing pending, is left alone until this time, ms since the epoch. */
type Well = { readonly size: bigint; readonly until: number };

/** What became of a log: what was found and done, or why it stopped. */
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
  /** Pending entries were left. */
  readonly more: boolean;
  /** After its last batch; absent: there was none. */
  readonly index?: IndexState;
};

/** Logs that are found in one step: their heads are one round trip. */
export type Found = {
  readonly due: readonly RegisteredLog[];
  /** The others: they have nothing to seal, or cannot be found. */
  readonly rest: readonly SweptLog[];
};

/** Logs sealed side by side: bounds memory to as many batches. */
export const PARALLEL = 4;
/** Batches of one log in a sweep; what is left waits for the next. */
const MAX_BATCHES = 8;
/** Lost races of one log after which the winner is left to seal it. All pauses together: 6.35 s at most. */
const MAX_CONFLICTS = 8;
/** Upper bound of the pause after the first lost race; doubled after each of the next. */
const FIRST_PAUSE_MS = 50;
/** Then the record of a log in which nothing waits is looked at again: what was done to it is to be noticed (I6). */
const WELL_MS = 3_600_000;
/** Logs of a step of the walk: few, so that whoever is due early is sealed while the rest is looked at. */
const PAGE = 25;

/** Seals the logs of these ids, or all. Yields what became of each; an id that names no log is passed over. */
export async function* sweep(ctx: SweepContext, ids?: readonly string[]): AsyncGenerator<SweptLog> {
  const turns = fairTurns(PARALLEL);
  const working = new Set<Promise<void>>();
  const done: SweptLog[] = [];
  const begin = (log: RegisteredLog) => {
    const work: Promise<void> = sealInTurns(log, () => turns(log.tenant, () => sealBatch(ctx, log)))
      .then((swept) => done.push(swept))
      .then(() => void working.delete(work));
    working.add(work);
  };
  let failure: { readonly error: unknown } | undefined;
  try {
    for await (const { due, rest } of ids === undefined ? walk(ctx) : named(ctx.store, ids)) {
      for (const log of due) begin(log);
      yield* rest;
      yield* done.splice(0);
    }
  } catch (error) {
    // What was found is sealed all the same.
    failure = { error };
  }
  while (working.size > 0 || done.length > 0) {
    if (done.length === 0) await Promise.race(working);
    yield* done.splice(0);
  }
  if (failure !== undefined) throw failure.error;
}

/** All logs, the tenants in turn. @throws ServiceError `throttled`, `unavailable`: then nothing is known of the rest. */
export async function* walk(ctx: SweepContext): AsyncGenerator<Found> {
  const logs = fairQueue<RegisteredLog>(({ tenant }) => tenant);
  const bad: SweptLog[] = [];
  for await (const log of allLogs(ctx.store, (id, error) => bad.push({ log: id, error }))) logs.add(log);
  yield { due: [], rest: bad };
  for (;;) {
    const page = Array.from({ length: PAGE }, () => logs.next()).filter((log) => log !== undefined);
    if (page.length === 0) return;
    yield await look(ctx, page);
    // A store in this process answers at once: requests are answered between any two steps.
    await letOthers();
  }
}

async function look(ctx: SweepContext, page: readonly RegisteredLog[]): Promise<Found> {
  const heads = await ctx.store.get(page.map(({ id }) => headKey(id)));
  const idle = await Promise.all(page.map((log, i) => idleAt(ctx, log, heads[i])));
  const rest = page.flatMap(({ id: log }, i) => {
    const size = idle[i];
    return size === undefined ? [] : [{ log, sealed: 0, batches: 0, size, conflict: false, more: false }];
  });
  return { due: page.filter((_, i) => idle[i] === undefined), rest };
}

/** The published size of a log that has nothing to seal; undefined: it has, or what it has must be looked at. */
async function idleAt(
  { store, clock, well }: SweepContext,
  { id }: RegisteredLog,
  item: Item | undefined,
): Promise<bigint | undefined> {
  try {
    const { size, published } = decodeHead(id, item);
    const known = well?.get(id);
    if (size !== published || known?.size !== size || known.until <= clock()) return undefined;
    return (await oldestPending(store, id)) === undefined ? size : undefined;
  } catch (error) {
    // Sealing says what is wrong with it.
    if (error instanceof ServiceError && error.code === "corrupt") return undefined;
    throw error;
  }
}

async function* named(store: Store, ids: readonly string[]): AsyncGenerator<Found> {
  const rest: SweptLog[] = [];
  const find = (log: string) =>
    findLog(store, log).catch((error: unknown) => {
      rest.push({ log, error });
      return undefined;
    });
  const due = (await Promise.all(ids.map(find))).filter((log) => log !== undefined);
  yield { due, rest };
}

/** A log's batches of one sweep, each in a turn of its own. */
async function sealInTurns(log: RegisteredLog, turn: () => Promise<SweptLog>): Promise<SweptLog> {
  let all: Drained | undefined;
  for (let turns = 0; turns < MAX_BATCHES; turns++) {
    const swept = await turn();
    if ("error" in swept) return swept;
    all = all === undefined ? swept : both(all, swept);
    if (!swept.more) break;
  }
  return { ...(all ?? NOTHING), log: log.id };
}

/** One batch of a log. Never throws. */
export async function sealBatch(ctx: SweepContext, log: RegisteredLog): Promise<SweptLog> {
  ctx.well?.delete(log.id);
  try {
    const drained = await drain(ctx, { ...log, sign: ctx.signLog }, 1);
    const { size } = drained;
    // Spread, so that not all are looked at again at once.
    const until = ctx.clock() + WELL_MS * (0.5 + Math.random() / 2);
    if (size !== undefined) ctx.well?.set(log.id, { size, until });
    return { log: log.id, ...drained };
  } catch (error) {
    return { log: log.id, error };
  }
}

/**
 * Seals up to so many batches, fewer when nothing is pending. After a lost race it tries again: entries that arrived after
 * the winner had read would otherwise wait for the next sweep.
 */
export async function drain(ctx: DrainContext, log: SealableLog, batches = MAX_BATCHES): Promise<Drained> {
  let all = NOTHING;
  let conflicts = 0;
  for (let rounds = 0; rounds < batches; ) {
    const batch = await seal(ctx, log);
    if (batch.conflict) {
      all = { ...all, conflict: true };
      conflicts++;
      if (conflicts === MAX_CONFLICTS) break;
      // Full jitter: of sealers that lost together, one comes back well before the others.
      await ctx.pause?.(Math.random() * FIRST_PAUSE_MS * 2 ** (conflicts - 1));
      continue;
    }
    rounds++;
    const { sealed, size, oldest, more } = batch;
    // Not after every batch: each takes reads of its own.
    const isTidied = oldest === undefined || batch.index.extended === true;
    const tidying = () => tidy(ctx, log.id);
    const tidied = isTidied ? (ctx.beside?.(log.id, tidying) ?? (await tidying())) : {};
    const index = { ...tidied, ...batch.index };
    const one = { sealed, batches: sealed > 0 ? 1 : 0, size, conflict: false, more, index };
    all = both(all, oldest === undefined ? one : { ...one, oldest });
    if (!more) break;
  }
  return all;
}

/** Merges runs of the index, and deletes old ones. That it fails is told with the rest of how the index fares. */
async function tidy(ctx: DrainContext, log: string): Promise<IndexState> {
  try {
    await mergeCover(ctx, log);
    await removeRetired(ctx, log, ctx.clock(), ctx.retention ?? RETENTION_MS);
    return {};
  } catch (error) {
    return { error };
  }
}

const NOTHING: Drained = { sealed: 0, batches: 0, conflict: false, more: false };

/** Of two drains of a log, one after the other. */
function both(first: Drained, second: Drained): Drained {
  const oldest = first.oldest ?? second.oldest;
  return {
    ...first,
    ...second,
    sealed: first.sealed + second.sealed,
    batches: first.batches + second.batches,
    conflict: first.conflict || second.conflict,
    ...(oldest !== undefined && { oldest }),
  };
}
