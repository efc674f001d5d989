/**
 * Runs the functions' handlers on a metered backend, in a steady state, and says what each kind of run costs. The log that is
 * sealed and asked is as large as a busy one: its index has runs of three sizes.
 */

import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MAX_ENTRIES, MAX_PROOFS } from "@kedge/cli/contract/limits";
import { z } from "zod";
import { handler as anchorer } from "../../functions/anchorer.ts";
import { handler as api } from "../../functions/api.ts";
import { handler as sealer } from "../../functions/sealer.ts";
import { append } from "../../service/append.ts";
import { openService, type Service } from "../../service/config-sealing.ts";
import { readHead } from "../../service/head.ts";
import { ENOUGH } from "../../service/index/filters.ts";
import { createKey, createLog, createTenant } from "../../service/tenants.ts";
import { gatewayEvent } from "../../test/support/gateway-event.ts";
import { streamEvent } from "./events.ts";
import { type Backend, startBackend } from "./meter.ts";
import type { Load, Month } from "./month.ts";
import { FANOUT, fillsRuns, MERGED, RUN } from "./runs.ts";
import { average, between, beyond, scaled, type Work } from "./work.ts";

/** What one run of each kind costs, on average. */
export type Measured = {
  readonly post: Work;
  /** Bytes of a post's body, as HTTP carries it. */
  readonly postBytes: number;
  /** Without the runs that it fills, unless every one does. */
  readonly seal: Work;
  /** What a seal does beyond that to make a run of the lowest level, and to merge runs of it into one of the next. */
  readonly run: Work;
  readonly merge: Work;
  /** A log that the sealer was called for and that has nothing pending. */
  readonly idleVisit: Work;
  /** Over all tenants' logs, nothing pending. */
  readonly sweep: Work;
  readonly anchor: Work;
  readonly idleAnchor: Work;
  readonly proof: Work;
  /** As many at once as a request may ask for, and how many of them fit into the answer. */
  readonly proofs: Work;
  readonly proofsAnswered: number;
  /** Bytes of an answer from the anchor log, on average. */
  readonly publicBytes: number;
  /** Metrics that were found in log lines. */
  readonly metrics: number;
};

/** DynamoDB stores each item with so many bytes of its own (Developer Guide, "Estimate storage size"). */
const ITEM_OVERHEAD = 100;
/** CloudWatch Logs adds so many to each line (API Reference, PutLogEvents). */
const LINE_OVERHEAD = 26;
/** Enough logs to tell what one more costs a sweep. */
const MAX_TENANTS = 100;
/** Bundles hold 256 entries: over two of them, the partial tiles that a seal rewrites have every width. */
const ENTRIES = 512;
const [MIN_RUNS, MAX_RUNS] = [3, 256];
const REPEATS = 20;
const WARM_UP = 200;
/** The log's size when runs are made in it, and the entries that it then gets: half of the runs that fill the next one. */
const GROWN = (FANOUT + FANOUT / 2 - 1) * MERGED;
const HALF_FULL = (FANOUT / 2) * RUN + RUN / 4;
/** Of the entries of the grown log, each so many-th is asked for. */
const SAMPLED = Math.floor(GROWN / MAX_PROOFS);
/** Entries of the seals between which a run's cost is the difference. */
const FEW = 64;

/** @throws when anything fails that it runs: the figures would be of something else. */
export async function measure(load: Load, month: Month): Promise<Measured> {
  const folder = await mkdtemp(join(tmpdir(), "kedge-cost-"));
  const backend = await startBackend();
  try {
    const world = await openWorld(backend, join(folder, "log"), load.tenants);
    await warmUp(world);
    const entries = await grow(world);
    const index = await indexing(world);
    await fill(world, HALF_FULL);
    const sealed = await around(month.requestsPerSeal, (n) => sealCycles(world, load.batch, n));
    const anchored = await around(month.checkpointsPerAnchor, (n) => anchorCycles(world, n));
    const others = {
      ...index,
      ...(await idle(world, load.tenants)),
      ...(await reads(world, entries)),
      ...(await proofsAtOnce(world, entries)),
    };
    return {
      post: sealed(({ post }) => post),
      postBytes: JSON.stringify(bodyOf(load.batch)).length,
      seal: sealed(({ seal }) => seal),
      anchor: anchored((work) => work),
      ...others,
      metrics: world.metrics.size,
    };
  } finally {
    await backend.close();
    await rm(folder, { recursive: true });
  }
}

/** Measures at the whole numbers on either side, and answers in between: what a run does is so much a piece. */
async function around<T>(count: number, run: (n: number) => Promise<T>) {
  const low = Math.max(1, Math.floor(count));
  const a = await run(low);
  const b = count > low ? await run(low + 1) : a;
  return (pick: (measured: T) => Work): Work => between(pick(a), pick(b), Math.max(0, count - low));
}

// ---- the world -------------------------------------------------------------------------------------------------------

type Tenant = { readonly log: string; readonly headers: Readonly<Record<string, string>> };
type World = {
  readonly service: Service;
  readonly tenants: readonly Tenant[];
  /** Names of all metrics in the lines so far. */
  readonly metrics: ReadonlySet<string>;
  /** What a call of a handler costs. Without one, what came before is forgotten. */
  work(call?: () => Promise<unknown>): Promise<Work>;
};

async function openWorld(backend: Backend, logFile: string, tenantCount: number): Promise<World> {
  Object.assign(process.env, backend.environment, {
    AWS_REGION: "us-east-1",
    AWS_ACCESS_KEY_ID: "local",
    AWS_SECRET_ACCESS_KEY: "local",
    KEDGE_DOMAIN: "audit.example.org",
    KEDGE_METRICS: "Kedge/prod",
    KEDGE_LOG_FILE: logFile,
  });
  const service = openService(process.env);
  const tenants: Tenant[] = [];
  for (let i = 0; i < Math.min(tenantCount, MAX_TENANTS); i++) tenants.push(await newTenant(service));

  const metrics = new Set<string>();
  let [tableBefore, bucketBefore, indexBefore] = [0, 0, 0];
  const work = async (call?: () => Promise<unknown>): Promise<Work> => {
    const started = process.cpuUsage();
    const answer = await call?.();
    const { user, system } = process.cpuUsage(started);
    const { tableBytes, tableItems, bucketBytes, indexBytes, ...calls } = await backend.take();
    if (calls.failures > 0) throw new Error(`${calls.failures} calls were refused: this is no steady state`);
    const stored = tableBytes + ITEM_OVERHEAD * tableItems;
    const cost = {
      ...calls,
      tableBytes: stored - tableBefore,
      bucketBytes: bucketBytes - bucketBefore,
      indexBytes: indexBytes - indexBefore,
      cpuMs: (user + system) / 1_000,
      logBytes: await takeLog(logFile, metrics),
      responseBytes: bytesOf(answer),
    };
    [tableBefore, bucketBefore, indexBefore] = [stored, bucketBytes, indexBytes];
    return cost;
  };
  return { service, tenants, metrics, work };
}

async function newTenant(service: Service): Promise<Tenant> {
  const { id } = await createTenant(service, "a hospital");
  const log = await createLog(service, id, "audit");
  const { apiKey } = await createKey(service, id, { name: "a key", scopes: ["write", "read"] });
  return {
    log: log.id,
    headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
  };
}

const line = z.looseObject({
  _aws: z
    .object({
      CloudWatchMetrics: z.array(z.object({ Metrics: z.array(z.object({ Name: z.string() })) })),
    })
    .optional(),
});

/** @returns bytes that CloudWatch would count for the lines since the last call. */
async function takeLog(file: string, metrics: Set<string>): Promise<number> {
  const text = await readFile(file, "utf8").catch(() => "");
  await writeFile(file, "");
  const lines = text.split("\n").filter((each) => each !== "");
  for (const each of lines) {
    const directives = line.parse(JSON.parse(each))._aws?.CloudWatchMetrics ?? [];
    for (const { Name } of directives.flatMap(({ Metrics }) => Metrics)) metrics.add(Name);
  }
  return lines.reduce((sum, each) => sum + Buffer.byteLength(each) + LINE_OVERHEAD, 0);
}

const responseSchema = z.object({
  statusCode: z.int().min(200).max(299, "the request was refused"),
  headers: z.record(z.string(), z.string()),
  body: z.string(),
  isBase64Encoded: z.boolean(),
});

/** Bytes of an API answer, with its headers as HTTP/1.1 writes them. @throws when it is not a success. */
function bytesOf(answer: unknown): number {
  if (answer === undefined) return 0;
  const { headers, body, isBase64Encoded } = responseSchema.parse(answer);
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.byteLength(head.join("")) + Buffer.byteLength(body, isBase64Encoded ? "base64" : "utf8");
}

// ---- what runs -------------------------------------------------------------------------------------------------------

const hash = (): string => randomBytes(32).toString("hex");
const bodyOf = (batch: number) => ({ hashes: Array.from({ length: batch }, hash) });

const post = ({ log, headers }: Tenant, batch: number) =>
  api(gatewayEvent("POST", `/v1/logs/${log}/entries`, headers, JSON.stringify(bodyOf(batch))));

const first = ({ tenants: [tenant] }: World): Tenant => {
  if (tenant === undefined) throw new RangeError("at least one tenant is needed");
  return tenant;
};

/** Until every code path has run often enough to be compiled, and every client has its connections and keys. */
async function warmUp(world: World): Promise<void> {
  for (let i = 0; i < WARM_UP; i++) await post(first(world), 1);
  await sealer(streamEvent([first(world).log]));
  for (let i = 0; i < REPEATS; i++) {
    await post(first(world), 1);
    await sealer({});
    await anchorer();
  }
  await world.work();
}

/** So many entries more in the first log, sealed. @returns them. */
async function fill(world: World, count: number): Promise<Uint8Array[]> {
  const { log } = first(world);
  const entries = Array.from({ length: count }, () => randomBytes(32));
  for (let at = 0; at < count; at += MAX_ENTRIES) {
    await append(world.service, log, entries.slice(at, at + MAX_ENTRIES));
    await sealer(streamEvent([log]));
  }
  await world.work();
  return entries;
}

/** @returns of the entries that it adds a sample, from all over the log. */
async function grow(world: World): Promise<Uint8Array[]> {
  const { size } = await readHead(world.service.store, first(world).log);
  const entries: Uint8Array[] = [];
  for (let left = GROWN - Number(size); left > 0; left -= MERGED) {
    const added = await fill(world, Math.min(left, MERGED));
    entries.push(...added.filter((_, i) => i % SAMPLED === 0));
  }
  return entries.slice(0, MAX_PROOFS);
}

/** Fills a run of the second level, one of the first after the other. */
async function indexing(world: World): Promise<{ run: Work; merge: Work }> {
  const [plain, filled]: [Work[], Work[]] = [[], []];
  for (let run = 0; run < FANOUT; run++) {
    await fill(world, RUN - 2 * FEW);
    for (const seals of [plain, filled]) seals.push(await sealFew(world));
  }
  const merging = filled.pop();
  if (merging === undefined) throw new RangeError("unreachable");
  const [seal, sealAndRun] = [average(plain), average(filled)];
  return { run: beyond(sealAndRun, seal), merge: beyond(merging, sealAndRun) };
}

async function sealFew(world: World): Promise<Work> {
  const { log } = first(world);
  const entries = Array.from({ length: FEW }, () => randomBytes(32));
  await append(world.service, log, entries);
  await world.work();
  return await world.work(() => sealer(streamEvent([log])));
}

/** So many requests, then a seal, again and again in one log: the mean cost of either. */
async function sealCycles(world: World, batch: number, requests: number) {
  const { log } = first(world);
  const wanted = fillsRuns(batch * requests) ? MERGED : ENTRIES;
  const runs = Math.min(MAX_RUNS, Math.max(MIN_RUNS, Math.ceil(wanted / (batch * requests))));
  const [posts, seals]: [Work[], Work[]] = [[], []];
  for (let run = 0; run < runs; run++) {
    for (let i = 0; i < requests; i++) posts.push(await world.work(() => post(first(world), batch)));
    seals.push(await world.work(() => sealer(streamEvent([log], requests))));
  }
  const plain = seals.filter(({ indexPuts }) => indexPuts === 0);
  return { post: average(posts), seal: average(fillsRuns(batch * requests) ? seals : plain) };
}

/** So many logs with a new checkpoint each, then a run of the anchorer, again and again: the mean cost of that. */
async function anchorCycles({ service, tenants, work }: World, logs: number): Promise<Work> {
  const runs = Math.min(MAX_RUNS / 4, Math.max(MIN_RUNS, Math.ceil(ENTRIES / logs)));
  const anchors: Work[] = [];
  // Of more tenants than there are here, each checkpoint costs what these do.
  const some = tenants.slice(0, logs).map(({ log }) => log);
  for (let run = 0; run < runs; run++) {
    for (const log of some) await append(service, log, [randomBytes(32)]);
    await sealer(streamEvent(some));
    await work();
    anchors.push(await work(() => anchorer()));
  }
  return scaled(average(anchors), logs / some.length);
}

async function idle(world: World, tenants: number) {
  const runs = { idleVisit: [] as Work[], sweep: [] as Work[], idleAnchor: [] as Work[] };
  for (let i = 0; i < REPEATS; i++) {
    runs.idleVisit.push(await world.work(() => sealer(streamEvent([first(world).log]))));
    runs.sweep.push(await world.work(() => sealer({})));
    runs.idleAnchor.push(await world.work(() => anchorer()));
  }
  return {
    idleVisit: average(runs.idleVisit),
    sweep: scaled(average(runs.sweep), tenants / world.tenants.length),
    idleAnchor: average(runs.idleAnchor),
  };
}

async function proofsAtOnce(world: World, entries: readonly Uint8Array[]) {
  const { log, headers } = first(world);
  const hashes = entries.map((entry) => Buffer.from(entry).toString("hex"));
  const ask = () => api(gatewayEvent("POST", `/v1/logs/${log}/proofs`, headers, JSON.stringify({ hashes })));
  const proofs: Work[] = [];
  for (let i = 0; i < MIN_RUNS; i++) proofs.push(await world.work(ask));
  const { body, isBase64Encoded } = responseSchema.parse(await ask());
  const lines = Buffer.from(body, isBase64Encoded ? "base64" : "utf8")
    .toString()
    .split("\n");
  await world.work();
  return {
    proofs: average(proofs),
    proofsAnswered: lines.filter((each) => each.includes('"proof":')).length,
  };
}

async function reads(world: World, entries: readonly Uint8Array[]) {
  const { log, headers } = first(world);
  await anchorer();
  const get = (path: string) => world.work(() => api(gatewayEvent("GET", path, headers)));
  const proof = (i: number) =>
    get(`/v1/logs/${log}/entries/${Buffer.from(entries[i] ?? []).toString("hex")}/proof`);
  // Until the function keeps the filters of the log's runs.
  for (let i = 0; i < ENOUGH; i++) await proof(i);
  await world.work();
  const [proofs, publicReads]: [Work[], Work[]] = [[], []];
  for (let i = 0; i < REPEATS; i++) {
    proofs.push(await proof(ENOUGH + i));
    publicReads.push(await get("/anchor/checkpoint"), await get("/anchor/tile/entries/000"));
  }
  return { proof: average(proofs), publicBytes: average(publicReads).responseBytes };
}
