/**
 * The store on DynamoDB. Endpoint, region and credentials come from the SDK's own environment variables.
 * Uses only what the embedded server has too: no transactions, TTL, streams or indexes.
 */
import {
  type AttributeValue,
  BatchGetItemCommand,
  BatchWriteItemCommand,
  DynamoDBClient,
  DynamoDBServiceException,
  PutItemCommand,
  QueryCommand,
  ScanCommand,
  type WriteRequest,
} from "@aws-sdk/client-dynamodb";
import { ServiceError } from "./error.ts";
import type { Condition, Item, Key, Query, Store, Value } from "./store.ts";
import { TABLE } from "./table.ts";

const { partitionKey: PK, sortKey: SK } = TABLE;

/** Limits of BatchGetItem and BatchWriteItem (DynamoDB API reference). */
const GET_KEYS = 100;
const WRITE_ITEMS = 25;
/** Parallel requests of one call: enough to hide latency, few enough not to throttle a new on-demand table. */
const PARALLEL = 16;
/** Rounds in which a batch may come back partly unprocessed before the call fails as throttled. */
const ROUNDS = 8;

/** A client whose calls end: a Lambda must not wait on a lost connection until its own timeout. */
export function dynamodbClient(): DynamoDBClient {
  return new DynamoDBClient({
    maxAttempts: 4,
    requestHandler: { connectionTimeout: 1_000, requestTimeout: 5_000, throwOnRequestTimeout: true },
  });
}

export function dynamodbStore(client: DynamoDBClient, table: string): Store {
  async function getSome(keys: readonly Key[], found: Map<string, Item>): Promise<void> {
    let wanted: Record<string, AttributeValue>[] = keys.map(({ pk, sk }) => marshal({ pk, sk }));
    for (let round = 0; wanted.length > 0; round++) {
      await backoff(round);
      const input = { RequestItems: { [table]: { Keys: wanted, ConsistentRead: true } } };
      const answer = await call(() => client.send(new BatchGetItemCommand(input)));
      for (const raw of answer.Responses?.[table] ?? []) {
        const item = unmarshal(raw);
        found.set(nameOf(item), item);
      }
      wanted = answer.UnprocessedKeys?.[table]?.Keys ?? [];
    }
  }

  async function writeSome(requests: readonly WriteRequest[]): Promise<void> {
    let wanted = [...requests];
    for (let round = 0; wanted.length > 0; round++) {
      await backoff(round);
      const input = { RequestItems: { [table]: wanted } };
      const answer = await call(() => client.send(new BatchWriteItemCommand(input)));
      wanted = answer.UnprocessedItems?.[table] ?? [];
    }
  }

  return {
    async get(keys) {
      const distinct = [...new Map(keys.map((key) => [nameOf(key), key])).values()];
      const found = new Map<string, Item>();
      await inParallel(slices(distinct, GET_KEYS), (some) => getSome(some, found));
      return keys.map((key) => found.get(nameOf(key)));
    },

    async *query(query: Query) {
      let start: Record<string, AttributeValue> | undefined;
      let left = query.limit ?? Number.POSITIVE_INFINITY;
      do {
        const input = queryInput(table, query, left, start);
        const page = await call(() => client.send(new QueryCommand(input)));
        for (const raw of page.Items ?? []) {
          yield unmarshal(raw);
          left--;
        }
        start = page.LastEvaluatedKey;
      } while (start !== undefined && left > 0);
    },

    async put(item, condition) {
      const input = { TableName: table, Item: marshal(item), ...conditionInput(condition) };
      await call(() => client.send(new PutItemCommand(input)));
    },

    async write(puts, deletes = []) {
      const requests: WriteRequest[] = [
        ...puts.map((item) => ({ PutRequest: { Item: marshal(item) } })),
        ...deletes.map(({ pk, sk }) => ({ DeleteRequest: { Key: marshal({ pk, sk }) } })),
      ];
      await inParallel(slices(requests, WRITE_ITEMS), writeSome);
    },
  };
}

/** The whole table, in no order: to take it elsewhere. @throws ServiceError as the store's methods. */
export async function* allItems(client: DynamoDBClient, table: string): AsyncGenerator<Item> {
  let start: Record<string, AttributeValue> | undefined;
  do {
    const input = { TableName: table, ConsistentRead: true, ...(start && { ExclusiveStartKey: start }) };
    const page = await call(() => client.send(new ScanCommand(input)));
    for (const raw of page.Items ?? []) yield unmarshal(raw);
    start = page.LastEvaluatedKey;
  } while (start !== undefined);
}

function queryInput(
  table: string,
  { pk, from, to, reverse }: Query,
  limit: number,
  start: Record<string, AttributeValue> | undefined,
) {
  const range =
    from !== undefined && to !== undefined
      ? `${SK} BETWEEN :from AND :to`
      : from !== undefined
        ? `${SK} >= :from`
        : to !== undefined
          ? `${SK} <= :to`
          : undefined;
  return {
    TableName: table,
    ConsistentRead: true,
    KeyConditionExpression: range === undefined ? `${PK} = :pk` : `${PK} = :pk AND ${range}`,
    ExpressionAttributeValues: {
      ":pk": { S: pk },
      ...(from !== undefined && { ":from": { S: from } }),
      ...(to !== undefined && { ":to": { S: to } }),
    },
    ScanIndexForward: reverse !== true,
    ...(Number.isFinite(limit) && { Limit: limit }),
    ...(start !== undefined && { ExclusiveStartKey: start }),
  };
}

function conditionInput(condition: Condition | undefined) {
  if (condition === undefined) return {};
  const absent = `attribute_not_exists(${PK})`;
  if (condition.kind === "absent") return { ConditionExpression: absent };
  const operands = {
    ExpressionAttributeNames: { "#a": condition.attribute },
    ExpressionAttributeValues: { ":v": marshalValue(condition.value) },
  };
  return condition.kind === "equals"
    ? { ...operands, ConditionExpression: "#a = :v" }
    : { ...operands, ConditionExpression: `${absent} OR #a < :v` };
}

/** One SDK call, its failure told as a ServiceError. */
async function call<T>(send: () => Promise<T>): Promise<T> {
  try {
    return await send();
  } catch (cause) {
    const name = cause instanceof Error ? cause.name : "";
    if (name === "ConditionalCheckFailedException") {
      throw new ServiceError("condition_failed", "the item is not as the write requires", { cause });
    }
    if (THROTTLED.has(name)) {
      throw new ServiceError("throttled", "DynamoDB is throttling; retry after a second", { cause });
    }
    const what = cause instanceof DynamoDBServiceException ? ` (${cause.name})` : "";
    throw new ServiceError("unavailable", `DynamoDB did not answer as expected${what}; retry`, { cause });
  }
}

const THROTTLED = new Set([
  "ProvisionedThroughputExceededException",
  "ThrottlingException",
  "RequestLimitExceeded",
]);

/** Waits before a repeated round: 0, then 25 ms doubling, with full jitter. */
async function backoff(round: number): Promise<void> {
  if (round >= ROUNDS) {
    throw new ServiceError("throttled", "DynamoDB left part of a batch unprocessed; retry after a second");
  }
  if (round > 0) await new Promise((resolve) => setTimeout(resolve, Math.random() * 25 * 2 ** (round - 1)));
}

async function inParallel<T>(jobs: readonly T[], run: (job: T) => Promise<void>): Promise<void> {
  const queue = jobs.values();
  const lane = async () => {
    for (const job of queue) await run(job);
  };
  // allSettled: when this call returns or throws, none of its requests is still under way.
  const lanes = await Promise.allSettled(Array.from({ length: Math.min(PARALLEL, jobs.length) }, lane));
  for (const result of lanes) if (result.status === "rejected") throw result.reason;
}

function slices<T>(all: readonly T[], length: number): T[][] {
  const parts: T[][] = [];
  for (let i = 0; i < all.length; i += length) parts.push(all.slice(i, i + length));
  return parts;
}

const nameOf = ({ pk, sk }: Key): string => `${pk}\0${sk}`;

function marshal(item: Key & { readonly [attribute: string]: Value }): Record<string, AttributeValue> {
  return Object.fromEntries(Object.entries(item).map(([name, value]) => [name, marshalValue(value)]));
}

function marshalValue(value: Value): AttributeValue {
  if (typeof value === "string") return { S: value };
  if (typeof value === "bigint") return { N: value.toString() };
  return { B: value };
}

function unmarshal(raw: Record<string, AttributeValue>): Item {
  const { [PK]: pk, [SK]: sk, ...rest } = raw;
  if (pk?.S === undefined || sk?.S === undefined) {
    throw new ServiceError("corrupt", "an item without string keys: is this Kedge's table?");
  }
  const attributes: Record<string, Value> = {};
  for (const [name, value] of Object.entries(rest)) attributes[name] = unmarshalValue(name, value);
  return { ...attributes, pk: pk.S, sk: sk.S };
}

function unmarshalValue(name: string, value: AttributeValue): Value {
  if (value.S !== undefined) return value.S;
  if (value.N !== undefined && /^-?\d+$/.test(value.N)) return BigInt(value.N);
  if (value.B !== undefined) return value.B;
  throw new ServiceError("corrupt", `attribute ${name} is neither string, integer nor binary`);
}
