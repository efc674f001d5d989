/** Searching a journal: what is found is what a reading of all of it finds. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type FindIndex, openFindIndex, type Query, type Searched } from "@kedge/cli/find/index";
import { journalUse, USES } from "@kedge/cli/find/used";
import { openJournal } from "@kedge/cli/journal/journal";
import type { EpochKeys } from "@kedge/cli/journal/types";
import * as fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import { AUDIT_EVENT_R4, DICOM } from "../../../support/event-samples.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});
const newFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), "kedge-find-"));
  folders.push(folder);
  return folder;
};

const epoch = (n: number) => ({ epoch: n, tenantKey: new Uint8Array(32).fill(n + 1) });
/** Keys of the epochs 0 to `now`, but of those that were shredded. */
function keysOf(state: { now: number; shredded: Set<number> }): EpochKeys {
  return {
    current: () => epoch(state.now),
    of: (n) => (n > state.now || state.shredded.has(n) ? undefined : epoch(n)),
  };
}

type Access = { patient: string; user: string; action: "R" | "U"; at: number };
const auditEvent = ({ patient, user, action, at }: Access): Uint8Array =>
  new TextEncoder().encode(
    JSON.stringify({
      resourceType: "AuditEvent",
      type: { system: "http://terminology.hl7.org/CodeSystem/audit-event-type", code: "rest" },
      action,
      recorded: new Date(at).toISOString(),
      agent: [{ who: { identifier: { value: user } }, requestor: true }],
      source: { observer: { display: "ehr" } },
      entity: [
        {
          what: { reference: `Patient/${patient}` },
          role: { system: "http://terminology.hl7.org/CodeSystem/object-role", code: "1" },
        },
      ],
    }),
  );

const access = fc.record({
  patient: fc.constantFrom("p1", "p2", "p3"),
  user: fc.constantFrom("u1", "u2"),
  action: fc.constantFrom<"R" | "U">("R", "U"),
  at: fc.integer({ min: 0, max: 20 }).map((n) => Date.UTC(2026, 2, 1) + n * 1_000),
});
const query = fc.record(
  {
    patient: fc.constantFrom("p1", "P2 ", "nobody"),
    user: fc.constantFrom("u1", "u2"),
    action: fc.constantFrom("read", "Update"),
    source: fc.constantFrom("a", "b"),
    from: fc.integer({ min: 0, max: 20 }).map((n) => Date.UTC(2026, 2, 1) + n * 1_000),
    to: fc.integer({ min: 0, max: 20 }).map((n) => Date.UTC(2026, 2, 1) + n * 1_000),
  },
  { requiredKeys: [] },
);

const normal = (text: string): string => text.trim().toLowerCase();
const matches = (asked: Query, { source, patient, user, action, at }: Access & { source: string }): boolean =>
  (asked.source === undefined || asked.source === source) &&
  (asked.patient === undefined || normal(asked.patient) === patient) &&
  (asked.user === undefined || normal(asked.user) === user) &&
  (asked.action === undefined || normal(asked.action) === { R: "read", U: "update" }[action]) &&
  at >= (asked.from ?? 0) &&
  at < (asked.to ?? Number.POSITIVE_INFINITY);

test("a search finds what a reading of the whole journal finds, in the order of the events' times, across rotations", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({ source: fc.constantFrom("a", "b"), access, rotate: fc.boolean(), index: fc.boolean() }),
        {
          minLength: 4,
          maxLength: 10,
        },
      ),
      fc.array(query, { minLength: 6, maxLength: 6 }),
      async (steps, queries) => {
        const folder = newFolder();
        const state = { now: 0, shredded: new Set<number>() };
        const keys = keysOf(state);
        const journal = await openJournal({ folder, keys });
        const intakes = { a: await journal.intake("a"), b: await journal.intake("b") };
        const index = openFindIndex(folder, journal, keys);
        try {
          const all: (Access & { source: "a" | "b"; number: bigint })[] = [];
          for (const step of steps) {
            if (step.rotate) state.now += 1;
            const arrivals = [{ bytes: auditEvent(step.access), mediaType: "application/fhir+json" }];
            const [number = 0n] = await intakes[step.source].take({ arrivals });
            all.push({ ...step.access, source: step.source, number });
            if (step.index) await index.catchUp();
          }
          await index.catchUp();
          for (const asked of queries) {
            const found = [...index.search(asked)];
            const times = found.map(({ when }) => when);
            expect(times).toEqual(times.toSorted((a, b) => a - b));
            const name = ({ source, number }: { source: string; number: bigint }) => `${source} ${number}`;
            expect(found.map(({ entry }) => name(entry)).toSorted()).toEqual(
              all
                .filter((one) => matches(asked, one))
                .map(name)
                .toSorted(),
            );
          }
        } finally {
          await index.close();
          await journal.close();
        }
      },
    ),
    { numRuns: 8 },
  );
});

async function withOne(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = newFolder();
  const keys = keysOf({ now: 0, shredded: new Set() });
  const journal = await openJournal({ folder, keys });
  const intake = await journal.intake("ehr");
  const bytes = auditEvent({ patient: "CANARY-4711", user: "CANARY-user", action: "R", at: 0 });
  await intake.take({ arrivals: [{ bytes, mediaType: "application/fhir+json" }] });
  await journal.close();
  await run(folder);
}

test("each patient that an event names is found, by an identifier or a reference", async () => {
  const folder = newFolder();
  const keys = keysOf({ now: 0, shredded: new Set() });
  const journal = await openJournal({ folder, keys });
  const intake = await journal.intake("atna");
  const [dicom, fhir] = [DICOM, AUDIT_EVENT_R4].map((text) => new TextEncoder().encode(text));
  const index = openFindIndex(folder, journal, keys);
  try {
    await intake.take({
      arrivals: [
        { bytes: dicom ?? new Uint8Array(), mediaType: "application/ihe+rfc3881" },
        { bytes: fhir ?? new Uint8Array(), mediaType: "application/fhir+json" },
      ],
    });
    await index.catchUp();
    const found = (patient: string) => [...index.search({ patient })].map(({ entry }) => entry.mediaType);
    expect(found("9900002")).toEqual(["application/ihe+rfc3881"]);
    expect(found("9900001").toSorted()).toEqual(["application/fhir+json", "application/ihe+rfc3881"]);
    expect(found("p-1")).toEqual(["application/fhir+json"]);
  } finally {
    await index.close();
    await journal.close();
  }
});

test("the index holds nothing of an event in any spelling, and is for its owner alone", async () => {
  await withOne(async (folder) => {
    const keys = keysOf({ now: 0, shredded: new Set() });
    const journal = await openJournal({ folder, keys });
    const index = openFindIndex(folder, journal, keys);
    expect(await index.catchUp()).toBe(1);
    expect([...index.search({ patient: "canary-4711" })]).toHaveLength(1);
    await index.close();
    await journal.close();
    const path = join(folder, "find.mdb");
    expect(readFileSync(path).toString("latin1").toLowerCase()).not.toContain("canary");
    expect(statSync(path).mode & 0o077).toBe(0);
  });
});

test("of a shredded epoch nothing is found by what an event says", async () => {
  const folder = newFolder();
  const state = { now: 0, shredded: new Set<number>() };
  const keys = keysOf(state);
  const journal = await openJournal({ folder, keys });
  const intake = await journal.intake("ehr");
  const take = (patient: string) =>
    intake.take({
      arrivals: [
        { bytes: auditEvent({ patient, user: "u", action: "R", at: 0 }), mediaType: "application/fhir+json" },
      ],
    });
  await take("p1");
  state.now = 1;
  await take("p1");
  const index = openFindIndex(folder, journal, keys);
  await index.catchUp();
  expect([...index.search({ patient: "p1" })]).toHaveLength(2);
  state.shredded.add(0);
  expect([...index.search({ patient: "p1" })].map(({ entry }) => entry.number)).toEqual([2n]);
  await index.close();
  const after = openFindIndex(folder, journal, keys);
  expect([...after.search({ patient: "p1" })].map(({ entry }) => entry.number)).toEqual([2n]);
  await after.close();
  await journal.close();
});

test("what came after a rotation is left to who knows of it, and is found then", async () => {
  const folder = newFolder();
  const journal = await openJournal({ folder, keys: keysOf({ now: 1, shredded: new Set() }) });
  const intake = await journal.intake("ehr");
  const bytes = auditEvent({ patient: "p1", user: "u", action: "R", at: 0 });
  await intake.take({ arrivals: [{ bytes, mediaType: "application/fhir+json" }] });
  const state = { now: 0, shredded: new Set<number>() };
  const index = openFindIndex(folder, journal, keysOf(state));
  expect(await index.catchUp()).toBe(0);
  state.now = 1;
  expect(await index.catchUp()).toBe(1);
  expect([...index.search({ patient: "p1" })]).toHaveLength(1);
  await index.close();
  await journal.close();
});

test("what is shredded while an index is open is not found in it any more", async () => {
  await withOne(async (folder) => {
    const state = { now: 0, shredded: new Set<number>() };
    const keys = keysOf(state);
    const journal = await openJournal({ folder, keys });
    const index = openFindIndex(folder, journal, keys);
    await index.catchUp();
    expect([...index.search({ patient: "CANARY-4711" })]).toHaveLength(1);
    state.now = 1;
    state.shredded.add(0);
    expect([...index.search({ patient: "CANARY-4711" })]).toEqual([]);
    await index.close();
    await journal.close();
  });
});

const MANY = 2_000;

/** An index over `MANY` events, and how often the event loop went round while they were read. */
async function withMany(
  run: (world: { index: FindIndex; take: () => Promise<unknown>; turns: () => number }) => Promise<void>,
): Promise<void> {
  const folder = newFolder();
  const keys = keysOf({ now: 0, shredded: new Set() });
  const journal = await openJournal({ folder, keys });
  const intake = await journal.intake("ehr");
  const bytes = auditEvent({ patient: "p1", user: "u1", action: "R", at: 0 });
  const take = (count: number) =>
    intake.take({
      arrivals: Array.from({ length: count }, () => ({ bytes, mediaType: "application/fhir+json" })),
    });
  await take(MANY);
  let round = 0;
  let isOpen = true;
  const go = () => {
    round += 1;
    if (isOpen) setImmediate(go);
  };
  go();
  const rounds = new Set<number>();
  const searched: Searched = {
    sources: journal.sources,
    cursor: journal.cursor,
    *entries(source, range) {
      for (const entry of journal.entries(source, range)) {
        rounds.add(round);
        yield entry;
      }
    },
  };
  const index = openFindIndex(folder, searched, keys);
  try {
    await run({ index, take: () => take(1), turns: () => rounds.size });
  } finally {
    isOpen = false;
    await index.close();
    await journal.close();
  }
}

test("an index reads on to what was the end, once for all who wait, and leaves the event loop to others in between", async () => {
  await withMany(async ({ index, take, turns }) => {
    expect(index.behind()).toBe(BigInt(MANY));
    const reading = [index.catchUp(), index.catchUp()];
    await take();
    expect((await Promise.all(reading)).toSorted((a, b) => b - a)).toEqual([MANY, 1]);
    expect(index.behind()).toBe(0n);
    expect(turns()).toBeGreaterThan(3);
    expect([...index.search({ patient: "p1" })]).toHaveLength(MANY + 1);
  });
});

test("an index that is damaged is made again", async () => {
  await withOne(async (folder) => {
    const keys = keysOf({ now: 0, shredded: new Set() });
    for (const damage of [new Uint8Array(), new Uint8Array(100), new Uint8Array(8192).fill(7)]) {
      writeFileSync(join(folder, "find.mdb"), damage);
      const journal = await openJournal({ folder, keys });
      const index = openFindIndex(folder, journal, keys);
      await index.catchUp();
      expect([...index.search({ patient: "CANARY-4711" })]).toHaveLength(1);
      await index.close();
      await journal.close();
    }
  });
});

// Root may read all.
test.skipIf(process.getuid?.() === 0)("an index that another user made is made again", async () => {
  await withOne(async (folder) => {
    const keys = keysOf({ now: 0, shredded: new Set() });
    for (const file of ["find.mdb", "find.mdb-lock"]) {
      writeFileSync(join(folder, file), "another's");
      chmodSync(join(folder, file), 0);
      const journal = await openJournal({ folder, keys });
      const index = openFindIndex(folder, journal, keys);
      await index.catchUp();
      expect([...index.search({ patient: "CANARY-4711" })]).toHaveLength(1);
      await index.close();
      await journal.close();
    }
  });
});

test("a search is an event of the journal, and is found like one", async () => {
  await withOne(async (folder) => {
    const keys = keysOf({ now: 0, shredded: new Set() });
    const journal = await openJournal({ folder, keys });
    const asked: Query = { patient: "CANARY-4711", from: 0 };
    await journalUse(await journal.intake(USES), {
      kind: "search",
      query: asked,
      by: "m.officer",
      at: 1_000,
    });
    const index = openFindIndex(folder, journal, keys);
    await index.catchUp();
    const [found, ...others] = index.search({ user: "m.officer" });
    expect(others).toEqual([]);
    expect(found?.entry.source).toBe(USES);
    expect(found?.columns).toMatchObject({ user: { login: "m.officer" }, when: "1970-01-01T00:00:01.000Z" });
    await index.close();
    await journal.close();
  });
});
