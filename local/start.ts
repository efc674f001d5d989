/**
 * The whole system in one process: DynamoDB and KMS embedded, the API on a port, and a loop in place of schedules and
 * stream events that calls the same handlers. The service finds its servers by the AWS SDK's own variables.
 */
import { existsSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { withTimeout } from "@kedge/verify/net/exchange";
import { parsePolicy } from "@kedge/verify/tlog/policy";
import { z } from "zod";
import { handler as anchorHandler } from "../functions/anchorer.ts";
import { createApp } from "../functions/http/app.ts";
import { service } from "../functions/open.ts";
import { handler as sealHandler } from "../functions/sealer.ts";
import { dynamodbClient } from "../platform/dynamodb.ts";
import {
  createKey,
  openFolder,
  startEmbedded,
  useEnvironment,
  writePrivately,
} from "../platform/embedded/embedded.ts";
import { checkPort, type Listening, listen } from "../platform/embedded/listen.ts";
import { createTable } from "../platform/embedded/table.ts";
import { ServiceError } from "../platform/error.ts";

export type LocalOptions = {
  /** Where everything is kept. */
  readonly data: string;
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** Called once for each error that a schedule meets; the log file says more. */
  readonly onTrouble?: (message: string) => void;
};

export type Local = Listening;

const TABLE_NAME = "kedge";
const SEAL_EVERY_MS = 500;
const ANCHOR_EVERY_MS = 2_000;
/** Another process that works on the same data reads it while this one runs, e.g. `kedge tenant create`. */
const ENVIRONMENT_FILE = "environment.json";
/** How long another process has to answer. */
const GRACE_MS = 2_000;

/**
 * Starts on the data folder, which is made if absent and resumed if not.
 * @throws ServiceError `invalid` for a port that is none, `unavailable` when the folder cannot be made or another
 * process has it, `corrupt` when its keys are missing.
 */
export async function startLocal({ data, host, port, onTrouble }: LocalOptions): Promise<Local> {
  checkPort(port);
  const folder = await openFolder(data, "KEDGE_DATA");
  await refuseForgottenPolicy(folder);
  // In the order of opening. Closed in reverse, also when the start fails half-way.
  const open: { close(): Promise<void> }[] = [];
  const close = async () => {
    for (const part of open.splice(0).reverse()) await part.close();
  };
  try {
    open.push(await startEmbedded(folder));
    useEnvironment(await openConfiguration(folder));
    await createTable(dynamodbClient(), TABLE_NAME);
    const app = createApp(service());
    const server = await listen((request) => app.fetch(request), { host, port, portSetting: "KEDGE_PORT" });
    open.push(server);
    useEnvironment({ KEDGE_URL: server.url });
    await writeEnvironment(folder);
    open.push({ close: () => rm(join(folder, ENVIRONMENT_FILE), { force: true }) });
    // Last: what they tell of trouble is told by a process that can be stopped cleanly already.
    open.push(startSchedules(onTrouble));
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

/** The service's configuration. KEDGE_DOMAIN and KEDGE_LOG_FILE of the environment count; so does KEDGE_POLICY. */
async function openConfiguration(folder: string): Promise<Record<string, string>> {
  return {
    KEDGE_TABLE: TABLE_NAME,
    KEDGE_DOMAIN: process.env["KEDGE_DOMAIN"] || "localhost",
    KEDGE_PUBLICATION: `${pathToFileURL(join(folder, "published"))}/`,
    KEDGE_LOG_FILE: process.env["KEDGE_LOG_FILE"] || join(folder, "kedge.log"),
    ...(await openKeys(folder)),
  };
}

/** A log whose policy has witnesses does not go on without them because KEDGE_POLICY was forgotten. */
async function refuseForgottenPolicy(folder: string): Promise<void> {
  const path = join(folder, "published/anchor/policy");
  if (process.env["KEDGE_POLICY"] || !existsSync(path)) return;
  if (parsePolicy(await readFile(path, "utf8")).quorum === "none") return;
  throw new ServiceError(
    "invalid",
    `the anchor log of ${folder} has a policy with witnesses: name its file with KEDGE_POLICY, as before; ` +
      'to go on without witnesses, name one that holds "quorum none"',
  );
}

/** The ids of the signing keys: made on the first start, and never again beside a log that others signed. */
async function openKeys(folder: string): Promise<z.infer<typeof keyIds>> {
  const path = join(folder, "keys.json");
  if (existsSync(path)) return keyIds.parse(JSON.parse(await readFile(path, "utf8")));
  if (existsSync(join(folder, "published"))) {
    throw new ServiceError("corrupt", `${path} is missing: restore it, or start on another data folder`);
  }
  const keys = keyIds.parse({
    KEDGE_LOG_KEY: await createKey("ECC_NIST_EDWARDS25519"),
    KEDGE_ANCHOR_KEY: await createKey("ECC_NIST_EDWARDS25519"),
    KEDGE_ANCHOR_MLDSA_KEY: await createKey("ML_DSA_44"),
  });
  await writePrivately(path, keys);
  return keys;
}

const SHARED =
  /^(AWS_(ENDPOINT_URL_\w+|REGION|ACCESS_KEY_ID|SECRET_ACCESS_KEY)|KEDGE_(URL|TABLE|DOMAIN|PUBLICATION|\w+_KEY|POLICY))$/;

function writeEnvironment(folder: string): Promise<void> {
  const shared = Object.entries(process.env).filter(([name]) => SHARED.test(name));
  return writePrivately(join(folder, ENVIRONMENT_FILE), Object.fromEntries(shared));
}

/** The environment of the process that serves this folder. @throws ServiceError `unavailable` when none does. */
export async function readEnvironment(folder: string): Promise<Record<string, string>> {
  try {
    const text = await readFile(join(folder, ENVIRONMENT_FILE), "utf8");
    const environment = z.record(z.string(), z.string()).parse(JSON.parse(text));
    // kill -9 leaves the file.
    await withTimeout(GRACE_MS, (signal) => fetch(`${environment["KEDGE_URL"]}/healthz`, { signal }));
    return environment;
  } catch (cause) {
    const message = `nothing answers for ${folder}: is it running? Start it with npm start`;
    throw new ServiceError("unavailable", message, { cause });
  }
}

/** Runs again `ms` after the last run ended. */
async function repeat(ms: number, run: () => Promise<unknown>, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await run();
    await sleep(ms, undefined, { signal }).catch(() => undefined);
  }
}
