/** Alarms that tell a topic when they rise and when they end. Each has an entry in a runbook, under its own name. */
import { ArnFormat, Duration, type Stack } from "aws-cdk-lib";
import * as cloudwatch from "aws-cdk-lib/aws-cloudwatch";
import { SnsAction } from "aws-cdk-lib/aws-cloudwatch-actions";
import { PolicyStatement, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import * as sns from "aws-cdk-lib/aws-sns";
import { EmailSubscription } from "aws-cdk-lib/aws-sns-subscriptions";
import type { MetricName } from "../platform/log.ts";

/** What pages. `missing` is what no data means: by default that nothing happened. */
export type Alarm = {
  readonly name: string;
  readonly means: string;
  readonly metric: cloudwatch.IMetric;
  /** Breached by more than this, or by less if `below`. */
  readonly threshold: number;
  readonly below?: boolean;
  /** Breached for so many periods, of so many: by default one, and one after the other. */
  readonly periods?: number;
  readonly of?: number;
  readonly missing?: cloudwatch.TreatMissingData;
};

type Told = {
  /** Of the alarms' names: a name is there once in an account's region. */
  readonly prefix: string;
  /** Who is told; undefined: nobody yet. */
  readonly alarmEmail: string | undefined;
  /** The document with an entry for each alarm. */
  readonly runbooks: string;
};

/** The metrics that functions write into their log lines, in this namespace. */
export const metricsOf =
  (namespace: string) =>
  (metricName: MetricName, statistic: string, period = Duration.minutes(5)): cloudwatch.Metric =>
    new cloudwatch.Metric({ namespace, metricName, statistic, period });

export function makeAlarms(
  stack: Stack,
  alarms: readonly Alarm[],
  { prefix, alarmEmail, runbooks }: Told,
): cloudwatch.Alarm[] {
  const topic = alarmTopic(stack);
  if (alarmEmail !== undefined) topic.addSubscription(new EmailSubscription(alarmEmail));
  const action = new SnsAction(topic);
  return alarms.map(({ name, means, metric, threshold, below, periods = 1, of = periods, missing }) => {
    const alarm = new cloudwatch.Alarm(stack, `Alarm-${name}`, {
      alarmName: `${prefix}-${name}`,
      alarmDescription: `${means} Runbook: ${runbooks}#${name}`,
      metric,
      threshold,
      evaluationPeriods: of,
      ...(of > periods && { datapointsToAlarm: periods }),
      comparisonOperator:
        below === true
          ? cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
          : cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
      treatMissingData: missing ?? cloudwatch.TreatMissingData.NOT_BREACHING,
    });
    alarm.addAlarmAction(action);
    alarm.addOkAction(action);
    return alarm;
  });
}

/** enforceSSL gives the topic a policy, in the place of the one by which the account's alarms could publish. */
function alarmTopic(stack: Stack): sns.Topic {
  const topic = new sns.Topic(stack, "Alarms", { enforceSSL: true });
  const alarms = stack.formatArn({
    service: "cloudwatch",
    resource: "alarm",
    resourceName: "*",
    arnFormat: ArnFormat.COLON_RESOURCE_NAME,
  });
  topic.addToResourcePolicy(
    new PolicyStatement({
      sid: "AlarmsPublish",
      principals: [new ServicePrincipal("cloudwatch.amazonaws.com")],
      actions: ["sns:Publish"],
      resources: [topic.topicArn],
      conditions: { ArnLike: { "aws:SourceArn": alarms } },
    }),
  );
  return topic;
}
