/** The witness's function: cosigns checkpoints that logs submit, after checking that each extends the last one. */
import { Duration } from "aws-cdk-lib";
import { TreatMissingData } from "aws-cdk-lib/aws-cloudwatch";
import { type Alarm, metricsOf } from "../alarms.ts";
import type { FunctionSpec } from "../function.ts";
import { ED25519, MLDSA44 } from "../keys.ts";
import { onPartitions, signing, writeLogs } from "../permissions.ts";
import type { WitnessConfig } from "./config.ts";

type WitnessResources = {
  readonly tableArn: string;
  readonly tableName: string;
  readonly keyArn: string;
  /** Undefined: it cosigns with Ed25519 alone. */
  readonly mldsaKeyArn: string | undefined;
};

/** A file, not a variable: an ML-DSA-44 vkey takes 1.8 kB, and a function's environment holds 4 kB. */
const LOGS_FILE = "logs";
/** One partition per log origin (platform/table.ts). */
const PARTITIONS = ["witness/*"];
const PERIOD = Duration.minutes(5);

const namespaceOf = ({ stage }: WitnessConfig): string => `KedgeWitness/${stage}`;

export const WITNESS: FunctionSpec<WitnessConfig, WitnessResources> = {
  name: "witness",
  entry: "witness/lambda",
  memory: 1_024,
  // API Gateway waits 30 s at most.
  timeout: Duration.seconds(29),
  files: ({ logs }) => ({ [LOGS_FILE]: `${logs.join("\n")}\n` }),
  environment: (config, { tableName, keyArn, mldsaKeyArn }) => ({
    KEDGE_STORE: `dynamodb:${tableName}`,
    KEDGE_WITNESS_NAME: config.name,
    KEDGE_WITNESS_KEY: keyArn,
    ...(mldsaKeyArn !== undefined && { KEDGE_WITNESS_MLDSA_KEY: mldsaKeyArn }),
    KEDGE_WITNESS_LOGS_FILE: LOGS_FILE,
    KEDGE_METRICS: namespaceOf(config),
  }),
  policies: ({ tableArn, keyArn, mldsaKeyArn, logGroupArn }) => ({
    kedge: [
      ...onPartitions(tableArn, { BatchGetItem: PARTITIONS, PutItem: PARTITIONS }),
      ...signing([keyArn], ED25519),
      ...signing(mldsaKeyArn === undefined ? [] : [mldsaKeyArn], MLDSA44),
      writeLogs(logGroupArn),
    ],
  }),
  alarms: (config, { function: witness, http }) => [
    {
      name: "equivocation",
      means: "A log has signed two roots for one size: evidence of a fork.",
      metric: metricsOf(namespaceOf(config))("Equivocations", "Sum"),
      threshold: 0,
    },
    {
      name: "errors",
      means: "The witness answers with 5xx: logs get no cosignatures.",
      metric: http.metricServerError({ period: PERIOD, statistic: "Sum" }),
      threshold: 0,
      // Twice within two hours, since a log may submit only once an hour.
      periods: 2,
      of: 24,
    },
    {
      name: "throttles",
      means: "Lambda refuses to run the witness: the account's concurrency is used up.",
      metric: witness.metricThrottles({ period: PERIOD, statistic: "Sum" }),
      threshold: 0,
      periods: 2,
    },
    ...silent(config),
  ],
};

function silent(config: WitnessConfig): Alarm[] {
  const { silentHours } = config;
  if (silentHours === undefined) return [];
  return [
    {
      name: "silent",
      means: `No new checkpoint was cosigned for ${silentHours} h.`,
      metric: metricsOf(namespaceOf(config))("Cosigned", "Sum", Duration.hours(1)),
      threshold: 1,
      below: true,
      periods: silentHours,
      missing: TreatMissingData.BREACHING,
    },
  ];
}
