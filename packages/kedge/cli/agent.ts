/** `kedge agent`: takes events in, journals, numbers, commits and posts them, for as long as it runs. */
import { existsSync, readdirSync } from "node:fs";
import { open } from "node:fs/promises";
import { namedLog, serviceConnection, withLog, withTenantKey } from "@kedge/verify/cli/credentials";
import { collect } from "@kedge/verify/cli/options";
import { CliError, EXIT_FAILED, misuse, print, printJson } from "@kedge/verify/cli/output";
import { ClientError } from "@kedge/verify/error";
import { type Command, Option } from "commander";
import type { AgentConfig } from "../agent/config.ts";
import { AgentError } from "../agent/error.ts";
import { FLAGS } from "../agent/kinds.ts";
import type { SourceStatus } from "../agent/status.ts";
import { JournalError } from "../journal/error.ts";
import { type KeyringFlags, keyringMisuse, keyringPlace, withKeyring } from "./keyring.ts";

type AgentFlags = KeyringFlags & {
  config?: string;
  data?: string;
  health?: string;
  json?: boolean;
  [source: string]: unknown;
};

export function agentCommand(command: Command): Command {
  withSources(command).addHelpText("after", HELP).action(withFlags(runCommand));
  command
    .command("init")
    .description("write a commented configuration to begin with")
    .argument("[file]", "the configuration", "agent.json")
    .action(init);
  withSources(command.command("check"))
    .description("say what the agent would do, and do nothing")
    .action(withFlags(check));
  withKeyring(withTenantKey(withLog(command.command("status"))))
    .description("how far each source has come")
    .option("--config <file>", "whose data it is")
    .option("--data <folder>", "of the journal")
    .option("--json", "as JSON")
    .action(withFlags(status));
  command
    .command("unit")
    .description("print a unit for systemd")
    .action(async () => {
      const { UNIT } = await import("../agent/init.ts");
      process.stdout.write(UNIT);
    });
  return command;
}

const HELP = `
Without a configuration, each source is a flag, and service and key are from the credentials:
  kedge agent --data DIR ${FLAGS.map(({ flag, value }) => `--${flag} NAME=${value}`).join(" ")}`;

function withSources(command: Command): Command {
  withKeyring(withTenantKey(withLog(command)))
    .option("--config <file>", "the configuration: kedge agent init writes one")
    .option("--data <folder>", "of the journal, without a configuration")
    .option("--health <url>", "where health and metrics are, or off (default: http://127.0.0.1:9465)");
  for (const { flag, value, what } of FLAGS) {
    command.addOption(new Option(`--${flag} <name=${value}>`, `${what}; may be repeated`).argParser(collect));
  }
  return command.addOption(
    new Option(
      "--upstream <name=url>",
      "pass what this source takes on, as it came; may be repeated",
    ).argParser(collect),
  );
}

async function runCommand(flags: AgentFlags): Promise<void> {
  const settings = await settingsOf(flags);
  const { runAgent } = await import("../agent/agent.ts");
  // What the process list shows has no path and no name.
  process.title = "kedge agent";
  const stop = new AbortController();
  const onSignal = () => {
    // Who asks twice does not want to wait.
    if (stop.signal.aborted) process.exit(EXIT_FAILED);
    stop.abort();
  };
  process.on("SIGTERM", onSignal).on("SIGINT", onSignal);
  await runAgent(settings, stop.signal);
}

/** All that the agent is told. Throws CliError, AgentError. */
async function settingsOf(flags: AgentFlags) {
  const config = await configOf(flags);
  const named = withConfig(flags, config);
  const { openKeyring } = await import("../keys/keyring.ts");
  const keys = await keyringMisuse(() => openKeyring(keyringPlace(named)));
  return { config, connection: serviceConnection(named), log: namedLog(named), keys };
}

async function configOf(flags: AgentFlags): Promise<AgentConfig> {
  const { configOfFlags, readConfig } = await import("../agent/config.ts");
  const { config, data, health } = flags;
  const sources = new Map(FLAGS.map(({ flag }) => [flag, textsOf(flags[flag])]));
  const upstreams = textsOf(flags["upstream"]);
  const isFlagged =
    data !== undefined || upstreams.length > 0 || [...sources.values()].some(({ length }) => length > 0);
  if (config !== undefined && (isFlagged || health !== undefined)) {
    throw misuse("--config has all of it: leave --data, --health and the flags of sources out");
  }
  if (config !== undefined) return readConfig(config);
  if (data === undefined) throw misuse("Name a configuration with --config, or a folder with --data");
  return configOfFlags(data, { sources, upstreams, ...(health === undefined ? {} : { health }) });
}

const textsOf = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((text) => typeof text === "string") : [];

/** A flag counts before the configuration. */
function withConfig(
  flags: KeyringFlags,
  { credentials, keyring, passphraseFile }: Pick<AgentConfig, "credentials" | "keyring" | "passphraseFile">,
): KeyringFlags {
  return {
    ...(credentials === undefined ? {} : { credentials }),
    ...(keyring === undefined ? {} : { keyring }),
    ...(passphraseFile === undefined ? {} : { passphraseFile }),
    ...flags,
  };
}

async function init(file: string): Promise<void> {
  const { initialConfig } = await import("../agent/init.ts");
  try {
    const created = await open(file, "wx", 0o600);
    await created.writeFile(initialConfig());
    await created.close();
  } catch (cause) {
    throw misuse(`${file} cannot be created: it exists already, or its folder does not`, cause);
  }
  print(`${file} is written. Edit it, and then: kedge agent check --config ${file}`);
}

// ---- check ------------------------------------------------------------------------------------------------------------

async function check(flags: AgentFlags): Promise<void> {
  const { config, connection, log } = await settingsOf(flags);
  const { describeSource, lookAt } = await import("../agent/kinds.ts");
  const { DEFAULT_HEALTH } = await import("../agent/config.ts");
  const { describeListener, HTTP_SCHEMES } = await import("../agent/listen.ts");
  const health = config.health === false ? undefined : (config.health?.listen ?? DEFAULT_HEALTH);
  print(
    `data      ${config.data}: ${dataState(config.data)}`,
    `service   ${connection.url}, log ${log}`,
    `health    ${health === undefined ? "none" : describeListener(health, HTTP_SCHEMES)}`,
    `alerts    not posted after ${config.lagAfter} s, accepted and not sealed after ${config.alertAfter} s`,
  );
  for (const source of config.sources) {
    print(`source    ${source.name}: ${source.kind}`);
    for (const line of [...describeSource(source), ...(await lookAt(source))]) print(`          ${line}`);
  }
  await checkService(connection, log);
}

function dataState(folder: string): string {
  if (!existsSync(folder)) return "would be made";
  return readdirSync(folder).includes("journal.mdb") ? "has a journal, which goes on" : "has no journal yet";
}

/** Whether the key is taken. An outage is no fault of the configuration, and is told all the same. */
async function checkService(connection: ReturnType<typeof serviceConnection>, log: string): Promise<void> {
  const { openClient } = await import("../client/api.ts");
  try {
    const { origin } = await openClient({ ...connection, attempts: 1 }).log(log);
    print(`answer    the log is ${origin}`);
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    throw new CliError("failed", `${error.message}. The agent would journal, and go on asking`, {
      cause: error,
    });
  }
}

// ---- status -----------------------------------------------------------------------------------------------------------

async function status(flags: AgentFlags): Promise<void> {
  const { readConfig } = await import("../agent/config.ts");
  const config = flags.config === undefined ? undefined : readConfig(flags.config);
  const folder = flags.data ?? config?.data;
  if (folder === undefined) throw misuse("Name the folder of the journal with --data, or the configuration");
  const { readJournal } = await import("../journal/journal.ts");
  const { statusOf } = await import("../agent/status.ts");
  const keys = await keysAtHand(withConfig(flags, config ?? {}));
  const journal = readJournal({ folder, ...(keys && { keys }) });
  if (journal === undefined)
    throw misuse(`There is no journal in ${folder}: has the agent run with this --data?`);
  try {
    const found = statusOf(journal);
    if (flags.json) printJson(found);
    else print(...statusLines(found.sources));
  } finally {
    await journal.close();
  }
}

/** Without the keys, all is told but what kind each gap is of. */
async function keysAtHand(flags: KeyringFlags) {
  const { openKeyring } = await import("../keys/keyring.ts");
  const { KeyringError } = await import("../keys/error.ts");
  try {
    return await openKeyring(keyringPlace(flags, { mayAsk: false }));
  } catch (error) {
    if (error instanceof KeyringError) return undefined;
    throw error;
  }
}

function statusLines(sources: readonly SourceStatus[]): string[] {
  if (sources.length === 0) return ["No source has been taken in yet."];
  const columns = ["seen", "journalled", "posted", "sealed", "last"] as const;
  const width = Math.max(6, ...sources.map(({ name }) => name.length));
  return [
    `${"source".padEnd(width)}${columns.map((column) => column.padStart(14)).join("")}  gaps`,
    ...sources.flatMap((source) => [
      `${source.name.padEnd(width)}${columns.map((column) => `${source[column]}`.padStart(14)).join("")}  ${source.gaps.length}`,
      ...source.gaps.slice(-MAX_SHOWN).map(({ number, kind, at, detail }) => {
        return `  number ${number}: ${kind}, ${at}${detail === undefined ? "" : `, ${detail}`}`;
      }),
    ]),
  ];
}

/** Gaps of a source that a person reads; all of them are in the JSON. */
const MAX_SHOWN = 10;

/** Commander gives the flags of a subcommand to `agent`, which has them too. Errors of these kinds say what to do. */
const withFlags =
  (run: (flags: AgentFlags) => Promise<void>) =>
  async (_: AgentFlags, command: Command): Promise<void> => {
    try {
      await run(command.optsWithGlobals<AgentFlags>());
    } catch (error) {
      throw error instanceof AgentError || error instanceof JournalError
        ? misuse(error.message, error)
        : error;
    }
  };
