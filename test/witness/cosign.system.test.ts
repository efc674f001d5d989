/**
 * A witness in races and crashes: it never signs two roots for one size, never goes back, and never answers with what
 * it has not stored. What it really signed is seen at its keys, whatever it answers.
 */

import { checkEvidence } from "@kedge/verify/evidence/evidence";
import { parseEvidence } from "@kedge/verify/evidence/evidencefile";
import { openCheckpoint, parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { verifyCosignature } from "@kedge/verify/tlog/cosignature";
import { matchSignatures, parseNote, parseSignatureLines } from "@kedge/verify/tlog/note";
import { originHash } from "@kedge/verify/tlog/witness";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ServiceError } from "../../platform/error.ts";
import type { Signer } from "../../platform/signer.ts";
import type { Store } from "../../platform/store.ts";
import { addCheckpoint, type CosignAnswer, type WitnessContext, witnessVkeys } from "../../witness/cosign.ts";
import { cosignedKey, readCosigned, readWitnessedHead, witnessedHeadKey } from "../../witness/items.ts";
import { ed25519Signer, lineBy, signed } from "../packages/verify/tlog/signers.ts";
import { type MemoryStore, memoryStore } from "../support/memory-store.ts";
import {
  CASES,
  codeOf,
  FORKS,
  fork,
  head,
  KEYS,
  NAME,
  ORIGIN,
  request,
  sign,
  signTwice,
  TRUSTED,
  tree,
  VKEYS,
} from "../support/witness-cases.ts";
import { newRace } from "../support/world.ts";

const HASH = originHash(ORIGIN);

type Calls = <T>(run: () => Promise<T>) => Promise<T>;
const directly: Calls = (run) => run();

/** A world: one store and one pair of keys, which see every tree head that they are asked to sign. */
function newWorld({ store = memoryStore(), mldsa = false } = {}) {
  let now = 1_700_000_000_000;
  const signed = new Map<bigint, Set<string>>();
  /** A process of the witness, whose calls may be made to fail or to wait. */
  const actor = (call: Calls = directly): WitnessContext => {
    const watched: Signer = {
      publicKey: KEYS.ed25519.publicKey,
      sign: (message) =>
        call(async () => {
          const [, , , size = "", root = ""] = new TextDecoder().decode(message).split("\n");
          signed.set(BigInt(size), (signed.get(BigInt(size)) ?? new Set()).add(root));
          return await KEYS.ed25519.sign(message);
        }),
    };
    const faulty: Store = {
      ...store,
      get: (keys) => call(() => store.get(keys)),
      put: (item, condition) => call(() => store.put(item, condition)),
    };
    return {
      store: faulty,
      clock: () => now++,
      witness: { name: NAME, ed25519: watched, ...(mldsa && { mldsa44: KEYS.mldsa44 }) },
      logs: TRUSTED,
    };
  };
  return { store, signed, actor };
}

const size = async (store: MemoryStore) => (await readWitnessedHead(store, HASH))?.size;
const latestNote = async (store: Store) => (await readCosigned(store, HASH))?.note;

/** Every cosignature of an answer, verified by what a client uses, over the checkpoint that was sent. */
async function checkAnswer(
  answer: CosignAnswer,
  body: string | Uint8Array,
  mldsa = false,
): Promise<bigint[]> {
  if (answer.status !== 200) throw new Error(answer.reason);
  const text = typeof body === "string" ? body : new TextDecoder().decode(body);
  const parsed = parseCheckpoint(text.slice(text.indexOf("\n\n") + 2));
  const vkeys = await witnessVkeys({
    name: NAME,
    ed25519: KEYS.ed25519,
    ...(mldsa && { mldsa44: KEYS.mldsa44 }),
  });
  const lines = parseSignatureLines(answer.lines);
  expect(lines).toHaveLength(vkeys.length);
  return vkeys.map((vkey) => {
    const [match] = matchSignatures({ text: "", signatures: lines }, [vkey]);
    return verifyCosignature(vkey, parsed, match?.signature ?? new Uint8Array());
  });
}

test("a checkpoint sent again with fewer of the log's lines takes none away", async () => {
  const { actor, store } = newWorld();
  const witness = actor();
  const both = `old 0\n\n${signTwice(head(7n))}`;
  await checkAnswer(await addCheckpoint(witness, both), both);
  const again = `old 7\n\n${sign(head(7n))}`;
  const times = [];
  for (let n = 0; n < 3; n++) times.push(...(await checkAnswer(await addCheckpoint(witness, again), again)));
  const { verified } = openCheckpoint((await latestNote(store)) ?? "", {
    origin: ORIGIN,
    vkeys: [...VKEYS, ...(await witnessVkeys({ name: NAME, ed25519: KEYS.ed25519 }))],
  });
  // Of each of the log's keys that signed, and the witness's newest.
  expect(verified).toHaveLength(3);
  expect(verified.at(-1)?.timestamp).toBe(times.at(-1));
});

describe("every status code, with a store", () => {
  test.each(CASES)("$status: $title", async (each) => {
    const { latest, body, status, size: cosigned } = each;
    const { actor, store, signed } = newWorld();
    const witness = actor();
    if (latest !== undefined) await store.put({ ...witnessedHeadKey(HASH), ...head(latest) });
    const answer = await addCheckpoint(witness, body);
    expect(answer).toMatchObject({ status, ...(cosigned !== undefined && { size: cosigned }) });
    if (answer.status === 200) {
      await checkAnswer(answer, body);
      return;
    }
    expect(answer.code).toBe(codeOf(each));
    // What may be evidence is the note that the log signed, and nothing else is kept.
    expect(answer.refused !== undefined).toBe(["bad_proof", "equivocation"].includes(answer.code));
    expect(signed.size).toBe(0);
    expect(await size(store)).toBe(latest);
    expect(await latestNote(witness.store)).toBeUndefined();
  });
});

describe("a cosignature", () => {
  test("of both types has the time of the clock and verifies independently", async () => {
    const { actor } = newWorld({ mldsa: true });
    const body = request(0n, 23n);
    expect(await checkAnswer(await addCheckpoint(actor(), body), body, true)).toEqual([
      1_700_000_000n,
      1_700_000_000n,
    ]);
  });

  test("is in the monitoring read with the log's verified signatures, and nothing else is", async () => {
    const { actor } = newWorld({ mldsa: true });
    const stranger = `— other.example ${"A".repeat(96)}\n`;
    const answer = await addCheckpoint(actor(), `old 0\n\n${sign(head(23n), stranger)}`);
    if (answer.status !== 200) throw new Error(answer.reason);
    const note = await latestNote(actor().store);
    if (note === undefined) throw new Error("there is none");
    const witness = await witnessVkeys({ name: NAME, ...KEYS });
    const { verified, checkpoint } = openCheckpoint(note, { origin: ORIGIN, vkeys: [...VKEYS, ...witness] });
    expect(checkpoint).toMatchObject(head(23n));
    expect(verified.map(({ vkey }) => vkey.name)).toEqual([ORIGIN, NAME, NAME]);
    expect(parseNote(note).signatures).toHaveLength(3);
    expect(note.endsWith(answer.lines)).toBe(true);
  });

  test("of the same checkpoint again is a fresh one, and stored", async () => {
    const { actor } = newWorld();
    const witness = actor();
    await addCheckpoint(witness, request(0n, 23n));
    const later = { ...witness, clock: () => 1_800_000_000_000 };
    const again = await addCheckpoint(later, request(23n, 23n));
    expect(await checkAnswer(again, request(23n, 23n))).toEqual([1_800_000_000n]);
    expect(await latestNote(witness.store)).toContain(again.status === 200 ? again.lines : "none");
  });

  test("covers extension lines, as the log signed them", async () => {
    const { actor } = newWorld();
    const [extended] = CASES.filter(({ title }) => title === "an extension line");
    if (extended === undefined) throw new Error("there is no such case");
    await checkAnswer(await addCheckpoint(actor(), extended.body), extended.body);
  });

  test("is new once for each checkpoint, also when a run died before its signature", async () => {
    const { actor } = newWorld();
    const isNew = async (body: string) => {
      const answer = await addCheckpoint(actor(), body);
      return answer.status === 200 && answer.isNew;
    };
    expect(await isNew(request(0n, 23n))).toBe(true);
    expect(await isNew(request(23n, 23n))).toBe(false);
    let calls = 0;
    const dying = actor((call) => (calls++ === 2 ? Promise.reject(new Died()) : call()));
    await expect(addCheckpoint(dying, request(23n, 40n))).rejects.toThrow(Died);
    expect(await isNew(request(40n, 40n))).toBe(true);
    expect(await isNew(request(40n, 40n))).toBe(false);
  });
});

/** What convinces anybody who has the log's keys. */
function expectEvidence(answer: CosignAnswer, refused: string): void {
  if (answer.status === 200 || answer.evidence === undefined) throw new Error("it has no evidence");
  const evidence = parseEvidence(JSON.stringify(answer.evidence));
  expect(checkEvidence(evidence, VKEYS)).toMatchObject({
    convincing: true,
    contradiction: { kind: "signed_two_roots" },
  });
  expect(answer.refused).toBe(refused);
  expect(answer.evidence.checkpoints[1]).toBe(refused);
}

describe("a log that signed two roots for one size", () => {
  test.each([
    ["at once", request(30n, 30n, fork), 422],
    ["with an old size that does not match", request(20n, 30n, fork), 409],
  ])("is refused with both, for anybody to check: %s", async (_, body, status) => {
    const { actor, signed } = newWorld();
    await addCheckpoint(actor(), request(0n, 30n));
    const answer = await addCheckpoint(actor(), body);
    expect(answer).toMatchObject({ status, code: "equivocation" });
    expectEvidence(answer, sign(head(30n, fork)));
    expect(signed.get(30n)?.size).toBe(1);
  });

  test("is refused with both, also when the first was not cosigned because a run died", async () => {
    const { actor } = newWorld();
    let calls = 0;
    const dying = actor((call) => (calls++ === 2 ? Promise.reject(new Died()) : call()));
    await expect(addCheckpoint(dying, request(0n, 30n))).rejects.toThrow(Died);
    const answer = await addCheckpoint(actor(), request(0n, 30n, fork));
    expectEvidence(answer, sign(head(30n, fork)));
  });
});

/** A race in an order that the seed decides. */
function raceOf(seed: number) {
  let state = seed;
  const { gate, run } = newRace((waiting) => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state % Math.max(1, waiting.length);
  });
  const wait = gate();
  const gated: Calls = async (call) => {
    await wait();
    return await call();
  };
  return { gated, run };
}

test("of twelve racing forks one is cosigned, and one is signed", async () => {
  for (let seed = 0; seed < 40; seed++) {
    const { actor, signed } = newWorld();
    const from = seed % 2 === 0 ? 0n : 20n;
    if (from > 0n) await addCheckpoint(actor(), request(0n, from));
    const { gated, run } = raceOf(seed);
    const racing = Promise.all(FORKS.map((fork) => addCheckpoint(actor(gated), request(from, 50n, fork))));
    const answers = await run(racing);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    // Whenever a loser comes to see the other root, it has both.
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(11);
    for (const [i, answer] of answers.entries()) {
      if (answer.status !== 200) expectEvidence(answer, sign(head(50n, FORKS[i])));
    }
    expect(signed.get(50n)?.size).toBe(1);
  }
});

test("racing equal requests are all answered with cosignatures", async () => {
  for (let seed = 0; seed < 20; seed++) {
    const { actor } = newWorld();
    const { gated, run } = raceOf(seed);
    const body = request(0n, 23n);
    const racing = Promise.all(Array.from({ length: 5 }, () => addCheckpoint(actor(gated), body)));
    for (const answer of await run(racing)) {
      // One that reads the head after another committed it is told the size, as the specification says.
      if (answer.status === 409) expect(answer.size).toBe(23n);
      else await checkAnswer(answer, body);
    }
  }
});

test("a request that slept after its commit answers with nothing older than what is stored", async () => {
  const { actor, store } = newWorld();
  let wake: () => void = () => undefined;
  let calls = 0;
  const asleep = new Promise<void>((go) => {
    wake = go;
  });
  // Calls: read, commit, sign, record.
  const slow = actor(async (call) => {
    if (calls++ === 3) await asleep;
    return await call();
  });
  const sleeper = addCheckpoint(slow, request(0n, 23n));
  await new Promise(setImmediate);
  expect((await addCheckpoint(actor(), request(23n, 40n))).status).toBe(200);
  wake();
  expect(await sleeper).toMatchObject({ status: 409, size: 40n });
  const note = await latestNote(store);
  expect(parseCheckpoint(note ?? "").checkpoint.size).toBe(40n);
});

class Died extends Error {}
const FAULTS = [
  "fails",
  "persists-then-fails",
  "lands-late",
  "dies",
  "persists-then-dies",
  "repeats",
] as const;

describe("a fault at every call to store and signer", () => {
  const bodies = [request(0n, 20n), request(20n, 33n), request(33n, 33n), request(33n, 70n)];
  const rivals = [request(20n, 33n, FORKS[3]), request(20n, 30n, FORKS[5]), request(33n, 70n, FORKS[7])];

  test.each(FAULTS)("%s", async (fault) => {
    // Four calls a request, and one more for the latest again.
    for (let at = 0; at < 17; at++) {
      const { actor, store, signed } = newWorld();
      const late: (() => Promise<unknown>)[] = [];
      let calls = 0;
      const answered: { body: string; answer: CosignAnswer }[] = [];
      const witness = actor(async (run) => {
        if (calls++ !== at) return await run();
        if (fault === "repeats") return await run().then(run);
        if (fault === "lands-late") late.push(run);
        if (fault.startsWith("persists")) await run();
        if (fault.endsWith("dies")) throw new Died();
        throw new ServiceError("unavailable", `injected: ${fault}`);
      });
      const ask = async (context: WitnessContext, body: string) => {
        const before = await size(store);
        try {
          const answer = await addCheckpoint(context, body);
          answered.push({ body, answer });
          // What is answered is stored by then.
          if (answer.status === 200) expect(await latestNote(store)).toContain(answer.lines);
        } catch (error) {
          if (!(error instanceof Died) && !(error instanceof ServiceError && error.code === "unavailable"))
            throw error;
        }
        const after = await size(store);
        expect(before === undefined || (after !== undefined && after >= before)).toBe(true);
      };
      // A log that asks again where it got no answer, and its forks beside it; late calls land at any time after.
      for (const body of bodies) {
        await ask(witness, body);
        for (const rival of rivals) await ask(actor(), rival);
        await ask(actor(), body);
        for (const run of late.splice(0)) await run().catch(() => undefined);
      }
      for (const [root, roots] of signed) expect(roots.size, `size ${root}`).toBe(1);
      // Nothing is stuck: the log that was committed last is told the size, and goes on from there.
      const told = await addCheckpoint(actor(), request(0n, 80n));
      if (told.status !== 409) throw new Error(`it answers ${told.status}`);
      const roots = await Promise.all(
        [tree, FORKS[3], FORKS[5], FORKS[7]].map((of) =>
          addCheckpoint(actor(), request(told.size, told.size, of)),
        ),
      );
      expect(roots.some(({ status }) => status === 200)).toBe(true);
      for (const { body, answer } of answered) if (answer.status === 200) await checkAnswer(answer, body);
    }
  });

  test("a log whose answer was lost at any call is cosigned when it asks again from the size it is told", async () => {
    for (const fault of FAULTS) {
      for (let at = 0; at < 4; at++) {
        const { actor } = newWorld();
        let calls = 0;
        const witness = actor(async (run) => {
          if (calls++ !== at) return await run();
          if (fault === "repeats") return await run().then(run);
          if (fault.startsWith("persists")) await run();
          throw new ServiceError("unavailable", "injected");
        });
        const first = await addCheckpoint(witness, request(0n, 23n)).catch(() => undefined);
        if (first?.status === 200) continue;
        const again = await addCheckpoint(actor(), request(0n, 23n));
        if (again.status === 200) continue;
        expect(again).toMatchObject({ status: 409, size: 23n });
        expect(await addCheckpoint(actor(), request(23n, 23n))).toMatchObject({ status: 200 });
      }
    }
  });
});

test("any order of honest, forked and stale requests leaves one history, from size to size", async () => {
  const step = fc.record({ fork: fc.nat(3), old: fc.nat(60), to: fc.nat(60) });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const { actor, signed, store } = newWorld();
      let last = -1n;
      for (const { fork, old, to } of steps) {
        const from = BigInt(Math.min(old, to));
        const answer = await addCheckpoint(actor(), request(from, BigInt(to), FORKS[fork]));
        const now = await size(store);
        if (answer.status === 200) {
          expect(BigInt(to) >= last).toBe(true);
          last = BigInt(to);
        }
        expect(now ?? -1n).toBe(last);
      }
      const [roots] = [[...signed.values()]];
      expect(roots.every(({ size }) => size === 1)).toBe(true);
    }),
    { numRuns: 60 },
  );
});

test("an item that no witness wrote stops it, and nothing is signed", async () => {
  const { store, actor, signed } = newWorld();
  await store.put({ ...witnessedHeadKey(HASH), size: 7n, root: "not bytes" });
  await expect(addCheckpoint(actor(), request(7n, 9n))).rejects.toMatchObject({ code: "corrupt" });
  await store.put({ ...cosignedKey(HASH), size: 7n });
  await expect(latestNote(store)).rejects.toMatchObject({ code: "corrupt" });
  expect(signed.size).toBe(0);
});

test("a clock before 1970 cosigns nothing, and puts nothing on record", async () => {
  const { actor, store } = newWorld({ mldsa: true });
  for (const now of [-1, 0, 999]) {
    const answer = addCheckpoint({ ...actor(), clock: () => now }, request(0n, 7n));
    await expect(answer).rejects.toMatchObject({ code: "unavailable" });
  }
  expect(store.items()).toEqual([]);
  expect(await addCheckpoint(actor(), request(0n, 7n))).toMatchObject({ status: 200 });
});

test("a clock that went back cosigns on: what is on record has no time", async () => {
  const { actor } = newWorld();
  const times = [];
  for (const [now, body] of [
    [2_000_000_000_000, request(0n, 7n)],
    [1_700_000_000_000, request(7n, 23n)],
  ] as const) {
    times.push(...(await checkAnswer(await addCheckpoint({ ...actor(), clock: () => now }, body), body)));
  }
  expect(times).toEqual([2_000_000_000n, 1_700_000_000n]);
});

test("a checkpoint whose origin is not its key's name keeps its signatures when it is sent again", async () => {
  const origin = "go.sum database tree";
  const checkpoint = { ...head(7n), origin };
  const [one, two] = [ed25519Signer("sum.example"), ed25519Signer("sum.example", "another")];
  const { actor, store } = newWorld();
  const witness = { ...actor(), logs: new Map([[origin, [one.vkey, two.vkey]]]) };
  const lines = [lineBy(one, checkpoint), lineBy(two, checkpoint)];
  await addCheckpoint(witness, `old 0\n\n${signed(checkpoint, ...lines)}`);
  await addCheckpoint(witness, `old 7\n\n${signed(checkpoint, lineBy(one, checkpoint))}`);
  const note = (await readCosigned(store, originHash(origin)))?.note ?? "";
  expect(parseNote(note).signatures.map(({ name }) => name)).toEqual(["sum.example", "sum.example", NAME]);
});
