/** Creates the table where CDK does not: in the embedded server and in tests. */
import {
  CreateTableCommand,
  type DynamoDBClient,
  ResourceInUseException,
  waitUntilTableExists,
} from "@aws-sdk/client-dynamodb";
import { ServiceError } from "../error.ts";
import { TABLE } from "../table.ts";

/**
 * Creates the table unless it exists, and waits until it can be used.
 * @throws ServiceError `unavailable` when it cannot be in time.
 */
export async function createTable(client: DynamoDBClient, name: string): Promise<void> {
  const { partitionKey, sortKey, billingMode } = TABLE;
  await client
    .send(
      new CreateTableCommand({
        TableName: name,
        BillingMode: billingMode,
        KeySchema: [
          { AttributeName: partitionKey, KeyType: "HASH" },
          { AttributeName: sortKey, KeyType: "RANGE" },
        ],
        AttributeDefinitions: [
          { AttributeName: partitionKey, AttributeType: "S" },
          { AttributeName: sortKey, AttributeType: "S" },
        ],
      }),
    )
    .catch((error: unknown) => {
      if (!(error instanceof ResourceInUseException)) throw error;
    });
  const limits = { client, maxWaitTime: 30, minDelay: 1, maxDelay: 1 };
  await waitUntilTableExists(limits, { TableName: name }).catch((cause: unknown) => {
    const message = `the table ${name} does not become usable: start again, then look into its DynamoDB`;
    throw new ServiceError("unavailable", message, { cause });
  });
}
