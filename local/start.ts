/**
 * The whole system in one process: DynamoDB and KMS embedded, the API on a port, and a loop in place of schedules and
 * stream events that calls the same handlers. The service finds its servers by the AWS SDK's own variables.
 */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { CreateKeyCommand, type KeySpec, KMSClient } from "@aws-sdk/client-kms";
import { getRequestListener } from "@hono/node-server";
import { z } from "zod";
import { handler as anchorHandler } from "../functions/anchorer.ts";
import { createApp } from "../functions/http/app.ts";
import { service } from "../functions/open.ts";
import { handler as sealHandler } from "../functions/sealer.ts";
import { dynamodbClient } from "../service/dynamodb.ts";
import { ServiceError } from "../service/error.ts";
import { makeFolder } from "../service/folder.ts";
import { startDynamodb } from "./dynamodb.ts";
import { startKms } from "./kms.ts";
import { createTable } from "./table.ts";

export type LocalOptions = {
  /** Where everything is kept. */
  readonly data: string;
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** Told once of each thing that keeps a schedule from its work; the log file says more. */
  readonly onTrouble?: (message: string) => void;
};

export type Local = { readonly url: string; close(): Promise<void> };

const TABLE_NAME = "kedge";
const SEAL_EVERY_MS = 500;
const ANCHOR_EVERY_MS = 2_000;
/** Another process that works on the same data reads it while this one runs, e.g. `kedge tenant create`. */
const ENVIRONMENT_FILE = "environment.json";
/** How long a close lets requests under way finish, and how long another process has to answer. */
const GRACE_MS = 2_000;

/** What one client may take of the port, who need not have an API key. */
const LIMITS = { headersTimeout: 10_000, requestTimeout: 60_000, connectionsCheckingInterval: 5_000 };
const IDLE_MS = 60_000;
const MAX_CONNECTIONS = 500;
/** Node answers pipelined requests in their order and keeps the later answers in memory until then. */
const MAX_REQUESTS_PER_CONNECTION = 100;

/**
 * Starts on the data folder, which is made if absent and resumed if not.
 * @throws ServiceError `invalid` for a port that is none, `unavailable` when the folder cannot be made or another
 * process has it, `corrupt` when its keys are missing.
 */
export async function startLocal({ data, host, port, onTrouble }: LocalOptions): Promise<Local> {
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new ServiceError("invalid", `there is no port ${port}: name one from 0 to 65535`);
  }
  const folder = resolve(data);
  await makeFolder(folder, 0o700).catch((cause: unknown) => {
    throw new ServiceError("unavailable", `${folder} cannot be made: name another with KEDGE_DATA`, {
      cause,
    });
  });
  // What is open, in the order of opening: closed in the reverse one, also when the start fails half-way.
  const open: { close(): Promise<void> }[] = [];
  const close = async () => {
    for (const part of open.splice(0).reverse()) await part.close();
  };
  try {
    // Nobody else on this machine may write to the store or sign.
    const accessKeyId = randomBytes(16).toString("hex");
    // First of all, because its lock tells that no other process has the folder.
    const dynamodb = await startDynamodb({ dataDir: folder, accessKeyId });
    open.push(dynamodb);
    const kms = await startKms({ dataDir: folder, accessKeyId });
    open.push(kms);
    useEnvironment({
      AWS_ENDPOINT_URL_DYNAMODB: dynamodb.url,
      AWS_ENDPOINT_URL_KMS: kms.url,
      AWS_REGION: "us-east-1",
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: "local",
    });
    useEnvironment(await openConfiguration(folder));
    await createTable(dynamodbClient(), TABLE_NAME);
    open.push(startSchedules(onTrouble));
    const server = await listen(host, port);
    open.push(server);
    useEnvironment({ KEDGE_URL: server.url });
    await writeEnvironment(folder);
    open.push({ close: () => rm(join(folder, ENVIRONMENT_FILE), { force: true }) });
    return { url: server.url, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function startSchedules(onTrouble: LocalOptions["onTrouble"]): { close(): Promise<void> } {
  const stopping = new AbortController();
  const told = new Set<string>();
  const tell = (error: unknown) => {
    const message = error instanceof Error ? error.message : String(error);
    if (!told.has(message)) onTrouble?.(message);
    told.add(message);
  };
  const loops = [
    repeat(SEAL_EVERY_MS, () => sealHandler({}).catch(tell), stopping.signal),
    repeat(ANCHOR_EVERY_MS, () => anchorHandler().catch(tell), stopping.signal),
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
    KEDGE_DOMAIN: process.env["KEDGE_DOMAIN"] || "localhost",
    KEDGE_PUBLICATION: `${pathToFileURL(join(folder, "published"))}/`,
    KEDGE_LOG_FILE: process.env["KEDGE_LOG_FILE"] || join(folder, "kedge.log"),
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

/** Also drops what would keep the AWS SDK from these credentials: a profile, the token of others. */
export function useEnvironment(variables: Readonly<Record<string, string>>): void {
  delete process.env["AWS_PROFILE"];
  delete process.env["AWS_SESSION_TOKEN"];
  Object.assign(process.env, variables);
}

/** The environment of the process that serves this folder. @throws ServiceError `unavailable` when none does. */
export async function readEnvironment(folder: string): Promise<Record<string, string>> {
  try {
    const text = await readFile(join(folder, ENVIRONMENT_FILE), "utf8");
    const environment = z.record(z.string(), z.string()).parse(JSON.parse(text));
    // kill -9 leaves the file.
    await fetch(`${environment["KEDGE_URL"]}/healthz`, { signal: AbortSignal.timeout(GRACE_MS) });
    return environment;
  } catch (cause) {
    const message = `nothing answers for ${folder}: is it running? Start it with npm start`;
    throw new ServiceError("unavailable", message, { cause });
  }
}

/** Readable by its owner only, and never half written. One process at a time writes to a data folder. */
async function writePrivately(path: string, value: unknown): Promise<void> {
  const temporary = `${path}.tmp`;
  await writeFile(temporary, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600, flush: true });
  await chmod(temporary, 0o600);
  await rename(temporary, path);
}

function listen(host: string, port: number): Promise<Local> {
  const app = createApp(service());
  const server = createServer(
    LIMITS,
    getRequestListener((request) => app.fetch(request), { hostname: host }),
  );
  server.timeout = IDLE_MS;
  server.maxConnections = MAX_CONNECTIONS;
  server.maxRequestsPerSocket = MAX_REQUESTS_PER_CONNECTION;
  const close = async () => {
    const cut = setTimeout(() => server.closeAllConnections(), GRACE_MS);
    await new Promise((closed) => server.close(closed));
    clearTimeout(cut);
  };
  return new Promise((done, refuse) => {
    const refused = (cause: unknown) => {
      const message = `port ${port} of ${host} cannot be opened: name another with KEDGE_PORT`;
      refuse(new ServiceError("unavailable", message, { cause }));
    };
    server.once("error", refused);
    server.listen(port, host, () => {
      server.off("error", refused);
      const address = server.address();
      const bound = typeof address === "object" ? address?.port : port;
      done({ url: `http://${host.includes(":") ? `[${host}]` : host}:${bound}`, close });
    });
  });
}

/** Runs again `ms` after the last run ended. */
async function repeat(ms: number, run: () => Promise<unknown>, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await run();
    await sleep(ms, undefined, { signal }).catch(() => undefined);
  }
}
