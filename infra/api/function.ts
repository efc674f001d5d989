/** The HTTP API: takes entries, and hands out proofs and tiles. It neither signs nor publishes. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { Duration } from "aws-cdk-lib";
import { allow, onPartitions, writeLogs } from "../permissions.ts";
import {
  commonEnvironment,
  LOG,
  policyFile,
  policyVariable,
  type ServiceFunction,
} from "../service/function.ts";

/** Files of the API reference page, read on its first request (functions/http/meta.ts): too large to bundle as code. */
const REFERENCE_PAGE = ["swagger-ui-dist/swagger-ui-bundle.js", "swagger-ui-dist/swagger-ui.css"];
const { resolve } = createRequire(import.meta.url);

const runsIn = (indexArn: string): string => `${indexArn}/*`;

export const API: ServiceFunction = {
  name: "api",
  entry: "functions/api",
  memory: 1_024,
  // API Gateway waits 30 s at most.
  timeout: Duration.seconds(29),
  files: (config) => ({
    ...policyFile(config),
    ...Object.fromEntries(
      REFERENCE_PAGE.map((file) => [join("node_modules", file), readFileSync(resolve(file))]),
    ),
  }),
  environment: (config, resources) => ({
    ...commonEnvironment(config, resources),
    ...policyVariable(config),
    // Two logs of 10^8 entries.
    KEDGE_INDEX_MEMORY: "512",
    KEDGE_SWEEP_MINUTES: String(config.sweepMinutes),
    KEDGE_ANCHOR_MINUTES: String(config.anchorMinutes),
  }),
  policies: ({ tableArn, indexArn, logKeys, anchorKeys, anchorMldsaKeys, logGroupArn }) => ({
    kedge: [
      ...onPartitions(tableArn, {
        BatchGetItem: ["tenant/*", "log/*", "tile/*", "run/*"],
        Query: ["tenant/*", "log/*", "anchored/*", `pending/${LOG}/*`],
        // Pending chunks, tenants, logs and API keys: never a head, a tile or a checkpoint.
        PutItem: ["tenant/*", "logs", `pending/${LOG}/*`],
        BatchWriteItem: ["tenant/*"],
      }),
      allow(["kms:GetPublicKey"], ...logKeys, ...anchorKeys, ...anchorMldsaKeys),
      allow(["s3:GetObject"], runsIn(indexArn)),
      allow(["s3:ListBucket"], indexArn),
    ],
    lambda: [writeLogs(logGroupArn)],
  }),
  wildcards: ({ indexArn }) => ({
    [runsIn(indexArn)]: "The runs of logs, most of which do not exist yet.",
  }),
  alarms: (_, { http }) => [
    {
      name: "api-errors",
      means: "Clients get 5xx.",
      metric: http.metricServerError({ period: Duration.minutes(5), statistic: "Sum" }),
      threshold: 0,
      periods: 2,
    },
    {
      name: "api-latency",
      means: "Clients wait: one request in a hundred takes more than 5 s.",
      metric: http.metricLatency({ period: Duration.minutes(5), statistic: "p99" }),
      threshold: 5_000,
      periods: 3,
    },
  ],
};
