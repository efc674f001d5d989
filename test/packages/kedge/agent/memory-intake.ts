/** An intake in memory, whose faults and pauses a test decides on. */
import type { Arrival, Intake, Taking } from "@kedge/cli/journal/types";

export type Taken = Arrival & { number: bigint };

export function memoryIntake(source = "ehr") {
  const taken: Taken[] = [];
  const takings: Taking[] = [];
  const cursors = new Map<string, string>();
  let queue: { id: bigint; message: Uint8Array }[] = [];
  let forwarded = 0n;
  /** `before` is waited for before anything is written. */
  const faults: { take?: Error | undefined; before?: Promise<unknown> | undefined } = {};
  const intake: Intake = {
    source,
    async take(taking) {
      await faults.before;
      if (faults.take !== undefined) throw faults.take;
      takings.push(taking);
      for (const message of taking.forward ?? []) queue.push({ id: ++forwarded, message });
      for (const [key, value] of taking.cursors ?? []) {
        if (value === undefined) cursors.delete(key);
        else cursors.set(key, value);
      }
      return taking.arrivals.map((arrival) => {
        const number = BigInt(taken.length + 1);
        taken.push({ ...arrival, number });
        return number;
      });
    },
    cursor: (key) => cursors.get(key),
    cursors: (prefix) =>
      [...cursors].filter(([key]) => key.startsWith(prefix)).toSorted(([a], [b]) => (a < b ? -1 : 1)),
    forwards: (limit) => queue.slice(0, limit),
    async forwarded(id) {
      queue = queue.filter((one) => one.id > id);
    },
    close: async () => undefined,
  };
  const texts = () => taken.map(({ bytes }) => new TextDecoder().decode(bytes));
  return { intake, taken, takings, texts, faults };
}
