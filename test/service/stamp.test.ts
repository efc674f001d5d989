import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { TimestampError } from "@kedge/verify/error";
import { parseExtra } from "@kedge/verify/proof/extra";
import { verifyEvent } from "@kedge/verify/proof/verify";
import { timestampVerifier } from "@kedge/verify/time/timestamps";
import { parsePemCertificates } from "@kedge/verify/time/x509";
import { parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { formatVkey } from "@kedge/verify/tlog/note";
import { parsePolicy } from "@kedge/verify/tlog/policy";
import { parseProof } from "@kedge/verify/tlog/proof";
import { sha256 } from "@noble/hashes/sha2.js";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { ServiceError } from "../../platform/error.ts";
import { anchor } from "../../service/anchor.ts";
import { publicKey } from "../../service/anchor-items.ts";
import { append } from "../../service/append.ts";
import {
  type Authority,
  type Calendar,
  openTimestamping,
  type Tsa as TsaSource,
  tsa,
} from "../../service/authorities.ts";
import { entryStatus, prove } from "../../service/prove.ts";
import { seal } from "../../service/seal.ts";
import { stampingKey, timestampPublic, unstampedSince } from "../../service/stamp.ts";
import { stampedKey, timestampsOf } from "../../service/timestamps.ts";
import { cosignedBy, ed25519Cosigner } from "../packages/verify/tlog/signers.ts";
import { hasOpenssl, type Identity, opensslTsa, type Tsa } from "../support/tsa.ts";
import { type Actor, LOG, newWorld, ORIGIN, type World } from "../support/world.ts";

const entry = (n: number): Uint8Array => sha256(new TextEncoder().encode(`entry ${n}`));

/** Seals one entry more and anchors it: a public checkpoint of one more. */
async function anchorEntry(actor: Actor, n: number): Promise<void> {
  await append(actor, LOG, [entry(n)]);
  await seal(actor, { id: LOG, origin: ORIGIN, sign: actor.signLog });
  await anchor(actor);
}

const proofOf = async ({ reading }: World, actor: Actor, n: number): Promise<string> => {
  const [found] = await prove({ ...reading, policy: actor.policy }, LOG, [entry(n)]);
  if (found === undefined || found === "pending") throw new Error("no proof");
  return found.proof;
};
const extraOf = (proof: string) => parseExtra(parseProof(proof).extra ?? new Uint8Array());
const timestampItems = (world: World) => world.store.items().filter(({ sk }) => sk.startsWith("timestamp/"));

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const YEAR = 365 * 24 * HOUR;
/** An authority that answers with these bytes, at the time of this clock. */
const fakeTsa = (clock: () => number, name = "tsa.example"): TsaSource & { asked: number } => {
  const source = {
    kind: "rfc3161" as const,
    url: `https://${name}/`,
    asked: 0,
    async stamp() {
      source.asked++;
      return { token: new TextEncoder().encode(name), genTime: clock() };
    },
  };
  return source;
};

describe("which checkpoints are timestamped", () => {
  const setUp = async () => {
    const world = newWorld();
    const actor = world.actor();
    let now = 1_800_000_000_000;
    const clock = () => now;
    const run = (...authorities: Authority[]) =>
      timestampPublic({ ...world, clock, authorities, every: HOUR });
    return { world, actor, clock, run, pass: (ms: number) => (now += ms) };
  };

  test("none before there is a public one, and none without authorities", async () => {
    const { world, actor, clock, run } = await setUp();
    expect(await run(fakeTsa(clock))).toEqual({ stored: 0, failures: [] });
    await anchorEntry(actor, 1);
    expect(await run()).toEqual({ stored: 0, failures: [] });
    expect(timestampItems(world)).toEqual([]);
  });

  test("once for each authority, then the newest when the next is due", async () => {
    const { world, actor, clock, run, pass } = await setUp();
    const [a, b] = [fakeTsa(clock, "a.example"), fakeTsa(clock, "b.example")];
    await anchorEntry(actor, 1);
    expect(await run(a, b)).toEqual({ size: 1n, stored: 2, failures: [] });
    await anchorEntry(actor, 2);
    await anchorEntry(actor, 3);
    expect(await run(a, b)).toEqual({ size: 1n, stored: 0, failures: [] });
    pass(HOUR);
    expect(await run(a, b)).toEqual({ size: 3n, stored: 2, failures: [] });
    pass(HOUR);
    expect((await run(a, b)).stored).toBe(0);
    expect([a.asked, b.asked]).toEqual([2, 2]);
    expect(timestampItems(world)).toHaveLength(4);
  });

  test("one that failed is asked again, and the others are not", async () => {
    const { actor, clock, run, pass } = await setUp();
    const [up, down] = [fakeTsa(clock, "up.example"), fakeTsa(clock, "down.example")];
    const failing: TsaSource = {
      ...down,
      stamp: () => Promise.reject(new ServiceError("unavailable", "down")),
    };
    await anchorEntry(actor, 1);
    const first = await run(up, failing);
    expect(first.stored).toBe(1);
    expect(first.failures).toMatchObject([{ authority: "down.example", error: { code: "unavailable" } }]);
    pass(MINUTE);
    expect(await run(up, down)).toMatchObject({ stored: 1, failures: [] });
    expect(up.asked).toBe(1);
  });

  test("one that goes on failing is asked again after a pause that doubles, to an hour at most", async () => {
    const { actor, clock, run, pass } = await setUp();
    const asked: number[] = [];
    const failing: TsaSource = {
      ...fakeTsa(clock),
      stamp() {
        asked.push(clock());
        return Promise.reject(new ServiceError("unavailable", "down"));
      },
    };
    await anchorEntry(actor, 1);
    let told = 0;
    for (let seconds = 0; seconds < 4 * 3600; seconds += 2, pass(2_000)) {
      told += (await run(failing)).failures.length;
    }
    const pauses = asked.slice(1).map((at, i) => (at - (asked[i] ?? 0)) / 1000);
    expect(pauses).toEqual([30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
    expect(told).toBe(asked.length);
    // Once it answers, it begins anew.
    pass(HOUR);
    expect((await run(fakeTsa(clock))).stored).toBe(1);
    await anchorEntry(actor, 2);
    pass(HOUR);
    await run(failing);
    pass(29_999);
    expect(await run(failing)).toMatchObject({ stored: 0, failures: [] });
    pass(1);
    expect((await run(failing)).failures).toHaveLength(1);
  });

  test("a time far from our clock is not stored", async () => {
    const { world, actor, clock, run, pass } = await setUp();
    await anchorEntry(actor, 1);
    for (const off of [-HOUR, HOUR]) {
      pass(HOUR);
      const { stored, failures } = await run(fakeTsa(() => clock() + off));
      expect(stored).toBe(0);
      expect(failures[0]?.error).toBeInstanceOf(TimestampError);
    }
    expect(timestampItems(world)).toEqual([]);
  });

  test("whatever call of the store fails, it does not throw, and the next run makes it good", async () => {
    for (const fault of ["fails", "persists-then-fails", "dies"] as const) {
      for (let at = 0; at < 8; at++) {
        const { world, actor, clock, run } = await setUp();
        await anchorEntry(actor, 1);
        const { store, publication } = world.actor([{ at, fault }]);
        await timestampPublic({ store, publication, clock, authorities: [fakeTsa(clock)], every: HOUR });
        await run(fakeTsa(clock));
        expect(timestampItems(world)).toHaveLength(1);
        expect(await unstampedSince(world.store, clock())).toBeUndefined();
      }
    }
  });

  test("of a size that got more cosignatures, what stands under the size is timestamped, and proofs have it", async () => {
    const { world, actor, clock, run } = await setUp();
    await anchorEntry(actor, 1);
    const cosigner = ed25519Cosigner("w.example/witness");
    const policy = parsePolicy(`witness w ${formatVkey(cosigner.vkey)}\nquorum w\n`);
    const [item] = await world.store.get([publicKey()]);
    const note = String(item?.["note"]);
    const checkpoint = `${note}${cosignedBy(cosigner, parseCheckpoint(note).checkpoint, 1n)}`;
    await world.store.put({ ...publicKey(), size: 1n, at: 0n, note: checkpoint });
    await run(fakeTsa(clock));
    const stamped = await timestampsOf(world.store, 1n, note);
    expect(stamped).toHaveLength(1);
    expect(extraOf(await proofOf(world, actor, 1)).timestamps).toEqual(stamped);
    expect(await entryStatus({ ...world.reading, policy }, LOG, entry(1))).toMatchObject({
      assurance: "witnessed",
    });
  });

  test("two runs at once store one token of an authority", async () => {
    const { world, actor, clock, run } = await setUp();
    await anchorEntry(actor, 1);
    const results = await Promise.all([run(fakeTsa(clock)), run(fakeTsa(clock)), run(fakeTsa(clock))]);
    expect(results.reduce((sum, { stored }) => sum + stored, 0)).toBe(1);
    expect(timestampItems(world)).toHaveLength(1);
  });

  test("an entry's proof uses the earliest timestamped checkpoint that covers it", async () => {
    const { world, actor, clock, run, pass } = await setUp();
    await anchorEntry(actor, 1);
    const before = await proofOf(world, actor, 1);
    const status = await entryStatus({ ...world.reading, policy: actor.policy }, LOG, entry(1));
    expect(extraOf(before).timestamps).toEqual([]);
    await anchorEntry(actor, 2);
    await run(fakeTsa(clock));
    await anchorEntry(actor, 3);
    const sizeIn = (proof: string) => parseProof(extraOf(proof).anchor ?? "").checkpoint.split("\n")[1];
    const token = { type: "rfc3161", token: Buffer.from("tsa.example").toString("base64") };
    for (const [n, size, timestamps] of [
      [1, "2", [token]],
      [2, "2", [token]],
      [3, "3", []],
    ] as const) {
      const proof = await proofOf(world, actor, n);
      expect(sizeIn(proof)).toBe(size);
      expect(extraOf(proof).timestamps).toEqual(timestamps);
    }
    // When it was anchored does not change with that.
    expect(await entryStatus({ ...world.reading, policy: actor.policy }, LOG, entry(1))).toEqual(status);
    const settled = await proofOf(world, actor, 1);
    pass(HOUR);
    await run(fakeTsa(clock));
    expect(await proofOf(world, actor, 1)).toBe(settled);
  });

  test("what is over another note than the public one is in no proof", async () => {
    const { world, actor, clock, run } = await setUp();
    await anchorEntry(actor, 1);
    await run(fakeTsa(clock));
    const [item] = timestampItems(world);
    if (item === undefined) throw new Error("no timestamp");
    await world.store.put({ ...item, imprint: new Uint8Array(32) });
    expect(extraOf(await proofOf(world, actor, 1)).timestamps).toEqual([]);
    expect(await timestampsOf(world.store, 1n, "a note")).toEqual([]);
  });
});

describe("after a clock that was wrong", () => {
  const setUp = async () => {
    const world = newWorld();
    const actor = world.actor();
    let now = 1_800_000_000_000;
    const clock = () => now;
    const run = (...authorities: Authority[]) =>
      timestampPublic({ ...world, clock, authorities, every: HOUR });
    const since = () => unstampedSince(world.store, clock());
    return { world, actor, clock, run, since, set: (time: number) => (now = time), start: now };
  };
  const down: TsaSource = {
    kind: "rfc3161",
    url: "https://tsa.example/",
    stamp: () => Promise.reject(new ServiceError("unavailable", "down")),
  };

  test.each([
    ["a year ahead", YEAR],
    ["a year behind", -YEAR],
  ])("%s, the next checkpoint is timestamped when the clock is right again", async (_, off) => {
    const { actor, clock, run, since, set, start } = await setUp();
    await anchorEntry(actor, 1);
    expect((await run(fakeTsa(clock))).stored).toBe(1);
    set(start + off);
    await anchorEntry(actor, 2);
    // The authority's clock is right, so ours is found out; but the checkpoint is chosen by our own.
    expect((await run(fakeTsa(() => start))).stored).toBe(0);
    set(start + 2 * HOUR);
    await anchorEntry(actor, 3);
    expect(await run(fakeTsa(clock))).toMatchObject({ stored: 1, failures: [] });
    expect(await since()).toBeUndefined();
  });

  test("ahead, what waited then counts from now on, and the age rises", async () => {
    const { actor, run, since, set, start } = await setUp();
    set(start + YEAR);
    await anchorEntry(actor, 1);
    await run(down);
    set(start);
    await run(down);
    expect(await since()).toBe(BigInt(start));
    set(start + HOUR);
    await anchorEntry(actor, 2);
    await run(down);
    expect(await since()).toBe(BigInt(start));
  });

  test("ahead, a timestamp that came then hides no later wait", async () => {
    const { actor, clock, run, since, set, start } = await setUp();
    set(start + YEAR);
    await anchorEntry(actor, 1);
    await run(fakeTsa(clock));
    set(start);
    await anchorEntry(actor, 2);
    await run(down);
    expect(await since()).toBe(BigInt(start));
  });

  test("ahead, an authority that failed then is asked at once", async () => {
    const { actor, clock, run, set, start } = await setUp();
    set(start + YEAR);
    await anchorEntry(actor, 1);
    await run(down);
    set(start);
    expect((await run(fakeTsa(clock))).stored).toBe(1);
  });

  test("ahead, a calendar's promise of then is asked for at once, and given up a week later", async () => {
    const { actor, run, set, start } = await setUp();
    const asked: string[] = [];
    const ots: Calendar = {
      kind: "ots",
      url: "https://ots.example/",
      async submit() {
        asked.push("submit");
        return Uint8Array.of(1);
      },
      async upgrade() {
        asked.push("upgrade");
        return undefined;
      },
    };
    set(start + YEAR);
    await anchorEntry(actor, 1);
    await run(ots);
    set(start);
    await anchorEntry(actor, 2);
    await run(ots);
    expect(asked).toEqual(["submit", "upgrade"]);
    set(start + 7 * 24 * HOUR);
    await run(ots);
    expect(asked).toEqual(["submit", "upgrade", "submit"]);
  });
});

describe("since when public checkpoints wait for a timestamp", () => {
  const setUp = async () => {
    const world = newWorld();
    const actor = world.actor();
    let [now, entries] = [1_800_000_000_000, 0];
    const clock = () => now;
    const up = fakeTsa(clock);
    const down: TsaSource = { ...up, stamp: () => Promise.reject(new ServiceError("unavailable", "down")) };
    /** Runs after so long, with an entry more or without. @returns how long they have waited by then. */
    const run = async (ms: number, authorities: Authority[], isBusy = true) => {
      now += ms;
      if (isBusy) await anchorEntry(actor, ++entries);
      await timestampPublic({ ...world, clock, authorities, every: HOUR });
      const since = await unstampedSince(world.store, now);
      return since === undefined ? "none waits" : now - Number(since);
    };
    return { world, clock, up, down, run };
  };

  test("none does while an authority answers, whatever others do, and none before there is one", async () => {
    const { up, down, run } = await setUp();
    expect(await run(0, [up], false)).toBe("none waits");
    for (let i = 0; i < 3; i++) {
      expect(await run(HOUR / 2, [down, up])).toBe("none waits");
      expect(await run(HOUR / 2, [down, up], false)).toBe("none waits");
    }
  });

  test("while none answers the time goes on, over checkpoints that came and were due meanwhile", async () => {
    const { up, down, run } = await setUp();
    await run(0, [up]);
    // A long idle time is no waiting.
    expect(await run(50 * HOUR, [down], false)).toBe("none waits");
    expect(await run(0, [down])).toBe(0);
    for (let half = 1; half < 8; half++) expect(await run(HOUR / 2, [down])).toBe((half * HOUR) / 2);
    expect(await run(HOUR / 2, [up])).toBe("none waits");
    expect(await run(HOUR, [down])).toBe(0);
  });

  test("for a calendar alone, at most as long as it takes for one: it has one checkpoint at a time", async () => {
    const { clock, run } = await setUp();
    let promisedAt = 0;
    const ots: Calendar = {
      kind: "ots",
      url: "https://ots.example/",
      async submit() {
        promisedAt = clock();
        return Uint8Array.of(1);
      },
      upgrade: async () => (clock() - promisedAt >= 3 * HOUR ? { proof: Uint8Array.of(2) } : undefined),
    };
    const waited = [];
    for (let half = 0; half < 40; half++) waited.push(await run(HOUR / 2, [ots]));
    expect(waited.slice(0, 7)).toEqual([0, 0.5, 1, 1.5, 2, 2.5, 0].map((hours) => hours * HOUR));
    expect(Math.max(...waited.map(Number))).toBeLessThanOrEqual(4 * HOUR);
  });

  test("cannot be told of what no anchorer wrote, and nothing is asked for then", async () => {
    for (const key of [stampingKey(), stampedKey()]) {
      const { world, up, run } = await setUp();
      await run(0, [up]);
      await world.store.put({ ...key, size: "large" });
      await expect(run(HOUR, [up])).rejects.toMatchObject({ code: "corrupt" });
      expect(up.asked).toBe(1);
    }
  });
});

describe.skipIf(!hasOpenssl)("a real authority over HTTP", () => {
  let openssl: Tsa;
  let root: Identity;
  let signer: Identity;
  beforeAll(() => {
    openssl = opensslTsa();
    root = openssl.root("p256");
    signer = openssl.issue(root, "tsa", { key: "p256", subject: "/CN=A TSA" });
  });
  afterAll(() => openssl.close());

  let closing: (() => void)[] = [];
  afterEach(() => {
    for (const close of closing) close();
    closing = [];
  });

  type Behaviour = (request: Uint8Array, response: ServerResponse, incoming: IncomingMessage) => void;
  const serve = async (behave: Behaviour): Promise<string> => {
    const server = createServer(async (incoming, response) => {
      const parts: Buffer[] = [];
      for await (const part of incoming) parts.push(part);
      behave(new Uint8Array(Buffer.concat(parts)), response, incoming);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    closing.push(() => {
      server.closeAllConnections();
      server.close();
    });
    const address: AddressInfo | string | null = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    return `http://127.0.0.1:${address.port}/tsr`;
  };
  /** What the proof of the first entry shows under the root alone. */
  const reportOf = async (world: World, actor: Actor) =>
    await timestampVerifier(
      { tsaCerts: parsePemCertificates(root.pem), bitcoinBlocks: [] },
      verifyEvent,
    )({
      commitment: entry(1),
      proof: await proofOf(world, actor, 1),
      logVkeys: [world.vkeys.log],
      anchorVkeys: [world.vkeys.anchor],
      requireTimestamp: true,
    });
  const setUp = async (behave: Behaviour, timeout?: number, pinned = root.pem) => {
    const url = await serve(behave);
    const world = newWorld();
    const actor = world.actor();
    await anchorEntry(actor, 1);
    const authorities = [tsa(url, parsePemCertificates(pinned), timeout)];
    const run = () => timestampPublic({ ...world, clock: Date.now, authorities, every: HOUR });
    return { world, actor, run };
  };

  test("its token is in the proof, and the verifier says so", async () => {
    let asked: IncomingMessage | undefined;
    const { world, actor, run } = await setUp((request, response, incoming) => {
      asked = incoming;
      response.end(openssl.reply(signer, request));
    });
    expect(await run()).toMatchObject({ size: 1n, stored: 1, failures: [] });
    expect(asked?.headers["content-type"]).toBe("application/timestamp-query");
    const report = await reportOf(world, actor);
    expect(report.failure).toBeUndefined();
    expect(report.timestamps).toMatchObject([{ type: "rfc3161", by: "CN=A TSA" }]);
  });

  test("that answers 201 with a token of its own certificate alone: the configured chain goes with the proof", async () => {
    const middle = openssl.issue(root, "ca");
    const below = openssl.issue(middle, "tsa", { subject: "/CN=Below" });
    const { world, actor, run } = await setUp(
      (request, response) => response.writeHead(201).end(openssl.reply(below, request)),
      undefined,
      `${middle.pem}${root.pem}`,
    );
    expect(await run()).toMatchObject({ size: 1n, stored: 1, failures: [] });
    const report = await reportOf(world, actor);
    expect([report.failure, report.timestamps?.map(({ type }) => type)]).toEqual([undefined, ["rfc3161"]]);
  });

  let elsewhere: Uint8Array = new Uint8Array();
  const lies: [string, Behaviour][] = [
    ["refuses", (_, response) => response.writeHead(503).end("later")],
    ["hangs up", (_, response) => response.destroy()],
    ["answers with nothing", (_, response) => response.end()],
    ["answers with a page", (_, response) => response.end("<html>".repeat(100))],
    [
      "sends elsewhere, where the right answer is",
      (request, response, { url }) => {
        if (url === "/elsewhere") response.end(elsewhere);
        else {
          elsewhere = openssl.reply(signer, request);
          response.writeHead(303, { Location: "/elsewhere" }).end();
        }
      },
    ],
    ["answers without an end", (_, response) => endless(response)],
    ["answers half and then nothing", (_, response) => response.write("0")],
    ["never answers", () => undefined],
    ["is another authority", (request, response) => response.end(openssl.reply(stranger(), request))],
    [
      "rejects",
      (request, response) => response.end(openssl.reply(signer, request, { section: "only_sha512" })),
    ],
    ["cuts its answer", (request, response) => response.end(openssl.reply(signer, request).subarray(0, -1))],
    [
      "adds to its answer",
      (request, response) => response.end(Buffer.concat([openssl.reply(signer, request), Buffer.of(0)])),
    ],
  ];
  const stranger = () => openssl.issue(openssl.root("p256"), "tsa", { key: "p256" });
  const endless = (response: ServerResponse) => {
    const chunk = Buffer.alloc(1 << 14, 0x30);
    const more = () => {
      if (!response.destroyed && response.write(chunk)) setImmediate(more);
    };
    response.on("drain", more);
    more();
  };
  test.each(lies)("that %s: nothing is stored, and anchoring goes on", async (_, behave) => {
    const { world, actor, run } = await setUp(behave, 700);
    const { stored, failures } = await run();
    expect(stored).toBe(0);
    expect(failures).toHaveLength(1);
    const { error } = failures[0] ?? {};
    expect(error instanceof TimestampError || error instanceof ServiceError).toBe(true);
    expect(timestampItems(world)).toEqual([]);
    await anchorEntry(actor, 2);
    expect(extraOf(await proofOf(world, actor, 2)).anchor).toBeDefined();
  });

  test("that repeats an old answer: refused, for the nonce is another", async () => {
    let first: Uint8Array | undefined;
    const { world, run } = await setUp((request, response) => {
      first ??= openssl.reply(signer, request);
      response.end(first);
    });
    expect((await run()).stored).toBe(1);
    const [item] = timestampItems(world);
    await world.store.write([], item === undefined ? [] : [item]);
    expect((await run()).failures).toMatchObject([{ error: { code: "wrong_nonce" } }]);
    expect(timestampItems(world)).toEqual([]);
  });
});

test("a configuration that would store unchecked timestamps is refused, and none is one without authorities", () => {
  expect(openTimestamping({})).toEqual({ authorities: [], every: HOUR });
  for (const [env, named] of [
    [{ KEDGE_TSA_URLS: "https://tsa.example" }, /KEDGE_TSA_CERTS/],
    [{ KEDGE_TSA_URLS: "tsa.example", KEDGE_TSA_CERTS: "x" }, /KEDGE_TSA_URLS/],
    [{ KEDGE_TSA_URLS: "https://tsa.example", KEDGE_TSA_CERTS: "/no/such/file" }, /KEDGE_TSA_CERTS/],
    [{ KEDGE_OTS_CALENDARS: "https://calendar.example" }, /KEDGE_BITCOIN_URL/],
    [{ KEDGE_TSA_EVERY: "often" }, /KEDGE_TSA_EVERY/],
  ] as const) {
    expect(() => openTimestamping(env)).toThrow(named);
  }
});
