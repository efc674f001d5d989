/** Every event of a source is journalled once, in order, under a number without gaps, before its sender is told anything. */
import { link, mkdtemp, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type JournalOptions, openJournal, readJournal } from "@kedge/cli/journal/journal";
import { openingOf } from "@kedge/cli/journal/opening";
import type { Arrival, EpochKey, EpochKeys, Journal, Outgoing } from "@kedge/cli/journal/types";
import { openCommitment } from "@kedge/verify/events/commitment";
import { GAP_MEDIA_TYPE, gapBytes } from "@kedge/verify/events/gap";
import fc from "fast-check";
import { open } from "lmdb";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

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

test("of two that do not see each other, as from two containers, the first takes nothing more", async () => {
  await journalling(async (journal) => {
    const first = await journal.intake("ehr");
    await first.take({ arrivals: [event("a")] });
    // As if the folder were mounted elsewhere: the lock of the source is by the folder's identity.
    const elsewhere = await mkdtemp(join(tmpdir(), "kedge-journal-"));
    for (const file of ["journal.mdb", "journal.mdb-lock", "sources"]) {
      await link(join(folder, file), join(elsewhere, file));
    }
    await journalling(
      async (other) => {
        const second = await other.intake("ehr");
        expect(await second.take({ arrivals: [event("b")] })).toEqual([2n]);
        const outcomes = [first.take({ arrivals: [event("c")] }), first.forwarded(1n)];
        expect(await Promise.all(outcomes.map(codeOf))).toEqual(["in_use", "in_use"]);
        expect(await second.take({ arrivals: [event("d")] })).toEqual([3n]);
      },
      { folder: elsewhere },
    );
    await rm(elsewhere, { recursive: true });
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
  expect((await readFile(join(folder, "journal.mdb"))).includes(secret)).toBe(false);
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

// ---- any course of things ---------------------------------------------------------------------------------------------

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("take"), source: fc.nat(2), n: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("post"), n: fc.integer({ min: 1, max: 6 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("seal"), n: fc.nat(), every: fc.integer({ min: 1, max: 3 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("clock"), by: fc.integer({ min: -5_000, max: 5_000 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("drop"), source: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("reopen") }) },
);

test("whatever comes, in whatever order, each source has its events once, in order, unbroken, and stands where it should", async () => {
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
      run++;
      const here = join(folder, `${run}`);
      let clock = 1_000_000;
      const begin = async () => {
        const journal = await openJournal({ folder: here, keys, now: () => clock });
        return { journal, intakes: await Promise.all(["a", "b", "c"].map((name) => journal.intake(name))) };
      };
      let { journal, intakes } = await begin();
      const model = intakes.map(({ source }) => ({
        source,
        events: [""],
        cursor: "",
        posted: 0,
        sealed: new Set(),
      }));
      const under = (some: readonly Outgoing[]) =>
        some.map(({ source, number }) => `${source} ${number}`).sort();
      const taking: Promise<unknown>[] = [];
      try {
        for (const one of steps) {
          const of = "source" in one ? model[one.source] : undefined;
          if (one.do !== "take") await Promise.all(taking.splice(0));
          if ("by" in one) clock += one.by;
          else if (one.do === "take" && of !== undefined && "n" in one) {
            const names = Array.from({ length: one.n }, (_, i) => `${of.source}${of.events.length + i}`);
            of.events.push(...names);
            of.cursor = `at ${of.events.length}`;
            const cursors = new Map([["key", of.cursor]]);
            taking.push(
              intakes[model.indexOf(of)]?.take({ arrivals: names.map(event), cursors }) ?? Promise.reject(),
            );
          } else if (one.do === "post" && "n" in one) {
            const batch = journal.outbox(one.n);
            await journal.posted(batch, { postedAt: clock, ...RECEIPT });
            for (const { posted, source } of model.map((m) => ({
              ...m,
              posted: batch.filter((b) => b.source === m.source),
            }))) {
              const m = model.find((other) => other.source === source);
              for (const { number } of posted) expect(Number(number)).toBe((m && ++m.posted) ?? 0);
            }
          } else if ("every" in one) {
            const chosen = journal.unsealed(100).filter((_, i) => i % one.every === one.n % one.every);
            await journal.sealed(chosen.map((place) => ({ ...place, index: place.number + 100n })));
            for (const { source, number } of chosen)
              model.find((m) => m.source === source)?.sealed.add(Number(number));
          } else if (one.do === "drop" && of !== undefined) {
            await journal.dropBodies(of.source, clock - 1_000);
          } else {
            await journal.close();
            ({ journal, intakes } = await begin());
          }
        }
        await Promise.all(taking.splice(0));
        for (const [i, { source, events, cursor, posted, sealed }] of model.entries()) {
          const entries = [...journal.entries(source)];
          expect(entries.map(({ number }) => Number(number))).toEqual(events.slice(1).map((_, n) => n + 1));
          let before = 0;
          for (const entry of entries) {
            const name = events[Number(entry.number)] ?? "";
            expect(entry.at).toBeGreaterThanOrEqual(before);
            before = entry.at;
            expect(entry.index).toBe(sealed.has(Number(entry.number)) ? entry.number + 100n : undefined);
            if (entry.bytes !== undefined) expect(text(entry.bytes)).toBe(name);
            const opening = openingOf(entry, keys);
            expect(
              opening && Buffer.from(openCommitment(opening, event(name).bytes)).equals(entry.commitment),
            ).toBe(true);
          }
          expect(intakes[i]?.cursor("key") ?? "").toBe(cursor);
          expect(journal.sources()[i]).toMatchObject({
            ...{ name: source, journalled: BigInt(events.length - 1) },
            ...{ posted: BigInt(posted), sealed: BigInt(sealed.size) },
          });
        }
        const left = model.flatMap(({ source, events, posted }) =>
          events.flatMap((_, n) => (n > posted ? [`${source} ${n}`] : [])),
        );
        expect(under(journal.outbox(1_000))).toEqual(left.sort());
        const unsealed = model.flatMap(({ source, posted, sealed }) =>
          Array.from({ length: posted }, (_, n) => n + 1).flatMap((n) =>
            sealed.has(n) ? [] : [`${source} ${n}`],
          ),
        );
        expect(under(journal.unsealed(1_000))).toEqual(unsealed.sort());
      } finally {
        await journal.close();
      }
    }),
    { numRuns: 8 },
  );
});

test("a clock that is set back lets no event of a source be older than the one before it", async () => {
  let clock = 0;
  await journalling(
    async (journal) => {
      const ehr = await journal.intake("ehr");
      for (const now of [5_000, 9_000, 2_000, 8_999, 9_500]) {
        clock = now;
        await ehr.take({ arrivals: [event(`${now}`)] });
      }
      const ats = [...journal.entries("ehr")].map(({ at }) => at);
      expect(ats).toEqual([5_000, 9_000, 9_000, 9_000, 9_500]);
      const between = (since: number, before: number) =>
        [...journal.entries("ehr", { since, before, withoutBytes: true })].map(({ number }) => number);
      expect(between(5_000, 9_000)).toEqual([1n]);
      expect(between(9_000, 9_001)).toEqual([2n, 3n, 4n]);
      expect(between(9_001, 10_000)).toEqual([5n]);
      expect(between(0, 5_000)).toEqual([]);
      expect(between(10_000, 20_000)).toEqual([]);
    },
    { now: () => clock },
  );
});

test("what goes on to the upstream is kept in its order until the upstream has it", async () => {
  const message = (n: number) => new TextEncoder().encode(`message ${n}`);
  await journalling(async (journal) => {
    const ehr = await journal.intake("ehr");
    await ehr.take({ arrivals: [event("a")], forward: [message(1), message(2)] });
    await ehr.take({ arrivals: [], forward: [message(3)], passedBy: 2 });
    expect(journal.sources()).toMatchObject([{ seen: 3n, journalled: 1n, forwarding: 3n }]);
    const [first] = ehr.forwards(2);
    expect(ehr.forwards(2).map((of) => text(of.message))).toEqual(["message 1", "message 2"]);
    await ehr.forwarded(first?.id ?? 0n);
  });
  await journalling(async (journal) => {
    const ehr = await journal.intake("ehr");
    const left = ehr.forwards(10);
    expect(left.map((of) => text(of.message))).toEqual(["message 2", "message 3"]);
    await ehr.forwarded(left.at(-1)?.id ?? 0n);
    expect(ehr.forwards(10)).toEqual([]);
    await ehr.take({ arrivals: [], forward: [message(4)] });
    expect(ehr.forwards(10).map(({ id }) => id)).toEqual([4n]);
  });
});

test("gaps are events of their source, and found without reading the others", async () => {
  await journalling(async (journal) => {
    const ehr = await journal.intake("ehr");
    const gap = { bytes: gapBytes({ kind: "overlong", octets: 2_000_000 }), mediaType: GAP_MEDIA_TYPE };
    await ehr.take({ arrivals: [event("a"), gap, event("b")] });
    expect([...journal.gaps("ehr")].map(({ number }) => number)).toEqual([2n]);
    expect(journal.sources()).toMatchObject([{ journalled: 3n, gaps: 1n }]);
  });
});

test("a take of what is no event is refused, and what stands beside it is taken", async () => {
  await journalling(async (journal) => {
    const ehr = await journal.intake("ehr");
    const outcomes = await Promise.allSettled([
      ehr.take({ arrivals: [event("a")] }),
      ehr.take({ arrivals: [{ bytes: new Uint8Array(1), mediaType: "not a type" }] }),
      ehr.take({ arrivals: [], cursors: new Map([["k".repeat(1025), "1"]]) }),
      // This one is found out within the commit that they share.
      journal.posted([{ source: "ehr", number: 9n, commitment: new Uint8Array(32) }], {
        postedAt: 1,
        ...RECEIPT,
      }),
      ehr.take({ arrivals: [event("b")] }),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual([
      "fulfilled",
      "rejected",
      "rejected",
      "rejected",
      "fulfilled",
    ]);
    expect([...journal.entries("ehr")].map(({ bytes }) => text(bytes))).toEqual(["a", "b"]);
  });
});

test("who waits for something to post is told, by this process and of what another has taken; or that it is over", async () => {
  await journalling(async (journal) => {
    const ehr = await journal.intake("ehr");
    const told = journal.whenOutgoing(AbortSignal.abort("stop")).catch((reason: unknown) => reason);
    expect(await told).toBe("stop");
    const waiting = journal.whenOutgoing(new AbortController().signal);
    await ehr.take({ arrivals: [event("a")] });
    await waiting;
    await journal.posted(journal.outbox(1), { postedAt: 1, ...RECEIPT });
    const closing = codeOf(journal.whenOutgoing(new AbortController().signal));
    await journal.close();
    expect(await closing).toBe("closed");
    expect(await codeOf(ehr.take({ arrivals: [event("b")] }))).toBe("closed");
  });
});

// ---- keys -------------------------------------------------------------------------------------------------------------

describe("keys", () => {
  test("events are committed under the key that is current, and one that is shredded takes its bodies with it", async () => {
    let known = keysOf(keyOf(0));
    const changing: EpochKeys = { current: () => known.current(), of: (epoch) => known.of(epoch) };
    await journalling(
      async (journal) => {
        const ehr = await journal.intake("ehr");
        await ehr.take({ arrivals: [event("a")], forward: [event("a").bytes] });
        known = keysOf(keyOf(0), keyOf(1));
        await ehr.take({ arrivals: [event("b")], forward: [event("b").bytes] });
        expect([...journal.entries("ehr")].map(({ epoch }) => epoch)).toEqual([0, 1]);
        await journal.dropBodies("ehr", Number.MAX_SAFE_INTEGER);
        known = keysOf(keyOf(1));
        const entries = [...journal.entries("ehr")];
        expect(entries.map((entry) => openingOf(entry, known) !== undefined)).toEqual([false, true]);
        expect(entries.map(({ nonce }) => nonce?.length)).toEqual([undefined, 32]);
        expect(ehr.forwards(9).map(({ message }) => text(message))).toEqual(["b"]);
      },
      { keys: changing },
    );
  });

  test("another tenant key is refused when it is opened, and when it comes later", async () => {
    await journalling(async (journal) => {
      await (await journal.intake("ehr")).take({ arrivals: [event("a")] });
    });
    const other = { ...keyOf(0), tenantKey: new Uint8Array(32).fill(99) };
    expect(await codeOf(openJournal({ folder, keys: keysOf(other) }))).toBe("other_key");
    expect(() => readJournal({ folder, keys: keysOf(other) })).toThrow(
      expect.objectContaining({ code: "other_key" }),
    );
    let known = keysOf(keyOf(0));
    await journalling(
      async (journal) => {
        const ehr = await journal.intake("ehr");
        known = keysOf(other);
        expect(await codeOf(ehr.take({ arrivals: [event("b")] }))).toBe("other_key");
      },
      { keys: { current: () => known.current(), of: (epoch) => known.of(epoch) } },
    );
  });

  test("a journal that is kept plain has the bodies, and nothing to decrypt", async () => {
    const plain = keysOf(keyOf(0, true));
    await journalling(
      async (journal) => {
        await (await journal.intake("ehr")).take({ arrivals: [event("a")] });
        expect([...journal.entries("ehr")].map(({ bytes }) => text(bytes))).toEqual(["a"]);
      },
      { keys: plain },
    );
  });
});

// ---- damage -----------------------------------------------------------------------------------------------------------

describe("a journal that", () => {
  const path = () => join(folder, "journal.mdb");
  beforeEach(() =>
    journalling(async (journal) => {
      const ehr = await journal.intake("ehr");
      const arrivals = Array.from({ length: 20 }, (_, n) => [
        { bytes: new Uint8Array(3000).fill(n), mediaType: "text/plain" },
        event(`event ${n}`),
      ]);
      await ehr.take({ arrivals: arrivals.flat() });
    }),
  );

  test.each([4_000, 40_000])("was cut to %i bytes is damaged", async (length) => {
    await truncate(path(), length);
    expect(await codeOf(openJournal({ folder, keys }))).toBe("damaged");
    expect(() => readJournal({ folder })).toThrow(expect.objectContaining({ code: "damaged" }));
  });

  test("is empty, or all zeroes, is damaged", async () => {
    await writeFile(path(), new Uint8Array((await stat(path())).size));
    expect(await codeOf(openJournal({ folder, keys }))).toBe("damaged");
    await truncate(path(), 0);
    expect(await codeOf(openJournal({ folder, keys }))).toBe("damaged");
  });

  test("is gone, or another, is lost", async () => {
    await rm(path());
    expect(await codeOf(openJournal({ folder, keys }))).toBe("lost");
    const other = join(folder, "other");
    await journalling((journal) => journal.intake("pacs"), { folder: other });
    await writeFile(path(), await readFile(join(other, "journal.mdb")));
    expect(await codeOf(openJournal({ folder, keys }))).toBe("lost");
    expect(() => readJournal({ folder })).toThrow(expect.objectContaining({ code: "lost" }));
  });

  test("has a body that stands in the place of another is damaged there, and readable elsewhere", async () => {
    const db = open<Buffer, Buffer>({
      path: path(),
      noSubdir: true,
      encoding: "binary",
      keyEncoding: "binary",
    });
    const bodies = [...db.getRange({ start: Buffer.from("b"), end: Buffer.from("c") })];
    const body = (n: number) => bodies[n] ?? { key: Buffer.alloc(0), value: Buffer.alloc(0) };
    db.putSync(body(3).key, body(5).value);
    await db.close();
    await journalling((journal) => {
      expect(() => [...journal.entries("ehr", { from: 4n, to: 4n })]).toThrow(
        expect.objectContaining({ code: "damaged" }),
      );
      expect([...journal.entries("ehr", { from: 5n })]).toHaveLength(36);
    });
  });

  test("is opened again after its bodies were taken away, however short its file is then", async () => {
    await journalling((journal) => journal.dropBodies("ehr", Number.MAX_SAFE_INTEGER));
    await journalling((journal) => {
      expect([...journal.entries("ehr")].map(({ nonce }) => nonce?.length)).toEqual(Array(40).fill(32));
    });
  });
});

describe("where a source stands", () => {
  const NAME = "ward-7-jane-roe.log";
  const stands = (at: string) => ({ arrivals: [], cursors: new Map([["file/1", at]]) });

  test("is not in the file in clear, and stays known through rotations and shreddings", async () => {
    const [first, second, third] = [keyOf(0), keyOf(1), keyOf(2)];
    await journalling(async (journal) => {
      const ehr = await journal.intake("ehr");
      await ehr.take(stands(NAME));
      expect(ehr.cursors("file/")).toEqual([["file/1", NAME]]);
    });
    expect((await readFile(join(folder, "journal.mdb"))).includes(NAME)).toBe(false);
    // Begun under the new epoch, without a word of the source's own.
    await journalling(async (journal) => (await journal.intake("ehr")).cursor("file/1"), {
      keys: keysOf(first, second),
    }).then((cursor) => expect(cursor).toBe(NAME));
    // The first is gone, and the next has come.
    await journalling(
      async (journal) => {
        const ehr = await journal.intake("ehr");
        expect(ehr.cursor("file/1")).toBe(NAME);
        await ehr.take(stands(`${NAME}.2`));
      },
      { keys: keysOf(second, third) },
    );
    await journalling(
      async (journal) => expect((await journal.intake("ehr")).cursor("file/1")).toBe(`${NAME}.2`),
      { keys: keysOf(third) },
    );
  });

  test("is not begun anew where the keys are gone that it is under: it is refused", async () => {
    await journalling(async (journal) => (await journal.intake("ehr")).take(stands(NAME)));
    expect(await codeOf(openJournal({ folder, keys: keysOf(keyOf(1)) }))).toBe("other_key");
    expect(readJournal({ folder })?.sources()).toMatchObject([{ name: "ehr" }]);
  });
});
