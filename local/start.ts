/**
 * The whole system in one process: DynamoDB and KMS embedded, the API on a port, and a loop in place of schedules and
 * stream events that calls the same handlers. The service finds its servers by the AWS SDK's own variables.
 */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { CreateKeyCommand, type KeySpec, KMSClient } from "@aws-sdk/client-kms";
import { serve } from "@hono/node-server";
import { z } from "zod";
import { handler as anchorHandler } from "../functions/anchorer.ts";
import { createApp } from "../functions/http/app.ts";
import { service } from "../functions/open.ts";
import { handler as sealHandler } from "../functions/sealer.ts";
import { dynamodbClient } from "../service/dynamodb.ts";
import { ServiceError } from "../service/error.ts";
import { startDynamodb } from "./dynamodb.ts";
import { startKms } from "./kms.ts";
import { createTable } from "./table.ts";

export type LocalOptions = {
  /** Where everything is kept. */
  readonly data: string;
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
};

export type Local = { readonly url: string; close(): Promise<void> };

const TABLE_NAME = "kedge";
const SEAL_EVERY_MS = 500;
const ANCHOR_EVERY_MS = 2_000;
/** Another process that works on the same data reads it, e.g. `kedge tenant create`. */
const ENVIRONMENT_FILE = "environment.json";

/**
 * Starts on the data folder, which is made if absent and resumed if not.
 * @throws ServiceError `unavailable` when another process has the folder, `corrupt` when its keys are missing.
 */
export async function startLocal({ data, host, port }: LocalOptions): Promise<Local> {
  const folder = resolve(data);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  // What is open, in the order of opening: closed in the reverse one, also when the start fails half-way.
  const open: { close(): Promise<void> }[] = [];
  const close = async () => {
    for (const part of open.splice(0).reverse()) await part.close();
  };
  try {
    // First of all, because its lock tells that no other process has the folder.
    const dynamodb = await startDynamodb({ dataDir: folder });
    open.push(dynamodb);
    const kms = await startKms({ dataDir: folder });
    open.push(kms);
    Object.assign(process.env, {
      AWS_ENDPOINT_URL_DYNAMODB: dynamodb.url,
      AWS_ENDPOINT_URL_KMS: kms.url,
      AWS_REGION: "us-east-1",
      AWS_ACCESS_KEY_ID: "local",
      AWS_SECRET_ACCESS_KEY: "local",
    });
    Object.assign(process.env, await openConfiguration(folder));
    await createTable(dynamodbClient(), TABLE_NAME);
    open.push(startSchedules());
    const server = await listen(host, port);
    open.push(server);
    process.env["KEDGE_URL"] = server.url;
    await writeEnvironment(folder);
    return { url: server.url, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function startSchedules(): { close(): Promise<void> } {
  const stopping = new AbortController();
  const loops = [
    repeat(SEAL_EVERY_MS, () => sealHandler({}), stopping.signal),
    repeat(ANCHOR_EVERY_MS, () => anchorHandler(), stopping.signal),
  ];
  return {
    async close() {
      stopping.abort();
      await Promise.all(loops);
    },
  };
}

const keyIds = z.strictObject({
  KEDGE_LOG_KEY: z.string(),
  KEDGE_ANCHOR_KEY: z.string(),
  KEDGE_ANCHOR_MLDSA_KEY: z.string(),
});

/** The service's configuration; what the environment already says of the domain and the policy stands. */
async function openConfiguration(folder: string): Promise<Record<string, string>> {
  return {
    KEDGE_TABLE: TABLE_NAME,
    KEDGE_DOMAIN: process.env["KEDGE_DOMAIN"] ?? "localhost",
    KEDGE_PUBLICATION: `${pathToFileURL(join(folder, "published"))}/`,
    KEDGE_LOG_FILE: process.env["KEDGE_LOG_FILE"] ?? join(folder, "kedge.log"),
    ...(await openKeys(folder)),
  };
}

/** The ids of the signing keys: made on the first start, and never again beside a log that others signed. */
async function openKeys(folder: string): Promise<z.infer<typeof keyIds>> {
  const path = join(folder, "keys.json");
  if (existsSync(path)) return keyIds.parse(JSON.parse(await readFile(path, "utf8")));
  if (existsSync(join(folder, "published"))) {
    throw new ServiceError("corrupt", `${path} is missing: restore it, or start on another data folder`);
  }
  const client = new KMSClient({});
  const create = async (KeySpec: KeySpec): Promise<string> => {
    const { KeyMetadata } = await client.send(new CreateKeyCommand({ KeySpec, KeyUsage: "SIGN_VERIFY" }));
    return KeyMetadata?.KeyId ?? "";
  };
  const keys = keyIds.parse({
    KEDGE_LOG_KEY: await create("ECC_NIST_EDWARDS25519"),
    KEDGE_ANCHOR_KEY: await create("ECC_NIST_EDWARDS25519"),
    KEDGE_ANCHOR_MLDSA_KEY: await create("ML_DSA_44"),
  });
  client.destroy();
  await writePrivately(path, keys);
  return keys;
}

const SHARED =
  /^(AWS_(ENDPOINT_URL_\w+|REGION|ACCESS_KEY_ID|SECRET_ACCESS_KEY)|KEDGE_(URL|TABLE|DOMAIN|PUBLICATION|\w+_KEY|POLICY))$/;

function writeEnvironment(folder: string): Promise<void> {
  const shared = Object.entries(process.env).filter(([name]) => SHARED.test(name));
  return writePrivately(join(folder, ENVIRONMENT_FILE), Object.fromEntries(shared));
}

/** The environment of the process that serves this folder. @throws ServiceError `not_found` when none has. */
export async function readEnvironment(folder: string): Promise<Record<string, string>> {
  const text = await readFile(join(folder, ENVIRONMENT_FILE), "utf8").catch((cause: unknown) => {
    throw new ServiceError("not_found", `nothing is served from ${folder}: start it with npm start`, {
      cause,
    });
  });
  return z.record(z.string(), z.string()).parse(JSON.parse(text));
}

/** Readable by its owner only, and never half written. */
export async function writePrivately(path: string, value: unknown): Promise<void> {
  const temporary = `${path}.${randomUUID()}`;
  await writeFile(temporary, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600, flush: true });
  await chmod(temporary, 0o600);
  await rename(temporary, path);
}

function listen(host: string, port: number): Promise<Local> {
  return new Promise((done, refuse) => {
    const server = serve({ fetch: createApp(service()).fetch, hostname: host, port }, (address) => {
      server.off("error", refuse);
      done({
        url: `http://${host.includes(":") ? `[${host}]` : host}:${address.port}`,
        close: () => new Promise((closed) => server.close(() => closed())),
      });
    });
    server.once("error", (cause: unknown) => {
      const message = `port ${port} of ${host} cannot be opened: name another with KEDGE_PORT`;
      refuse(new ServiceError("unavailable", message, { cause }));
    });
  });
}

/** Runs again `ms` after the last run ended. The handlers log what goes wrong; the next run makes it good. */
async function repeat(ms: number, run: () => Promise<void>, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await run().catch(() => undefined);
    await sleep(ms, undefined, { signal }).catch(() => undefined);
  }
}
