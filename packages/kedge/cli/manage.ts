/** A tenant's own keys and logs, with an admin key. */

import { collect, type SettingFlags, withService } from "@kedge/verify/cli/credentials";
import { misuse, print, printJson } from "@kedge/verify/cli/output";
import { quoted } from "@kedge/verify/text";
import type { Command } from "commander";
import { SCOPES } from "../contract/ids.ts";
import { openService } from "./service.ts";

type KeyFlags = SettingFlags & { scope?: string[]; log?: string; expiresAt?: string; json?: boolean };

type JsonFlags = SettingFlags & { json?: boolean };

export function keyCommand(command: Command): Command {
  withService(command.command("create"))
    .description("create an API key; it is shown once")
    .argument("<name>")
    .requiredOption("--scope <scope>", "write, read or admin; may be repeated", collect)
    .option("--log <id>", "the only log it may use")
    .option("--expires-at <time>", "RFC 3339")
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
    .action(async (name: string, flags: JsonFlags) => {
      showLogs([await (await openService(flags)).createLog(name)], flags);
    });
  withService(command.command("list"))
    .description("list the logs")
    .option("--json", "as JSON")
    .action(async (flags: JsonFlags) => {
      showLogs(await (await openService(flags)).logs(), flags);
    });
  return command;
}

async function createKey(name: string, flags: KeyFlags): Promise<void> {
  const { scope = [], log, expiresAt } = flags;
  const unknown = scope.find((name) => !SCOPES.some((known) => known === name));
  if (unknown !== undefined) throw misuse(`--scope is one of ${SCOPES.join(", ")}, not ${quoted(unknown)}`);
  if (expiresAt !== undefined && !isTime(expiresAt)) {
    throw misuse("--expires-at is a time in RFC 3339, such as 2030-01-01T00:00:00Z");
  }
  const client = await openService(flags);
  const key = await client.createKey({
    name,
    scopes: scope,
    ...(log === undefined ? {} : { log }),
    ...(expiresAt === undefined ? {} : { expiresAt: new Date(expiresAt).toISOString() }),
  });
  if (flags.json) printJson(key);
  else print(`key ${key.id}`, `API key, shown only now: ${key.apiKey}`);
}

const RFC3339 = /^(\d{4}-\d\d-\d\d)T(?:[01]\d|2[0-3]):\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/;

/** RFC 3339 §5.6, in capitals. Date takes days that a month does not have for those of the next. */
function isTime(text: string): boolean {
  const [, day] = RFC3339.exec(text) ?? [];
  if (day === undefined || Number.isNaN(Date.parse(text))) return false;
  return new Date(`${day}T00:00:00Z`).toISOString().startsWith(day);
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
