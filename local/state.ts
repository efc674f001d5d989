/**
 * The state of one machine: what is kept in the data folder, and that it belongs together. What is lost or damaged is named
 * at the start, with the way on: nothing begins anew beside what is left of a log, for a key that signs twice is a fork.
 *
 *     keys.json         which signing keys are used; `{}` while the first start makes them
 *     kms.json          the private keys (embedded KMS)
 *     store/            the store (LMDB)
 *     index/            runs of the index: made again from the store where they are lost
 *     published/        logs/: the record of what was signed; anchor/: what anyone may read
 *     credentials.json  a tenant's, for the kedge command here; may be moved away
 *     sources/          the numbers of that tenant's sources, where it numbers events
 */
import { existsSync } from "node:fs";
import { chmod, lstat, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { anchorOrigin as anchorOriginOf } from "@kedge/cli/contract/ids";
import {
  ED25519,
  type KeyId,
  MLDSA44_COSIGNATURE,
  makeVkey,
  parseNote,
  parseVkey,
} from "@kedge/verify/tlog/note";
import { parsePolicy } from "@kedge/verify/tlog/policy";
import { z } from "zod";
import { ignoreAbsent } from "../platform/durable.ts";
import { createKey, writePrivately } from "../platform/embedded/embedded.ts";
import { ServiceError } from "../platform/error.ts";
import type { Item, Key, Store } from "../platform/store.ts";
import { ANCHOR } from "../service/anchor-items.ts";
import type { ApiService } from "../service/config.ts";
import { decodeHead, headKey, readHead } from "../service/head.ts";
import { allLogs, LOGS_PARTITION, type RegisteredLog } from "../service/logs.ts";
import { type LogKeys, logVkeys } from "../service/sign.ts";

const KEYS_FILE = "keys.json";
export const STORE = "store";
export const INDEX = "index";
export const PUBLISHED = "published";
/** As the kedge command names it, beside the credentials. */
export const SOURCES = "sources";
/** In a publication that is a copy, until it is known that nothing was signed after it (backup.ts). */
export const BACKUP_MARK = "published/backup.json";
/** In the place of the store in a folder of version 0.1.0. */
export const OLD_STORE = "dynamodb";
/** LMDB's own name in its folder. */
const STORE_FILE = "store/data.mdb";
const PUBLIC_POLICY = "published/anchor/policy";
const PUBLIC_VKEYS = "published/anchor/vkeys";
const RECORD = "published/logs/anchor/head";
export const BACKUP = "bring it back from a backup (docs/operations.md, Back up and restore one machine)";
const ELSEWHERE = "or start on another folder, with new keys and new logs: old proofs stay valid";

/** KMS key ids, separated by commas: those that sign. */
const keysSchema = z.strictObject({
  KEDGE_LOG_KEY: z.string().min(1),
  KEDGE_ANCHOR_KEY: z.string().min(1),
  KEDGE_ANCHOR_MLDSA_KEY: z.string().min(1),
});
export type Keys = z.infer<typeof keysSchema>;

/** Whether what is there belongs together. Reads only. @throws ServiceError `corrupt` */
export async function checkFolder(folder: string): Promise<void> {
  const there = (name: string) => existsSync(join(folder, name));
  if (there(OLD_STORE) && !there(STORE)) {
    throw new ServiceError(
      "invalid",
      `${folder} is of version 0.1.0: run npx kedge migrate --data ${folder}, then start again`,
    );
  }
  if (isBackup(folder)) {
    throw new ServiceError(
      "rollback",
      `${join(folder, PUBLISHED)} is a backup: a log that goes on from it signs a second history of what was signed since. Put the ` +
        "published/ that was backed up in its place or, where that is lost, see docs/operations.md, Back up and restore one machine",
    );
  }
  const keys = await readKeys(folder);
  const others = ["kms.json", STORE, "published", "credentials.json"].filter(there);
  const path = join(folder, KEYS_FILE);
  if (keys === undefined && others.length > 0) {
    throw lost(path, `is missing beside ${others.join(", ")}`);
  }
  if (keys === "begun") {
    const later = others.filter((name) => name === "published" || name === "credentials.json");
    if (later.length > 0) throw lost(path, `names no keys, beside ${later.join(", ")}`);
  }
  if (keys === undefined || keys === "begun") return;
  if (!there("kms.json")) throw lost(join(folder, "kms.json"), "is missing: it has the keys that sign");
  if (!there(STORE_FILE)) throw lost(join(folder, STORE), "is missing: it has the entries");
  await checkCredentials(join(folder, "credentials.json"));
}

/** Whether the publication of the folder is a copy. */
export const isBackup = (folder: string): boolean => existsSync(join(folder, BACKUP_MARK));

const lost = (path: string, what: string): ServiceError =>
  new ServiceError("corrupt", `${path} ${what}; ${BACKUP}, ${ELSEWHERE}`);

/** @throws ServiceError `corrupt` */
async function readKeys(folder: string): Promise<Keys | "begun" | undefined> {
  const path = join(folder, KEYS_FILE);
  const text = await readText(path);
  if (text === undefined) return undefined;
  const value = parseJson(text);
  // Empty: a power cut. Then nothing that keys have signed may be there, which is checked like that of `{}`.
  if (text === "" || z.strictObject({}).safeParse(value).success) return "begun";
  const keys = keysSchema.safeParse(value);
  if (keys.success) return keys.data;
  throw lost(path, "is damaged: it says which keys of kms.json sign");
}

/** The keys that sign; undefined while the first start makes them. @throws ServiceError `corrupt` */
export async function readSigningKeys(folder: string): Promise<Keys | undefined> {
  const keys = await readKeys(folder);
  return keys === "begun" ? undefined : keys;
}

export const writeSigningKeys = (folder: string, keys: Keys): Promise<void> =>
  writePrivately(join(folder, KEYS_FILE), keysSchema.parse(keys));

/** What is empty or cut short held a tenant key, without which its openings cannot be derived again. */
async function checkCredentials(path: string): Promise<void> {
  const text = await readText(path);
  if (text === undefined) return;
  const members = z.looseObject({}).safeParse(parseJson(text));
  if (members.success && Object.keys(members.data).length > 0) return;
  throw new ServiceError(
    "corrupt",
    `${path} is empty or damaged: it held an API key and the tenant key; bring it back from a backup, or move it away and ` +
      "make another tenant with kedge tenant create",
  );
}

/** A log whose policy has witnesses does not go on without them because KEDGE_POLICY was forgotten. */
export async function refuseForgottenPolicy(folder: string): Promise<void> {
  const path = join(folder, PUBLIC_POLICY);
  const text = process.env["KEDGE_POLICY"] ? undefined : await readText(path);
  const name =
    'name its file with KEDGE_POLICY, as before; to go on without witnesses, name one that holds "quorum none"';
  let quorum: string | undefined;
  try {
    quorum = text === undefined ? undefined : parsePolicy(text).quorum;
  } catch (cause) {
    const message = `${path} is damaged, so it does not say whether the anchor log has witnesses: ${name}. It is then written anew`;
    throw new ServiceError("corrupt", message, { cause });
  }
  if (quorum === undefined || quorum === "none") return;
  throw new ServiceError("invalid", `the anchor log of ${folder} has a policy with witnesses: ${name}`);
}

/** Origins hold the domain, so another one would begin other logs. @throws ServiceError `invalid` */
export async function refuseOtherDomain(folder: string, anchorOrigin: string): Promise<void> {
  const domain = await readDomain(folder);
  if (domain === undefined || anchorOrigin === anchorOriginOf(domain)) return;
  throw new ServiceError(
    "invalid",
    `the logs of ${folder} are ${domain}'s: start with KEDGE_DOMAIN=${domain}`,
  );
}

/** @returns undefined where nothing was anchored yet. */
export async function readDomain(folder: string): Promise<string | undefined> {
  const [origin = ""] = (await readText(join(folder, RECORD)))?.split("\n") ?? [];
  return /^([a-z0-9.:/_-]+)\/anchor$/.exec(origin)?.[1];
}

/** Every key that keys.json names is in kms.json. @throws ServiceError `corrupt` */
export async function checkSigners(
  folder: string,
  { logKeys, anchorKeys }: Pick<ApiService, "logKeys" | "anchorKeys">,
): Promise<void> {
  const signers = [logKeys, anchorKeys].flatMap(({ ed25519, mldsa44 }) => [...ed25519, ...mldsa44]);
  await Promise.all(signers.map((signer) => signer.publicKey())).catch((cause: unknown) => {
    const files = [KEYS_FILE, "kms.json"].map((name) => join(folder, name)).join(" and ");
    const message = `${files} do not belong together: bring back both from one backup (docs/operations.md, Back up and restore one machine)`;
    throw new ServiceError("corrupt", message, { cause });
  });
}

/**
 * The keys of the first start, in this order, so that a start that was cut short is told from keys that were lost.
 * @throws ServiceError `corrupt` where the store is one that keys were made for.
 */
export async function makeKeys(folder: string, store: Store): Promise<Keys> {
  if (await isUsed(store)) throw lost(join(folder, KEYS_FILE), "names no keys, and the store has logs");
  const keys = {
    KEDGE_LOG_KEY: await createKey("ECC_NIST_EDWARDS25519"),
    KEDGE_ANCHOR_KEY: await createKey("ECC_NIST_EDWARDS25519"),
    KEDGE_ANCHOR_MLDSA_KEY: await createKey("ML_DSA_44"),
  };
  await store.put({ ...machineKey(), folder });
  await writeSigningKeys(folder, keys);
  return keys;
}

/** First of all on a new folder, before its lock is held: what another start has written stays. */
export async function beginKeys(folder: string): Promise<void> {
  await writeFile(join(folder, KEYS_FILE), "{}\n", { flag: "wx", mode: 0o600 }).catch((error: unknown) => {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  });
}

/** In the store of a folder whose keys are made: without it the store is another, or was lost. */
export const machineKey = (): Key => ({ pk: "machine", sk: "-" });

/** @throws ServiceError `corrupt` where the store, or the record of what was signed, was lost beside the keys. */
export async function checkStore(folder: string, store: Store): Promise<void> {
  if (!(await isUsed(store))) throw lost(join(folder, STORE), "is empty beside keys that may have signed");
  await store.put({ ...machineKey(), folder });
  const { published } = await readHead(store, ANCHOR);
  if (published > 0n && !existsSync(join(folder, RECORD))) {
    throw lost(join(folder, RECORD), `is missing, and the anchor log of the store is at ${published}`);
  }
}

/**
 * keys.json and kms.json of before a rotation undo it: the retired key would sign alone again. So of each log, a key that
 * signs now is the one that signed last, or was made after it.
 * @param made the public keys of kms.json, the oldest first. @throws ServiceError `corrupt`
 */
export async function refuseOlderKeys(
  folder: string,
  made: readonly Uint8Array[],
  {
    store,
    anchorOrigin,
    logKeys,
    anchorKeys,
  }: Pick<ApiService, "store" | "anchorOrigin" | "logKeys" | "anchorKeys">,
): Promise<void> {
  const check = async (keys: LogKeys, origin: string, last: readonly KeyId[]) => {
    const known = made.map((key) => makeVkey(origin, key.length === 32 ? ED25519 : MLDSA44_COSIGNATURE, key));
    const now = await logVkeys(keys, origin);
    for (const { id } of last.filter(({ name }) => name === origin)) {
      const at = known.findIndex((vkey) => vkey.id === id);
      const notOlder = at === -1 ? [] : known.slice(at).filter(({ type }) => type === known[at]?.type);
      if (now.some((vkey) => notOlder.some((other) => other.id === vkey.id))) continue;
      const files = [KEYS_FILE, "kms.json"].map((name) => join(folder, name)).join(" and ");
      const key = `${origin}+${id.toString(16).padStart(8, "0")}`;
      throw new ServiceError(
        "corrupt",
        `${files} are older than what was signed: the key ${key}, which signed last, does not sign by them; bring back both ` +
          `from one backup of after that key's rotation (docs/operations.md, Back up and restore one machine), ${ELSEWHERE}`,
      );
    }
  };
  await check(anchorKeys, anchorOrigin, readVkeys(await readText(join(folder, PUBLIC_VKEYS))));
  const [anchorHead] = await store.get([headKey(ANCHOR)]);
  await check(anchorKeys, anchorOrigin, signersOf(ANCHOR, anchorHead));
  let some: RegisteredLog[] = [];
  const checkSome = async () => {
    const heads = await store.get(some.map(({ id }) => headKey(id)));
    for (const [i, { id, origin }] of some.entries()) await check(logKeys, origin, signersOf(id, heads[i]));
    some = [];
  };
  // What cannot be read is told of by whoever seals that log.
  for await (const log of allLogs(store, () => undefined)) {
    some.push(log);
    if (some.length === HEADS_AT_ONCE) await checkSome();
  }
  await checkSome();
}

/** As many as the store reads in one request: a start is not to take longer with each log. */
const HEADS_AT_ONCE = 100;

/** None where the file is absent or damaged: it is then written anew. */
function readVkeys(text: string | undefined): KeyId[] {
  try {
    return (text ?? "").split("\n").filter(Boolean).map(parseVkey);
  } catch {
    return [];
  }
}

/** Who signed the checkpoint that the log published last; none where it cannot be read. */
function signersOf(log: string, head: Item | undefined): KeyId[] {
  try {
    const { checkpoint } = decodeHead(log, head);
    return checkpoint === undefined ? [] : parseNote(checkpoint.note).signatures;
  } catch {
    return [];
  }
}

/** Folders of earlier versions have no item of their own in the store: they have logs. */
async function isUsed(store: Store): Promise<boolean> {
  const found = await store.get([machineKey(), headKey(ANCHOR)]);
  return found.some((item) => item !== undefined) || (await hasAny(store, LOGS_PARTITION));
}

async function hasAny(store: Store, pk: string): Promise<boolean> {
  for await (const _ of store.query({ pk, limit: 1 })) return true;
  return false;
}

/** What is for the owner alone, whatever the folder's own mode is: that may let a web server into published/anchor. */
const PRIVATE =
  /^(keys\.json|kms\.json|environment\.json|credentials\.json|keyring\.json|kedge\.log(\.\d+)?)$/;
const PRIVATE_FOLDERS = [STORE, OLD_STORE, INDEX, "published/logs", "demo"];

/** Sets the modes of what is there. */
export async function keepPrivate(folder: string): Promise<void> {
  const names = await readdir(folder);
  for (const name of names.filter((name) => PRIVATE.test(name))) await setMode(join(folder, name), 0o600);
  for (const name of PRIVATE_FOLDERS) await setMode(join(folder, name), 0o700);
  // Last the folder whose mode says that there is something to do: it may hold a great many files.
  await takeWrite(join(folder, "published"));
  const anchor = join(folder, "published/anchor");
  if (!(await isOthersToWrite(anchor))) return;
  for (const name of await readdir(anchor, { recursive: true })) await takeWrite(join(anchor, name));
  await takeWrite(anchor);
}

const isOthersToWrite = async (path: string): Promise<boolean> => {
  const found = await lstat(path).catch(ignoreAbsent);
  return found !== undefined && !found.isSymbolicLink() && (found.mode & 0o022) !== 0;
};

/** A user who may write to a folder may move away what is in it, and put other files there. */
async function takeWrite(path: string): Promise<void> {
  if (await isOthersToWrite(path)) await setMode(path, (await lstat(path)).mode & 0o755);
}

async function setMode(path: string, mode: number): Promise<void> {
  await chmod(path, mode)
    .catch(ignoreAbsent)
    .catch((cause: unknown) => {
      const message = `${path} cannot be made its owner's only: give it to the user that runs Kedge (chown)`;
      throw new ServiceError("unavailable", message, { cause });
    });
}

async function readText(path: string): Promise<string | undefined> {
  return await readFile(path, "utf8")
    .catch(ignoreAbsent)
    .catch((cause: unknown) => {
      throw new ServiceError("unavailable", `${path} cannot be read: check its owner and the disk`, {
        cause,
      });
    });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
