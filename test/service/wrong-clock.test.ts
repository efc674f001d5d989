/** What a machine does whose clock is wrong: entries are sealed, anchored and proven whatever it says. */
import { openCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { sha256 } from "@noble/hashes/sha2.js";
import { describe, expect, test } from "vitest";
import { anchor } from "../../service/anchor.ts";
import { append } from "../../service/append.ts";
import { readHead } from "../../service/head.ts";
import { oldestPending, pendingPartition } from "../../service/pending.ts";
import { entryStatus } from "../../service/prove.ts";
import { seal } from "../../service/seal.ts";
import { checkpointSigner, logVkeys } from "../../service/sign.ts";
import { ed25519Key, inKms, mldsa44Key } from "../packages/verify/tlog/signers.ts";
import { LOG, newWorld, ORIGIN } from "../support/world.ts";

const entry = (n: number): Uint8Array => sha256(new TextEncoder().encode(`entry ${n}`));
const RIGHT = 1_800_000_000_000;
const CLOCKS = [
  ["before 1970", -1],
  ["long before 1970", -(2 ** 45)],
  ["at 1970", 0],
  ["in the year 9999", Date.parse("9999-12-31T23:59:59Z")],
] as const;

describe.each(CLOCKS)("by a clock %s", (_, wrong) => {
  const setUp = () => {
    const world = newWorld();
    let now: number = wrong;
    const actor = { ...world.actor(), clock: () => now };
    const sealLog = () => seal(actor, { id: LOG, origin: ORIGIN, sign: actor.signLog });
    const status = (n: number) => entryStatus({ ...world.reading, policy: actor.policy }, LOG, entry(n));
    return { world, actor, sealLog, status, set: (time: number) => (now = time) };
  };

  test("what is appended is sealed and anchored", async () => {
    const { actor, sealLog, status } = setUp();
    await append(actor, LOG, [entry(1)]);
    await sealLog();
    await anchor(actor);
    expect(await status(1)).toMatchObject({ assurance: "anchored", index: 0n });
  });

  test("what was appended is sealed by a clock that is right again, and what comes then too", async () => {
    const { world, actor, sealLog, status, set } = setUp();
    await append(actor, LOG, [entry(1)]);
    set(RIGHT);
    await append(actor, LOG, [entry(2)]);
    expect(await oldestPending(world.store, LOG)).toBe(BigInt(Math.min(Math.max(0, wrong), RIGHT)));
    await sealLog();
    await anchor(actor);
    for (const n of [1, 2]) expect(await status(n)).toMatchObject({ assurance: "anchored" });
  });

  test("a log signs, and its own signature verifies", async () => {
    const key = mldsa44Key("a log's");
    const keys = { ed25519: [inKms(ed25519Key("a log's"))], mldsa44: [inKms(key)] };
    const sign = checkpointSigner(keys, () => wrong);
    const note = await sign({ origin: ORIGIN, size: 1n, root: entry(1) });
    const vkeys = await logVkeys(keys, ORIGIN);
    expect(openCheckpoint(note, { origin: ORIGIN, vkeys }).verified.map(({ vkey }) => vkey)).toEqual(vkeys);
  });
});

test("a chunk that an earlier version stored by a clock before 1970 no longer blocks its log", async () => {
  const world = newWorld();
  const actor = world.actor();
  await append(actor, LOG, [entry(1)]);
  const [chunk] = world.store.items().filter(({ pk }) => pk.startsWith(`pending/${LOG}/`));
  if (chunk === undefined) throw new Error("nothing is pending");
  const old = { ...chunk, sk: `${"-500".padStart(16, "0")}/${chunk.sk.slice(17)}` };
  await world.store.write([old], [chunk]);
  expect(await oldestPending(world.store, LOG)).toBe(0n);
  await seal(actor, { id: LOG, origin: ORIGIN, sign: actor.signLog });
  expect((await readHead(world.store, LOG)).published).toBe(1n);
  for await (const item of world.store.query({ pk: pendingPartition(LOG, 0) })) throw new Error(item.sk);
  expect(await oldestPending(world.store, LOG)).toBeUndefined();
});
