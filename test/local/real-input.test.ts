/**
 * Any folder of real audit files, through the whole system and back: KEDGE_EVENTS=<folder> npx vitest run
 * test/local/real-input.test.ts. Without the variable, the synthetic hospital day stands in.
 */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openClient } from "@kedge/cli/client/api";
import { commitEvent, parseTenantKey } from "@kedge/verify/events/commitment";
import { mediaTypeOf } from "@kedge/verify/events/media";
import { withOpening } from "@kedge/verify/proof/extra";
import { type VerifyReport, verifyEvent } from "@kedge/verify/proof/verify";
import { tellReport } from "@kedge/verify/proof/words";
import { parseVkey, type Vkey } from "@kedge/verify/tlog/note";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hospitalDay } from "../../examples/hospital-day/generate.ts";
import { createTenantForOperator } from "../../local/operator.ts";
import { type Local, startLocal } from "../../local/start.ts";

const EVENTS = process.env["KEDGE_EVENTS"];

type Proven = { readonly name: string; readonly event: Uint8Array; readonly proof: string };

let folder: string;
let local: Local;
let keys: { logVkeys: Vkey[]; anchorVkeys: Vkey[] };
let proven: Proven[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-real-"));
  local = await startLocal({ data: join(folder, "data"), host: "127.0.0.1", port: 0 });
  const tenant = await createTenantForOperator({ name: "A", out: join(folder, "credentials.json") });
  keys = {
    logVkeys: [parseVkey(tenant.logVkey)],
    anchorVkeys: [tenant.anchorVkey, tenant.anchorMldsaVkey ?? ""].map(parseVkey),
  };
  const tenantKey = parseTenantKey(tenant.tenantKey);
  const committed = (await readEvents()).map(({ name, event }) => {
    const bytes = event;
    return { name, event, ...commitEvent({ bytes, mediaType: mediaTypeOf(name, bytes) }, { tenantKey }) };
  });
  const client = openClient({ url: local.url, apiKey: tenant.apiKey });
  const commitments = committed.map(({ commitment }) => commitment);
  await client.post(tenant.log, commitments);

  proven = [];
  while (proven.length < committed.length) {
    proven = [];
    for await (const answer of client.proofs(tenant.log, commitments)) {
      const mine = committed[proven.length];
      if (answer.state !== "proof" || answer.assurance !== "anchored" || mine === undefined) break;
      proven.push({ ...mine, proof: withOpening(answer.proof, mine.opening) });
    }
  }
}, 120_000);
afterAll(async () => {
  await local.close();
  await rm(folder, { recursive: true, force: true });
});

async function readEvents(): Promise<{ name: string; event: Uint8Array }[]> {
  if (EVENTS === undefined) {
    const day = [...hospitalDay({ seed: 2, date: "2026-03-03", events: 20 })];
    return day.map(({ resource }, i) => ({
      name: `${i}.json`,
      event: new TextEncoder().encode(JSON.stringify(resource)),
    }));
  }
  const entries = await readdir(EVENTS, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return await Promise.all(
    files.map(async (name) => ({ name, event: new Uint8Array(await readFile(name)) })),
  );
}

const flip = (bytes: Uint8Array, at: number, bit: number): Uint8Array => {
  const changed = bytes.slice();
  const i = at % changed.length;
  changed[i] = (changed[i] ?? 0) ^ (1 << bit);
  return changed;
};

/** What a report claims: everything but words and times, of which a verifier may know fewer. */
const claims = ({ assurance, commitment, log, anchor }: VerifyReport) => ({
  assurance,
  commitment,
  log,
  anchor,
});

describe(EVENTS === undefined ? "the synthetic day" : `the files of ${EVENTS}`, { timeout: 300_000 }, () => {
  test("every event is proven, anchored", () => {
    for (const { name, event, proof } of proven) {
      const { failure, assurance } = verifyEvent({ ...keys, event, proof });
      expect({ name, failure, assurance }).toEqual({ name, failure: undefined, assurance: "anchored" });
    }
    expect(proven.length).toBeGreaterThan(0);
  });

  test("one changed bit of an event: not proven, and the report says why", () => {
    for (const { event, proof } of proven) {
      if (event.length === 0) continue;
      fc.assert(
        fc.property(fc.nat(), fc.nat(7), (at, bit) => {
          const report = verifyEvent({ ...keys, event: flip(event, at, bit), proof });
          expect(report.proven).toBe(false);
          expect(tellReport(report).failure?.message).toMatch(/altered|changed|not the one/);
        }),
        { numRuns: 5 },
      );
    }
  });

  test("one changed bit of a proof, its checkpoints included: not proven, or the same claims and no more", () => {
    for (const { event, proof } of proven) {
      const original = verifyEvent({ ...keys, event, proof });
      const bytes = new TextEncoder().encode(proof);
      fc.assert(
        fc.property(fc.nat(), fc.nat(7), (at, bit) => {
          const report = verifyEvent({ ...keys, event, proof: flip(bytes, at, bit) });
          if (!report.proven) {
            expect(tellReport(report).failure?.message).not.toBe("");
            return;
          }
          // A signature line of a key that is not pinned is ignored (signed-note), so its time is gone; nothing else.
          expect(claims(report)).toEqual(claims(original));
          expect(original.times).toEqual(expect.arrayContaining(report.times));
        }),
        { numRuns: 20 },
      );
    }
  });

  test("another key of the log or of the anchor log: not proven", () => {
    const [one] = proven;
    if (one === undefined) throw new Error("no events");
    const changed = (vkey: Vkey): Vkey => ({ ...vkey, publicKey: flip(vkey.publicKey, 5, 1) });
    for (const other of [
      { ...keys, logVkeys: keys.logVkeys.map(changed) },
      { ...keys, anchorVkeys: keys.anchorVkeys.map(changed) },
      { ...keys, logVkeys: keys.anchorVkeys },
    ]) {
      const report = verifyEvent({ ...other, event: one.event, proof: one.proof });
      expect(report.proven).toBe(false);
      expect(report.failure?.step).toMatch(/log|anchor/);
    }
  });

  test("the proof of one event proves no other", () => {
    for (const [i, { proof }] of proven.entries()) {
      const other = proven[(i + 1) % proven.length];
      if (other === undefined || other.proof === proof) continue;
      expect(verifyEvent({ ...keys, event: other.event, proof }).proven).toBe(false);
    }
  });
});
