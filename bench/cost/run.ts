/** Runs the functions' handlers on a metered backend, in a steady state, and says what each kind of run costs. */

import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { handler as anchorer } from "../../functions/anchorer.ts";
import { handler as api } from "../../functions/api.ts";
import { handler as sealer } from "../../functions/sealer.ts";
import { append } from "../../service/append.ts";
import { openService, type Service } from "../../service/config-sealing.ts";
import { createKey, createLog, createTenant } from "../../service/tenants.ts";
import { gatewayEvent } from "../../test/support/gateway-event.ts";
import { streamEvent } from "./events.ts";
import { type Backend, startBackend } from "./meter.ts";
import type { Load, Month } from "./month.ts";
import { average, between, scaled, type Work } from "./work.ts";

/** What one run of each kind costs, on average. */
export type Measured = {
  readonly post: Work;
  /** Bytes of a post's body, as HTTP carries it. */
  readonly postBytes: number;
  readonly seal: Work;
  /** A log that the sealer was called for and that has nothing pending. */
  readonly idleVisit: Work;
  /** Over all tenants' logs, nothing pending. */
  readonly sweep: Work;
  readonly anchor: Work;
  readonly idleAnchor: Work;
  readonly proof: Work;
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

/** @throws when anything fails that it runs: the figures would be of something else. */
export async function measure(load: Load, month: Month): Promise<Measured> {
  const folder = await mkdtemp(join(tmpdir(), "kedge-cost-"));
  const backend = await startBackend();
  try {
    const world = await openWorld(backend, join(folder, "log"), load.tenants);
    await warmUp(world);
    const sealed = await around(month.requestsPerSeal, (n) => sealCycles(world, load.batch, n));
    const anchored = await around(month.checkpointsPerAnchor, (n) => anchorCycles(world, n));
    const others = { ...(await idle(world, load.tenants)), ...(await reads(world)) };
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
  let [tableBefore, bucketBefore] = [0, 0];
  const work = async (call?: () => Promise<unknown>): Promise<Work> => {
    const started = process.cpuUsage();
    const answer = await call?.();
    const { user, system } = process.cpuUsage(started);
    const { tableBytes, tableItems, bucketBytes, ...calls } = await backend.take();
    if (calls.failures > 0) throw new Error(`${calls.failures} calls were refused: this is no steady state`);
    const stored = tableBytes + ITEM_OVERHEAD * tableItems;
    const cost = {
      ...calls,
      tableBytes: stored - tableBefore,
      bucketBytes: bucketBytes - bucketBefore,
      cpuMs: (user + system) / 1_000,
      logBytes: await takeLog(logFile, metrics),
      responseBytes: bytesOf(answer),
    };
    [tableBefore, bucketBefore] = [stored, bucketBytes];
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

/** So many requests, then a seal, again and again in one log: the mean cost of either. */
async function sealCycles(world: World, batch: number, requests: number) {
  const { log } = first(world);
  const runs = Math.min(MAX_RUNS, Math.max(MIN_RUNS, Math.ceil(ENTRIES / (batch * requests))));
  const [posts, seals]: [Work[], Work[]] = [[], []];
  for (let run = 0; run < runs; run++) {
    for (let i = 0; i < requests; i++) posts.push(await world.work(() => post(first(world), batch)));
    seals.push(await world.work(() => sealer(streamEvent([log], requests))));
  }
  return { post: average(posts), seal: average(seals) };
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

async function reads(world: World) {
  const { log, headers } = first(world);
  const entry = randomBytes(32);
  await append(world.service, log, [entry]);
  await sealer(streamEvent([log]));
  await anchorer();
  await world.work();
  const get = (path: string) => world.work(() => api(gatewayEvent("GET", path, headers)));
  const [proofs, publicReads]: [Work[], Work[]] = [[], []];
  for (let i = 0; i < REPEATS; i++) {
    proofs.push(await get(`/v1/logs/${log}/entries/${entry.toString("hex")}/proof`));
    publicReads.push(await get("/anchor/checkpoint"), await get("/anchor/tile/entries/000"));
  }
  return { proof: average(proofs), publicBytes: average(publicReads).responseBytes };
}
