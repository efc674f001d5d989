/** From counts and costs of runs to a month's bill. Pure: the same numbers give the same bill. */
import { MAX_PROOFS } from "@kedge/cli/contract/limits";
import type { FunctionName } from "../../infra/names.ts";
import { type Load, MONTH_SECONDS, type Month } from "./month.ts";
import { PRICES, type PriceName, type Region } from "./prices.ts";
import type { Measured } from "./run.ts";
import { FANOUT, fillsRuns, keptBytes, lookUp, MERGED, MERGES, RUN } from "./runs.ts";
import { NO_WORK, type Work } from "./work.ts";

/** What is done with the events, besides posting them. */
export type Use = {
  /** Proofs fetched in a month, one a request. */
  readonly proofs: number;
  /** Requests for the anchor log through CloudFront, and the share of them that it has to pass on. */
  readonly verifications: number;
  readonly misses: number;
  /** Months of such events that are stored, this one included. */
  readonly months: number;
};

/** What was not measured. Printed with every bill. */
export const ASSUMED = {
  /** A call within a region, ms: DynamoDB's "single-digit milliseconds", KMS and S3 as commonly seen. */
  dynamodbMs: 5,
  kmsMs: 15,
  s3Ms: 30,
  /** Of a file that is read from S3, MB a second. */
  s3MbPerSecond: 80,
  /** No run is shorter, whatever was measured, ms. */
  floorMs: 3,
  /** Share of runs that start a new instance, and how long that takes, ms; Lambda charges for it. */
  coldStarts: 0.001,
  coldStartMs: 600,
  /** A line of the API's access log, CloudWatch's own bytes included (infra/http-api.ts). */
  accessLogBytes: 150,
  /** CloudWatch stores log lines compressed to this share, for a year (infra/settings.ts). */
  logCompression: 0.15,
  logMonths: 12,
  /** In the templates (infra/): metrics that alarms look at, dashboards, keys. */
  alarmMetrics: 18,
  dashboards: 1,
  keys: 3,
  /** MiB that the sealer keeps of the index (the same). */
  indexMemory: 768,
} as const;

const GB = 2 ** 30;
/** HTTP API requests are metered in increments of 512 KB (Amazon API Gateway pricing). */
const METERED_BYTES = 512 * 1024;
/** Lambda gives a function so many MB's share of one CPU (Lambda Developer Guide, "Memory"). */
const MB_PER_CPU = 1_769;
/** Logs that the sealer seals side by side (service/sweep.ts). */
const SEALED_SIDE_BY_SIDE = 4;
/** Days for which a run that was merged into another is kept (docs/operations.md). */
const KEPT_DAYS = 36;
const MONTH_DAYS = MONTH_SECONDS / (24 * 3_600);

export type Memory = Readonly<Record<FunctionName, number>>;
export type Line = {
  readonly price: PriceName;
  readonly what: string;
  readonly quantity: number;
  readonly usd: number;
};
export type Bill = {
  readonly lines: readonly Line[];
  readonly usd: number;
  readonly usdPerMillion: number;
  /** US dollars per million events; undefined: none is set for this shape. */
  readonly target: number | undefined;
};

/** So many runs of one kind in a month, of one cost each. */
type Runs = { readonly what: string; readonly count: number; readonly work: Work };

type Inputs = {
  readonly load: Load;
  readonly use: Use;
  readonly month: Month;
  readonly measured: Measured;
  readonly memory: Memory;
  readonly region: Region;
};

export function billOf({ load, use, month, measured, memory, region }: Inputs): Bill {
  const api: Runs[] = [
    { what: "posts", count: month.requests, work: measured.post },
    { what: "proofs", count: use.proofs, work: measured.proof },
  ];
  const sealer: Runs[] = [
    { what: "seals", count: month.seals, work: measured.seal },
    ...indexing({ load, month, measured, use, memory, region }),
    { what: "logs found sealed", count: month.idleVisits, work: measured.idleVisit },
    { what: "sweeps", count: month.sweeps, work: measured.sweep },
  ];
  const anchorer: Runs[] = [
    { what: "anchors", count: month.anchorRuns, work: measured.anchor },
    { what: "idle anchor runs", count: month.idleAnchorRuns, work: measured.idleAnchor },
  ];
  const all = [...api, ...sealer, ...anchorer];
  const requests = countOf(api);
  const invocations = {
    api: requests,
    sealer: month.sealerRuns + month.sweeps,
    anchorer: countOf(anchorer),
  };
  const sideBySide = overlap(month.logsPerRun);
  const ms = {
    api: msOf(api, memory.api, 1),
    sealer: msOf(sealer.slice(0, -1), memory.sealer, sideBySide) + msOf(sealer.slice(-1), memory.sealer, 1),
    anchorer: msOf(anchorer, memory.anchorer, 1),
  };
  const tableGb = (sumOf(all, "tableBytes") / GB) * use.months;
  const logGb = (sumOf(all, "logBytes") + requests * ASSUMED.accessLogBytes) / GB;

  const line = (price: PriceName, what: string, quantity: number): Line => {
    const { per, usd } = PRICES[price];
    return { price, what, quantity, usd: (quantity / per) * usd[region].price };
  };
  const each = (price: PriceName, name: keyof Work, runs: readonly Runs[]): Line[] =>
    runs.map(({ what, count, work }) => line(price, what, count * work[name]));
  const compute = (name: FunctionName): Line[] => [
    line("invocations", name, invocations[name]),
    line("compute", name, gbSeconds(ms[name], invocations[name], memory[name])),
  ];

  const lines = [
    ...each("writes", "writeUnits", all),
    ...each("reads", "readUnits", all),
    line("tableStorage", "table", tableGb),
    line("recovery", "point-in-time recovery", tableGb),
    line("key", "signing keys", ASSUMED.keys),
    ...each("ed25519", "ed25519Signatures", all),
    ...each("mldsa", "mldsaSignatures", all),
    ...each("puts", "puts", all),
    ...each("gets", "gets", all),
    ...each("puts", "indexPuts", all).map((one) => ({ ...one, what: `${one.what}: the index` })),
    ...each("gets", "indexGets", all).map((one) => ({ ...one, what: `${one.what}: the index` })),
    line("gets", "public reads", use.verifications * use.misses),
    line(
      "bucketStorage",
      "records, batches and the anchor log, every version",
      (sumOf(all, "bucketBytes") / GB) * use.months,
    ),
    line("bucketStorage", "runs of the index", indexGb(load, use, measured)),
    ...compute("api"),
    ...compute("sealer"),
    ...compute("anchorer"),
    line("http", "posts", month.requests * Math.ceil(measured.postBytes / METERED_BYTES)),
    line("http", "proofs", use.proofs * Math.max(1, Math.ceil(measured.proof.responseBytes / METERED_BYTES))),
    line("egress", "API answers", sumOf(api, "responseBytes") / GB),
    line("edgeRequests", "verifications", use.verifications),
    line("edgeEgress", "verifications", (use.verifications * measured.publicBytes) / GB),
    line("logs", "log lines, access log", logGb),
    line("logStorage", "log lines", logGb * ASSUMED.logCompression * Math.min(use.months, ASSUMED.logMonths)),
    line("metrics", "metrics of the functions", measured.metrics),
    line("alarms", "alarms", ASSUMED.alarmMetrics),
    line("dashboards", "dashboard", ASSUMED.dashboards),
    line("schedules", "sweeps, anchors", month.sweeps + MONTH_SECONDS / (60 * load.anchorMinutes)),
  ].filter(({ quantity }) => quantity > 0);
  const usd = lines.reduce((sum, { usd }) => sum + usd, 0);
  return { lines, usd, usdPerMillion: (usd / load.events) * 1_000_000, target: targetOf(load) };
}

/** A large log, of which a function that starts knows nothing. */
const LARGE = 1e8;

/** What a million proofs cost, asked for in one way. */
export type ProofPrice = {
  readonly what: string;
  /** Proofs in a request, and GETs of the index that it makes. */
  readonly proofs: number;
  readonly gets: number;
  readonly usdPerMillion: number;
};

/** Of proofs that are asked for one by one, or as many as a request may; of the log as measured, or by functions that start. */
export function proofPrices(inputs: Inputs): ProofPrice[] {
  const { measured } = inputs;
  const price = (what: string, proofs: number, proof: Work): ProofPrice => {
    const usd = (count: number) =>
      billOf({ ...inputs, measured: { ...measured, proof }, use: { ...inputs.use, proofs: count } }).usd;
    return { what, proofs, gets: proof.indexGets, usdPerMillion: usd(1e6 / proofs) - usd(0) };
  };
  const started = (proof: Work, leaves: number): Work => {
    const { rounds, gets, bytes } = lookUp(LARGE, leaves, false);
    const cpuMs = proof.cpuMs + readMs(bytes) + ASSUMED.coldStartMs;
    return { ...proof, indexGets: gets, s3Rounds: rounds, cpuMs };
  };
  const { proof, proofs, proofsAnswered } = measured;
  return [
    price("one a request", 1, proof),
    price("as many as fit into an answer", proofsAnswered, proofs),
    price("one a request, each by a function that starts, 10⁸ entries", 1, started(proof, 1)),
    price("as many as fit, likewise", proofsAnswered, started(proofs, MAX_PROOFS)),
  ];
}

/** How long a function of the measured kind is busy with reading so much from S3, ms. */
const readMs = (bytes: number): number => (1_000 * bytes) / (ASSUMED.s3MbPerSecond * 1e6);

/** US dollars per million events, at seals no rarer than once a minute. */
function targetOf({ events, batch, sealSeconds }: Load): number | undefined {
  if (sealSeconds > 60) return undefined;
  if (batch >= 10_000 && events >= 1e9) return 0.1;
  if (batch >= 1_000) return 0.4;
  if (batch >= 100) return 0.6;
  return batch === 1 ? 4.5 : undefined;
}

/** What the sealer does for the index beside its seals. */
function indexing({ load, month, measured, use }: Inputs): Runs[] {
  const perSeal = load.batch * month.requestsPerSeal;
  const inSeals = fillsRuns(perSeal);
  // Each level's merges are FANOUT times as large as those below it, and as rare. Their notes are deleted one by one.
  const merges = ((inSeals ? MERGES - 1 : MERGES) * load.events) / MERGED;
  const merge = { ...measured.merge, writeUnits: measured.merge.writeUnits + FANOUT };
  return [
    { what: "runs made", count: inSeals ? 0 : load.events / RUN, work: measured.run },
    { what: "runs merged", count: merges, work: merge },
    {
      what: "filters read again",
      count: isForgotten(load, use) ? month.seals : 0,
      work: again(load, use, perSeal),
    },
  ];
}

/** Whether the filters of all logs are more than a sealer keeps: by the time that one is asked again it is gone. */
const isForgotten = ({ events, tenants }: Load, { months }: Use): boolean =>
  tenants * keptBytes((events / tenants) * (months - 0.5)) > ASSUMED.indexMemory * 2 ** 20;

function again({ events, tenants }: Load, { months }: Use, perSeal: number): Work {
  const { rounds, gets, bytes } = lookUp(
    (events / tenants) * (months - 0.5),
    Math.ceil(perSeal),
    false,
    false,
  );
  return { ...NO_WORK, indexGets: gets, s3Rounds: rounds, cpuMs: readMs(bytes) };
}

/** Of every entry a copy in its run, and those of the runs that it was merged from for as long as they are kept. */
function indexGb({ events }: Load, { months }: Use, { run }: Measured): number {
  const bytes = (run.indexBytes / RUN) * events;
  return (bytes * (months + MERGES * Math.min(months, KEPT_DAYS / MONTH_DAYS))) / GB;
}

const countOf = (runs: readonly Runs[]): number => runs.reduce((sum, { count }) => sum + count, 0);

const sumOf = (runs: readonly Runs[], name: keyof Work): number =>
  runs.reduce((sum, { count, work }) => sum + count * work[name], 0);

/** How much of the waiting is left when the sealer seals so many logs in one run, a few side by side. */
const overlap = (logs: number): number => (logs <= 1 ? 1 : Math.ceil(logs / SEALED_SIDE_BY_SIDE) / logs);

/** How long these runs take together: CPU time on the function's share of a CPU, and waiting. */
function msOf(runs: readonly Runs[], memory: number, waiting: number): number {
  const share = Math.min(1, memory / MB_PER_CPU);
  return runs.reduce((sum, { count, work }) => {
    const waits =
      work.dynamodbRounds * ASSUMED.dynamodbMs +
      work.kmsRounds * ASSUMED.kmsMs +
      work.s3Rounds * ASSUMED.s3Ms;
    return sum + count * Math.max(ASSUMED.floorMs, work.cpuMs / share + waits * waiting);
  }, 0);
}

const gbSeconds = (ms: number, invocations: number, memory: number): number =>
  ((ms + invocations * ASSUMED.coldStarts * ASSUMED.coldStartMs) / 1_000) * (memory / 1_024);
