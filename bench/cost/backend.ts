/**
 * The embedded DynamoDB and KMS, and the tests' bucket, in a process of their own, so that the CPU time of the process
 * that runs the handlers is the handlers'. Each call goes through a meter here. Started by meter.ts.
 */
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { CreateKeyCommand, type KeySpec, KMSClient } from "@aws-sdk/client-kms";
import { z } from "zod";
import { startDynamodb } from "../../platform/embedded/dynamodb.ts";
import { startKms } from "../../platform/embedded/kms.ts";
import { createTable } from "../../platform/embedded/table.ts";
import { startS3 } from "../../test/support/s3-server.ts";
import { type Calls, NO_CALLS } from "./calls.ts";
import { itemSizes } from "./sizes.ts";

const TABLE_NAME = "kedge-cost";
const BUCKET = "kedge-cost";
const INDEX = "kedge-cost-index";
/** Longer than any pause between two calls of a handler. */
const KEPT_MS = 600_000;

type Service = "dynamodb" | "kms" | "s3";

let calls: Calls = { ...NO_CALLS };
let underWay = 0;
/** Bytes of every item in the table, by key: what it stores is what was put and not deleted. */
const items = new Map<string, number>();
const specs = new Map<string, string>();
/** What S3 keeps of every object: all versions. */
let bucketBytes = 0;

const folder = await mkdtemp(join(tmpdir(), "kedge-cost-"));
const [dynamodb, kms, s3] = await Promise.all([
  startDynamodb(),
  startKms({ dataDir: folder }),
  startS3({ isIndex: (bucket) => bucket === INDEX }),
]);
await createTable(
  new DynamoDBClient({
    endpoint: dynamodb.url,
    region: "us-east-1",
    credentials: { accessKeyId: "local", secretAccessKey: "local" },
  }),
  TABLE_NAME,
);
const keys = {
  KEDGE_LOG_KEY: await newKey("ECC_NIST_EDWARDS25519"),
  KEDGE_ANCHOR_KEY: await newKey("ECC_NIST_EDWARDS25519"),
  KEDGE_ANCHOR_MLDSA_KEY: await newKey("ML_DSA_44"),
};

process.on("message", (message) => {
  if (message === "take") {
    const stored = {
      tableBytes: sum(items.values()),
      tableItems: items.size,
      bucketBytes,
      indexBytes: indexed(),
    };
    process.send?.({ ...calls, ...stored });
    calls = { ...NO_CALLS };
  } else if (message === "close") {
    Promise.all([kms.close(), dynamodb.close(), s3.close(), rm(folder, { recursive: true })]).then(() =>
      process.exit(),
    );
  }
});
process.send?.({
  KEDGE_STORE: `dynamodb:${TABLE_NAME}`,
  KEDGE_PUBLICATION: `s3://${BUCKET}`,
  KEDGE_INDEX: `s3://${INDEX}`,
  ...keys,
  AWS_ENDPOINT_URL_DYNAMODB: await metered("dynamodb", dynamodb.url),
  AWS_ENDPOINT_URL_KMS: await metered("kms", kms.url),
  AWS_ENDPOINT_URL_S3: await metered("s3", s3.url),
});

async function newKey(KeySpec: KeySpec): Promise<string> {
  const client = new KMSClient({
    endpoint: kms.url,
    region: "us-east-1",
    credentials: { accessKeyId: "local", secretAccessKey: "local" },
  });
  const { KeyMetadata } = await client.send(new CreateKeyCommand({ KeySpec, KeyUsage: "SIGN_VERIFY" }));
  const id = KeyMetadata?.KeyId ?? "";
  specs.set(id, KeySpec);
  return id;
}

/** @returns the address of a meter in front of the service. */
async function metered(service: Service, url: string): Promise<string> {
  const server = createServer(async (incoming, outgoing) => {
    const asked = metersCapacity(incoming, await readAll(incoming));
    // What is waited for in turn: calls that begin while no other is under way.
    if (underWay++ === 0) calls[`${service}Rounds`]++;
    // A connection for each call: one that is kept may be closed by the other side just when it is used again.
    const headers = { ...incoming.headers, "content-length": String(asked.length), connection: "close" };
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const options = { method: incoming.method, headers, agent: false };
      request(`${url}${incoming.url}`, options, resolve).on("error", reject).end(asked);
    });
    const body = await readAll(answer);
    underWay--;
    // A handler that fails does not do what a bill is of.
    if ((answer.statusCode ?? 500) < 300) count(service, incoming, asked, body);
    else if (!(service === "s3" && answer.statusCode === 404)) calls.failures++;
    else calls.gets++;
    const { connection: _, ...answered } = answer.headers;
    outgoing.writeHead(answer.statusCode ?? 500, answered).end(body);
  });
  server.keepAliveTimeout = KEPT_MS;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;
}

const operation = ({ headers }: IncomingMessage): string =>
  String(headers["x-amz-target"]).split(".")[1] ?? "";

/** The request, asking DynamoDB what it costs. Its signature is wrong then: the embedded server does not look. */
function metersCapacity(incoming: IncomingMessage, body: Buffer): Buffer {
  if (!String(incoming.headers["x-amz-target"]).startsWith("DynamoDB")) return body;
  const asked = z.record(z.string(), z.unknown()).parse(JSON.parse(body.toString()));
  return Buffer.from(JSON.stringify({ ...asked, ReturnConsumedCapacity: "TOTAL" }));
}

const capacity = z.object({ CapacityUnits: z.number() });
const consumed = z.object({
  ConsumedCapacity: z.union([capacity.transform((one) => [one]), z.array(capacity)]),
});
const signed = z.object({ KeyId: z.string() });

function count(service: Service, incoming: IncomingMessage, asked: Buffer, answer: Buffer): void {
  if (service === "s3") {
    const isIndex = incoming.url?.startsWith(`/${INDEX}/`) === true;
    // What deletes is free.
    if (incoming.method === "GET") calls[isIndex ? "indexGets" : "gets"]++;
    else if (incoming.method === "PUT") calls[isIndex ? "indexPuts" : "puts"]++;
    if (incoming.method === "PUT" && !isIndex) bucketBytes += asked.length;
  } else if (service === "kms") {
    if (operation(incoming) !== "Sign") return;
    const spec = specs.get(signed.parse(JSON.parse(asked.toString())).KeyId);
    calls[spec === "ML_DSA_44" ? "mldsaSignatures" : "ed25519Signatures"]++;
  } else {
    const { ConsumedCapacity } = consumed.parse(JSON.parse(answer.toString()));
    const reported = sum(ConsumedCapacity.map(({ CapacityUnits }) => CapacityUnits));
    // "Queries that do not return results consume the minimum" (DynamoDB API Reference, Query): the embedded one says 0.
    const units = Math.max(reported, operation(incoming) === "Query" ? 1 : 0);
    const writes = /^(PutItem|BatchWriteItem)$/.test(operation(incoming));
    calls[writes ? "writeUnits" : "readUnits"] += units;
    if (!writes) return;
    for (const [key, bytes] of itemSizes(JSON.parse(asked.toString()))) {
      if (bytes === undefined) items.delete(key);
      else items.set(key, bytes);
    }
  }
}

/** Bytes of all that is in the index now. */
function indexed(): number {
  const files = [...s3.objects].filter(([name]) => name.startsWith(`${INDEX}/`));
  return sum(files.flatMap(([, versions]) => versions.map(({ length }) => length)));
}

async function readAll(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
