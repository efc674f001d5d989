import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MAX_OF_A_KIND } from "@kedge/cli/contract/limits";
import { openCommitment, parseOpening } from "@kedge/verify/events/commitment";
import { readColumns } from "@kedge/verify/events/formats/formats";
import { verifyEvent } from "@kedge/verify/proof/verify";
import { makeVkey } from "@kedge/verify/tlog/note";
import { listEntries } from "@kedge/verify/tlog/tile";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ServiceError } from "../../platform/error.ts";
import { lmdbStore } from "../../platform/lmdb.ts";
import { anchor } from "../../service/anchor.ts";
import { readHead } from "../../service/head.ts";
import { oldestFirst } from "../../service/pending.ts";
import type { Principal } from "../../service/principal.ts";
import { prove } from "../../service/prove.ts";
import { sweep } from "../../service/sweep.ts";
import { createLog, createTenant, findTrailLog, listLogs } from "../../service/tenants.ts";
import {
  type Act,
  type Actor as By,
  readTrail,
  record,
  recordAct,
  recordChange,
  sweepTrail,
  type TrailEvent,
} from "../../service/trail.ts";
import { type Actor, Died, FAULTS, type Fault, newRace, newWorld, type World } from "../support/world.ts";

/** As in the crash matrix. */
const TIMES = Number(process.env["KEDGE_CRASH_RUNS"] ?? 1);
const DAY = 24 * 3_600_000;
const SESSION = "s".repeat(42);
const ana: By = { kind: "person", id: SESSION, subject: "ana", role: "officer" };
const signedIn: Act = { is: "signed_in", session: SESSION };
const keyCreated: Act = { is: "key_created", key: "k".repeat(25) };

const contextOf = (actor: Actor) => ({ ...actor, domain: "kedge.example", trailRetention: 2_190 * DAY });

async function start(world = newWorld()) {
  const ctx = contextOf(world.actor());
  const { id: tenant } = await createTenant(ctx, "a hospital");
  return { world, ctx, tenant };
}

const auditorOf = (tenant: string): Principal => ({
  ...{ tenant, scopes: ["trail"], logs: "all" },
  who: { kind: "api key", id: "k".repeat(25) },
});

/** The whole trail, oldest first, read in small pages. */
async function readAll(ctx: ReturnType<typeof contextOf>, tenant: string): Promise<TrailEvent[]> {
  const all: TrailEvent[] = [];
  for (let before: bigint | undefined; ; ) {
    const { events, next } = await readTrail(ctx, auditorOf(tenant), {
      limit: 3,
      ...(before !== undefined && { before }),
    });
    all.unshift(...[...events].reverse());
    if (next === undefined) return all;
    before = next;
  }
}

const bytesOf = ({ event }: TrailEvent): Uint8Array => new TextEncoder().encode(event);
const columnsOf = (event: TrailEvent) => readColumns(bytesOf(event), "application/fhir+json");

async function sealAll(world: World): Promise<void> {
  const actor = world.actor();
  for await (const swept of sweep(actor)) if ("error" in swept) throw swept.error;
  await anchor(actor);
}

/**
 * Each event is proven by its body and opening, against the keys of the system log and the anchor log; their numbers are 1, 2, 3, …;
 * and the log has nothing else.
 */
async function verifyAll(world: World, tenant: string): Promise<TrailEvent[]> {
  const ctx = contextOf(world.actor());
  const events = await readAll(ctx, tenant);
  const log = await findTrailLog(ctx, tenant);
  if (log === undefined) {
    expect(events).toEqual([]);
    return events;
  }
  const commitments = events.map(({ commitment }) => hexToBytes(commitment));
  const proofs = commitments.length === 0 ? [] : await prove(ctx, log.id, commitments);
  const vkey = makeVkey(log.origin, 0x01, world.vkeys.log.publicKey);
  const trust = { logVkeys: [vkey], anchorVkeys: [world.vkeys.anchor] };
  for (const [i, event] of events.entries()) {
    const proof = proofs[i];
    if (proof === undefined || proof === "pending")
      throw new Error(`event ${event.number} is not in the log`);
    const opening = parseOpening(JSON.parse(event.opening));
    expect(opening).toMatchObject({ source: "kedge.trail", sequence: String(event.number) });
    const report = verifyEvent({ ...trust, event: bytesOf(event), opening, proof: proof.proof });
    expect(report).toMatchObject({ proven: true, assurance: "anchored" });
  }
  expect(events.map(({ number }) => number)).toEqual(events.map((_, i) => BigInt(i + 1)));
  expect((await readHead(world.store, log.id)).published).toBe(BigInt(events.length));
  return events;
}

/** As `verifyAll`, before anything is sealed: what waits for the log is the events' commitments, and nothing else. */
async function checkAll(world: World, tenant: string): Promise<TrailEvent[]> {
  const ctx = contextOf(world.actor());
  const events = await readAll(ctx, tenant);
  const pending = new Set<string>();
  for (const { id } of await listLogs(ctx, tenant)) {
    for await (const { entries } of oldestFirst(world.store, id)) {
      for (const entry of listEntries(entries)) pending.add(bytesToHex(entry));
    }
  }
  for (const event of events) {
    const opening = parseOpening(JSON.parse(event.opening));
    expect(opening).toMatchObject({ source: "kedge.trail", sequence: String(event.number) });
    expect(bytesToHex(openCommitment(opening, bytesOf(event)))).toBe(event.commitment);
  }
  expect(pending).toEqual(new Set(events.map(({ commitment }) => commitment)));
  expect(events.map(({ number }) => number)).toEqual(events.map((_, i) => BigInt(i + 1)));
  return events;
}

/** A sweep of a process that is well. */
async function recover(world: World): Promise<void> {
  await sweepTrail(contextOf(world.actor()));
  expect(world.store.items().filter(({ pk }) => pk === "trail-outbox")).toEqual([]);
}

const isOf = (act: Act) => (event: TrailEvent) => event.event.includes(`"${act.is}"`);

describe("an act that is acknowledged", () => {
  test("is an event whose body and opening verify against the system log, with user, action and time", async () => {
    const { world, ctx, tenant } = await start();
    await recordAct(ctx, tenant, ana, signedIn);
    await recordAct(ctx, tenant, { kind: "operator" }, keyCreated);
    await sealAll(world);
    const [first, second, ...others] = await verifyAll(world, tenant);
    if (first === undefined || second === undefined) throw new Error("no events");
    expect(others).toEqual([]);
    expect(columnsOf(first)).toMatchObject({
      when: new Date(Number(first.at)).toISOString(),
      user: { login: "ana", role: "officer" },
      action: "execute: Login, Signed in",
      outcome: "success",
    });
    expect(columnsOf(second)).toMatchObject({
      user: { name: "Operator" },
      action: "create: User security Attributes Changed, API key created",
      recordType: "API key",
      outcome: "Recorded before it was done",
    });
  });
  test("is there whatever goes wrong at any step of it, once, under the next number", async () => {
    for (const fault of FAULTS) {
      for (let at = 0; ; at++) {
        const { world, ctx, tenant } = await start();
        await recordAct(ctx, tenant, ana, signedIn);
        const faulty = world.actor([{ at, fault }]);
        let changed = false;
        let acknowledged = false;
        try {
          await recordChange(contextOf(faulty), tenant, ana, keyCreated, async () => {
            changed = true;
          });
          acknowledged = true;
        } catch (error) {
          if (!(error instanceof Died || error instanceof ServiceError)) throw error;
        }
        await recordAct(ctx, tenant, ana, { is: "log_created", log: "l".repeat(19) });
        await world.landLate();
        await recover(world);
        const events = await checkAll(world, tenant);
        const found = events.filter(isOf(keyCreated));
        const case_ = [fault, at, changed, acknowledged];
        // It may be there unacknowledged: it was asked for, and says no more.
        expect([...case_, found.length]).toEqual([...case_, changed ? 1 : found.length > 0 ? 1 : 0]);
        expect(events.filter(isOf({ is: "log_created", log: "" }))).toHaveLength(1);
        if (faulty.calls() <= at) break;
      }
    }
  });

  test("is there once, and numbers have no gap, whoever races with whom and dies", async () => {
    const fault = fc.record({ at: fc.nat(40), fault: fc.constantFrom<Fault>(...FAULTS) });
    const racers = fc.array(
      fc.record({
        do: fc.constantFrom("record", "record", "sweep"),
        plan: fc.array(fault, { maxLength: 1 }),
      }),
      { minLength: 2, maxLength: 5 },
    );
    await fc.assert(
      fc.asyncProperty(racers, fc.array(fc.nat(4), { maxLength: 60 }), async (each, order) => {
        const { world, tenant } = await start();
        const done: string[] = [];
        let turn = 0;
        const race = newRace<number>(
          (waiting) => (order[turn++ % (order.length || 1)] ?? 0) % Math.max(1, waiting.length),
        );
        const runs = each.map(async (racer, i) => {
          const ctx = contextOf(world.actor(racer.plan, race.gate(i)));
          const session = String.fromCharCode(97 + i).repeat(42);
          try {
            if (racer.do === "sweep") await sweepTrail(ctx);
            else {
              await recordAct(ctx, tenant, { kind: "operator" }, { is: "signed_in", session });
              done.push(session);
            }
          } catch (error) {
            if (!(error instanceof Died || error instanceof ServiceError)) throw error;
          }
        });
        await race.run(Promise.all(runs));
        await recover(world);
        await world.landLate();
        await recover(world);
        const events = await checkAll(world, tenant);
        for (const session of done) {
          expect(events.filter(({ event }) => event.includes(session))).toHaveLength(1);
        }
        const sessions = events.map(({ event }) => /"([a-z])\1{41}"/.exec(event)?.[1]);
        expect(new Set(sessions).size).toBe(sessions.length);
      }),
      { numRuns: 80 * TIMES },
    );
  }, 60_000);
});

describe("a change", () => {
  const outcomes = async (change: () => Promise<unknown>) => {
    const { world, ctx, tenant } = await start();
    const ended = await recordChange(ctx, tenant, ana, keyCreated, change).catch((error: unknown) => error);
    await recover(world);
    const events = await checkAll(world, tenant);
    return { ended, outcomes: events.map((event) => columnsOf(event).outcome) };
  };
  const failing = (code: "conflict" | "unavailable") => async () => {
    throw new ServiceError(code, "injected");
  };

  test("that was not made is told as that, and one of which nothing is known as that", async () => {
    expect((await outcomes(async () => "made")).outcomes).toEqual(["Recorded before it was done"]);
    expect((await outcomes(async () => false)).outcomes[1]).toBe("serious failure: conflict");
    const refused = await outcomes(failing("conflict"));
    expect(refused.ended).toMatchObject({ code: "conflict" });
    expect(refused.outcomes[1]).toBe("serious failure: conflict");
    const unknown = await outcomes(failing("unavailable"));
    expect(unknown.outcomes[1]).toBe("Whether it was done is not known: unavailable");
  });

  test("is not made when it cannot be recorded", async () => {
    const { world, tenant } = await start();
    let changed = false;
    const dead = contextOf(world.actor(Array.from({ length: 50 }, (_, at) => ({ at, fault: "fails" }))));
    const change = async () => {
      changed = true;
    };
    await expect(recordChange(dead, tenant, ana, keyCreated, change)).rejects.toMatchObject({
      code: "unavailable",
    });
    expect(changed).toBe(false);
  });
});

describe("refused sign-ins", () => {
  const refused = (reason: string): Act => ({ is: "sign_in_refused", reason });
  const nobody: By = { kind: "unknown" };

  test("of a flood are two events a minute, and their count and reasons are told", async () => {
    const { world, ctx: started, tenant } = await start();
    let now = 1_700_000_000_000;
    const ctx = { ...started, clock: () => now };
    for (let i = 0; i < 300; i++)
      await recordAct(ctx, tenant, nobody, refused(i % 3 === 0 ? "expired" : "signature"));
    await sweepTrail(ctx);
    expect(await readAll(ctx, tenant)).toHaveLength(1);
    now += 180_000;
    await recordAct(ctx, tenant, nobody, refused("nonce"));
    await sweepTrail(ctx);
    now += 180_000;
    await sweepTrail(ctx);
    await sealAll(world);
    const events = await verifyAll(world, tenant);
    const told = events.map(({ event }) => JSON.parse(event).entity[0].detail);
    expect(told).toEqual([
      [{ type: "reason", valueString: "expired" }],
      [{ type: "reason", valueString: "nonce" }],
      [
        { type: "reason", valueString: "signature expired" },
        { type: "count", valueString: "299" },
      ],
    ]);
    expect(columnsOf(events[0] ?? expect.fail("no event"))).toMatchObject({
      user: { name: "Not known" },
      outcome: "minor failure",
    });
    expect(world.store.items().filter(({ pk }) => pk === "trail-outbox")).toEqual([]);
  });

  test("are told once, whatever goes wrong at any step of the sweep that tells them", async () => {
    for (const fault of FAULTS) {
      for (let at = 0; ; at++) {
        const { world, ctx: started, tenant } = await start();
        const ctx = { ...started, clock: () => 1_700_000_000_000 };
        for (let i = 0; i < 3; i++) await recordAct(ctx, tenant, nobody, refused("expired"));
        const later = { clock: () => 1_700_000_400_000 };
        const faulty = world.actor([{ at, fault }]);
        await sweepTrail({ ...contextOf(faulty), ...later }).catch(() => undefined);
        await recordAct({ ...ctx, ...later }, tenant, ana, signedIn);
        await sweepTrail({ ...ctx, ...later });
        await world.landLate();
        await sweepTrail({ ...ctx, ...later });
        const events = await checkAll(world, tenant);
        expect([fault, at, events.length]).toEqual([fault, at, 3]);
        if (faulty.calls() <= at) break;
      }
    }
  });
});

describe("the sweep", () => {
  test("with nothing to do reads two partitions that are empty, however many tenants have trails", async () => {
    const { world, ctx } = await start();
    for (let i = 0; i < 20; i++) {
      const { id } = await createTenant(ctx, "a hospital");
      await recordAct(ctx, id, ana, signedIn);
    }
    const actor = world.actor();
    expect(await sweepTrail(contextOf(actor))).toEqual({ settled: 0, deleted: 0, failed: [] });
    expect(actor.calls()).toBe(2);
  });

  test("deletes bodies and openings once they were kept long enough; commitments stay, and numbers go on", async () => {
    for (const fault of FAULTS) {
      for (let at = 0; ; at++) {
        const { world, ctx: started, tenant } = await start();
        let now = 1_700_000_000_000;
        const ctx = { ...started, clock: () => now, trailRetention: 30 * DAY };
        await recordAct(ctx, tenant, ana, signedIn);
        now += 20 * DAY;
        await recordAct(ctx, tenant, ana, keyCreated);
        now += 11 * DAY;
        expect(await sweepTrail(ctx)).toEqual({ settled: 0, deleted: 1, failed: [] });
        expect((await readAll(ctx, tenant)).map(({ number }) => number)).toEqual([2n]);
        now += 20 * DAY;
        const faulty = world.actor([{ at, fault }]);
        await sweepTrail({ ...ctx, ...faulty, clock: ctx.clock }).catch(() => undefined);
        await sweepTrail(ctx);
        await world.landLate();
        expect(await readAll(ctx, tenant)).toEqual([]);
        const left = world.store.items().filter(({ pk }) => pk.startsWith("trail"));
        expect(left).toEqual([expect.objectContaining({ sk: "floor", number: 2n })]);
        await recordAct(ctx, tenant, ana, signedIn);
        expect((await readAll(ctx, tenant)).map(({ number }) => number)).toEqual([3n]);
        if (faulty.calls() <= at) break;
      }
    }
  });

  test("deletes all but what an act needs that can never be settled, and tells of that act", async () => {
    const { world, ctx: started, tenant } = await start();
    let now = 1_700_000_000_000;
    const ctx = { ...started, clock: () => now, trailRetention: 30 * DAY };
    const { id: unread } = await createTenant(ctx, "another hospital");
    const { id: well } = await createTenant(ctx, "a third");
    const tenants = [tenant, unread, well];
    for (let i = 0; i < 3; i++) for (const id of tenants) await recordAct(ctx, id, ana, signedIn);
    const log = (await findTrailLog(ctx, tenant))?.id ?? "";
    const [first] = await readAll(ctx, tenant);
    const { at = 0n, event = "", opening = "", commitment = "" } = first ?? {};
    const whole = { pk: "trail-outbox", log, at, event, opening, commitment, also: "", alsoLog: "" };
    // Of the first two the number is known: one has lost it, the other takes it before it fails.
    const stuck = [
      { ...whole, sk: `${tenant}/a`, number: 2n, opening: 0n },
      { ...whole, sk: `${tenant}/b`, number: 4n, also: "no hex", alsoLog: log },
      { ...whole, sk: `${unread}/c`, number: "two" },
      { pk: "trail-expiry", sk: "0000000000000000/?", tenant: "?" },
    ];
    await world.store.write(stuck);
    const numbersOf = (id: string) => readAll(ctx, id).then((all) => all.map(({ number }) => number));
    const numbers = async () => Promise.all(tenants.map(numbersOf));
    const swept = async () => {
      const { deleted, failed } = await sweepTrail(ctx);
      return { deleted, failed: new Set(failed.map(({ item }) => item)) };
    };

    await swept();
    now += 31 * DAY;
    await recordAct(ctx, well, ana, signedIn);
    expect(await swept()).toEqual({ deleted: 5, failed: new Set(stuck.map(({ sk }) => sk)) });
    expect(await numbers()).toEqual([[2n, 4n], [1n, 2n, 3n], [4n]]);
    expect(await swept()).toMatchObject({ deleted: 0 });
    await recordAct(ctx, tenant, ana, keyCreated);
    expect(await numbersOf(tenant)).toEqual([2n, 4n, 5n]);

    await world.store.write([], stuck);
    expect(await swept()).toEqual({ deleted: 5, failed: new Set() });
    expect(await numbers()).toEqual([[5n], [], [4n]]);
  });

  test("by an event of a wrong clock's future nothing else is kept longer", async () => {
    const { ctx: started, tenant } = await start();
    let now = 1_700_000_000_000 + 3_650 * DAY;
    const ctx = { ...started, clock: () => now, trailRetention: 30 * DAY };
    await recordAct(ctx, tenant, ana, signedIn);
    now = 1_700_000_000_000;
    await recordAct(ctx, tenant, ana, keyCreated);
    now += 31 * DAY;
    expect(await sweepTrail(ctx)).toMatchObject({ deleted: 1 });
    expect((await readAll(ctx, tenant)).map(({ number }) => number)).toEqual([1n]);
  });
});

describe("the trail", () => {
  test("is read newest first, in pages of one query each", async () => {
    const { world, ctx, tenant } = await start();
    for (let i = 0; i < 25; i++) await recordAct(ctx, tenant, ana, signedIn);
    const costs = [];
    let before: bigint | undefined;
    const numbers: bigint[] = [];
    do {
      const actor = world.actor();
      const page = await readTrail(contextOf(actor), auditorOf(tenant), {
        limit: 10,
        ...(before !== undefined && { before }),
      });
      numbers.push(...page.events.map(({ number }) => number));
      costs.push(actor.calls());
      before = page.next;
    } while (before !== undefined);
    expect(numbers).toEqual(Array.from({ length: 25 }, (_, i) => BigInt(25 - i)));
    // The log's id, the log, and the events.
    expect(costs).toEqual([3, 3, 3]);
  });

  test("is the tenant's own: no other's is in it, and who is limited to other logs does not read it", async () => {
    const { ctx, tenant } = await start();
    const { id: other } = await createTenant(ctx, "another hospital");
    await recordAct(ctx, tenant, ana, signedIn);
    expect(await readTrail(ctx, auditorOf(other), { limit: 10 })).toEqual({ events: [] });
    await recordAct(ctx, other, ana, keyCreated);
    expect((await readAll(ctx, tenant)).filter(isOf(keyCreated))).toEqual([]);
    expect(await readAll(ctx, other)).toHaveLength(1);
    const [log] = await listLogs(ctx, tenant);
    const [foreign] = await listLogs(ctx, other);
    for (const logs of [[], ["a".repeat(19)], [foreign?.id ?? ""]]) {
      const limited = { ...auditorOf(tenant), logs };
      await expect(readTrail(ctx, limited, { limit: 10 })).rejects.toMatchObject({ code: "forbidden" });
    }
    const shown = await readTrail(ctx, { ...auditorOf(tenant), logs: [log?.id ?? ""] }, { limit: 10 });
    expect(shown.events).toHaveLength(1);
  });

  test("is no act's whose tenant does not exist", async () => {
    const { world, ctx } = await start();
    const before = world.store.items();
    await expect(recordAct(ctx, "q".repeat(16), ana, signedIn)).rejects.toMatchObject({ code: "not_found" });
    expect(world.store.items()).toEqual(before);
  });

  test("takes no place of the tenant's logs", async () => {
    const { world, ctx, tenant } = await start();
    await recordAct(ctx, tenant, ana, signedIn);
    const [trail] = world.store
      .items()
      .filter(({ pk, sk }) => pk === `tenant/${tenant}` && sk.startsWith("log/"));
    const { kind: _, ...log } = trail ?? expect.fail("no log");
    const others = Array.from({ length: MAX_OF_A_KIND - 1 }, (_, i) => ({ ...log, sk: `log/${i}` }));
    await world.store.write(others);
    await createLog(ctx, tenant, "the last one");
    await expect(createLog(ctx, tenant, "one more")).rejects.toMatchObject({ code: "conflict" });
    const kinds = (await listLogs(ctx, tenant)).map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === "system")).toHaveLength(1);
  });

  test("has no commitment of a reviewer's in its log: that of a review is provable in another", async () => {
    const { world, ctx, tenant } = await start();
    const commitment = sha256(new TextEncoder().encode("a review"));
    const review = { commitment: bytesToHex(commitment), filter: ["user"], count: 3, root: "0".repeat(64) };
    await record(ctx, tenant, ana, { is: "reviewed", log: "l".repeat(19), review }, { also: [commitment] });
    await sealAll(world);
    const [event] = await verifyAll(world, tenant);
    expect(event?.event).toContain(review.commitment);
    const trail = await findTrailLog(ctx, tenant);
    const reviews = (await listLogs(ctx, tenant)).find(({ id }) => id !== trail?.id);
    expect(reviews).toMatchObject({ name: "What was signed off", kind: "system" });
    expect(await prove(ctx, trail?.id ?? "", [commitment])).toEqual([undefined]);
    expect((await prove(ctx, reviews?.id ?? "", [commitment]))[0]).toMatchObject({ assurance: "anchored" });
  });

  test("is one, with numbers from 1, whoever makes it first in a real store", async () => {
    const folder = await mkdtemp(join(tmpdir(), "kedge-trail-"));
    const store = lmdbStore(folder);
    try {
      const ctx = { store, clock: Date.now, domain: "kedge.example" };
      const { id } = await createTenant(ctx, "a hospital");
      await Promise.all(Array.from({ length: 12 }, () => recordAct(ctx, id, ana, signedIn)));
      expect((await listLogs(ctx, id)).map(({ kind }) => kind)).toEqual(["system"]);
      const { events } = await readTrail(ctx, auditorOf(id), { limit: 100 });
      expect(events.map(({ number }) => number)).toEqual(
        Array.from({ length: 12 }, (_, i) => BigInt(12 - i)),
      );
    } finally {
      await store.close();
      await rm(folder, { recursive: true });
    }
  });
});
