/** The dashboard and the alarms. Each alarm has an entry in docs/operations.md under its own name. */
import { Duration, type Stack } from "aws-cdk-lib";
import type { HttpApi } from "aws-cdk-lib/aws-apigatewayv2";
import * as cloudwatch from "aws-cdk-lib/aws-cloudwatch";
import type { Function as LambdaFunction } from "aws-cdk-lib/aws-lambda";
import type { Queue } from "aws-cdk-lib/aws-sqs";
import { type Alarm, makeAlarms } from "./alarms.ts";
import type { Config } from "./config.ts";
import { metricNamespace } from "./functions.ts";
import type { FunctionName } from "./names.ts";

type Watched = {
  readonly config: Config;
  readonly functions: Record<FunctionName, LambdaFunction>;
  readonly deadLetters: Queue;
  readonly http: HttpApi;
  readonly tableName: string;
};

const RUNBOOKS = "docs/operations.md";
const { BREACHING } = cloudwatch.TreatMissingData;

export function watch(stack: Stack, watched: Watched): cloudwatch.Dashboard {
  const { stage, alarmEmail, runbooks = RUNBOOKS } = watched.config;
  const alarms = makeAlarms(stack, alarmsOf(watched), { prefix: `kedge-${stage}`, alarmEmail, runbooks });
  return dashboard(stack, watched, alarms);
}

function alarmsOf({ config, functions, deadLetters, http, tableName }: Watched): Alarm[] {
  const { sealSeconds, sweepMinutes, anchorMinutes, timestamps } = config;
  const ours = ourMetrics(config);
  const sealPeriod = Duration.minutes(Math.max(5, sweepMinutes));
  const anchorPeriod = Duration.minutes(Math.max(5, anchorMinutes));
  const timestampAge: Alarm[] =
    timestamps === undefined
      ? []
      : [
          {
            name: "timestamp-age",
            means: "No timestamp comes for the public anchor checkpoints.",
            metric: ours("TimestampAge", "Maximum", anchorPeriod),
            // A calendar alone takes hours at its best.
            threshold: 60_000 * (timestamps.everyMinutes + (timestamps.tsaUrls === undefined ? 24 * 60 : 0)),
            // For an hour: nothing stops for it, and what stops the anchorer is told by other alarms before.
            periods: Math.max(2, Math.ceil(60 / anchorPeriod.toMinutes())),
            missing: BREACHING,
          },
        ];
  return [
    {
      name: "seal-lag",
      means: "Accepted entries wait too long for a checkpoint, or the sealer does not run.",
      metric: ours("SealLag", "Maximum", sealPeriod),
      // A stream's window and a sweep may have to pass before an entry's turn, twice.
      threshold: 2_000 * (sealSeconds + sweepMinutes * 60),
      periods: 2,
      missing: BREACHING,
    },
    {
      name: "anchor-age",
      means:
        "Checkpoints of tenants wait too long for a public anchor checkpoint, or the anchorer does not run.",
      metric: ours("AnchorAge", "Maximum", anchorPeriod),
      threshold: 5 * 60_000 * anchorMinutes,
      periods: 2,
      missing: BREACHING,
    },
    {
      name: "rollback-refused",
      means: "A log's table is not what was published: nothing of it is signed.",
      metric: ours("RollbackRefused", "Sum"),
      threshold: 0,
    },
    {
      name: "witness-quorum",
      means: "The witnesses have not cosigned: the public anchor checkpoint stands still.",
      metric: ours("WitnessQuorum", "Minimum", anchorPeriod),
      threshold: 1,
      below: true,
      periods: 2,
    },
    ...timestampAge,
    ...(["sealer", "anchorer"] as const).map((name) => ({
      name: `${name}-errors`,
      means: `The ${name} fails.`,
      metric: functions[name].metricErrors({ period: name === "sealer" ? sealPeriod : anchorPeriod }),
      threshold: 0,
      periods: 2,
    })),
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
    {
      name: "dead-letters",
      means: "Stream records or a schedule's events were given up on.",
      metric: deadLetters.metricApproximateNumberOfMessagesVisible({ statistic: "Maximum" }),
      threshold: 0,
    },
    {
      name: "stream-age",
      means: "The sealer does not keep up with the table's stream.",
      metric: functions.sealer.metric("IteratorAge", { statistic: "Maximum", period: Duration.minutes(5) }),
      threshold: 1_000 * (sealSeconds + 300),
      periods: 2,
    },
    {
      name: "throttles",
      means: "Lambda refuses to run a function: the account's concurrency is used up.",
      metric: new cloudwatch.MathExpression({
        expression: "FILL(api, 0) + FILL(sealer, 0) + FILL(anchorer, 0)",
        usingMetrics: Object.fromEntries(
          Object.entries(functions).map(([name, made]) => [name, made.metricThrottles({ statistic: "Sum" })]),
        ),
        period: Duration.minutes(5),
        label: "throttled invocations",
      }),
      threshold: 0,
      periods: 2,
    },
    {
      name: "table-throttled",
      means: "DynamoDB throttles the table.",
      metric: new cloudwatch.MathExpression({
        // Each is there only while it throttles.
        expression: "FILL(reads, 0) + FILL(writes, 0)",
        usingMetrics: {
          reads: tableMetric(tableName, "ReadThrottleEvents"),
          writes: tableMetric(tableName, "WriteThrottleEvents"),
        },
        period: Duration.minutes(5),
        label: "throttled requests",
      }),
      threshold: 10,
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
}

const ourMetrics =
  (config: Config) =>
  (metricName: string, statistic: string, period = Duration.minutes(5)): cloudwatch.Metric =>
    new cloudwatch.Metric({ namespace: metricNamespace(config), metricName, statistic, period });

const tableMetric = (TableName: string, metricName: string): cloudwatch.Metric =>
  new cloudwatch.Metric({
    namespace: "AWS/DynamoDB",
    metricName,
    dimensionsMap: { TableName },
    statistic: "Sum",
    period: Duration.minutes(5),
  });

function dashboard(
  stack: Stack,
  { config, functions, http, tableName }: Watched,
  alarms: cloudwatch.Alarm[],
) {
  const ours = ourMetrics(config);
  const graph = (title: string, ...left: cloudwatch.IMetric[]) =>
    new cloudwatch.GraphWidget({ title, left, width: 8 });
  return new cloudwatch.Dashboard(stack, "Overview", {
    dashboardName: `kedge-${config.stage}-${config.region}`,
    widgets: [
      [new cloudwatch.AlarmStatusWidget({ title: "Alarms", alarms, width: 24 })],
      [
        graph("Entries accepted", ours("EntriesAccepted", "Sum")),
        graph("Seal lag, ms", ours("SealLag", "Maximum"), ours("SealLag", "p50")),
        graph("Anchor age, ms", ours("AnchorAge", "Maximum")),
      ],
      [
        graph("Entries in a batch", ours("BatchSize", "Average"), ours("BatchSize", "Maximum")),
        graph("Signatures", ours("Signatures", "Sum")),
        graph("Conflicts, rollbacks refused", ours("Conflicts", "Sum"), ours("RollbackRefused", "Sum")),
      ],
      [
        graph("Witness quorum", ours("WitnessQuorum", "Minimum")),
        graph(
          "API: requests, 4xx, 5xx",
          http.metricCount(),
          http.metricClientError(),
          http.metricServerError(),
        ),
        graph(
          "API: latency, ms",
          http.metricLatency({ statistic: "p50" }),
          http.metricLatency({ statistic: "p99" }),
        ),
      ],
      [
        graph("Invocations", ...Object.values(functions).map((made) => made.metricInvocations())),
        graph("Errors", ...Object.values(functions).map((made) => made.metricErrors())),
        graph(
          "Duration, ms",
          ...Object.values(functions).map((made) => made.metricDuration({ statistic: "p99" })),
        ),
      ],
      [
        graph(
          "Table: units consumed",
          tableMetric(tableName, "ConsumedWriteCapacityUnits"),
          tableMetric(tableName, "ConsumedReadCapacityUnits"),
        ),
        graph(
          "Table: throttled",
          tableMetric(tableName, "WriteThrottleEvents"),
          tableMetric(tableName, "ReadThrottleEvents"),
        ),
        graph("Stream: age, ms", functions.sealer.metric("IteratorAge", { statistic: "Maximum" })),
      ],
      ...(config.timestamps === undefined
        ? []
        : [[graph("Timestamp age, ms", ours("TimestampAge", "Maximum"))]]),
    ],
  });
}
