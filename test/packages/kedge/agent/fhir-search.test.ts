/** A FHIR search over the journal: what it finds, what stands in its answer, and what is refused. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { searchAuditEvents } from "@kedge/cli/agent/fhir-search";
import type { ProofAnswer } from "@kedge/cli/client/api";
import { openFindIndex } from "@kedge/cli/find/index";
import { USES } from "@kedge/cli/find/used";
import { openJournal } from "@kedge/cli/journal/journal";
import type { EpochKeys, Journal } from "@kedge/cli/journal/types";
import { ClientError } from "@kedge/verify/error";
import { bytesToHex } from "@noble/hashes/utils.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import * as z from "zod";

const key = { epoch: 0, tenantKey: new Uint8Array(32).fill(1) };
const keys: EpochKeys = { current: () => key, of: (epoch) => (epoch === 0 ? key : undefined) };
const folder = mkdtempSync(join(tmpdir(), "kedge-search-"));
let journal: Journal;

/** With white space and an escape that no serialiser would write: it has to come back as it is. */
const auditEvent = (n: number, patient: string, action = "R"): string =>
  `{ "resourceType":"AuditEvent",  "id":"e${n}", "type":{"code":"rest","display":"\\u0041"}, "action":"${action}",
  "recorded":"2026-03-0${n}T10:00:00Z", "agent":[{"who":{"identifier":{"value":"m.nurse"}},"requestor":true}],
  "source":{"observer":{"display":"ehr"}}, "entity":[{"what":{"reference":"Patient/${patient}"}}] }`;
const events = [auditEvent(1, "p1"), auditEvent(2, "p1", "U"), auditEvent(3, "p2"), auditEvent(4, "p1")];

beforeAll(async () => {
  journal = await openJournal({ folder, keys });
  const intake = await journal.intake("ehr");
  const bytesOf = (text: string) => new TextEncoder().encode(text);
  await intake.take({
    arrivals: [
      ...events.map((text) => ({ bytes: bytesOf(text), mediaType: "application/fhir+json" })),
      { bytes: bytesOf("a line of 2026-03-01"), mediaType: "text/plain" },
    ],
  });
});
afterAll(async () => {
  await journal.close();
  rmSync(folder, { recursive: true });
});

type Proofs = (commitments: readonly Uint8Array[]) => AsyncIterable<ProofAnswer>;
async function* pending(commitments: readonly Uint8Array[]): AsyncGenerator<ProofAnswer> {
  for (const commitment of commitments) yield { hash: bytesToHex(commitment), state: "pending" };
}

const bundleSchema = z.object({
  resourceType: z.literal("Bundle"),
  type: z.literal("searchset"),
  link: z.array(z.object({ relation: z.string(), url: z.string() })),
  entry: z.array(
    z.object({
      resource: z.looseObject({ resourceType: z.string() }),
      search: z.object({ mode: z.string() }),
    }),
  ),
});

async function search(parameters: string, proofs: Proofs = pending) {
  const index = openFindIndex(folder, journal, keys);
  try {
    const uses = await journal.intake(USES);
    const request = new Request(`http://127.0.0.1/AuditEvent?${parameters}`);
    const answer = await searchAuditEvents({ index, uses, keys, proofs, now: () => 0 }, request);
    await uses.close();
    const text = await answer.text();
    const { entry, link } = bundleSchema.parse(JSON.parse(text));
    const matches = entry.filter(({ search }) => search.mode === "match");
    return { text, entry, link, ids: matches.map(({ resource }) => resource["id"]) };
  } finally {
    await index.close();
  }
}

test.each([
  ["patient=Patient/p1", ["e1", "e2", "e4"]],
  ["patient=p1&action=U", ["e2"]],
  ["patient.identifier=urn:oid:1.2|p2", ["e3"]],
  ["agent.identifier=m.nurse&date=ge2026-03-02&date=le2026-03-03", ["e2", "e3"]],
  ["date=2026-03-04", ["e4"]],
  ["date=gt2026-03-03&agent=m.nurse", ["e4"]],
  ["date=lt2026-03-02&agent=m.nurse", ["e1"]],
  ["date=2026-03&source=ehr", ["e1", "e2", "e3", "e4"]],
  ["patient=nobody", []],
])("%s finds %j", async (parameters, ids) => {
  expect((await search(parameters)).ids).toEqual(ids);
});

test("a resource stands in the answer byte for byte, and the answer is JSON", async () => {
  const { text } = await search("patient=p1");
  for (const event of [events[0], events[1], events[3]]) expect(text).toContain(event);
});

test("pages follow each other to the end, each event once", async () => {
  const ids: unknown[] = [];
  let parameters: string | undefined = "patient=p1&_count=2";
  while (parameters !== undefined) {
    const page: Awaited<ReturnType<typeof search>> = await search(parameters);
    ids.push(...page.ids);
    const next = page.link.find(({ relation }) => relation === "next")?.url;
    parameters = next === undefined ? undefined : new URL(next).search.slice(1);
  }
  expect(ids).toEqual(["e1", "e2", "e4"]);
});

test("without the service, what is found is given, and it is said that proofs are missing", async () => {
  const { ids, entry } = await search("patient=p2", async function* () {
    yield* [];
    throw new ClientError("network", "down");
  });
  expect(ids).toEqual(["e3"]);
  expect(entry.map(({ search }) => search.mode)).toEqual(["match", "outcome"]);
});

test.each(["patient=a&patient=b", "subject=p1", "date=ge", "date=2026-13-01", "_count=-1", "patient=p1,p2"])(
  "%s is refused, and quotes nothing",
  async (parameters) => {
    await expect(search(parameters)).rejects.toMatchObject({ code: "invalid" });
    await expect(search(parameters)).rejects.not.toThrow(/p1|p2/);
  },
);

test("each search is an event of the journal before it is answered", async () => {
  const count = () => [...journal.entries(USES)].length;
  const before = count();
  await search("patient=p1");
  expect(count()).toBe(before + 1);
});

test("a search that looks through many of another format leaves the event loop to others in between", async () => {
  let round = 0;
  let isOpen = true;
  const go = () => {
    round += 1;
    if (isOpen) setImmediate(go);
  };
  go();
  const rounds = new Set<number>();
  const entry = {
    ...{ source: "ehr", number: 1n, at: 0, epoch: 0, commitment: new Uint8Array(32), notes: [] },
    ...{ mediaType: "text/plain", bytes: new Uint8Array(1) },
  };
  const index = {
    catchUp: async () => 0,
    behind: () => 0n,
    *search() {
      for (let i = 0; i < 1_000; i++) {
        rounds.add(round);
        yield { entry, columns: {}, when: 0 };
      }
    },
    close: async () => undefined,
  };
  const uses = await journal.intake(USES);
  const request = new Request("http://127.0.0.1/AuditEvent?date=2026");
  await searchAuditEvents({ index, uses, keys, proofs: pending, now: () => 0 }, request);
  isOpen = false;
  await uses.close();
  expect(rounds.size).toBeGreaterThan(3);
});
