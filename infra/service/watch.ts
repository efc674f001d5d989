/** The dashboard and the alarms. Each alarm has an entry in docs/operations.md under its own name. */
import { Duration, type Stack } from "aws-cdk-lib";
import type { HttpApi } from "aws-cdk-lib/aws-apigatewayv2";
import * as cloudwatch from "aws-cdk-lib/aws-cloudwatch";
import type { Function as LambdaFunction } from "aws-cdk-lib/aws-lambda";
import type { Queue } from "aws-cdk-lib/aws-sqs";
import { RUN_SIZES } from "../../service/index/cover.ts";
import { type Alarm, makeAlarms, metricsOf } from "../alarms.ts";
import type { Config } from "../config.ts";
import { FUNCTIONS, type FunctionName, metricNamespace } from "../names.ts";
import { SPECS } from "./specs.ts";

type WatchedService = {
  readonly config: Config;
  readonly functions: Readonly<Record<FunctionName, LambdaFunction>>;
  readonly deadLetters: Queue;
  readonly http: HttpApi;
  readonly tableName: string;
};

const RUNBOOKS = "docs/operations.md";

export function watch(stack: Stack, watched: WatchedService): cloudwatch.Dashboard {
  const { config, functions, http } = watched;
  const { stage, alarmEmail, runbooks = RUNBOOKS } = config;
  const ofFunctions = FUNCTIONS.flatMap((name) =>
    SPECS[name].alarms(config, { function: functions[name], http }),
  );
  const settings = { prefix: `kedge-${stage}`, alarmEmail, runbooks };
  return dashboard(stack, watched, makeAlarms(stack, [...ofFunctions, ...sharedAlarms(watched)], settings));
}

/** Alarms that belong to no single function. */
function sharedAlarms({ config, functions, deadLetters, tableName }: WatchedService): Alarm[] {
  return [
    {
      name: "rollback-refused",
      means: "A log's table is not what was published: nothing of it is signed.",
      metric: metricsOf(metricNamespace(config))("RollbackRefused", "Sum"),
      threshold: 0,
    },
    {
      name: "index-fault",
      means: "A run of a log's index is lost or altered: nothing of that log is sealed.",
      metric: metricsOf(metricNamespace(config))("IndexFault", "Sum"),
      threshold: 0,
    },
    {
      name: "index-lag",
      means: "The index of a log lags: soon look-ups will have to wait, and sealing will be slower.",
      metric: metricsOf(metricNamespace(config))("IndexLag", "Maximum"),
      // Half of what look-ups and seals bear (service/index/cover.ts); when all is well it is less than a run, 4,096.
      threshold: RUN_SIZES.uncovered / 2,
      periods: 2,
    },
    {
      name: "dead-letters",
      means: "Stream records or a schedule's events were given up on.",
      metric: deadLetters.metricApproximateNumberOfMessagesVisible({ statistic: "Maximum" }),
      threshold: 0,
    },
    {
      name: "throttles",
      means: "Lambda refuses to run a function: the account's concurrency is used up.",
      metric: new cloudwatch.MathExpression({
        expression: FUNCTIONS.map((name) => `FILL(${name}, 0)`).join(" + "),
        usingMetrics: Object.fromEntries(
          FUNCTIONS.map((name) => [name, functions[name].metricThrottles({ statistic: "Sum" })]),
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
        // DynamoDB reports either only while it throttles.
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
  ];
}

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
  { config, functions, http, tableName }: WatchedService,
  alarms: cloudwatch.Alarm[],
) {
  const ours = metricsOf(metricNamespace(config));
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
        graph("Entries in no run of the index", ours("IndexLag", "Maximum")),
        graph("Runs lost or altered", ours("IndexFault", "Sum")),
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
