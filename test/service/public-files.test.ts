/** The anchor log as static files: read by nothing but a client of tiles, beside a table that fails, lies or is lost. */

import { ClientError } from "@kedge/verify/error";
import { monitorTrust } from "@kedge/verify/monitor/monitor";
import { watch } from "@kedge/verify/monitor/watch";
import type { LogFiles } from "@kedge/verify/net/files";
import { checkpointBody, parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { leafHash } from "@kedge/verify/tlog/merkle";
import { formatVkey, signatureLine } from "@kedge/verify/tlog/note";
import { parsePolicy, verifyPolicy } from "@kedge/verify/tlog/policy";
import {
  bundlesChanged,
  encodeBundle,
  extendTiles,
  TILE_WIDTH,
  type Tile,
  tileKey,
  tilePath,
  tilesChanged,
} from "@kedge/verify/tlog/tile";
import { rootFromTiles } from "@kedge/verify/tlog/tileproof";
import { sha256 } from "@noble/hashes/sha2.js";
import { describe, expect, test } from "vitest";
import { fileHeaders } from "../../platform/publication.ts";
import type { Item } from "../../platform/store.ts";
import { anchor } from "../../service/anchor.ts";
import { ANCHOR, publicCheckpointKey, publicKey } from "../../service/anchor-items.ts";
import { append } from "../../service/append.ts";
import { headKey, readHead } from "../../service/head.ts";
import { logsKey } from "../../service/logs.ts";
import { makePublic, readNewest, writeTimestamps } from "../../service/public-files.ts";
import { restore } from "../../service/restore.ts";
import { seal } from "../../service/seal.ts";
import { tileItemKey, writeTiles } from "../../service/tiles.ts";
import { flip } from "../packages/verify/tlog/reference.ts";
import { cosignedBy, ed25519Cosigner } from "../packages/verify/tlog/signers.ts";
import { auditShown } from "../support/audit.ts";
import { type Actor, ANCHOR_ORIGIN, LOG, newWorld, ORIGIN, type World } from "../support/world.ts";

const entry = (n: number): Uint8Array => sha256(new TextEncoder().encode(`entry ${n}`));
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes);

async function anchorEntry(actor: Actor, n: number) {
  await append(actor, LOG, [entry(n)]);
  await seal(actor, { id: LOG, origin: ORIGIN, sign: actor.signLog });
  return await anchor(actor);
}

/** One run that anchors a checkpoint of each of so many logs. */
async function anchorLogs(world: World, count: number): Promise<void> {
  const actor = world.actor();
  for (let n = 0; n < count; n++) {
    const id = `b${String(n).padStart(18, "a")}`;
    const origin = `kedge.example/log/${id}`;
    await world.store.put({ ...logsKey(id), origin, tenant: "t" });
    await append(actor, id, [entry(n)]);
    await seal(actor, { id, origin, sign: actor.signLog });
  }
  await anchor(actor);
}

/** The same tile or bundle with one bit of it flipped. */
function altered(item: Item): Item {
  const { data } = item;
  if (!(data instanceof Uint8Array)) throw new Error("no tile");
  return { ...item, data: flip(data, 9) };
}

/** Those of the tiles and bundles that are not there as files, byte for byte. */
const differing = (world: World, items: readonly { tile: Tile; bytes: Uint8Array }[]) =>
  items.filter(({ tile, bytes }) => Buffer.compare(fileOf(world, tilePath(tile)) ?? utf8(""), bytes) !== 0);

/** Tiles and bundles of an anchor log with these entries, which may be signed. */
async function storeTree(world: World, entries: readonly Uint8Array[]) {
  const tiles = extendTiles(0n, new Map(), entries.map(leafHash));
  const size = BigInt(entries.length);
  const bundle = ({ index, width }: Tile) => {
    const start = Number(index) * TILE_WIDTH;
    return encodeBundle(entries.slice(start, start + width));
  };
  const items = [
    ...bundlesChanged(0n, size).map((tile) => ({ tile, bytes: bundle(tile) })),
    ...tilesChanged(0n, size).map((tile) => ({
      tile,
      bytes: tiles.get(tileKey(tile.level, tile.index)) ?? utf8(""),
    })),
  ];
  await writeTiles(world.store, ANCHOR, items);
  const checkpoint = { origin: ANCHOR_ORIGIN, size, root: rootFromTiles(size, tiles) };
  world.observed.committed.add(`${ANCHOR} ${size} ${Buffer.from(checkpoint.root).toString("hex")}`);
  world.publication.files.set("logs/anchor/head", utf8(checkpointBody(checkpoint)));
  return { checkpoint, items };
}

async function worldOf(entries: number): Promise<World> {
  const world = newWorld();
  for (let n = 0; n < entries; n++) await anchorEntry(world.actor(), n);
  return world;
}

const fileOf = ({ publication }: World, path: string): Uint8Array | undefined =>
  publication.files.get(`anchor/${path}`);
const publicSize = (world: World): bigint =>
  parseCheckpoint(text(fileOf(world, "checkpoint"))).checkpoint.size;

/** As a server of these files answers, which knows nothing of logs. */
function filesOf(world: World): LogFiles {
  const read = async (path: string) => {
    const bytes = fileOf(world, path);
    if (bytes === undefined) throw new ClientError("not_found", `no ${path}`);
    return bytes;
  };
  return { checkpoint: () => read("checkpoint"), tile: (tile) => read(tilePath(tile)) };
}

const wrongOf = (world: World): string[] => [
  ...world.observed.violations,
  ...auditShown(world.observed, world.vkeys.anchor),
];

describe("what anyone can read", () => {
  test("a monitor that has nothing but the files finds nothing wrong, from look to look", async () => {
    const world = newWorld();
    const trust = monitorTrust(parsePolicy(`log ${formatVkey(world.vkeys.anchor)}\nquorum none\n`), [
      world.vkeys.log,
    ]);
    await anchorLogs(world, 253);
    let state: Awaited<ReturnType<typeof watch>>["state"];
    for (let n = 0; n < 5; n++) {
      await anchorEntry(world.actor(), n);
      const look = await watch(filesOf(world), state, trust, { now: Date.now(), maxEntries: 1_000n });
      expect([look.findings, look.failure]).toEqual([[], undefined]);
      expect(look.head?.checkpoint.size).toBe(254n + BigInt(n));
      state = look.state;
    }
    expect(wrongOf(world)).toEqual([]);
  });

  test("its policy and keys are there before its first checkpoint, and follow the configuration", async () => {
    const world = newWorld();
    await anchor(world.actor());
    expect(fileOf(world, "checkpoint")).toBeUndefined();
    const log = `log ${formatVkey(world.vkeys.anchor)}\n`;
    expect(text(fileOf(world, "policy"))).toBe(`${log}quorum none\n`);
    expect(text(fileOf(world, "vkeys"))).toBe(`${formatVkey(world.vkeys.anchor)}\n`);

    const { vkey } = ed25519Cosigner("w.example/witness");
    const witness = `witness w ${formatVkey(vkey)}\nquorum w\n`;
    await anchor({ ...world.actor(), policy: parsePolicy(witness) });
    expect(text(fileOf(world, "policy"))).toBe(log + witness);
    await anchor({ ...world.actor(), anchorVkeys: async () => [] });
    expect(text(fileOf(world, "vkeys"))).toBe("");
  });

  test("what never changes may be kept for ever, and nothing else", () => {
    const isKept = (path: string) => fileHeaders(path).cacheControl.includes("immutable");
    expect(
      ["tile/0/000", "tile/entries/000.p/9", "checkpoints/5"].filter((path) => !isKept(`anchor/${path}`)),
    ).toEqual([]);
    const changing = ["checkpoint", "policy", "vkeys", "timestamps/5"].map((path) => `anchor/${path}`);
    expect([...changing, "logs/anchor/head"].filter(isKept)).toEqual([]);
    expect(fileHeaders("logs/anchor/head").cacheControl).toBe("no-store");
  });

  test("without the quorum nothing is made public, tiles neither", async () => {
    const world = newWorld();
    const { vkey } = ed25519Cosigner("w.example/witness");
    const policy = parsePolicy(`witness w ${formatVkey(vkey)}\nquorum w\n`);
    expect(await anchorEntry({ ...world.actor(), policy }, 1)).toMatchObject({ quorum: false });
    const shown = [...world.publication.files.keys()].filter((path) => path.startsWith("anchor/"));
    expect(shown.sort()).toEqual(["anchor/policy", "anchor/vkeys"]);
  });
});

describe("I6: a table that is behind what is public signs nothing", () => {
  /** As an administrator could: the record is set back together with the table, and the public files are not. */
  function setBack(now: World, then: { items: Item[]; files: Map<string, Uint8Array> }): World {
    const isPublic = (path: string) => path.startsWith("anchor/");
    const files = [...then.files].filter(([path]) => !isPublic(path));
    const shown = [...now.publication.files].filter(([path]) => isPublic(path));
    return newWorld({ items: then.items, files: new Map([...files, ...shown]) });
  }
  const momentOf = (world: World) => ({
    items: world.store.items(),
    files: new Map(world.publication.files),
  });

  test("even when its record is as old, at every run in the history", async () => {
    const world = newWorld();
    const moments: ReturnType<typeof momentOf>[] = [];
    for (let n = 0; n < 4; n++) {
      moments.push(momentOf(world));
      await anchorEntry(world.actor(), n);
    }
    for (const moment of moments) {
      const older = setBack(world, moment);
      await append(older.actor(), LOG, [entry(99)]);
      await seal(older.actor(), { id: LOG, origin: ORIGIN, sign: older.actor().signLog });
      const signed = older.observed.signed.length;
      await expect(anchor(older.actor())).rejects.toMatchObject({ code: "rollback" });
      expect(older.observed.signed).toHaveLength(signed);
      expect(fileOf(older, "checkpoint")).toEqual(fileOf(world, "checkpoint"));
    }
  });

  test("nor does one of another history, as large or larger", async () => {
    const shown = await worldOf(3);
    for (const size of [3, 5]) {
      const other = newWorld();
      for (let n = 0; n < size; n++) await anchorEntry(other.actor(), 50 + n);
      const mixed = setBack(shown, momentOf(other));
      await expect(anchorEntry(mixed.actor(), 99)).rejects.toMatchObject({ code: "rollback" });
      expect(mixed.observed.signed.filter(({ log }) => log === ANCHOR)).toEqual([]);
    }
  });

  test("a file in the checkpoint's place that is none, or of another log, stops it too", async () => {
    const world = await worldOf(2);
    const good = text(fileOf(world, "checkpoint"));
    for (const bad of ["", "junk\n", good.slice(0, -2), good.replace(ANCHOR_ORIGIN, "else.example/anchor")]) {
      const damaged = newWorld(momentOf(world));
      damaged.publication.files.set("anchor/checkpoint", utf8(bad));
      await expect(anchorEntry(damaged.actor(), 9)).rejects.toMatchObject({ code: "corrupt" });
      expect(text(fileOf(damaged, "checkpoint"))).toBe(bad);
    }
  });

  test("restored, what was public is public, and it goes on from there", async () => {
    const world = newWorld();
    await anchorEntry(world.actor(), 0);
    const backup = world.store.items();
    for (const n of [1, 2]) await anchorEntry(world.actor(), n);
    const before = new Map(world.publication.files);

    const after = newWorld({ items: backup, files: world.publication.files, runs: world.index.files });
    after.observed.shown.push(...world.observed.shown);
    await expect(anchor(after.actor())).rejects.toMatchObject({ code: "rollback" });
    const actor = after.actor();
    await restore(actor, { id: LOG, origin: ORIGIN, sign: actor.signLog });
    await restore(actor, { id: ANCHOR, origin: ANCHOR_ORIGIN, sign: actor.signAnchor });
    expect(await anchor(actor)).toMatchObject({ publicSize: 3n, quorum: true });
    for (const [path, bytes] of before)
      expect([path, after.publication.files.get(path)]).toEqual([path, bytes]);
    const [stored] = await after.store.get([publicCheckpointKey(3n)]);
    expect(stored?.["note"]).toBe(text(fileOf(after, "checkpoints/3")));

    await anchorEntry(after.actor(), 3);
    expect(publicSize(after)).toBe(4n);
    expect(wrongOf(after)).toEqual([]);
  });
});

describe("nothing that is written once is written over", () => {
  test("what a run left that died after any of its writes is taken up by the next, as it is", async () => {
    const calls = newWorld().actor();
    await anchorEntry(calls, 0);
    for (let at = 0; at < calls.calls(); at++) {
      const world = newWorld();
      await anchorEntry(world.actor([{ at, fault: "persists-then-dies" }]), 0).catch(() => undefined);
      const left = [...world.publication.files].filter(([path]) => /^anchor\/(tile|checkpoints)/.test(path));
      await anchorEntry(world.actor(), 1);
      for (const [path, bytes] of left) expect(world.publication.files.get(path)).toEqual(bytes);
      expect(wrongOf(world)).toEqual([]);
    }
  });

  test.each(["tile/entries/000.p/2", "tile/0/000.p/2", "checkpoints/2"])(
    "other bytes in the place of %s stay, and the checkpoint does not move",
    async (path) => {
      const world = await worldOf(1);
      const other = utf8("somebody else's\n");
      world.publication.files.set(`anchor/${path}`, other);
      await expect(anchorEntry(world.actor(), 1)).rejects.toMatchObject({ code: "corrupt" });
      expect(fileOf(world, path)).toEqual(other);
      expect(publicSize(world)).toBe(1n);
    },
  );

  test("a signed checkpoint of another tree stands in a size's place: the checkpoint does not move", async () => {
    const world = await worldOf(1);
    const other = await worldOf(0);
    for (const n of [7, 8]) await anchorEntry(other.actor(), n);
    world.publication.files.set("anchor/checkpoints/2", fileOf(other, "checkpoints/2") ?? utf8(""));
    await expect(anchorEntry(world.actor(), 1)).rejects.toMatchObject({ code: "corrupt" });
    expect(publicSize(world)).toBe(1n);
  });
});

describe("the table is not trusted", () => {
  test.each([
    ["an entry", tileItemKey(ANCHOR, "entries", 0n)],
    ["a hash", tileItemKey(ANCHOR, 0, 0n)],
  ])("%s that was altered is not made public, and nothing of that tree is", async (_, key) => {
    const world = newWorld();
    const { vkey } = ed25519Cosigner("w.example/witness");
    const policy = parsePolicy(`witness w ${formatVkey(vkey)}\nquorum w\n`);
    for (const n of [0, 1, 2]) await anchorEntry({ ...world.actor(), policy }, n);
    const [item] = await world.store.get([key]);
    if (item === undefined) throw new Error("no such item");
    await world.store.put(altered(item));
    const before = [...world.publication.files.keys()];
    const running = anchor(world.actor());
    if (key.pk.includes("entries")) {
      await expect(running).rejects.toMatchObject({ code: "corrupt" });
      expect([...world.publication.files.keys()]).toEqual(before);
    } else {
      // The tile is made from the entries, so what the table says of it does not matter.
      expect(await running).toMatchObject({ publicSize: 3n });
      expect(wrongOf(world)).toEqual([]);
    }
  });

  test("a checkpoint that the log's keys have not signed is not made public", async () => {
    const world = newWorld();
    const { vkey } = ed25519Cosigner("w.example/witness");
    const policy = parsePolicy(`witness w ${formatVkey(vkey)}\nquorum w\n`);
    await anchorEntry({ ...world.actor(), policy }, 0);
    const [head] = await world.store.get([headKey(ANCHOR)]);
    if (head === undefined) throw new Error("no head");
    const note = String(head["checkpoint"]);
    const forged = note.replace(/(?<=— \S+ \S{20})(.)/, (letter) => (letter === "A" ? "B" : "A"));
    expect(forged).not.toBe(note);
    await world.store.put({ ...head, checkpoint: forged });
    await expect(anchor(world.actor())).rejects.toMatchObject({ code: "corrupt" });
    expect(fileOf(world, "checkpoint")).toBeUndefined();
    await world.store.put(head);
    expect(await anchor(world.actor())).toMatchObject({ publicSize: 1n });
  });
});

describe("what somebody wrote to the table", () => {
  const outsider = ed25519Cosigner("outsider.example/x");

  test("beside the log's own signatures does not get out: no foreign line, no extension line", async () => {
    const world = newWorld();
    const { vkey } = ed25519Cosigner("w.example/witness");
    const policy = parsePolicy(`witness w ${formatVkey(vkey)}\nquorum w\n`);
    await anchorEntry({ ...world.actor(), policy }, 0);
    const [head] = await world.store.get([headKey(ANCHOR)]);
    if (head === undefined) throw new Error("no head");
    const note = String(head["checkpoint"]);
    const foreign = signatureLine(outsider.vkey, new Uint8Array(72));
    await world.store.put({ ...head, checkpoint: `${note}${foreign}` });
    expect(await anchor(world.actor())).toMatchObject({ publicSize: 1n });
    expect(text(fileOf(world, "checkpoints/1"))).toBe(note);
    expect(text(fileOf(world, "checkpoint"))).toBe(note);
  });

  test("between the check of a long way and its writing is found before it is made public", async () => {
    const world = newWorld();
    const entries = Array.from({ length: 17_000 }, (_, n) => utf8(`entry ${n}`));
    const { checkpoint } = await storeTree(world, entries);
    const note = await world.actor().signAnchor(checkpoint);
    const key = tileItemKey(ANCHOR, "entries", 0n);
    const [good] = await world.store.get([key]);
    if (good === undefined) throw new Error("no bundle");
    const actor = world.actor();
    let reads = 0;
    const changing: Actor = {
      ...actor,
      store: {
        ...actor.store,
        async get(keys) {
          if (keys.some(({ pk }) => pk === key.pk) && ++reads === 2) await world.store.put(altered(good));
          return await actor.store.get(keys);
        },
      },
    };
    const candidate = { note, before: undefined, ofSize: undefined, meets: () => true };
    await expect(makePublic(changing, candidate)).rejects.toMatchObject({ code: "corrupt" });
    expect(reads).toBe(2);
    expect([...world.publication.files.keys()].filter((path) => path.startsWith("anchor/tile"))).toEqual([]);
  });
});

describe("two policies at once, as while one deployment takes over from another", () => {
  test("what one anchorer has made public stays in what the other one does", async () => {
    const world = await worldOf(1);
    const [a, b] = ["a", "b"].map((name) => ed25519Cosigner(`${name}.example/witness`));
    if (a === undefined || b === undefined) throw new Error("no witnesses");
    const policyOf = ({ vkey }: typeof a) => parsePolicy(`witness w ${formatVkey(vkey)}\nquorum w\n`);
    const cosigned = (by: typeof a, note: string) =>
      note + cosignedBy(by, parseCheckpoint(note).checkpoint, 1_700_000_000n);
    const before = await readNewest(world.actor());
    const note = text(fileOf(world, "checkpoint"));
    for (const witness of [b, a]) {
      const policy = policyOf(witness);
      const meets = (one: string) => verifyPolicy({ policy, checkpoint: one }).met;
      const candidate = { note: cosigned(witness, note), before, ofSize: undefined, meets };
      await makePublic({ ...world.actor(), policy }, candidate);
    }
    for (const witness of [a, b]) {
      const checkpoint = text(fileOf(world, "checkpoint"));
      expect(verifyPolicy({ policy: policyOf(witness), checkpoint }).met).toBe(true);
    }
  });
});

test("a run that died between files and table is made good, though the quorum is missing since", async () => {
  const world = await worldOf(1);
  // The last that is heard of it is the file: the table does not know yet.
  for (let at = 0; publicSize(world) === 1n; at++) {
    const dying = world.actor([{ at, fault: "persists-then-dies" }]);
    await (at === 0 ? anchorEntry(dying, 1) : anchor(dying)).catch(() => undefined);
    if (at === 0) {
      await append(world.actor(), LOG, [entry(1)]);
      await seal(world.actor(), { id: LOG, origin: ORIGIN, sign: world.actor().signLog });
    }
  }
  const [before] = await world.store.get([publicKey()]);
  expect(before?.["size"]).toBe(1n);
  const { vkey } = ed25519Cosigner("w.example/witness");
  const policy = parsePolicy(`witness w ${formatVkey(vkey)}\nquorum w\n`);
  expect(await anchorEntry({ ...world.actor(), policy }, 2)).toMatchObject({ quorum: false, publicSize: 2n });
  const [size2, newest] = await world.store.get([publicCheckpointKey(2n), publicKey()]);
  expect([size2?.["note"], newest?.["note"]]).toEqual([
    text(fileOf(world, "checkpoints/2")),
    text(fileOf(world, "checkpoint")),
  ]);
});

describe("a key that was replaced at once, because others have it", () => {
  test("what it alone has signed is not made public, and what is public stays", async () => {
    const world = await worldOf(1);
    const other = ed25519Cosigner("w.example/witness").vkey;
    const rotated = (): Actor => ({ ...world.actor(), anchorVkeys: async () => [other] });
    expect(await anchor(rotated())).toMatchObject({ publicSize: 1n, quorum: true });
    // Of a table that was restored the public checkpoint is to be found again.
    await world.store.write([], [publicKey(), publicCheckpointKey(1n)]);
    expect(await anchor(rotated())).toMatchObject({ publicSize: 1n });
    expect(await world.store.get([publicKey()])).toMatchObject([{ size: 1n }]);
    await expect(anchorEntry(rotated(), 1)).rejects.toMatchObject({ code: "corrupt" });
    expect(publicSize(world)).toBe(1n);
  });
});

describe("public files that are lost", () => {
  test("are all written again, as they were", async () => {
    const world = await worldOf(5);
    const before = new Map(world.publication.files);
    for (const path of before.keys()) if (path.startsWith("anchor/")) world.publication.files.delete(path);
    expect(await readNewest(world.actor())).toBeUndefined();
    await anchorEntry(world.actor(), 5);
    const [, ...others] = [...before.keys()].filter((path) => /^anchor\/tile.*\.p\/5$/.test(path));
    expect(others).toHaveLength(1);
    expect(publicSize(world)).toBe(6n);
    world.observed.shown.splice(0, 5);
    expect(wrongOf(world)).toEqual([]);
  });

  test("of a log of many bundles are written in steps, and none of them before all are known to be good", async () => {
    const world = await worldOf(0);
    const actor = world.actor();
    const entries = Array.from({ length: 17_000 }, (_, n) => utf8(`entry ${n}`));
    const { checkpoint, items } = await storeTree(world, entries);
    const note = await actor.signAnchor(checkpoint);

    const last = bundlesChanged(0n, checkpoint.size).at(-1);
    const key = tileItemKey(ANCHOR, "entries", last?.index ?? 0n);
    const [good] = await world.store.get([key]);
    if (good === undefined) throw new Error("no bundle");
    await world.store.put(altered(good));
    const release = () =>
      makePublic(actor, { note, before: undefined, ofSize: undefined, meets: () => true });
    await expect(release()).rejects.toMatchObject({ code: "corrupt" });
    expect([...world.publication.files.keys()].filter((path) => path.startsWith("anchor/tile"))).toEqual([]);

    await world.store.put(good);
    expect(await release()).toEqual({ ofSize: note, newest: note });
    expect(differing(world, items)).toEqual([]);
    expect((await readHead(world.store, ANCHOR)).size).toBe(0n);
  });
});

test.each([
  [255, 16_384],
  [255, 16_385],
  [1, 16_383],
  [256, 16_384],
  [256, 16_385],
  [300, 255],
])("from size %d on, %d entries more are written, whatever a step takes of them", async (from, more) => {
  const world = newWorld();
  const entries = Array.from({ length: from + more }, (_, n) => utf8(`entry ${n}`));
  const before = await storeTree(world, entries.slice(0, from));
  const note = await world.actor().signAnchor(before.checkpoint);
  const first = { note, before: undefined, ofSize: undefined, meets: () => true };
  await makePublic(world.actor(), first);
  const { checkpoint, items } = await storeTree(world, entries);
  const newest = { note, checkpoint: before.checkpoint };
  const next = { ...first, note: await world.actor().signAnchor(checkpoint), before: newest };
  expect((await makePublic(world.actor(), next)).newest).toBe(next.note);
  expect(differing(world, items)).toEqual([]);
});

describe("timestamps", () => {
  const rfc3161 = (token: string) => ({ type: "rfc3161" as const, token });
  const read = (world: World) => JSON.parse(text(fileOf(world, "timestamps/7")));

  test("are only ever added to, each once", async () => {
    const world = newWorld();
    await writeTimestamps(world.publication, 7n, []);
    expect(fileOf(world, "timestamps/7")).toBeUndefined();
    await writeTimestamps(world.publication, 7n, [rfc3161("AA=="), rfc3161("AQ==")]);
    // A table that was restored knows less than what is public.
    for (const known of [[], [rfc3161("AQ==")]]) await writeTimestamps(world.publication, 7n, known);
    await writeTimestamps(world.publication, 7n, [rfc3161("Ag=="), rfc3161("AA==")]);
    expect(read(world)).toEqual({ timestamps: ["AA==", "AQ==", "Ag=="].map(rfc3161) });
  });

  test("of runs that race are all there", async () => {
    const world = newWorld();
    const all = Array.from({ length: 8 }, (_, n) => rfc3161(Buffer.of(n).toString("base64")));
    await Promise.all(all.map((one) => writeTimestamps(world.publication, 7n, [one])));
    expect(read(world).timestamps).toHaveLength(8);
    expect(read(world).timestamps).toEqual(expect.arrayContaining(all));
  });

  test("a file that holds something else is left as it is", async () => {
    const world = newWorld();
    world.publication.files.set("anchor/timestamps/7", utf8("[]"));
    const adding = writeTimestamps(world.publication, 7n, [rfc3161("AA==")]);
    await expect(adding).rejects.toMatchObject({ code: "corrupt" });
    expect(text(fileOf(world, "timestamps/7"))).toBe("[]");
  });
});
