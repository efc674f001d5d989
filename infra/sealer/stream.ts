/** The table's stream calls the sealer when new pending chunks come. */
import { Duration, type Stack } from "aws-cdk-lib";
import * as lambda from "aws-cdk-lib/aws-lambda";
import { SqsDlq } from "aws-cdk-lib/aws-lambda-event-sources";
import type { IQueue } from "aws-cdk-lib/aws-sqs";
import type { Config } from "../config.ts";

/** The batching window is the seal interval: Lambda collects records for so long and calls the sealer once per shard. */
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
    // A log that keeps failing must not block its shard: the sweep tries it again.
    retryAttempts: 2,
    onFailure: new SqsDlq(deadLetters),
  });
}
