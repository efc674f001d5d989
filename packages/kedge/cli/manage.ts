/** `kedge key` and `kedge log`: a tenant's own keys and logs, with an admin key. */
import { keepLogVkeys, type SettingFlags, withService } from "@kedge/verify/cli/credentials";
import { matching, repeated } from "@kedge/verify/cli/options";
import { print, printJson } from "@kedge/verify/cli/output";
import { time } from "@kedge/verify/cli/time";
import type { Command } from "commander";
import { SCOPES } from "../contract/ids.ts";
import { openService } from "./service.ts";

type JsonFlags = SettingFlags & { json?: boolean };
/** `expiresAt` in ms since the epoch. */
type KeyFlags = JsonFlags & { scope: string[]; expiresAt?: number };

const scope = matching(new RegExp(`^(${SCOPES.join("|")})$`), `Allowed choices are ${SCOPES.join(", ")}`);

export function keyCommand(command: Command): Command {
  command.addHelpText(
    "after",
    "\nAPI keys let a program talk to the service. The tenant keys, which commitments are made under, are `kedge keys`.",
  );
  withService(command.command("create"))
    .description("create an API key; it is shown once")
    .argument("<name>")
    .requiredOption("--scope <scope>", `${SCOPES.join(", ")}; may be repeated`, repeated(scope))
    .option("--log <id>", "the only log it may use")
    .option("--expires-at <time>", "RFC 3339", time)
    .option("--json", "as JSON")
    .action(createKey);
  withService(command.command("list"))
    .description("list API keys")
    .option("--json", "as JSON")
    .action(listKeys);
  withService(command.command("revoke"))
    .description("revoke an API key at once")
    .argument("<id>")
    .action(async (id: string, flags: SettingFlags) => {
      await (await openService(flags)).revokeKey(id);
      print(`${id} is revoked.`);
    });
  return command;
}

export function logCommand(command: Command): Command {
  withService(command.command("create"))
    .description("create a log")
    .argument("<name>")
    .option("--json", "as JSON")
    .action(createLog);
  withService(command.command("list"))
    .description("list the logs")
    .option("--json", "as JSON")
    .action(async (flags: JsonFlags) => {
      showLogs(await (await openService(flags)).logs(), flags);
    });
  return command;
}

/** Its keys are kept beside those that the credentials have: of its first moment, and as much worth as the service then. */
async function createLog(name: string, flags: JsonFlags): Promise<void> {
  const log = await (await openService(flags)).createLog(name);
  showLogs([log], flags);
  const path = await keepLogVkeys(flags, log.vkeys);
  if (!flags.json && path !== undefined) print(`Its keys are kept in ${path}.`);
}

async function createKey(name: string, flags: KeyFlags): Promise<void> {
  const { scope: scopes, log, expiresAt } = flags;
  const client = await openService(flags);
  const key = await client.createKey({
    name,
    scopes,
    ...(log === undefined ? {} : { log }),
    ...(expiresAt === undefined ? {} : { expiresAt: new Date(expiresAt).toISOString() }),
  });
  if (flags.json) printJson(key);
  else print(`key ${key.id}`, `API key, shown only now: ${key.apiKey}`);
}

async function listKeys(flags: JsonFlags): Promise<void> {
  const keys = await (await openService(flags)).keys();
  if (flags.json) {
    printJson(keys);
    return;
  }
  for (const { id, name, scopes, log, expiresAt, revokedAt } of keys) {
    const limits = [
      ...(log === undefined ? [] : [`log ${log}`]),
      ...(expiresAt === undefined ? [] : [`expires ${expiresAt}`]),
      ...(revokedAt === undefined ? [] : [`revoked ${revokedAt}`]),
    ];
    print([id, scopes.join(","), ...limits, name].join("  "));
  }
}

/** With all keys that sign now: while one takes over from another, there are two. */
function showLogs(
  logs: readonly { id: string; name: string; vkeys: readonly string[] }[],
  { json }: JsonFlags,
): void {
  if (json) printJson(logs);
  else for (const { id, name, vkeys } of logs) print(`${id}  ${name}`, ...vkeys.map((vkey) => `  ${vkey}`));
}
