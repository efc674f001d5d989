/**
 * The race: `kedge serve` and Tessera's POSIX driver, in turn, each in a process of its own, from the same client.
 *
 * Both acknowledge what is on the disk, synced. Tessera's entries are in the tree by then, and not yet in a checkpoint; Kedge's are
 * pending. Both drop what they have: Kedge exactly (I2), Tessera what its follower has indexed or its memory still holds.
 */
import { covering, cpuSeconds, type Load, post, type Shape, type Side, waits } from "./client.ts";
import { figure, median, percentile, type Section, spread } from "./report.ts";
import { serveNewKedge } from "./served.ts";
import { buildTessera } from "./tessera.ts";

const ROUNDS = 3;
const SECONDS = 6;
const LEAST = 60_000;
/** Not measured: what a server does for the first time takes longer. */
const WARM_UP: Shape = { encoding: "octets", perRequest: 1_000, atOnce: 4, seconds: 3, least: 0 };

const PEAK: Shape = { encoding: "octets", perRequest: 1_000, atOnce: 4, seconds: SECONDS, least: LEAST };
const MOST_OPEN = 64;
const steady = (rate: number, perRequest: number): Shape => ({
  encoding: "octets",
  perRequest,
  atOnce: MOST_OPEN,
  rate,
  seconds: SECONDS,
  least: 0,
});

/** @param peak events a second of the same server in the same round. */
const SHAPES = {
  octets: { name: "1,000 a request as octets, 4 at a time", shape: () => PEAK },
  json: { name: "1,000 a request as JSON, 4 at a time", shape: () => ({ ...PEAK, encoding: "json" }) },
  single: {
    name: "1 a request, 24 at a time",
    shape: () => ({ ...PEAK, perRequest: 1, atOnce: 24, least: 0 }),
  },
  half: { name: "steady at half of its own peak", shape: (peak: number) => steady(peak / 2, 1_000) },
  steady: { name: "steady at 3,000/s, 100 a request", shape: () => steady(3_000, 100) },
} as const satisfies Record<string, { name: string; shape(peak: number): Shape }>;
type ShapeName = keyof typeof SHAPES;
const SHAPE_NAMES: readonly ShapeName[] = ["octets", "json", "single", "half", "steady"];

type Result = {
  /** In a published checkpoint, events/s. */
  readonly sealed: number;
  readonly acknowledged: number;
  /** From acknowledgement to checkpoint, ms. */
  readonly p50: number;
  readonly p99: number;
  /** Of a core: what the server took, and the client beside it. */
  readonly serverCpu: number;
  readonly clientCpu: number;
  /** Requests that were answered with 429 or 503, and sent again. */
  readonly refused: number;
};
type Round = Readonly<Record<ShapeName, Result>>;

export async function race(): Promise<Section> {
  const tessera = await buildTessera();
  if ("missing" in tessera) {
    process.stderr.write(` Kedge runs alone: ${tessera.missing}…`);
    return section(await rounds(serveNewKedge, ROUNDS), [], []);
  }
  const kedge: Round[] = [];
  const theirs: Round[] = [];
  const hasty: number[] = [];
  try {
    for (let i = 0; i < ROUNDS; i++) {
      theirs.push(...(await rounds(() => tessera.serve(BATCHES), 1)));
      kedge.push(...(await rounds(serveNewKedge, 1)));
      hasty.push(await singles(await tessera.serve(HASTY_BATCHES)));
    }
  } finally {
    await tessera.remove();
  }
  return section(kedge, theirs, hasty);
}

/** Its default batch of 256 would leave a rest of each thousand to wait. */
const BATCHES = ["-batch-size", "1000"];
/** An entry waits for others 250 ms by default, which is all that one a request costs. */
const HASTY_BATCHES = [...BATCHES, "-batch-age", "20ms"];

async function singles(side: Side): Promise<number> {
  try {
    await measure(side, { ...SHAPES.single.shape(), seconds: 1 });
    return (await measure(side, SHAPES.single.shape())).sealed;
  } finally {
    await side.stop();
  }
}

/** Each on a folder of its own, so that no round pays for what the last one left behind. */
async function rounds(serve: () => Promise<Side>, count: number): Promise<Round[]> {
  const done: Round[] = [];
  for (let i = 0; i < count; i++) {
    const side = await serve();
    try {
      await measure(side, WARM_UP);
      const octets = await measure(side, SHAPES.octets.shape());
      const run = (name: ShapeName) => measure(side, SHAPES[name].shape(octets.sealed));
      done.push({
        octets,
        json: await run("json"),
        single: await run("single"),
        half: await run("half"),
        steady: await run("steady"),
      });
    } finally {
      await side.stop();
    }
  }
  return done;
}

async function measure(side: Side, shape: Shape): Promise<Result> {
  const before = (await side.published(0)).at(-1)?.size ?? 0;
  const cpu = { server: await cpuSeconds(side.pid), client: process.cpuUsage() };
  const load = await post(side.endpoint, shape);
  const client = process.cpuUsage(cpu.client);
  const events = load.posted.length * shape.perRequest;
  const published = await covering(side, before, events);
  const server = (await cpuSeconds(side.pid)) - cpu.server;
  const seconds = ((published.at(-1)?.at ?? Number.NaN) - load.started) / 1000;
  const acknowledging = secondsOf(load);
  const times = await waits(side, published, load);
  process.stderr.write(` ${Math.round(events / seconds)}`);
  return {
    sealed: events / seconds,
    acknowledged: events / acknowledging,
    p50: percentile(times, 0.5),
    p99: percentile(times, 0.99),
    serverCpu: server / seconds,
    clientCpu: (client.user + client.system) / 1e6 / acknowledging,
    refused: load.refused,
  };
}

const secondsOf = ({ started, posted }: Load): number =>
  (Math.max(...posted.map(({ acknowledged }) => acknowledged)) - started) / 1000;

const MEASURES = [
  ["sealed", "in a published checkpoint, events/s"],
  ["acknowledged", "acknowledged, events/s"],
  ["p50", "acknowledgement to checkpoint, p50, ms"],
  ["p99", "acknowledgement to checkpoint, p99, ms"],
  ["serverCpu", "the server's CPU, cores"],
  ["clientCpu", "the client's CPU, cores"],
  ["refused", "answered with 429 or 503, and sent again"],
] as const;

function section(kedge: readonly Round[], tessera: readonly Round[], hasty: readonly number[]): Section {
  const values: Record<string, number> = {};
  const rows = SHAPE_NAMES.flatMap((name) => {
    const ratios = (theirs: readonly number[]) =>
      theirs.map((value, i) => (kedge[i]?.[name].sealed ?? Number.NaN) / value);
    const measured = MEASURES.map(([measure, what]) => {
      const own = kedge.map((round) => round[name][measure]);
      const theirs = tessera.map((round) => round[name][measure]);
      values[`${name}.${measure}`] = median(own);
      if (measure !== "sealed" || theirs.length === 0) return [what, spread(own), spreadIfAny(theirs), ""];
      values[`${name}.ratio`] = median(ratios(theirs));
      return [what, spread(own), spread(theirs), spread(ratios(theirs))];
    });
    const hastily = [
      "the same, Tessera's entries waiting 20 ms",
      "",
      spreadIfAny(hasty),
      spreadIfAny(ratios(hasty)),
    ];
    return [[`**${SHAPES[name].name}**`, "", "", ""], ...measured, ...(name === "single" ? [hastily] : [])];
  });
  return {
    title: "The race: Kedge and Tessera v1.0.4, POSIX driver, in turn",
    head: [`median of ${figure(kedge.length)} rounds (lowest–highest)`, "Kedge", "Tessera", "÷ Tessera"],
    rows,
    values,
  };
}

const spreadIfAny = (samples: readonly number[]): string => (samples.length === 0 ? "" : spread(samples));
