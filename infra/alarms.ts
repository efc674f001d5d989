/** Alarms that tell a topic when they rise and when they end. Each has an entry in a runbook, under its own name. */
import { ArnFormat, Duration, type Stack } from "aws-cdk-lib";
import * as cloudwatch from "aws-cdk-lib/aws-cloudwatch";
import { SnsAction } from "aws-cdk-lib/aws-cloudwatch-actions";
import { PolicyStatement, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import * as sns from "aws-cdk-lib/aws-sns";
import { EmailSubscription } from "aws-cdk-lib/aws-sns-subscriptions";
import type { MetricName } from "../platform/log.ts";

/** `missing` says how CloudWatch treats missing data; by default as no breach. */
export type Alarm = {
  readonly name: string;
  readonly means: string;
  readonly metric: cloudwatch.IMetric;
  /** The alarm rises above this, or, if `below`, under it. */
  readonly threshold: number;
  readonly below?: boolean;
  /** It rises when `periods` of the last `of` periods breach: by default 1, and as many as `periods`. */
  readonly periods?: number;
  readonly of?: number;
  readonly missing?: cloudwatch.TreatMissingData;
};

type AlarmSettings = {
  /** Starts each alarm's name, which must be unique in an account's region. */
  readonly prefix: string;
  /** Who gets an e-mail; undefined: the topic has no subscriber. */
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
  { prefix, alarmEmail, runbooks }: AlarmSettings,
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

/** `enforceSSL` gives the topic a policy, which replaces the default one that lets alarms of this account publish. */
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
