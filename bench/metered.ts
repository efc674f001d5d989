/** The DynamoDB store with a meter on it: round trips, requests, and the units that DynamoDB itself reports. */
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { z } from "zod";
import { dynamodbStore } from "../platform/dynamodb.ts";
import type { Item, Key, Query, Store } from "../platform/store.ts";

export type Cost = {
  /** Calls that began while no other was under way: what is waited for in turn, if no two chains of calls overlap. */
  roundTrips: number;
  readUnits: number;
  writeUnits: number;
};

export type Meter = {
  readonly store: Store;
  /** The cost since the last call, and the requests and units of each part of the table. */
  take(): Cost & { readonly parts: ReadonlyMap<string, Part> };
};

export type Units = { readUnits: number; writeUnits: number };
export type Part = Units & { requests: number };

export const localClient = (endpoint: string): DynamoDBClient =>
  new DynamoDBClient({
    endpoint,
    region: "us-east-1",
    credentials: { accessKeyId: "local", secretAccessKey: "local" },
  });

/** A client for each part of the table, because one request's units are reported as one sum. */
export function meteredStore(endpoint: string, tableName: string): Meter {
  const stores = new Map<string, Store>();
  let parts = new Map<string, Part>();
  let roundTrips = 0;
  let underWay = 0;

  const costOf = (part: string): Part => {
    const cost = parts.get(part) ?? { requests: 0, readUnits: 0, writeUnits: 0 };
    parts.set(part, cost);
    return cost;
  };
  const storeOf = (part: string): Store => {
    const store =
      stores.get(part) ??
      dynamodbStore(
        meteredClient(endpoint, () => costOf(part)),
        tableName,
      );
    stores.set(part, store);
    return store;
  };
  const enter = () => {
    if (underWay++ === 0) roundTrips++;
  };
  const call = async <T>(run: () => Promise<T>): Promise<T> => {
    enter();
    try {
      return await run();
    } finally {
      underWay--;
    }
  };

  return {
    store: {
      // The one call that reads of two parts, the head with the hash index, counts as the index.
      get: (keys) => call(() => storeOf(partOf(keys.at(-1))).get(keys)),
      async *query(query: Query) {
        enter();
        try {
          yield* storeOf(partOf(query)).query(query);
        } finally {
          underWay--;
        }
      },
      put: (item, condition) => call(() => storeOf(partOf(item)).put(item, condition)),
      write: (puts, deletes = []) =>
        call(async () => {
          const writes = [...byPart(puts, deletes)];
          await Promise.all(writes.map(([part, some]) => storeOf(part).write(some.puts, some.deletes)));
        }),
    },
    take() {
      const units = [...parts.values()];
      const readUnits = units.reduce((sum, part) => sum + part.readUnits, 0);
      const writeUnits = units.reduce((sum, part) => sum + part.writeUnits, 0);
      const taken = { roundTrips, readUnits, writeUnits, parts };
      parts = new Map();
      roundTrips = 0;
      return taken;
    },
  };
}

/** The first word of the partition key: `pending`, `staging`, `tile`, `index`, `log`. */
const partOf = (key: { readonly pk: string } | undefined): string => key?.pk.split("/", 1)[0] ?? "";

function byPart(puts: readonly Item[], deletes: readonly Key[]) {
  const parts = new Map<string, { puts: Item[]; deletes: Key[] }>();
  const at = (key: Key) => {
    const some = parts.get(partOf(key)) ?? { puts: [], deletes: [] };
    parts.set(partOf(key), some);
    return some;
  };
  for (const item of puts) at(item).puts.push(item);
  for (const key of deletes) at(key).deletes.push(key);
  return parts;
}

const capacity = z.object({ CapacityUnits: z.number() });
const consumed = z.object({ ConsumedCapacity: z.union([capacity, z.array(capacity)]) });
const WRITES: ReadonlySet<string | undefined> = new Set(["PutItemCommand", "BatchWriteItemCommand"]);

function meteredClient(endpoint: string, cost: () => Part): DynamoDBClient {
  const client = localClient(endpoint);
  client.middlewareStack.add(
    (next, context) => async (args) => {
      const result = await next({ ...args, input: { ...args.input, ReturnConsumedCapacity: "TOTAL" } });
      const units = WRITES.has(context.commandName) ? "writeUnits" : "readUnits";
      cost().requests++;
      for (const { CapacityUnits } of [consumed.parse(result.output).ConsumedCapacity].flat()) {
        cost()[units] += CapacityUnits;
      }
      return result;
    },
    { step: "initialize", name: "meterCapacity" },
  );
  return client;
}
