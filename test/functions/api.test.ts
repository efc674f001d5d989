import { decodeBase64 } from "@kedge/verify/tlog/bytes";
import { openCheckpoint, parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { extendFrontier, frontierRoot, leafHash, verifyConsistency } from "@kedge/verify/tlog/merkle";
import { ED25519_COSIGNATURE, formatVkey, makeVkey, parseVkey } from "@kedge/verify/tlog/note";
import { parsePolicy, verifyPolicy } from "@kedge/verify/tlog/policy";
import { parseProof, verifyProof } from "@kedge/verify/tlog/proof";
import {
  bundlesChanged,
  decodeBundle,
  encodeBundle,
  extendTiles,
  type Tile,
  tileKey,
  tilePath,
  tilesChanged,
} from "@kedge/verify/tlog/tile";
import { bytesToHex, hexToBytes, randomBytes } from "@noble/hashes/utils.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { handler as anchorer } from "../../functions/anchorer.ts";
import { createApp } from "../../functions/http/app.ts";
import { handler as sealer } from "../../functions/sealer.ts";
import { anchor } from "../../service/anchor.ts";
import { openService } from "../../service/config-sealing.ts";
import { sweep } from "../../service/sweep.ts";
import { bearer, type Harness, json, newTenant, startHarness } from "./harness.ts";

let kedge: Harness;
beforeAll(async () => {
  kedge = await startHarness();
});
afterAll(() => kedge.close());

const hashes = (count: number): string[] => Array.from({ length: count }, () => bytesToHex(randomBytes(32)));

async function get(path: string, apiKey: string): Promise<Response> {
  return await kedge.app.request(path, { headers: bearer(apiKey) });
}

async function ok(response: Response | Promise<Response>): Promise<Response> {
  const got = await response;
  if (!got.ok) expect.fail(`${got.status} ${await got.text()}`);
  return got;
}

const postHashes = (log: string, apiKey: string, body: readonly string[]) =>
  ok(kedge.app.request(`/v1/logs/${log}/entries`, json(apiKey, { hashes: body })));

test("from a posted commitment to a proof that verifies down to the anchor log", async () => {
  const { id, origin } = kedge.a.log;
  const [hash = ""] = hashes(1);
  const accepted = await postHashes(id, kedge.a.write, [hash, ...hashes(299), hash]);
  expect([accepted.status, await accepted.json()]).toMatchObject([202, { accepted: 301 }]);
  const entry = `/v1/logs/${id}/entries/${hash}`;
  expect(await (await ok(get(entry, kedge.a.read))).json()).toEqual({ hash, assurance: "pending" });
  const early = await get(`${entry}/proof`, kedge.a.read);
  expect(early.status).toBe(404);
  expect(Number(early.headers.get("retry-after"))).toBeGreaterThan(0);
  expect(await early.json()).toMatchObject({ type: "urn:kedge:problem:pending" });

  await sealer({ source: "aws.scheduler" });
  expect(await (await get(entry, kedge.a.read)).json()).toMatchObject({ assurance: "sealed", treeSize: 300 });
  await anchorer();
  expect(await (await get(entry, kedge.a.read)).json()).toMatchObject({
    assurance: "anchored",
    treeSize: 300,
  });

  const response = await ok(get(`${entry}/proof`, kedge.a.read));
  expect(response.headers.get("kedge-assurance")).toBe("anchored");
  const proof = parseProof(await response.text());
  const { vkey } = z
    .object({ vkey: z.string() })
    .parse(await (await ok(get(`/v1/logs/${id}`, kedge.a.read))).json());
  verifyProof({ proof, leafHash: leafHash(hexToBytes(hash)), origin, vkeys: [parseVkey(vkey)] });

  const policy = parsePolicy(await (await ok(kedge.app.request("/anchor/policy"))).text());
  const extra = z
    .object({ anchor: z.string() })
    .parse(JSON.parse(new TextDecoder().decode(proof.extra ?? new Uint8Array())));
  const anchorProof = parseProof(extra.anchor);
  expect(verifyPolicy({ policy, checkpoint: anchorProof.checkpoint }).met).toBe(true);
  const anchored = verifyProof({
    proof: anchorProof,
    leafHash: leafHash(new TextEncoder().encode(proof.checkpoint)),
    origin: "kedge.example/anchor",
    vkeys: policy.logs.map((log) => log.vkey),
  });
  const newest = await ok(kedge.app.request("/anchor/checkpoint"));
  expect(newest.headers.get("access-control-allow-origin")).toBe("*");
  const note = await newest.text();
  expect(parseCheckpoint(note).checkpoint.size).toBeGreaterThanOrEqual(anchored.checkpoint.size);
  const same = await ok(kedge.app.request(`/anchor/checkpoints/${parseCheckpoint(note).checkpoint.size}`));
  expect(await same.text()).toBe(note);
  expect(same.headers.get("cache-control")).toContain("immutable");
});

test("commitments as octets are the same entries as in hex", async () => {
  const { log, write, read } = await newTenant(kedge.service);
  const posted = hashes(3);
  const response = await kedge.app.request(`/v1/logs/${log.id}/entries`, {
    method: "POST",
    headers: { ...bearer(write), "Content-Type": "application/octet-stream" },
    body: hexToBytes(posted.join("")).slice(),
  });
  expect([response.status, await response.json()]).toMatchObject([202, { accepted: 3 }]);
  for (const hash of posted) {
    const status = await get(`/v1/logs/${log.id}/entries/${hash}`, read);
    expect(await status.json()).toEqual({ hash, assurance: "pending" });
  }
});

test("10,000 commitments in one request are all sealed", async () => {
  const { log, write, read } = await newTenant(kedge.service);
  await postHashes(log.id, write, hashes(10_000));
  await sealer({});
  expect(await (await get(`/v1/logs/${log.id}`, read)).json()).toMatchObject({ size: 10_000 });
});

/** A log whose checkpoints have these sizes, and its entries in order, by its own bundles. */
async function grownLog(sizes: readonly number[]) {
  const tenant = await newTenant(kedge.service);
  let size = 0;
  for (const next of sizes) {
    await postHashes(tenant.log.id, tenant.write, hashes(next - size));
    await sealer({ Records: [streamRecord(`pending/${tenant.log.id}/0`)] });
    size = next;
  }
  const prefix = `/v1/logs/${tenant.log.id}`;
  const entries: Uint8Array[] = [];
  for (const tile of bundlesChanged(0n, BigInt(size))) {
    entries.push(...decodeBundle(await tileBytes(prefix, tile, tenant.read), tile.width));
  }
  return { ...tenant, prefix, entries, leaves: entries.map(leafHash) };
}

const streamRecord = (pk: string) => ({ eventName: "INSERT", dynamodb: { Keys: { pk: { S: pk } } } });

async function tileBytes(prefix: string, tile: Tile, apiKey: string): Promise<Uint8Array> {
  const response = await ok(get(`${prefix}/${tilePath(tile)}`, apiKey));
  expect(response.headers.get("cache-control")).toBe("private, max-age=31536000, immutable");
  return new Uint8Array(await response.arrayBuffer());
}

const rootAt = (leaves: readonly Uint8Array[], size: number): Uint8Array =>
  frontierRoot(extendFrontier(0n, [], leaves.slice(0, size)));

test("every tile equals one computed from the entries alone, and leads to the checkpoint's root", async () => {
  const { prefix, read, entries, leaves, log } = await grownLog([1, 255, 258, 600]);
  const tiles = extendTiles(0n, new Map(), leaves);
  for (const tile of tilesChanged(0n, 600n)) {
    const expected = tiles.get(tileKey(tile.level, tile.index));
    expect(await tileBytes(prefix, tile, read)).toEqual(expected);
    const narrower = { ...tile, width: Math.ceil(tile.width / 2) };
    expect(await tileBytes(prefix, narrower, read)).toEqual(expected?.slice(0, narrower.width * 32));
  }
  expect(await tileBytes(prefix, { level: "entries", index: 1n, width: 7 }, read)).toEqual(
    encodeBundle(entries.slice(256, 263)),
  );
  const state = z.object({ vkey: z.string() }).parse(await (await get(prefix, read)).json());
  const { checkpoint } = openCheckpoint(await (await ok(get(`${prefix}/checkpoint`, read))).text(), {
    origin: log.origin,
    vkeys: [parseVkey(state.vkey)],
  });
  expect([checkpoint.size, checkpoint.root]).toEqual([600n, rootAt(leaves, 600)]);
});

test("no tile beyond the published tree, and no path that is not canonical, is served", async () => {
  const { prefix, read, log, write } = await grownLog([300]);
  await postHashes(log.id, write, hashes(50));
  const beyond = ["0/001.p/45", "0/001", "0/002.p/1", "1/000.p/2", "1/000", "2/000.p/1", "entries/001.p/45"];
  const malformed = [
    "0/0",
    "0/000.p/0",
    "00/000",
    "0/000.p/256",
    "-1/000",
    "0/x000/000",
    "0/000/",
    "64/000",
    "a",
  ];
  for (const path of [...beyond, ...malformed]) {
    expect([path, (await get(`${prefix}/tile/${path}`, read)).status]).toEqual([path, 404]);
  }
});

test("consistency proofs verify between any two sizes, and none is made beyond the published one", async () => {
  const { prefix, read, leaves } = await grownLog([5, 300]);
  for (const [from, to] of [
    [0, 0],
    [0, 300],
    [1, 300],
    [5, 300],
    [255, 257],
    [256, 300],
    [300, 300],
  ] as const) {
    const response = await ok(get(`${prefix}/consistency?from=${from}&to=${to}`, read));
    const body = z
      .object({ from: z.literal(from), to: z.literal(to), proof: z.array(z.string()) })
      .parse(await response.json());
    verifyConsistency({
      from: BigInt(from),
      fromRoot: rootAt(leaves, from),
      to: BigInt(to),
      toRoot: rootAt(leaves, to),
      proof: body.proof.map((hash) => decodeBase64(hash, "a hash")),
    });
  }
  for (const query of [
    "from=0&to=301",
    "from=9&to=8",
    "from=-1&to=8",
    "from=1",
    "from=01&to=8",
    "from=1&from=2&to=8",
  ]) {
    const refused = await get(`${prefix}/consistency?${query}`, read);
    expect([query, refused.status]).toEqual([query, 400]);
  }
});

test("the pages of the history are every checkpoint once, smallest first", async () => {
  const sizes = [1, 2, 30, 31, 700];
  const { prefix, read } = await grownLog(sizes);
  const page = z.object({
    checkpoints: z.array(z.object({ size: z.number(), checkpoint: z.string() })),
    next: z.number().optional(),
  });
  const seen: number[] = [];
  for (let after: number | undefined = 0; after !== undefined; ) {
    const body = page.parse(
      await (await ok(get(`${prefix}/checkpoints?after=${after}&limit=2`, read))).json(),
    );
    for (const { size, checkpoint } of body.checkpoints) {
      expect(parseCheckpoint(checkpoint).checkpoint.size).toBe(BigInt(size));
      seen.push(size);
    }
    after = body.next;
  }
  expect(seen).toEqual(sizes);
  for (const query of ["limit=0", "limit=1001", "limit=x", "after=-1", "after=1e3"]) {
    expect((await get(`${prefix}/checkpoints?${query}`, read)).status).toBe(400);
  }
});

test("before its first seal a log has no checkpoint, no tile, an empty history", async () => {
  const { log, read } = await newTenant(kedge.service);
  expect((await get(`/v1/logs/${log.id}/checkpoint`, read)).status).toBe(404);
  expect((await get(`/v1/logs/${log.id}/tile/0/000.p/1`, read)).status).toBe(404);
  expect(await (await ok(get(`/v1/logs/${log.id}/checkpoints`, read))).json()).toEqual({ checkpoints: [] });
  expect(await (await ok(get(`/v1/logs/${log.id}`, read))).json()).toMatchObject({ size: 0 });
});

test("a revoked key is refused from then on; a created one works within its limits", async () => {
  const { admin, log, read } = await newTenant(kedge.service);
  const created = await ok(
    kedge.app.request("/v1/keys", json(admin, { name: "agent", scopes: ["read"], log: log.id })),
  );
  const { id, apiKey } = z.object({ id: z.string(), apiKey: z.string() }).parse(await created.json());
  await ok(get(`/v1/logs/${log.id}`, apiKey));
  const revoked = await kedge.app.request(`/v1/keys/${id}`, { method: "DELETE", headers: bearer(admin) });
  expect(revoked.status).toBe(204);
  expect((await get(`/v1/logs/${log.id}`, apiKey)).status).toBe(401);
  await ok(get(`/v1/logs/${log.id}`, read));
  const listed = await (await ok(get("/v1/keys", admin))).text();
  expect(listed).toContain(id);
  expect(listed).not.toContain(apiKey);
});

const WITNESSED = parsePolicy(
  [
    `witness w1 ${formatVkey(makeVkey("w1.example", ED25519_COSIGNATURE, randomBytes(32)))} https://w1.example/`,
    `witness w2 ${formatVkey(makeVkey("w2.example", ED25519_COSIGNATURE, randomBytes(32)))}`,
    "group both all w1 w2",
    "quorum both\n",
  ].join("\n"),
);

test("the policy served is the configured one, with the anchor log's own key", async () => {
  const app = createApp({ ...kedge.service, policy: WITNESSED });
  const { logs, ...rest } = parsePolicy(await (await ok(app.request("/anchor/policy"))).text());
  const { logs: none, ...configured } = WITNESSED;
  expect([none, rest]).toEqual([[], configured]);
  expect(logs.map(({ vkey }) => vkey.name)).toEqual(["kedge.example/anchor"]);
});

test("nothing of the anchor log above its public checkpoint is served", async () => {
  const { log, write } = await newTenant(kedge.service);
  await postHashes(log.id, write, hashes(1));
  await sealer({});
  await anchorer();
  const size = async () =>
    parseCheckpoint(await (await ok(kedge.app.request("/anchor/checkpoint"))).text()).checkpoint.size;
  const before = await size();
  await postHashes(log.id, write, hashes(1));
  await sealer({});
  const waiting = await anchor({ ...kedge.service, policy: WITNESSED });
  expect([waiting.size > before, waiting.quorum, await size()]).toEqual([true, false, before]);
  for (const level of ["0", "entries"]) {
    await ok(kedge.app.request(`/anchor/tile/${level}/000.p/${before}`));
    expect((await kedge.app.request(`/anchor/tile/${level}/000.p/${waiting.size}`)).status).toBe(404);
  }
  expect((await kedge.app.request(`/anchor/checkpoints/${waiting.size}`)).status).toBe(404);
});

const line = z.object({
  hash: z.string(),
  assurance: z.string().optional(),
  proof: z.string().optional(),
  problem: z.object({ type: z.string(), status: z.number() }).optional(),
});
const lines = async (response: Response) =>
  (await response.text())
    .split("\n")
    .slice(0, -1)
    .map((text) => line.parse(JSON.parse(text)));

test("one line per hash in their order: a proof, pending or not found", async () => {
  const { log, write, read } = await newTenant(kedge.service);
  const [sealed = "", pending = "", unknown = ""] = hashes(3);
  await postHashes(log.id, write, [sealed]);
  await sealer({});
  await postHashes(log.id, write, [pending]);
  const asked = [unknown, sealed, pending, sealed];
  const response = await ok(kedge.app.request(`/v1/logs/${log.id}/proofs`, json(read, { hashes: asked })));
  expect(response.headers.get("content-type")).toBe("text/x-ndjson; charset=utf-8");
  const found = await lines(response);
  expect(found.map(({ hash }) => hash)).toEqual(asked);
  expect(found.map(({ problem }) => problem?.type)).toEqual([
    "urn:kedge:problem:not_found",
    undefined,
    "urn:kedge:problem:pending",
    undefined,
  ]);
  const single = await get(`/v1/logs/${log.id}/entries/${sealed}/proof`, read);
  expect([found[1]?.proof, found[1]?.assurance]).toEqual([await single.text(), "sealed"]);
});

const statusLine = z.strictObject({
  hash: z.string(),
  assurance: z.string().optional(),
  ...{ index: z.int().optional(), treeSize: z.int().optional() },
  ...{ sealedAt: z.string().optional(), anchoredAt: z.string().optional() },
  problem: z.object({ type: z.string(), status: z.number() }).optional(),
});

test("how far many entries have come: a line per hash in their order, each what a question of its own is answered", async () => {
  const { log, write, read } = await newTenant(kedge.service);
  const [anchored = "", sealed = "", pending = "", unknown = ""] = hashes(4);
  await postHashes(log.id, write, [anchored]);
  await sealer({});
  await anchorer();
  await postHashes(log.id, write, [sealed, ...hashes(300)]);
  await sealer({});
  await postHashes(log.id, write, [pending]);
  const asked = [unknown, sealed, pending, anchored, sealed, unknown, pending];
  const path = `/v1/logs/${log.id}/entries/status`;
  const response = await ok(kedge.app.request(path, json(read, { hashes: asked })));
  expect(response.headers.get("content-type")).toBe("text/x-ndjson; charset=utf-8");
  const text = await response.text();
  const found = text
    .split("\n")
    .slice(0, -1)
    .map((each) => statusLine.parse(JSON.parse(each)));
  expect(found.map(({ hash }) => hash)).toEqual(asked);
  for (const { hash, problem, ...status } of found) {
    const single = await get(`/v1/logs/${log.id}/entries/${hash}`, read);
    if (problem === undefined) expect(await single.json()).toEqual({ hash, ...status });
    else expect([single.status, status, problem.status]).toEqual([404, {}, 404]);
  }
  expect(found.map(({ assurance }) => assurance)).toEqual([
    ...[undefined, "sealed", "pending", "anchored", "sealed", undefined, "pending"],
  ]);
  expect([found[0]?.problem?.type, found[3]?.index]).toEqual(["urn:kedge:problem:not_found", 0]);
});

test("ten thousand hashes are answered at once, in few reads, and no more are taken", async () => {
  const { log, write, read } = await newTenant(kedge.service);
  const asked = hashes(10_000);
  const path = `/v1/logs/${log.id}/entries/status`;
  let reads = 0;
  const counted = <Args extends readonly unknown[], Result>(read: (...args: Args) => Result) => {
    return (...args: Args): Result => {
      reads += 1;
      return read(...args);
    };
  };
  const { store, index } = kedge.service;
  const app = createApp({
    ...kedge.service,
    store: { ...store, get: counted(store.get), query: counted(store.query) },
    index: { ...index, read: counted(index.read) },
  });
  const ask = async () => {
    reads = 0;
    const body = await (await ok(app.request(path, json(read, { hashes: asked })))).text();
    // JSON in JSON, as Lambda answers: a quote takes two bytes.
    expect(JSON.stringify(body).length).toBeLessThan(6_000_000);
    return body
      .split("\n")
      .slice(0, -1)
      .map((each) => /"assurance":"(\w+)"/.exec(each)?.[1]);
  };
  await postHashes(log.id, write, asked);
  expect(await ask()).toEqual(asked.map(() => "pending"));
  expect(reads).toBeLessThan(40);
  await sealer({});
  await anchorer();
  expect(await ask()).toEqual(asked.map(() => "anchored"));
  expect(reads).toBeLessThan(200);
  const more = await app.request(path, json(read, { hashes: [...asked, asked[0]] }));
  expect(more.status).toBe(400);
});

test("an answer never outgrows what Lambda carries; asking again for the rest yields every proof", async () => {
  // A long domain makes long checkpoints, and so long proofs.
  const service = { ...openService(process.env), domain: `${"long".repeat(900)}.example` };
  const app = createApp(service);
  const { log, write, read } = await newTenant(service);
  const asked = hashes(1_000);
  await ok(app.request(`/v1/logs/${log.id}/entries`, json(write, { hashes: asked })));
  for await (const swept of sweep(service, [log.id])) expect(swept).not.toHaveProperty("error");

  const proved = new Set<string>();
  let requests = 0;
  for (let left = asked; left.length > 0; requests++) {
    const response = await ok(app.request(`/v1/logs/${log.id}/proofs`, json(read, { hashes: left })));
    const copy = response.clone();
    expect((await copy.arrayBuffer()).byteLength).toBeLessThanOrEqual(4_500_000);
    const found = await lines(response);
    expect(found.map(({ hash }) => hash)).toEqual(left);
    for (const { hash, proof } of found) if (proof !== undefined) proved.add(hash);
    const rest = found.filter(({ problem }) => problem !== undefined);
    expect(new Set(rest.map(({ problem }) => problem?.type)).size).toBeLessThanOrEqual(1);
    expect(rest.length).toBeLessThan(left.length);
    left = rest.map(({ hash }) => hash);
  }
  expect([proved.size, requests]).toEqual([1_000, 2]);
});
