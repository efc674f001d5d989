/** Posting takes any number of commitments from anything that can be iterated over, and holds those of one request. */
import { openClient, type Receipt } from "@kedge/cli/client/api";
import type { Connection } from "@kedge/verify/net/http";
import { bytesToHex } from "@noble/hashes/utils.js";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { API_KEY, LOG_ID, reset, startServer } from "../../../support/fake-api.ts";

let server: Awaited<ReturnType<typeof startServer>>;
beforeEach(async () => {
  server = await startServer();
});
afterEach(() => server.stop());

const connect = (more: Partial<Connection> = {}) => openClient({ url: server.url, apiKey: API_KEY, ...more });

function numbered(n: number): Uint8Array {
  const bytes = new Uint8Array(32);
  new DataView(bytes.buffer).setUint32(0, n);
  return bytes;
}

/** One buffer for all of them, and a count of those that were taken. */
function stream(count: number) {
  const taken = { count: 0, ended: false };
  async function* commitments() {
    const buffer = new Uint8Array(32);
    try {
      for (; taken.count < count; taken.count++) {
        new DataView(buffer.buffer).setUint32(0, taken.count);
        yield buffer;
      }
    } finally {
      taken.ended = true;
    }
  }
  return { taken, commitments: commitments() };
}

test("a stream is posted in requests, each once the one before is accepted, and a receipt tells of each", async () => {
  const { taken, commitments } = stream(250);
  const receipts: Receipt[] = [];
  const onReceipt = (receipt: Receipt) => {
    receipts.push(receipt);
    expect(server.requests).toHaveLength(receipts.length);
    expect(taken.count).toBeLessThan(100 * receipts.length);
  };
  const all = await connect().post(LOG_ID, commitments, { batch: 100, onReceipt });
  expect(receipts.map(({ accepted }) => accepted)).toEqual([100, 100, 50]);
  expect(all).toEqual({ ...receipts[2], accepted: 250, postedAt: receipts[0]?.postedAt });
  expect(all.log).toBe(LOG_ID);
  await server.seal();
  expect(server.sealed()).toEqual(Array.from({ length: 250 }, (_, n) => bytesToHex(numbered(n))));
});

test("whatever they come from, in whatever requests, the same stands in the log", async () => {
  const log: string[] = [];
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat(40), { minLength: 1, maxLength: 12 }),
      fc.integer({ min: 1, max: 13 }),
      fc.constantFrom("array", "set", "generator"),
      async (ids, batch, kind) => {
        const list = ids.map(numbered);
        const commitments = kind === "array" ? list : kind === "set" ? new Set(list) : list.values();
        expect(await connect().post(LOG_ID, commitments, { batch })).toMatchObject({ accepted: ids.length });
        await server.seal();
        for (const hex of list.map(bytesToHex)) if (!log.includes(hex)) log.push(hex);
        expect(server.sealed()).toEqual(log);
      },
    ),
    { numRuns: 20 },
  );
});

test("a failure ends it, closes the stream, and the receipts tell from where to go on", async () => {
  const { taken, commitments } = stream(1_000);
  let accepted = 0;
  const onReceipt = (receipt: Receipt) => {
    accepted += receipt.accepted;
    server.faults.push(...(accepted === 200 ? [() => server.problem(403, "forbidden")] : []));
  };
  const posting = connect().post(LOG_ID, commitments, { batch: 100, onReceipt });
  await expect(posting).rejects.toMatchObject({ code: "forbidden" });
  expect([accepted, taken.ended]).toEqual([200, true]);
  await connect().post(
    LOG_ID,
    Array.from({ length: 50 }, (_, n) => numbered(accepted + n)),
  );
  await server.seal();
  expect(server.sealed()).toEqual(Array.from({ length: 250 }, (_, n) => bytesToHex(numbered(n))));
});

test("a signal ends it between two requests and within one, with its reason", async () => {
  for (const fault of [undefined, () => new Promise<Response>(() => undefined)]) {
    const controller = new AbortController();
    const { taken, commitments } = stream(1_000);
    const onReceipt = () => {
      if (fault !== undefined) server.faults.push(fault);
      setTimeout(() => controller.abort(new Error("enough")));
      if (fault === undefined) controller.abort(new Error("enough"));
    };
    const options = { batch: 100, onReceipt, signal: controller.signal };
    await expect(connect().post(LOG_ID, commitments, options)).rejects.toThrow("enough");
    expect([taken.count < 300, taken.ended]).toEqual([true, true]);
  }
});

test.each([
  ["nothing", [], {}],
  ["31 bytes", [new Uint8Array(31)], {}],
  ["64 bytes", [numbered(1), new Uint8Array(64)], {}],
  ["requests of none", [numbered(1)], { batch: 0 }],
  ["requests of more than are taken", [numbered(1)], { batch: 10_001 }],
])("%s is refused before anything is sent", async (_, commitments, options) => {
  await expect(connect().post(LOG_ID, commitments, options)).rejects.toMatchObject({ code: "invalid" });
  expect(server.requests).toEqual([]);
});

test("another number than was sent is no receipt", async () => {
  const receivedAt = "2026-03-02T08:00:00.000Z";
  server.faults.push(() => Response.json({ accepted: 3, receivedAt }, { status: 202 }));
  const posting = connect().post(LOG_ID, [numbered(1), numbered(2)]);
  await expect(posting).rejects.toMatchObject({ code: "protocol" });
});

test("I2: a post whose answer is lost is repeated, and stands in the log once", async () => {
  const list = Array.from({ length: 5 }, (_, n) => numbered(n));
  await server.add(list);
  server.faults.push(reset);
  expect(await connect().post(LOG_ID, list)).toMatchObject({ accepted: 5 });
  await server.seal();
  expect(server.sealed()).toEqual(list.map(bytesToHex));
});
