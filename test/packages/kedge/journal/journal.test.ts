/** Every event of a source is journalled once, in order, under a number without gaps, before its sender is told anything. */
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type JournalOptions, openJournal, readJournal } from "@kedge/cli/journal/journal";
import { openingOf } from "@kedge/cli/journal/opening";
import type { Arrival, EpochKey, EpochKeys, Journal, Outgoing } from "@kedge/cli/journal/types";
import { openCommitment } from "@kedge/verify/events/commitment";
import { afterEach, beforeEach, expect, test } from "vitest";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-journal-"));
});
afterEach(() => rm(folder, { recursive: true }));

const keyOf = (epoch: number, isPlain = false): EpochKey => ({
  epoch,
  tenantKey: new Uint8Array(32).fill(epoch + 1),
  ...(isPlain ? {} : { bodyKey: new Uint8Array(32).fill(epoch + 101) }),
});
const keysOf = (...known: EpochKey[]): EpochKeys => ({
  current: () => known.at(-1) ?? keyOf(0),
  of: (epoch) => known.find((key) => key.epoch === epoch),
});
const keys = keysOf(keyOf(0));

const text = (bytes: Uint8Array | undefined) => bytes && new TextDecoder().decode(bytes);
const event = (of: string): Arrival => ({ bytes: new TextEncoder().encode(of), mediaType: "text/plain" });
const RECEIPT = { receivedAt: "2026-11-28T09:00:00Z", log: "log", accepted: 1 };

async function journalling<T>(
  run: (journal: Journal) => T | Promise<T>,
  options: Partial<JournalOptions> = {},
): Promise<T> {
  const journal = await openJournal({ folder, keys, ...options });
  try {
    return await run(journal);
  } finally {
    await journal.close();
  }
}
const codeOf = (run: Promise<unknown>) =>
  run.then(
    () => "none",
    (error: { code?: string }) => error.code,
  );

test("takes at a time are numbered in their order, and are there for who opens the journal later", async () => {
  await journalling(async (journal) => {
    const ehr = await journal.intake("ehr");
    const taken = ["a", "b", "c"].map((name) => ehr.take({ arrivals: [event(name), event(`${name}2`)] }));
    expect(await Promise.all(taken)).toEqual([
      [1n, 2n],
      [3n, 4n],
      [5n, 6n],
    ]);
  });
  await journalling((journal) => {
    const entries = [...journal.entries("ehr")];
    expect(entries.map(({ bytes }) => text(bytes))).toEqual(["a", "a2", "b", "b2", "c", "c2"]);
    expect(entries.map(({ number }) => number)).toEqual([1n, 2n, 3n, 4n, 5n, 6n]);
    for (const entry of entries) {
      const opening = openingOf(entry, keys);
      expect(opening && entry.bytes && openCommitment(opening, entry.bytes)).toEqual(
        new Uint8Array(entry.commitment),
      );
    }
  });
});

test("a source has one intake at a time, in all processes, until it is closed", async () => {
  await journalling(async (journal) => {
    const ehr = await journal.intake("ehr");
    await journalling(async (other) => {
      expect(await codeOf(other.intake("ehr"))).toBe("in_use");
      // What commands add to beside the agent.
      await (await journal.intake("kedge.journal")).take({ arrivals: [event("search 1")] });
      await (await other.intake("kedge.journal")).take({ arrivals: [event("search 2")] });
      await ehr.close();
      const again = await other.intake("ehr");
      expect(await again.take({ arrivals: [event("a")] })).toEqual([1n]);
    });
    expect([...journal.entries("kedge.journal")].map(({ bytes }) => text(bytes))).toEqual([
      "search 1",
      "search 2",
    ]);
  });
});

test("the outbox gives by turns what is not posted, and what is posted is unsealed until its place is known", async () => {
  await journalling(async (journal) => {
    for (const [source, count] of [
      ["a", 5],
      ["b", 1],
      ["c", 3],
    ] as const) {
      const intake = await journal.intake(source);
      await intake.take({ arrivals: Array.from({ length: count }, (_, i) => event(`${source}${i}`)) });
    }
    const named = (some: readonly Outgoing[]) =>
      some.map(({ source, number }) => `${source}${number}`).sort();
    const first = journal.outbox(5);
    expect(named(first)).toEqual(["a1", "a2", "b1", "c1", "c2"]);
    await journal.posted(first, { postedAt: 1_000, ...RECEIPT });
    expect(named(journal.outbox(100))).toEqual(["a3", "a4", "a5", "c3"]);
    await journal.posted(journal.outbox(100), { postedAt: 2_000, ...RECEIPT });
    expect(journal.outbox(100)).toEqual([]);
    expect(journal.unsealed(100)).toHaveLength(9);
    await journal.sealed(first.filter(({ number }) => number !== 2n).map((of) => ({ ...of, index: 7n })));
    expect(named(journal.unsealed(100))).toEqual(["a2", "a3", "a4", "a5", "c2", "c3"]);
    expect(named(journal.unsealed(2))).toEqual(["a2", "c2"]);
    expect(journal.sources()).toMatchObject([
      { name: "a", posted: 5n, sealed: 1n, unsealedSince: 1_000 },
      { name: "b", posted: 1n, sealed: 1n },
      { name: "c", posted: 3n, sealed: 1n, unsealedSince: 1_000 },
    ]);
    const receipts = [...journal.receipts()];
    expect(receipts.map(({ postedAt, batch }) => [postedAt, batch.length])).toEqual([
      [1_000, 5],
      [2_000, 4],
    ]);
  });
});

test("its files are for their owner alone, and hold nothing of an event", async () => {
  const secret = "Anna Berg opened 4711";
  await journalling(async (journal) => {
    const ehr = await journal.intake("ehr");
    await ehr.take({ arrivals: [event(secret)], forward: [new TextEncoder().encode(secret)] });
    expect(text(ehr.forwards(1)[0]?.message)).toBe(secret);
  });
  if (process.platform !== "win32") {
    for (const file of ["journal.mdb", "journal.mdb-lock", "sources"])
      expect((await stat(join(folder, file))).mode & 0o077).toBe(0);
  }
});

test("who only reads has what is committed by then, beside who writes", async () => {
  expect(readJournal({ folder })).toBeUndefined();
  await journalling(async (journal) => {
    const ehr = await journal.intake("ehr");
    await ehr.take({ arrivals: [event("a")] });
    const reader = readJournal({ folder, keys });
    await ehr.take({ arrivals: [event("b")] });
    expect(reader && [...reader.entries("ehr")].map(({ bytes }) => text(bytes))).toEqual(["a", "b"]);
    expect(reader?.sources()).toMatchObject([{ name: "ehr", journalled: 2n, last: 2n }]);
    await reader?.close();
  });
});
