/** A host and its intake in memory, as strict as the journal's in what it answers. */

import type { Host } from "@kedge/cli/agent/source";
import type { Arrival, Intake, Taking } from "@kedge/cli/journal/types";

export type MemoryHost = Host & {
  arrivals: Arrival[];
  /** What was given to each take. */
  takings: Taking[];
  passedBy: number;
  counts: Map<string, number>;
  /** Those that are not over. */
  troubles: Map<string, string>;
  /** So many of the next writes are refused. */
  failing: number;
  /** Writes wait for it. */
  gate: Promise<void>;
};

export function memoryHost({
  source = "test",
  signal,
}: {
  source?: string;
  signal: AbortSignal;
}): MemoryHost {
  const cursors = new Map<string, string>();
  let queue: { id: bigint; message: Uint8Array }[] = [];
  let lastId = 0n;
  /** Writes happen in the order of their calls. */
  let last: Promise<unknown> = Promise.resolve();
  const write = <T>(run: () => T): Promise<T> => {
    const turn = last.then(async () => {
      await host.gate;
      if (host.failing > 0) {
        host.failing -= 1;
        throw new Error("The journal cannot be written: is there room on its disk?");
      }
      return run();
    });
    last = turn.catch(() => undefined);
    return turn;
  };
  const intake: Intake = {
    source,
    take: (taking) =>
      write(() => {
        host.takings.push(taking);
        for (const [key, value] of taking.cursors ?? []) {
          if (value === undefined) cursors.delete(key);
          else cursors.set(key, value);
        }
        for (const message of taking.forward ?? []) queue.push({ id: ++lastId, message: message.slice() });
        host.passedBy += taking.passedBy ?? 0;
        return taking.arrivals.map((arrival) => {
          // A copy: who hands it over may use the buffer again once the write is done.
          host.arrivals.push({ ...arrival, bytes: arrival.bytes.slice() });
          return BigInt(host.arrivals.length);
        });
      }),
    cursor: (key) => cursors.get(key),
    cursors: (prefix) => [...cursors].filter(([key]) => key.startsWith(prefix)).toSorted(),
    forwards: (limit) => queue.slice(0, limit),
    forwarded: (id) =>
      write(() => {
        queue = queue.filter((item) => item.id > id);
      }),
    close: async () => undefined,
  };
  const host: MemoryHost = {
    ...{ intake, signal, arrivals: [], takings: [], passedBy: 0, counts: new Map(), troubles: new Map() },
    ...{ failing: 0, gate: Promise.resolve() },
    trouble: (key, what) => {
      if (what === undefined) host.troubles.delete(key);
      else host.troubles.set(key, what);
    },
    count: (counter, by = 1) => {
      host.counts.set(counter, (host.counts.get(counter) ?? 0) + by);
    },
  };
  return host;
}
