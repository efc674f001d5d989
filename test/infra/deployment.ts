/** A synthesised artefact at work: its functions as processes of their own, before embedded servers that record. */
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { CreateKeyCommand, KeySpec, KMSClient } from "@aws-sdk/client-kms";
import * as z from "zod";
import { FUNCTIONS, type FunctionName } from "../../infra/names.ts";
import { dynamodbStore } from "../../platform/dynamodb.ts";
import { startDynamodb } from "../../platform/embedded/dynamodb.ts";
import { startKms } from "../../platform/embedded/kms.ts";
import { createTable } from "../../platform/embedded/table.ts";
import type { Key } from "../../platform/store.ts";
import type { TenantContext } from "../../service/tenants.ts";
import {
  type Change,
  gatewayAnswer,
  gatewayEvent,
  type HttpAnswer,
  type HttpRequest,
  type Place,
  schedulerEvent,
  streamEvent,
  streamRecord,
} from "../support/lambda-events.ts";
import { type LambdaFunction, lambdaFunction, type Written } from "../support/lambda-process.ts";
import { type S3Server, startS3 } from "../support/s3-server.ts";
import { type Access, accessOf, type Call, kindsOf } from "./access.ts";
import type { Artefact } from "./artefact.ts";
import { type Resolved, type Resource, resolved } from "./cloudformation.ts";
import { matches } from "./pattern.ts";
import { type Recorded, recordDynamodb, recordKms } from "./recorder.ts";

/** The embedded KMS's: its key ARNs name it. */
export const ACCOUNT = "000000000000";

export type Deployment = {
  readonly resolved: Resolved;
  readonly access: Access;
  readonly s3: S3Server;
  /** Under the operator's own credentials, as `kedge tenant create`. */
  readonly operator: TenantContext;
  /** Everything that was asked of AWS; each function's access key id is its name. */
  readonly calls: readonly Recorded[];
  /** Of these, one of each kind that a function made. */
  callsOf(name: FunctionName): Call[];
  readonly settings: Readonly<Record<FunctionName, FunctionProperties>>;
  request(request: HttpRequest): Promise<HttpAnswer>;
  /** Asks a function itself, as `aws lambda invoke` does. */
  invoke(name: FunctionName, event: unknown): Promise<unknown>;
  /** Sends what the schedule under this construct sends, to its target. */
  runSchedule(construct: string): Promise<unknown>;
  /** What the table's stream has told since the last call. */
  takeChanges(): Change[];
  /** Of every item in the table. */
  keys(): Key[];
  /**
   * Delivers what passes the filter of the event source mapping: an event for each shard, all at once.
   * @returns how many events that were.
   */
  deliver(changes: readonly Change[]): Promise<number>;
  /** Ends the functions. @returns what each has written. */
  stop(): Promise<Readonly<Record<FunctionName, Written>>>;
  close(): Promise<void>;
};

const functionSchema = z.object({
  Handler: z.string(),
  Runtime: z.string(),
  MemorySize: z.int(),
  Timeout: z.int(),
  Role: z.string(),
  Environment: z.object({ Variables: z.record(z.string(), z.string()) }),
  Code: z.object({ S3Key: z.string() }),
});
export type FunctionProperties = z.infer<typeof functionSchema>;

/** @param machine variables of the machines that the functions run on, such as Node.js's own. */
export async function deploy(
  artefact: Artefact,
  region: string,
  machine: Readonly<Record<string, string>> = {},
): Promise<Deployment> {
  const place: Place = { region, account: ACCOUNT };
  const calls: Recorded[] = [];
  const servers = await startServers(artefact, place, (call) => {
    calls.push(call);
  });
  const { view, dynamodb, s3, endpoints } = servers;

  const resources = perFunction((name) => view.one("AWS::Lambda::Function", name));
  const settings = perFunction((name) => functionSchema.parse(view.properties(resources[name])));
  const functions = perFunction((name): LambdaFunction => {
    const { Handler, MemorySize, Timeout, Environment, Code } = settings[name];
    const folder = artefact.assets.get(Code.S3Key);
    if (folder === undefined) throw new Error(`nothing is uploaded as ${Code.S3Key}`);
    const functionName = view.attribute(resources[name], "Ref");
    const environment = {
      ...Environment.Variables,
      AWS_REGION: region,
      AWS_LAMBDA_FUNCTION_NAME: functionName,
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(MemorySize),
      LAMBDA_TASK_ROOT: folder,
      AWS_ACCESS_KEY_ID: name,
      AWS_SECRET_ACCESS_KEY: "secret",
      AWS_SESSION_TOKEN: "token",
      ...endpoints,
      ...machine,
    };
    const arn = view.attribute(resources[name], "Arn");
    const limits = { memoryMb: MemorySize, timeoutSeconds: Timeout };
    return lambdaFunction({ name: functionName, arn, folder, handler: Handler, ...limits, environment });
  });
  /** A template may name a function by its ARN or its name. */
  const target = (named: string): LambdaFunction => {
    const name = FUNCTIONS.find((name) =>
      ["Arn", "Ref"].some((attribute) => view.attribute(resources[name], attribute) === named),
    );
    if (name === undefined) throw new Error(`${named} is no function of ours`);
    return functions[name];
  };
  const stop = async () => {
    const [api, sealer, anchorer] = await Promise.all([
      functions.api.close(),
      functions.sealer.close(),
      functions.anchorer.close(),
    ]);
    return { api, sealer, anchorer };
  };

  return {
    resolved: view,
    access: accessOf(view),
    s3,
    operator: {
      store: dynamodbStore(operatorClient(dynamodb.url, region), servers.tableName),
      clock: Date.now,
      domain: settings.api.Environment.Variables["KEDGE_DOMAIN"] ?? "",
    },
    calls,
    callsOf: (name) => kindsOf(calls.filter(({ accessKeyId }) => accessKeyId === name)),
    settings,
    request: async (request) => gatewayAnswer(await functions.api.invoke(gatewayEvent(place, request))),
    invoke: (name, event) => functions[name].invoke(event),
    async runSchedule(construct) {
      const { Target } = scheduleSchema.parse(
        view.properties(view.one("AWS::Scheduler::Schedule", construct)),
      );
      const { Arn, Input } = Target;
      return await target(Arn).invoke(
        Input === undefined ? schedulerEvent(place, construct) : JSON.parse(Input),
      );
    },
    takeChanges: () => dynamodb.takeChanges(),
    keys: () => dynamodb.keys(),
    async deliver(changes) {
      const mapping = mappingSchema.parse(
        view.properties(view.one("AWS::Lambda::EventSourceMapping", "NewEntries")),
      );
      const patterns = mapping.FilterCriteria.Filters.map(({ Pattern }): unknown => JSON.parse(Pattern));
      const events = shardsOf(changes).flatMap((shard) => {
        const records = shard.map((change) => streamRecord(place, mapping.EventSourceArn, change));
        const passed = records.filter((record) => patterns.some((pattern) => matches(pattern, record)));
        if (passed.length > mapping.BatchSize)
          throw new RangeError("more than a batch: deliver less at a time");
        return passed.length === 0 ? [] : [streamEvent(passed)];
      });
      const { invoke } = target(mapping.FunctionName);
      const delivered = await Promise.allSettled(events.map(invoke));
      for (const result of delivered) if (result.status === "rejected") throw result.reason;
      return events.length;
    },
    stop,
    async close() {
      await stop();
      await servers.close();
    },
  };
}

const scheduleSchema = z.object({ Target: z.object({ Arn: z.string(), Input: z.string().optional() }) });
const mappingSchema = z.object({
  FunctionName: z.string(),
  EventSourceArn: z.string(),
  BatchSize: z.int(),
  FilterCriteria: z.object({ Filters: z.array(z.object({ Pattern: z.string() })) }),
});

const perFunction = <T>(make: (name: FunctionName) => T): Record<FunctionName, T> => ({
  api: make("api"),
  sealer: make("sealer"),
  anchorer: make("anchorer"),
});

async function startServers(artefact: Artefact, place: Place, onCall: (call: Recorded) => void) {
  const folder = await mkdtemp(join(tmpdir(), "kedge-deployment-"));
  const [embedded, kms] = await Promise.all([startDynamodb(), startKms({ dataDir: folder })]);
  const template = resolved(artefact.stacks, place);
  // What is derived is not locked: the index.
  const unlocked = template
    .all("AWS::S3::Bucket")
    .filter(({ Properties }) => Properties["ObjectLockEnabled"] !== true)
    .map((bucket) => template.attribute(bucket, "Ref"));
  const s3 = await startS3({
    isIndex: (bucket) => unlocked.includes(bucket),
    onCall: ({ accessKeyId, action, bucket, key, absent }) => {
      if (action === "s3:ListBucket") {
        const context = { "s3:prefix": key };
        onCall({ accessKeyId, action, resource: `arn:aws:s3:::${bucket}`, context });
        return;
      }
      onCall({ accessKeyId, action, resource: `arn:aws:s3:::${bucket}/${key}`, context: {} });
      // S3 may ask who replaces an object by its ETag for leave to read it as well.
      if (!absent && action === "s3:PutObject")
        onCall({
          accessKeyId,
          action: "s3:GetObject",
          resource: `arn:aws:s3:::${bucket}/${key}`,
          context: {},
        });
      // Of an object that is absent, S3 says so to those alone who may list the bucket; to others it says 403.
      if (absent && action === "s3:GetObject")
        onCall({ accessKeyId, action: "s3:ListBucket", resource: `arn:aws:s3:::${bucket}`, context: {} });
    },
  });
  const keys = await makeKeys(template.all("AWS::KMS::Key"), place, kms.url);
  const view = resolved(artefact.stacks, place, (id) => keys.get(id) ?? id);
  const table = view.one("AWS::DynamoDB::Table", "Table");
  const tableName = view.attribute(table, "Ref");
  await createTable(operatorClient(embedded.url, place.region), tableName);
  const dynamodb = await recordDynamodb(embedded.url, view.attribute(table, "Arn"), onCall);
  const recordedKms = await recordKms(kms.url, onCall);
  return {
    view,
    tableName,
    dynamodb,
    s3,
    endpoints: {
      AWS_ENDPOINT_URL_DYNAMODB: dynamodb.url,
      AWS_ENDPOINT_URL_KMS: recordedKms.url,
      AWS_ENDPOINT_URL_S3: s3.url,
    },
    async close() {
      await Promise.all([dynamodb.close(), recordedKms.close(), s3.close()]);
      await Promise.all([embedded.close(), kms.close()]);
      await rm(folder, { recursive: true });
    },
  };
}

const credentials = { accessKeyId: "operator", secretAccessKey: "secret" };

const operatorClient = (endpoint: string, region: string): DynamoDBClient =>
  new DynamoDBClient({ endpoint, region, credentials });

/** Makes the signing keys of the templates in the embedded KMS. @returns the keys' ids, by logical id. */
async function makeKeys(
  keys: readonly Resource[],
  { region }: Place,
  endpoint: string,
): Promise<Map<string, string>> {
  const client = new KMSClient({ endpoint, region, credentials });
  const ids = new Map<string, string>();
  for (const { id, Properties } of keys) {
    const command = new CreateKeyCommand({
      KeySpec: z.enum(KeySpec).parse(Properties["KeySpec"]),
      KeyUsage: "SIGN_VERIFY",
    });
    const { KeyMetadata } = await client.send(command);
    ids.set(id, z.string().parse(KeyMetadata?.KeyId));
  }
  client.destroy();
  return ids;
}

const SHARDS = 3;

/** As DynamoDB does it: a partition is in one shard, which keeps its order. */
function shardsOf(changes: readonly Change[]): Change[][] {
  const shards: Change[][] = Array.from({ length: SHARDS }, () => []);
  for (const change of changes) {
    const [byte = 0] = createHash("sha256").update(change.pk).digest();
    shards[byte % SHARDS]?.push(change);
  }
  return shards;
}
