/** The sealer: seals tenants' logs when their entries come, and sweeps over all of them on a schedule. */
import { Duration } from "aws-cdk-lib";
import { TreatMissingData } from "aws-cdk-lib/aws-cloudwatch";
import { metricsOf } from "../alarms.ts";
import type { Config } from "../config.ts";
import { ED25519 } from "../keys.ts";
import { metricNamespace } from "../names.ts";
import { allow, onPartitions, signing, writeLogs } from "../permissions.ts";
import { commonEnvironment, errorsOf, LOG, type ServiceFunction } from "../service/function.ts";

const runsIn = (indexArn: string): string => `${indexArn}/${LOG}/*`;
const recordsIn = (bucketArn: string): string => `${bucketArn}/logs/${LOG}/*`;
/** Of alarms: no shorter than the time between two sweeps, or a period would have no data. */
const period = ({ sweepMinutes }: Config): Duration => Duration.minutes(Math.max(5, sweepMinutes));

export const SEALER: ServiceFunction = {
  name: "sealer",
  entry: "functions/sealer",
  memory: 1_769,
  timeout: Duration.minutes(15),
  files: () => ({}),
  environment: (config, resources) => ({
    ...commonEnvironment(config, resources),
    KEDGE_PUBLICATION: `s3://${resources.bucketName}`,
    // Beside it four logs' merges, of some 150 MB each. What is forgotten is read again, at every seal.
    KEDGE_INDEX_MEMORY: "768",
    KEDGE_TRAIL_DAYS: String(config.trailDays),
  }),
  policies: ({ tableArn, bucketArn, indexArn, logKeys, streamArn, deadLettersArn, logGroupArn }) => ({
    kedge: [
      ...onPartitions(tableArn, {
        BatchGetItem: ["logs", `log/${LOG}`, `staging/${LOG}`, `tile/${LOG}/*`, "trail/*"],
        Query: [
          ...["logs", `log/${LOG}`, `pending/${LOG}/*`, `staging/${LOG}`],
          ...["trail/*", "trail-outbox", "trail-expiry"],
        ],
        // Pending chunks are of the trail alone, of acts that a crash has left.
        PutItem: [
          ...[`log/${LOG}`, `pending/${LOG}/*`, `tile/${LOG}/*`, "run/sealer"],
          ...["trail/*", "trail-outbox"],
        ],
        // Of a log's own partition: notes of runs that were replaced.
        BatchWriteItem: [
          ...[`log/${LOG}`, `pending/${LOG}/*`, `staging/${LOG}`, `tile/${LOG}/*`],
          ...["trail/*", "trail-outbox", "trail-expiry"],
        ],
      }),
      ...signing(logKeys, ED25519),
      allow(["s3:GetObject", "s3:PutObject"], recordsIn(bucketArn)),
      allow(["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], runsIn(indexArn)),
      // S3 answers 403, not 404, for a missing object to a role that may not list the bucket.
      allow(["s3:ListBucket"], bucketArn, indexArn),
    ],
    lambda: [
      writeLogs(logGroupArn),
      allow(["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"], streamArn),
      allow(["dynamodb:ListStreams"], "*"),
      allow(["sqs:SendMessage"], deadLettersArn),
    ],
  }),
  wildcards: ({ bucketArn, indexArn }) => ({
    [recordsIn(bucketArn)]: "The records of logs, most of which do not exist yet.",
    [runsIn(indexArn)]: "The runs of logs, most of which do not exist yet.",
    "*": "IAM knows no resource for ListStreams, which tells names of streams and nothing that is in them.",
  }),
  schedule: { name: "sweep", minutes: ({ sweepMinutes }) => sweepMinutes },
  alarms(config, { function: sealer }) {
    const { sealSeconds, sweepMinutes } = config;
    const ours = metricsOf(metricNamespace(config));
    return [
      {
        name: "seal-lag",
        means: "Accepted entries wait too long for a checkpoint, or the sealer does not run.",
        metric: ours("SealLag", "Maximum", period(config)),
        // Twice the longest wait when all is well: the stream's batching window, then a sweep.
        threshold: 2_000 * (sealSeconds + sweepMinutes * 60),
        periods: 2,
        missing: TreatMissingData.BREACHING,
      },
      errorsOf("sealer", sealer, period(config)),
      {
        name: "stream-age",
        means: "The sealer does not keep up with the table's stream.",
        metric: sealer.metric("IteratorAge", { statistic: "Maximum", period: Duration.minutes(5) }),
        threshold: 1_000 * (sealSeconds + 300),
        periods: 2,
      },
      {
        name: "conflicts",
        means: "Sealers of one log keep getting in each other's way.",
        metric: ours("Conflicts", "Sum"),
        threshold: 100,
        periods: 3,
      },
    ];
  },
};
