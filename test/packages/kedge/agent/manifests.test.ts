import { openClock } from "@kedge/cli/agent/clock";
import { manifestMaker } from "@kedge/cli/agent/manifests";
import { HOUR, type Manifest, manifestSource, parseManifest } from "@kedge/verify/events/manifest";
import { leafHash, rootOf } from "@kedge/verify/tlog/merkle";
import fc from "fast-check";
import { expect, test } from "vitest";
import { memoryJournal } from "./memory-journal.ts";

const START = Date.UTC(2026, 2, 1, 8, 30);
const YEAR = 365 * 24 * HOUR;

/** A hospital's machine: a clock that may be wrong by `skew`, an agent on it that may be down, and a service that may be. */
function machine() {
  const world = { real: START, skew: 0, serviceSkew: 0, took: 0 };
  const wall = () => world.real + world.skew;
  const { journal, faults } = memoryJournal(wall);
  const start = () => {
    const clock = openClock(wall, () => world.real);
    const signal = new AbortController().signal;
    journal.intake("ehr");
    return { clock, make: manifestMaker({ journal, sources: ["ehr"], clock, signal }) };
  };
  let agent = start();
  return {
    world,
    journal,
    faults,
    restart: () => {
      agent = start();
    },
    hear: () => agent.clock.heard(world.real + world.serviceSkew),
    make: () => agent.make(),
    async arrive(count: number) {
      const arrivals = Array.from({ length: count }, () => {
        world.took += 1;
        return { bytes: new TextEncoder().encode(`event ${world.took}`), mediaType: "text/plain" };
      });
      await (await journal.intake("ehr")).take({ arrivals });
    },
    manifests: (): Manifest[] =>
      [...journal.entries(manifestSource("ehr"))].map(({ bytes }) =>
        parseManifest(bytes ?? new Uint8Array()),
      ),
  };
}

/** What an auditor asks of them. Returns the last number that they cover. */
function expectChain({
  journal,
  manifests,
}: Pick<ReturnType<typeof machine>, "journal" | "manifests">): bigint {
  const entries = [...journal.entries("ehr")];
  const own = [...journal.entries(manifestSource("ehr"))];
  const made = manifests();
  let last = 0n;
  for (const [i, manifest] of made.entries()) {
    const before = made[i - 1];
    expect(own[i]?.number).toBe(BigInt(i + 1));
    expect(manifest.previous).toEqual(own[i - 1]?.commitment);
    if (before !== undefined) expect(manifest.from).toBe(before.to);
    const { first, last: end } = manifest.numbers ?? { first: last + 1n, last };
    expect(first).toBe(last + 1n);
    const covered = entries.slice(Number(last), Number(end));
    expect(manifest.root).toEqual(rootOf(covered.map(({ commitment }) => leafHash(commitment))));
    last = end;
  }
  return last;
}

test("an hour has one manifest, made once it is over", async () => {
  const { world, hear, make, arrive, manifests, journal } = machine();
  await arrive(3);
  expect(await make()).toBe(0); // nobody has said what time it is
  hear();
  expect(await make()).toBe(0);
  world.real += HOUR;
  await arrive(2);
  expect(await make()).toBe(1);
  expect(await make()).toBe(0);
  expect(manifests()).toMatchObject([
    {
      source: "ehr",
      from: Date.UTC(2026, 2, 1, 8),
      to: Date.UTC(2026, 2, 1, 9),
      numbers: { first: 1n, last: 3n },
    },
  ]);
  world.real += 2 * HOUR;
  expect(await make()).toBe(2);
  expect(
    manifests()
      .slice(1)
      .map(({ numbers }) => numbers),
  ).toEqual([{ first: 4n, last: 5n }, undefined]);
  expectChain({ journal, manifests });
});

test("hours in which the agent was down have manifests of zero", async () => {
  const { world, hear, make, arrive, restart, manifests, journal } = machine();
  hear();
  await make();
  await arrive(1);
  world.real += 5 * HOUR;
  restart();
  expect(await make()).toBe(0);
  hear();
  expect(await make()).toBe(5);
  expect(manifests().map(({ numbers }) => numbers !== undefined)).toEqual([true, false, false, false, false]);
  expectChain({ journal, manifests });
});

test("a clock that leaps ahead by years makes no manifest of theirs, and its events are in that of the hour", async () => {
  const { world, hear, make, arrive, manifests, journal } = machine();
  hear();
  await arrive(1);
  await make();
  world.skew = 11 * YEAR;
  await arrive(2);
  expect(await make()).toBe(0);
  world.skew = 0;
  await arrive(1);
  world.real += HOUR;
  await make();
  world.real += HOUR;
  await arrive(1);
  await make();
  expect(manifests().map(({ numbers }) => numbers)).toEqual([
    { first: 1n, last: 4n },
    { first: 5n, last: 5n },
  ]);
  expectChain({ journal, manifests });
});

test("a clock that leaps back makes no second one of an hour", async () => {
  const { world, hear, make, arrive, restart, manifests, journal } = machine();
  hear();
  await make();
  world.real += 3 * HOUR;
  expect(await make()).toBe(3);
  world.skew = -2 * YEAR;
  restart();
  hear();
  await arrive(2);
  expect(await make()).toBe(0);
  world.skew = 0;
  world.real += HOUR;
  expect(await make()).toBe(1);
  expect(manifests().at(-1)?.numbers).toEqual({ first: 1n, last: 2n });
  expectChain({ journal, manifests });
});

test("years in a cupboard have one manifest", async () => {
  const { world, hear, make, manifests, journal, restart } = machine();
  hear();
  await make();
  world.real += 12 * YEAR;
  restart();
  hear();
  expect(await make()).toBe(1);
  expect(manifests()).toHaveLength(1);
  expectChain({ journal, manifests });
});

test("a first event by a clock that was years behind has manifests of 31 days at most", async () => {
  const { world, hear, make, arrive, manifests, journal } = machine();
  world.skew = -20 * YEAR;
  await arrive(2);
  world.skew = 0;
  hear();
  await make();
  expect(manifests()).toHaveLength(31 * 24);
  expect(manifests()[0]?.numbers).toEqual({ first: 1n, last: 2n });
  expectChain({ journal, manifests });
});

test("a service whose clock is wrong by years makes none", async () => {
  const { world, hear, make } = machine();
  hear();
  await make();
  for (const serviceSkew of [30 * YEAR, -30 * YEAR]) {
    world.serviceSkew = serviceSkew;
    hear();
    expect(await make()).toBe(0);
  }
});

test("a source that is taken in no more has manifests up to its last event", async () => {
  const { world, hear, make, journal } = machine();
  await (await journal.intake("old")).take({
    arrivals: [{ bytes: new Uint8Array(1), mediaType: "text/plain" }],
  });
  hear();
  world.real += 3 * HOUR;
  await make();
  world.real += 3 * HOUR;
  await make();
  expect([...journal.entries(manifestSource("old"))]).toHaveLength(1);
});

test("whatever comes, crashes and leaps: each number is in one manifest, the hours follow each other, the roots are right", async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("arrive" as const), by: fc.constantFrom(1, 2, 3, 4, 5, 500) }),
    fc.record({ kind: fc.constant("pass" as const), by: fc.integer({ min: 1, max: 4 * HOUR }) }),
    fc.record({ kind: fc.constant("leap" as const), by: fc.integer({ min: -15 * YEAR, max: 15 * YEAR }) }),
    fc.record({ kind: fc.constant("right" as const), by: fc.constant(0) }),
    fc.record({ kind: fc.constant("restart" as const), by: fc.constant(0) }),
    fc.record({ kind: fc.constant("full" as const), by: fc.constant(0) }),
    fc.record({ kind: fc.constant("hear" as const), by: fc.integer({ min: -HOUR, max: HOUR }) }),
    fc.record({ kind: fc.constant("make" as const), by: fc.constant(0) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const { world, faults, journal, manifests, ...agent } = machine();
      for (const { kind, by } of steps) {
        faults.take = kind === "full" ? new Error("the disk is full") : undefined;
        if (kind === "arrive") await agent.arrive(by);
        if (kind === "pass") world.real += by;
        if (kind === "leap") world.skew = by;
        if (kind === "right") world.skew = 0;
        if (kind === "restart") agent.restart();
        if (kind === "hear") {
          world.serviceSkew = by;
          agent.hear();
        }
        if (kind === "full" || kind === "make") await agent.make().catch(() => undefined);
        const hours = (world.real - START) / HOUR;
        const { bytes, number = 0n } = [...journal.entries(manifestSource("ehr"))].at(-1) ?? {};
        // A first event by a clock that was behind has up to 31 days before it.
        expect(Number(number)).toBeLessThanOrEqual(hours + 3 + 31 * 24);
        if (bytes !== undefined) expect(parseManifest(bytes).to).toBeLessThanOrEqual(world.real + HOUR);
      }
      faults.take = undefined;
      world.skew = 0;
      world.serviceSkew = 0;
      agent.restart();
      agent.hear();
      await agent.arrive(1);
      for (let hour = 0; hour < 6; hour++) {
        world.real += HOUR;
        await agent.make();
      }
      expect(expectChain({ journal, manifests })).toBe(BigInt(world.took));
    }),
    { numRuns: 30 },
  );
});
