/**
 * JSON lines on stdout, which CloudWatch reads as they are, or in the file that KEDGE_LOG_FILE names. Never a body, an
 * API key, a hash or a URL.
 *
 * With KEDGE_METRICS, the namespace, a line carries its metrics too, in CloudWatch's Embedded Metric Format:
 * docs/metrics.md has what each one means.
 */
import { appendFileSync } from "node:fs";

export type LogFields = { readonly [name: string]: string | number | boolean | undefined };

/** Every metric of the service with its unit, by name. Alarms and the dashboard look at these; docs/metrics.md explains them. */
export const SERVICE_METRICS = {
  EntriesAccepted: "Count",
  SealLag: "Milliseconds",
  BatchSize: "Count",
  Signatures: "Count",
  Conflicts: "Count",
  RollbackRefused: "Count",
  AnchorAge: "Milliseconds",
  WitnessQuorum: "Count",
  TimestampAge: "Milliseconds",
} as const;
/** The same of a witness; docs/witness.md explains them. */
export const WITNESS_METRICS = { Cosigned: "Count", Equivocations: "Count" } as const;

const UNITS = { ...SERVICE_METRICS, ...WITNESS_METRICS };
export type MetricName = keyof typeof UNITS;
/** Values by name; undefined is none. */
export type Metrics = { readonly [name in MetricName]?: number | undefined };

export function logLine(level: "info" | "error", fields: LogFields, metrics: Metrics = {}): void {
  const now = new Date();
  const line = JSON.stringify({ level, time: now.toISOString(), ...fields, ...embedded(metrics, now) });
  const file = process.env["KEDGE_LOG_FILE"];
  // Not console.log: Lambda would put its own words around the line, or the line into a field of its own.
  if (!file) process.stdout.write(`${line}\n`);
  else appendFileSync(file, `${line}\n`, { mode: 0o600 });
}

/** A line that is worth its cost for the metrics alone: none without KEDGE_METRICS. */
export function metricLine(fields: LogFields, metrics: Metrics): void {
  if (metricsWanted()) logLine("info", fields, metrics);
}

/** Whether anyone reads the metrics: what is read of the store for them alone need not be read otherwise. */
export const metricsWanted = (): boolean => Boolean(process.env["KEDGE_METRICS"]);

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
