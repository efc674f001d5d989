/** Opens a database of LMDB in one file, so that a commit is on the disk when it returns, and a full disk is an error. */
import { chmodSync } from "node:fs";
import { dirname } from "node:path";
import { open, type RootDatabase } from "lmdb";
import { makeLockFile, syncFolder } from "./files.ts";

export type Database = RootDatabase<Buffer, Buffer>;

/** Made if absent, for its owner alone, unless it is only to be read. @throws what the file system or LMDB says. */
export function openDatabase(path: string, { readOnly }: { readOnly: boolean }): Database {
  if (!readOnly) makeLockFile(`${path}-lock`);
  const db = open<Buffer, Buffer>({
    ...{ path, noSubdir: true, readOnly, permissionsMode: 0o600 },
    ...{ encoding: "binary", keyEncoding: "binary", cache: false },
    // Otherwise a commit returns before it is on the disk.
    overlappingSync: false,
    // Address space and nothing else: the file grows as it is written.
    mapSize: 2 ** 42,
  });
  if (!readOnly) {
    for (const file of [path, `${path}-lock`]) chmodSync(file, 0o600);
    syncFolder(dirname(path));
  }
  return db;
}

/** After a failure to write a meta page LMDB refuses everything (MDB_PANIC) until it is opened anew. */
export function isReadable(db: Database): boolean {
  try {
    db.resetReadTxn();
    db.get(Buffer.of(0));
    return true;
  } catch {
    return false;
  }
}
