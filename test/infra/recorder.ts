/** Proxies in front of the embedded servers: who asks them for what, as IAM sees it, and what the table's stream tells. */
import { once } from "node:events";
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import { buffer } from "node:stream/consumers";
import * as z from "zod";
import { TABLE } from "../../platform/table.ts";
import type { Change } from "../support/lambda-events.ts";
import type { Call } from "./access.ts";

/** A call, and who made it. */
export type Recorded = Call & { readonly accessKeyId: string };

/** What an X-Amz-Target with this body is. */
type Describe = (operation: string, body: unknown) => Call;
type Recorder = { readonly url: string; close(): Promise<void> };

type Settings = {
  readonly upstream: string;
  readonly describe: Describe;
  readonly onCall: (call: Recorded) => void;
  /** Told of each call that succeeded, before its caller is. */
  readonly onSuccess?: (operation: string, body: unknown) => void;
};

async function startRecorder({ upstream, describe, onCall, onSuccess }: Settings): Promise<Recorder> {
  // A connection that the server closes while it is taken up again is an error that is nobody's.
  const agent = new Agent({ keepAlive: false });
  const answer = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const bytes = await buffer(incoming);
    const operation = `${incoming.headers["x-amz-target"]}`.split(".")[1] ?? "";
    const body: unknown = JSON.parse(bytes.toString());
    onCall({ accessKeyId: accessKeyIdOf(incoming), ...describe(operation, body) });

    const { method, headers } = incoming;
    const forwarded = request(upstream, { agent, ...(method !== undefined && { method }), headers });
    forwarded.end(bytes);
    const [response] = z.tuple([z.custom<IncomingMessage>()]).parse(await once(forwarded, "response"));
    const answered = await buffer(response);
    if (response.statusCode === 200) onSuccess?.(operation, body);
    outgoing.writeHead(response.statusCode ?? 500, response.headers).end(answered);
  };
  const server = createServer((incoming, outgoing) => {
    answer(incoming, outgoing).catch((error: unknown) => {
      outgoing.destroy();
      // A client or a server that went away ends a request early; anything else is a fault of the test.
      const isReset = error instanceof Error && "code" in error && error.code === "ECONNRESET";
      if (!isReset && (!incoming.destroyed || incoming.complete)) throw error;
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return {
    url: `http://127.0.0.1:${typeof address === "object" ? address?.port : undefined}`,
    async close() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
      agent.destroy();
    },
  };
}

/** Signature Version 4 names it. */
function accessKeyIdOf({ headers }: IncomingMessage): string {
  const [, id] = /^AWS4-HMAC-SHA256 Credential=([^/\s,]+)\//.exec(headers.authorization ?? "") ?? [];
  if (id === undefined) throw new Error("a call without a signature");
  return id;
}

// ---- KMS -----------------------------------------------------------------------------------------------------------

const kmsSchema = z.object({
  KeyId: z.string().startsWith("arn:"),
  SigningAlgorithm: z.string().optional(),
  MessageType: z.string().optional(),
});

export const recordKms = (upstream: string, onCall: (call: Recorded) => void): Promise<Recorder> =>
  startRecorder({
    upstream,
    onCall,
    describe(operation, body) {
      const { KeyId, SigningAlgorithm, MessageType } = kmsSchema.parse(body);
      const context = {
        ...(SigningAlgorithm !== undefined && { "kms:SigningAlgorithm": SigningAlgorithm }),
        ...(MessageType !== undefined && { "kms:MessageType": MessageType }),
      };
      return { action: `kms:${operation}`, resource: KeyId, context };
    },
  });

// ---- DynamoDB ------------------------------------------------------------------------------------------------------

const { partitionKey: PK, sortKey: SK } = TABLE;
const string = z.object({ S: z.string() });
const key = z
  .object({ [PK]: string, [SK]: string })
  .transform((item) => ({ pk: item[PK].S, sk: item[SK].S }));
type TableKey = z.infer<typeof key>;

const single = z.object({ TableName: z.string(), Item: key });
const query = z.object({
  TableName: z.string(),
  KeyConditionExpression: z.string(),
  ExpressionAttributeValues: z.record(z.string(), z.unknown()),
});
const tables = <T extends z.ZodType>(of: T) => z.object({ RequestItems: z.record(z.string(), of) });
const batchGet = tables(z.object({ Keys: z.array(key) }));
const batchWrite = tables(
  z.array(
    z.union([
      z.strictObject({ PutRequest: z.strictObject({ Item: key }) }),
      z.strictObject({ DeleteRequest: z.strictObject({ Key: key }) }),
    ]),
  ),
);

type Write = { readonly kind: "put" | "delete"; readonly key: TableKey };

/** The table that a request names, and its partition keys: what `dynamodb:LeadingKeys` holds. */
function partitionsOf(operation: string, body: unknown): { table: string; partitions: string[] } {
  switch (operation) {
    case "PutItem": {
      const { TableName, Item } = single.parse(body);
      return { table: TableName, partitions: [Item.pk] };
    }
    case "Query": {
      const { TableName, KeyConditionExpression, ExpressionAttributeValues } = query.parse(body);
      const [, name = ""] = new RegExp(`^${PK} = (:\\w+)( AND |$)`).exec(KeyConditionExpression) ?? [];
      return { table: TableName, partitions: [string.parse(ExpressionAttributeValues[name]).S] };
    }
    case "BatchGetItem": {
      const [[table, { Keys }] = ["", { Keys: [] }]] = Object.entries(batchGet.parse(body).RequestItems);
      return { table, partitions: Keys.map(({ pk }) => pk) };
    }
    case "BatchWriteItem": {
      const [table = ""] = Object.keys(batchWrite.parse(body).RequestItems);
      return { table, partitions: writesOf(operation, body).map(({ key }) => key.pk) };
    }
    default:
      throw new RangeError(`a call of ${operation}, which this test cannot read: teach it`);
  }
}

function writesOf(operation: string, body: unknown): Write[] {
  if (operation === "PutItem") return [{ kind: "put", key: single.parse(body).Item }];
  if (operation !== "BatchWriteItem") return [];
  return Object.values(batchWrite.parse(body).RequestItems)
    .flat()
    .map((request) =>
      "PutRequest" in request
        ? { kind: "put", key: request.PutRequest.Item }
        : { kind: "delete", key: request.DeleteRequest.Key },
    );
}

export type TableRecorder = Recorder & {
  /** What the table's stream has told since this was last asked. */
  takeChanges(): Change[];
  /** Of every item that the table holds. */
  keys(): TableKey[];
};

/** @param tableArn of the one table that there is. */
export async function recordDynamodb(
  upstream: string,
  tableArn: string,
  onCall: (call: Recorded) => void,
): Promise<TableRecorder> {
  const present = new Map<string, TableKey>();
  let changes: Change[] = [];
  let sequence = 0;
  const tell = ({ kind, key }: Write) => {
    const { pk, sk } = key;
    const name = `${pk}\0${sk}`;
    const existed = present.delete(name);
    if (kind === "put") present.set(name, key);
    // Deleting what is not there changes nothing.
    if (kind === "delete" && !existed) return;
    const eventName = kind === "delete" ? "REMOVE" : existed ? "MODIFY" : "INSERT";
    changes.push({ eventName, pk, sk, sequence: sequence++, at: new Date() });
  };

  const recorder = await startRecorder({
    upstream,
    onCall,
    describe(operation, body) {
      const { table, partitions } = partitionsOf(operation, body);
      const resource = tableArn.replace(/[^/]+$/, table);
      const context = { "dynamodb:LeadingKeys": [...new Set(partitions)] };
      return { action: `dynamodb:${operation}`, resource, context };
    },
    onSuccess(operation, body) {
      for (const write of writesOf(operation, body)) tell(write);
    },
  });
  return {
    ...recorder,
    takeChanges() {
      const taken = changes;
      changes = [];
      return taken;
    },
    keys: () => [...present.values()],
  };
}
