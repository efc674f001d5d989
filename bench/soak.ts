/** Minutes of steady load on `kedge serve`: what grows, and whether what was posted first still has its first index. */
import { readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { openClient } from "@kedge/cli/client/api";
import { parseProof } from "@kedge/verify/tlog/proof";
import { RUN_SIZES } from "../service/index/cover.ts";
import { covering, type Load, type Posted, post, type Shape, waits } from "./client.ts";
import { figure, median, percentile, type Section } from "./report.ts";
import { dataFolder, type Kedge, serveKedge } from "./served.ts";
import { randomCommitments } from "./stack.ts";

export type SoakOptions = {
  readonly minutes: number;
  /** Events a second; absent: this share of what the server does at most. */
  readonly rate?: number;
};

const SHARE = 0.8;
const WARM_UP: Shape = { encoding: "octets", perRequest: 1_000, atOnce: 4, seconds: 5, least: 0 };
const PEAK: Shape = { ...WARM_UP, seconds: 15 };
const MOST_OPEN = 64;
/** Requests of a minute whose way to a checkpoint is looked up. */
const LOOKED_UP = 100;
/** Commitments of the first minute that are posted again at the end. */
const AGAIN = 100;
const FANOUT = RUN_SIZES.fanout;

/** Rises over the minutes that still count as flat, as a share of the mean. */
const FLAT = 0.1;
const FLAT_TIME = 0.25;

type Minute = {
  readonly events: number;
  /** Resident bytes of the process's own, and of the files that it maps: the store's, which the system may drop at any time. */
  readonly own: number;
  readonly mapped: number;
  readonly files: number;
  readonly store: number;
  /** Runs of the index that none of the next level has replaced, and those that are replaced and not deleted yet. */
  readonly index: number;
  readonly replaced: number;
  readonly published: number;
  /** Request to acknowledgement, and acknowledgement to checkpoint, ms. */
  readonly acked: readonly number[];
  readonly waited: readonly number[];
};

export async function soak({ minutes, rate }: SoakOptions): Promise<Section> {
  const folder = await dataFolder();
  try {
    const side = await serveKedge(folder);
    let first: Load;
    const done: Minute[] = [];
    let steady: number;
    try {
      first = await run(side, WARM_UP);
      steady = rate ?? Math.round(SHARE * (await peakOf(side)));
      const perRequest = steady >= 10_000 ? 1_000 : 100;
      const shape: Shape = { ...WARM_UP, perRequest, atOnce: MOST_OPEN, rate: steady, seconds: 60 };
      for (let minute = 1; minute <= minutes; minute++) {
        done.push(await measure(side, folder, shape));
        process.stderr.write(` ${minute}`);
      }
      await postedAgain(side, first.posted);
    } finally {
      await side.stop();
    }
    const again = await serveKedge(folder);
    try {
      await postedAgain(again, first.posted);
    } finally {
      await again.stop();
    }
    return section(done, steady);
  } finally {
    await rm(folder, { recursive: true });
  }
}

const sizeOf = async (side: Kedge): Promise<number> => (await side.published(0)).at(-1)?.size ?? 0;

/** Posts, and waits until all of it is sealed. */
async function run(side: Kedge, shape: Shape): Promise<Load> {
  const before = await sizeOf(side);
  const load = await post(side.endpoint, shape);
  await covering(side, before, load.posted.length * shape.perRequest);
  return load;
}

async function peakOf(side: Kedge): Promise<number> {
  const before = await sizeOf(side);
  const load = await post(side.endpoint, PEAK);
  const events = load.posted.length * PEAK.perRequest;
  const published = await covering(side, before, events);
  return (1000 * events) / ((published.at(-1)?.at ?? Number.NaN) - load.started);
}

async function measure(side: Kedge, folder: string, shape: Shape): Promise<Minute> {
  const before = await sizeOf(side);
  const load = await post(side.endpoint, shape);
  const events = load.posted.length * shape.perRequest;
  const waited = await waits(side, await covering(side, before, events), load, LOOKED_UP);
  const [store, published] = [
    await allocated(join(folder, "store")),
    await allocated(join(folder, "published")),
  ];
  return {
    events,
    ...(await resident(side.pid)),
    files: (await readdir(`/proc/${side.pid}/fd`)).length,
    store,
    ...(await indexBytes(join(folder, "index"))),
    published,
    acked: load.posted.map(({ sent, acknowledged }) => acknowledged - sent),
    waited,
  };
}

async function resident(pid: number): Promise<{ own: number; mapped: number }> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const bytes = (name: string) => 1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]);
  return { own: bytes("RssAnon"), mapped: bytes("RssFile") };
}

/** A run is named `<log>/<level>/<number>-<root>`, and is replaced once the run of eight is there. */
async function indexBytes(folder: string): Promise<{ index: number; replaced: number }> {
  const paths = (await readdir(folder, { recursive: true })).filter((path) => path.includes("-"));
  const partsOf = (path: string) => /^(.+)\/(\d+)\/(\d+)-/.exec(path) ?? [];
  const names = new Set(paths.map((path) => partsOf(path).slice(1).join("/")));
  const bytes = { index: 0, replaced: 0 };
  for (const path of paths) {
    const [, log, level, number] = partsOf(path);
    const above = `${log}/${Number(level) + 1}/${Math.floor(Number(number) / FANOUT)}`;
    bytes[names.has(above) ? "replaced" : "index"] += await allocated(join(folder, path));
  }
  return bytes;
}

/** Bytes of the disk that a file or a folder takes, as `du` counts them. */
async function allocated(path: string): Promise<number> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return 0;
  let bytes = found.blocks * 512;
  if (!found.isDirectory()) return bytes;
  for (const name of await readdir(path)) bytes += await allocated(join(path, name));
  return bytes;
}

/** @throws unless what is posted again keeps its index, and the log gets none of it twice (I2). */
async function postedAgain({ credentials, ...side }: Kedge, posted: readonly Posted[]): Promise<void> {
  const client = openClient(credentials);
  const commitments = posted.slice(0, AGAIN).map(({ last }) => last);
  const indices = async () => {
    const found: bigint[] = [];
    for await (const answer of client.proofs(credentials.log, commitments)) {
      if (answer.state !== "proof") throw new Error(`what was sealed is ${answer.state}`);
      found.push(parseProof(answer.proof).index);
    }
    return found.join(" ");
  };
  const before = await indices();
  const size = (await side.published(0)).at(-1)?.size ?? 0;
  await client.post(credentials.log, commitments);
  await client.post(credentials.log, randomCommitments(1));
  const grown = (await covering({ ...side }, size, 1)).at(-1)?.size ?? 0;
  if (grown !== size + 1) throw new Error(`the log grew by ${grown - size}, and one commitment was new`);
  if ((await indices()) !== before) throw new Error("what was posted again has another index");
}

// ---- what is flat ----------------------------------------------------------------------------------------------------

const DISK = "disk but replaced runs, bytes an event";
const onDisk = ({ store, index, published }: Minute): number => store + index + published;

type Column = { readonly name: string; readonly limit: number; readonly of: readonly number[] };

/** By how much the line of least squares rises from the first to the last of these, as a share of their mean. */
function rise(samples: readonly number[]): number {
  const mean = samples.reduce((sum, value) => sum + value, 0) / samples.length;
  const middle = (samples.length - 1) / 2;
  const over = samples.reduce((sum, value, i) => sum + (i - middle) * (value - mean), 0);
  const under = samples.reduce((sum, _, i) => sum + (i - middle) ** 2, 0);
  return under === 0 ? 0 : ((over / under) * (samples.length - 1)) / mean;
}

function section(minutes: readonly Minute[], rate: number): Section {
  const disk = minutes
    .slice(1)
    .map((minute, i) => (onDisk(minute) - onDisk(minutes[i] ?? minute)) / minute.events);
  const columns: readonly Column[] = [
    { name: "own memory, MB", limit: FLAT, of: minutes.map(({ own }) => own / 1e6) },
    { name: "mapped files, MB", limit: Number.NaN, of: minutes.map(({ mapped }) => mapped / 1e6) },
    { name: "open files", limit: FLAT, of: minutes.map(({ files }) => files) },
    { name: "store, MB", limit: Number.NaN, of: minutes.map(({ store }) => store / 1e6) },
    { name: "index, MB", limit: Number.NaN, of: minutes.map(({ index }) => index / 1e6) },
    { name: "replaced runs, MB", limit: Number.NaN, of: minutes.map(({ replaced }) => replaced / 1e6) },
    { name: "publication, MB", limit: Number.NaN, of: minutes.map(({ published }) => published / 1e6) },
    { name: DISK, limit: FLAT, of: [disk[0] ?? Number.NaN, ...disk] },
    {
      name: "acknowledged p50, ms",
      limit: FLAT_TIME,
      of: minutes.map(({ acked }) => percentile(acked, 0.5)),
    },
    { name: "p99", limit: FLAT_TIME, of: minutes.map(({ acked }) => percentile(acked, 0.99)) },
    {
      name: "in a checkpoint p50, ms",
      limit: FLAT_TIME,
      of: minutes.map(({ waited }) => percentile(waited, 0.5)),
    },
    { name: "p99", limit: FLAT_TIME, of: minutes.map(({ waited }) => percentile(waited, 0.99)) },
  ];
  // What a start brings is no growth.
  const begin = Math.max(1, Math.floor(minutes.length / 5));
  const rises = columns.map(({ of }) => rise(of.slice(begin)));
  const riseOf = (name: string) => rises[columns.findIndex((column) => column.name === name)] ?? Number.NaN;
  const [first, last] = [minutes[begin - 1], minutes.at(-1)];
  // Over all minutes: what merges replace comes in steps.
  const events = minutes.slice(begin).reduce((sum, minute) => sum + minute.events, 0);
  const diskAnEvent =
    first === undefined || last === undefined ? Number.NaN : (onDisk(last) - onDisk(first)) / events;
  const verdict = (column: Column, i: number) =>
    Number.isNaN(column.limit) ? "" : (rises[i] ?? Number.NaN) <= column.limit ? "yes" : "no";
  return {
    title: `Soak: ${minutes.length} minutes at ${figure(rate)} events/s`,
    head: ["minute", ...columns.map(({ name }) => name)],
    rows: [
      ...minutes.map((_, i) => [`${i + 1}`, ...columns.map(({ of }) => figure(of[i] ?? Number.NaN))]),
      ["fitted rise", ...rises.map((share) => `${Math.round(100 * share)} %`)],
      ["flat", ...columns.map(verdict)],
    ],
    values: {
      rate,
      ownRise: riseOf("own memory, MB"),
      filesRise: riseOf("open files"),
      bytesAnEvent: diskAnEvent,
      diskRise: riseOf(DISK),
      p50: median(minutes.flatMap(({ waited }) => waited)),
    },
  };
}
