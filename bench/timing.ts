/** Rates by tinybench: several passes over all tasks, so that a busy moment of the machine hits them alike. */
import { Bench } from "tinybench";

const PASSES = 9;
const PASS_MS = 120;
const WARMUP_MS = 40;

/** @returns runs a second for each task, one figure a pass: of the median run, which outliers do not move. */
export async function rates<Name extends string>(
  tasks: Readonly<Record<Name, () => unknown>>,
): Promise<(name: Name) => number[]> {
  const found = new Map<string, number[]>();
  for (let pass = 0; pass < PASSES; pass++) {
    const bench = new Bench({ time: PASS_MS, warmupTime: WARMUP_MS, iterations: 8, throws: true });
    for (const [name, run] of Object.entries<() => unknown>(tasks)) bench.add(name, run);
    for (const { name, result } of await bench.run()) {
      found.set(name, [...(found.get(name) ?? []), 1000 / (result?.latency.p50 ?? Number.NaN)]);
    }
  }
  return (name) => found.get(name) ?? [];
}

/** A function that takes the items in turn, for ever: no task should see one input only. */
export function inTurn<T>(items: readonly T[]): () => T {
  let next = 0;
  return () => {
    const item = items[next++ % items.length];
    if (item === undefined) throw new RangeError("there is nothing to take in turn");
    return item;
  };
}
