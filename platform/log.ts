/**
 * JSON lines on stdout, which CloudWatch reads as they are, or in the file that KEDGE_LOG_FILE names (logfile.ts). Never a
 * body, an API key, a hash or a URL. A line is never a reason for what it is about to fail.
 *
 * With KEDGE_METRICS, the namespace, a line carries its metrics too, in CloudWatch's Embedded Metric Format:
 * docs/metrics.md has what each one means.
 */
import { appendToLog } from "./logfile.ts";

export type LogFields = { readonly [name: string]: string | number | boolean | undefined };

/** Every metric of the service with its unit, by name. Alarms and the dashboard look at these; docs/metrics.md explains them. */
export const SERVICE_METRICS = {
  EntriesAccepted: "Count",
  SealLag: "Milliseconds",
  BatchSize: "Count",
  Signatures: "Count",
  Conflicts: "Count",
  RollbackRefused: "Count",
  IndexFault: "Count",
  IndexLag: "Count",
  AnchorAge: "Milliseconds",
  WitnessQuorum: "Count",
  TimestampAge: "Milliseconds",
} as const;
/** The same of a witness; docs/witness.md explains them. */
export const WITNESS_METRICS = { Cosigned: "Count", Equivocations: "Count" } as const;

const UNITS = { ...SERVICE_METRICS, ...WITNESS_METRICS };
export type MetricName = keyof typeof UNITS;
const METRIC_NAMES = Object.keys(UNITS).filter((name): name is MetricName => name in UNITS);
/** Values by name; undefined is none. */
export type Metrics = { readonly [name in MetricName]?: number | undefined };

export function logLine(level: "info" | "error", fields: LogFields, metrics: Metrics = {}): void {
  keep(metrics);
  const file = process.env["KEDGE_LOG_FILE"];
  if (file && level === "error" && fields["event"] !== undefined && isRepeated(fields)) return;
  writeLine(level, fields, metrics);
}

/** A line that is worth its cost for the metrics alone: none without KEDGE_METRICS. */
export function metricLine(fields: LogFields, metrics: Metrics): void {
  if (process.env["KEDGE_METRICS"]) logLine("info", fields, metrics);
  else keep(metrics);
}

function writeLine(level: "info" | "error", fields: LogFields, metrics: Metrics = {}): void {
  const now = new Date();
  const line = `${JSON.stringify({ level, time: now.toISOString(), ...fields, ...embedded(metrics, now) })}\n`;
  const file = process.env["KEDGE_LOG_FILE"];
  // Not console.log: Lambda would put its own words around the line, or the line into a field of its own.
  if (!file) process.stdout.write(line);
  else appendToLog(file, line);
}

// ---- the same trouble again and again --------------------------------------------------------------------------------

/** What a process that stays up meets at every run is a line, and then one a minute with its count. */
const COUNTED_MS = 60_000;
/** Of different troubles at once; beyond, each line is written. */
const MAX_TROUBLES = 1_000;

type Trouble = { fields: LogFields; times: number; readonly timer: NodeJS.Timeout };
const troubles = new Map<string, Trouble>();

/** Whether the same line was written within a minute; numbers aside, which move while it lasts. */
function isRepeated(fields: LogFields): boolean {
  const name = JSON.stringify(Object.entries(fields).filter(([, value]) => typeof value !== "number"));
  const known = troubles.get(name);
  if (known !== undefined) {
    known.fields = fields;
    known.times++;
    return true;
  }
  if (troubles.size < MAX_TROUBLES) {
    const timer = setInterval(() => {
      if (!writeCount(name)) forget(name);
    }, COUNTED_MS);
    troubles.set(name, { fields, times: 0, timer: timer.unref() });
  }
  return false;
}

/** @returns false when it has not come again. */
function writeCount(name: string): boolean {
  const trouble = troubles.get(name);
  if (trouble === undefined || trouble.times === 0) return false;
  writeLine("error", { ...trouble.fields, times: trouble.times });
  trouble.times = 0;
  return true;
}

function forget(name: string): void {
  clearInterval(troubles.get(name)?.timer);
  troubles.delete(name);
}

/** Writes the counts that are left: for a process that ends. */
export function endLog(): void {
  for (const name of [...troubles.keys()]) {
    writeCount(name);
    forget(name);
  }
}

// ---- metrics ---------------------------------------------------------------------------------------------------------

/** Totals and newest values since `keepMetrics`, for who reads them in this process; undefined: nobody does. */
let kept: Map<MetricName, number> | undefined;

/** Those of which the total counts, and not the newest value. */
const isTotal = (name: MetricName): boolean => TOTALS.has(name);
const TOTALS: ReadonlySet<string> = new Set<MetricName>([
  ...(["EntriesAccepted", "Signatures", "Conflicts", "RollbackRefused", "IndexFault"] as const),
  ...(["Cosigned", "Equivocations"] as const),
]);

/** What a metric is, for a reader: its unit, and whether it only rises. */
export type KeptMetric = {
  readonly name: MetricName;
  readonly unit: "Count" | "Milliseconds";
  readonly isTotal: boolean;
  readonly value: number;
};

/** Keeps them from now on. @returns what is known at each call. */
export function keepMetrics(): () => KeptMetric[] {
  const values = new Map<MetricName, number>();
  kept = values;
  return () =>
    [...values].map(([name, value]) => ({ name, unit: UNITS[name], isTotal: isTotal(name), value }));
}

function keep(metrics: Metrics): void {
  if (kept === undefined) return;
  for (const name of METRIC_NAMES) {
    if (!(name in metrics)) continue;
    const value = metrics[name];
    if (isTotal(name)) kept.set(name, (kept.get(name) ?? 0) + (value ?? 0));
    // Not the last one that was known: no value says that it cannot be told.
    else if (value === undefined) kept.delete(name);
    else kept.set(name, value);
  }
}

/** Whether anyone reads the metrics: what is read of the store for them alone need not be read otherwise. */
export const metricsWanted = (): boolean => kept !== undefined || Boolean(process.env["KEDGE_METRICS"]);

/**
 * The root members that make a line a document of the Embedded Metric Format; none without KEDGE_METRICS.
 * One empty dimension set: CloudWatch keeps, and charges for, a metric of its own for every set of values of one.
 */
function embedded(metrics: Metrics, now: Date) {
  const namespace = process.env["KEDGE_METRICS"];
  const values: Readonly<Record<string, number | undefined>> = metrics;
  const definitions = Object.entries(UNITS)
    .filter(([name]) => values[name] !== undefined)
    .map(([Name, Unit]) => ({ Name, Unit }));
  if (!namespace || definitions.length === 0) return {};
  const directive = { Namespace: namespace, Dimensions: [[]], Metrics: definitions };
  return { _aws: { Timestamp: now.getTime(), CloudWatchMetrics: [directive] }, ...metrics };
}

/** What an operator needs of an error: its code, message and the name and message of what caused it. */
export function errorFields(error: unknown): LogFields {
  if (!(error instanceof Error)) return { error: "not an Error" };
  const { cause } = error;
  return {
    ...("code" in error && typeof error.code === "string" && { code: error.code }),
    error: `${error.name}: ${error.message}`,
    ...(cause instanceof Error && { cause: `${cause.name}: ${cause.message}` }),
  };
}
