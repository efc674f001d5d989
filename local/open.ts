/** The data folder's KMS and store: opened by the process that serves it and, where none does, by a command. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { open, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { takeOwnership } from "@kedge/cli/numbering/owner";
import { withTimeout } from "@kedge/verify/net/exchange";
import { z } from "zod";
import { ignoreAbsent, makeFolder } from "../platform/durable.ts";
import { useEnvironment, useKms, writePrivately } from "../platform/embedded/embedded.ts";
import { ServiceError } from "../platform/error.ts";
import { type LmdbStore, lmdbStore } from "../platform/lmdb.ts";
import { openApiService } from "../service/config.ts";
import {
  BACKUP,
  checkFolder,
  checkSigners,
  checkStore,
  makeKeys,
  readDomain,
  readSigningKeys,
  refuseOlderKeys,
  STORE,
} from "./state.ts";

/** What a command that runs beside the server takes from it; there while it runs. */
export const ENVIRONMENT_FILE = "environment.json";
/** How long the server has to answer. */
const GRACE_MS = 2_000;

type Open = { close(): Promise<void> };
export type Environment = Readonly<Record<string, string>>;

/** The service's configuration but for its keys. KEDGE_DOMAIN and KEDGE_LOG_FILE of the environment count; so does KEDGE_POLICY. */
export const configuration = (folder: string) => ({
  KEDGE_STORE: storeOf(folder),
  KEDGE_INDEX: `${pathToFileURL(join(folder, "index"))}/`,
  KEDGE_DOMAIN: process.env["KEDGE_DOMAIN"] || "localhost",
  KEDGE_PUBLICATION: `${pathToFileURL(join(folder, "published"))}/`,
  KEDGE_LOG_FILE: process.env["KEDGE_LOG_FILE"] || join(folder, "kedge.log"),
});

export const storeOf = (folder: string): string =>
  pathToFileURL(join(folder, STORE)).href.replace(/^file:/, "lmdb:");

/**
 * Starts KMS on the folder and sees whether its parts belong together, the store among them. This process is then
 * configured for them.
 * @param begin makes the keys of a folder that has none. @throws ServiceError `corrupt`, `unavailable`
 */
export async function openData(folder: string, { begin }: { begin: boolean }): Promise<Open> {
  const kms = await useKms(folder);
  try {
    useEnvironment(configuration(folder));
    await withStore(folder, async (store) => {
      const keys = await readSigningKeys(folder);
      if (keys !== undefined) await checkStore(folder, store);
      else if (!begin) throw new ServiceError("unavailable", `${folder} is just being started: try again`);
      useEnvironment(keys ?? (await makeKeys(folder, store)));
      const service = openApiService(process.env);
      try {
        await checkSigners(folder, service);
        if (keys !== undefined) await refuseOlderKeys(folder, kms.publicKeys, service);
      } finally {
        await service.close();
      }
    });
    return kms;
  } catch (error) {
    await kms.close();
    throw error;
  }
}

/** Runs on the folder's store. @throws ServiceError `corrupt` when it is damaged. */
export async function withStore(folder: string, run: (store: LmdbStore) => Promise<void>): Promise<void> {
  const path = join(folder, STORE);
  await makeFolder(path, 0o700);
  if (!(await isWhole(path))) throw damaged(path);
  const store = lmdbStore(path);
  try {
    await run(store);
  } catch (error) {
    if (saysDamage(error)) throw damaged(path, error);
    throw error;
  } finally {
    await store.close();
  }
}

const damaged = (path: string, cause?: unknown): ServiceError =>
  new ServiceError("corrupt", `${path} is damaged: ${BACKUP}`, { cause });

/** What LMDB says of pages that it did not write. */
function saysDamage(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (/MDB_(INVALID|CORRUPTED|PAGE_NOTFOUND|VERSION_MISMATCH)/.test(cause.message)) return true;
  }
  return false;
}

/** Bytes of an LMDB 1.0 file from the start of each of its two meta pages: a 4-byte magic number, then 8 bytes each. */
const META = { magic: 24, pageSize: 48, lastPage: 144, transaction: 152, bytes: 160 } as const;
const MAGIC = 0xbeefc0de;

/**
 * LMDB maps its file into memory: one that is cut short, or is another, would end this process without a word.
 * A file may be shorter than its last page, where that was freed before it was written: then another process reads it all.
 */
async function isWhole(path: string): Promise<boolean> {
  const file = await open(join(path, "data.mdb")).catch(ignoreAbsent);
  if (file === undefined) return true;
  try {
    const { size } = await file.stat();
    if (size === 0) return true;
    const meta = async (at: number) => (await file.read(Buffer.alloc(META.bytes), 0, META.bytes, at)).buffer;
    const first = await meta(0);
    const pageSize = first.readUInt32LE(META.pageSize);
    const second = await meta(pageSize);
    if ([first, second].some((page) => page.readUInt32LE(META.magic) !== MAGIC)) return false;
    const of = (name: "lastPage" | "transaction", page: Buffer) => page.readBigUInt64LE(META[name]);
    const newest = of("transaction", first) > of("transaction", second) ? first : second;
    return BigInt(size) >= (of("lastPage", newest) + 1n) * BigInt(pageSize) || isReadable(path);
  } finally {
    await file.close();
  }
}

const READ_ALL =
  'const db = require(process.argv[1]).open({ path: process.argv[2], keyEncoding: "binary", readOnly: true });' +
  " for (const { value } of db.getRange()) void value;";

function isReadable(path: string): boolean {
  const lmdb = createRequire(import.meta.url).resolve("lmdb");
  return spawnSync(process.execPath, ["-e", READ_ALL, lmdb, path], { stdio: "ignore" }).status === 0;
}

/**
 * Runs a command of an operator on the data folder: beside the process that serves it or, where none does, on the folder
 * itself. This process is configured for it meanwhile.
 */
export async function withData<T>(data: string, run: () => Promise<T>): Promise<T> {
  const serving = await findServing(data);
  if (serving !== undefined) {
    useEnvironment(serving);
    return await run();
  }
  const folder = resolve(data);
  await checkFolder(folder);
  if (!existsSync(join(folder, STORE))) throw nothingAt(folder);
  const domain = await readDomain(folder);
  useEnvironment({
    KEDGE_URL: process.env["KEDGE_URL"] || "http://127.0.0.1:8787",
    ...(domain !== undefined && { KEDGE_DOMAIN: domain }),
  });
  const kms = await openData(folder, { begin: false });
  try {
    return await run();
  } finally {
    await kms.close();
  }
}

const nothingAt = (folder: string, cause?: unknown): ServiceError =>
  new ServiceError(
    "unavailable",
    `nothing answers for ${folder}: is it running? Start it with npm start, or name its folder with KEDGE_DATA`,
    { cause },
  );

// ---- the process that serves ---------------------------------------------------------------------------------------

/** @returns what gives it back. @throws ServiceError `unavailable` while another process of this machine serves the folder. */
export async function lockData(folder: string): Promise<() => Promise<void>> {
  const release = await takeOwnership(folder, "\0serve");
  if (release !== undefined) return release;
  throw new ServiceError(
    "unavailable",
    `another process has ${folder} open: it runs there already, or is just starting or stopping`,
  );
}

const SHARED =
  /^(AWS_(ENDPOINT_URL_KMS|REGION|ACCESS_KEY_ID|SECRET_ACCESS_KEY)|KEDGE_(URL|STORE|INDEX|DOMAIN|PUBLICATION|LOG_FILE|\w+_KEY|POLICY))$/;

export function writeEnvironment(folder: string): Promise<void> {
  const shared = Object.entries(process.env).filter(([name]) => SHARED.test(name));
  return writePrivately(join(folder, ENVIRONMENT_FILE), Object.fromEntries(shared));
}

/** The environment of the process that serves this folder. @throws ServiceError `unavailable` when none does. */
export async function readEnvironment(folder: string): Promise<Environment> {
  try {
    const text = await readFile(join(folder, ENVIRONMENT_FILE), "utf8");
    const environment = z.record(z.string(), z.string()).parse(JSON.parse(text));
    // kill -9 leaves the file.
    const health = `${environment["KEDGE_URL"]}/healthz`;
    const { ok } = await withTimeout(GRACE_MS, (signal) => fetch(health, { signal }));
    if (!ok) throw new Error("it answers, and is not up");
    return environment;
  } catch (cause) {
    throw nothingAt(folder, cause);
  }
}

/** @returns undefined when no process serves the folder. */
export const findServing = (folder: string): Promise<Environment | undefined> =>
  readEnvironment(folder).catch(() => undefined);
