/** A DynamoDB table as platform/table.ts defines it. */
import type { Stack } from "aws-cdk-lib";
import * as dynamodb from "aws-cdk-lib/aws-dynamodb";
import { TABLE } from "../platform/table.ts";
import type { Deployed } from "./settings.ts";
import { isDurable, removalPolicyOf } from "./stage.ts";

export const makeTable = (
  stack: Stack,
  id: string,
  config: Deployed,
  more: Pick<dynamodb.TableProps, "pointInTimeRecoverySpecification" | "stream"> = {},
): dynamodb.Table =>
  new dynamodb.Table(stack, id, {
    partitionKey: { name: TABLE.partitionKey, type: dynamodb.AttributeType.STRING },
    sortKey: { name: TABLE.sortKey, type: dynamodb.AttributeType.STRING },
    billingMode: dynamodb.BillingMode[TABLE.billingMode],
    deletionProtection: isDurable(config),
    removalPolicy: removalPolicyOf(config),
    ...more,
  });
