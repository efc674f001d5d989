/** What is told of a log's past: how long entries waited, and when a checkpoint was anchored, cosigned and timestamped. */
import { parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { EMPTY_ROOT } from "@kedge/verify/tlog/merkle";
import { formatVkey } from "@kedge/verify/tlog/note";
import { parsePolicy } from "@kedge/verify/tlog/policy";
import { randomBytes } from "@noble/hashes/utils.js";
import { describe, expect, test } from "vitest";
import { ServiceError } from "../../platform/error.ts";
import type { Item, Store } from "../../platform/store.ts";
import { anchor } from "../../service/anchor.ts";
import { ANCHOR, publicCheckpointKey } from "../../service/anchor-items.ts";
import { append } from "../../service/append.ts";
import { checkpointKey } from "../../service/checkpoints.ts";
import { headKey, lastCheckpoint, readHead } from "../../service/head.ts";
import { restore } from "../../service/restore.ts";
import { seal } from "../../service/seal.ts";
import { timeline } from "../../service/timeline.ts";
import { encodeTimestamp, imprintOf } from "../../service/timestamps.ts";
import { cosignedBy, ed25519Cosigner } from "../packages/verify/tlog/signers.ts";
import { tenantEntry } from "../support/anchor-log.ts";
import { memoryStore } from "../support/memory-store.ts";
import { type Actor, LOG, newWorld, ORIGIN, type World } from "../support/world.ts";

const NONE = parsePolicy("quorum none\n");

const sealNow = (actor: Actor) => seal(actor, { id: LOG, origin: ORIGIN, sign: actor.signLog });
const post = async (actor: Actor, entries = [randomBytes(32)]) => BigInt(await append(actor, LOG, entries));
const lags = async (store: Store) =>
  (await timeline({ store, policy: NONE }, LOG)).points.map(({ pendingSince }) => pendingSince);

describe("since when the entries of a checkpoint were pending", () => {
  test("the oldest that it is the first to have, however often it was posted", async () => {
    const world = newWorld();
    const actor = world.actor();
    const again = [randomBytes(32)];
    const first = await post(actor, again);
    await post(actor);
    await sealNow(actor);
    await post(actor, again);
    const second = await post(actor);
    await post(actor);
    await sealNow(actor);
    expect(await lags(world.store)).toEqual([first, second]);
  });

  test("not that of what a sealer has published and died before it deleted", async () => {
    const world = newWorld();
    const actor = world.actor();
    const first = await post(actor);
    const forgetful: Store = {
      ...actor.store,
      write: async (puts, deletes = []) => {
        if (deletes.some(({ pk }) => pk.startsWith("pending/")))
          throw new ServiceError("unavailable", "died");
        await actor.store.write(puts, deletes);
      },
    };
    await expect(sealNow({ ...actor, store: forgetful })).rejects.toThrow("died");
    const second = await post(actor);
    await sealNow(actor);
    expect(await lags(world.store)).toEqual([first, second]);
  });

  test("the same from whoever finishes the batch, however late", async () => {
    const world = newWorld();
    const arrived = await post(world.actor());
    const dying = { ...world.actor(), signLog: () => Promise.reject(new Error("died")) };
    await expect(sealNow(dying)).rejects.toThrow("died");
    await post(world.actor());
    await sealNow(world.actor());
    expect((await lags(world.store))[0]).toBe(arrived);
  });

  test("unknown of what an earlier version published, and of what a restore has brought back", async () => {
    const world = newWorld();
    const actor = world.actor();
    await post(actor);
    await sealNow(actor);
    const [item] = await world.store.get([checkpointKey(LOG, 1n)]);
    const { pendingSince: _, ...old } = item ?? { pk: "", sk: "" };
    await world.store.put(old);
    expect(await lags(world.store)).toEqual([undefined]);

    await post(actor);
    await sealNow(actor);
    const items = world.store.items().filter(({ pk }) => pk !== `log/${LOG}`);
    const behind = newWorld({ items, files: world.publication.files }).actor();
    await restore(behind, { id: LOG, origin: ORIGIN, sign: behind.signLog }, { whole: true });
    expect(await lags(behind.store)).toEqual([undefined, undefined]);
  });
});

describe("what became of a checkpoint", () => {
  const [one, two] = [ed25519Cosigner("w1.example/witness"), ed25519Cosigner("w2.example/witness")];
  const lines = `witness w1 ${formatVkey(one.vkey)}\nwitness w2 ${formatVkey(two.vkey)}\n`;
  const [ALL, ANY] = [
    parsePolicy(`${lines}group g all w1 w2\nquorum g\n`),
    parsePolicy(`${lines}quorum w1\n`),
  ];

  const setUp = async () => {
    const world = newWorld();
    // Public only as the tests make it.
    const actor = { ...world.actor(), policy: ALL };
    const sealOne = async () => {
      await post(actor);
      await sealNow(actor);
    };
    const show = async (cosignatures: (note: string) => string, at: bigint) => {
      const { note } = lastCheckpoint(await readHead(world.store, ANCHOR));
      const { size } = parseCheckpoint(note).checkpoint;
      const shown = `${note}${cosignatures(note)}`;
      await world.store.put({ ...publicCheckpointKey(size), note: shown, at });
      return { size, note: shown };
    };
    return { world, actor, sealOne, show };
  };
  const by =
    (seconds: bigint, ...signers: (typeof one)[]) =>
    (note: string) =>
      signers.map((signer) => cosignedBy(signer, parseCheckpoint(note).checkpoint, seconds)).join("");
  const pointsOf = async ({ store }: World, policy = ALL) => (await timeline({ store, policy }, LOG)).points;

  test("it is anchored with the first of its log that is, and each step is the first that covers it", async () => {
    const { world, actor, sealOne, show } = await setUp();
    expect(await pointsOf(world)).toEqual([]);
    await sealOne();
    await sealOne();
    await anchor(actor);
    const { size, note } = await show(by(5n, one, two), 7_000n);
    await sealOne();
    await anchor(actor);
    const later = await show(by(50n, one, two), 70_000n);
    const stamp = { type: "rfc3161" as const, bytes: Uint8Array.of(1) };
    await world.store.put(
      encodeTimestamp("a", { ...stamp, size: later.size, imprint: imprintOf(later.note), time: 80_000n }),
    );
    await sealOne();

    const [first, second, third, last] = await pointsOf(world);
    const [signed] = await world.store.get([checkpointKey(ANCHOR, size)]);
    const covered = {
      anchoredAt: signed?.["at"],
      witnessedAt: 7_000n,
      cosigned: [
        { name: "w1", at: 5_000n },
        { name: "w2", at: 5_000n },
      ],
      timestamps: [{ type: "rfc3161", time: 80_000n }],
    };
    expect(first).toMatchObject({ size: 1n, ...covered });
    expect(second).toMatchObject({ size: 2n, ...covered });
    expect(third).toMatchObject({ size: 3n, witnessedAt: 70_000n, timestamps: covered.timestamps });
    expect(last).toEqual({ ...last, size: 4n, cosigned: [], timestamps: [] });
    expect(last).not.toHaveProperty("anchoredAt");

    // Of an authority that answers for an earlier checkpoint too, that is the first; one over other bytes is none.
    const early = { ...stamp, size, imprint: imprintOf(note) };
    await world.store.put(encodeTimestamp("a", early));
    await world.store.put(encodeTimestamp("b", { ...early, imprint: imprintOf("another"), time: 1n }));
    expect((await pointsOf(world)).map(({ timestamps }) => timestamps)).toEqual([
      ...[[{ type: "rfc3161" }], [{ type: "rfc3161" }]],
      ...[covered.timestamps, []],
    ]);
  });

  test("it is witnessed only by a quorum of today's policy, and cosigned by nobody else", async () => {
    const { world, actor, sealOne, show } = await setUp();
    await sealOne();
    await anchor(actor);
    const stranger = ed25519Cosigner("w3.example/witness");
    await show(by(5n, one, stranger), 7_000n);
    const cosigned = [{ name: "w1", at: 5_000n }];
    const [unmet] = await pointsOf(world);
    expect(unmet).toMatchObject({ cosigned });
    expect(unmet).not.toHaveProperty("witnessedAt");
    expect(await pointsOf(world, ANY)).toMatchObject([{ cosigned, witnessedAt: 7_000n }]);
    expect((await pointsOf(world, parsePolicy(`${lines}quorum none\n`)))[0]).not.toHaveProperty(
      "witnessedAt",
    );
  });
});

test("of many checkpoints 100 at most are told, the newest among them, at a cost that does not grow", async () => {
  const note = (size: number) => new TextDecoder().decode(tenantEntry(LOG, size));
  const read = async (count: number) => {
    const rows = Array.from({ length: count }, (_, i): Item => {
      return { ...checkpointKey(LOG, BigInt(i + 1)), note: note(i + 1), at: BigInt(i) };
    });
    const tree = { size: BigInt(count), root: EMPTY_ROOT, frontier: new Uint8Array() };
    const published = { published: BigInt(count), checkpoint: note(count), publishedAt: 1n };
    const head = { ...headKey(LOG), version: 1n, ...tree, ...published, base: 0n, attempt: "", items: 0n };
    const store = memoryStore([...rows, head]);
    let reads = 0;
    const counting: Store = {
      ...store,
      query: (query) => {
        reads++;
        return store.query(query);
      },
    };
    const { points, isSampled } = await timeline({ store: counting, policy: NONE }, LOG);
    return { sizes: points.map(({ size }) => Number(size)), isSampled, reads };
  };
  expect(await read(100)).toMatchObject({
    sizes: Array.from({ length: 100 }, (_, i) => i + 1),
    isSampled: false,
  });
  const [some, more] = [await read(150), await read(300)];
  for (const [{ sizes, isSampled }, count] of [
    [some, 150],
    [more, 300],
  ] as const) {
    expect(isSampled).toBe(true);
    expect([sizes.length, sizes[0], sizes.at(-1)]).toEqual([100, 1, count]);
    expect(sizes).toEqual(sizes.toSorted((a, b) => a - b));
  }
  expect(more.reads).toBe(some.reads);
});
