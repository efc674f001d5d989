import { sha256 } from "@noble/hashes/sha2.js";
import { expect, test } from "vitest";
import { append, MAX_ENTRIES } from "../../service/append.ts";
import { readHead } from "../../service/head.ts";
import { MAX_BATCH } from "../../service/seal.ts";
import { type SweptLog, sweep } from "../../service/sweep.ts";
import { logsKey } from "../../service/table.ts";
import { type Actor, LOG, newWorld } from "../support/world.ts";

const entry = (n: number): Uint8Array => sha256(new TextEncoder().encode(`entry ${n}`));

async function sweepAll(actor: Actor): Promise<SweptLog[]> {
  const all: SweptLog[] = [];
  for await (const swept of sweep(actor)) all.push(swept);
  return all;
}

test("a backlog larger than a batch is sealed whole, oldest first, each batch within its bound", async () => {
  const world = newWorld();
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
