/** What pages a witness's operator. Each alarm has an entry in docs/witness.md under its own name. */
import { Duration, type Stack } from "aws-cdk-lib";
import type { HttpApi } from "aws-cdk-lib/aws-apigatewayv2";
import * as cloudwatch from "aws-cdk-lib/aws-cloudwatch";
import type { Function as LambdaFunction } from "aws-cdk-lib/aws-lambda";
import { type Alarm, makeAlarms } from "./alarms.ts";
import type { WitnessConfig } from "./witness-config.ts";

type Watched = {
  readonly config: WitnessConfig;
  readonly witness: LambdaFunction;
  readonly http: HttpApi;
};

const RUNBOOKS = "docs/witness.md";

export const witnessNamespace = ({ stage }: WitnessConfig): string => `KedgeWitness/${stage}`;

export function watchWitness(stack: Stack, watched: Watched): void {
  const { stage, alarmEmail, runbooks = RUNBOOKS } = watched.config;
  makeAlarms(stack, alarmsOf(watched), { prefix: `kedge-witness-${stage}`, alarmEmail, runbooks });
}

function alarmsOf({ config, witness, http }: Watched): Alarm[] {
  const { silentHours } = config;
  const ours = (metricName: string, period: Duration) =>
    new cloudwatch.Metric({ namespace: witnessNamespace(config), metricName, statistic: "Sum", period });
  const period = Duration.minutes(5);
  const silent: Alarm[] =
    silentHours === undefined
      ? []
      : [
          {
            name: "silent",
            means: `No new checkpoint was cosigned for ${silentHours} h.`,
            metric: ours("Cosigned", Duration.hours(1)),
            threshold: 1,
            below: true,
            periods: silentHours,
            missing: cloudwatch.TreatMissingData.BREACHING,
          },
        ];
  return [
    {
      name: "equivocation",
      means: "A log has signed two roots for one size: evidence of a fork.",
      metric: ours("Equivocations", period),
      threshold: 0,
    },
    {
      name: "errors",
      means: "The witness answers with 5xx: logs get no cosignatures.",
      metric: http.metricServerError({ period, statistic: "Sum" }),
      threshold: 0,
      // Twice in two hours: a log may ask once an hour.
      periods: 2,
      of: 24,
    },
    {
      name: "throttles",
      means: "Lambda refuses to run the witness: the account's concurrency is used up.",
      metric: witness.metricThrottles({ period, statistic: "Sum" }),
      threshold: 0,
      periods: 2,
    },
    ...silent,
  ];
}
