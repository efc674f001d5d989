/**
 * A journal in memory, for tests of thousands of takes: what is taken is durable at once, and a crash is to go on with the
 * same one. Its commitments are hashes of source, number and bytes.
 */
import { createHash } from "node:crypto";
import type { Entry, Intake, Journal, Outgoing, Receipt } from "@kedge/cli/journal/types";

type Stored = Entry & { posted?: boolean };

export function memoryJournal(now: () => number = Date.now) {
  const events = new Map<string, Stored[]>();
  const cursors = new Map<string, string>();
  const receipts: (Receipt & { batch: readonly Outgoing[] })[] = [];
  let wake = (): void => undefined;
  /** Set to fail what is written from now on. */
  const faults: { take?: Error | undefined; posted?: Error | undefined; outbox?: Error | undefined } = {};
  const of = (source: string): Stored[] => {
    const found = events.get(source) ?? [];
    events.set(source, found);
    return found;
  };
  const all = (): Stored[] => [...events.values()].flat();
  const intake = (source: string): Intake => {
    const mine = of(source);
    return {
      source,
      async take({ arrivals, cursors: moved = new Map<string, string>() }) {
        if (faults.take) throw faults.take;
        const numbers = arrivals.map(({ bytes, mediaType, notes = [] }) => {
          const number = BigInt(mine.length + 1);
          const at = Math.max(mine.at(-1)?.at ?? 0, now());
          const commitment = new Uint8Array(
            createHash("sha256").update(`${source} ${number}`).update(bytes).digest(),
          );
          mine.push({ source, number, commitment, at, mediaType, epoch: 0, notes, bytes });
          return number;
        });
        for (const [key, value] of moved) {
          if (value === undefined) cursors.delete(`${source} ${key}`);
          else cursors.set(`${source} ${key}`, value);
        }
        wake();
        return numbers;
      },
      cursor: (key) => cursors.get(`${source} ${key}`),
      cursors: () => [],
      forwards: () => [],
      forwarded: async () => undefined,
      close: async () => undefined,
    };
  };
  const journal: Journal = {
    intake: async (source) => intake(source),
    sources: () =>
      [...events].map(([name, mine]) => {
        const count = (keep: (entry: Stored) => unknown) => BigInt(mine.filter(keep).length);
        const last = mine.at(-1)?.number;
        return {
          ...{ name, seen: count(() => true), journalled: count(() => true), gaps: 0n, forwarding: 0n },
          ...{ posted: count(({ posted }) => posted), sealed: count(({ index }) => index !== undefined) },
          ...(last === undefined ? {} : { last }),
        };
      }),
    *entries(source, { from = 0n, to = 1n << 62n } = {}) {
      yield* of(source).filter(({ number }) => number >= from && number <= to);
    },
    outbox(limit) {
      if (faults.outbox) throw faults.outbox;
      return all()
        .filter(({ posted }) => !posted)
        .slice(0, limit);
    },
    async posted(batch, receipt) {
      if (faults.posted) throw faults.posted;
      receipts.push({ ...receipt, batch });
      for (const { source, number } of batch) {
        const entry = of(source).find((entry) => entry.number === number);
        if (entry !== undefined) entry.posted = true;
      }
    },
    unsealed: (limit) =>
      all()
        .filter(({ posted, index }) => posted && index === undefined)
        .slice(0, limit),
    async sealed(places) {
      for (const { source, number, index } of places) {
        const entry = of(source).find((entry) => entry.number === number);
        if (entry !== undefined) entry.index = index;
      }
    },
    receipts: () => receipts,
    gaps: () => [],
    cursor: (source, key) => cursors.get(`${source} ${key}`),
    whenOutgoing: (signal) =>
      new Promise((resolve, reject) => {
        signal.throwIfAborted();
        if (all().some(({ posted }) => !posted)) resolve();
        wake = resolve;
        signal.addEventListener("abort", () => reject(signal.reason));
      }),
    dropBodies: async () => 0,
    close: async () => undefined,
  };
  return { journal, faults };
}
