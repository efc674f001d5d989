/** /readyz: what stands still, in words and codes, and nothing of whose it is. */
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { z } from "zod";
import { handler as anchorer } from "../../functions/anchorer.ts";
import { createApp } from "../../functions/http/app.ts";
import { service } from "../../functions/open.ts";
import { handler as sealer } from "../../functions/sealer.ts";
import { ServiceError } from "../../platform/error.ts";
import { append } from "../../service/append.ts";
import { readHead } from "../../service/head.ts";
import { keepRun, readiness } from "../../service/runs.ts";
import { memoryStore } from "../support/memory-store.ts";
import { type Harness, startHarness } from "./harness.ts";

const EVERY = { sealer: 60_000, anchorer: 60_000 };
const reasonSchema = z.object({ part: z.string(), code: z.string(), detail: z.string() });

let kedge: Harness;
beforeAll(async () => {
  kedge = await startHarness();
});
afterAll(() => kedge.close());

/** Of a new app, for an answer is kept for a second. */
async function ask() {
  const response = await createApp(kedge.service).request("/readyz");
  const body: unknown = await response.json();
  const { reasons } = z.object({ reasons: z.array(reasonSchema).default([]) }).parse(body);
  return { response, body, codes: reasons.map(({ part, code }) => `${part}:${code}`) };
}

test("it is ready once everything has run, and says so before", async () => {
  expect(await ask()).toMatchObject({
    response: { status: 503 },
    codes: ["sealing:stale", "anchoring:stale"],
  });
  await sealer({});
  await anchorer();
  expect(await ask()).toMatchObject({ response: { status: 200 }, body: { status: "ready" } });
});

test("an act of the trail that cannot be settled fails the sealer's run, once all else is done, and is named in its line", async () => {
  const stuck = { pk: "trail-outbox", sk: `${kedge.b.id}/stuck` };
  await kedge.service.store.put(stuck);
  await append(kedge.service, kedge.b.log.id, [new Uint8Array(32)]);
  await expect(sealer({})).rejects.toThrow("the trail is not settled");
  expect((await readHead(kedge.service.store, kedge.b.log.id)).published).toBe(1n);
  const line = kedge.logged.find((each) => each.includes('"event":"trail"')) ?? "{}";
  expect(JSON.parse(line)).toMatchObject({ level: "error", item: stuck.sk, code: "corrupt" });
  expect((await ask()).codes).toEqual(["sealing:corrupt"]);
  await kedge.service.store.write([], [stuck]);
  await sealer({});
  expect((await ask()).codes).toEqual([]);
});

test("a log that is refused shows with its code, and not by its id; nor is the answer logged as a failure", async () => {
  const { id } = kedge.a.log;
  await append(kedge.service, id, [new Uint8Array(32)]);
  await sealer({});
  await kedge.service.publication.replace(
    `logs/${id}/head`,
    new TextEncoder().encode("altered"),
    (await kedge.service.publication.read(`logs/${id}/head`))?.tag,
  );
  await append(kedge.service, id, [new Uint8Array(32).fill(1)]);
  await expect(sealer({})).rejects.toThrow();
  const { response, body, codes } = await ask();
  expect([response.status, response.headers.get("content-type"), codes]).toEqual([
    503,
    "application/problem+json",
    ["sealing:corrupt"],
  ]);
  expect(response.headers.get("retry-after")).not.toBeNull();
  for (const secret of [id, kedge.a.id]) expect(JSON.stringify(body)).not.toContain(secret);
  expect(JSON.parse(kedge.logged.at(-1) ?? "")).toMatchObject({
    level: "info",
    route: "/readyz",
    reasons: "sealing:corrupt",
  });
  expect((await kedge.app.request("/healthz")).status).toBe(200);
});

test("a store that does not answer is said in seconds", async () => {
  const get = vi.spyOn(kedge.service.store, "get").mockReturnValue(new Promise(() => {}));
  expect(await ask()).toMatchObject({ response: { status: 503 }, codes: ["store:unavailable"] });
  get.mockRejectedValue(new ServiceError("unavailable", "no table"));
  expect(await ask()).toMatchObject({ codes: ["store:unavailable"] });
  get.mockRestore();
});

test("however many ask, the store is asked once a second", async () => {
  const get = vi.spyOn(kedge.service.store, "get");
  const app = createApp(kedge.service);
  await Promise.all(Array.from({ length: 50 }, () => app.request("/readyz")));
  await app.request("/readyz");
  expect(get).toHaveBeenCalledTimes(1);
  get.mockRestore();
});

test("a run that cannot be kept is no reason for it to fail", async () => {
  const { store } = service();
  const { put: through } = store;
  const put = vi.spyOn(store, "put").mockImplementation(async (item, condition) => {
    if (item.pk.startsWith("run/")) throw new ServiceError("unavailable", "no table");
    await through(item, condition);
  });
  await anchorer();
  put.mockRestore();
});

test("too few witnesses are named, and a part that has not run for five intervals stands still", async () => {
  const store = memoryStore();
  const now = 1_800_000_000_000;
  const at = (ago: number) => BigInt(now - ago);
  await keepRun(store, "sealer", { at: at(5 * 60_000), codes: "", missing: "" });
  await keepRun(store, "anchorer", { at: at(0), codes: "witness_quorum", missing: "w1 w2" });
  const asked = () => readiness({ store, clock: () => now, every: EVERY });
  expect(await asked()).toMatchObject([
    { part: "anchoring", code: "witness_quorum", detail: expect.stringMatching(/missing: w1, w2/) },
  ]);
  await keepRun(store, "sealer", { at: at(5 * 60_000 + 1), codes: "", missing: "" });
  expect(await asked()).toMatchObject([{ part: "sealing", code: "stale" }, { code: "witness_quorum" }]);
  // A clock was wrong, and there was no run since that says so.
  await keepRun(store, "sealer", { at: at(-3_600_000), codes: "", missing: "" });
  expect(await asked()).toMatchObject([{ part: "sealing", code: "stale" }, { code: "witness_quorum" }]);
});
