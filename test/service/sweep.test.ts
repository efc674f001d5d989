import { MAX_ENTRIES } from "@kedge/cli/contract/limits";
import { parsePolicy } from "@kedge/verify/tlog/policy";
import { sha256 } from "@noble/hashes/sha2.js";
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { ServiceError } from "../../platform/error.ts";
import { append } from "../../service/append.ts";
import { headKey, readHead } from "../../service/head.ts";
import { RUN_SIZES } from "../../service/index/cover.ts";
import { logsKey } from "../../service/logs.ts";
import { oldestPending, PENDING_SHARDS, pendingPartition, pendingSort } from "../../service/pending.ts";
import { entryStatus } from "../../service/prove.ts";
import { MAX_BATCH } from "../../service/seal.ts";
import { type SweptLog, sweep } from "../../service/sweep.ts";
import { memoryStore } from "../support/memory-store.ts";
import { type Actor, LOG, newRace, newWorld, type World } from "../support/world.ts";

const entry = (n: number): Uint8Array => sha256(new TextEncoder().encode(`entry ${n}`));

async function sweepAll(actor: Actor): Promise<SweptLog[]> {
  const all: SweptLog[] = [];
  for await (const swept of sweep(actor)) all.push(swept);
  return all;
}

test("a backlog larger than a batch is sealed whole, oldest first, each batch within its bound", async () => {
  const world = newWorld({ runSizes: RUN_SIZES });
  const total = MAX_BATCH + 2 * MAX_ENTRIES;
  for (let n = 0; n < total; n += MAX_ENTRIES) {
    const count = Math.min(MAX_ENTRIES, total - n);
    await append(
      world.actor(),
      LOG,
      Array.from({ length: count }, (_, i) => entry(n + i)),
    );
  }
  const [swept] = await sweepAll(world.actor());
  expect(swept).toMatchObject({ log: LOG, sealed: total, size: BigInt(total) });
  const sizes = world.observed.visible.map(({ note }) => Number(note.split("\n")[1]));
  for (const [i, size] of sizes.entries()) expect(size - (sizes[i - 1] ?? 0)).toBeLessThanOrEqual(MAX_BATCH);
}, 120_000);

test("a log that is never empty does not keep the others waiting", async () => {
  const world = newWorld();
  const actor = world.actor();
  const others = ["b", "c", "d", "e", "f"].map((letter) => letter.repeat(19));
  for (const id of others) {
    await world.store.put({ ...logsKey(id), origin: `kedge.example/log/${id}`, tenant: "t" });
    await append(actor, id, [entry(1)]);
  }
  const more = Array.from({ length: MAX_ENTRIES }, (_, n) => entry(n));
  const refill = async () => {
    for (let chunk = 0; chunk < 5; chunk++) await append(actor, LOG, more);
  };
  await refill();
  const refilled: Actor = {
    ...actor,
    store: {
      ...actor.store,
      async write(puts, deletes = []) {
        await actor.store.write(puts, deletes);
        if (deletes.some(({ pk }) => pk.startsWith(`pending/${LOG}/`))) await refill();
      },
    },
  };
  await sweepAll(refilled);
  for (const id of others) expect((await readHead(world.store, id)).published).toBe(1n);
}, 120_000);

test("one log's trouble stops no other", async () => {
  const world = newWorld();
  const other = "b".repeat(19);
  await world.store.put({ ...logsKey(other), origin: `kedge.example/log/${other}`, tenant: "t" });
  for (const id of [LOG, other]) await append(world.actor(), id, [entry(1)]);
  world.publication.files.set(`logs/${LOG}/head`, new TextEncoder().encode("not a tree head"));
  const swept = await sweepAll(world.actor());
  expect(swept).toContainEqual(
    expect.objectContaining({ log: LOG, error: expect.objectContaining({ code: "corrupt" }) }),
  );
  expect(swept).toContainEqual(expect.objectContaining({ log: other, sealed: 1 }));
});

test("an id that names no log is passed over", async () => {
  const world = newWorld();
  const swept: SweptLog[] = [];
  for await (const one of sweep(world.actor(), ["z".repeat(19)])) swept.push(one);
  expect(swept).toEqual([]);
});

describe("what waits nowhere", () => {
  const ids = (count: number) => Array.from({ length: count }, (_, n) => `i${String(n).padStart(18, "0")}`);
  const register = (world: World, id: string, tenant: string) =>
    world.store.put({ ...logsKey(id), origin: `kedge.example/log/${id}`, tenant });
  /** An actor that counts its calls, and has found every log well. */
  async function settled(world: World): Promise<Actor> {
    const actor = { ...world.actor(), well: new Map() };
    await sweepAll(actor);
    return actor;
  }

  test("costs a query a shard, and a head in a read of many: no record, and nothing else", async () => {
    const world = newWorld();
    const idle = ids(60);
    for (const id of idle) await register(world, id, "idle");
    const actor = await settled(world);
    const read = vi.spyOn(actor.publication, "read");
    const calls = actor.calls();
    const swept = await sweepAll(actor);
    expect(swept.map(({ log }) => log).sort()).toEqual([LOG, ...idle].sort());
    const logs = idle.length + 1;
    const registry = 1;
    expect(actor.calls() - calls).toBe(registry + logs * PENDING_SHARDS + Math.ceil(logs / 25));
    expect(read).not.toHaveBeenCalled();
  });

  test("is looked at again when its head moved, when an hour has passed, and after trouble", async () => {
    const world = newWorld();
    let now = 0;
    const actor = { ...world.actor(), well: new Map(), clock: () => now };
    const read = vi.spyOn(actor.publication, "read");
    const records = async () => {
      read.mockClear();
      await sweepAll(actor);
      return read.mock.calls.length;
    };
    expect(await records()).toBe(1);
    expect(await records()).toBe(0);
    await append(world.actor(), LOG, [entry(1)]);
    await sweepAll(world.actor());
    expect(await records()).toBe(1);
    expect(await records()).toBe(0);
    now += 3_600_000;
    read.mockRejectedValueOnce(new ServiceError("unavailable", "no disk"));
    expect(await sweepAll(actor)).toMatchObject([{ error: { code: "unavailable" } }]);
    expect(await records()).toBe(1);
    expect(await records()).toBe(0);
  });

  test("of one tenant, 1,050 logs of it, keeps no log of another waiting", async () => {
    const world = newWorld();
    for (const id of ids(1_050)) await register(world, id, "idle");
    const busy = "z".repeat(19);
    await register(world, busy, "busy");
    const actor = await settled(world);
    await append(world.actor(), busy, [entry(1)]);
    const before = actor.calls();
    let sealedAt = 0;
    const signLog: Actor["signLog"] = async (checkpoint) => {
      sealedAt = actor.calls() - before;
      return await actor.signLog(checkpoint);
    };
    await sweepAll({ ...actor, signLog });
    expect(sealedAt).toBeGreaterThan(0);
    // The first step of the walk, beside the second, and its own seal: of some 8,500 calls of the walk.
    expect(sealedAt).toBeLessThan(600);
    expect((await readHead(world.store, busy)).published).toBe(1n);
  });

  test("nor does a log that never answers, nor one that is corrupt", async () => {
    const world = newWorld();
    const others = ids(40);
    for (const id of others) {
      await register(world, id, `t${id.at(-1)}`);
      await append(world.actor(), id, [entry(1)]);
    }
    await world.store.put({ ...logsKey("corrupt"), origin: "of another", tenant: "t" });
    const actor = world.actor();
    let answer = () => {};
    const silence = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const signLog: Actor["signLog"] = async (checkpoint) => {
      if (checkpoint.origin.endsWith(others[0] ?? "")) await silence;
      return await actor.signLog(checkpoint);
    };
    const swept: SweptLog[] = [];
    for await (const one of sweep({ ...actor, signLog })) {
      swept.push(one);
      if (swept.length === others.length + 1) answer();
    }
    expect(swept.at(-1)).toMatchObject({ log: others[0], sealed: 1 });
    expect(swept.filter((one) => "error" in one).map(({ log }) => log)).toEqual(["corrupt"]);
  });

  test("a store that fails half-way through the walk fails the sweep, once what was found is sealed", async () => {
    const world = newWorld();
    for (const id of ids(60)) await register(world, id, "idle");
    for (const id of ids(2)) await append(world.actor(), id, [entry(1)]);
    const actor = world.actor();
    const get: Actor["store"]["get"] = async (keys) => {
      if (keys.length > 1 && keys.some(({ pk }) => pk === headKey(ids(60).at(-1) ?? "").pk)) {
        throw new ServiceError("unavailable", "no store");
      }
      return await actor.store.get(keys);
    };
    const swept: SweptLog[] = [];
    const failing = (async () => {
      for await (const one of sweep({ ...actor, store: { ...actor.store, get } })) swept.push(one);
    })();
    await expect(failing).rejects.toMatchObject({ code: "unavailable" });
    for (const id of ids(2)) expect(swept).toContainEqual(expect.objectContaining({ log: id, sealed: 1 }));
  });
});

describe("a lost race", () => {
  test("whoever wins: what was pending when a sealer was called is sealed when it returns", async () => {
    let conflicts = 0;
    await fc.assert(
      fc.asyncProperty(fc.infiniteStream(fc.nat(1_000)), async (choices) => {
        const world = newWorld();
        const race = newRace((waiting) => Number(choices.next().value) % Math.max(waiting.length, 1));
        const racers = [1, 2].map(async (n) => {
          const actor = world.actor([], race.gate());
          await append(actor, LOG, [entry(n)]);
          const [swept] = await sweepAll(actor);
          expect(await isSealed(world, n)).toBe(true);
          if (swept !== undefined && !("error" in swept) && swept.conflict) conflicts++;
        });
        await race.run(Promise.all(racers));
      }),
      { numRuns: 300 },
    );
    expect(conflicts).toBeGreaterThan(0);
  });

  test("is run again a bounded number of times, after pauses that double, each of full jitter", async () => {
    for (const random of [0, 0.5, 0.999]) {
      vi.spyOn(Math, "random").mockReturnValue(random);
      const world = newWorld();
      const pauses: number[] = [];
      await append(world.actor(), LOG, [entry(0)]);
      const [swept] = await sweepAll(outrun(world, pauses));
      expect(swept).toMatchObject({ log: LOG, sealed: 0, batches: 0, conflict: true });
      expect(pauses).toEqual([50, 100, 200, 400, 800, 1_600, 3_200].map((bound) => bound * random));
      expect(await isSealed(world, 0)).toBe(true);
      vi.restoreAllMocks();
    }
  });
});

test("the oldest pending chunk is found by its key, in whatever shard and whatever it holds", async () => {
  const chunk = fc.record({
    shard: fc.nat(7),
    arrival: fc.maxSafeNat(),
    digest: fc.stringMatching(/^[0-9a-f]{8}$/),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(chunk), async (chunks) => {
      const items = chunks.map(({ shard, arrival, digest }) => ({
        pk: pendingPartition(LOG, shard),
        sk: pendingSort(BigInt(arrival), digest),
        data: "not a chunk",
      }));
      const arrivals = chunks.map(({ arrival }) => arrival);
      const oldest = arrivals.length === 0 ? undefined : BigInt(Math.min(...arrivals));
      expect(await oldestPending(memoryStore(items), LOG)).toBe(oldest);
    }),
  );
});

const isSealed = async ({ reading }: World, n: number): Promise<boolean> => {
  const status = await entryStatus({ ...reading, policy: parsePolicy("quorum none\n") }, LOG, entry(n));
  return status?.assurance === "sealed";
};

/** A sealer that another one is always ahead of: it seals whatever is pending, and then more comes in. */
function outrun(world: World, pauses: number[]): Actor {
  const [slow, fast] = [world.actor(), world.actor()];
  const head = headKey(LOG);
  let n = 1_000;
  return {
    ...slow,
    store: {
      ...slow.store,
      async put(item, condition) {
        if (item.pk === head.pk && item.sk === head.sk) {
          await sweepAll(fast);
          await append(fast, LOG, [entry(n++)]);
        }
        await slow.store.put(item, condition);
      },
    },
    pause: async (ms) => pauses.push(ms),
  };
}
