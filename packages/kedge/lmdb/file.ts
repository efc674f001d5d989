/**
 * A database of LMDB in one file: looked at before LMDB maps it, and opened so that a commit is on the disk when it returns,
 * and so that a full disk is an error.
 */
import { spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import {
  chmodSync,
  closeSync,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { open, type RootDatabase } from "lmdb";

export type Database = RootDatabase<Buffer, Buffer>;

/** For more readers than there will be processes. */
const LOCK_BYTES = 16_384;

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

/**
 * LMDB would make it a hole, and write to that through memory: on a full disk that ends the process (SIGBUS).
 * Under its name it is whole at once, for another process may open it.
 */
function makeLockFile(lock: string): void {
  if (identityOf(lock) !== undefined) return;
  const temporary = `${lock}.${randomUUID()}`;
  try {
    writeFileSync(temporary, new Uint8Array(LOCK_BYTES), { mode: 0o600 });
    linkSync(temporary, lock);
  } catch (error) {
    // Another was faster; or the file system has no links, and LMDB makes the file.
    if (error instanceof Error && "syscall" in error && error.syscall !== "link") throw error;
  } finally {
    rmSync(temporary, { force: true });
  }
}

function syncFolder(path: string): void {
  // There a folder cannot be opened as a file.
  if (process.platform === "win32") return;
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** Which file stands at a path; undefined when there is none. */
export function identityOf(path: string): string | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  return found && `${found.dev}/${found.ino}`;
}

/** Bytes of an LMDB 1.0 file from the start of each of its two meta pages: a 4-byte magic number, then 8 bytes each. */
const META = { magic: 24, pageSize: 48, lastPage: 144, transaction: 152, bytes: 160 } as const;
const MAGIC = 0xbeefc0de;

/**
 * LMDB maps the file and reads what is not there as a fault of the machine, which ends the process without a word, and takes
 * an empty file for a new one: so its two heads are looked at before.
 *
 * `cut`: shorter than what it says of itself. @throws what the file system says.
 */
export function lookAt(path: string): "absent" | "empty" | "whole" | "foreign" | "cut" {
  if (identityOf(path) === undefined) return "absent";
  const file = openSync(path, "r");
  try {
    const head = Buffer.alloc(2 << 16);
    const read = readSync(file, head, 0, head.length, 0);
    // After the heads: whoever writes makes the file longer before it says so in one of them.
    const size = fstatSync(file).size;
    if (size === 0) return "empty";
    const pageSize = head.readUInt32LE(META.pageSize);
    const metas = [0, pageSize].filter(
      (at) => at + META.bytes <= read && head.readUInt32LE(at + META.magic) === MAGIC,
    );
    const [older, newer] = metas.toSorted((a, b) => Number(transactionOf(head, a) - transactionOf(head, b)));
    if (older === undefined || newer === undefined || pageSize < 512 || pageSize > 1 << 16) return "foreign";
    const pages = head.readBigUInt64LE(newer + META.lastPage) + 1n;
    if (BigInt(size) >= pages * BigInt(pageSize)) return "whole";
  } finally {
    closeSync(file);
  }
  // It may be shorter than its last page, where that was freed before it was written.
  return isReadable(path) ? "whole" : "cut";
}

const transactionOf = (head: Buffer, at: number): bigint => head.readBigUInt64LE(at + META.transaction);

const READ_ALL =
  'const db = require(process.argv[1]).open({ path: process.argv[2], noSubdir: true, keyEncoding: "binary", encoding: "binary", readOnly: true });' +
  " for (const { value } of db.getRange()) void value;";

/** Another process reads all of it, for it may end at it. */
function isReadable(path: string): boolean {
  const lmdb = createRequire(import.meta.url).resolve("lmdb");
  return spawnSync(process.execPath, ["-e", READ_ALL, lmdb, path], { stdio: "ignore" }).status === 0;
}
