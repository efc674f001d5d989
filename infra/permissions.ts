/** Statements that roles share the shape of: exactly the calls that a function makes, on exactly what it makes them on. */
import { PolicyStatement } from "aws-cdk-lib/aws-iam";
import type { KeyType } from "./keys.ts";

export const allow = (actions: readonly string[], ...resources: readonly string[]): PolicyStatement =>
  new PolicyStatement({ actions: [...actions], resources: [...resources] });

/**
 * Actions of DynamoDB, each on partitions of the table (platform/table.ts). `dynamodb:LeadingKeys` holds the partition
 * key of every item that a call names.
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

/** With each of these keys, by the algorithm of their type, a message and not a digest. */
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

/** Lambda sends a function's lines to CloudWatch in its name. */
export const writeLogs = (logGroupArn: string): PolicyStatement =>
  allow(["logs:CreateLogStream", "logs:PutLogEvents"], logGroupArn);
