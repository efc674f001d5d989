/** What logs in which nothing happens cost: `kedge serve` with a thousand of them at rest, and a busy log beside them and alone. */
import { setTimeout as sleep } from "node:timers/promises";
import { openClient } from "@kedge/cli/client/api";
import { covering, cpuSeconds, post, type Shape, waits } from "./client.ts";
import { figure, median, percentile, type Section, spread } from "./report.ts";
import { type Kedge, logSide, serveNewKedge } from "./served.ts";

/** A tenant may have a thousand; one is the demonstration's, and the busy ones are others. */
const IDLE_LOGS = 990;
const IDLE_S = 20;
const RUNS = 3;
const RATE = 3_000;
const BUSY: Shape = { encoding: "octets", perRequest: 100, atOnce: 64, rate: RATE, seconds: 10, least: 0 };

export async function idle(): Promise<Section> {
  const side = await serveNewKedge();
  try {
    const client = openClient(side.credentials);
    const alone: Wait[] = [];
    const beside: Wait[] = [];
    const empty = await share(side);
    for (let run = 0; run < RUNS; run++) alone.push(await busy(side));
    for (let log = 0; log < IDLE_LOGS; log++) await client.createLog("idle");
    // New logs are looked at once.
    await sleep(1000 * IDLE_S);
    const full = await share(side);
    for (let run = 0; run < RUNS; run++) beside.push(await busy(side));
    const row = (what: string, of: (wait: Wait) => number) => [
      what,
      spread(alone.map(of)),
      spread(beside.map(of)),
    ];
    const p50 = ({ p50 }: Wait) => p50;
    return {
      title: `A log with ${figure(RATE)} events/s, alone and beside ${IDLE_LOGS} idle logs`,
      head: ["", "alone", "beside"],
      rows: [
        ["idle: share of a core", figure(empty), figure(full)],
        row("acknowledgement to checkpoint, p50, ms", p50),
        row("acknowledgement to checkpoint, p99, ms", ({ p99 }) => p99),
      ],
      values: {
        cpu: full,
        p50: median(alone.map(p50)),
        p99: median(alone.map(({ p99 }) => p99)),
        ratio: median(beside.map(p50)) / median(alone.map(p50)),
      },
    };
  } finally {
    await side.stop();
  }
}

/** The share of a core that the server takes while nothing is asked of it. */
async function share({ pid }: Kedge): Promise<number> {
  const before = await cpuSeconds(pid);
  await sleep(1000 * IDLE_S);
  return ((await cpuSeconds(pid)) - before) / IDLE_S;
}

/** From the acknowledgement of a request to the checkpoint that covers it, by the same clock, ms. */
type Wait = { readonly p50: number; readonly p99: number };

/** Posts at a steady rate to a new log. */
async function busy({ credentials }: Kedge): Promise<Wait> {
  const { id } = await openClient(credentials).createLog("busy");
  const log = logSide(credentials, id);
  const load = await post(log.endpoint, BUSY);
  const published = await covering(log, 0, load.posted.length * BUSY.perRequest);
  const times = await waits(log, published, load);
  return { p50: percentile(times, 0.5), p99: percentile(times, 0.99) };
}
