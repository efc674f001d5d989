/** The anchorer: folds tenants' checkpoints into the anchor log on a schedule, has it witnessed, and publishes it. */
import { readFileSync } from "node:fs";
import { Duration } from "aws-cdk-lib";
import { TreatMissingData } from "aws-cdk-lib/aws-cloudwatch";
import { type Alarm, metricsOf } from "../alarms.ts";
import type { Config } from "../config.ts";
import { ED25519, MLDSA44 } from "../keys.ts";
import { metricNamespace } from "../names.ts";
import { allow, onPartitions, signing, writeLogs } from "../permissions.ts";
import {
  commonEnvironment,
  errorsOf,
  LOG,
  policyFile,
  policyVariable,
  type ServiceFunction,
} from "../service/function.ts";

const TSA_CERTS_FILE = "tsa-certs";

const runsIn = (indexArn: string): string => `${indexArn}/anchor/*`;
/** The anchor log's record, and its public files. */
const filesIn = (bucketArn: string): string[] => [`${bucketArn}/logs/anchor/*`, `${bucketArn}/anchor/*`];
/** Of alarms: no shorter than the time between two runs, or a period would have no data. */
const period = ({ anchorMinutes }: Config): Duration => Duration.minutes(Math.max(5, anchorMinutes));

export const ANCHORER: ServiceFunction = {
  name: "anchorer",
  entry: "functions/anchorer",
  memory: 1_024,
  timeout: Duration.minutes(15),
  files: (config) => ({ ...policyFile(config), ...certsFile(config) }),
  environment: (config, resources) => ({
    ...commonEnvironment(config, resources),
    ...policyVariable(config),
    ...timestamping(config),
    KEDGE_PUBLICATION: `s3://${resources.bucketName}`,
  }),
  policies: ({ tableArn, bucketArn, indexArn, anchorKeys, anchorMldsaKeys, logGroupArn }) => ({
    kedge: [
      ...onPartitions(tableArn, {
        BatchGetItem: ["log/*", `anchored/${LOG}`, "staging/anchor", "tile/anchor/*"],
        Query: ["logs", "log/anchor", `anchored/${LOG}`, "pending/anchor/*", "staging/anchor"],
        PutItem: ["log/anchor", "pending/anchor/*", "tile/anchor/*", "run/anchorer"],
        // Of the log's own partition: notes of runs that were replaced.
        BatchWriteItem: [
          "log/anchor",
          `anchored/${LOG}`,
          "pending/anchor/*",
          "staging/anchor",
          "tile/anchor/*",
        ],
      }),
      ...signing(anchorKeys, ED25519),
      ...signing(anchorMldsaKeys, MLDSA44),
      allow(["s3:GetObject", "s3:PutObject"], ...filesIn(bucketArn)),
      allow(["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], runsIn(indexArn)),
      // S3 answers 403, not 404, for a missing object to a role that may not list the bucket.
      allow(["s3:ListBucket"], bucketArn, indexArn),
    ],
    lambda: [writeLogs(logGroupArn)],
  }),
  wildcards: ({ bucketArn, indexArn }) =>
    Object.fromEntries(
      [...filesIn(bucketArn), runsIn(indexArn)].map((files) => [
        files,
        "The anchor log's files, created later.",
      ]),
    ),
  schedule: { name: "anchor", minutes: ({ anchorMinutes }) => anchorMinutes },
  alarms(config, { function: anchorer }) {
    const ours = metricsOf(metricNamespace(config));
    return [
      {
        name: "anchor-age",
        means:
          "Checkpoints of tenants wait too long for a public anchor checkpoint, or the anchorer does not run.",
        metric: ours("AnchorAge", "Maximum", period(config)),
        threshold: 5 * 60_000 * config.anchorMinutes,
        periods: 2,
        missing: TreatMissingData.BREACHING,
      },
      {
        name: "witness-quorum",
        means: "The witnesses have not cosigned: the public anchor checkpoint stands still.",
        metric: ours("WitnessQuorum", "Minimum", period(config)),
        threshold: 1,
        below: true,
        periods: 2,
      },
      ...timestampAge(config),
      errorsOf("anchorer", anchorer, period(config)),
    ];
  },
};

// ---- timestamps, if configured ---------------------------------------------------------------------------------------

const certsFile = ({ timestamps }: Config): Record<string, Uint8Array> =>
  timestamps?.tsaCerts === undefined ? {} : { [TSA_CERTS_FILE]: readFileSync(timestamps.tsaCerts) };

function timestamping({ timestamps }: Config): Record<string, string> {
  if (timestamps === undefined) return {};
  const { tsaUrls, tsaCerts, everyMinutes, otsCalendars, bitcoinUrl } = timestamps;
  return {
    KEDGE_TSA_EVERY: String(everyMinutes),
    ...(tsaUrls !== undefined && { KEDGE_TSA_URLS: tsaUrls.join(" ") }),
    ...(tsaCerts !== undefined && { KEDGE_TSA_CERTS: TSA_CERTS_FILE }),
    ...(otsCalendars !== undefined && { KEDGE_OTS_CALENDARS: otsCalendars.join(" ") }),
    ...(bitcoinUrl !== undefined && { KEDGE_BITCOIN_URL: bitcoinUrl }),
  };
}

function timestampAge(config: Config): Alarm[] {
  const { timestamps } = config;
  if (timestamps === undefined) return [];
  return [
    {
      name: "timestamp-age",
      means: "No timestamp comes for the public anchor checkpoints.",
      metric: metricsOf(metricNamespace(config))("TimestampAge", "Maximum", period(config)),
      // With calendars alone a timestamp takes hours even when all is well.
      threshold: 60_000 * (timestamps.everyMinutes + (timestamps.tsaUrls === undefined ? 24 * 60 : 0)),
      // For an hour: nothing waits for a timestamp, and other alarms tell earlier that the anchorer has stopped.
      periods: Math.max(2, Math.ceil(60 / period(config).toMinutes())),
      missing: TreatMissingData.BREACHING,
    },
  ];
}
