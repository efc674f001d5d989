/** Whoever can write to the table can stop a log, but cannot make it sign or prove what it did not commit. */

import { parsePolicy } from "@kedge/verify/tlog/policy";
import { sha256 } from "@noble/hashes/sha2.js";
import { expect, test } from "vitest";
import type { Item } from "../../platform/store.ts";
import { append } from "../../service/append.ts";
import { prove } from "../../service/prove.ts";
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

/** Changes the last byte of the stored bytes of every item whose partition key matches. */
async function tamper(world: World, which: RegExp): Promise<void> {
  const items = world.store.items().filter(({ pk }) => which.test(pk));
  expect(items.length).toBeGreaterThan(0);
  for (const item of items) await world.store.put(flip(item, "data"));
}

function flip(item: Item, attribute: string): Item {
  const bytes = item[attribute];
  if (!(bytes instanceof Uint8Array)) throw new Error(`${attribute} holds no bytes`);
  const changed = bytes.slice();
  changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
  return { ...item, [attribute]: changed };
}

test.each([
  ["a tile of the right edge", /^tile\/.+\/0\//, "data"],
  ["the head's root", /^log\//, "root"],
  ["the head's frontier", /^log\//, "frontier"],
])("a log with %s altered signs nothing more", async (_, which, attribute) => {
  const world = await sealedWorld(300);
  const items = world.store
    .items()
    .filter(({ sk, pk }) => which.test(pk) && (attribute === "data" || sk === "head"));
  for (const item of items) await world.store.put(flip(item, attribute));
  const signed = world.observed.signed.length;
  await append(world.actor(), LOG, entries(300, 5));
  await expect(sealNow(world.actor())).rejects.toMatchObject({
    code: expect.stringMatching(/corrupt|rollback/),
  });
  expect(world.observed.signed).toHaveLength(signed);
});

test("a batch altered between its commit and its signature is never signed", async () => {
  const world = await sealedWorld(10);
  await append(world.actor(), LOG, entries(10, 5));
  const copy = () =>
    newWorld({
      items: world.store.items(),
      files: new Map(world.publication.files),
      runs: new Map(world.index.files),
    });
  const whole = copy().actor();
  await sealNow(whole);
  let altered = 0;
  for (let at = 0; at < whole.calls(); at++) {
    const crashed = copy();
    await sealNow(crashed.actor([{ at, fault: "dies" }])).catch(() => undefined);
    if (crashed.observed.committed.size === 0 || crashed.observed.signed.length > 0) continue;
    await tamper(crashed, /^staging\//);
    await expect(sealNow(crashed.actor())).rejects.toMatchObject({ code: "corrupt" });
    expect(crashed.observed.signed).toEqual([]);
    altered++;
  }
  expect(altered).toBeGreaterThan(0);
});

test("a proof from altered tiles is never handed out", async () => {
  const world = await sealedWorld(300);
  await tamper(world, /^tile\/.+\/0\//);
  const context = { ...world.reading, policy: parsePolicy("quorum none\n") };
  await expect(prove(context, LOG, entries(5, 1))).rejects.toMatchObject({ code: "corrupt" });
});
