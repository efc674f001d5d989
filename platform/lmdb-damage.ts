/** Files of LMDB that are damaged, told before LMDB maps them: it would end this process without a word. */
import { join } from "node:path";
import { lookAt } from "@kedge/cli/lmdb/files";
import { makeFolder } from "./durable.ts";
import { ServiceError } from "./error.ts";
import { type LmdbStore, lmdbStore } from "./lmdb.ts";
import { DATA_FILE } from "./lmdb-folder.ts";

/**
 * Opens the folder, made if absent. @param repair what to do about a damaged one.
 * @throws ServiceError `corrupt` when it is, `unavailable` when it cannot be opened.
 */
export async function openWhole(folder: string, repair: string): Promise<LmdbStore> {
  await makeFolder(folder, 0o700);
  if (!isWhole(folder)) throw damaged(folder, repair);
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

function isWhole(path: string): boolean {
  const seen = lookAt(join(path, DATA_FILE), { path, noSubdir: false });
  return seen !== "foreign" && seen !== "cut";
}
