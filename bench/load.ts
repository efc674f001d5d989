/** The load run: `kedge serve` in a process of its own, and a client that posts to it as a tenant would. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Client, openClient } from "@kedge/cli/client/api";
import { type Connection, request } from "@kedge/verify/net/http";
import { parseProof } from "@kedge/verify/tlog/proof";
import { z } from "zod";
import { figure, median, percentile, type Section, spread } from "./report.ts";
import { randomCommitments, slices } from "./stack.ts";

type Shape = {
  readonly name: string;
  readonly events: number;
  readonly perRequest: number;
  /** Requests under way at most. */
  readonly concurrency: number;
  /** Between the starts of two requests; absent: as fast as they are answered. */
  readonly everyMs?: number;
};

const SHAPES = {
  batched: { name: "1,000 a request", events: 60_000, perRequest: 1_000, concurrency: 4 },
  single: { name: "1 a request", events: 3_000, perRequest: 1, concurrency: 24 },
  steady: {
    name: "100 a request, 5 requests/s",
    events: 5_000,
    perRequest: 100,
    concurrency: 4,
    everyMs: 200,
  },
} as const satisfies Record<string, Shape>;
const RUNS = 3;
/** On a machine so slow that this has passed, no further run begins: the whole bench is to end in minutes. */
const BUDGET_MS = 100_000;
/** How often the client asks whether all is sealed; no figure depends on it. */
const POLL_MS = 250;
/** A run that takes longer has failed. */
const DEADLINE_MS = 90_000;

export async function load(): Promise<Section> {
  const served = await serve();
  try {
    const batched: Result[] = [];
    const single: Result[] = [];
    const steady: Result[] = [];
    const started = Date.now();
    while (batched.length < RUNS && Date.now() - started < BUDGET_MS) {
      batched.push(await run(served, SHAPES.batched));
      single.push(await run(served, SHAPES.single));
      steady.push(await run(served, SHAPES.steady));
    }
    return section(batched, single, steady);
  } finally {
    await served.stop();
  }
}

/** Events a second, and ms from acknowledgement to the covering checkpoint's publication, by the same clock. */
type Result = {
  readonly sealed: number;
  readonly acknowledged: number;
  readonly p50: number;
  readonly p99: number;
};

function section(batched: readonly Result[], single: readonly Result[], steady: readonly Result[]): Section {
  const row = (what: string, of: (result: Result) => number) => [
    what,
    ...[batched, single, steady].map((runs) => spread(runs.map(of))),
  ];
  const shapes: readonly Shape[] = Object.values(SHAPES);
  return {
    title: "Load: events/s through the embedded stack",
    head: [`median of ${batched.length} runs (lowest–highest)`, ...shapes.map(({ name }) => name)],
    rows: [
      [
        "events; requests at a time",
        ...shapes.map(({ events, concurrency }) => `${figure(events)}; ${concurrency}`),
      ],
      row("in a published checkpoint, events/s", ({ sealed }) => sealed),
      row("acknowledged, events/s", ({ acknowledged }) => acknowledged),
      row("acknowledgement to checkpoint, p50, ms", ({ p50 }) => p50),
      row("acknowledgement to checkpoint, p99, ms", ({ p99 }) => p99),
    ],
    values: {
      eventsPerSecond: median(batched.map(({ sealed }) => sealed)),
      p50: median(batched.map(({ p50 }) => p50)),
      p99: median(batched.map(({ p99 }) => p99)),
      singleEventsPerSecond: median(single.map(({ sealed }) => sealed)),
      singleP50: median(single.map(({ p50 }) => p50)),
      singleP99: median(single.map(({ p99 }) => p99)),
      steadyP50: median(steady.map(({ p50 }) => p50)),
      steadyP99: median(steady.map(({ p99 }) => p99)),
    },
  };
}

type Served = { readonly client: Client; readonly connection: Connection };

/** One run, in a log of its own. */
async function run({ client, connection }: Served, shape: Shape): Promise<Result> {
  const { events, perRequest } = shape;
  const { id } = await client.createLog("load");
  const requests = slices(randomCommitments(events), perRequest);
  const started = Date.now();
  const acknowledged = await post(client, id, requests, shape);
  await allSealed(client, id, events);

  const published = await publishedSizes(connection, id);
  const lastOfEach = requests.flatMap((commitments) => commitments.slice(-1));
  const indices = await indicesOf(client, id, lastOfEach);
  const waits = acknowledged.map((at, i) => {
    const index = indices[i] ?? Number.POSITIVE_INFINITY;
    const covered = published.find(({ size }) => size > index)?.at ?? Number.NaN;
    // A seal may publish what is stored before the acknowledgement of it has arrived.
    return Math.max(0, covered - at);
  });
  return {
    sealed: (1000 * events) / ((published.at(-1)?.at ?? Number.NaN) - started),
    acknowledged: (1000 * events) / (Math.max(...acknowledged) - started),
    p50: percentile(waits, 0.5),
    p99: percentile(waits, 0.99),
  };
}

/** @returns when each request was acknowledged, ms since the epoch. */
async function post(
  client: Client,
  log: string,
  requests: readonly (readonly Uint8Array[])[],
  { concurrency, everyMs = 0 }: Shape,
): Promise<number[]> {
  const started = Date.now();
  const times: number[] = [];
  const queue = requests.entries();
  const lane = async () => {
    for (const [i, commitments] of queue) {
      const early = started + i * everyMs - Date.now();
      if (early > 0) await sleep(early);
      await client.post(log, commitments);
      times[i] = Date.now();
    }
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
  return times;
}

async function allSealed(client: Client, log: string, events: number): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS;
  for (;;) {
    const { size = 0 } = await client.log(log);
    if (size >= events) return;
    if (Date.now() > deadline) throw new Error(`only ${size} of ${events} events were sealed in time`);
    await sleep(POLL_MS);
  }
}

const historyPage = z.object({
  checkpoints: z.array(z.object({ size: z.number(), publishedAt: z.string() })),
  next: z.number().optional(),
});

/** The log's published sizes, and when each was published, ms since the epoch. */
async function publishedSizes(connection: Connection, log: string): Promise<{ at: number; size: number }[]> {
  const sizes: { at: number; size: number }[] = [];
  for (let after: number | undefined = 0; after !== undefined; ) {
    const path = `/v1/logs/${log}/checkpoints?after=${after}&limit=1000`;
    const answer = await request(connection, { method: "GET", path, idempotent: true });
    const page = historyPage.parse(JSON.parse(answer));
    sizes.push(...page.checkpoints.map(({ size, publishedAt }) => ({ size, at: Date.parse(publishedAt) })));
    after = page.next;
  }
  return sizes;
}

async function indicesOf(client: Client, log: string, commitments: readonly Uint8Array[]): Promise<number[]> {
  const indices: number[] = [];
  for await (const answer of client.proofs(log, commitments)) {
    if (answer.state !== "proof") throw new Error(`a published event has no proof: ${answer.state}`);
    indices.push(Number(parseProof(answer.proof).index));
  }
  return indices;
}

const credentials = z.object({ url: z.string(), apiKey: z.string() });

/** As `npm start` does it, on an empty data folder and a free port; its demonstration warms it up. */
async function serve(): Promise<Served & { stop: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), "kedge-load-"));
  const command = fileURLToPath(new URL("../cli/kedge.js", import.meta.url));
  const child = spawn(process.execPath, [command, "serve", "--port", "0", "--data", folder], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await ready(child);
  const file = await readFile(join(folder, "credentials.json"), "utf8");
  const connection = credentials.parse(JSON.parse(file));
  return {
    connection,
    client: openClient(connection),
    async stop() {
      child.kill("SIGTERM");
      await once(child, "exit");
      await rm(folder, { recursive: true });
    },
  };
}

/** What to do next is the last thing that `kedge serve` says. */
async function ready(child: ChildProcess): Promise<void> {
  if (child.stdout === null) throw new TypeError("the server's output is not piped");
  for await (const line of createInterface(child.stdout)) if (line.startsWith("Ctrl-C")) return;
  throw new Error("kedge serve ended before it was ready");
}
