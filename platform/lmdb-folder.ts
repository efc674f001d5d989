/** A folder of LMDB: opens its two files so that they survive a power cut, and so that a full disk is an error. */
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { makeLockFile, syncFolder } from "@kedge/cli/lmdb/files";
import type { RootDatabase } from "lmdb";
import { type Identities, identityOf } from "./lmdb-files.mjs";

export const DATA_FILE = "data.mdb";
const LOCK_FILE = "lock.mdb";

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
