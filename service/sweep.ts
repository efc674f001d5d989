/** Sweep: seal logs until nothing is pending, each on its own, so that one log's trouble stops no other. */
import { allLogs, findLog } from "./logs.ts";
import { type SealContext, type Sealed, seal } from "./seal.ts";
import type { CheckpointSigner } from "./sign.ts";

export type SweepContext = SealContext & { readonly signLog: CheckpointSigner };

export type SweptLog = { readonly log: string } & (
  | { readonly sealed: number; readonly batches: number; readonly size: bigint; readonly oldest?: bigint }
  | { readonly error: unknown }
);

/** Logs sealed side by side: bounds memory to as many batches. */
const PARALLEL = 4;
/** Batches of one log before others have their turn; what is left waits for the next sweep. */
const MAX_BATCHES = 8;

/** Seals the logs of these ids, or all. Yields what became of each; an id that names no log is passed over. */
export async function* sweep(ctx: SweepContext, ids?: readonly string[]): AsyncGenerator<SweptLog> {
  let running: Promise<SweptLog | undefined>[] = [];
  for await (const id of ids ?? allIds(ctx)) {
    running.push(sweepOne(ctx, id));
    if (running.length < PARALLEL) continue;
    for (const swept of await Promise.all(running)) if (swept) yield swept;
    running = [];
  }
  for (const swept of await Promise.all(running)) if (swept) yield swept;
}

async function* allIds(ctx: SweepContext): AsyncGenerator<string> {
  for await (const { id } of allLogs(ctx.store)) yield id;
}

async function sweepOne(ctx: SweepContext, id: string): Promise<SweptLog | undefined> {
  try {
    const log = await findLog(ctx.store, id);
    return log && { log: id, ...(await drain(ctx, { ...log, sign: ctx.signLog })) };
  } catch (error) {
    return { log: id, error };
  }
}

/** Seals up to MAX_BATCHES batches, fewer when nothing is pending or another sealer is at it. */
export async function drain(ctx: SealContext, log: Parameters<typeof seal>[1]) {
  let sealed = 0;
  let batches = 0;
  let oldest: bigint | undefined;
  for (let round = 1; ; round++) {
    const batch: Sealed = await seal(ctx, log);
    sealed += batch.sealed;
    if (batch.sealed > 0) batches++;
    oldest ??= batch.oldest;
    if (batch.conflict || !batch.more || round === MAX_BATCHES) {
      return { sealed, batches, size: batch.size, conflict: batch.conflict, ...(oldest && { oldest }) };
    }
  }
}
