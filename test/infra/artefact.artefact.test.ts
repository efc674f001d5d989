/** A deployment's life, on exactly the code, the configuration and the permissions that `cdk synth` makes. */

import { MAX_OF_A_KIND } from "@kedge/cli/contract/limits";
import { verifyEvent } from "@kedge/verify/proof/verify";
import { decodeBase64 } from "@kedge/verify/tlog/bytes";
import { openCheckpoint, parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { leafHash, rootOf, verifyConsistency } from "@kedge/verify/tlog/merkle";
import { parseVkey, type Vkey } from "@kedge/verify/tlog/note";
import { parsePolicy } from "@kedge/verify/tlog/policy";
import { bundlesChanged, decodeBundle, joinEntries, TILE_WIDTH, tilePath } from "@kedge/verify/tlog/tile";
import { hexToBytes } from "@noble/hashes/utils.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { FUNCTIONS, type FunctionName } from "../../infra/names.ts";
import { type Item, sortable } from "../../platform/store.ts";
import { ANCHOR } from "../../service/anchor-items.ts";
import { append } from "../../service/append.ts";
import { checkpointKey } from "../../service/checkpoints.ts";
import { readHead } from "../../service/head.ts";
import { RUN_SIZES } from "../../service/index/cover.ts";
import { oldestFirst } from "../../service/pending.ts";
import { openSession } from "../../service/people.ts";
import { commit, makeBatch, readEdge } from "../../service/seal.ts";
import { registerProvider } from "../../service/sign-in-provider.ts";
import {
  createKey,
  createLog,
  createTenant,
  findTrailLog,
  oldApiKeyKey,
  tenantPartition,
} from "../../service/tenants.ts";
import type { Written } from "../support/lambda-process.ts";
import { jwt, rs256, startForger } from "../support/oidc-forger.ts";
import { type Grant, unneeded } from "./access.ts";
import { type Artefact, synthesise } from "./artefact.ts";
import { type Client, clientOf, newHashes, proofsOf, unasked } from "./client.ts";
import { ACCOUNT, type Deployment, deploy } from "./deployment.ts";

const CONFIG = {
  stage: "dev",
  region: "eu-central-1",
  account: ACCOUNT,
  domain: "audit.dev.example.org",
  retentionDays: 1,
  sealSeconds: 10,
} as const;

/** Actions that Lambda itself takes with a function's role: no test can see them. */
const PLATFORM: Readonly<Record<string, string>> = {
  "logs:CreateLogStream": "Lambda sends a function's lines to CloudWatch",
  "logs:PutLogEvents": "the same",
  "dynamodb:DescribeStream": "the event source mapping reads the stream with the function's role",
  "dynamodb:GetRecords": "the same",
  "dynamodb:GetShardIterator": "the same",
  "dynamodb:ListStreams": "the same",
  "sqs:SendMessage": "the event source mapping sends what it gave up on to the queue",
};

let artefact: Artefact;
let kedge: Deployment;
let client: Client;
let tenant: { readonly id: string; readonly log: string; readonly origin: string; readonly all: string };
beforeAll(async () => {
  artefact = await synthesise(CONFIG);
  kedge = await deploy(artefact, CONFIG.region);
  client = clientOf(kedge.request);
  const { id } = await createTenant(kedge.operator, "a hospital");
  const log = await createLog(kedge.operator, id, "ward 7");
  const { apiKey } = await createKey(kedge.operator, id, { name: "all", scopes: ["write", "read", "admin"] });
  tenant = { id, log: log.id, origin: log.origin, all: apiKey };
});
afterAll(async () => {
  await kedge.close();
  await artefact.remove();
});

const statusSchema = z.object({ assurance: z.string(), index: z.int().optional() });
const logSchema = z.object({ id: z.string(), size: z.int(), vkeys: z.array(z.string()) });
const keySchema = z.object({ id: z.string(), apiKey: z.string() });
const keysSchema = z.object({
  keys: z.array(z.object({ id: z.string(), revokedAt: z.string().optional() })),
});
const pageSchema = z.object({
  checkpoints: z.array(z.object({ size: z.int(), checkpoint: z.string() })),
  next: z.int().optional(),
});
const consistencySchema = z.object({ proof: z.array(z.string()) });
const restoredSchema = z.array(
  z.object({ log: z.string(), batches: z.int(), entries: z.int(), size: z.int() }),
);

const inLog = (path = "", log = tenant.log) => `/v1/logs/${log}${path}`;
const post = (hashes: readonly string[], log = tenant.log) =>
  client.text(`POST ${inLog("/entries", log)}`, { apiKey: tenant.all, json: { hashes } });
const seal = () => kedge.deliver(kedge.takeChanges());
const anchor = () => kedge.runSchedule("anchorSchedule");
const stateOf = (log = tenant.log) => client.json(logSchema, `GET ${inLog("", log)}`, { apiKey: tenant.all });
const assuranceOf = async (hash: string, log = tenant.log) => {
  const { assurance } = await client.json(statusSchema, `GET ${inLog(`/entries/${hash}`, log)}`, {
    apiKey: tenant.all,
  });
  return assurance;
};
/** As CloudFront would fetch it from the bucket. */
function publishedText(path: string): string {
  const { KEDGE_PUBLICATION = "" } = kedge.settings.anchorer.Environment.Variables;
  const versions = kedge.s3.objects.get(`${KEDGE_PUBLICATION.replace("s3://", "")}/anchor/${path}`);
  return new TextDecoder().decode(versions?.at(-1));
}
const indexBucket = () =>
  (kedge.settings.api.Environment.Variables["KEDGE_INDEX"] ?? "").replace("s3://", "");
/** Of a log, by their paths in the index. */
const runsOf = (log: string): Map<string, Uint8Array | undefined> =>
  new Map(
    [...kedge.s3.objects]
      .map(([name, versions]) => [name.slice(indexBucket().length + 1), versions.at(-1)] as const)
      .filter(([path]) => path.startsWith(`${log}/`)),
  );
/** Versions of everything outside the index: records and public files. */
const published = () =>
  [...kedge.s3.objects]
    .filter(([name]) => !name.startsWith(`${indexBucket()}/`))
    .reduce((sum, [, versions]) => sum + versions.length, 0);
const signatures = () => kedge.calls.filter(({ action }) => action === "kms:Sign").length;
const problemOf = async (what: string) => {
  const { status, body } = await client.ask(what, { apiKey: tenant.all });
  const { type } = z.object({ type: z.string() }).parse(JSON.parse(new TextDecoder().decode(body)));
  return [status, type.replace("urn:kedge:problem:", "")];
};

/** The keys to pin: as the log and the anchor log name them, which a tenant has from the operator. */
async function pins(log = tenant.log): Promise<{ logVkeys: Vkey[]; anchorVkeys: Vkey[] }> {
  const { vkeys } = await stateOf(log);
  const policy = parsePolicy(await client.text("GET /anchor/policy"));
  return { logVkeys: vkeys.map(parseVkey), anchorVkeys: policy.logs.map(({ vkey }) => vkey) };
}

describe("a deployment", () => {
  test("answers before anything was sealed", async () => {
    expect(await client.text("GET /healthz")).toBe('{"status":"ok"}');
    for (const path of ["/", "/verify.html", "/anchor/"])
      expect(await client.text(`GET ${path}`)).toMatch(/^<!doctype html>/i);
    const loaded = [...(await client.text("GET /")).matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)];
    expect(loaded.length).toBeGreaterThanOrEqual(2);
    for (const [, path = ""] of loaded)
      expect((await client.bytes(`GET ${path}`)).length).toBeGreaterThan(100);
    const page = await client.text("GET /docs");
    const assets = [...page.matchAll(/(?:src|href)="(\/docs\/[^"]+)"/g)].map(([, path = ""]) => path);
    expect(assets).toHaveLength(3);
    for (const path of assets) expect((await client.bytes(`GET ${path}`)).length).toBeGreaterThan(100);
    expect(await problemOf("GET /anchor/checkpoint")).toEqual([404, "not_found"]);
    expect(await problemOf(`GET ${inLog("/checkpoint")}`)).toEqual([404, "not_found"]);
  });

  test("takes a tenant's logs and keys, and lets a key go at once", async () => {
    const apiKey = tenant.all;
    const made = z
      .object({ id: z.string() })
      .parse(JSON.parse(await client.text("POST /v1/logs", { apiKey, json: { name: "ward 8" } })));
    expect(await client.text("GET /v1/logs", { apiKey })).toContain(made.id);
    const json = { name: "agent", scopes: ["write"], log: made.id };
    const key = await client.json(keySchema, "POST /v1/keys", { apiKey, json });
    const write = () =>
      client.ask(`POST ${inLog("/entries", made.id)}`, {
        apiKey: key.apiKey,
        // As clients behind proxies send it: names in any case, values twice, cookies that nobody asked for.
        headers: [
          ["X-Forwarded-For", "198.51.100.7"],
          ["Accept", "application/json"],
          ["ACCEPT", "application/problem+json"],
        ],
        cookies: ["a=1", "b=2"],
        json: { hashes: newHashes(1) },
      });
    expect((await write()).status).toBe(202);
    await client.bytes(`DELETE /v1/keys/${key.id}`, { apiKey });
    expect((await write()).status).toBe(401);
    const { keys } = await client.json(keysSchema, "GET /v1/keys", { apiKey });
    expect(keys.find(({ id }) => id === key.id)?.revokedAt).toBeDefined();
  });

  test("drops revoked keys when their room is needed", async () => {
    const { id } = await createTenant(kedge.operator, "another hospital");
    const { key, apiKey } = await createKey(kedge.operator, id, { name: "admin", scopes: ["admin"] });
    let item: Item | undefined;
    const stored = kedge.operator.store.query({ pk: tenantPartition(id), from: "key/", to: "key/~" });
    for await (const each of stored) item = each;
    if (item === undefined) expect.fail("the key is not stored");
    // As keys were stored before each had a place.
    const { own: _, ...old } = item;
    const alive = { ...old, ...oldApiKeyKey(id, key.id.slice(id.length)) };
    const dead = Array.from({ length: MAX_OF_A_KIND - 1 }, (_, i) => ({
      ...old,
      ...oldApiKeyKey(id, `dead${i}`),
      revokedAt: 1n,
    }));
    await kedge.operator.store.write([alive, ...dead], [item]);
    await client.text("POST /v1/keys", { apiKey, json: { name: "one more", scopes: ["read"] } });
    expect((await client.json(keysSchema, "GET /v1/keys", { apiKey })).keys).toHaveLength(2);
  });
});

describe("people", () => {
  const tokenSchema = z.object({ token: z.string() });

  test("sign in with their tenant's identity provider, report what they do, and sign out", async () => {
    const provider = await startForger();
    const rule = { claim: "role", roles: [{ value: "boss", role: "administrator" as const }], require: {} };
    await registerProvider(kedge.operator, tenant.id, {
      ...{
        issuer: provider.issuer,
        clientId: "console",
        scope: "openid",
        origin: "http://127.0.0.1:8787",
        rule,
      },
    });
    expect(await client.text(`GET /v1/sign-in/${tenant.id}`)).toContain(provider.issuer);
    const nonce = "n".repeat(43);
    const iat = Math.floor(kedge.operator.clock() / 1000);
    const claims = {
      iss: provider.issuer,
      aud: "console",
      sub: "olga",
      role: "boss",
      nonce,
      iat,
      exp: iat + 300,
    };
    const idToken = jwt({ alg: "RS256", kid: provider.key.kid }, claims, rs256(provider.key.key));
    provider.forged.token = () => ({
      body: { access_token: "a", token_type: "Bearer", id_token: idToken },
    });
    const json = {
      ...{ code: "c", codeVerifier: "v".repeat(43), nonce },
      redirectUri: "http://127.0.0.1:8787/",
    };
    const { token: apiKey } = await client.json(tokenSchema, `POST /v1/sign-in/${tenant.id}`, { json });
    expect(await client.text("GET /v1/session", { apiKey })).toContain("administrator");
    const [commitment] = newHashes(1);
    const review = { commitment, filter: ["user"], count: 0, root: "0".repeat(64) };
    await client.text(`POST ${inLog("/reviews")}`, { apiKey, json: review });
    await client.text("POST /v1/exports", { apiKey, json: { kind: "proof", log: tenant.log, count: 1 } });
    await client.text("GET /v1/trail", { apiKey });
    await client.bytes("DELETE /v1/session", { apiKey });
    expect((await client.ask("GET /v1/session", { apiKey })).status).toBe(401);
    await provider.close();
  });

  test("an auditor reads one log by a link, until it is revoked", async () => {
    const holder = { kind: "person", subject: "olga", role: "officer", logs: "all" } as const;
    const { token } = await openSession({ ...kedge.operator, sessionMs: 60_000 }, tenant.id, holder);
    const expiresAt = new Date(kedge.operator.clock() + 60_000).toISOString();
    const made = await client.json(z.object({ id: z.string(), link: z.string() }), "POST /v1/links", {
      apiKey: token,
      json: { name: "an auditor", log: tenant.log, expiresAt },
    });
    expect(await client.text("GET /v1/links", { apiKey: token })).toContain(made.id);
    const json = { link: made.link };
    const viewer = await client.json(tokenSchema, "POST /v1/sign-in", { json });
    expect(await client.text(`GET ${inLog()}`, { apiKey: viewer.token })).toContain(tenant.log);
    await client.bytes(`DELETE /v1/links/${made.id}`, { apiKey: token });
    expect((await client.ask(`GET ${inLog()}`, { apiKey: viewer.token })).status).toBe(401);
  });
});

describe("the trail", () => {
  test("of a tenant names who made a key, and is finished by a sweep where that was left undone", async () => {
    const trail = () => client.text("GET /v1/trail", { apiKey: tenant.all });
    expect(await trail()).toContain("key_created");
    const { store } = kedge.operator;
    const log = await findTrailLog(kedge.operator, tenant.id);
    const count = { at: BigInt(kedge.operator.clock()), count: 7n, reasons: "no_role" };
    await store.write([
      { pk: `trail/${tenant.id}`, sk: "refused/1", ...count },
      { pk: "trail-outbox", sk: `${tenant.id}/refused/1`, log: log?.id ?? "", since: 1n },
    ]);
    await kedge.runSchedule("sweepSchedule");
    expect(await trail()).toContain("no_role");
    for await (const { sk } of store.query({ pk: "trail-outbox" })) expect.fail(`${sk} is left`);
  });
});

describe("an entry", () => {
  const [hash = "", octets = ""] = newHashes(2);

  test("is pending once posted, in either form", async () => {
    await post([hash]);
    const sent = client.bytes(`POST ${inLog("/entries")}`, {
      apiKey: tenant.all,
      octets: hexToBytes(octets),
    });
    await expect(sent).resolves.toBeDefined();
    expect([await assuranceOf(hash), await assuranceOf(octets)]).toEqual(["pending", "pending"]);
    expect(await problemOf(`GET ${inLog(`/entries/${hash}/proof`)}`)).toEqual([404, "pending"]);
  });

  test("is sealed by the table's stream, however often its records come", async () => {
    const changes = kedge.takeChanges();
    await kedge.deliver(changes);
    expect([await assuranceOf(hash), (await stateOf()).size]).toEqual(["sealed", 2]);
    const before = signatures();
    await Promise.all([kedge.deliver(changes), kedge.deliver(changes)]);
    expect([signatures(), (await stateOf()).size]).toEqual([before, 2]);
    // What sealing itself writes to the table calls no sealer.
    expect(await seal()).toBe(0);
  });

  test("posted again stays where it is", async () => {
    await post([hash, hash, octets]);
    await seal();
    expect((await stateOf()).size).toBe(2);
  });

  test("is sealed by a sweep when the stream has lost it", async () => {
    const [lost = ""] = newHashes(1);
    await post([lost]);
    kedge.takeChanges();
    await kedge.runSchedule("sweepSchedule");
    expect(await assuranceOf(lost)).toBe("sealed");
  });

  test("is anchored on schedule, and proven offline from then on", async () => {
    await anchor();
    const proof = await client.text(`GET ${inLog(`/entries/${hash}/proof`)}`, { apiKey: tenant.all });
    const report = verifyEvent({
      proof,
      commitment: hexToBytes(hash),
      ...(await pins()),
      requireAllKeys: true,
    });
    expect(report).toMatchObject({ proven: true, assurance: "anchored" });
    await anchor();
    expect(await client.text("GET /readyz")).toBe('{"status":"ready"}');
    const progress = await client.text(`GET ${inLog("/progress")}`, { apiKey: tenant.all });
    expect(JSON.parse(progress)).toMatchObject({ anchored: { size: 3 }, waitsFor: [] });
    const { checkpoints } = await client.json(pageSchema, `GET ${inLog("/checkpoints")}`, {
      apiKey: tenant.all,
    });
    expect(checkpoints.map(({ size }) => size)).toEqual([2, 3]);
    const timeline = await client.text(`GET ${inLog("/timeline")}`, { apiKey: tenant.all });
    const point = { pendingSince: expect.any(String), anchoredAt: expect.any(String) };
    expect(JSON.parse(timeline)).toMatchObject({
      checkpoints: [
        { size: 2, ...point },
        { size: 3, ...point },
      ],
      isSampled: false,
    });
  });
});

describe("a big batch", () => {
  const hashes = newHashes(12_000);

  test("is posted in several requests, the largest among them, and sealed", async () => {
    await post(hashes.slice(0, 10_000));
    const octets = new Uint8Array(Buffer.from(hashes.slice(9_000).join(""), "hex"));
    await client.bytes(`POST ${inLog("/entries/octets")}`, { apiKey: tenant.all, octets });
    await seal();
    expect((await stateOf()).size).toBe(3 + hashes.length);
    await anchor();
  });

  test("says in one answer how far 10,000 of it have come", async () => {
    const asked = hashes.slice(0, 10_000);
    const request = { apiKey: tenant.all, json: { hashes: asked } };
    const answer = await client.text(`POST ${inLog("/entries/status")}`, request);
    const lines = answer.trimEnd().split("\n");
    const said = lines.map((line) => statusSchema.parse(JSON.parse(line)).assurance);
    expect(said).toEqual(asked.map(() => "anchored"));
  });

  test("has 1,000 proofs at a time, in as many answers as Lambda's limit takes, and they hold", async () => {
    const wanted = hashes.filter((_, i) => i % 12 === 0);
    const { proofs, requests } = await proofsOf(client, tenant.log, tenant.all, wanted);
    expect(requests).toBeGreaterThan(1);
    expect(proofs.size).toBe(wanted.length);
    const pinned = await pins();
    for (const [hash, proof] of [...proofs].filter((_, i) => i % 5 === 0)) {
      const { proven, assurance } = verifyEvent({ proof, commitment: hexToBytes(hash), ...pinned });
      expect([hash, proven, assurance]).toEqual([hash, true, "anchored"]);
    }
  });
});

describe("the index", () => {
  const known = newHashes(RUN_SIZES.base);
  let log: string;
  const notSealed = () => expect(seal()).rejects.toThrow(`not sealed, see the log lines: ${log}`);

  test("has a run of what filled one, by which an entry posted again stays where it is", async () => {
    ({ id: log } = await createLog(kedge.operator, tenant.id, "a log with a run"));
    await post(known, log);
    await seal();
    expect([...runsOf(log).keys()]).toEqual([expect.stringMatching(`^${log}/0/0-[0-9a-f]{64}$`)]);
    await post(known.slice(100, 200), log);
    await seal();
    expect((await stateOf(log)).size).toBe(known.length);
    expect(await assuranceOf(known[300] ?? "", log)).toBe("sealed");
  });

  test("stops its log while a run is lost, and has it again when an operator asks for it", async () => {
    const before = runsOf(log);
    const [path = "", bytes] = [...before][0] ?? [];
    kedge.s3.objects.delete(`${indexBucket()}/${path}`);
    const [hash = ""] = newHashes(1);
    await post([known[7] ?? "", hash], log);
    await notSealed();
    expect(await kedge.invoke("sealer", { rebuild: log })).toMatchObject([{ log, runs: 1 }]);
    expect(runsOf(log)).toEqual(new Map([[path, bytes]]));
    await kedge.runSchedule("sweepSchedule");
    expect((await stateOf(log)).size).toBe(known.length + 1);
  });

  test("loses what was merged into another run, once 36 days are over", async () => {
    const day = 24 * 3_600_000;
    // A sweep may pass over a log that its process found well within the hour, but never the stream's records, which name it.
    await post(known.slice(0, 1), log);
    const changes = kedge.takeChanges();
    for (const [id, look] of [
      [log, () => kedge.deliver(changes)],
      [ANCHOR, anchor],
    ] as const) {
      // What waits is taken first: not every batch is followed by a look at what is old.
      await look();
      const retired = [37, 35].map((days) => {
        const name = `0/${days}-${"0f".repeat(32)}`;
        const at = sortable(BigInt(Date.now() - days * day));
        return { path: `${id}/${name}`, key: { pk: `log/${id}`, sk: `retired/${at}/${name}` } };
      });
      await kedge.operator.store.write(retired.map(({ key }) => key));
      for (const { path } of retired) kedge.s3.objects.set(`${indexBucket()}/${path}`, [new Uint8Array(1)]);
      await look();
      const left = [...runsOf(id).keys()].filter((path) => path.includes("0f0f0f"));
      expect(left).toEqual([retired[1]?.path]);
      const notes = kedge.keys().filter(({ pk, sk }) => pk === `log/${id}` && sk.startsWith("retired/"));
      expect(notes).toEqual([retired[1]?.key]);
      for (const { path } of retired) kedge.s3.objects.delete(`${indexBucket()}/${path}`);
      await kedge.operator.store.write([], notes);
    }
  });
});

describe("an auditor", () => {
  test("reads a log tile by tile, and finds the tree that its checkpoint commits to", async () => {
    const apiKey = tenant.all;
    const { logVkeys } = await pins();
    const note = await client.text(`GET ${inLog("/checkpoint")}`, { apiKey });
    const { checkpoint } = openCheckpoint(note, { origin: tenant.origin, vkeys: logVkeys });
    const bundles = bundlesChanged(0n, checkpoint.size);
    const entries: Uint8Array[] = [];
    for (const tile of bundles) {
      const bytes = await client.bytes(`GET ${inLog(`/${tilePath(tile)}`)}`, { apiKey });
      entries.push(...decodeBundle(bytes, tile.width));
    }
    expect(rootOf(entries.map(leafHash))).toEqual(checkpoint.root);
    const tile = await client.bytes(`GET ${inLog("/tile/0/000")}`, { apiKey });
    expect(tile).toEqual(new Uint8Array(Buffer.concat(entries.slice(0, TILE_WIDTH).map(leafHash))));
  });

  test("sees each checkpoint grow out of the one before, page by page", async () => {
    const apiKey = tenant.all;
    const { logVkeys: vkeys } = await pins();
    const open = ({ checkpoint }: { checkpoint: string }) =>
      openCheckpoint(checkpoint, { origin: tenant.origin, vkeys }).checkpoint;
    const history = [];
    for (let after: number | undefined = 0; after !== undefined; ) {
      const ask = { apiKey, query: `after=${after}&limit=1` };
      const page: z.infer<typeof pageSchema> = await client.json(
        pageSchema,
        `GET ${inLog("/checkpoints")}`,
        ask,
      );
      history.push(...page.checkpoints.map(open));
      after = page.next;
    }
    expect(history.length).toBeGreaterThanOrEqual(3);
    for (const [i, to] of history.entries()) {
      const from = history[i - 1];
      if (from === undefined) continue;
      const ask = { apiKey, query: `from=${from.size}&to=${to.size}` };
      const { proof } = await client.json(consistencySchema, `GET ${inLog("/consistency")}`, ask);
      const hashes = proof.map((hash) => decodeBase64(hash, "hash"));
      verifyConsistency({
        from: from.size,
        to: to.size,
        fromRoot: from.root,
        toRoot: to.root,
        proof: hashes,
      });
    }
  });
});

describe("many logs", () => {
  test("are sealed by sealers side by side, and anchored together", async () => {
    const hashes = new Map<string, string>();
    for (const [i, hash] of newHashes(12).entries()) {
      const { id } = await createLog(kedge.operator, tenant.id, `ward ${i}`);
      await post([hash], id);
      hashes.set(id, hash);
    }
    expect(await seal()).toBeGreaterThan(1);
    await anchor();
    for (const [log, hash] of hashes) expect(await assuranceOf(hash, log)).toBe("anchored");
  });

  test("fill a tile and a run of the anchor log, whose tiles anyone may read", async () => {
    // As many checkpoints as a run has leaves, as if as many logs had been sealed.
    const sealed = await client.text(`GET ${inLog("/checkpoint")}`, { apiKey: tenant.all });
    const waiting = Array.from({ length: RUN_SIZES.base }, (_, i) =>
      sealed.replace(tenant.log, `${i}`.padEnd(19, "a")),
    );
    const { size } = parseCheckpoint(sealed).checkpoint;
    await kedge.operator.store.write(
      waiting.map((note, i) => ({ ...checkpointKey(`${i}`.padEnd(19, "a"), size), note, at: 0n })),
    );
    const entries = waiting.map((note) => new TextEncoder().encode(note));
    for (let at = 0; at < entries.length; at += 512)
      await append(kedge.operator, ANCHOR, entries.slice(at, at + 512));
    await anchor();
    expect([...runsOf(ANCHOR).keys()]).toHaveLength(1);
    // What is appended again is found in the run.
    await append(kedge.operator, ANCHOR, entries.slice(0, 1));
    await anchor();
    const { anchorVkeys: vkeys } = await pins();
    const note = await client.text("GET /anchor/checkpoint");
    const { checkpoint } = openCheckpoint(note, { origin: `${CONFIG.domain}/anchor`, vkeys });
    expect(await client.text(`GET /anchor/checkpoints/${checkpoint.size}`)).toBe(note);
    expect(await client.text(`GET /anchor/timestamps/${checkpoint.size}`)).toBe('{"timestamps":[]}');
    expect(publishedText("checkpoint")).toBe(note);
    expect(publishedText(`checkpoints/${checkpoint.size}`)).toBe(note);
    for (const path of ["policy", "vkeys"])
      expect(await client.text(`GET /anchor/${path}`)).toBe(publishedText(path));
    const bundle = await client.bytes("GET /anchor/tile/entries/000");
    const tile = await client.bytes("GET /anchor/tile/0/000");
    const leaves = decodeBundle(bundle, TILE_WIDTH).map(leafHash);
    expect(tile).toEqual(new Uint8Array(Buffer.concat(leaves)));
  });
});

describe("a batch that was committed by a sealer that died then", () => {
  /** Commits what is pending, and leaves it at that. */
  async function commitAndDie(log: string): Promise<void> {
    const { store } = kedge.operator;
    const chunks = [];
    for await (const { entries } of oldestFirst(store, log)) chunks.push(entries);
    const head = await readHead(store, log);
    const batch = makeBatch(head.size, await readEdge(store, log, head.size), joinEntries(chunks));
    expect(await commit(store, head, batch)).toMatchObject({ published: head.published });
  }

  test("is finished by the next, in a tenant's log and in the anchor log", async () => {
    const { id: log } = await createLog(kedge.operator, tenant.id, "a log whose sealer died");
    const [first = "", second = ""] = newHashes(2);
    await post([first], log);
    await commitAndDie(log);
    await post([second], log);
    await seal();
    expect([await assuranceOf(first, log), await assuranceOf(second, log)]).toEqual(["sealed", "sealed"]);
    expect((await stateOf(log)).size).toBe(2);

    const note = await client.text(`GET ${inLog("/checkpoint", log)}`, { apiKey: tenant.all });
    await append(kedge.operator, ANCHOR, [new TextEncoder().encode(note)]);
    const { size } = await readHead(kedge.operator.store, ANCHOR);
    await commitAndDie(ANCHOR);
    await anchor();
    expect(await assuranceOf(first, log)).toBe("anchored");
    expect(await readHead(kedge.operator.store, ANCHOR)).toMatchObject({
      size: size + 1n,
      published: size + 1n,
    });
  });
});

describe("a table that is behind what was published", () => {
  const [hash = ""] = newHashes(1);
  const first = newHashes(3);
  let log: string;
  let note: string;
  const checkpointOf = async () => client.text(`GET ${inLog("/checkpoint", log)}`, { apiKey: tenant.all });
  const restoring = async (name: FunctionName, event: object) =>
    restoredSchema.parse(await kedge.invoke(name, event));

  /** Deletes everything of these logs from the table but their registration and pending entries. */
  async function empty(...logs: string[]): Promise<void> {
    const theirs = new RegExp(`^(log|anchored|staging|tile)/(${logs.join("|")})(/|$)`);
    const keys = kedge.keys().filter(({ pk }) => theirs.test(pk));
    await kedge.operator.store.write([], keys);
    kedge.takeChanges();
  }

  test("is refused by sealer and anchorer: nothing is signed, nothing is published", async () => {
    ({ id: log } = await createLog(kedge.operator, tenant.id, "a log that is lost"));
    await post(first, log);
    await seal();
    await anchor();
    note = await checkpointOf();
    const before = [signatures(), published()];
    await empty(log, "anchor");
    await post([hash], log);
    await expect(seal()).rejects.toThrow(`not sealed, see the log lines: ${log}`);
    await expect(kedge.runSchedule("sweepSchedule")).rejects.toThrow(`not sealed, see the log lines: ${log}`);
    await expect(anchor()).rejects.toThrow(/log anchor: size \d+ is public .* the store, which is at 0;/);
    expect([signatures(), published()]).toEqual(before);
  });

  test("is restored when an operator asks for it, and goes on from there", async () => {
    expect(await restoring("sealer", { restore: log })).toEqual([{ log, batches: 1, entries: 3, size: 3 }]);
    const [anchorLog] = await restoring("anchorer", { restore: "anchor" });
    expect(anchorLog?.entries).toBeGreaterThan(TILE_WIDTH);
    await kedge.runSchedule("sweepSchedule");
    await anchor();
    const { proofs } = await proofsOf(client, log, tenant.all, [...first, hash]);
    const pinned = await pins(log);
    for (const [entry, proof] of proofs)
      expect(verifyEvent({ proof, commitment: hexToBytes(entry), ...pinned }).assurance).toBe("anchored");
    const open = (note: string) => parseCheckpoint(note).checkpoint;
    const [from, to] = [open(note), open(await checkpointOf())];
    const ask = { apiKey: tenant.all, query: `from=${from.size}&to=${to.size}` };
    const { proof } = await client.json(consistencySchema, `GET ${inLog("/consistency", log)}`, ask);
    const hashes = proof.map((text) => decodeBase64(text, "hash"));
    verifyConsistency({ from: 3n, to: 4n, fromRoot: from.root, toRoot: to.root, proof: hashes });
  });

  test("is rebuilt whole, to the same size", async () => {
    const [restored] = await restoring("sealer", { restore: log, whole: true });
    expect(restored).toMatchObject({ log, entries: 4, size: 4 });
    const [anchorLog] = await restoring("anchorer", { restore: "anchor", whole: true });
    expect(anchorLog?.entries).toBe(anchorLog?.size);
    await anchor();
  });

  test("so is one whose record is gone", async () => {
    const { KEDGE_PUBLICATION = "" } = kedge.settings.sealer.Environment.Variables;
    const record = `${KEDGE_PUBLICATION.replace("s3://", "")}/logs/${log}/head`;
    const versions = kedge.s3.objects.get(record) ?? expect.fail("there is no record");
    kedge.s3.objects.delete(record);
    await post(newHashes(1), log);
    await expect(seal()).rejects.toThrow(log);
    kedge.s3.objects.set(record, versions);
    await kedge.runSchedule("sweepSchedule");
    expect((await stateOf(log)).size).toBe(5);
  });
});

describe("in the end", () => {
  let written: Readonly<Record<FunctionName, Written>>;
  beforeAll(async () => {
    const document: unknown = JSON.parse(await client.text("GET /openapi.json"));
    // Nothing is timestamped here: variants.artefact.test.ts has an authority, and asks.
    expect(unasked(document, client.answered)).toEqual(["GET /anchor/timestamped"]);
    written = await kedge.stop();
  });

  test("every request was answered, none with an error of ours", () => {
    expect(client.answered.filter(({ status }) => status >= 500)).toEqual([]);
  });

  test("no function crashed, or wrote an API key or anything but lines of JSON", () => {
    for (const name of FUNCTIONS) {
      const { stdout, stderr, crashes } = written[name];
      expect([name, stderr, crashes]).toEqual([name, [], []]);
      for (const line of stdout) expect(lineSchema.safeParse(JSON.parse(line)).error).toBeUndefined();
      expect(stdout.join()).not.toContain(tenant.all.split("_")[2]);
    }
  });

  test("the only errors were those of a table that is behind and of a run that was lost", () => {
    const lines = FUNCTIONS.flatMap((name) => written[name].stdout).map((line) =>
      lineSchema.parse(JSON.parse(line)),
    );
    const codes = lines.filter(({ level }) => level === "error").map(({ code }) => code);
    expect(new Set(codes)).toEqual(new Set(["rollback", "corrupt"]));
  });
});

const lineSchema = z.looseObject({
  level: z.enum(["info", "error"]),
  time: z.iso.datetime(),
  code: z.string().optional(),
});

const scheduleSchema = z.object({
  Target: z.object({
    Arn: z.string(),
    RoleArn: z.string(),
    DeadLetterConfig: z.object({ Arn: z.string() }),
  }),
});

describe("permissions", () => {
  test.each(FUNCTIONS)("the %s may do everything that it did", async (name) => {
    const { may, roleOf } = kedge.access;
    const calls = kedge.callsOf(name);
    expect(calls.length).toBeGreaterThan(10);
    const denied = [];
    for (const call of calls) if (!(await may(roleOf(name), call))) denied.push(call);
    expect(denied).toEqual([]);
  });

  test.each(FUNCTIONS)("the %s needs everything that it may do", async (name) => {
    const { may, roleOf } = kedge.access;
    const left = await unneeded(may, roleOf(name), kedge.callsOf(name));
    // Of a run that is absent, which the sealer alone meets here: without it S3 would answer 403, not 404.
    const index = kedge.resolved.arn("AWS::S3::Bucket", "Index");
    const isForAbsent = ({ action, resource }: Grant) => action === "s3:ListBucket" && resource === index;
    expect(left.filter((grant) => !(grant.action in PLATFORM) && !isForAbsent(grant))).toEqual([]);
  });

  test.each(["sweepSchedule", "anchorSchedule"])(
    "the %s may invoke its function and report what failed, and nothing else",
    async (name) => {
      const { Target } = scheduleSchema.parse(
        kedge.resolved.properties(kedge.resolved.one("AWS::Scheduler::Schedule", name)),
      );
      const { may, role } = kedge.access;
      const call = (action: string, resource: string) =>
        may(role(Target.RoleArn), { action, resource, context: {} });
      expect(await call("lambda:InvokeFunction", Target.Arn)).toBe(true);
      expect(await call("sqs:SendMessage", Target.DeadLetterConfig.Arn)).toBe(true);
      const api = kedge.resolved.arn("AWS::Lambda::Function", "api");
      expect(await call("lambda:InvokeFunction", api)).toBe(false);
    },
  );
});
