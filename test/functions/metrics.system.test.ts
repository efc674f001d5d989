/** Metrics in CloudWatch's Embedded Metric Format, as the Lambda handlers write them. */
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CreateKeyCommand } from "@aws-sdk/client-kms";
import { formatVkey } from "@kedge/verify/tlog/note";
import { bytesToHex, randomBytes } from "@noble/hashes/utils.js";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import * as z from "zod";
import { handler as anchorer } from "../../functions/anchorer.ts";
import { service } from "../../functions/open.ts";
import { handler as sealer } from "../../functions/sealer.ts";
import { ServiceError } from "../../platform/error.ts";
import { SERVICE_METRICS } from "../../platform/log.ts";
import { kmsClient } from "../../platform/signer.ts";
import type { Item } from "../../platform/store.ts";
import { ANCHOR, publicKey } from "../../service/anchor-items.ts";
import { append } from "../../service/append.ts";
import { headKey, lastCheckpoint, readHead } from "../../service/head.ts";
import { coverKey, moveCover, readCover } from "../../service/index/cover.ts";
import { LOGS_PARTITION } from "../../service/logs.ts";
import { PENDING_SHARDS, pendingPartition } from "../../service/pending.ts";
import { sweep } from "../../service/sweep.ts";
import { ed25519Cosigner } from "../packages/verify/tlog/signers.ts";
import { bearer, type Harness, json, newTenant, pendingCount, startHarness } from "./harness.ts";

const NAMESPACE = "Kedge/test";
const HOUR = 3_600_000;

let kedge: Harness;
beforeAll(async () => {
  kedge = await startHarness();
  // One key takes over from another: both sign.
  const command = new CreateKeyCommand({ KeySpec: "ECC_NIST_EDWARDS25519", KeyUsage: "SIGN_VERIFY" });
  const { KeyMetadata } = await kmsClient().send(command);
  process.env["KEDGE_LOG_KEY"] += `,${KeyMetadata?.KeyId}`;
  process.env["KEDGE_METRICS"] = NAMESPACE;
});
afterAll(() => kedge.close());
beforeEach(async () => {
  // Whatever another test has left.
  await sealer({});
  await anchorer();
  kedge.logged.length = 0;
});
/** Calls of the handlers' service that a test makes fail; stdout stays the harness's. */
const faults: { mockRestore(): void }[] = [];
const repair = () => {
  for (const fault of faults.splice(0)) fault.mockRestore();
};
afterEach(repair);

const refuseToSign = (by: "signLog" | "signAnchor") => {
  faults.push(vi.spyOn(service(), by).mockRejectedValue(new ServiceError("signer", "KMS says no")));
};

/** CloudWatch, "Specification: Embedded metric format", with its JSON schema. */
const metadata = z.strictObject({
  Timestamp: z.int(),
  CloudWatchMetrics: z.array(
    z.strictObject({
      Namespace: z.string().min(1).max(255),
      Dimensions: z.array(z.array(z.string().min(1).max(250)).max(30)).min(1),
      Metrics: z
        .array(z.strictObject({ Name: z.string().min(1).max(255), Unit: z.enum(["Count", "Milliseconds"]) }))
        .min(1)
        .max(100),
    }),
  ),
});
const anyLine = z.looseObject({ level: z.string(), time: z.iso.datetime(), _aws: metadata.optional() });

/** What CloudWatch would read out of the lines since: for each metric its values. */
function metrics(): Record<string, number[]> {
  const values: Record<string, number[]> = {};
  for (const line of kedge.logged.map(parseLine)) {
    for (const { Metrics } of line._aws?.CloudWatchMetrics ?? []) {
      for (const { Name } of Metrics) values[Name] = [...(values[Name] ?? []), z.number().parse(line[Name])];
    }
  }
  return values;
}

/** A log event is one JSON object, and nothing before or after it. */
function parseLine(text: string) {
  expect(text.indexOf("\n")).toBe(text.length - 1);
  return anyLine.parse(JSON.parse(text));
}

const newHash = (): string => bytesToHex(randomBytes(32));

async function post({ write, log }: Awaited<ReturnType<typeof newTenant>>, ...hashes: string[]) {
  const response = await kedge.app.request(`/v1/logs/${log.id}/entries`, json(write, { hashes }));
  expect(response.status).toBe(202);
}

/** A log with an entry that has waited for an hour. */
async function neglectedLog() {
  const tenant = await newTenant(kedge.service);
  const arrival = Date.now() - HOUR;
  await append({ store: kedge.service.store, clock: () => arrival }, tenant.log.id, [randomBytes(32)]);
  return { ...tenant, arrival };
}

/** The values of one run of a handler, and the bounds of a time since `arrival` that is measured in it. */
async function run(handler: () => Promise<unknown>, arrival = 0) {
  kedge.logged.length = 0;
  const least = Date.now() - arrival;
  const failure = await handler().then(
    () => undefined,
    (error: unknown) => error,
  );
  return { values: metrics(), failure, least, most: Date.now() - arrival };
}
const seal = () => sealer({});

async function spoilIndex(log: string): Promise<void> {
  // Nothing that the log's tree has ever been.
  const foreign = {
    level: 0,
    first: 0n,
    count: 4_096,
    root: new Uint8Array(32),
    headerHash: new Uint8Array(32),
  };
  await moveCover(service().store, await readCover(service(), log), [{ ...foreign, filterSize: 0 }]);
}

describe("the API", () => {
  test("counts the entries of every accepted post, and of no other request", async () => {
    const tenant = await newTenant(kedge.service);
    const path = `/v1/logs/${tenant.log.id}`;
    const hash = newHash();
    await post(tenant, newHash());
    await post(tenant, hash, hash, newHash());
    expect(metrics()).toEqual({ EntriesAccepted: [1, 3] });
    kedge.logged.length = 0;
    const requests: [string, RequestInit, number][] = [
      [`${path}/entries`, json(tenant.write, { hashes: ["no hash"] }), 400],
      [`${path}/entries`, json(`${tenant.write}x`, { hashes: [hash] }), 401],
      [`${path}/entries/${hash}`, { headers: bearer(tenant.read) }, 200],
      [`${path}/proofs`, json(tenant.read, { hashes: [hash] }), 200],
      ["/nowhere", {}, 404],
    ];
    for (const [url, init, status] of requests)
      expect((await kedge.app.request(url, init)).status).toBe(status);
    expect(kedge.logged).toHaveLength(requests.length);
    expect(metrics()).toEqual({});
  });

  test("counts the look-ups that fail for a run of the index that is lost", async () => {
    const tenant = await newTenant(kedge.service);
    await post(tenant, newHash());
    await seal();
    await spoilIndex(tenant.log.id);
    kedge.logged.length = 0;
    const path = `/v1/logs/${tenant.log.id}`;
    const asked = { headers: bearer(tenant.read) };
    expect((await kedge.app.request(`${path}/entries/${newHash()}`, asked)).status).toBe(500);
    expect(
      (await kedge.app.request(`${path}/proofs`, json(tenant.read, { hashes: [newHash()] }))).status,
    ).toBe(500);
    expect(metrics()).toEqual({ IndexFault: [1, 1] });
    await service().store.write([], [coverKey(tenant.log.id)]);
  });
});

/** What a run of the sealer says of logs to which nothing happened. */
const NOTHING = { Signatures: [0], Conflicts: [0], RollbackRefused: [0], IndexFault: [0] };

describe("the sealer", () => {
  test("an idle run says that nothing waits and nothing happened", async () => {
    for (const event of [{}, { Records: [] }]) {
      const { values } = await run(() => sealer(event));
      expect(values).toEqual({ SealLag: [0], ...NOTHING });
    }
  });

  test("a run says how long the oldest entry of all its logs has waited, once, and the size of each log's batches", async () => {
    const [young, old] = [await newTenant(kedge.service), await neglectedLog()];
    await post(young, newHash(), newHash(), newHash());
    const { values, least, most } = await run(seal, old.arrival);
    expect(values).toMatchObject({ Conflicts: [0], RollbackRefused: [0] });
    expect(values["BatchSize"]?.toSorted()).toEqual([1, 3]);
    expect(values["SealLag"]).toHaveLength(1);
    expect(values["SealLag"]?.[0]).toBeGreaterThanOrEqual(least);
    expect(values["SealLag"]?.[0]).toBeLessThanOrEqual(most);
  });

  test("a run says how many entries of the log with the most are in no run of its index", async () => {
    const [few, more] = [await newTenant(kedge.service), await newTenant(kedge.service)];
    await post(few, newHash());
    await post(more, ...Array.from({ length: 9 }, newHash));
    expect((await run(seal)).values).toMatchObject({ IndexLag: [9], IndexFault: [0] });
  });

  test("a run counts the logs of whose index a run is lost or altered, and goes on with the others", async () => {
    const tenant = await newTenant(kedge.service);
    await post(tenant, newHash());
    await seal();
    await spoilIndex(tenant.log.id);
    await post(tenant, newHash());
    const { values, failure } = await run(seal);
    expect(failure).toBeInstanceOf(Error);
    expect(values["IndexFault"]).toEqual([1]);
    await service().store.write([], [coverKey(tenant.log.id)]);
    expect((await run(seal)).values).toMatchObject({ IndexFault: [0], SealLag: [expect.any(Number)] });
  });

  test("an entry that a clock a year ahead has stamped is no young one: the lag is as far off", async () => {
    const tenant = await newTenant(kedge.service);
    const arrival = Date.now() + 365 * 24 * HOUR;
    await append({ store: kedge.service.store, clock: () => arrival }, tenant.log.id, [randomBytes(32)]);
    const { values, least, most } = await run(seal, arrival);
    expect(values["SealLag"]).toHaveLength(1);
    expect(values["SealLag"]?.[0]).toBeGreaterThanOrEqual(-most);
    expect(values["SealLag"]?.[0]).toBeLessThanOrEqual(-least);
    expect(await pendingCount(kedge.service, tenant.log.id)).toBe(0n);
  });

  test("every signature of every key is counted, in the run that asked for it", async () => {
    await post(await newTenant(kedge.service), newHash());
    await post(await newTenant(kedge.service), newHash());
    expect((await run(seal)).values["Signatures"]).toEqual([4]);
    expect((await run(seal)).values["Signatures"]).toEqual([0]);
    await run(anchorer);
    expect((await run(seal)).values["Signatures"]).toEqual([0]);
  });

  test.each([
    ["its head is corrupt", "corrupt", (head: Item) => ({ ...head, version: "not a number" })],
    ["its head is older than what was published", "rollback", (_: Item, old: Item) => old],
    ["its pending chunks are corrupt", "corrupt", undefined],
    ["KMS does not sign", "signer", undefined],
  ] as const)("a log that is stopped because %s: the lag goes on rising", async (why, code, breakHead) => {
    const { store } = kedge.service;
    const tenant = await newTenant(kedge.service);
    const key = headKey(tenant.log.id);
    const sealedHead = async (): Promise<Item> => {
      await post(tenant, newHash());
      await sealer({});
      const [head] = await store.get([key]);
      if (head === undefined) throw new Error("not sealed");
      return head;
    };
    const old = await sealedHead();
    const head = await sealedHead();
    const arrival = Date.now() - HOUR;
    await append({ store, clock: () => arrival }, tenant.log.id, [randomBytes(32)]);
    const chunks: Item[] = [];
    for (let shard = 0; shard < PENDING_SHARDS; shard++) {
      for await (const item of store.query({ pk: pendingPartition(tenant.log.id, shard) })) chunks.push(item);
    }

    if (breakHead !== undefined) await store.put(breakHead(head, old));
    else if (code === "corrupt") await store.write(chunks.map((chunk) => ({ ...chunk, data: "not bytes" })));
    else refuseToSign("signLog");
    let before = 0;
    for (let runs = 0; runs < 3; runs++) {
      const { values, failure, least, most } = await run(seal, arrival);
      expect(failure).toBeInstanceOf(Error);
      expect(kedge.logged.join("")).toContain(`"code":"${code}"`);
      const [lag = -1] = values["SealLag"] ?? [];
      expect(lag).toBeGreaterThanOrEqual(Math.max(least, before));
      expect(lag).toBeLessThanOrEqual(most);
      expect(values["RollbackRefused"]).toEqual([code === "rollback" ? 1 : 0]);
      before = least;
    }

    repair();
    if (why !== "KMS does not sign") await store.write([head, ...chunks]);
    expect((await run(seal)).failure).toBeUndefined();
    expect((await run(seal)).values).toMatchObject({ SealLag: [0], RollbackRefused: [0] });
  });

  test("where nothing can be read of any log, no lag is claimed", async () => {
    const { log } = await neglectedLog();
    const record = { eventName: "INSERT", dynamodb: { Keys: { pk: { S: `pending/${log.id}/0` } } } };
    const broken = new ServiceError("unavailable", "DynamoDB says nothing");
    const { store } = service();
    faults.push(vi.spyOn(store, "get").mockRejectedValue(broken));
    faults.push(
      vi.spyOn(store, "query").mockImplementation(() => {
        throw broken;
      }),
    );
    const { values, failure } = await run(() => sealer({ Records: [record] }));
    expect(failure).toBeInstanceOf(Error);
    expect(values).toEqual(NOTHING);
  });

  test("a race that is lost is counted once a log, and what came in during it is sealed all the same", async () => {
    const tenant = await newTenant(kedge.service);
    await post(tenant, newHash());
    const head = headKey(tenant.log.id);
    const { put } = service().store;
    let lost = 0;
    const slow = vi.spyOn(service().store, "put").mockImplementation(async (item, condition) => {
      if (item.pk === head.pk && item.sk === head.sk && lost < 2) {
        lost++;
        for await (const swept of sweep(kedge.service, [tenant.log.id]))
          expect(swept).not.toHaveProperty("error");
        await post(tenant, newHash());
      }
      await put(item, condition);
    });
    faults.push(slow);
    const { values } = await run(seal);
    expect(values["Conflicts"]).toEqual([1]);
    expect(await pendingCount(kedge.service, tenant.log.id)).toBe(0n);
    expect((await readHead(kedge.service.store, tenant.log.id)).published).toBe(3n);
    expect((await run(seal)).values["Conflicts"]).toEqual([0]);
  });
});

describe("the anchorer", () => {
  test("an idle run says that nothing waits and nothing happened", async () => {
    const idle = {
      AnchorAge: [0],
      Signatures: [0],
      RollbackRefused: [0],
      IndexFault: [0],
      WitnessQuorum: [1],
    };
    expect((await run(anchorer)).values).toEqual(idle);
  });

  test("a run that anchors says so in one line, and counts its signatures", async () => {
    await post(await newTenant(kedge.service), newHash());
    await sealer({});
    const { values } = await run(anchorer);
    const nothing = { AnchorAge: [0], RollbackRefused: [0], IndexFault: [0] };
    // The run's own entry is in no run of the index yet.
    expect(values).toMatchObject({ ...nothing, Signatures: [1], WitnessQuorum: [1] });
    expect(values["IndexLag"]?.[0]).toBeGreaterThan(0);
    expect(kedge.logged).toHaveLength(1);
  });

  test("while runs fail, the age goes on rising; of the quorum nothing is said", async () => {
    const tenant = await newTenant(kedge.service);
    await post(tenant, newHash());
    await sealer({});
    refuseToSign("signAnchor");
    const first = await runFailing("signer");
    await post(tenant, newHash());
    await sealer({});
    const second = await runFailing("signer");
    for (const { values } of [first, second]) {
      expect(Object.keys(values).sort()).toEqual([
        "AnchorAge",
        "IndexFault",
        "RollbackRefused",
        "Signatures",
      ]);
      expect(values).toMatchObject({ RollbackRefused: [0], Signatures: [0] });
    }
    // Both are ages of the same: as much greater as the second run was later, give or take what each run took.
    const [rise, least, most] = [
      (second.values["AnchorAge"]?.[0] ?? 0) - (first.values["AnchorAge"]?.[0] ?? 0),
      second.least - first.most,
      second.most - first.least,
    ];
    expect(rise).toBeGreaterThanOrEqual(least);
    expect(rise).toBeLessThanOrEqual(most);
    repair();
    expect((await run(anchorer)).values["AnchorAge"]).toEqual([0]);
  });

  test("a rollback is counted", async () => {
    const { store } = kedge.service;
    const [old] = await store.get([headKey(ANCHOR)]);
    await post(await newTenant(kedge.service), newHash());
    await sealer({});
    await anchorer();
    const [head] = await store.get([headKey(ANCHOR)]);
    if (old === undefined || head === undefined) throw new Error("not anchored");
    await post(await newTenant(kedge.service), newHash());
    await sealer({});
    await store.put(old);
    const { values } = await runFailing("rollback");
    expect(values["RollbackRefused"]).toEqual([1]);
    await store.put(head);
    expect((await run(anchorer)).values["RollbackRefused"]).toEqual([0]);
  });

  test("a run that failed before it could look does not say that nothing waits", async () => {
    const { store } = service();
    const { query } = store;
    const unlisted = vi.spyOn(store, "query").mockImplementation((asked) => {
      if (asked.pk === LOGS_PARTITION) throw new ServiceError("unavailable", "DynamoDB says nothing");
      return query(asked);
    });
    faults.push(unlisted);
    const { values } = await runFailing("unavailable");
    expect(values).toEqual({ Signatures: [0], RollbackRefused: [0], IndexFault: [0] });
  });

  test("nor does one that cannot read what is public", async () => {
    const { store } = kedge.service;
    const [before] = await store.get([publicKey()]);
    await store.put({ ...publicKey(), size: "not a number" });
    const { values } = await runFailing("corrupt");
    expect(values).toEqual({ Signatures: [0], RollbackRefused: [0], IndexFault: [0] });
    await store.write(before === undefined ? [] : [before]);
  });

  test("without the witnesses' quorum, what was folded in ages from its publication on", async () => {
    process.env["KEDGE_POLICY"] = await absentWitness();
    vi.resetModules();
    const { handler: waiting } = await import("../../functions/anchorer.ts");
    // Its first run reads the configuration.
    await waiting();
    delete process.env["KEDGE_POLICY"];
    const tenant = await newTenant(kedge.service);
    await post(tenant, newHash());
    await sealer({});
    const { at: publishedAt } = lastCheckpoint(await readHead(kedge.service.store, tenant.log.id));
    for (let runs = 0; runs < 3; runs++) {
      const { values, least, most } = await run(() => waiting(), Number(publishedAt));
      expect(values["WitnessQuorum"]).toEqual([0]);
      expect(values["AnchorAge"]?.[0]).toBeGreaterThanOrEqual(least);
      expect(values["AnchorAge"]?.[0]).toBeLessThanOrEqual(most);
      await post(tenant, newHash());
      await sealer({});
    }
    expect((await run(anchorer)).values).toMatchObject({ WitnessQuorum: [1], AnchorAge: [0] });
  });
});

test("every metric line is a document of the format without dimensions, and names no key, hash or tenant", async () => {
  const tenant = await neglectedLog();
  const hash = newHash();
  await post(tenant, hash);
  await sealer({});
  await anchorer();
  await post(tenant, newHash());
  refuseToSign("signLog");
  await expect(sealer({})).rejects.toThrow(tenant.log.id);
  const lines = kedge.logged.map(parseLine).filter(({ _aws }) => _aws !== undefined);
  const emitted = new Set<string>();
  for (const line of lines) {
    const [directive, ...more] = line._aws?.CloudWatchMetrics ?? [];
    expect(more).toEqual([]);
    expect(directive).toMatchObject({ Namespace: NAMESPACE, Dimensions: [[]] });
    expect(line._aws?.Timestamp).toBe(Date.parse(line.time));
    for (const { Name } of directive?.Metrics ?? []) {
      expect(line[Name]).toEqual(expect.any(Number));
      emitted.add(Name);
    }
    const { event, log, requestId, tenant: of, keyId, method, route, ...others } = line;
    if (log !== undefined) expect(log).toBe(tenant.log.id);
    // Of the sealer and the anchorer nothing but numbers, and the words of an error.
    if (event !== undefined) expect([requestId, of, keyId, method, route]).toEqual(Array(5).fill(undefined));
    const { level, time, code, error, cause, _aws, ...numbers } = others;
    for (const value of Object.values(numbers)) expect(typeof value).toMatch(/number|boolean/);
  }
  // And TimestampAge, where timestamps are configured: timestamps.test.ts.
  expect([...emitted, "TimestampAge"].sort()).toEqual(Object.keys(SERVICE_METRICS).sort());
  const secrets = [hash, tenant.write, tenant.write.split("_")[2] ?? "", "a hospital", "ward 7"];
  for (const secret of secrets) expect(kedge.logged.join("")).not.toContain(secret);
});

async function runFailing(code: string) {
  const ran = await run(anchorer);
  expect(ran.failure).toMatchObject({ code });
  return ran;
}

/** The path of a policy whose witness never cosigns. */
async function absentWitness(): Promise<string> {
  const vkey = formatVkey(ed25519Cosigner("witness.example/w").vkey);
  const path = join(await mkdtemp(join(tmpdir(), "kedge-policy-")), "policy");
  await writeFile(path, `witness w ${vkey}\nquorum w\n`);
  return path;
}
