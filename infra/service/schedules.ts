/** Schedules for the functions whose specs have one. */
import { Duration, type Stack } from "aws-cdk-lib";
import * as iam from "aws-cdk-lib/aws-iam";
import type * as lambda from "aws-cdk-lib/aws-lambda";
import * as scheduler from "aws-cdk-lib/aws-scheduler";
import { LambdaInvoke } from "aws-cdk-lib/aws-scheduler-targets";
import type * as sqs from "aws-cdk-lib/aws-sqs";
import type { Config } from "../config.ts";
import { FUNCTIONS, type FunctionName } from "../names.ts";
import { allow } from "../permissions.ts";
import { SPECS } from "./specs.ts";

/** No retries: the next run does what one has missed. */
export function runOnSchedules(
  stack: Stack,
  config: Config,
  functions: Readonly<Record<FunctionName, lambda.Function>>,
  deadLetters: sqs.IQueue,
): void {
  const scheduled = FUNCTIONS.flatMap((name) => {
    const { schedule } = SPECS[name];
    return schedule === undefined ? [] : [{ target: functions[name], ...schedule }];
  });
  const targets = scheduled.map(({ target }) => target.functionArn);
  const statements = [
    allow(["lambda:InvokeFunction"], ...targets),
    allow(["sqs:SendMessage"], deadLetters.queueArn),
  ];
  const role = new iam.Role(stack, "SchedulerRole", {
    description: "Kedge: what its schedules may do",
    assumedBy: new iam.ServicePrincipal("scheduler.amazonaws.com", {
      conditions: { StringEquals: { "aws:SourceAccount": stack.account } },
    }),
    inlinePolicies: { kedge: new iam.PolicyDocument({ statements }) },
  }).withoutPolicyUpdates();
  for (const { target, name, minutes } of scheduled) {
    const rate = Duration.minutes(minutes(config));
    const retries = { retryAttempts: 0, maxEventAge: rate };
    new scheduler.Schedule(stack, `${name}Schedule`, {
      description: `Kedge: ${name} every ${rate.toMinutes()} min`,
      schedule: scheduler.ScheduleExpression.rate(rate),
      target: new LambdaInvoke(target, { role, deadLetterQueue: deadLetters, ...retries }),
    });
    target.configureAsyncInvoke(retries);
  }
}
