/**
 * The index as its users see it, on runs so small that a few dozen entries make every level: it answers as a plain map of the
 * tree, whatever dies, races, is lost or is altered. What it cannot know it says, and a wrong answer is never among that.
 */
import { joinBytes } from "@kedge/verify/tlog/bytes";
import { leafHash } from "@kedge/verify/tlog/merkle";
import { parsePolicy } from "@kedge/verify/tlog/policy";
import { decodeBundle } from "@kedge/verify/tlog/tile";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ServiceError } from "../../../platform/error.ts";
import { append } from "../../../service/append.ts";
import { emptyHead, moveHead, readHead } from "../../../service/head.ts";
import {
  coverKey,
  type IndexContext,
  moveCover,
  type RunSizes,
  readCover,
  readHeadAndCover,
  retiredRuns,
} from "../../../service/index/cover.ts";
import { extendCover, mergeCover } from "../../../service/index/extend.ts";
import { isIndexFault } from "../../../service/index/fault.ts";
import { newFilters } from "../../../service/index/filters.ts";
import { find } from "../../../service/index/find.ts";
import { rebuildIndex } from "../../../service/index/rebuild.ts";
import { removeRetired } from "../../../service/index/retired.ts";
import { entryStatus, prove } from "../../../service/prove.ts";
import { seal } from "../../../service/seal.ts";
import { sweep } from "../../../service/sweep.ts";
import { auditWorld } from "../../support/audit.ts";
import {
  type Actor,
  Died,
  FAULTS,
  type Fault,
  LOG,
  newRace,
  newWorld,
  ORIGIN,
  type World,
} from "../../support/world.ts";

const TINY: RunSizes = { base: 4, fanout: 2, top: 2, uncovered: 40 };
/** Of which no run is made after a seal. */
const NONE: RunSizes = { ...TINY, base: 1 << 20, uncovered: 1 << 20 };

const entry = (n: number): Uint8Array => sha256(new TextEncoder().encode(`entry ${n}`));
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
const isOdd = (error: unknown) => !(error instanceof Died || error instanceof ServiceError);

async function post(actor: Actor, numbers: readonly number[]): Promise<void> {
  await append(actor, LOG, numbers.map(entry));
  await seal(actor, { id: LOG, origin: ORIGIN, sign: actor.signLog });
}

/** A log of `count` entries, on whose runs nothing has been done; later actors have TINY ones. */
async function uncoveredWorld(count: number, first = 0): Promise<World> {
  const before = newWorld({ runSizes: NONE });
  await post(before.actor(), range(first, first + count));
  return copyOf(before);
}

const copyOf = (world: World): World =>
  newWorld({
    items: world.store.items(),
    files: new Map(world.publication.files),
    runs: new Map(world.index.files),
    runSizes: TINY,
  });

async function coveredWorld(count: number, first = 0): Promise<World> {
  const world = await uncoveredWorld(count, first);
  await extendCover(world.actor(), LOG);
  return world;
}

/** The index of each of these entries in the tree, by its bundles. */
function mapOf(world: World): Map<string, bigint> {
  const entries = world.store
    .items()
    .filter(({ pk }) => pk.startsWith(`tile/${LOG}/entries/`))
    .sort((a, b) => Number(a.pk.split("/")[3]) - Number(b.pk.split("/")[3]))
    .flatMap(({ data, width }) => (data instanceof Uint8Array ? decodeBundle(data, Number(width)) : []));
  return new Map(entries.map((one, i) => [bytesToHex(one), BigInt(i)]));
}

/** Looks for all of these at once, by head and cover as they are. */
async function ask(ctx: IndexContext, numbers: readonly number[]): Promise<(bigint | undefined)[]> {
  const { head, cover } = await readHeadAndCover(ctx, LOG);
  return await find(ctx, head, cover, joinBytes(numbers.map((n) => leafHash(entry(n)))));
}

/** That it answers as the tree does, for what is in it and what is not, together and alone. */
async function expectMap(world: World, ctx: IndexContext, upTo: number): Promise<void> {
  const map = mapOf(world);
  const numbers = range(0, upTo + 20);
  const expected = numbers.map((n) => map.get(bytesToHex(entry(n))));
  expect(await ask(ctx, numbers)).toEqual(expected);
  for (const n of [0, upTo - 1, upTo + 1]) expect(await ask(ctx, [n])).toEqual([expected[n]]);
}

/** A process that has read nothing yet. */
const fresh = (world: World, filterBytes = 1_000_000): IndexContext => ({
  ...world.reading,
  filters: newFilters(filterBytes),
});

describe("answers as a plain map of the tree", () => {
  test("for any history of posts, repeats, deaths and merges", async () => {
    const step = fc.record({
      entries: fc.array(fc.nat(90), { minLength: 1, maxLength: 25 }),
      plan: fc.array(fc.record({ at: fc.nat(50), fault: fc.constantFrom<Fault>(...FAULTS) }), {
        maxLength: 2,
      }),
      late: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), async (steps) => {
        const world = newWorld({ runSizes: TINY });
        for (const { entries, plan, late } of steps) {
          await post(world.actor(plan), entries).catch((error) => {
            if (isOdd(error)) throw error;
          });
          if (late) await world.landLate();
        }
        await world.landLate();
        await post(world.actor(), [91]);
        await post(world.actor(), [92]);
        await expectMap(world, fresh(world), 93);
        expect(auditWorld(world, [entry(91), entry(92)])).toEqual([]);
      }),
      { numRuns: 30 },
    );
  });

  test("of any size, at any edge of runs and levels, with filters and without", async () => {
    for (const size of [1, 3, 4, 5, 8, 15, 16, 17, 31, 32, 36, 63, 100]) {
      const world = await coveredWorld(size);
      const { end, runs } = await readCover(world.reading, LOG);
      expect(end).toBe(BigInt(size - (size % TINY.base)));
      // As few as can be: no two halves of a node stand side by side.
      expect(runs.length).toBeLessThanOrEqual(Math.floor(size / 16) + 2);
      await expectMap(world, fresh(world), size);
      await expectMap(world, fresh(world, 0), size);
    }
  });

  test("while a merge or an extension is at any of its steps", async () => {
    const world = await uncoveredWorld(37);
    const checked: Actor = world.actor([], () => expectMap(world, fresh(world), 37));
    await extendCover(checked, LOG);
    expect(checked.calls()).toBeGreaterThan(20);
  });
});

describe("extending the cover", () => {
  test.each(FAULTS)(
    "a call that %s, at every call: the next makes it good, with the same bytes",
    async (fault) => {
      const start = await uncoveredWorld(17);
      const good = copyOf(start);
      const actor = good.actor();
      await extendCover(actor, LOG);
      const { end, runs } = await readCover(good.reading, LOG);
      for (let at = 0; at < actor.calls(); at++) {
        const world = copyOf(start);
        await extendCover(world.actor([{ at, fault }]), LOG).catch((error) => {
          if (isOdd(error)) throw error;
        });
        await expectMap(world, fresh(world), 17);
        await world.landLate();
        await extendCover(world.actor(), LOG);
        expect(await readCover(world.reading, LOG)).toMatchObject({ end, runs });
        for (const [path, bytes] of world.index.files) {
          expect(sameBytes(good.index.files.get(path), bytes)).toBe(true);
        }
        await expectMap(world, fresh(world), 17);
      }
    },
  );

  test("two at once, and a sealer, call by call: the same cover as of one alone", async () => {
    const start = await uncoveredWorld(37);
    await fc.assert(
      fc.asyncProperty(fc.infiniteStream(fc.nat(7)), async (choices) => {
        const world = copyOf(start);
        const race = newRace((waiting) => Number(choices.next().value) % Math.max(1, waiting.length));
        const racers = [0, 1].map(() => extendCover(world.actor([], race.gate()), LOG));
        await race.run(Promise.all([...racers, post(world.actor([], race.gate()), [3, 50, 51])]));
        await extendCover(world.actor(), LOG);
        const good = await coveredWorld(37);
        expect((await readCover(world.reading, LOG)).runs).toEqual((await readCover(good.reading, LOG)).runs);
        await expectMap(world, fresh(world), 52);
      }),
      { numRuns: 12 },
    );
  });

  test("from tiles that are not those of the published tree: refused, and no cover names what they make", async () => {
    const world = await uncoveredWorld(37);
    const [tile] = world.store.items().filter(({ pk }) => pk === `tile/${LOG}/0/0`);
    const data = tile?.["data"];
    if (tile === undefined || !(data instanceof Uint8Array)) throw new Error("no tile");
    await world.store.put({ ...tile, data: data.map((byte, i) => (i === 40 ? byte ^ 1 : byte)) });
    await expect(extendCover(world.actor(), LOG)).rejects.toSatisfy(isIndexFault);
    expect((await readCover(world.reading, LOG)).version).toBe(0n);
    await expect(rebuildIndex(world.actor(), LOG)).rejects.toThrow(/restore the whole log/);
  });
});

describe("the cover and the head", () => {
  test("a cover that is newer than the head beside it: what the head has is found, the rest is beyond it", async () => {
    const world = await coveredWorld(37);
    const { head } = await readHeadAndCover(world.reading, LOG);
    await post(world.actor(), range(37, 60));
    const { cover } = await readHeadAndCover(world.reading, LOG);
    expect(cover.end).toBeGreaterThan(head.published);
    const leaves = joinBytes(range(0, 70).map((n) => leafHash(entry(n))));
    const found = await find(fresh(world), head, cover, leaves);
    const below = found.map((index) => (index !== undefined && index < head.published ? index : undefined));
    expect(below).toEqual(range(0, 70).map((n) => (n < 37 ? BigInt(n) : undefined)));
  });

  test.each([
    ["other entries", range(900, 936)],
    ["the same entries at other places", range(0, 36).reverse()],
  ])(
    "a cover of another tree, of %s, stops seals and look-ups: nothing gets in twice",
    async (_, numbers) => {
      const world = await coveredWorld(37);
      const other = newWorld({ runSizes: TINY });
      await post(other.actor(), numbers);
      await extendCover(other.actor(), LOG);
      const [cover] = await other.store.get([coverKey(LOG)]);
      if (cover !== undefined) await world.store.put(cover);
      for (const [path, bytes] of other.index.files) await world.index.write(path, bytes);
      const size = mapOf(world).size;
      await expect(post(world.actor(), [3, 4, 500])).rejects.toSatisfy(isIndexFault);
      await expect(ask(fresh(world), [3])).rejects.toSatisfy(isIndexFault);
      expect(mapOf(world).size).toBe(size);
    },
  );

  test.each([
    ["the hash of a header", 5 + 32],
    ["the size of a filter", 4],
  ])("a cover that is wrong about %s is mended by a rebuild", async (_, at) => {
    const world = await coveredWorld(37);
    const [cover] = await world.store.get([coverKey(LOG)]);
    const runs = Uint8Array.from(cover?.["runs"] instanceof Uint8Array ? cover["runs"] : []);
    runs[at] = (runs[at] ?? 0) ^ 1;
    if (cover !== undefined) await world.store.put({ ...cover, runs });
    await expect(post(world.actor(), [3])).rejects.toSatisfy(isIndexFault);
    await rebuildIndex(world.actor(), LOG);
    await post(world.actor(), [3, 40]);
    await expectMap(world, fresh(world), 41);
  });

  test("of two that move the same cover one wins", async () => {
    const world = await coveredWorld(37);
    const { cover } = await readHeadAndCover(world.reading, LOG);
    expect(await moveCover(world.store, cover, cover.runs)).toBeDefined();
    expect(await moveCover(world.store, cover, cover.runs.slice(1))).toBeUndefined();
    await expectMap(world, fresh(world), 37);
  });

  test("a log that is being restored has no entry of which it says that it is absent", async () => {
    const world = await coveredWorld(37);
    const head = await readHead(world.store, LOG);
    await moveHead(world.store, head, emptyHead(LOG));
    const reading = { ...world.reading, policy: parsePolicy("quorum none\n") };
    expect(await prove(reading, LOG, [entry(3)])).toEqual(["pending"]);
    await expect(prove(reading, LOG, [entry(36)])).rejects.toMatchObject({ code: "throttled" });
  });

  test("a cover that is older, of runs that were deleted since: the newer one is read", async () => {
    const world = await coveredWorld(20);
    const { head, cover } = await readHeadAndCover(world.reading, LOG);
    await post(world.actor(), range(20, 37));
    expect(await removeRetired(world.actor(), LOG, world.tick() + 10, 0)).toBeGreaterThan(0);
    const leaves = joinBytes(range(0, 30).map((n) => leafHash(entry(n))));
    const found = await find(fresh(world), head, cover, leaves);
    expect(found.slice(0, 20)).toEqual(range(0, 20).map(BigInt));
  });

  test("a cover that is lost: tiles answer as long as they are few, then nothing is claimed, and a seal makes it first", async () => {
    for (const count of [30, 60]) {
      const world = await coveredWorld(count);
      await world.store.write([], [coverKey(LOG)]);
      const reader = { ...fresh(world), policy: world.actor().policy };
      const absent = entryStatus(reader, LOG, entry(500));
      const present = entryStatus(reader, LOG, entry(2));
      if (count <= TINY.uncovered) {
        expect(await absent).toBeUndefined();
        expect(await present).toMatchObject({ index: 2n });
      } else {
        await expect(absent).rejects.toMatchObject({ code: "throttled" });
        await expect(present).rejects.toMatchObject({ code: "throttled" });
      }
      await post(world.actor(), [2, 70]);
      await expectMap(world, fresh(world), 71);
      expect(mapOf(world).size).toBe(count + 1);
    }
  });

  test("a table of an earlier version, which has no cover: the first seal makes all its runs, over several deaths", async () => {
    const start = await uncoveredWorld(60);
    for (let at = 0; ; at += 13) {
      const world = copyOf(start);
      const dying = world.actor([{ at, fault: "dies" }]);
      const died = await post(dying, [1, 60]).then(
        () => false,
        () => true,
      );
      await post(world.actor(), [2, 61]);
      expect(new Set(range(0, 60).map((n) => mapOf(world).get(bytesToHex(entry(n)))))).toEqual(
        new Set(range(0, 60).map(BigInt)),
      );
      await expectMap(world, fresh(world), 62);
      if (!died) break;
    }
  });

  test("a look-up beside a seal and its merge, call by call: never absent what was posted", async () => {
    const start = await coveredWorld(30);
    await fc.assert(
      fc.asyncProperty(fc.infiniteStream(fc.nat(7)), async (choices) => {
        const world = copyOf(start);
        const race = newRace((waiting) => Number(choices.next().value) % Math.max(1, waiting.length));
        const sealer = world.actor([], race.gate());
        await append(world.actor(), LOG, [entry(30), entry(31), entry(32)]);
        const reader = world.actor([], race.gate());
        const looking = [31, 2].map((n) => entryStatus(reader, LOG, entry(n)));
        const sealing = seal(sealer, { id: LOG, origin: ORIGIN, sign: sealer.signLog });
        const [[added, old]] = await race.run(Promise.all([Promise.all(looking), sealing]));
        expect(added?.assurance === "pending" || added?.index === 31n).toBe(true);
        expect(old).toMatchObject({ index: 2n });
      }),
      { numRuns: 30 },
    );
  });
});

// ---- what is lost or altered -----------------------------------------------------------------------------------------

/** Paths of the runs that are in force. */
const named = async (world: World): Promise<string[]> => {
  const { runs } = await readCover(world.reading, LOG);
  return runs.map(
    ({ level, first, count, root }) => `${LOG}/${level}/${first / BigInt(count)}-${bytesToHex(root)}`,
  );
};

const sameBytes = (a: Uint8Array | undefined, b: Uint8Array | undefined): boolean =>
  a !== undefined && b !== undefined && Buffer.compare(a, b) === 0;

/** Another history's run of the same level and number. */
async function otherRun(path: string): Promise<Uint8Array> {
  const other = await coveredWorld(37, 1_000);
  const start = path.slice(0, path.indexOf("-") + 1);
  const [, bytes] = [...other.index.files].find(([one]) => one.startsWith(start)) ?? [];
  if (bytes === undefined) throw new Error(`no run like ${path}`);
  return bytes;
}

const flip = (bytes: Uint8Array, at: number): Uint8Array =>
  bytes.map((byte, i) => (i === at ? byte ^ 0xff : byte));
/** Of a header: its fixed part, and a fence and a hash for the one block of a tiny run. */
const HEADER = 64 + 64;

const DAMAGE: [
  string,
  (bytes: Uint8Array, path: string, world: World) => Promise<Uint8Array> | Uint8Array,
][] = [
  ["truncated within its header", (bytes) => bytes.slice(0, 40)],
  ["truncated within its filter", (bytes) => bytes.slice(0, HEADER + 5)],
  ["truncated by its last byte", (bytes) => bytes.slice(0, -1)],
  ["empty", () => new Uint8Array()],
  ["altered in its header", (bytes) => flip(bytes, 20)],
  [
    "altered in its filter, all of it, to hide every entry",
    (bytes) => {
      const hidden = bytes.slice();
      // Fingerprints of which no three make one of an entry, but by luck.
      for (let at = HEADER + 12; at < bytes.length - 36 * 4; at++) hidden[at] = at * 37;
      return hidden;
    },
  ],
  ["altered in a hash of its block", (bytes) => flip(bytes, bytes.length - 30)],
  ["altered in an index of its block", (bytes) => flip(bytes, bytes.length - 1)],
  [
    "another run of the log",
    (_, path, world) => [...world.index.files].find(([other]) => other !== path)?.[1] ?? new Uint8Array(),
  ],
  ["another history's", (_, path) => otherRun(path)],
];

describe("a run that is", () => {
  test.each(DAMAGE)("%s is recognised, stops the seal, and is made again as it was", async (_, damage) => {
    const start = await coveredWorld(37);
    for (const path of await named(start)) {
      const world = copyOf(start);
      const whole = world.index.files.get(path) ?? new Uint8Array();
      const damaged = await damage(whole, path, world);
      await world.index.write(path, damaged);
      // By filters; then by blocks alone, which need no filter: whatever is answered is true.
      await expect(ask(fresh(world), range(0, 100))).rejects.toSatisfy(isIndexFault);
      for (const n of range(0, 37)) {
        const found = await ask(fresh(world), [n]).catch((error) => {
          expect(error).toSatisfy(isIndexFault);
          return [BigInt(n)];
        });
        expect(found).toEqual([BigInt(n)]);
      }
      await expect(post(world.actor(), range(0, 100))).rejects.toMatchObject({ code: "corrupt" });
      expect(mapOf(world).size).toBe(37);
      expect(await rebuildIndex(world.actor(), LOG)).toEqual({ runs: 1, covered: 36n });
      expect(sameBytes(world.index.files.get(path), whole)).toBe(true);
      await post(world.actor(), [1, 100]);
      expect(mapOf(world).size).toBe(101);
      await expectMap(world, fresh(world), 101);
    }
  });

  test("lost, while the cover names it, is a fault for reader, sealer and merger, until it is made again", async () => {
    const world = await coveredWorld(44);
    const paths = await named(world);
    for (const path of paths) await world.index.remove(path);
    await expect(ask(fresh(world), [1])).rejects.toSatisfy(isIndexFault);
    await expect(post(world.actor(), range(0, 44))).rejects.toMatchObject({ code: "corrupt" });
    expect(await rebuildIndex(world.actor(), LOG)).toEqual({ runs: paths.length, covered: 44n });
    await post(world.actor(), range(0, 48));
    await expectMap(world, fresh(world), 48);
  });

  test("lost when a merge needs it fails no seal, and is told", async () => {
    const world = await uncoveredWorld(7);
    const actor = world.actor();
    await extendCover(actor, LOG);
    await world.index.remove((await named(world))[0] ?? "");
    // A process that has its filter asks no block of it for entries that are new.
    await append(actor, LOG, [7, 8].map(entry));
    const sealed = await seal(actor, { id: LOG, origin: ORIGIN, sign: actor.signLog });
    expect(sealed).toMatchObject({ sealed: 2, size: 9n });
    await expect(mergeCover(actor, LOG)).rejects.toSatisfy(isIndexFault);
  });
});

describe("rebuild", () => {
  test.each([
    ["is lost", async (world: World) => world.store.write([], [coverKey(LOG)])],
    ["cannot be read", async (world: World) => world.store.put({ ...coverKey(LOG), runs: "?" })],
    [
      "is of another tree",
      async (world: World) => {
        const other = newWorld({ runSizes: TINY });
        await post(other.actor(), range(900, 936));
        const [cover] = await other.store.get([coverKey(LOG)]);
        if (cover !== undefined) await world.store.put(cover);
        for (const [path, bytes] of other.index.files) await world.index.write(path, bytes);
      },
    ],
  ])("a cover that %s is made anew", async (_, damage) => {
    const world = await coveredWorld(37);
    await damage(world);
    await rebuildIndex(world.actor(), LOG);
    await post(world.actor(), [3, 40]);
    expect(mapOf(world).size).toBe(38);
    await expectMap(world, fresh(world), 41);
  });

  test("beside a sealer, call by call, does no harm", async () => {
    const start = await coveredWorld(37);
    await fc.assert(
      fc.asyncProperty(fc.infiniteStream(fc.nat(7)), fc.boolean(), async (choices, isLost) => {
        const world = copyOf(start);
        if (isLost) await world.store.write([], [coverKey(LOG)]);
        const race = newRace((waiting) => Number(choices.next().value) % Math.max(1, waiting.length));
        const rebuilding = rebuildIndex(world.actor([], race.gate()), LOG);
        await race.run(Promise.all([rebuilding, post(world.actor([], race.gate()), range(30, 50))]));
        expect(mapOf(world).size).toBe(50);
        await expectMap(world, fresh(world), 50);
      }),
      { numRuns: 12 },
    );
  });
});

describe("a retired run", () => {
  test("is kept for the retention, then deleted, unless a cover names it again", async () => {
    const world = await coveredWorld(37);
    const actor = world.actor();
    const all = async () => {
      const runs: string[] = [];
      for await (const { path } of retiredRuns(world.store, LOG, Number.MAX_SAFE_INTEGER, 100))
        runs.push(path);
      return runs;
    };
    const retired = await all();
    expect(retired.length).toBeGreaterThan(3);
    for (const path of retired) expect(world.index.files.has(path)).toBe(true);
    const now = world.tick() + 1_000;
    expect(await removeRetired(actor, LOG, now, 10_000)).toBe(0);
    expect(world.index.files.has(retired[0] ?? "")).toBe(true);

    // As if who retired these had died before the cover moved.
    const inForce = await named(world);
    for (const path of inForce) {
      const [, ...name] = path.split("/");
      await world.store.put({ pk: `log/${LOG}`, sk: `retired/${"1".padStart(16, "0")}/${name.join("/")}` });
    }
    expect(await removeRetired(actor, LOG, now, 0)).toBe(retired.length);
    // They are not retired, and will be again when they are merged.
    expect(await all()).toEqual([]);
    expect([...world.index.files.keys()].sort()).toEqual(inForce.sort());
    await expectMap(world, fresh(world), 37);
  });

  test("is deleted by the sweep, of an idle log too", async () => {
    const world = await coveredWorld(37);
    for (let ticks = 0; ticks < 10; ticks++) world.tick();
    for await (const swept of sweep(world.actor())) expect(swept).not.toHaveProperty("error");
    expect(world.index.files.size).toBeGreaterThan((await named(world)).length);
    for await (const swept of sweep({ ...world.actor(), retention: 0 }))
      expect(swept).not.toHaveProperty("error");
    expect([...world.index.files.keys()].sort()).toEqual((await named(world)).sort());
  });
});

describe("costs", () => {
  test("at most two rounds of reads after head and cover, and none of a run's filter for a few", async () => {
    for (const [numbers, filters] of [
      [[5, 300], false],
      [range(0, 100), true],
    ] as const) {
      const world = await coveredWorld(100);
      let rounds = 0;
      let hasReadFilter = false;
      let round: Promise<void> | undefined;
      // All that is asked in the same turn of the event loop is answered in one round.
      const inRounds = <T>(read: () => Promise<T>): Promise<T> => {
        round ??= new Promise<void>((go) => setImmediate(go)).then(() => {
          rounds++;
          round = undefined;
        });
        return round.then(read);
      };
      const { store, index } = world;
      const ctx: IndexContext = {
        ...fresh(world),
        store: { ...store, get: (keys) => inRounds(() => store.get(keys)) },
        index: {
          ...index,
          read: (path, from = 0, to = 0) => {
            hasReadFilter ||= from === 0 && to > HEADER;
            return inRounds(() => index.read(path, from, to));
          },
        },
      };
      const { head, cover } = await readHeadAndCover(ctx, LOG);
      rounds = 0;
      await find(ctx, head, cover, joinBytes(numbers.map((n) => leafHash(entry(n)))));
      expect(rounds).toBeLessThanOrEqual(2);
      expect(hasReadFilter).toBe(filters);
    }
  });

  test("what is kept of runs never takes more than its bound", async () => {
    const world = await coveredWorld(100);
    for (const limit of [0, 500, 2_000]) {
      const ctx = fresh(world, limit);
      for (const n of range(0, 120)) {
        await ask(ctx, [n]);
        expect(ctx.filters.bytes()).toBeLessThanOrEqual(limit);
      }
      await expectMap(world, ctx, 100);
    }
  });
});
