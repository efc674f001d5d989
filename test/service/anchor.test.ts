import { parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { formatVkey } from "@kedge/verify/tlog/note";
import { parsePolicy } from "@kedge/verify/tlog/policy";
import { parseProof } from "@kedge/verify/tlog/proof";
import { sha256 } from "@noble/hashes/sha2.js";
import { describe, expect, test } from "vitest";
import { ServiceError } from "../../platform/error.ts";
import { anchor, waitingSince } from "../../service/anchor.ts";
import { ANCHOR, anchoredKey, publicKey } from "../../service/anchor-items.ts";
import { append } from "../../service/append.ts";
import { checkpointKey } from "../../service/checkpoints.ts";
import { headKey, lastCheckpoint, readHead } from "../../service/head.ts";
import { logsKey } from "../../service/logs.ts";
import { entryStatus, prove } from "../../service/prove.ts";
import { seal } from "../../service/seal.ts";
import { type SweptLog, sweep } from "../../service/sweep.ts";
import { cosignedBy as cosignatureLine, ed25519Cosigner } from "../packages/verify/tlog/signers.ts";
import { type Actor, LOG, newWorld, ORIGIN, type World } from "../support/world.ts";

const entry = (n: number): Uint8Array => sha256(new TextEncoder().encode(`entry ${n}`));
const NO_WITNESSES = parsePolicy("quorum none\n");

async function sealEntries(actor: Actor, ...numbers: number[]): Promise<void> {
  await append(actor, LOG, numbers.map(entry));
  await seal(actor, { id: LOG, origin: ORIGIN, sign: actor.signLog });
}

const assuranceOf = async ({ reading }: World, n: number, policy = NO_WITNESSES) =>
  (await entryStatus({ ...reading, policy }, LOG, entry(n)))?.assurance;

test("a log that seals during every anchor run is anchored all the same", async () => {
  const world = newWorld();
  const actor = world.actor();
  let n = 0;
  await sealEntries(actor, n++);
  // The tenant seals once more whenever the anchor log is being signed, so its head is never what was just anchored.
  const busy: Actor = {
    ...actor,
    async signAnchor(checkpoint) {
      await sealEntries(actor, n++);
      return await actor.signAnchor(checkpoint);
    },
  };
  for (let run = 1; run <= 5; run++) {
    expect((await anchor(busy)).anchored).toBe(1);
    for (let sealed = 0; sealed < run; sealed++) expect(await assuranceOf(world, sealed)).toBe("anchored");
  }
});

test("an entry's proof uses the earliest anchored checkpoint that covers it, for ever", async () => {
  const world = newWorld();
  const actor = world.actor();
  await sealEntries(actor, 1);
  await anchor(actor);
  const context = { ...world.reading, policy: NO_WITNESSES };
  const [first] = await prove(context, LOG, [entry(1)]);
  for (const n of [2, 3]) {
    await sealEntries(actor, n);
    await anchor(actor);
  }
  expect(await prove(context, LOG, [entry(1)])).toEqual([first]);
});

test("proofs of many entries at once are those of each alone", async () => {
  const world = newWorld();
  const actor = world.actor();
  for (let batch = 0; batch < 40; batch++) {
    await sealEntries(actor, 3 * batch, 3 * batch + 1, 3 * batch + 2);
    if (batch % 3 === 0) await anchor(actor);
  }
  const context = { ...world.reading, policy: NO_WITNESSES };
  const entries = Array.from({ length: 120 }, (_, n) => entry((n * 37) % 120));
  const together = await prove(context, LOG, entries);
  for (const [i, alone] of entries.entries())
    expect([together[i]]).toEqual(await prove(context, LOG, [alone]));
});

test("one run anchors the checkpoints of more logs than one page and one bundle hold", async () => {
  const world = newWorld();
  const actor = world.actor();
  const logs = Array.from({ length: 300 }, (_, n) => `b${String(n).padStart(18, "a")}`);
  for (const id of logs) {
    const origin = `kedge.example/log/${id}`;
    await world.store.put({ ...logsKey(id), origin, tenant: "t" });
    await append(actor, id, [entry(1)]);
    await seal(actor, { id, origin, sign: actor.signLog });
  }
  expect((await anchor(actor)).anchored).toBe(300);
  for (const id of logs) {
    const status = await entryStatus({ ...world.reading, policy: NO_WITNESSES }, id, entry(1));
    expect(status?.assurance).toBe("anchored");
  }
});

describe("the public checkpoint fails closed", () => {
  test("without a quorum it stays where it is, sealing goes on, and proofs say anchored", async () => {
    const world = newWorld();
    const { policy } = newWitness("witness.example/w");
    const actor: Actor = { ...world.actor(), policy };
    await sealEntries(actor, 1);
    expect(await anchor(actor)).toMatchObject({ anchored: 1, size: 1n, publicSize: 0n, quorum: false });
    expect(await world.store.get([publicKey()])).toEqual([undefined]);
    expect(await assuranceOf(world, 1, policy)).toBe("anchored");
    await sealEntries(actor, 2);
    expect(await anchor(actor)).toMatchObject({ size: 2n, publicSize: 0n, quorum: false });
  });

  test("with the quorum's cosignatures it moves, and proofs say witnessed and carry them", async () => {
    const world = newWorld();
    const witness = newWitness("witness.example/w");
    const actor = cosignedBy(world, witness);
    await sealEntries(actor, 1);
    expect(await anchor(actor)).toMatchObject({ publicSize: 1n, quorum: true });
    const [proof] = await prove({ ...world.reading, policy: witness.policy }, LOG, [entry(1)]);
    if (proof === undefined || proof === "pending") throw new Error("no proof");
    expect(proof.assurance).toBe("witnessed");
    expect(new TextDecoder().decode(parseProof(proof.proof).extra)).toContain("witness.example/w");
  });

  test("a witness demanded later: what is public without it is no quorum any more", async () => {
    const world = newWorld();
    await sealEntries(world.actor(), 1);
    expect(await anchor(world.actor())).toMatchObject({ quorum: true });
    const { policy } = newWitness("witness.example/w");
    expect(await anchor({ ...world.actor(), policy })).toMatchObject({ publicSize: 1n, quorum: false });
    expect(await assuranceOf(world, 1, policy)).toBe("anchored");
  });

  test("witnesses that are turned on, or changed, witness old entries with the next public checkpoint", async () => {
    const world = newWorld();
    await sealEntries(world.actor(), 1);
    await anchor(world.actor());
    for (const [n, name] of [
      [2, "a.example/w1"],
      [3, "b.example/w2"],
    ] as const) {
      const witness = newWitness(name);
      const actor = cosignedBy(world, witness);
      await sealEntries(actor, n);
      await anchor(actor);
      for (let old = 1; old <= n; old++)
        expect(await assuranceOf(world, old, witness.policy)).toBe("witnessed");
    }
  });
});

describe("since when checkpoints wait to be public", () => {
  test("while none does, it is not said", async () => {
    const world = newWorld();
    await anchor(world.actor());
    expect(await waitingSince(world.store)).toBeUndefined();
    for (const n of [1, 2]) {
      await sealEntries(world.actor(), n);
      await anchor(world.actor());
      expect(await waitingSince(world.store)).toBeUndefined();
    }
  });

  test("while the quorum is missing, it is when the first of them was published, however many follow", async () => {
    const world = newWorld();
    await sealEntries(world.actor(), 0);
    await anchor(world.actor());
    const witness = newWitness("witness.example/w");
    const uncosigned: Actor = { ...world.actor(), policy: witness.policy };
    await sealEntries(uncosigned, 1);
    const { at: publishedAt } = lastCheckpoint(await readHead(world.store, LOG));
    // More than one bundle of the anchor log.
    for (let n = 2; n < 300; n++) {
      expect(await anchor(uncosigned)).toMatchObject({ quorum: false });
      expect(await waitingSince(world.store)).toBe(publishedAt);
      await sealEntries(uncosigned, n);
    }
    expect(await anchor(cosignedBy(world, witness))).toMatchObject({ quorum: true });
    expect(await waitingSince(world.store)).toBeUndefined();
  });

  test("while runs fail, it is when the first of them came, however often tenants seal", async () => {
    const world = newWorld();
    const refused: Actor = {
      ...world.actor(),
      signAnchor: () => Promise.reject(new ServiceError("signer", "KMS says no")),
    };
    await sealEntries(refused, 1);
    const { at: publishedAt } = lastCheckpoint(await readHead(world.store, LOG));
    await expect(anchor(refused)).rejects.toMatchObject({ code: "signer" });
    const since = await waitingSince(world.store);
    expect(since).toBeGreaterThanOrEqual(publishedAt);
    for (let n = 2; n < 10; n++) {
      await sealEntries(refused, n);
      await expect(anchor(refused)).rejects.toMatchObject({ code: "signer" });
      expect(await waitingSince(world.store)).toBe(since);
    }
    await anchor(world.actor());
    expect(await waitingSince(world.store)).toBeUndefined();
  });
});

describe("of a log's checkpoints a smaller one never comes after a larger one", () => {
  test("by a run that was slow: what it read is overtaken, and dropped", async () => {
    const world = newWorld();
    await sealEntries(world.actor(), 1);
    const actor = world.actor();
    let isSlow = true;
    const slow: Actor = {
      ...actor,
      store: {
        ...actor.store,
        async put(item, condition) {
          // Just before it appends what it read: the log goes on, and another run anchors that.
          if (isSlow && item.pk.startsWith("pending/anchor/")) {
            isSlow = false;
            await sealEntries(world.actor(), 2);
            await anchor(world.actor());
          }
          await actor.store.put(item, condition);
        },
      },
    };
    await anchor(slow);
    expect((await readHead(world.store, ANCHOR)).size).toBe(1n);
    expect([await assuranceOf(world, 1), await assuranceOf(world, 2)]).toEqual(["anchored", "anchored"]);
    expect(await pendingKeys(world)).toEqual([]);
  });

  test("by one that died and left it waiting", async () => {
    const world = newWorld();
    const refused: Actor = {
      ...world.actor(),
      signAnchor: () => Promise.reject(new ServiceError("signer", "KMS says no")),
    };
    await sealEntries(world.actor(), 1);
    const { note: checkpoint } = lastCheckpoint(await readHead(world.store, LOG));
    await sealEntries(world.actor(), 2);
    await expect(anchor(refused)).rejects.toMatchObject({ code: "signer" });
    await append(world.actor(), ANCHOR, [new TextEncoder().encode(checkpoint)]);
    await anchor(world.actor());
    expect((await readHead(world.store, ANCHOR)).size).toBe(1n);
    expect(await pendingKeys(world)).toEqual([]);
  });
});

const pendingKeys = async ({ store }: World): Promise<string[]> =>
  store.items().flatMap(({ pk, sk }) => (pk.startsWith("pending/anchor/") ? [sk] : []));

test("two anchorers at once: every checkpoint is in the anchor log once", async () => {
  const world = newWorld();
  await sealEntries(world.actor(), 1);
  await Promise.all([anchor(world.actor()), anchor(world.actor()), anchor(world.actor())]);
  await anchor(world.actor());
  expect((await readHead(world.store, ANCHOR)).published).toBe(1n);
  expect(await assuranceOf(world, 1)).toBe("anchored");
});

function newWitness(name: string) {
  const cosigner = ed25519Cosigner(name);
  return {
    policy: parsePolicy(`witness w ${formatVkey(cosigner.vkey)}\nquorum w\n`),
    cosign: (note: string): string =>
      note + cosignatureLine(cosigner, parseCheckpoint(note).checkpoint, 1_700_000_000n),
  };
}

/** An anchorer whose anchor checkpoints come back cosigned. */
function cosignedBy(world: World, { policy, cosign }: ReturnType<typeof newWitness>): Actor {
  const actor = world.actor();
  return { ...actor, policy, signAnchor: async (checkpoint) => cosign(await actor.signAnchor(checkpoint)) };
}

describe("who can write to the table, and not sign", () => {
  const THIEF = "z".repeat(19);

  test("cannot have a log's name signed over another tree: nothing is signed or anchored, and others go on", async () => {
    const world = newWorld();
    await sealEntries(world.actor(), 1, 2);
    await world.store.put({ ...logsKey(THIEF), origin: ORIGIN, tenant: "t" });
    await append(world.actor(), THIEF, [entry(66)]);
    const signed = world.observed.signed.length;
    const swept: SweptLog[] = [];
    for await (const one of sweep(world.actor())) swept.push(one);
    expect(swept).toContainEqual({ log: THIEF, error: expect.objectContaining({ code: "corrupt" }) });
    expect(world.observed.signed).toHaveLength(signed);
    await expect(anchor(world.actor())).rejects.toMatchObject({
      code: "corrupt",
      message: expect.stringContaining(THIEF),
    });
    expect(await assuranceOf(world, 1)).toBe("anchored");
  });

  test("cannot slip a made-up checkpoint among what waits, nor block a log by one that got in", async () => {
    const world = newWorld();
    await sealEntries(world.actor(), 1);
    await anchor(world.actor());
    const { note: checkpoint } = lastCheckpoint(await readHead(world.store, LOG));
    const made = (size: number) => checkpoint.replace(/\n\d+\n/, `\n${size}\n`);
    const bytes = (text: string) => new TextEncoder().encode(text);
    const strange = [made(999), "junk\n", `\ufeff${checkpoint}`, made(7).replaceAll(LOG, "\u00e9")];
    await append(world.actor(), ANCHOR, [...strange.map(bytes), bytes(checkpoint)]);
    await sealEntries(world.actor(), 2);
    expect(await anchor(world.actor())).toMatchObject({ anchored: 1, size: 2n });
    expect(await assuranceOf(world, 2)).toBe("anchored");
    // As if it had been written to the marks.
    await world.store.put({ ...anchoredKey(LOG, 999n), index: 0n, note: made(999) });
    // Or a true one of another log, or under no size at all.
    const other = "b".repeat(19);
    await world.store.put({ ...checkpointKey(other, 1_000n), note: made(1_000).replace(LOG, other), at: 0n });
    const marks = anchoredKey(LOG, 1_000n);
    await world.store.put({ ...marks, index: 0n, note: made(1_000).replace(LOG, other) });
    await world.store.put({ ...marks, sk: "zzz", index: 0n, note: "junk\n" });
    await sealEntries(world.actor(), 3);
    expect(await anchor(world.actor())).toMatchObject({ anchored: 1, size: 3n });
    expect(await pendingKeys(world)).toEqual([]);
  });

  test("cannot put anything but a log's own checkpoint into the anchor log; the rest is anchored", async () => {
    const world = newWorld();
    const other = "b".repeat(19);
    await world.store.put({ ...logsKey(other), origin: `kedge.example/log/${other}`, tenant: "t" });
    await sealEntries(world.actor(), 1);
    const [head] = await world.store.get([headKey(LOG)]);
    if (head === undefined) expect.fail("no head");
    const own = String(head["checkpoint"]).replace(LOG, other);
    const long = `${own}${own.split("\n").at(-2)}\n`.repeat(1) + `${own.split("\n").at(-2)}\n`.repeat(12);
    for (const checkpoint of [`${head["checkpoint"]}`, "junk\n", "", long]) {
      await world.store.put({ ...head, ...headKey(other), checkpoint });
      await expect(anchor(world.actor())).rejects.toMatchObject({ message: expect.stringContaining(other) });
    }
    expect(await assuranceOf(world, 1)).toBe("anchored");
    expect((await readHead(world.store, ANCHOR)).size).toBe(1n);
    await world.store.write([], [headKey(other)]);
    expect(await anchor(world.actor())).toMatchObject({ anchored: 0, quorum: true });
  });
});
