/** The keyring of a command: which one, and where its passphrase is from. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { TenantKeys } from "@kedge/verify/cli/committer";
import {
  credentialsFolder,
  dropTenantKey,
  findTenantKey,
  type SettingFlags,
  storedTenantKey,
} from "@kedge/verify/cli/credentials";
import { readInput } from "@kedge/verify/cli/files";
import { misuse, print, warn } from "@kedge/verify/cli/output";
import { bytesToHex } from "@noble/hashes/utils.js";
import { type Command, Option } from "commander";
import type { KeyringPlace } from "../keys/keyring.ts";

export type KeyringFlags = SettingFlags & { keyring?: string; passphraseFile?: string };

/** As systemd's `LoadCredential=` names it. */
const CREDENTIAL = "kedge-passphrase";
const MAX_PASSPHRASE_FILE = 4096;

export function withKeyring(command: Command): Command {
  return command
    .addOption(
      new Option("--keyring <file>", "the tenant keys (default: keyring.json, beside the credentials)").env(
        "KEDGE_KEYRING",
      ),
    )
    .option("--passphrase-file <file>", "of a keyring that is sealed with one (default: asked for)");
}

/** Where the keyring is, whether or not there is one. */
export function keyringPlace(flags: KeyringFlags, { mayAsk = true } = {}): KeyringPlace {
  return {
    path: flags.keyring ?? join(credentialsFolder(flags), "keyring.json"),
    tenantKey: findTenantKey(flags),
    passphrase: passphraseOf(flags, mayAsk),
  };
}

/**
 * The keys that a command commits under, with the ids of those that were shredded. A key that is given for this one command
 * is the only one. None when there are neither keys nor a keyring.
 */
export async function openTenantKeys(
  flags: KeyringFlags,
  { mayAsk = true } = {},
): Promise<{ tenantKeys: TenantKeys; shredded: string[] }> {
  const given = flags.tenantKey === undefined ? undefined : findTenantKey(flags);
  const place = keyringPlace(flags, { mayAsk });
  if (given !== undefined) {
    if (existsSync(place.path)) warn(`the tenant key that was given is used, and not ${place.path}`);
    return { tenantKeys: [given], shredded: [] };
  }
  if (!existsSync(place.path)) {
    if (flags.keyring !== undefined) throw misuse(`There is no keyring at ${place.path}`);
    return { tenantKeys: place.tenantKey === undefined ? [] : [place.tenantKey], shredded: [] };
  }
  const { openKeyring } = await import("../keys/keyring.ts");
  const { KeyringError } = await import("../keys/error.ts");
  try {
    const keyring = await openKeyring(place);
    return { tenantKeys: keyring.all().map(({ tenantKey }) => tenantKey), shredded: keyring.shredded() };
  } catch (error) {
    if (!(error instanceof KeyringError)) throw error;
    if (mayAsk || error.code !== "sealed") throw misuse(error.message, error);
    warn(
      "the keyring is sealed, so only openings that were kept count, such as those in proofs: --passphrase-file opens it",
    );
    return { tenantKeys: [], shredded: [] };
  }
}

/** Destroys what the credentials hold of a tenant key that is no more, or that is sealed elsewhere; `id` is its `keyId`. */
export async function dropStoredKey(flags: SettingFlags, id: string): Promise<void> {
  const stored = storedTenantKey(flags);
  const { keyId } = await import("../keys/epoch-key.ts");
  if (stored === undefined || keyId(stored.key) !== id) return;
  const { destroyPartial, overwriteIn } = await import("../keys/shred.ts");
  await keyringMisuse(() => overwriteIn(stored.path, bytesToHex(stored.key)));
  await dropTenantKey(flags);
  await keyringMisuse(() => destroyPartial(stored.path));
  print(`The tenant key is taken out of ${stored.path}.`);
}

/** What is wrong with a keyring is for who runs the command to mend. */
export async function keyringMisuse<T>(run: () => Promise<T>): Promise<T> {
  const { KeyringError } = await import("../keys/error.ts");
  try {
    return await run();
  } catch (error) {
    throw error instanceof KeyringError ? misuse(error.message, error) : error;
  }
}

/** By file, systemd's credential, or a terminal, which is asked once. */
function passphraseOf(flags: KeyringFlags, mayAsk: boolean): () => Promise<Uint8Array | undefined> {
  let asked: Promise<Uint8Array | undefined> | undefined;
  return async () => {
    const folder = process.env["CREDENTIALS_DIRECTORY"];
    const credential = folder === undefined ? undefined : join(folder, CREDENTIAL);
    const path =
      flags.passphraseFile ?? (credential !== undefined && existsSync(credential) ? credential : undefined);
    if (path !== undefined) return readPassphrase(path);
    if (mayAsk) asked ??= askPassphrase("Passphrase of the keyring: ");
    return await asked;
  };
}

/** The first line, without its end. */
export function readPassphrase(path: string): Uint8Array {
  const bytes = readInput(path, MAX_PASSPHRASE_FILE);
  const end = bytes.indexOf(0x0a);
  const line = end === -1 ? bytes : bytes.subarray(0, end);
  const passphrase = line.at(-1) === 0x0d ? line.subarray(0, -1) : line;
  if (passphrase.length === 0) throw misuse(`The first line of ${path} is empty: it is to be the passphrase`);
  return passphrase;
}

const INTERRUPT = 0x03;
const END = 0x04;
const BACKSPACES = [0x08, 0x7f];
const LINE_ENDS = [0x0a, 0x0d];

/** Asked on the terminal, and not shown; undefined where there is none. */
export async function askPassphrase(question: string): Promise<Uint8Array | undefined> {
  const { stdin, stderr } = process;
  if (!stdin.isTTY || !stderr.isTTY) return undefined;
  stderr.write(question);
  stdin.setRawMode(true);
  try {
    return await readLine(stdin);
  } finally {
    stdin.setRawMode(false);
    stdin.pause();
    stderr.write("\n");
  }
}

/** The stream stays open, for what is asked next. */
function readLine(stdin: NodeJS.ReadStream): Promise<Uint8Array> {
  const typed: number[] = [];
  return new Promise((resolve, reject) => {
    const settle = (run: () => void): void => {
      stdin.off("data", read).off("end", stopped);
      run();
    };
    const stopped = () => settle(() => reject(misuse("No passphrase was given")));
    function read(chunk: Buffer): void {
      for (const byte of chunk) {
        if (LINE_ENDS.includes(byte)) {
          settle(() => resolve(new Uint8Array(typed)));
          return;
        }
        if (byte === INTERRUPT || byte === END) {
          stopped();
          return;
        }
        if (!BACKSPACES.includes(byte)) typed.push(byte);
        // A character of UTF-8 is its first byte and those that follow it.
        else while (((typed.pop() ?? 0) & 0xc0) === 0x80);
      }
    }
    stdin.on("data", read).on("end", stopped).resume();
  });
}
