/** What a command knows before it starts: flags first, then KEDGE_* variables, then the credentials file. */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import type { Client } from "../client/api.ts";
import { parseTenantKey } from "../events/commitment.ts";
import { EventError } from "../events/error.ts";
import { TlogError } from "../tlog/error.ts";
import { parseVkey, type Vkey } from "../tlog/note.ts";
import { misuse, warn } from "./output.ts";

/**
 * What `.kedge/credentials.json` may hold, all of it strings, as `kedge tenant create` writes it. `log` is the log's id,
 * `tenantKey` 64 hex digits, the vkeys C2SP verifier keys; an auditor's file may have these alone.
 */
const MEMBERS = [
  ...(["url", "tenant", "log", "apiKey", "tenantKey"] as const),
  ...(["logVkey", "anchorVkey", "anchorMldsaVkey"] as const),
];

export type Credentials = { [member in (typeof MEMBERS)[number]]?: string };

/** The flags that override the credentials; each command has those that it needs. */
export type SettingFlags = {
  credentials?: string;
  url?: string;
  log?: string;
  apiKey?: string;
  tenantKey?: string;
  logVkey?: string[];
  anchorVkey?: string[];
};

export function withCredentials(command: Command): Command {
  return command.option("--credentials <file>", "default: KEDGE_CREDENTIALS, or credentials.json in .kedge");
}

export function withService(command: Command): Command {
  return withCredentials(command)
    .option("--url <url>", "where the service is (KEDGE_URL)")
    .option(
      "--api-key <key>",
      "visible to others in the process list: prefer KEDGE_API_KEY or the credentials",
    );
}

export function withLog(command: Command): Command {
  return withService(command).option("--log <id>", "the log (KEDGE_LOG)");
}

export function withTenantKey(command: Command): Command {
  return command.option(
    "--tenant-key <hex>",
    "visible to others in the process list: prefer KEDGE_TENANT_KEY or the credentials",
  );
}

export function withVkeys(command: Command): Command {
  return command
    .option("--log-vkey <vkey>", "pinned key of the log, may be repeated (KEDGE_LOG_VKEY)", collect)
    .option(
      "--anchor-vkey <vkey>",
      "pinned key of the anchor log, may be repeated (KEDGE_ANCHOR_VKEY)",
      collect,
    );
}

/** For an option that may be repeated. */
export function collect(value: string, previous: string[] = []): string[] {
  return [...previous, value];
}

/** A client of the service and the id of the log. */
export async function openLog(flags: SettingFlags): Promise<{ client: Client; log: string }> {
  const log = setting(flags.log, "KEDGE_LOG", readCredentials(flags).log);
  if (log === undefined) throw misuse("No log is named: use --log, KEDGE_LOG or the credentials");
  return { client: await openService(flags), log };
}

export async function openService(flags: SettingFlags): Promise<Client> {
  const credentials = readCredentials(flags);
  const url = setting(flags.url, "KEDGE_URL", credentials.url);
  const apiKey = setting(flags.apiKey, "KEDGE_API_KEY", credentials.apiKey);
  if (url === undefined)
    throw misuse("The service's URL is not known: use --url, KEDGE_URL or the credentials");
  if (apiKey === undefined) throw misuse("No API key: set KEDGE_API_KEY or use the credentials");
  const { openClient } = await import("../client/api.ts");
  return openClient({ url, apiKey });
}

/** undefined when none is set. */
export function findTenantKey(flags: SettingFlags): Uint8Array | undefined {
  const text = setting(flags.tenantKey, "KEDGE_TENANT_KEY", readCredentials(flags).tenantKey);
  if (text === undefined) return undefined;
  try {
    return parseTenantKey(text);
  } catch (cause) {
    throw cause instanceof EventError ? misuse(cause.message, cause) : cause;
  }
}

export function needTenantKey(flags: SettingFlags): Uint8Array {
  const key = findTenantKey(flags);
  if (key === undefined) throw misuse("No tenant key: set KEDGE_TENANT_KEY or use the credentials");
  return key;
}

/** The keys that proofs are verified with. At least one of the log; of the anchor log maybe none. */
export function pinnedKeys(flags: SettingFlags): { logVkeys: Vkey[]; anchorVkeys: Vkey[] } {
  const { logVkey, anchorVkey, anchorMldsaVkey } = readCredentials(flags);
  const logVkeys = vkeys(flags.logVkey, "KEDGE_LOG_VKEY", [logVkey]);
  if (logVkeys.length === 0) {
    throw misuse("No key to verify with: give the log's with --log-vkey, KEDGE_LOG_VKEY or the credentials");
  }
  return {
    logVkeys,
    anchorVkeys: vkeys(flags.anchorVkey, "KEDGE_ANCHOR_VKEY", [anchorVkey, anchorMldsaVkey]),
  };
}

function vkeys(flag: string[] | undefined, variable: string, stored: (string | undefined)[]): Vkey[] {
  const fromEnvironment = (process.env[variable] ?? "").split(/\s+/).filter((text) => text !== "");
  const others = fromEnvironment.length > 0 ? fromEnvironment : stored.filter((text) => text !== undefined);
  const texts = flag ?? others;
  return texts.map((text) => {
    try {
      return parseVkey(text);
    } catch (cause) {
      throw cause instanceof TlogError ? misuse(`A pinned key is malformed: ${cause.message}`, cause) : cause;
    }
  });
}

/** An empty variable is one that is not set. */
function setting(flag: string | undefined, variable: string, stored: string | undefined): string | undefined {
  return flag ?? (process.env[variable] || stored);
}

/** Empty when there is no file, unless one was named. */
function readCredentials({ credentials }: SettingFlags): Credentials {
  const named = credentials ?? (process.env["KEDGE_CREDENTIALS"] || undefined);
  const path = named ?? join(process.env["KEDGE_DATA"] || ".kedge", "credentials.json");
  const text = readIfThere(path);
  if (text === undefined && named === undefined) return {};
  if (text === undefined) throw misuse(`There are no credentials at ${path}`);
  try {
    return parseCredentials(JSON.parse(text));
  } catch {
    // The cause would quote what is in the file.
    throw misuse(`${path} does not hold Kedge credentials: get it again from who runs the service`);
  }
}

function parseCredentials(value: unknown): Credentials {
  if (typeof value !== "object" || value === null) throw new TypeError("not an object");
  const credentials: Credentials = {};
  for (const [name, content] of Object.entries(value)) {
    const member = MEMBERS.find((known) => known === name);
    if (member === undefined || typeof content !== "string") throw new TypeError("an unknown member");
    credentials[member] = content;
  }
  return credentials;
}

const warned = new Set<string>();

function readIfThere(path: string): string | undefined {
  try {
    const text = readFileSync(path, "utf8");
    if (process.platform !== "win32" && (statSync(path).mode & 0o077) !== 0 && !warned.has(path)) {
      warned.add(path);
      warn(`${path} can be read by others on this machine: chmod 600 ${path}`);
    }
    return text;
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return undefined;
    throw misuse(
      `${path} cannot be read: ${cause instanceof Error ? cause.message : "unknown reason"}`,
      cause,
    );
  }
}
