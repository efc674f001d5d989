/** `kedge witness`: cosign the checkpoints of others' logs, on this machine. */
import { readVkeys } from "@kedge/verify/cli/keys";
import { collect, wholeNumber } from "@kedge/verify/cli/options";
import { CliError, print } from "@kedge/verify/cli/output";
import { formatVkey } from "@kedge/verify/tlog/note";
import type { Command } from "commander";
import { stopOnSignals } from "../platform/embedded/signals.ts";
import { ServiceError } from "../platform/error.ts";
import { policyLines } from "./policy.ts";

type Flags = { name: string; log: string[]; data: string; host: string; port: number };

export function witnessCommand(command: Command): Command {
  return command
    .requiredOption(
      "--name <name>",
      "its name, a schema-less URL such as witness.example.org: never change it",
    )
    .requiredOption(
      "--log <keys>",
      "a log to watch: its vkeys, or a file with one on each line; may be repeated. Where its origin is not the key's name: '<vkey> origin=<origin>'",
      collect,
    )
    .requiredOption("--data <folder>", "where its keys and its record are kept; never restore an older copy")
    .option("--host <address>", "to listen on", "127.0.0.1")
    .option("--port <n>", "to listen on, 0 for a free one", wholeNumber(0, 65_535), 8788)
    .action(runWitness);
}

async function runWitness({ log, ...options }: Flags): Promise<void> {
  // Loaded here, so that no other command loads AWS packages.
  const { startWitness } = await import("./serve.ts");
  const starting = startWitness({ ...options, logs: log.flatMap(watched) });
  const witness = await starting.catch((cause: unknown) => {
    if (!(cause instanceof ServiceError && cause.code === "invalid")) throw cause;
    throw new CliError("misuse", cause.message, { cause });
  });
  stopOnSignals(witness.close);
  print(
    ...witness.vkeys,
    "",
    `Witness     ${witness.url}`,
    ...witness.origins.map((origin) => `Watches     ${origin}`),
    `Log file    ${witness.logFile}`,
    "",
    "In a policy (c2sp.org/tlog-policy), with the URL at which you are reached: the first line, or all three, where the group counts:",
    ...policyLines(options.name, witness.vkeys, witness.url).map((line) => `  ${line}`),
    "",
    "Ctrl-C stops it; the next start goes on where it was.",
  );
}

/** What `--log` was given, as the configuration has it. */
function watched(text: string): string[] {
  return /\sorigin=/.test(text) ? [text] : readVkeys(text).map(formatVkey);
}
