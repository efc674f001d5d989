/** Sealing without end, on a store in memory. */
import { sha256 } from "@noble/hashes/sha2.js";
import fc from "fast-check";
import { expect, test } from "vitest";
import { openSealing, retryAfter, type Sealing } from "../../local/sealing.ts";
import { ServiceError } from "../../platform/error.ts";
import { append } from "../../service/append.ts";
import { readHead } from "../../service/head.ts";
import { logsKey } from "../../service/logs.ts";
import { oldestPending } from "../../service/pending.ts";
import type { SweptLog } from "../../service/sweep.ts";
import { type Actor, newWorld, type World } from "../support/world.ts";

const PAUSES = { batchMs: 0, retryMs: 1, longestRetryMs: 4 };
const LOGS = ["a", "b", "c", "d", "e", "f"].map((letter) => letter.repeat(19));
const entry = (n: number): Uint8Array => sha256(new TextEncoder().encode(`entry ${n}`));

/** The logs are of two tenants. */
async function registered(): Promise<World> {
  const world = newWorld();
  for (const [i, id] of LOGS.entries()) {
    await world.store.put({ ...logsKey(id), origin: `kedge.example/log/${id}`, tenant: `t${i % 2}` });
  }
  return world;
}

/** A sealer, what it told, and a way to wait for what it will tell. */
function open(actor: Actor, pauses = PAUSES) {
  const told: SweptLog[] = [];
  let heard = () => {};
  const sealing = openSealing(
    { ...actor, well: new Map() },
    async (swept) => {
      told.push(swept);
      heard();
    },
    pauses,
  );
  const until = async (holds: () => boolean | Promise<boolean>) => {
    while (!(await holds())) {
      await new Promise<void>((resolve) => {
        heard = resolve;
      });
    }
  };
  return { sealing, told, until };
}

const posting = (world: World, sealing: Sealing) => ({
  ...world.actor(),
  onAppended: (log: string) => void sealing.wake(log),
});
const isSealed = async ({ store }: World, log: string, size: bigint) =>
  (await readHead(store, log)).published === size && (await oldestPending(store, log)) === undefined;

test("whatever is appended, and whenever, is sealed without anything else happening", async () => {
  const post = fc.record({ log: fc.constantFrom(...LOGS), turns: fc.nat(3) });
  await fc.assert(
    fc.asyncProperty(fc.array(post, { maxLength: 30 }), async (posts) => {
      const world = await registered();
      const { sealing, until } = open(world.actor());
      const ctx = posting(world, sealing);
      for (const [n, { log, turns }] of posts.entries()) {
        await append(ctx, log, [entry(n)]);
        for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
      }
      for (const log of LOGS) {
        const size = BigInt(posts.filter((one) => one.log === log).length);
        await until(() => isSealed(world, log, size));
      }
      await sealing.close();
      expect(world.observed.violations).toEqual([]);
    }),
    { numRuns: 30 },
  );
});

test("what a crash has left is found by looking at all logs, and then nothing is called any more", async () => {
  const world = await registered();
  for (const log of LOGS) await append(world.actor(), log, [entry(1)]);
  const actor = world.actor();
  const { sealing, told } = open(actor);
  await sealing.wakeAll();
  for (const log of LOGS) expect(await isSealed(world, log, 1n)).toBe(true);
  await sealing.close();
  const calls = actor.calls();
  expect(told.filter((swept) => "error" in swept)).toEqual([]);
  await new Promise(setImmediate);
  expect(actor.calls()).toBe(calls);
});

test("a log that fails is tried again until it goes, and keeps no other waiting", async () => {
  const world = await registered();
  const actor = world.actor();
  const [bad = "", ...good] = LOGS;
  let isFull = true;
  const signLog: Actor["signLog"] = async (checkpoint) => {
    if (isFull && checkpoint.origin.endsWith(bad)) throw new ServiceError("unavailable", "the disk is full");
    return await actor.signLog(checkpoint);
  };
  const { sealing, told, until } = open({ ...actor, signLog });
  const ctx = posting(world, sealing);
  for (const log of LOGS) await append(ctx, log, [entry(1)]);
  for (const log of good) await until(() => isSealed(world, log, 1n));
  const failures = () => told.filter((swept) => "error" in swept);
  await until(() => failures().length >= 4);
  expect(new Set(failures().map(({ log }) => log))).toEqual(new Set([bad]));
  // What comes meanwhile waits with the rest.
  await append(ctx, bad, [entry(2)]);
  isFull = false;
  await until(() => isSealed(world, bad, 2n));
  await sealing.close();
});

test("a store that fails altogether fails the look, and what was appended is sealed once it is back", async () => {
  const world = await registered();
  let isGone = true;
  const actor = world.actor();
  const store: Actor["store"] = {
    ...actor.store,
    get: (keys) => (isGone ? Promise.reject(new ServiceError("unavailable", "gone")) : actor.store.get(keys)),
    query(query) {
      if (isGone) throw new ServiceError("unavailable", "gone");
      return actor.store.query(query);
    },
  };
  const { sealing, told, until } = open({ ...actor, store });
  await expect(sealing.wakeAll()).rejects.toMatchObject({ code: "unavailable" });
  const [log = ""] = LOGS;
  await append(posting(world, sealing), log, [entry(1)]);
  await until(() => told.length >= 2);
  isGone = false;
  await until(() => isSealed(world, log, 1n));
  await sealing.close();
});

test("a tenant's hundreds of logs at work keep another's new entry waiting for a few of them", async () => {
  const world = newWorld();
  const many = Array.from({ length: 300 }, (_, n) => `i${String(n).padStart(18, "0")}`);
  const other = "z".repeat(19);
  for (const id of [...many, other]) {
    const tenant = id === other ? "other" : "many";
    await world.store.put({ ...logsKey(id), origin: `kedge.example/log/${id}`, tenant });
  }
  const actor = world.actor();
  // As a disk does, and a signer that is asked over a network.
  const signLog: Actor["signLog"] = async (checkpoint) => {
    await new Promise(setImmediate);
    return await actor.signLog(checkpoint);
  };
  const { sealing, told, until } = open({ ...actor, signLog });
  const ctx = posting(world, sealing);
  for (const id of many) await append(ctx, id, [entry(1)]);
  await until(() => told.length >= 20);
  const before = told.length;
  await append(ctx, other, [entry(1)]);
  await until(() => told.some(({ log }) => log === other));
  expect(told.findIndex(({ log }) => log === other) - before).toBeLessThan(50);
  await sealing.close();
}, 60_000);

test("closing begins nothing more, and a log that is not there is nobody's trouble", async () => {
  const world = await registered();
  const actor = world.actor();
  const { sealing, told } = open(actor, { batchMs: 60_000, retryMs: 60_000, longestRetryMs: 60_000 });
  await append(posting(world, sealing), LOGS[0] ?? "", [entry(1)]);
  await sealing.close();
  expect(told).toEqual([]);
  const other = open(actor);
  await other.sealing.wake("x".repeat(19));
  expect(other.told).toEqual([]);
  await other.sealing.close();
});

test("pauses between tries double, up to the longest", () => {
  const pauses = { batchMs: 0, retryMs: 1_000, longestRetryMs: 15_000 };
  expect([1, 2, 3, 4, 5, 6, 2_000].map((n) => retryAfter(n, pauses))).toEqual([
    1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000,
  ]);
});

test.each([0, 1, 2, 3])(
  "an entry that comes %d steps after the last batch was told is sealed too",
  async (steps) => {
    const world = await registered();
    const [log = ""] = LOGS;
    const sealed: number[] = [];
    let heard = () => {};
    const sealing = openSealing(
      { ...world.actor(), well: new Map() },
      async (swept) => {
        sealed.push("error" in swept ? 0 : swept.sealed);
        heard();
        if (sealed.length > 1) return;
        await append(world.actor(), log, [entry(2)]);
        let later = Promise.resolve();
        for (let step = 0; step < steps; step++) later = later.then(() => undefined);
        void later.then(() => void sealing.wake(log));
      },
      PAUSES,
    );
    await append(world.actor(), log, [entry(1)]);
    void sealing.wake(log);
    while (sealed.reduce((sum, one) => sum + one, 0) < 2) {
      await new Promise<void>((resolve) => {
        heard = resolve;
      });
    }
    await sealing.close();
  },
);
