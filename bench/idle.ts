/**
 * What logs in which nothing happens cost: `kedge serve` with a thousand of them at rest, and a busy log beside them and
 * alone. `node dist/bench/idle.js` runs it by itself.
 */
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
import { bytesToHex } from "@noble/hashes/utils.js";
import { z } from "zod";
import { figure, median, percentile, type Section, spread, table } from "./report.ts";
import { randomCommitments } from "./stack.ts";

/** A tenant may have a thousand; one is the demonstration's, and the busy ones are others. */
const IDLE_LOGS = 990;
const IDLE_MS = 20_000;
const BUSY_MS = 10_000;
const RUNS = 3;
/** 3,000 events a second. */
const PER_REQUEST = 100;
const EVERY_MS = 33;
/** USER_HZ: Linux reports CPU time to processes in hundredths of a second. */
const TICK_MS = 10;

export async function idle(): Promise<Section> {
  const folder = await mkdtemp(join(tmpdir(), "kedge-idle-"));
  const command = fileURLToPath(new URL("../cli/kedge.js", import.meta.url));
  const child = spawn(process.execPath, [command, "serve", "--port", "0", "--data", folder], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    await ready(child);
    const connection = credentials.parse(
      JSON.parse(await readFile(join(folder, "credentials.json"), "utf8")),
    );
    const client = openClient(connection);
    const alone: Wait[] = [];
    const beside: Wait[] = [];
    const cpu = { empty: await share(child, IDLE_MS), full: 0 };
    for (let run = 0; run < RUNS; run++) alone.push(await busy(client, connection));
    for (let log = 0; log < IDLE_LOGS; log++) await client.createLog("idle");
    // New logs are looked at once.
    await sleep(IDLE_MS);
    cpu.full = await share(child, IDLE_MS);
    for (let run = 0; run < RUNS; run++) beside.push(await busy(client, connection));
    const row = (what: string, of: (wait: Wait) => number) => [
      what,
      spread(alone.map(of)),
      spread(beside.map(of)),
    ];
    const p50 = ({ p50 }: Wait) => p50;
    return {
      title: `A log with ${figure((1_000 * PER_REQUEST) / EVERY_MS)} events/s, alone and beside ${IDLE_LOGS} idle logs`,
      head: ["", "alone", "beside"],
      rows: [
        ["idle: share of a core", figure(cpu.empty), figure(cpu.full)],
        row("acknowledgement to checkpoint, p50, ms", p50),
        row("acknowledgement to checkpoint, p99, ms", ({ p99 }) => p99),
      ],
      values: {
        cpu: cpu.full,
        p50: median(alone.map(p50)),
        p99: median(alone.map(({ p99 }) => p99)),
        ratio: median(beside.map(p50)) / median(alone.map(p50)),
      },
    };
  } finally {
    child.kill("SIGTERM");
    await once(child, "exit");
    await rm(folder, { recursive: true });
  }
}

const credentials = z.object({ url: z.string(), apiKey: z.string() });

/** What to do next is the last thing that `kedge serve` says. */
async function ready(child: ChildProcess): Promise<void> {
  if (child.stdout === null) throw new TypeError("the server's output is not piped");
  for await (const line of createInterface(child.stdout)) if (line.startsWith("Ctrl-C")) return;
  throw new Error("kedge serve ended before it was ready");
}

/** The share of a core that a process takes over so many ms. */
async function share({ pid }: ChildProcess, ms: number): Promise<number> {
  const spent = async () => {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    // proc_pid_stat(5): utime and stime are the 14th and 15th; the name, in brackets, is the 2nd.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return TICK_MS * (Number(fields[11]) + Number(fields[12]));
  };
  const before = await spent();
  await sleep(ms);
  return ((await spent()) - before) / ms;
}

/** From the acknowledgement of a request to the checkpoint that covers it, by the same clock, ms. */
type Wait = { readonly p50: number; readonly p99: number };

/** Posts at a steady rate to a new log. */
async function busy(client: Client, connection: Connection): Promise<Wait> {
  const { id } = await client.createLog("busy");
  const posts: Promise<{ readonly last: Uint8Array; readonly at: number }>[] = [];
  const started = Date.now();
  for (let n = 0; n * EVERY_MS < BUSY_MS; n++) {
    const early = started + n * EVERY_MS - Date.now();
    if (early > 0) await sleep(early);
    const commitments = randomCommitments(PER_REQUEST);
    const [last = new Uint8Array()] = commitments.slice(-1);
    posts.push(client.post(id, commitments).then(() => ({ last, at: Date.now() })));
  }
  const posted = await Promise.all(posts);
  const total = posted.length * PER_REQUEST;
  while (((await client.log(id)).size ?? 0) < total) await sleep(EVERY_MS);

  const published = await publishedSizes(connection, id);
  const waits: number[] = [];
  for (const { last, at } of posted) {
    const path = `/v1/logs/${id}/entries/${bytesToHex(last)}`;
    const answer = await request(connection, { method: "GET", path, idempotent: true });
    const { index } = z.object({ index: z.number() }).parse(JSON.parse(answer));
    const covered = published.find(({ size }) => size > index)?.at ?? Number.NaN;
    waits.push(Math.max(0, covered - at));
  }
  return { p50: percentile(waits, 0.5), p99: percentile(waits, 0.99) };
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

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { title, head, rows } = await idle();
  process.stdout.write(`### ${title}\n\n${table(head, rows)}\n`);
}
