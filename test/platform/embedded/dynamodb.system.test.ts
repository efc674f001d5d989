import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import {
  CreateTableCommand,
  DynamoDBClient,
  GetItemCommand,
  ListTablesCommand,
  PutItemCommand,
  waitUntilTableExists,
} from "@aws-sdk/client-dynamodb";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startDynamodb } from "../../../platform/embedded/dynamodb.ts";

type Dynamodb = Awaited<ReturnType<typeof startDynamodb>>;
const TableName = "kedge";
const running: Dynamodb[] = [];
let dataDir: string;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "kedge-dynamodb-"));
});

afterEach(async () => {
  await Promise.all(running.splice(0).map((dynamodb) => dynamodb.close()));
  await rm(dataDir, { recursive: true });
});

async function start(options: Parameters<typeof startDynamodb>[0]): Promise<Dynamodb> {
  const dynamodb = await startDynamodb(options);
  running.push(dynamodb);
  return dynamodb;
}

function clientOf(url: string, accessKeyId = "test"): DynamoDBClient {
  const credentials = { accessKeyId, secretAccessKey: "test" };
  return new DynamoDBClient({ endpoint: url, region: "eu-central-1", credentials, maxAttempts: 1 });
}

async function createTable(client: DynamoDBClient): Promise<void> {
  await client.send(
    new CreateTableCommand({
      TableName,
      BillingMode: "PAY_PER_REQUEST",
      KeySchema: [{ AttributeName: "pk", KeyType: "HASH" }],
      AttributeDefinitions: [{ AttributeName: "pk", AttributeType: "S" }],
    }),
  );
  await waitUntilTableExists({ client, maxWaitTime: 30, minDelay: 1, maxDelay: 1 }, { TableName });
}

async function put(client: DynamoDBClient, pk: string, value: Uint8Array): Promise<void> {
  await client.send(new PutItemCommand({ TableName, Item: { pk: { S: pk }, value: { B: value } } }));
}

async function get(client: DynamoDBClient, pk: string): Promise<Uint8Array | undefined> {
  const Key = { pk: { S: pk } };
  const { Item } = await client.send(new GetItemCommand({ TableName, Key, ConsistentRead: true }));
  const { value } = Item ?? {};
  return value?.B;
}

type Attack = {
  method?: string;
  path?: string;
  operation?: string;
  headers?: Record<string, string>;
  body?: string | Uint8Array;
};

/** Sends what no AWS client would, and resolves to the status. */
function send(url: string, attack: Attack): Promise<number | undefined> {
  const { method = "POST", path = "/", operation = "ListTables", body = "{}" } = attack;
  const headers = {
    authorization: "AWS4-HMAC-SHA256 Credential=test/-/-/-/-, SignedHeaders=host, Signature=0",
    "x-amz-date": "20260101T000000Z",
    "x-amz-target": `DynamoDB_20120810.${operation}`,
    "content-type": "application/x-amz-json-1.0",
    ...attack.headers,
  };
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, path, headers, agent: false });
    outgoing.on("error", reject);
    outgoing.on("response", (response) => {
      response.resume().on("end", () => resolve(response.statusCode));
    });
    outgoing.end(body);
  });
}

const expression = (text: string): string => JSON.stringify({ TableName, KeyConditionExpression: text });

describe("the embedded DynamoDB", () => {
  test("serves a table at once, and its items again after an orderly restart", async () => {
    const first = await startDynamodb({ dataDir });
    const before = clientOf(first.url);
    await createTable(before);
    await put(before, "head", Uint8Array.of(0, 255, 10));
    await first.close();
    const after = clientOf((await start({ dataDir })).url);
    expect(await get(after, "head")).toEqual(Uint8Array.of(0, 255, 10));
    expect(await get(after, "other")).toBeUndefined();
  });

  test("only its owner can read the store", async () => {
    const fresh = join(dataDir, "new");
    await start({ dataDir: fresh });
    for (const path of [fresh, join(fresh, "dynamodb")]) expect((await stat(path)).mode & 0o777).toBe(0o700);
  });

  test("without a data directory, nothing outlives it", async () => {
    const first = await startDynamodb();
    await createTable(clientOf(first.url));
    await first.close();
    const { TableNames } = await clientOf((await start({})).url).send(new ListTablesCommand());
    expect(TableNames).toEqual([]);
  });

  test("of concurrent compare-and-swaps exactly one wins", async () => {
    const client = clientOf((await start({ dataDir })).url);
    await createTable(client);
    const swap = (by: number) =>
      client.send(
        new PutItemCommand({
          TableName,
          Item: { pk: { S: "head" }, value: { B: Uint8Array.of(by) } },
          ConditionExpression: "attribute_not_exists(pk)",
        }),
      );
    const outcomes = await Promise.allSettled(Array.from({ length: 32 }, (_, i) => swap(i)));
    const winners = outcomes.flatMap((outcome, i) => (outcome.status === "fulfilled" ? [i] : []));
    expect(winners).toHaveLength(1);
    expect(await get(client, "head")).toEqual(Uint8Array.from(winners));
    for (const outcome of outcomes) {
      if (outcome.status === "fulfilled") continue;
      expect(outcome.reason).toMatchObject({ name: "ConditionalCheckFailedException" });
    }
  });

  test("kill -9 in the middle of writes loses none that was acknowledged, and its lock blocks no restart", async () => {
    const module = JSON.stringify(
      new URL("../../../dist/platform/embedded/dynamodb.js", import.meta.url).href,
    );
    const program = `const { startDynamodb } = await import(${module});
      console.log((await startDynamodb({ dataDir: ${JSON.stringify(dataDir)} })).url);`;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", program], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exited = once(child, "exit");
    const line = await Promise.race([once(createInterface(child.stdout), "line"), exited]);
    const client = clientOf(String(line[0]));
    await createTable(client);

    const acknowledged = new Map<string, Uint8Array>();
    const writer = async (name: string) => {
      for (let i = 0; ; i++) {
        const value = new Uint8Array(2_000).fill(i);
        await put(client, `${name}/${i}`, value);
        acknowledged.set(`${name}/${i}`, value);
        if (acknowledged.size === 200) child.kill("SIGKILL");
      }
    };
    await Promise.allSettled(["a", "b", "c", "d"].map(writer));
    await exited;

    expect(acknowledged.size).toBeGreaterThanOrEqual(200);
    const restarted = clientOf((await start({ dataDir })).url);
    for (const [pk, value] of acknowledged) expect(await get(restarted, pk)).toEqual(value);
  });

  test.each(["made", "deleted"])(
    "kill -9 while a table is %s leaves a store that can be used",
    async (when) => {
      // dynalite itself, with a timer that never fires: the moment between its two writes.
      const program = `import dynalite from "dynalite";
      import { CreateTableCommand, DeleteTableCommand, DynamoDBClient, PutItemCommand, waitUntilTableExists }
        from "@aws-sdk/client-dynamodb";
      const path = ${JSON.stringify(join(dataDir, "dynamodb"))};
      const never = 2 ** 31 - 1;
      const made = ${when === "made"};
      const server = dynalite({ path, createTableMs: made ? never : 0, deleteTableMs: never });
      await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
      const client = new DynamoDBClient({ endpoint: "http://127.0.0.1:" + server.address().port, region: "eu-central-1",
        credentials: { accessKeyId: "test", secretAccessKey: "test" } });
      const TableName = "${TableName}";
      await client.send(new CreateTableCommand({ TableName, BillingMode: "PAY_PER_REQUEST",
        KeySchema: [{ AttributeName: "pk", KeyType: "HASH" }],
        AttributeDefinitions: [{ AttributeName: "pk", AttributeType: "S" }] }));
      if (!made) {
        await waitUntilTableExists({ client, maxWaitTime: 60, minDelay: 1, maxDelay: 1 }, { TableName });
        await client.send(new PutItemCommand({ TableName, Item: { pk: { S: "head" } } }));
        await client.send(new DeleteTableCommand({ TableName }));
      }
      process.kill(process.pid, "SIGKILL");`;
      const child = spawn(process.execPath, ["--input-type=module", "--eval", program], {
        cwd: fileURLToPath(new URL("../../..", import.meta.url)),
        stdio: "ignore",
      });
      expect(await once(child, "exit")).toEqual([null, "SIGKILL"]);

      const client = clientOf((await start({ dataDir })).url);
      const { TableNames } = await client.send(new ListTablesCommand());
      expect(TableNames).toEqual(when === "made" ? [TableName] : []);
      if (when === "deleted") await createTable(client);
      expect(await get(client, "head")).toBeUndefined();
      await put(client, "head", Uint8Array.of(1));
      expect(await get(client, "head")).toEqual(Uint8Array.of(1));
    },
  );

  test("a store that another has open is refused and left alone", async () => {
    const client = clientOf((await start({ dataDir })).url);
    await createTable(client);
    await expect(startDynamodb({ dataDir })).rejects.toMatchObject({
      code: "unavailable",
      cause: { code: "LEVEL_LOCKED" },
    });
    await put(client, "head", Uint8Array.of(1));
    expect(await get(client, "head")).toEqual(Uint8Array.of(1));
  });

  test("a store or a port that cannot be opened is refused", async () => {
    const { url } = await start({});
    await expect(startDynamodb({ port: Number(new URL(url).port) })).rejects.toMatchObject({
      code: "unavailable",
      cause: { code: "EADDRINUSE" },
    });
    await writeFile(join(dataDir, "dynamodb"), "");
    await expect(startDynamodb({ dataDir })).rejects.toMatchObject({ code: "unavailable" });
  });

  test("a client that goes away in the middle of a body disturbs no other", async () => {
    const { url } = await start({});
    const socket = connect(Number(new URL(url).port), "127.0.0.1").on("error", () => {});
    await once(socket, "connect");
    socket.write("POST / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 100\r\n\r\n{");
    // The server must have begun on the body before it ends: an answer to a later request shows that.
    await clientOf(url).send(new ListTablesCommand());
    socket.destroy();
    await createTable(clientOf(url));
    expect((await clientOf(url).send(new ListTablesCommand())).TableNames).toEqual([TableName]);
  });

  const nested = (depth: number) => `${'{"L":['.repeat(depth)}${"]}".repeat(depth)}`;
  const hostile: [string, Attack, number][] = [
    ["null", { body: "null" }, 400],
    ["a number", { body: "1" }, 400],
    ["a list", { body: "[]" }, 400],
    ["nothing", { body: "" }, 400],
    ["no UTF-8", { body: Buffer.of(0x7b, 0xff) }, 400],
    ["a body over 16 MiB", { body: Buffer.alloc(2 ** 24 + 1, 0x20) }, 413],
    ["a URL that is none", { path: "http://[::1" }, 404],
    ["another URL", { path: "/?X-Amz-Algorithm=a" }, 404],
    ["another method", { method: "PUT" }, 404],
    [
      "lists 5,000 deep",
      { operation: "PutItem", body: `{"TableName":"a","Item":{"a":${nested(5_000)}}}` },
      400,
    ],
    ["5,000 parentheses", { operation: "Query", body: expression("(".repeat(5_000)) }, 400],
    ["8 parentheses", { operation: "Query", body: expression(`${"(".repeat(8)}a = b${")".repeat(8)}`) }, 400],
    ["what dynalite throws at", { operation: "BatchGetItem", body: '{"RequestItems":{"kedge":null}}' }, 500],
  ];

  test.each(hostile)("%s is refused, and the next request answered", async (_, attack, status) => {
    const { url } = await start({});
    expect(await send(url, attack)).toBe(status);
    expect(await send(url, {})).toBe(200);
  });

  test("any JSON gets an answer, and ends nothing", async () => {
    const { url } = await start({});
    await createTable(clientOf(url));
    const operation = fc.constantFrom(
      "PutItem",
      "GetItem",
      "Query",
      "BatchWriteItem",
      "BatchGetItem",
      "UpdateItem",
    );
    const member = fc.constantFrom(
      "Item",
      "Key",
      "RequestItems",
      "ConditionExpression",
      "UpdateExpression",
      "Limit",
    );
    const body = fc.oneof(fc.jsonValue(), fc.dictionary(member, fc.jsonValue()));
    await fc.assert(
      fc.asyncProperty(operation, body, async (name, value) => {
        const whole = typeof value === "object" && !Array.isArray(value) ? { TableName, ...value } : value;
        expect([200, 400, 500]).toContain(await send(url, { operation: name, body: JSON.stringify(whole) }));
        expect(await send(url, {})).toBe(200);
      }),
      { numRuns: 300 },
    );
  });

  test("only clients that know the access key id are served", async () => {
    const { url } = await start({ accessKeyId: "0123456789abcdef" });
    await createTable(clientOf(url, "0123456789abcdef"));
    for (const other of ["test", "0123456789abcde", "0123456789abcdef0"]) {
      await expect(put(clientOf(url, other), "a", Uint8Array.of(1))).rejects.toMatchObject({
        name: "AccessDeniedException",
        $metadata: { httpStatusCode: 403 },
      });
    }
    expect(await send(url, { headers: { authorization: "" } })).toBe(403);
  });

  test("web pages and other hosts are not served", async () => {
    const { url } = await start({});
    const page = await fetch(url, { method: "POST", headers: { origin: "https://hostile.example" } });
    expect(page.status).toBe(403);
    expect(page.headers.get("access-control-allow-origin")).toBeNull();
    // A name of the page's own that leads to 127.0.0.1.
    expect(await send(url, { headers: { host: "hostile.example" } })).toBe(403);
    await expect(fetch(url.replace("127.0.0.1", "127.0.0.2"))).rejects.toThrow();
  });

  test("close does not wait for a connection on which no request comes", async () => {
    const { url, close } = await startDynamodb();
    const socket = connect(Number(new URL(url).port), "127.0.0.1").on("error", () => {});
    const ended = new Promise((resolve) => socket.once("close", resolve));
    await once(socket, "connect");
    // Connections are accepted in their order, so an answer on a later one shows that this one was.
    await clientOf(url).send(new ListTablesCommand());
    await close();
    await ended;
  });
});
