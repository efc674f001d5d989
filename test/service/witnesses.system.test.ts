/** The anchorer and its witnesses: honest, absent, slow, lying. The public checkpoint is never below the quorum. */

import { commitEvent } from "@kedge/verify/events/commitment";
import { verifyEvent } from "@kedge/verify/proof/verify";
import { type Checkpoint, parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { leafHash } from "@kedge/verify/tlog/merkle";
import { parsePolicy, verifyPolicy } from "@kedge/verify/tlog/policy";
import { bytesToHex } from "@noble/hashes/utils.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ServiceError } from "../../platform/error.ts";
import { anchor } from "../../service/anchor.ts";
import { ANCHOR, publicCheckpointKey, publicKey } from "../../service/anchor-items.ts";
import { append } from "../../service/append.ts";
import type { WitnessOutcome } from "../../service/ask-witness.ts";
import { readHead } from "../../service/head.ts";
import { cosignedKey } from "../../service/kept-cosignatures.ts";
import { entryStatus, prove } from "../../service/prove.ts";
import { seal } from "../../service/seal.ts";
import type { Witnessing } from "../../service/witnesses.ts";
import {
  cosignedBy,
  ed25519Cosigner,
  ed25519Signer,
  lineBy,
  mldsaCosigner,
} from "../packages/verify/tlog/signers.ts";
import {
  type Answer,
  type Asked,
  exchangeWith,
  type FakeWitness,
  fakeWitness,
  policyOf,
  WITNESS_TIME,
} from "../support/witness.ts";
import {
  type Actor,
  ANCHOR_ORIGIN,
  Died,
  FAULTS,
  LOG,
  newWorld,
  ORIGIN,
  type World,
} from "../support/world.ts";

const entry = (n: number): Uint8Array => leafHash(new TextEncoder().encode(`entry ${n}`));
const anchorKey = () => newWorld().vkeys.anchor;

/** Nobody waits here unless a test says so. */
const QUICK = { firstPauseMs: 0, requestMs: 5_000, deadlineMs: 5_000, graceMs: 5_000 };

function witnessesNamed(...names: string[]): FakeWitness[] {
  return names.map((name) => fakeWitness(name, anchorKey));
}

/** An anchorer that reaches these witnesses, of whom so many must cosign. */
function anchorer(
  actor: Actor,
  witnesses: readonly FakeWitness[],
  quorum: number | "none",
  more: Partial<Witnessing> = {},
): Actor {
  const exchange = exchangeWith(witnesses);
  return {
    ...actor,
    policy: parsePolicy(policyOf(witnesses, quorum)),
    witnessing: { ...QUICK, exchange: (request) => actor.call(() => exchange(request)), ...more },
  };
}

async function sealEntries(actor: Actor, ...numbers: number[]): Promise<void> {
  await append(actor, LOG, numbers.map(entry));
  await seal(actor, { id: LOG, origin: ORIGIN, sign: actor.signLog });
}

async function publicNote({ store }: World): Promise<string | undefined> {
  const [item] = await store.get([publicKey()]);
  const note = item?.["note"];
  return typeof note === "string" ? note : undefined;
}

const assuranceOf = async ({ reading }: World, { policy }: Actor, n: number) =>
  (await entryStatus({ ...reading, policy }, LOG, entry(n)))?.assurance;

const oldSizes = ({ posted }: FakeWitness) => posted.map((body) => Number(body.slice(4, body.indexOf("\n"))));

describe("an honest witness", () => {
  test("is asked once a run, from the size that it had, and proofs say witnessed", async () => {
    const world = newWorld();
    const [w] = witnessesNamed("w") as [FakeWitness];
    const actor = anchorer(world.actor(), [w], 1);
    for (let n = 1; n <= 4; n++) {
      await sealEntries(actor, n);
      expect(await anchor(actor)).toMatchObject({ publicSize: BigInt(n), quorum: true });
      expect(await assuranceOf(world, actor, n)).toBe("witnessed");
    }
    expect(oldSizes(w)).toEqual([0, 1, 2, 3]);
    // Nothing new: nobody is asked.
    expect(await anchor(actor)).toMatchObject({ quorum: true, asked: [] });
    expect(w.posted).toHaveLength(4);
  });

  test("with keys of both kinds is one witness with one URL, and both cosignatures are published", async () => {
    const world = newWorld();
    const w = fakeWitness("w", anchorKey, ["ed25519", "mldsa44"]);
    const actor = anchorer(world.actor(), [w], 1);
    await sealEntries(actor, 1);
    expect(await anchor(actor)).toMatchObject({
      quorum: true,
      asked: [{ witness: "w-0 w-1", outcome: "cosigned" }],
    });
    expect(w.posted).toHaveLength(1);
    const note = (await publicNote(world)) ?? "";
    const { cosigned, invalid } = verifyPolicy({ policy: actor.policy, checkpoint: note });
    expect([cosigned.map(({ name }) => name), invalid]).toEqual([["w-0", "w-1"], []]);
    expect(parseCheckpoint(note).note.signatures).toHaveLength(3);
  });

  test("is sent the log's signatures alone, so that other witnesses' do not fill its body limit", async () => {
    const world = newWorld();
    const [a, b] = witnessesNamed("a", "b") as [FakeWitness, FakeWitness];
    const actor = anchorer(world.actor(), [a, b], 2);
    b.manner = () => ({ status: 500 });
    await sealEntries(actor, 1);
    await anchor(actor);
    b.manner = undefined;
    await anchor(actor);
    for (const body of [...a.posted, ...b.posted]) expect(body).not.toContain("witness");
  });

  test("with a body limit of 16 KiB cosigns, while the log's keys take over and the others' cosignatures exceed it", async () => {
    const world = newWorld();
    const others = ["a", "b", "c"].map((name) => fakeWitness(name, anchorKey, ["ed25519", "mldsa44"]));
    const [w] = witnessesNamed("w") as [FakeWitness];
    const base = anchorer(world.actor(), [...others, w], 4);
    const next = ed25519Signer(ANCHOR_ORIGIN, "next");
    const mldsa = ["now", "next"].map((seed) => mldsaCosigner(ANCHOR_ORIGIN, seed));
    const lines = (checkpoint: Checkpoint) => [
      lineBy(next, checkpoint),
      ...mldsa.map((cosigner) => cosignedBy(cosigner, checkpoint, 1n)),
    ];
    const actor: Actor = {
      ...base,
      anchorVkeys: async () => [...(await base.anchorVkeys()), next.vkey, ...mldsa.map(({ vkey }) => vkey)],
      signAnchor: async (checkpoint) => `${await base.signAnchor(checkpoint)}${lines(checkpoint).join("")}`,
    };
    const limit = 16 * 1024;
    w.manner = () => ({ status: 500 });
    await sealEntries(actor, 1);
    expect(await anchor(actor)).toMatchObject({ quorum: false });
    w.manner = (asked, honest) =>
      "post" in asked && Buffer.byteLength(asked.post) > limit ? { status: 413 } : honest(asked);
    expect(await anchor(actor)).toMatchObject({ quorum: true, asked: [{ witness: "w-0" }] });
    expect(Buffer.byteLength((await publicNote(world)) ?? "")).toBeGreaterThan(limit);
  });

  test("of a policy that needs none is asked all the same", async () => {
    const world = newWorld();
    const [w] = witnessesNamed("w") as [FakeWitness];
    const actor = anchorer(world.actor(), [w], "none");
    await sealEntries(actor, 1);
    await anchor(actor);
    expect(await publicNote(world)).toContain("w.example/witness");
  });

  test("turned on while nothing is new witnesses what is public already", async () => {
    const world = newWorld();
    await sealEntries(world.actor(), 1);
    await anchor(world.actor());
    const [before] = await world.store.get([publicCheckpointKey(1n)]);
    const actor = anchorer(world.actor(), witnessesNamed("w"), 1);
    expect(await assuranceOf(world, actor, 1)).toBe("anchored");
    expect(await anchor(actor)).toMatchObject({ publicSize: 1n, quorum: true });
    expect(await assuranceOf(world, actor, 1)).toBe("witnessed");
    // Whoever has fetched the checkpoint by its size has what is there.
    expect(await world.store.get([publicCheckpointKey(1n)])).toEqual([before]);
  });
});

describe("what a witness has instead of what is remembered of it", () => {
  async function afterThree(change: (w: FakeWitness) => void) {
    const world = newWorld();
    const [w] = witnessesNamed("w") as [FakeWitness];
    const actor = anchorer(world.actor(), [w], 1);
    const heads: Checkpoint[] = [];
    for (const n of [1, 2, 3]) {
      await sealEntries(actor, n);
      await anchor(actor);
      if (w.latest) heads.push(w.latest);
    }
    await sealEntries(actor, 4);
    w.posted.length = 0;
    change(w);
    return { world, actor, w, heads, run: await anchor(actor) };
  }

  /** A witness that has forgotten the second of two checkpoints. */
  async function setBack() {
    const world = newWorld();
    const [w] = witnessesNamed("w") as [FakeWitness];
    const actor = anchorer(world.actor(), [w], 1);
    await sealEntries(actor, 1);
    await anchor(actor);
    const old = w.latest;
    await sealEntries(actor, 2);
    await anchor(actor);
    w.latest = old;
    w.posted.length = 0;
    return { w, actor };
  }

  test("restarted empty: it says 0, and has no proof to check", async () => {
    const { w, run } = await afterThree((w) => {
      w.latest = undefined;
    });
    expect([run.quorum, oldSizes(w)]).toEqual([true, [3, 0]]);
  });

  test("behind: it is brought up from the size that it says", async () => {
    const { w, actor } = await setBack();
    await sealEntries(actor, 3);
    expect(await anchor(actor)).toMatchObject({ quorum: true });
    expect(oldSizes(w)).toEqual([2, 1]);
  });

  test("ahead of this checkpoint: nothing is published, and nothing is proven that is not there", async () => {
    const { w, run } = await afterThree((w) => {
      if (w.latest) w.latest = { ...w.latest, size: 99n };
    });
    expect(run).toMatchObject({ quorum: false, publicSize: 3n, asked: [{ outcome: "ahead", status: 409 }] });
    expect(oldSizes(w)).toEqual([3]);
  });

  test("409 without a size: it is offered 0, and then says its size", async () => {
    const { w, run } = await afterThree((w) => {
      if (w.latest) w.latest = undefined;
      let first = true;
      w.manner = (asked, honest) => {
        const answer = honest(asked);
        const silent = answer.status === 409 && first;
        first = false;
        return silent ? { status: 409 } : answer;
      };
    });
    expect([run.quorum, oldSizes(w)]).toEqual([true, [3, 0]]);
  });

  test("409 that never has a size: what it serves to monitors has", async () => {
    const { w, actor } = await setBack();
    w.manner = (asked, honest) => {
      const answer = honest(asked);
      return answer.status === 409 ? { status: 409, body: "Conflict" } : answer;
    };
    await sealEntries(actor, 3);
    expect(await anchor(actor)).toMatchObject({ quorum: true });
    expect(oldSizes(w)).toEqual([2, 0, 1]);
  });
});

/** What an answer of a witness is that did not give what it was asked for. */
const MANNERS: [what: string, outcome: WitnessOutcome, manner: NonNullable<FakeWitness["manner"]>][] = [
  ["down", "unreachable", () => Promise.reject(new Error("ECONNREFUSED"))],
  ["an error of its own", "unreachable", () => ({ status: 500 })],
  ["a gateway without it", "unreachable", () => ({ status: 503, body: "<html>" })],
  ["busy, for longer than a run", "busy", () => ({ status: 429, headers: { "Retry-After": "3600" } })],
  ["busy", "busy", () => ({ status: 429 })],
  ["moved", "refused", () => ({ status: 301, headers: { Location: "https://b.example/" } })],
  ["does not like the body", "refused", () => ({ status: 400 })],
  ["does not know the key, or by an older text the log", "refused", () => ({ status: 403 })],
  ["does not know the log", "refused", () => ({ status: 404 })],
  ["a body limit", "refused", () => ({ status: 413 })],
  ["another history", "inconsistent", () => ({ status: 422 })],
  ["another history, by an older text", "inconsistent", (asked) => ({ status: 409, body: offered(asked) })],
  ["409 with a larger size", "ahead", () => ({ status: 409, body: "9223372036854775807\n" })],
  ["409 with garbage, and nothing to read", "refused", garbled({ status: 409, body: "007\n" })],
  ["409 with a page, and a page to read", "refused", () => ({ status: 409, body: "<html>".repeat(9_999) })],
  ["409 with another size each time", "refused", liar()],
  ["nothing", "invalid", () => ({ status: 200 })],
  ["garbage", "invalid", () => ({ status: 200, body: "\0\xff— \n\n" })],
  ["one line of garbage", "invalid", () => ({ status: 200, body: "— w.example/witness AAAA\n" })],
  ["65 lines", "invalid", () => ({ status: 200, body: "— x.example/w AAAAAAAAAAAA\n".repeat(65) })],
  ["signs another root", "invalid", signs((head) => ({ ...head, root: entry(0) }))],
  ["signs another size", "invalid", signs((head) => ({ ...head, size: head.size + 1n }))],
  ["signs another log", "invalid", signs((head) => ({ ...head, origin: "b.example/anchor" }))],
  ["signs with another key of its name", "invalid", signs((head) => head, "another seed")],
  ["signs no time", "invalid", signs((head) => head, "w.example/witness", 0n)],
];

function offered(asked: Asked): string {
  return "post" in asked ? asked.post.slice(4, asked.post.indexOf("\n") + 1) : "";
}

function garbled(answer: Answer): NonNullable<FakeWitness["manner"]> {
  return (asked) => ("post" in asked ? answer : { status: 404 });
}

function liar(): NonNullable<FakeWitness["manner"]> {
  return (asked) => ({ status: 409, body: `${(Number(offered(asked)) + 1) % 5}\n` });
}

function signs(
  of: (head: Checkpoint) => Checkpoint,
  seed = "w.example/witness",
  time = WITNESS_TIME,
): NonNullable<FakeWitness["manner"]> {
  const cosigner = ed25519Cosigner("w.example/witness", seed);
  return (asked) => {
    if (!("post" in asked)) return { status: 404 };
    const { checkpoint } = parseCheckpoint(asked.post.slice(asked.post.indexOf("\n\n") + 2));
    return { status: 200, body: cosignedBy(cosigner, of(checkpoint), time) };
  };
}

describe("a witness that does not cosign", () => {
  test.each(MANNERS)(
    "%s: the public checkpoint stays, and follows once it does",
    async (_, outcome, manner) => {
      const world = newWorld();
      const [w] = witnessesNamed("w") as [FakeWitness];
      const actor = anchorer(world.actor(), [w], 1);
      const numbers = [1, 2, 3, 4, 5];
      for (const n of numbers) {
        await sealEntries(actor, n);
        await anchor(actor);
      }
      await sealEntries(actor, 6);
      w.manner = manner;
      w.posted.length = 0;
      const before = await publicNote(world);
      const { quorum, publicSize, size, asked } = await anchor(actor);
      expect({ quorum, publicSize, size, outcome: asked[0]?.outcome }).toEqual({
        quorum: false,
        publicSize: 5n,
        size: 6n,
        outcome,
      });
      expect(await publicNote(world)).toBe(before);
      expect(await assuranceOf(world, actor, 6)).toBe("anchored");
      expect(w.posted.length).toBeLessThanOrEqual(4);

      w.manner = undefined;
      expect(await anchor(actor)).toMatchObject({ quorum: true, publicSize: 6n });
      for (const n of [...numbers, 6]) expect(await assuranceOf(world, actor, n)).toBe("witnessed");
    },
  );

  test("what is invalid is told by the witness's name in the policy, and does not spoil what is valid", async () => {
    const world = newWorld();
    const w = fakeWitness("w", anchorKey, ["ed25519", "mldsa44"]);
    const actor = anchorer(world.actor(), [w], 1);
    w.manner = (asked, honest) => {
      const { status, body = "" } = honest(asked);
      const [first = "", second = ""] = body.split("\n");
      const altered = `${second.slice(0, 40)}${second[40] === "A" ? "B" : "A"}${second.slice(41)}`;
      const unknown = cosignedBy(ed25519Cosigner("x.example/x"), { ...head(asked), size: 7n }, WITNESS_TIME);
      return { status, body: `${unknown}${first}\n${altered}\n` };
    };
    await sealEntries(actor, 1);
    expect(await anchor(actor)).toMatchObject({
      quorum: true,
      asked: [{ outcome: "cosigned", invalid: ["w-1"] }],
    });
    const { note } = parseCheckpoint((await publicNote(world)) ?? "");
    expect(note.signatures.map(({ name }) => name)).toEqual([ANCHOR_ORIGIN, "w.example/witness"]);
  });

  test("a cosignature of an earlier checkpoint, played again, does not count", async () => {
    const world = newWorld();
    const [w] = witnessesNamed("w") as [FakeWitness];
    const actor = anchorer(world.actor(), [w], 1);
    let first: Answer | undefined;
    w.manner = (asked, honest) => {
      first ??= honest(asked);
      return first;
    };
    await sealEntries(actor, 1);
    expect(await anchor(actor)).toMatchObject({ quorum: true });
    await sealEntries(actor, 2);
    expect(await anchor(actor)).toMatchObject({
      quorum: false,
      publicSize: 1n,
      asked: [{ outcome: "invalid" }],
    });
  });

  test("silence passes after its time, and the others' cosignatures count", async () => {
    const world = newWorld();
    const [a, b, c] = witnessesNamed("a", "b", "c") as [FakeWitness, FakeWitness, FakeWitness];
    c.manner = () => new Promise(() => undefined);
    const actor = anchorer(world.actor(), [a, b, c], 2, { requestMs: 20 });
    await sealEntries(actor, 1);
    const { quorum, asked } = await anchor(actor);
    expect(quorum).toBe(true);
    expect(asked.map(({ outcome }) => outcome)).toEqual(["cosigned", "cosigned", "unreachable"]);
  });

  test("with a quorum, a slow one is waited for a little; without one, until the deadline", async () => {
    const world = newWorld();
    const [a, b] = witnessesNamed("a", "b") as [FakeWitness, FakeWitness];
    b.manner = () => new Promise(() => undefined);
    const forEver = 100_000;
    const limits = { requestMs: forEver, deadlineMs: forEver, graceMs: forEver };
    await sealEntries(world.actor(), 1);
    // Each would outlast the test but for the one limit that is short.
    expect(await anchor(anchorer(world.actor(), [a, b], 2, { ...limits, deadlineMs: 20 }))).toMatchObject({
      quorum: false,
    });
    expect(await anchor(anchorer(world.actor(), [a, b], 1, { ...limits, graceMs: 20 }))).toMatchObject({
      quorum: true,
    });
  });

  test.each([
    ["seconds", () => "11"],
    ["a date", () => new Date(Date.now() + 3_600_000).toUTCString()],
  ])("one that asks to be left alone for long, by %s, is left to the next run", async (_, wait) => {
    const world = newWorld();
    const [w] = witnessesNamed("w") as [FakeWitness];
    const actor = anchorer(world.actor(), [w], 1);
    w.manner = () => ({ status: 429, headers: { "Retry-After": wait() } });
    await sealEntries(actor, 1);
    expect(await anchor(actor)).toMatchObject({ quorum: false, asked: [{ outcome: "busy", status: 429 }] });
    expect(w.posted).toHaveLength(1);
  });

  test("a date that has passed, or a wait that is none, is no reason to give up", async () => {
    const world = newWorld();
    const [w] = witnessesNamed("w") as [FakeWitness];
    const actor = anchorer(world.actor(), [w], 1);
    const waits = ["Wed, 21 Oct 2015 07:28:00 GMT", "soon"];
    w.manner = (asked, honest) => {
      const wait = waits.shift();
      return wait === undefined ? honest(asked) : { status: 429, headers: { "Retry-After": wait } };
    };
    await sealEntries(actor, 1);
    expect(await anchor(actor)).toMatchObject({ quorum: true });
  });

  test("a passing failure is tried again within the run", async () => {
    const world = newWorld();
    const [w] = witnessesNamed("w") as [FakeWitness];
    const actor = anchorer(world.actor(), [w], 1);
    const answers: Answer[] = [{ status: 502 }, { status: 429, headers: { "Retry-After": "0" } }];
    w.manner = (asked, honest) => answers.shift() ?? honest(asked);
    await sealEntries(actor, 1);
    expect(await anchor(actor)).toMatchObject({ quorum: true });
    expect(w.posted).toHaveLength(3);
  });
});

const head = (asked: Asked): Checkpoint =>
  parseCheckpoint("post" in asked ? asked.post.slice(asked.post.indexOf("\n\n") + 2) : "").checkpoint;

describe("what was collected below the quorum", () => {
  test("is kept for the next run, which asks only the others", async () => {
    const world = newWorld();
    const [a, b, c] = witnessesNamed("a", "b", "c") as [FakeWitness, FakeWitness, FakeWitness];
    const actor = anchorer(world.actor(), [a, b, c], 3);
    b.manner = () => ({ status: 500 });
    c.manner = () => ({ status: 404 });
    await sealEntries(actor, 1);
    expect(await anchor(actor)).toMatchObject({ quorum: false });
    b.manner = undefined;
    expect(await anchor(actor)).toMatchObject({ quorum: false });
    c.manner = undefined;
    expect(await anchor(actor)).toMatchObject({ quorum: true, publicSize: 1n });
    expect(a.posted).toHaveLength(1);
    const { cosigned } = verifyPolicy({ policy: actor.policy, checkpoint: (await publicNote(world)) ?? "" });
    expect(cosigned.map(({ name }) => name)).toEqual(["a-0", "b-0", "c-0"]);
  });

  test.each([
    ["the first that is kept", []],
    ["added to what is kept", ["c"]],
  ])("by another anchorer at the same time is joined: %s", async (_, before) => {
    const world = newWorld();
    const [a, b, c] = witnessesNamed("a", "b", "c") as [FakeWitness, FakeWitness, FakeWitness];
    const policy = parsePolicy(policyOf([a, b, c], 2 + before.length));
    /** An anchorer that reaches only some. */
    const reaching = (some: FakeWitness[]): Actor => ({
      ...world.actor(),
      policy,
      witnessing: { ...QUICK, exchange: exchangeWith(some) },
    });
    await sealEntries(world.actor(), 1);
    await anchor(reaching(before.length > 0 ? [c] : []));
    // Neither writes what it has before both have read what is there.
    let reached = 0;
    let open = () => {};
    const both = new Promise<void>((resolve) => {
      open = resolve;
    });
    const held = (actor: Actor): Actor => ({
      ...actor,
      store: {
        ...actor.store,
        async put(item, condition) {
          if (item.sk === cosignedKey(1n).sk && ++reached === 2) open();
          if (item.sk === cosignedKey(1n).sk) await both;
          await actor.store.put(item, condition);
        },
      },
    });
    await Promise.all([anchor(held(reaching([a]))), anchor(held(reaching([b])))]);
    expect(reached).toBe(3);
    expect(await anchor(reaching([]))).toMatchObject({ quorum: true, publicSize: 1n });
    const { cosigned } = verifyPolicy({ policy, checkpoint: (await publicNote(world)) ?? "" });
    expect(cosigned.map(({ name }) => name)).toEqual(["a-0", "b-0", ...before.map((name) => `${name}-0`)]);
  });

  test("of a checkpoint that was overtaken is asked for no more: the newest is", async () => {
    const world = newWorld();
    const [a, b] = witnessesNamed("a", "b") as [FakeWitness, FakeWitness];
    const actor = anchorer(world.actor(), [a, b], 2);
    b.manner = () => ({ status: 500 });
    for (const n of [1, 2, 3]) {
      await sealEntries(actor, n);
      expect(await anchor(actor)).toMatchObject({ quorum: false, publicSize: 0n });
    }
    b.manner = undefined;
    b.posted.length = 0;
    expect(await anchor(actor)).toMatchObject({ quorum: true, publicSize: 3n });
    expect(b.posted).toHaveLength(1);
    for (const n of [1, 2, 3]) expect(await assuranceOf(world, actor, n)).toBe("witnessed");
  });

  test("and was altered in the store is not published", async () => {
    const world = newWorld();
    const [a, b] = witnessesNamed("a", "b") as [FakeWitness, FakeWitness];
    const actor = anchorer(world.actor(), [a, b], 2);
    b.manner = () => ({ status: 500 });
    await sealEntries(actor, 1);
    await anchor(actor);
    const [item] = await world.store.get([cosignedKey(1n)]);
    const forged = cosignedBy(
      ed25519Cosigner("b.example/witness"),
      { ...latestOf(a), size: 2n },
      WITNESS_TIME,
    );
    if (item === undefined) throw new Error("nothing was kept");
    await world.store.put({ ...item, note: `${item["note"]}${forged}` });
    expect(await anchor(actor)).toMatchObject({ quorum: false, publicSize: 0n });
    b.manner = undefined;
    expect(await anchor(actor)).toMatchObject({ quorum: true });
    expect(
      verifyPolicy({ policy: actor.policy, checkpoint: (await publicNote(world)) ?? "" }).invalid,
    ).toEqual([]);
  });
});

function latestOf({ latest }: FakeWitness): Checkpoint {
  if (latest === undefined) throw new Error("it has cosigned nothing");
  return latest;
}

describe("never below the quorum, and nothing is lost", () => {
  const QUORUM = 2;
  const NAMES = ["a", "b", "c"];
  // Runs of one script show the same few checkpoints; what verifies is the policy of the names.
  const known = new Map<string, string>();

  function meets(actor: Actor, note: string): void {
    const by = `${actor.policy.witnesses.length} ${note}`;
    const verdict =
      known.get(by) ?? JSON.stringify(pick(verifyPolicy({ policy: actor.policy, checkpoint: note })));
    known.set(by, verdict);
    expect(verdict).toBe('{"met":true,"invalid":[]}');
  }
  const pick = ({ met, invalid }: ReturnType<typeof verifyPolicy>) => ({ met, invalid });

  /** What outsiders saw: every public checkpoint had its quorum and grew out of the one before. */
  async function check(world: World, actor: Actor, seen: string[]): Promise<void> {
    const note = await publicNote(world);
    if (note === undefined || note === seen.at(-1)) return;
    meets(actor, note);
    const sizes = [...seen, note].map((one) => parseCheckpoint(one).checkpoint.size);
    expect(sizes).toEqual([...sizes].sort((a, b) => Number(a - b)));
    seen.push(note);
  }

  async function settle(world: World, witnesses: readonly FakeWitness[], numbers: readonly number[]) {
    for (const witness of witnesses) witness.manner = undefined;
    const healthy = anchorer(world.actor(), witnesses, QUORUM);
    await world.landLate();
    await sealEntries(healthy, 999);
    expect(await anchor(healthy)).toMatchObject({ quorum: true });
    const { published } = await readHead(world.store, ANCHOR);
    expect(parseCheckpoint((await publicNote(world)) ?? "").checkpoint.size).toBe(published);
    for (const n of [...numbers, 999]) expect(await assuranceOf(world, healthy, n)).toBe("witnessed");
    for (const item of world.store.items()) {
      if (item.sk !== "public" && !item.sk.startsWith("public/")) continue;
      meets(healthy, String(item["note"]));
    }
    expect(world.observed.violations).toEqual([]);
  }

  test("while witnesses come and go, lie and forget", async () => {
    const who = fc.nat(NAMES.length - 1);
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ do: fc.constant("anchor" as const) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant("seal" as const) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant("mend" as const), who }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant("forget" as const), who }) },
      {
        weight: 4,
        arbitrary: fc.record({ do: fc.constant("break" as const), who, how: fc.nat(MANNERS.length - 1) }),
      },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 15 }), async (steps) => {
        const world = newWorld();
        const witnesses = witnessesNamed(...NAMES);
        const actor = anchorer(world.actor(), witnesses, QUORUM);
        const seen: string[] = [];
        const numbers: number[] = [];
        for (const step of steps) {
          const witness = "who" in step ? witnesses[step.who] : undefined;
          if (step.do === "seal") {
            numbers.push(numbers.length);
            await sealEntries(actor, numbers.length - 1);
          }
          if (step.do === "anchor") await anchor(actor);
          if (step.do === "mend" && witness) witness.manner = undefined;
          if (step.do === "forget" && witness) witness.latest = undefined;
          if (step.do === "break" && witness) witness.manner = MANNERS[step.how]?.[2];
          await check(world, actor, seen);
        }
        await settle(world, witnesses, numbers);
      }),
      { numRuns: 30 },
    );
  });

  /** Two runs over one checkpoint; the first is below the quorum, the second joins what it kept. */
  async function script(actor: Actor, late: FakeWitness, after: () => Promise<void>) {
    const attempt = async () => {
      try {
        await anchor(actor);
      } catch (error) {
        if (error instanceof Died) throw error;
        if (!(error instanceof ServiceError) || error.code !== "unavailable") throw error;
      }
      await after();
    };
    late.manner = () => ({ status: 404 });
    await attempt();
    late.manner = undefined;
    await attempt();
  }

  // Sealing, of the anchor log too, has a matrix of its own: crash.test.ts.
  test.each(FAULTS)(
    "a call that %s: at every call of the anchorer, to store and witnesses",
    async (fault) => {
      const run = async (at?: number) => {
        const world = newWorld();
        const witnesses = witnessesNamed("a", "b");
        await sealEntries(world.actor(), 1);
        await anchor(anchorer(world.actor(), witnesses, QUORUM, { exchange: exchangeWith([]) }));
        const actor = anchorer(world.actor(at === undefined ? [] : [{ at, fault }]), witnesses, QUORUM);
        const late = witnesses[1] as FakeWitness;
        const seen: string[] = [];
        await script(actor, late, () => check(world, actor, seen)).catch((error: unknown) => {
          if (!(error instanceof Died)) throw error;
        });
        await check(world, actor, seen);
        await settle(world, witnesses, [1]);
        return { calls: actor.calls(), published: seen.length };
      };
      const { calls, published } = await run();
      expect(published).toBe(1);
      for (let at = 0; at < calls; at++) await run(at);
    },
  );

  test("anchorers at once: every one asks, and one public checkpoint stands for a size", async () => {
    for (let n = 0; n < 5; n++) {
      const world = newWorld();
      const witnesses = witnessesNamed(...NAMES);
      await sealEntries(world.actor(), 1);
      const run = () => anchor(anchorer(world.actor(), witnesses, QUORUM));
      await Promise.all([run(), run(), sealEntries(world.actor(), 2), run()]);
      await settle(world, witnesses, [1, 2]);
    }
  });
});

test("split view: of an operator with the real key who shows two histories, witnesses cosign one", async () => {
  const witnesses = witnessesNamed("a", "b", "c");
  // The same keys, and two tables.
  const [shown, hidden] = [newWorld(), newWorld()];
  const { commitment, opening } = commitEvent(
    { bytes: new TextEncoder().encode('{"resourceType":"AuditEvent"}'), mediaType: "application/fhir+json" },
    { tenantKey: new Uint8Array(32).fill(7) },
  );
  const [honest, forked] = [shown, hidden].map((world) => anchorer(world.actor(), witnesses, 2));
  if (!honest || !forked) throw new Error("no actors");

  await sealEntries(honest, 1);
  expect(await anchor(honest)).toMatchObject({ quorum: true });
  await append(forked, LOG, [commitment]);
  await seal(forked, { id: LOG, origin: ORIGIN, sign: forked.signLog });
  // The same size, then a larger one: neither is consistent with what was cosigned.
  for (const n of [2, 3]) {
    const { quorum, publicSize, asked } = await anchor(forked);
    expect([quorum, publicSize]).toEqual([false, 0n]);
    expect(asked.map(({ outcome, status }) => [outcome, status])).toEqual(
      Array(3).fill(["inconsistent", 422]),
    );
    await sealEntries(forked, n);
  }

  const [proof] = await prove({ ...hidden.reading, policy: forked.policy }, LOG, [commitment]);
  if (proof === undefined || proof === "pending") throw new Error("no proof");
  const input = {
    proof: proof.proof,
    event: new TextEncoder().encode('{"resourceType":"AuditEvent"}'),
    opening,
    logVkeys: [hidden.vkeys.log],
    anchorVkeys: [hidden.vkeys.anchor],
    policy: forked.policy,
  };
  expect(verifyEvent(input)).toMatchObject({ proven: true, assurance: "anchored" });
  expect(verifyEvent({ ...input, require: "witnessed" })).toMatchObject({ proven: false });

  // The other history goes on, and its own is proven.
  await sealEntries(honest, 4);
  expect(await anchor(honest)).toMatchObject({ quorum: true, publicSize: 2n });
  const [good] = await prove({ ...shown.reading, policy: honest.policy }, LOG, [entry(4)]);
  if (good === undefined || good === "pending") throw new Error("no proof");
  const { logVkeys, anchorVkeys, policy } = input;
  const report = verifyEvent({
    proof: good.proof,
    commitment: entry(4),
    logVkeys,
    anchorVkeys,
    policy,
    require: "witnessed",
  });
  expect(report).toMatchObject({ proven: true, assurance: "witnessed", commitment: bytesToHex(entry(4)) });
});
