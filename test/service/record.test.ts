/** I3 and I6 beyond one table: the record outside the store lets one history through. */
import { sha256 } from "@noble/hashes/sha2.js";
import { expect, test } from "vitest";
import { append } from "../../service/append.ts";
import { seal } from "../../service/seal.ts";
import { type Actor, LOG, newWorld, ORIGIN, type World } from "../support/world.ts";

const entry = (text: string): Uint8Array => sha256(new TextEncoder().encode(text));
const sealNow = (actor: Actor) => seal(actor, { id: LOG, origin: ORIGIN, sign: actor.signLog });

async function sealEntries(world: World, ...texts: string[]): Promise<void> {
  await append(world.actor(), LOG, texts.map(entry));
  await sealNow(world.actor());
}

/** Two tables that were one until now, with the same publication and the same keys. */
async function twoTables(): Promise<[World, World]> {
  const one = newWorld();
  await sealEntries(one, "common");
  return [one, newWorld({ items: one.store.items(), files: one.publication.files, runs: one.index.files })];
}

const rootsSigned = (size: bigint, ...worlds: World[]): Set<string> =>
  new Set(
    worlds.flatMap(({ observed }) => observed.signed.filter((s) => s.size === size).map(({ root }) => root)),
  );

test.each([
  ["the same size", ["one"], ["two"]],
  ["a smaller size first", ["one", "more"], ["two"]],
  ["a larger size first", ["one"], ["two", "more"]],
])(
  "two tables that seal at the same moment, %s: one is refused before a signature",
  async (_, mine, theirs) => {
    const [one, two] = await twoTables();
    await append(one.actor(), LOG, mine.map(entry));
    await append(two.actor(), LOG, theirs.map(entry));
    const actor = one.actor();
    let raced = false;
    // The other table seals a whole batch after this one's first check, just before its record.
    const slow: Actor = {
      ...actor,
      publication: {
        ...actor.publication,
        async replace(path, bytes, tag) {
          if (!raced) await sealNow(two.actor());
          raced = true;
          return await actor.publication.replace(path, bytes, tag);
        },
      },
    };
    await expect(sealNow(slow).then(() => sealNow(one.actor()))).rejects.toMatchObject({ code: "rollback" });
    expect(one.observed.signed.filter(({ size }) => size > 1n)).toEqual([]);
    expect(two.observed.signed.filter(({ size }) => size > 1n)).toHaveLength(1);
  },
);

test("a signer that dies, then a backup from before its commit: no second root for that size", async () => {
  const one = newWorld();
  await sealEntries(one, "common");
  const backup = one.store.items();
  await append(one.actor(), LOG, [entry("one")]);
  const calls = newWorld({
    items: one.store.items(),
    files: new Map(one.publication.files),
    runs: new Map(one.index.files),
  }).actor();
  await sealNow(calls);
  for (let at = 0; at < calls.calls(); at++) {
    const crashed = newWorld({
      items: one.store.items(),
      files: new Map(one.publication.files),
      runs: new Map(one.index.files),
    });
    await sealNow(crashed.actor([{ at, fault: "persists-then-dies" }])).catch(() => undefined);
    const restored = newWorld({ items: backup, files: crashed.publication.files, runs: crashed.index.files });
    await append(restored.actor(), LOG, [entry("two")]);
    await sealNow(restored.actor()).catch(() => undefined);
    expect(rootsSigned(2n, crashed, restored).size).toBeLessThanOrEqual(1);
  }
});

test("a sealer that slept while another went on stops quietly: no alarm, no signature", async () => {
  const world = newWorld();
  await sealEntries(world, "first");
  await append(world.actor(), LOG, [entry("second")]);
  const actor = world.actor();
  let reads = 0;
  const sleeper: Actor = {
    ...actor,
    publication: {
      ...actor.publication,
      async read(path) {
        // Its second read is just before its record: by then its batch and the next one are published.
        if (++reads === 2) {
          await sealNow(world.actor());
          await sealEntries(world, "third");
        }
        return await actor.publication.read(path);
      },
    },
  };
  expect(await sealNow(sleeper)).toEqual({ conflict: true });
  expect(world.observed.signed.map(({ size }) => size)).toEqual([1n, 2n, 3n]);
});
