/** The HTTP API: takes entries, and hands out proofs and tiles. It neither signs nor publishes. */
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { Duration } from "aws-cdk-lib";
import { built, CONSOLE_PAGE, VERIFIER_PAGE } from "../../functions/http/built.ts";
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

/** The officer's pages (functions/http/console.ts), as `npm run build` made them. */
function pages(): Record<string, Uint8Array> {
  const [index, verifier] = [built(CONSOLE_PAGE), built(VERIFIER_PAGE)];
  if (index === undefined || verifier === undefined) {
    throw new Error("The console and the verifier page are not built: run `npm run build` first");
  }
  const assets = readdirSync(join(dirname(index), "assets")).map((name) => join("assets", name));
  return {
    [VERIFIER_PAGE]: readFileSync(verifier),
    ...Object.fromEntries(
      ["index.html", ...assets].map((name) => [
        join(dirname(CONSOLE_PAGE), name),
        readFileSync(join(dirname(index), name)),
      ]),
    ),
  };
}

const runsIn = (indexArn: string): string => `${indexArn}/*`;

export const API: ServiceFunction = {
  name: "api",
  entry: "functions/api",
  memory: 1_024,
  // API Gateway waits 30 s at most.
  timeout: Duration.seconds(29),
  files: (config) => ({
    ...policyFile(config),
    ...pages(),
    ...Object.fromEntries(
      REFERENCE_PAGE.map((file) => [join("node_modules", file), readFileSync(resolve(file))]),
    ),
  }),
  environment: (config, resources) => ({
    ...commonEnvironment(config, resources),
    ...policyVariable(config),
    // Two logs of 10^8 entries.
    KEDGE_INDEX_MEMORY: "512",
    KEDGE_SESSION_HOURS: String(config.sessionHours),
    KEDGE_SWEEP_MINUTES: String(config.sweepMinutes),
    KEDGE_ANCHOR_MINUTES: String(config.anchorMinutes),
  }),
  policies: ({ tableArn, indexArn, logKeys, anchorKeys, anchorMldsaKeys, logGroupArn }) => ({
    kedge: [
      ...onPartitions(tableArn, {
        BatchGetItem: ["tenant/*", "log/*", "tile/*", "run/*", "trail/*"],
        Query: ["tenant/*", "log/*", "anchored/*", `pending/${LOG}/*`, "trail/*"],
        // Pending chunks, tenants, logs, API keys, the trail: never a head, a tile or a checkpoint.
        PutItem: ["tenant/*", "logs", `pending/${LOG}/*`, "trail/*", "trail-outbox"],
        // Of the trail no event is deleted: only that it is to be settled.
        BatchWriteItem: ["tenant/*", "trail-outbox", "trail-expiry"],
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
