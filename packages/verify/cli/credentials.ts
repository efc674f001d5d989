/** What a command knows before it starts: flags first, then KEDGE_* variables, then the credentials file. */
import { statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { type Command, Option } from "commander";
import { parseTenantKey } from "../events/commitment.ts";
import { type Connection, checkConnection } from "../net/http.ts";
import { quoted } from "../text.ts";
import { formatVkey, type Vkey } from "../tlog/note.ts";
import type { Policy } from "../tlog/policy.ts";
import { MEMBERS } from "./credential-members.ts";
import { readIfThere, replaceFile } from "./files.ts";
import { checkOwner, parseVkeys, readPolicy, readVkeys } from "./keys.ts";
import { collect } from "./options.ts";
import { asMisuse, misuse, warn } from "./output.ts";

export type Credentials = { [member in (typeof MEMBERS)[number]]?: string };

/** What overrides the credentials, by flags or variables; each command has those that it needs. */
export type SettingFlags = {
  credentials?: string;
  url?: string;
  log?: string | undefined;
  apiKey?: string;
  tenantKey?: string;
  logVkey?: string[];
  anchorVkey?: string[];
  policy?: string;
};

const SECRET = "visible to others in the process list: prefer the variable or the credentials";
/** ms. */
const SHOWN_PAUSE = 2_000;
const LOG_VARIABLE = "KEDGE_LOG_VKEY";
const ANCHOR_VARIABLE = "KEDGE_ANCHOR_VKEY";

export function withCredentials(command: Command): Command {
  return command.addOption(
    new Option("--credentials <file>", "default: credentials.json in .kedge").env("KEDGE_CREDENTIALS"),
  );
}

export function withService(command: Command): Command {
  return withCredentials(command)
    .addOption(new Option("--url <url>", "where the service is").env("KEDGE_URL"))
    .addOption(new Option("--api-key <key>", SECRET).env("KEDGE_API_KEY"));
}

export function withLog(command: Command): Command {
  return withService(command).addOption(new Option("--log <id>", "the log").env("KEDGE_LOG"));
}

export function withTenantKey(command: Command): Command {
  return command.addOption(new Option("--tenant-key <hex>", SECRET).env("KEDGE_TENANT_KEY"));
}

export function withVkeys(command: Command): Command {
  const pinned = (flags: string, whose: string, variable: string) =>
    new Option(flags, `pinned keys of the ${whose}: vkeys, or a file with one on each line; may be repeated`)
      .env(variable)
      .argParser(collect);
  return command
    .addOption(pinned("--log-vkey <keys>", "log", LOG_VARIABLE))
    .addOption(pinned("--anchor-vkey <keys>", "anchor log", ANCHOR_VARIABLE))
    .option(
      "--policy <file>",
      "C2SP tlog-policy: the keys of both logs, and which witnesses must have cosigned the anchor log",
    );
}

/** The id of the log. */
export function namedLog(flags: SettingFlags): string {
  const log = setting(flags.log, readCredentials(flags).members.log);
  if (log === undefined) throw misuse("No log is named: use --log, KEDGE_LOG or the credentials");
  return log;
}

/** Where the service is. */
export function serviceUrl(flags: SettingFlags): string {
  const url = setting(flags.url, readCredentials(flags).members.url);
  if (url !== undefined) return url;
  throw misuse("The service's URL is not known: use --url, KEDGE_URL or the credentials");
}

/** Where the service is, and the API key to ask it with. */
export function serviceConnection(flags: SettingFlags): Connection {
  const { members, path, isFound } = readCredentials(flags);
  const url = serviceUrl(flags);
  const apiKey = setting(flags.apiKey, members.apiKey);
  if (apiKey === undefined) throw misuse("No API key: set KEDGE_API_KEY or use the credentials");
  // Whoever wrote that file would receive the key of whoever runs the command beside it.
  if (isFound && flags.url === undefined && flags.apiKey !== undefined) {
    throw misuse(
      `The API key is not sent to the URL of ${path}, which was only found here: give --url or KEDGE_URL too`,
    );
  }
  const connection = { url, apiKey, onPause: pauses() };
  if (!/^kedge_\w+_\w+$/.test(apiKey)) {
    throw misuse("The API key is malformed: it looks like kedge_<id>_<secret>. Copy it again");
  }
  asMisuse(() => checkConnection(connection));
  return connection;
}

/** Says that the service asks for a pause; nothing of a short one, and one line for the many of requests side by side. */
function pauses(): NonNullable<Connection["onPause"]> {
  let last = Number.NEGATIVE_INFINITY;
  return (pause, { message }) => {
    if (pause < SHOWN_PAUSE || performance.now() - last < SHOWN_PAUSE) return;
    last = performance.now();
    warn(`${message}: it is asked again in ${Math.round(pause / 1000)} s; Ctrl-C ends this`);
  };
}

/** undefined when none is set. */
export function findTenantKey(flags: SettingFlags): Uint8Array | undefined {
  if (flags.tenantKey === undefined) return storedTenantKey(flags)?.key;
  const key = flags.tenantKey.trim();
  return asMisuse(() => parseTenantKey(key));
}

/** What is left of a key that was destroyed, should the machine have stopped before it was taken out. */
const OVERWRITTEN = /^0+$/;

/** The one of the credentials file alone, and its path. */
export function storedTenantKey(flags: SettingFlags): { key: Uint8Array; path: string } | undefined {
  const { members, path } = readCredentials(flags);
  const key = members.tenantKey?.trim();
  if (key === undefined || OVERWRITTEN.test(key)) return undefined;
  return { key: asMisuse(() => parseTenantKey(key)), path };
}

export function needTenantKey(flags: SettingFlags): Uint8Array {
  const key = findTenantKey(flags);
  if (key === undefined) throw noTenantKey();
  return key;
}

export const noTenantKey = (): Error =>
  misuse("No tenant key: set KEDGE_TENANT_KEY or use the credentials, or the keyring beside them");

/** Where the credentials lie, or would lie: what belongs to them is kept beside them. */
export function credentialsFolder(flags: SettingFlags): string {
  return dirname(readCredentials(flags).path);
}

/** The keys that proofs are verified with, and where they are from. */
export type PinnedKeys = {
  /** At least one. */
  logVkeys: Vkey[];
  /** Maybe none. */
  anchorVkeys: Vkey[];
  /** Flags, variables, and the absolute paths of files. */
  sources: string[];
  /** Whether any is from a credentials file that was found, not named: it may have come along with the proof. */
  areFound: boolean;
  /** The anchor log's, if one was named. */
  policy?: Policy;
};

/** Flags and variables come first, then the policy, then the credentials. */
export function pinnedKeys(flags: SettingFlags): PinnedKeys {
  const { log, anchor, policy } = gatherKeys(flags);
  checkOwner("log", log.vkeys, log.source);
  checkOwner("anchor", anchor.vkeys, anchor.source);
  return {
    logVkeys: log.vkeys,
    anchorVkeys: anchor.vkeys,
    ...provenance([log, anchor]),
    ...(policy && { policy }),
  };
}

/** The same for what is of either kind of log: a key counts for the log that it is named after. */
export function evidenceKeys(flags: SettingFlags): PinnedKeys {
  const { log, anchor } = gatherKeys(flags);
  return { logVkeys: [...log.vkeys, ...anchor.vkeys], anchorVkeys: [], ...provenance([log, anchor]) };
}

function gatherKeys(flags: SettingFlags): { log: Keys; anchor: Keys; policy: Policy | undefined } {
  const { policy, logVkeys } = flags.policy === undefined ? {} : readPolicy(flags.policy);
  const log =
    named(flags.logVkey, "--log-vkey", LOG_VARIABLE) ?? ofPolicy(logVkeys) ?? stored(flags, ["logVkey"]);
  const anchor =
    named(flags.anchorVkey, "--anchor-vkey", ANCHOR_VARIABLE) ??
    ofPolicy(policy?.logs.map(({ vkey }) => vkey)) ??
    stored(flags, ["anchorVkey", "anchorMldsaVkey"]);
  if (log.vkeys.length === 0) {
    throw misuse(
      "No key to verify with: give the log's with --policy, --log-vkey, KEDGE_LOG_VKEY or the credentials",
    );
  }
  return { log, anchor, policy };
}

function provenance(keys: readonly Keys[]): Pick<PinnedKeys, "sources" | "areFound"> {
  const used = keys.filter(({ vkeys }) => vkeys.length > 0);
  return {
    sources: [...new Set(used.map(({ source }) => source))],
    areFound: used.some(({ isFound }) => isFound),
  };
}

type Keys = { vkeys: Vkey[]; source: string; isFound: boolean };

function named(given: string[] | undefined, flag: string, variable: string): Keys | undefined {
  if (given === undefined) return undefined;
  const source = given.join(" ") === process.env[variable] ? variable : flag;
  return { vkeys: given.flatMap(readVkeys), source, isFound: false };
}

function ofPolicy(vkeys: Vkey[] | undefined): Keys | undefined {
  return vkeys === undefined || vkeys.length === 0
    ? undefined
    : { vkeys, source: "--policy", isFound: false };
}

function stored(flags: SettingFlags, from: readonly (keyof Credentials)[]): Keys {
  const { members, path, isFound } = readCredentials(flags);
  const texts = from.map((member) => members[member]).filter((text) => text !== undefined);
  return { vkeys: texts.flatMap(parseVkeys), source: path, isFound };
}

/**
 * Keeps the keys of another log beside those that the credentials have; undefined when there are no credentials. Returns
 * their path. Throws CliError `misuse` when they cannot be written.
 */
export async function keepLogVkeys(
  flags: SettingFlags,
  vkeys: readonly string[],
): Promise<string | undefined> {
  const { members, path } = readCredentials(flags);
  if (Object.keys(members).length === 0) return undefined;
  const known = (members.logVkey ?? "").split(/\s+/).filter((vkey) => vkey !== "");
  const fresh = vkeys
    .flatMap(parseVkeys)
    .map(formatVkey)
    .filter((vkey) => !known.includes(vkey));
  if (fresh.length === 0) return path;
  const kept: Credentials = { ...members, logVkey: [...known, ...fresh].join(" ") };
  await replaceFile(path, `${JSON.stringify(kept, undefined, 2)}\n`, 0o600);
  return path;
}

/** Takes the tenant key out of the credentials. Throws CliError `misuse` when they cannot be written. */
export async function dropTenantKey(flags: SettingFlags): Promise<void> {
  const { members, path } = readCredentials(flags);
  const { tenantKey: _, ...kept } = members;
  await replaceFile(path, `${JSON.stringify(kept, undefined, 2)}\n`, 0o600);
}

const setting = (given: string | undefined, stored: string | undefined): string | undefined =>
  (given ?? stored)?.trim();

/** `path` is absolute; `isFound` when it was not named, but found in the current folder. */
type CredentialsFile = { members: Credentials; path: string; isFound: boolean };

/** No members when there is no file, unless one was named. */
function readCredentials({ credentials: named }: SettingFlags): CredentialsFile {
  const folder = process.env["KEDGE_DATA"];
  const path = resolve(named ?? join(folder ?? ".kedge", "credentials.json"));
  const isFound = named === undefined && folder === undefined;
  const text = readIfThere(path);
  if (text === undefined && named === undefined) return { members: {}, path, isFound };
  if (text === undefined) throw misuse(`There are no credentials at ${path}`);
  warnOfOthers(path);
  return { members: parseCredentials(text, path), path, isFound };
}

/** No message quotes what a member holds. */
function parseCredentials(text: string, path: string): Credentials {
  const members: Credentials = {};
  for (const [name, content] of Object.entries(parseObject(text, path))) {
    const member = MEMBERS.find((known) => known === name);
    if (member === undefined) {
      throw misuse(`${path} has the member ${quoted(name)}, which no credentials have: correct or remove it`);
    }
    if (typeof content !== "string") throw misuse(`The ${member} in ${path} is not a string: correct it`);
    members[member] = content;
  }
  return members;
}

function parseObject(text: string, path: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // The cause would quote what is in the file.
  }
  throw misuse(`${path} does not hold Kedge credentials: get it again from who runs the service`);
}

const warned = new Set<string>();

function warnOfOthers(path: string): void {
  if (process.platform === "win32" || warned.has(path) || (statSync(path).mode & 0o077) === 0) return;
  warned.add(path);
  warn(`${path} can be read by others on this machine: chmod 600 ${path}`);
}
