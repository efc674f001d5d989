/** How far a log has come, stage by stage, and which witnesses it waits for. */
import { parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { formatVkey } from "@kedge/verify/tlog/note";
import { parsePolicy } from "@kedge/verify/tlog/policy";
import { randomBytes } from "@noble/hashes/utils.js";
import { expect, test } from "vitest";
import { anchor } from "../../service/anchor.ts";
import { ANCHOR, encodePublic } from "../../service/anchor-items.ts";
import { append } from "../../service/append.ts";
import { lastCheckpoint, readHead } from "../../service/head.ts";
import { progress } from "../../service/progress.ts";
import { seal } from "../../service/seal.ts";
import { encodeStamped } from "../../service/timestamps.ts";
import { cosignedBy, ed25519Cosigner } from "../packages/verify/tlog/signers.ts";
import { LOG, newWorld, ORIGIN } from "../support/world.ts";

const [one, two] = [ed25519Cosigner("w1.example/witness"), ed25519Cosigner("w2.example/witness")];
const POLICY = parsePolicy(
  `witness w1 ${formatVkey(one.vkey)}\nwitness w2 ${formatVkey(two.vkey)}\ngroup g all w1 w2\nquorum g\n`,
);

test("each stage has its size, and the witnesses that the newest checkpoint waits for are named", async () => {
  const actor = { ...newWorld().actor(), policy: POLICY };
  const add = async () => await append(actor, LOG, [randomBytes(32)]);
  const sealOne = async () => {
    await add();
    await seal(actor, { id: LOG, origin: ORIGIN, sign: actor.signLog });
  };
  const sizes = async () => {
    const { pendingSince, waitsFor, ...stages } = await progress(actor, LOG);
    const each = Object.entries(stages).map(([name, { size }]) => [name, Number(size)]);
    return { isPending: pendingSince !== undefined, waitsFor, ...Object.fromEntries(each) };
  };

  expect(await sizes()).toEqual({ isPending: false, waitsFor: [] });
  await add();
  expect(await sizes()).toEqual({ isPending: true, waitsFor: [] });
  await sealOne();
  expect(await sizes()).toEqual({ isPending: false, waitsFor: [], sealed: 2 });
  await anchor(actor);
  expect(await sizes()).toEqual({ isPending: false, waitsFor: ["w1", "w2"], sealed: 2, anchored: 2 });

  // What is public then is cosigned by both, and has a timestamp; a later checkpoint of the log is in neither.
  const { note } = lastCheckpoint(await readHead(actor.store, ANCHOR));
  const { checkpoint } = parseCheckpoint(note);
  const cosigned = `${note}${cosignedBy(one, checkpoint, 1n)}${cosignedBy(two, checkpoint, 1n)}`;
  await actor.store.put(encodePublic({ size: checkpoint.size, note: cosigned, at: 5n }));
  await actor.store.put(encodeStamped({ size: checkpoint.size, at: 6n }));
  expect(await sizes()).toMatchObject({ waitsFor: [], anchored: 2, witnessed: 2, timestamped: 2 });
  for (let i = 0; i < 6; i++) {
    await sealOne();
    await anchor(actor);
  }
  expect(await sizes()).toEqual({
    isPending: false,
    waitsFor: ["w1", "w2"],
    sealed: 8,
    anchored: 8,
    witnessed: 2,
    timestamped: 2,
  });
});
