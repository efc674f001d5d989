/**
 * The crash matrix. Random traffic; a fault at every single call to store, publication and signer; alone and with two
 * sealers racing. After each run the survivors finish, and both logs are re-verified from their bytes (I1 to I6).
 *
 * KEDGE_CRASH_RUNS multiplies the number of random runs; a failure prints its seed.
 */

import { parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { leafHash, verifyInclusion } from "@kedge/verify/tlog/merkle";
import { parsePolicy } from "@kedge/verify/tlog/policy";
import { parseProof, type TlogProof, verifyProof } from "@kedge/verify/tlog/proof";
import { listEntries } from "@kedge/verify/tlog/tile";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ServiceError } from "../../platform/error.ts";
import { anchor } from "../../service/anchor.ts";
import { ANCHOR, publicKey } from "../../service/anchor-items.ts";
import { append } from "../../service/append.ts";
import { checkpointKey, decodeCheckpoint } from "../../service/checkpoints.ts";
import { readHead } from "../../service/head.ts";
import { prove } from "../../service/prove.ts";
import { readBatch, readRecord } from "../../service/record.ts";
import { sweep } from "../../service/sweep.ts";
import { auditBatches, auditWorld } from "../support/audit.ts";
import {
  type Actor,
  ANCHOR_ORIGIN,
  Died,
  FAULTS,
  type Fault,
  LOG,
  newRace,
  newWorld,
  ORIGIN,
  type World,
} from "../support/world.ts";

const TIMES = Number(process.env["KEDGE_CRASH_RUNS"] ?? 1);
const policy = parsePolicy("quorum none\n");

const entry = (n: number): Uint8Array => sha256(new TextEncoder().encode(`entry ${n}`));

/** One thing that a client or a schedule does. */
type Step =
  | { readonly do: "append"; readonly entries: readonly number[] }
  | { readonly do: "prove"; readonly entry: number }
  | { readonly do: "seal" | "anchor" };

/** Entries come from a small range, so that repeats within and between requests are common. */
const steps = fc.array(
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant("append" as const),
        entries: fc.array(fc.nat(400), { minLength: 1, maxLength: 60 }),
      }),
    },
    { weight: 3, arbitrary: fc.record({ do: fc.constant("seal" as const) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("prove" as const), entry: fc.nat(400) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("anchor" as const) }) },
  ),
  { minLength: 1, maxLength: 7 },
);
/** Just below, at and above the edges of tiles of one and two levels. */
const startSize = fc.constantFrom(0, 1, 200, 250, 255, 256, 257, 511);

type Acknowledged = Uint8Array[];

async function take(actor: Actor, step: Step, acknowledged: Acknowledged): Promise<void> {
  if (step.do === "append") {
    const entries = step.entries.map(entry);
    await append(actor, LOG, entries);
    acknowledged.push(...entries);
  } else if (step.do === "seal") {
    for await (const swept of sweep(actor, [LOG])) if ("error" in swept) throw swept.error;
  } else if (step.do === "prove") {
    // I5, for a reader at any moment: whatever is proven holds, and nothing that it needs is missing.
    const [proof] = await prove({ ...actor, policy }, LOG, [entry(step.entry)]);
    if (proof !== undefined && proof !== "pending") checkProof(proof.proof, entry(step.entry));
  } else {
    await anchor(actor);
  }
}

/** What a process does with a step that fails: it goes on with the next, unless it died. */
async function live(actor: Actor, script: readonly Step[], acknowledged: Acknowledged): Promise<void> {
  for (const step of script) {
    try {
      await take(actor, step, acknowledged);
    } catch (error) {
      if (error instanceof Died) return;
      if (!(error instanceof ServiceError) || error.code !== "unavailable") throw error;
    }
  }
}

async function startWorld(size: number): Promise<{ world: World; acknowledged: Acknowledged }> {
  const world = newWorld();
  const acknowledged: Acknowledged = [];
  if (size > 0) {
    const entries = Array.from({ length: size }, (_, n) => n);
    await live(world.actor(), [{ do: "append", entries }, { do: "seal" }], acknowledged);
  }
  return { world, acknowledged };
}

/** The survivors finish: what was delayed lands, and a healthy process seals and anchors. Then nothing may be wrong. */
async function settle(world: World, acknowledged: Acknowledged): Promise<void> {
  const healthy = world.actor();
  const finish: Step[] = [{ do: "seal" }, { do: "anchor" }];
  await world.landLate();
  for (const step of [...finish, { do: "append", entries: [9_999] } as const, ...finish]) {
    await take(healthy, step, acknowledged);
  }
  const items = world.store.items();
  const wrong = [
    ...auditWorld(world, acknowledged),
    ...shownAndStored(world),
    ...items
      .filter(({ pk }) => /^(pending|staging)\//.test(pk))
      .map(({ pk, sk }) => `left behind: ${pk} ${sk}`),
    ...(await auditBatches(world.publication, { id: LOG, origin: ORIGIN })),
    ...(await wrongLags(world)),
    ...(await auditBatches(world.publication, { id: ANCHOR, origin: ANCHOR_ORIGIN })),
  ];
  expect(wrong).toEqual([]);
  await everyEntryIsProvable(world, acknowledged);
}

/** What proofs are made from is what is public. */
function shownAndStored({ store, publication }: World): string[] {
  const shown = new TextDecoder().decode(publication.files.get("anchor/checkpoint"));
  const stored = store.items().find(({ pk, sk }) => pk === publicKey().pk && sk === publicKey().sk);
  return stored?.["note"] === shown ? [] : ["the store's public checkpoint is not the one that is shown"];
}

/** Of each checkpoint it is told when one of its own batch's entries came, whoever finished it and however often. */
async function wrongLags({ store, publication, observed }: World): Promise<string[]> {
  const log = { id: LOG, origin: ORIGIN };
  const wrong: string[] = [];
  for (let at = await readRecord(publication, log); at !== undefined; ) {
    const { before, entries } = await readBatch(publication, log, at);
    const [item] = await store.get([checkpointKey(LOG, at.size)]);
    const { pendingSince } = decodeCheckpoint(LOG, item);
    const came = listEntries(entries).flatMap((each) => [...(observed.accepted.get(bytesToHex(each)) ?? [])]);
    if (pendingSince === undefined || !came.includes(pendingSince)) {
      wrong.push(`${at.size}: pending since ${pendingSince}, when none of its entries came`);
    }
    at = before;
  }
  return wrong;
}

async function everyEntryIsProvable(world: World, acknowledged: Acknowledged): Promise<void> {
  const { reading, vkeys } = world;
  const some = [...acknowledged.slice(0, 5), ...acknowledged.slice(-5)];
  for (const [i, proof] of (await prove({ ...reading, policy }, LOG, some)).entries()) {
    if (proof === undefined || proof === "pending") throw new Error("I1: an acknowledged entry has no proof");
    expect(proof.assurance).toBe("anchored");
    const { inner, note } = checkProof(proof.proof, some[i] ?? new Uint8Array());
    // The audit verifies the signatures of all checkpoints; here one more time, as an outsider would.
    if (i > 0 || inner === undefined) continue;
    verifyProof({ proof: inner, leafHash: note, origin: vkeys.anchor.name, vkeys: [vkeys.anchor] });
  }
}

/** The entry is in the tenant's tree, and that tree's checkpoint in the anchor log's, if the proof says so. */
function checkProof(text: string, proven: Uint8Array) {
  const outer = parseProof(text);
  included(outer, leafHash(proven));
  const note = leafHash(new TextEncoder().encode(outer.checkpoint));
  if (outer.extra === undefined) return { note };
  const inner = parseProof(JSON.parse(new TextDecoder().decode(outer.extra)).anchor);
  included(inner, note);
  return { inner, note };
}

function included({ index, hashes, checkpoint }: TlogProof, leaf: Uint8Array): void {
  const { size, root } = parseCheckpoint(checkpoint).checkpoint;
  verifyInclusion({ leafHash: leaf, index, size, root, proof: hashes });
}

async function countCalls(size: number, script: readonly Step[]): Promise<number> {
  const { world, acknowledged } = await startWorld(size);
  const actor = world.actor();
  await live(actor, script, acknowledged);
  return actor.calls();
}

describe("crash matrix: I1 no loss, I2 exactly once, I3 no equivocation, I4 append-only, I5 published means provable", () => {
  const script: Step[] = [
    { do: "append", entries: [1, 2, 3, 2, 251] },
    { do: "append", entries: [3, 300, 301, 302, 303, 304, 305, 306, 307, 308] },
    { do: "seal" },
    { do: "append", entries: [310, 300] },
    { do: "seal" },
    { do: "anchor" },
  ];

  // Each fault at every call in test:crash; in npm test at every third, each fault at others.
  test.each(FAULTS.map((fault, i) => [fault, TIMES > 1 ? 0 : i % 3] as const))(
    "a call that %s: at the calls of append, seal and anchor, from the one at %d on",
    {
      timeout: 1_800_000,
    },
    async (fault, first) => {
      for (const size of TIMES > 1 ? [0, 250, 511] : [250]) {
        const calls = await countCalls(size, script);
        for (let at = first; at < calls; at += TIMES > 1 ? 1 : 3) {
          const { world, acknowledged } = await startWorld(size);
          await live(world.actor([{ at, fault }]), script, acknowledged);
          await settle(world, acknowledged);
        }
      }
    },
  );

  // A fifth of the time of all others: in test:crash only.
  test.runIf(TIMES > 1)(
    "two faults in a row: every pair of neighbouring calls, and a retry that fails too",
    {
      timeout: 1_800_000,
    },
    async () => {
      const calls = await countCalls(250, script);
      for (let at = 0; at < calls; at++) {
        for (const [first, second] of [
          ["persists-then-fails", "fails"],
          ["lands-late", "lands-late"],
          ["half", "half"],
        ] as const) {
          const { world, acknowledged } = await startWorld(250);
          const plan = [
            { at, fault: first },
            { at: at + 1, fault: second },
            { at: at + 5, fault: second },
          ];
          await live(world.actor(plan), script, acknowledged);
          await settle(world, acknowledged);
        }
      }
    },
  );

  test("random traffic, random faults, one process after another", { timeout: 1_800_000 }, async () => {
    const plan = fc.array(fc.record({ at: fc.nat(120), fault: fc.constantFrom<Fault>(...FAULTS) }), {
      maxLength: 4,
    });
    const process = fc.record({ script: steps, plan, late: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(
        startSize,
        fc.array(process, { minLength: 1, maxLength: 3 }),
        async (size, processes) => {
          const { world, acknowledged } = await startWorld(size);
          for (const { script, plan, late } of processes) {
            await live(world.actor(plan), script, acknowledged);
            if (late) await world.landLate();
          }
          await settle(world, acknowledged);
        },
      ),
      { numRuns: 150 * TIMES },
    );
  });

  const racing = (traffic: fc.Arbitrary<Step[]>, sizes: fc.Arbitrary<number>) => {
    const plan = fc.array(fc.record({ at: fc.nat(60), fault: fc.constantFrom<Fault>(...FAULTS) }), {
      maxLength: 2,
    });
    const racers = fc.array(fc.record({ script: traffic, plan }), { minLength: 2, maxLength: 3 });
    return fc.asyncProperty(
      sizes,
      racers,
      fc.infiniteStream(fc.nat(1_000)),
      async (size, racers, choices) => {
        const { world, acknowledged } = await startWorld(size);
        const race = newRace(inStretches(choices, () => world.landLate()));
        const runs = racers.map(({ script, plan }, racer) =>
          live(world.actor(plan, race.gate(racer)), script, acknowledged),
        );
        await race.run(Promise.all(runs));
        await settle(world, acknowledged);
      },
    );
  };

  test("random traffic, random faults, two sealers and a client racing call by call", {
    timeout: 1_800_000,
  }, async () => {
    await fc.assert(racing(steps, startSize), { numRuns: 150 * TIMES });
  });

  test("random faults, anchorers racing with readers", { timeout: 1_800_000 }, async () => {
    const step = fc.oneof(
      fc.record({
        do: fc.constant("append" as const),
        entries: fc.array(fc.nat(3), { minLength: 1, maxLength: 2 }),
      }),
      fc.record({ do: fc.constant("prove" as const), entry: fc.nat(3) }),
      fc.record({ do: fc.constantFrom("seal" as const, "anchor" as const) }),
      fc.record({ do: fc.constant("anchor" as const) }),
    );
    const traffic = fc.array(step, { minLength: 2, maxLength: 10 });
    await fc.assert(racing(traffic, fc.constant(1)), { numRuns: 150 * TIMES });
  });
});

/**
 * A racer goes on for a stretch before the choices pick another, so that one often stands still between two calls while
 * the other seals and publishes whole batches.
 */
function inStretches(choices: Iterator<number>, landLate: () => Promise<void>) {
  let current = 0;
  return async (waiting: readonly number[]) => {
    const choice = Number(choices.next().value);
    if (choice % 50 === 0) await landLate();
    const any = Math.floor(choice / 16) % Math.max(waiting.length, 1);
    if (choice % 16 === 0) current = waiting[any] ?? current;
    const stretch = waiting.indexOf(current);
    return stretch === -1 ? any : stretch;
  };
}

describe("I6 no rollback", () => {
  test("a store restored from any earlier moment signs nothing once more has been published", async () => {
    await fc.assert(
      fc.asyncProperty(startSize, steps, steps, async (size, before, after) => {
        const { world, acknowledged } = await startWorld(size);
        await live(world.actor(), before, acknowledged);
        const items = world.store.items();
        const then = (await readHead(world.store, LOG)).published;
        await live(
          world.actor(),
          [...after, { do: "append", entries: [7_777] }, { do: "seal" }],
          acknowledged,
        );
        const now = (await readHead(world.store, LOG)).published;
        expect(now).toBeGreaterThan(then);

        const restored = newWorld({ items, files: world.publication.files, runs: world.index.files });
        await append(restored.actor(), LOG, [entry(8_888)]);
        await expect(take(restored.actor(), { do: "seal" }, [])).rejects.toMatchObject({ code: "rollback" });
        expect(restored.observed.signed).toEqual([]);
      }),
      { numRuns: 60 * TIMES },
    );
  });

  test("the anchor log is refused like any other", async () => {
    const { world, acknowledged } = await startWorld(10);
    await live(world.actor(), [{ do: "anchor" }], acknowledged);
    const items = world.store.items();
    const more: Step[] = [{ do: "append", entries: [7_777] }, { do: "seal" }, { do: "anchor" }];
    await live(world.actor(), more, acknowledged);

    const restored = newWorld({ items, files: world.publication.files, runs: world.index.files });
    await expect(take(restored.actor(), { do: "anchor" }, [])).rejects.toMatchObject({ code: "rollback" });
    expect(restored.observed.signed).toEqual([]);
  });

  test.each([
    ["another, empty table", (world: World) => ({ files: world.publication.files, runs: world.index.files })],
    ["another, empty publication", (world: World) => ({ items: world.store.items() })],
  ])("%s signs nothing", async (_, from) => {
    const { world } = await startWorld(10);
    const other = newWorld(from(world));
    await append(other.actor(), LOG, [entry(8_888)]);
    await expect(take(other.actor(), { do: "seal" }, [])).rejects.toMatchObject({ code: "rollback" });
    expect(other.observed.signed).toEqual([]);
  });

  test("a store of the same size and another history signs nothing", async () => {
    const one = await startWorld(10);
    const other = newWorld();
    await append(
      other.actor(),
      LOG,
      Array.from({ length: 10 }, (_, n) => entry(500 + n)),
    );
    await take(other.actor(), { do: "seal" }, []);
    const mixed = newWorld({
      items: other.store.items(),
      files: one.world.publication.files,
      runs: one.world.index.files,
    });
    await append(mixed.actor(), LOG, [entry(8_888)]);
    await expect(take(mixed.actor(), { do: "seal" }, [])).rejects.toMatchObject({ code: "rollback" });
    expect(mixed.observed.signed).toEqual([]);
  });
});
