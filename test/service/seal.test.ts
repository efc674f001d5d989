/** What a sealer does not do twice, and what it does before anything is committed. */
import { sha256 } from "@noble/hashes/sha2.js";
import { expect, test } from "vitest";
import type { Store } from "../../platform/store.ts";
import { append } from "../../service/append.ts";
import { readHead } from "../../service/head.ts";
import { seal } from "../../service/seal.ts";
import { type Actor, LOG, newWorld, ORIGIN, type World } from "../support/world.ts";

const entries = (from: number, count: number): Uint8Array[] =>
  Array.from({ length: count }, (_, n) => sha256(new TextEncoder().encode(`entry ${from + n}`)));

const sealNow = (actor: Actor) => seal(actor, { id: LOG, origin: ORIGIN, sign: actor.signLog });

async function sealedWorld(count: number): Promise<World> {
  const world = newWorld();
  await append(world.actor(), LOG, entries(0, count));
  await sealNow(world.actor());
  return world;
}

/** The actor, and the partition of every item that it reads by its key. */
function watched(actor: Actor): { actor: Actor; read: string[] } {
  const read: string[] = [];
  const store: Store = {
    ...actor.store,
    get: (keys) => {
      read.push(...keys.map(({ pk }) => pk));
      return actor.store.get(keys);
    },
  };
  return { actor: { ...actor, store }, read };
}

test("a sealer that finishes its own batch reads no staging, and the edge of the tree once", async () => {
  const world = await sealedWorld(300);
  await append(world.actor(), LOG, entries(300, 500));
  const { actor, read } = watched(world.actor());
  expect(await sealNow(actor)).toMatchObject({ sealed: 500, size: 800n });
  expect(read.filter((pk) => pk.startsWith("staging/"))).toEqual([]);
  // The edge is read once: its bundle by the sealer alone, its tiles by the index too.
  expect(read.filter((pk) => pk.startsWith(`tile/${LOG}/entries/`))).toEqual([`tile/${LOG}/entries/1`]);
});

test("another's batch is finished from its staging", async () => {
  const world = await sealedWorld(300);
  await append(world.actor(), LOG, entries(300, 500));
  const dying = { ...world.actor(), signLog: () => Promise.reject(new Error("died")) };
  await expect(sealNow(dying)).rejects.toThrow("died");
  const { actor, read } = watched(world.actor());
  expect(await sealNow(actor)).toMatchObject({ sealed: 0, size: 800n });
  expect(read.some((pk) => pk.startsWith("staging/"))).toBe(true);
});

test.each([
  ["a tile of the right edge", { pk: `tile/${LOG}/0/1`, sk: "-" }, "data"],
  ["the head's frontier", { pk: `log/${LOG}`, sk: "head" }, "frontier"],
])("onto %s that is altered nothing is committed", async (_, key, attribute) => {
  const world = await sealedWorld(300);
  const [item] = await world.store.get([key]);
  const bytes = item?.[attribute];
  if (item === undefined || !(bytes instanceof Uint8Array)) throw new Error("nothing to alter");
  await world.store.put({ ...item, [attribute]: bytes.map((byte, i) => (i === 0 ? byte ^ 1 : byte)) });
  await append(world.actor(), LOG, entries(300, 5));
  await expect(sealNow(world.actor())).rejects.toMatchObject({ code: "corrupt" });
  expect((await readHead(world.store, LOG)).size).toBe(300n);
});

test("a batch is what is first of each: the log's own entries and repeated ones are left out", async () => {
  const world = await sealedWorld(300);
  const [old, fresh] = [entries(0, 300), entries(300, 10)];
  await append(world.actor(), LOG, [...fresh.slice(0, 7), ...old.slice(250), ...fresh.slice(3)]);
  await append(world.actor(), LOG, fresh);
  expect(await sealNow(world.actor())).toMatchObject({ sealed: 10, size: 310n });
  expect(await sealNow(world.actor())).toMatchObject({ sealed: 0, size: 310n, oldest: undefined });
});
