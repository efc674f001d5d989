/** Proofs: what the service spends on one, and how many it makes in a second. */
import { anchor } from "../service/anchor.ts";
import { roundsOf, SLOW_MS } from "./counted.ts";
import { figure, median, type Section, spread } from "./report.ts";
import { type BenchLog, openStack, proveAll, type Stack, sealedLog, slices } from "./stack.ts";

const EVENTS = 20_000;
const RUNS = 3;
const SINGLE = 100;
const PARALLEL = 400;
const CONCURRENCY = 8;
const BATCH = 1_000;

export async function proofs(): Promise<Section> {
  const stack = await openStack();
  try {
    const { log, entries } = await sealedLog(stack, EVENTS);
    const sealed = await costOf(stack, log, entries.slice(0, 1));
    await anchor(stack.service);
    const anchored = await costOf(stack, log, entries.slice(0, 1));
    const batch = await costOf(stack, log, entries.slice(0, BATCH));

    const single: number[] = [];
    const parallel: number[] = [];
    const batched: number[] = [];
    for (let run = 0; run < RUNS; run++) {
      const some = entries.slice(run * BATCH, (run + 1) * BATCH);
      single.push(await rateOf(stack, log, slices(some.slice(0, SINGLE), 1), 1));
      parallel.push(await rateOf(stack, log, slices(some.slice(0, PARALLEL), 1), CONCURRENCY));
      batched.push(await rateOf(stack, log, [some], 1));
    }
    return {
      title: "Proofs: made by the service",
      head: ["", "one, sealed", "one, anchored", `${figure(BATCH)} in a request, anchored`],
      rows: [
        ["rounds of calls", ...[sealed, anchored, batch].map(({ rounds }) => figure(rounds))],
        ["read units", ...[sealed, anchored, batch].map(({ readUnits }) => figure(readUnits))],
        ["proofs/s", "", spread(single), spread(batched)],
        [`proofs/s, ${CONCURRENCY} requests at a time`, "", spread(parallel), ""],
      ],
      values: {
        rounds: anchored.rounds,
        readUnits: anchored.readUnits,
        proofsPerSecond: median(single),
        proofsPerSecondParallel: median(parallel),
        proofsPerSecondBatched: median(batched),
      },
    };
  } finally {
    await stack.close();
  }
}

async function costOf({ calls, ...stack }: Stack, log: BenchLog, entries: readonly Uint8Array[]) {
  const time = async () => {
    const started = performance.now();
    await proveAll({ ...stack, calls }, log, entries);
    return performance.now() - started;
  };
  await time();
  calls.take();
  const fast = await time();
  const { readUnits } = calls.take();
  calls.slow(SLOW_MS);
  const rounds = roundsOf(fast, await time());
  calls.slow(0);
  return { readUnits, rounds };
}

/** Proofs a second, so many requests at a time. */
async function rateOf(
  stack: Stack,
  log: BenchLog,
  requests: readonly (readonly Uint8Array[])[],
  concurrency: number,
): Promise<number> {
  const started = performance.now();
  const queue = requests.values();
  const lane = async () => {
    for (const request of queue) await proveAll(stack, log, request);
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
  return (1000 * requests.flat().length) / (performance.now() - started);
}
