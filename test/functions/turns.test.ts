import { bytesToHex, randomBytes } from "@noble/hashes/utils.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createApp } from "../../functions/http/app.ts";
import { openTurns } from "../../functions/http/turns.ts";
import { handler as sealer } from "../../functions/sealer.ts";
import { ServiceError } from "../../platform/error.ts";
import type { Store } from "../../platform/store.ts";
import { bearer, type Harness, json, newTenant, startHarness } from "./harness.ts";

describe("turns", () => {
  /** Work that says when it begins, and ends when it is told to. */
  const scene = () => {
    const turns = openTurns(2);
    const begun: string[] = [];
    const ends = new Map<string, () => void>();
    const ask = (tenant: string, name: string) =>
      turns(tenant, async () => {
        begun.push(name);
        await new Promise<void>((end) => ends.set(name, end));
        return name;
      });
    const settled = () => new Promise((resolve) => setTimeout(resolve));
    const end = async (name: string) => {
      ends.get(name)?.();
      await settled();
    };
    return { turns, begun, ask, end, settled };
  };

  test("one tenant's work waits behind their own; another's begins at once", async () => {
    const { begun, ask, end, settled } = scene();
    const asked = ["a1", "a2", "a3", "a4"].map((name) => ask("a", name));
    const other = ask("b", "b1");
    await settled();
    expect(begun).toEqual(["a1", "a2", "b1"]);
    await end("b1");
    expect(await other).toBe("b1");
    for (const name of ["a2", "a1", "a3", "a4"]) await end(name);
    expect(await Promise.all(asked)).toEqual(["a1", "a2", "a3", "a4"]);
    expect(begun).toEqual(["a1", "a2", "b1", "a3", "a4"]);
  });

  test("work that fails hands its turn on", async () => {
    const { turns, begun, ask, end, settled } = scene();
    const failing = [1, 2, 3].map(() => turns("a", () => Promise.reject(new Error("it failed"))));
    const next = ask("a", "a1");
    for (const each of failing) await expect(each).rejects.toThrow("it failed");
    await settled();
    expect(begun).toEqual(["a1"]);
    await end("a1");
    expect(await next).toBe("a1");
  });

  test("what two requests ask in pieces comes piece by piece of each", async () => {
    const turns = openTurns(2);
    const order: string[] = [];
    const inPieces = async (tenant: string, pieces: number) => {
      for (let i = 0; i < pieces; i++) await turns(tenant, async () => void order.push(tenant));
    };
    await Promise.all([inPieces("a", 50), inPieces("a", 50), inPieces("a", 50), inPieces("b", 3)]);
    expect(order.lastIndexOf("b")).toBeLessThan(15);
  });
});

describe("proofs by the thousand", () => {
  let kedge: Harness;
  let hashes: string[];
  let small: Awaited<ReturnType<typeof newTenant>>;
  beforeAll(async () => {
    kedge = await startHarness();
    hashes = Array.from({ length: 1_000 }, () => bytesToHex(randomBytes(32)));
    small = await newTenant(kedge.service);
    await kedge.app.request(`/v1/logs/${kedge.a.log.id}/entries`, json(kedge.a.write, { hashes }));
    await kedge.app.request(
      `/v1/logs/${small.log.id}/entries`,
      json(small.write, { hashes: hashes.slice(0, 1) }),
    );
    await sealer({});
  });
  afterAll(() => kedge.close());

  const askAll = (app = kedge.app) =>
    app.request(`/v1/logs/${kedge.a.log.id}/proofs`, json(kedge.a.read, { hashes }));
  /** The real store, whose reads are counted, and fail from the one on that is named. */
  const counted = (failsFrom = Number.POSITIVE_INFINITY) => {
    const { store } = kedge.service;
    const reads = { count: 0 };
    const counting: Store = {
      ...store,
      get(keys) {
        if (++reads.count >= failsFrom) throw new ServiceError("unavailable", "the store is away");
        return store.get(keys);
      },
    };
    return { app: createApp({ ...kedge.service, store: counting }), reads };
  };
  const readerOf = (response: Response) =>
    (response.body ?? expect.fail("no body")).pipeThrough(new TextDecoderStream()).getReader();

  test("another tenant's proof comes while they are made", async () => {
    let chunks = 0;
    let ended = false;
    const whole = (async () => {
      const reader = readerOf(await askAll());
      for (let next = await reader.read(); !next.done; next = await reader.read()) chunks++;
      ended = true;
    })();
    const path = `/v1/logs/${small.log.id}/entries/${hashes[0]}/proof`;
    const other = await kedge.app.request(path, { headers: bearer(small.read) });
    expect([other.status, ended]).toEqual([200, false]);
    await whole;
    expect(chunks).toBeGreaterThanOrEqual(10);
  });

  test("no more are made than are read: who goes away, or reads slowly, costs nothing more", async () => {
    const { app, reads } = counted();
    const all = (await (await askAll(app)).text()).split("\n");
    const forAll = reads.count;
    reads.count = 0;
    const reader = readerOf(await askAll(app));
    await reader.read();
    await reader.cancel();
    await kedge.app.request("/healthz");
    expect(all).toHaveLength(1_001);
    expect(reads.count).toBeLessThan(forAll / 2);
  });

  test("a store that fails half-way ends an answer that can be gone on from; one that fails first is a 503", async () => {
    const { app } = counted(12);
    const response = await askAll(app);
    const lines = (await response.text()).split("\n").slice(0, -1);
    expect([response.status, lines.length]).toEqual([200, 1_000]);
    const firstFull = lines.findIndex((line) => line.includes("urn:kedge:problem:response_full"));
    expect(firstFull % 100).toBe(0);
    expect(firstFull).toBeGreaterThan(0);
    expect(lines.slice(0, firstFull).every((line) => line.includes('"proof":'))).toBe(true);
    expect(lines.slice(firstFull).every((line) => line.includes("response_full"))).toBe(true);
    expect(kedge.logged.some((line) => line.includes("the store is away"))).toBe(true);
    expect((await askAll(counted(3).app)).status).toBe(503);
  });
});
