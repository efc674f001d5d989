/** OpenTimestamps with a calendar and a Bitcoin API of the test's own. */
import { createServer } from "node:http";
import { TimestampError } from "@kedge/verify/error";
import { parseExtra } from "@kedge/verify/proof/extra";
import { verifyEvent } from "@kedge/verify/proof/verify";
import { tellReport } from "@kedge/verify/proof/words";
import {
  type BitcoinBlock,
  displayHash,
  formatOts,
  type OtsTree,
  otsClaims,
  parseOts,
  verifyOts,
} from "@kedge/verify/time/ots";
import { timestampVerifier } from "@kedge/verify/time/timestamps";
import { parseProof } from "@kedge/verify/tlog/proof";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { afterEach, describe, expect, test } from "vitest";
import { ServiceError } from "../../platform/error.ts";
import { anchor } from "../../service/anchor.ts";
import { append } from "../../service/append.ts";
import { calendar, esplora } from "../../service/authorities.ts";
import { prove } from "../../service/prove.ts";
import { seal } from "../../service/seal.ts";
import { timestampPublic } from "../../service/stamp.ts";
import { HELLO_WORLD } from "../support/hello-world.ts";
import { LOG, newWorld, ORIGIN } from "../support/world.ts";

type Answer = { status?: number; body?: Uint8Array | string };
type Handle = (method: string, path: string, body: Uint8Array) => Answer | undefined;

let closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing) close();
  closing = [];
});

/** Answers nothing at all where the handler gives undefined. */
async function serve(handle: Handle): Promise<string> {
  const server = createServer(async (incoming, response) => {
    const parts: Buffer[] = [];
    for await (const part of incoming) parts.push(part);
    const answer = handle(incoming.method ?? "", incoming.url ?? "", new Uint8Array(Buffer.concat(parts)));
    if (answer !== undefined) response.writeHead(answer.status ?? 200).end(answer.body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return `http://127.0.0.1:${address.port}`;
}

/** A tree alone, as a calendar answers: a file without its head of 31 bytes, version, hash kind and hash. */
const treeBytes = (tree: OtsTree): Uint8Array => formatOts({ hash: new Uint8Array(32), tree }).slice(65);

const nonce = Uint8Array.of(1, 2, 3, 4);
const sibling = new Uint8Array(32).fill(9);
const PROMISE: OtsTree = {
  attestations: [],
  branches: [
    {
      op: { kind: "append", bytes: nonce },
      tree: {
        attestations: [],
        branches: [
          {
            op: { kind: "sha256" },
            tree: { attestations: [{ kind: "pending", uri: "https://elsewhere.example.org" }], branches: [] },
          },
        ],
      },
    },
  ],
};
const HEIGHT = 900_000;
const KEPT: OtsTree = {
  attestations: [{ kind: "pending", uri: "https://elsewhere.example.org" }],
  branches: [
    {
      op: { kind: "prepend", bytes: sibling },
      tree: {
        attestations: [],
        branches: [
          {
            op: { kind: "sha256" },
            tree: { attestations: [{ kind: "bitcoin", height: HEIGHT }], branches: [] },
          },
        ],
      },
    },
  ],
};
const HOUR = 3_600_000;

/** A world with one public anchor checkpoint, a clock, and a calendar that is asked at each run. */
async function setUp(handle: Handle, findBlock?: (height: number) => Promise<BitcoinBlock>) {
  const world = newWorld();
  const actor = world.actor();
  const entry = sha256(new TextEncoder().encode("entry"));
  const anchorOne = async (bytes: Uint8Array) => {
    await append(actor, LOG, [bytes]);
    await seal(actor, { id: LOG, origin: ORIGIN, sign: actor.signLog });
    await anchor(actor);
  };
  await anchorOne(entry);
  const proof = async (): Promise<string> => {
    const [found] = await prove({ ...world.reading, policy: actor.policy }, LOG, [entry]);
    if (found === undefined || found === "pending") throw new Error("no proof");
    return found.proof;
  };
  const note = parseProof(
    parseExtra(parseProof(await proof()).extra ?? new Uint8Array()).anchor ?? "",
  ).checkpoint;
  const message = new TextEncoder().encode(note);
  const hash = sha256(message);
  const promised = sha256(Uint8Array.of(...hash, ...nonce));
  const root = sha256(Uint8Array.of(...sibling, ...promised));
  const block: BitcoinBlock = { height: HEIGHT, root, time: 1_799_990_000_000 };
  let now = 1_800_000_000_000;
  const authorities = [calendar(await serve(handle), findBlock ?? (async () => block), 700)];
  const run = () => timestampPublic({ ...world, clock: () => now, authorities, every: HOUR });
  const stored = () => world.store.items().filter(({ sk }) => sk.startsWith("timestamp/"));
  return {
    world,
    actor,
    anchorOne,
    entry,
    proof,
    message,
    hash,
    promised,
    block,
    run,
    stored,
    pass: (ms: number) => (now += ms),
  };
}

/** A calendar that does what it says: `isReady` once its transaction is in a block. */
function honest(seen: string[], isReady: () => boolean): Handle {
  return (method, path, body) => {
    seen.push(`${method} ${path}`);
    if (method === "POST" && path === "/digest")
      return { body: body.length === 32 ? treeBytes(PROMISE) : "" };
    return isReady() ? { body: treeBytes(KEPT) } : { status: 404, body: "Pending confirmation" };
  };
}

describe("a calendar", () => {
  test("promises, and hours later the proof carries what leads to the block, which the verifier is given", async () => {
    const seen: string[] = [];
    let ready = false;
    const it = await setUp(honest(seen, () => ready));
    expect(await it.run()).toMatchObject({ stored: 0, failures: [] });
    it.pass(HOUR);
    expect(await it.run()).toMatchObject({ stored: 0, failures: [] });
    expect(it.stored()).toEqual([]);
    ready = true;
    expect(await it.run()).toMatchObject({ stored: 0 }); // asked a moment ago
    it.pass(HOUR);
    expect(await it.run()).toMatchObject({ stored: 1, failures: [] });
    expect(seen).toEqual(["POST /digest", ...Array(2).fill(`GET /timestamp/${bytesToHex(it.promised)}`)]);

    const [item] = it.stored();
    expect(item?.["time"]).toBe(1_799_990_000_000n);
    const bytes = item?.["bytes"];
    if (!(bytes instanceof Uint8Array)) throw new Error("nothing stored");
    expect(verifyOts(bytes, it.message, [it.block])).toEqual(it.block);
    expect(otsClaims(parseOts(bytes)).map(({ attestation: { kind } }) => kind)).toEqual(["bitcoin"]);

    const input = {
      commitment: it.entry,
      proof: await it.proof(),
      logVkeys: [it.world.vkeys.log],
      anchorVkeys: [it.world.vkeys.anchor],
    };
    const time = Date.parse("2026-03-01T08:00:00Z");
    const verify = timestampVerifier({ tsaCerts: [], bitcoinBlocks: [{ ...it.block, time }] }, verifyEvent);
    const report = await verify({ ...input, requireTimestamp: true });
    expect(report.timestamps).toEqual([{ type: "ots", height: HEIGHT, at: "2026-03-01T08:00:00.000Z" }]);
    expect(tellReport(report).statements.join("\n")).toMatch(`before Bitcoin block ${HEIGHT}`);
    const unaided = await timestampVerifier({ tsaCerts: [], bitcoinBlocks: [] }, verifyEvent)(input);
    expect(unaided.timestamps).toEqual([]);
    expect(tellReport(unaided).caveats.join("\n")).toContain(
      `whether Bitcoin block ${HEIGHT} has the merkle root ${displayHash(it.block.root)}`,
    );
  });

  test("is given one checkpoint at a time: the next once that one is done", async () => {
    const seen: string[] = [];
    const it = await setUp(honest(seen, () => true));
    await it.run();
    await it.anchorOne(sha256(it.entry));
    it.pass(HOUR);
    expect(await it.run()).toMatchObject({ size: 2n, stored: 1 });
    await it.run();
    expect(seen.map((line) => line.slice(0, 4))).toEqual(["POST", "GET ", "POST"]);
  });

  test("that never keeps its promise is given the newest checkpoint after a week", async () => {
    const seen: string[] = [];
    const it = await setUp(honest(seen, () => false));
    await it.run();
    await it.anchorOne(sha256(it.entry));
    it.pass(8 * 24 * HOUR);
    await it.run();
    expect(seen).toEqual(["POST /digest", "POST /digest"]);
  });

  const bitcoin = (height: number): OtsTree => ({
    attestations: [{ kind: "bitcoin", height }],
    branches: [],
  });
  const lies: [string, Handle][] = [
    ["leads to another root than the block's", () => ({ body: treeBytes(bitcoin(HEIGHT)) })],
    [
      "claims one root that is right and one that is not",
      () => ({ body: treeBytes({ ...KEPT, attestations: bitcoin(HEIGHT).attestations }) }),
    ],
    ["answers with garbage", () => ({ body: "<html>" })],
    ["answers with nothing", () => ({ body: "" })],
    ["answers with too much", () => ({ body: new Uint8Array(1 << 20) })],
    ["fails", () => ({ status: 500 })],
    ["sends elsewhere", () => ({ status: 302 })],
    ["never answers", () => undefined],
  ];
  test.each(lies)("that, asked for more, %s: nothing is stored, and it is asked again", async (_, lie) => {
    let lying = true;
    const truth = honest([], () => true);
    const it = await setUp((...request) =>
      lying && request[0] === "GET" ? lie(...request) : truth(...request),
    );
    await it.run();
    it.pass(HOUR);
    const { stored, failures } = await it.run();
    expect(stored).toBe(0);
    expect(failures).toHaveLength(1);
    expect(it.stored()).toEqual([]);
    lying = false;
    it.pass(HOUR);
    expect(await it.run()).toMatchObject({ stored: 1, failures: [] });
  });

  test("that is down or lies when it is given a checkpoint: nothing is stored, and it is given it again", async () => {
    const answers: (Answer | undefined)[] = [
      { status: 503 },
      { body: "no" },
      { body: treeBytes(bitcoin(HEIGHT)) },
      undefined,
      { body: treeBytes(PROMISE) },
    ];
    const it = await setUp(() => answers.shift());
    for (let i = 0; i < 4; i++, it.pass(HOUR)) expect((await it.run()).failures).toHaveLength(1);
    expect(it.world.store.items().some(({ sk }) => sk.startsWith("ots/"))).toBe(false);
    expect((await it.run()).failures).toEqual([]);
    expect(it.world.store.items().some(({ sk }) => sk.startsWith("ots/"))).toBe(true);
  });

  test("while the Bitcoin API is down, nothing is stored", async () => {
    const it = await setUp(
      honest([], () => true),
      () => Promise.reject(new ServiceError("unavailable", "down")),
    );
    await it.run();
    it.pass(HOUR);
    expect(await it.run()).toMatchObject({ stored: 0, failures: [{ error: { code: "unavailable" } }] });
    expect(it.stored()).toEqual([]);
  });
});

describe("an Esplora API", () => {
  const { height, header, blockHash, root } = HELLO_WORLD;
  const served = (answers: Record<string, string>) =>
    serve((_, path) => ({ ...(path in answers ? { body: answers[path] ?? "" } : { status: 404 }) }));

  test("gives the block of a height", async () => {
    const find = esplora(
      await served({ [`/block-height/${height}`]: blockHash, [`/block/${blockHash}/header`]: `${header}\n` }),
    );
    expect(displayHash((await find(height)).root)).toBe(root);
  });

  test("that answers with another header, one without work, or none is not believed", async () => {
    const altered = `${header.slice(0, -1)}7`;
    const hashOf = (hex: string) => displayHash(sha256(sha256(new Uint8Array(Buffer.from(hex, "hex")))));
    for (const [hash, answer] of [
      [blockHash, altered],
      [hashOf(altered), altered],
      [blockHash, "00"],
      [blockHash, ""],
    ] as const) {
      const find = esplora(
        await served({ [`/block-height/${height}`]: hash, [`/block/${hash}/header`]: answer }),
      );
      await expect(find(height)).rejects.toThrow(TimestampError);
    }
    const find = esplora(await served({}));
    await expect(find(height)).rejects.toThrow(ServiceError);
  });
});
