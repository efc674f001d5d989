/** `kedge serve`: the whole system on this machine; on an empty data folder, with a demonstration first. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { openClient } from "@kedge/cli/client/api";
import { parseVkeys } from "@kedge/verify/cli/keys";
import { wholeNumber } from "@kedge/verify/cli/options";
import { print, warn } from "@kedge/verify/cli/output";
import { parseTenantKey } from "@kedge/verify/events/commitment";
import { type Command, Option } from "commander";
import type { TenantCredentials } from "../local/operator.ts";
import type { Local } from "../local/start.ts";
import { stopOnSignals } from "../platform/embedded/signals.ts";
import { demonstrate, SHOWN } from "./demo.ts";

/** Here everything is sealed and anchored within seconds. */
const DEMO_TIMEOUT_MS = 60_000;

type Options = {
  readonly host: string;
  readonly port: number;
  readonly data: string;
  readonly prometheus?: string;
};

export function serveCommand(command: Command): Command {
  const port = new Option("--port <n>", "to listen on, 0 for a free one").env("KEDGE_PORT");
  const data = new Option("--data <folder>", "where everything is kept").env("KEDGE_DATA");
  return command
    .option("--host <address>", "to listen on", "127.0.0.1")
    .addOption(port.argParser(wholeNumber(0, 65_535)).default(8787))
    .addOption(data.default(".kedge"))
    .addOption(new Option("--prometheus <[host:]port>", "metrics, at /metrics there").env("KEDGE_PROMETHEUS"))
    .action(serve);
}

async function serve(options: Options): Promise<void> {
  // Loaded here, so that no other command loads AWS packages.
  const { startLocal } = await import("../local/start.ts");
  const log = process.env["KEDGE_LOG_FILE"] || join(options.data, "kedge.log");
  const onTrouble = (message: string) => warn(`${message}; see ${log} and docs/operations.md`);
  const local = await startLocal({ ...options, onTrouble });
  stopOnSignals(local.close);
  let isWell: boolean;
  try {
    isWell = await local.firstRuns;
    if (isWell) await showOnce(options.data, local.url);
  } catch (error) {
    await local.close();
    throw error;
  }
  const start = isWell ? await startLink(options.data) : undefined;
  print(...(isWell ? whatNext(local, options.data, start) : whatIsWrong(local)), "", ...STOPPING);
}

const credentialsIn = (data: string): string => join(data, "credentials.json");
const demoIn = (data: string): string => join(data, "demo");
/** The event that the demonstration proves, and last of all the proof. */
const shownIn = (data: string): string[] =>
  [SHOWN, `${SHOWN}.tlog-proof`].map((name) => join(demoIn(data), name));
const wasShown = (data: string): boolean => shownIn(data).every((path) => existsSync(path));

/** The next start completes one that was killed: posting the same events again adds nothing. */
async function showOnce(data: string, url: string): Promise<void> {
  const { createTenantForOperator, readCredentials } = await import("../local/operator.ts");
  const path = credentialsIn(data);
  if (!existsSync(path) && wasShown(data)) {
    print(
      `Kedge is running again on ${data}. ${path} is missing: it held the tenant key, without which the openings of its events ` +
        "cannot be derived again. Bring it back from a backup (docs/operations.md, Back up and restore one machine), or make another " +
        "tenant with kedge tenant create.",
    );
    return;
  }
  const tenant = existsSync(path)
    ? await readCredentials(path)
    : await createTenantForOperator({ name: "Demo Hospital", out: path });
  if (tenant === undefined || wasShown(data)) print(`Kedge is running again on ${data}.`);
  else await demonstrate(opened({ ...tenant, url }), demoIn(data), DEMO_TIMEOUT_MS);
}

const opened = ({ url, log, apiKey, tenantKey, logVkey, ...anchor }: TenantCredentials) => ({
  client: openClient({ url, apiKey }),
  log,
  tenantKey: parseTenantKey(tenantKey),
  logVkeys: parseVkeys(logVkey),
  anchorVkeys: parseVkeys(`${anchor.anchorVkey} ${anchor.anchorMldsaVkey ?? ""}`),
});

/** @returns undefined where there is no tenant to sign in to, or the port is open to other machines. */
async function startLink(data: string): Promise<string | undefined> {
  const { startLinkForOperator } = await import("../local/operator.ts");
  try {
    return await startLinkForOperator({ data });
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "invalid") return undefined;
    throw error;
  }
}

const whatNext = ({ url, logFile }: Local, data: string, start: string | undefined): string[] => [
  "",
  ...(start === undefined
    ? []
    : [
        `Console     ${start}`,
        "            signs you in once, within 15 minutes; npx kedge sign-in prints another",
        "",
      ]),
  `API         ${url}`,
  `Reference   ${url}/docs`,
  `Anchor log  ${url}/anchor/checkpoint`,
  ...(existsSync(credentialsIn(data))
    ? [`Keys        ${credentialsIn(data)} (the kedge command reads it)`]
    : []),
  `Log file    ${logFile}`,
  "",
  "Try, in another terminal:",
  ...(wasShown(data) ? [`  npx kedge verify ${shownIn(data).join(" ")}`] : []),
  "  npx kedge post <your events: a file, a folder or NDJSON> --wait anchored",
  "  npx kedge proof <the same> --out proofs",
  "  npx kedge verify <the same> proofs",
];

/** Below a refusal, which says what to do, nobody is to be told that all is well. */
const whatIsWrong = ({ url, logFile }: Local): string[] => [
  "Kedge is up, and does not sign everything: see above.",
  "",
  `API         ${url}`,
  `What waits  ${url}/readyz`,
  `Log file    ${logFile}`,
];

const STOPPING = ["Ctrl-C stops it; the next start goes on where it was."];
