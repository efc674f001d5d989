/**
 * The whole system in one process: the store in a folder, KMS embedded, the API on a port, and a loop in place of schedules
 * and stream events that calls the same handlers. The service finds KMS by the AWS SDK's own variables.
 */
import { rm, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { isLoopback } from "@kedge/verify/net/fetch";
import { createApp } from "../functions/http/app.ts";
import { closeService, service } from "../functions/open.ts";
import { ignoreAbsent } from "../platform/durable.ts";
import { openFolder, useEnvironment } from "../platform/embedded/embedded.ts";
import { checkPort, type Listening, listen } from "../platform/embedded/listen.ts";
import { ServiceError } from "../platform/error.ts";
import { type LogFields, logLine } from "../platform/log.ts";
import { checkConfig } from "../service/config-sealing.ts";
import {
  configuration,
  ENVIRONMENT_FILE,
  findServing,
  lockData,
  openData,
  writeEnvironment,
} from "./open.ts";
import { startPrometheus } from "./prometheus.ts";
import { openSchedules } from "./schedules.ts";
import { beginKeys, checkFolder, keepPrivate, refuseForgottenPolicy, refuseOtherDomain } from "./state.ts";

export type LocalOptions = {
  /** Where everything is kept. */
  readonly data: string;
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** Where metrics are served (prometheus.ts); absent: nowhere. */
  readonly prometheus?: string;
  /** Called once for each error that a schedule meets; the log file says more. */
  readonly onTrouble?: (message: string) => void;
};

export type Local = Listening & {
  readonly logFile: string;
  /** Resolves once everything was tried once, or is not done soon: to whether all went well by then. */
  readonly firstRuns: Promise<boolean>;
};

/**
 * Starts on the data folder, which is made if absent and resumed if not. Nothing is made before the port is open and the
 * configuration is known to be right.
 * @throws ServiceError `invalid` for a port that is none or a wrong configuration, `unavailable` when the folder or the
 * port cannot be had, `conflict` when Kedge runs on the folder already, `corrupt` when part of the folder is lost.
 */
export async function startLocal({ data, host, port, prometheus, onTrouble }: LocalOptions): Promise<Local> {
  checkPort(port);
  const path = resolve(data);
  if (!((await stat(path).catch(ignoreAbsent))?.isDirectory() ?? true)) await openFolder(path, "KEDGE_DATA");
  await refuseForgottenPolicy(path);
  const { anchorOrigin } = checkConfig({ ...process.env, ...configuration(path), ...NO_KEYS });
  await refuseOtherDomain(path, anchorOrigin);
  let answer: (request: Request) => Response | Promise<Response> = starting;
  const server = await listen((request) => answer(request), { host, port, portSetting: "KEDGE_PORT" }).catch(
    (error) => explained(error, path),
  );
  // In the order of opening, but for the server. Closed in reverse, also when the start fails half-way.
  const open: { close(): Promise<void> }[] = [server];
  const close = async () => {
    for (const part of open.splice(0).reverse()) await part.close();
  };
  try {
    if (prometheus !== undefined) open.push(await startPrometheus(prometheus));
    await checkFolder(path);
    const folder = await openFolder(data, "KEDGE_DATA");
    open.unshift({ close: await lockData(folder).catch((error) => explained(error, path)) });
    await keepPrivate(folder);
    await beginKeys(folder);
    open.splice(1, 0, await openData(folder, { begin: true }), { close: closeService });
    const schedules = openSchedules(onTrouble);
    const startLinks = isLoopback(new URL(server.url));
    const app = createApp({ ...service(), onAppended: schedules.onAppended, startLinks });
    answer = (request) => app.fetch(request);
    useEnvironment({ KEDGE_URL: server.url });
    await writeEnvironment(folder);
    open.push({ close: () => rm(join(folder, ENVIRONMENT_FILE), { force: true }) });
    logLine("info", { event: "start", version: readVersion(), node: process.version, ...settings(folder) });
    open.push({ close: async () => logLine("info", { event: "stop" }) });
    // Last: what they tell of trouble is told by a process that can be stopped cleanly already.
    open.push(schedules);
    const logFile = process.env["KEDGE_LOG_FILE"] ?? "";
    return { url: server.url, logFile, firstRuns: schedules.start(), close };
  } catch (error) {
    await close();
    throw error;
  }
}

const starting = (): Response =>
  new Response("Kedge is starting\n", { status: 503, headers: { "Retry-After": "1" } });

/** Says so where the folder or the port is taken by Kedge itself, on this folder. */
async function explained(error: unknown, folder: string): Promise<never> {
  if (!(error instanceof ServiceError) || error.code !== "unavailable") throw error;
  const url = (await findServing(folder))?.["KEDGE_URL"];
  if (url === undefined) throw error;
  const message = `Kedge runs on ${folder} already, at ${url}: stop that first, or name another folder with KEDGE_DATA`;
  throw new ServiceError("conflict", message, { cause: error });
}

/** Of all packages; they have one. */
const readVersion = (): string => {
  const { version }: { version: string } = createRequire(import.meta.url)("@kedge/verify/package.json");
  return version;
};

/** What the log says of a start: no secret, and of URLs of others only their hosts. */
function settings(folder: string): LogFields {
  const { policy, anchorOrigin } = service();
  const hosts = (name: string) =>
    (process.env[name] ?? "")
      .split(/\s+/)
      .filter((url) => URL.canParse(url))
      .map((url) => new URL(url).host)
      .join(" ") || undefined;
  return {
    url: process.env["KEDGE_URL"],
    data: folder,
    anchor: anchorOrigin,
    policy: process.env["KEDGE_POLICY"] || "none",
    witnesses: policy.witnesses.map(({ name }) => name).join(" ") || undefined,
    logKeys: process.env["KEDGE_LOG_KEY"],
    anchorKeys: process.env["KEDGE_ANCHOR_KEY"],
    anchorMldsaKeys: process.env["KEDGE_ANCHOR_MLDSA_KEY"],
    tsa: hosts("KEDGE_TSA_URLS"),
    calendars: hosts("KEDGE_OTS_CALENDARS"),
  };
}

/** To see whether the rest is right before any key is made. */
const NO_KEYS = { KEDGE_LOG_KEY: "none", KEDGE_ANCHOR_KEY: "none" };
