/** Policy statements: exactly the actions that a function calls, on exactly the resources that it calls them on. */
import { PolicyStatement } from "aws-cdk-lib/aws-iam";
import type { KeyType } from "./keys.ts";

export const allow = (actions: readonly string[], ...resources: readonly string[]): PolicyStatement =>
  new PolicyStatement({ actions: [...actions], resources: [...resources] });

/**
 * Allows each DynamoDB action on these partitions of the table (platform/table.ts). `dynamodb:LeadingKeys` holds the
 * partition key of every item in a request.
 */
export const onPartitions = (
  tableArn: string,
  partitions: Readonly<Record<string, readonly string[]>>,
): PolicyStatement[] =>
  Object.entries(partitions).map(
    ([action, patterns]) =>
      new PolicyStatement({
        actions: [`dynamodb:${action}`],
        resources: [tableArn],
        conditions: { "ForAllValues:StringLike": { "dynamodb:LeadingKeys": patterns } },
      }),
  );

/** Signing with these keys: by their own algorithm, of whole messages and never of a digest. */
export function signing(keyArns: readonly string[], { algorithm }: KeyType): PolicyStatement[] {
  if (keyArns.length === 0) return [];
  return [
    allow(["kms:GetPublicKey"], ...keyArns),
    new PolicyStatement({
      actions: ["kms:Sign"],
      resources: [...keyArns],
      conditions: { StringEquals: { "kms:SigningAlgorithm": algorithm, "kms:MessageType": "RAW" } },
    }),
  ];
}

/** Lambda sends log lines to CloudWatch with the function's role. */
export const writeLogs = (logGroupArn: string): PolicyStatement =>
  allow(["logs:CreateLogStream", "logs:PutLogEvents"], logGroupArn);
