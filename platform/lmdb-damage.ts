/** Files of LMDB that are damaged, told before LMDB maps them: it would end this process without a word. */
import { spawnSync } from "node:child_process";
import { open } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { ignoreAbsent, makeFolder } from "./durable.ts";
import { ServiceError } from "./error.ts";
import { type LmdbStore, lmdbStore } from "./lmdb.ts";

/**
 * Opens the folder, made if absent. @param repair what to do about a damaged one.
 * @throws ServiceError `corrupt` when it is, `unavailable` when it cannot be opened.
 */
export async function openWhole(folder: string, repair: string): Promise<LmdbStore> {
  await makeFolder(folder, 0o700);
  if (!(await isWhole(folder))) throw damaged(folder, repair);
  try {
    return lmdbStore(folder);
  } catch (error) {
    throw saysDamage(error) ? damaged(folder, repair, error) : error;
  }
}

export const damaged = (folder: string, repair: string, cause?: unknown): ServiceError =>
  new ServiceError("corrupt", `${folder} is damaged: ${repair}`, { cause });

/** Whether an error of the store is what LMDB says of pages that it did not write. */
export function saysDamage(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (/MDB_(INVALID|CORRUPTED|PAGE_NOTFOUND|VERSION_MISMATCH)/.test(cause.message)) return true;
  }
  return false;
}

/** Bytes of an LMDB 1.0 file from the start of each of its two meta pages: a 4-byte magic number, then 8 bytes each. */
const META = { magic: 24, pageSize: 48, lastPage: 144, transaction: 152, bytes: 160 } as const;
const MAGIC = 0xbeefc0de;

/**
 * Whether the file is one of LMDB, and not cut short.
 * It may be shorter than its last page, where that was freed before it was written: then another process reads it all.
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
