/** A folder of LMDB: opens its two files so that they survive a power cut, and so that a full disk is an error. */
import { randomUUID } from "node:crypto";
import { closeSync, fsyncSync, linkSync, mkdirSync, openSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { RootDatabase } from "lmdb";
import { type Identities, identityOf } from "./lmdb-files.mjs";

export const DATA_FILE = "data.mdb";
const LOCK_FILE = "lock.mdb";
/** For more readers than there will be processes. */
const LOCK_BYTES = 16_384;

export const LMDB_OPTIONS = {
  noSubdir: false,
  keyEncoding: "binary",
  encoding: "binary",
  overlappingSync: false,
  // Address space and nothing else: the files grow as they are written.
  mapSize: 2 ** 40,
  permissionsMode: 0o600,
} as const;

export type Database = RootDatabase<Buffer, Buffer>;

/** Makes what is absent. `inPlace` is for isInPlace. @throws what the file system or LMDB says. */
export function openDatabase(folder: string): { readonly db: Database; readonly inPlace: Identities } {
  // Loaded here: a Lambda function has no use for a native module, and its bundle has none.
  const { open }: typeof import("lmdb") = createRequire(import.meta.url)("lmdb");
  const [data, lock] = [join(folder, DATA_FILE), join(folder, LOCK_FILE)];
  makeFolder(folder);
  makeLockFile(lock);
  const db = open<Buffer, Buffer>({ ...LMDB_OPTIONS, path: folder });
  syncFolder(folder);
  return { db, inPlace: { [data]: identityOf(data), [lock]: identityOf(lock) } };
}

function makeFolder(path: string): void {
  const first = mkdirSync(path, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let made = path; made.length >= first.length; made = dirname(made)) syncFolder(dirname(made));
}

/**
 * LMDB would make it a hole, and write to that through memory: on a full disk that ends the process (SIGBUS).
 * Under its name it is whole at once, for another process may open it.
 */
function makeLockFile(path: string): void {
  if (identityOf(path) !== undefined) return;
  const temporary = `${path}.${randomUUID()}`;
  try {
    writeFileSync(temporary, new Uint8Array(LOCK_BYTES), { mode: 0o600 });
    linkSync(temporary, path);
  } catch (error) {
    // Another was faster; or the file system has no links, and LMDB makes the file.
    if (error instanceof Error && "syscall" in error && error.syscall !== "link") throw error;
  } finally {
    rmSync(temporary, { force: true });
  }
}

function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
