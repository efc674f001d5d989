/** What wakes the sealer: the table's stream, told of new pending chunks. */
import { Duration, type Stack } from "aws-cdk-lib";
import * as lambda from "aws-cdk-lib/aws-lambda";
import { SqsDlq } from "aws-cdk-lib/aws-lambda-event-sources";
import type { IQueue } from "aws-cdk-lib/aws-sqs";
import type { Config } from "../config.ts";

/** The batching window is the seal interval: Lambda gathers what arrives in it and calls the sealer once a shard. */
export function sealOnNewEntries(
  stack: Stack,
  sealer: lambda.Function,
  { sealSeconds }: Config,
  { streamArn, deadLetters }: { readonly streamArn: string; readonly deadLetters: IQueue },
): void {
  new lambda.EventSourceMapping(stack, "NewEntries", {
    target: sealer,
    eventSourceArn: streamArn,
    startingPosition: lambda.StartingPosition.TRIM_HORIZON,
    batchSize: 10_000,
    maxBatchingWindow: Duration.seconds(sealSeconds),
    filters: [
      lambda.FilterCriteria.filter({
        eventName: lambda.FilterRule.isEqual("INSERT"),
        dynamodb: { Keys: { pk: { S: lambda.FilterRule.beginsWith("pending/") } } },
      }),
    ],
    // A log that stays broken must not hold up its shard: the sweep comes back to it.
    retryAttempts: 2,
    onFailure: new SqsDlq(deadLetters),
  });
}
