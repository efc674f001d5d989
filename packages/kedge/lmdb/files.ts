/**
 * The files of a database of LMDB, without LMDB: told to be whole before it maps them, and made so that a full disk is an
 * error.
 */
import { spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import {
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

/** For more readers than there will be processes. */
const LOCK_BYTES = 16_384;

/**
 * LMDB would make it a hole, and write to that through memory: on a full disk that ends the process (SIGBUS).
 * Under its name it is whole at once, for another process may open it.
 */
export function makeLockFile(lock: string): void {
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

export function syncFolder(path: string): void {
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
 * `cut`: shorter than what it says of itself. @param options how LMDB opens it. @throws what the file system says.
 */
export function lookAt(
  path: string,
  options: { path: string; noSubdir: boolean } = { path, noSubdir: true },
): "absent" | "empty" | "whole" | "foreign" | "cut" {
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
  return isReadable(options) ? "whole" : "cut";
}

const transactionOf = (head: Buffer, at: number): bigint => head.readBigUInt64LE(at + META.transaction);

const READ_ALL =
  "const [lmdb, path, noSubdir] = process.argv.slice(1);" +
  'const db = require(lmdb).open({ path, noSubdir: noSubdir === "true", keyEncoding: "binary", encoding: "binary", readOnly: true });' +
  " for (const { value } of db.getRange()) void value;";

/** Another process reads all of it, for it may end at it. */
function isReadable({ path, noSubdir }: { path: string; noSubdir: boolean }): boolean {
  const lmdb = createRequire(import.meta.url).resolve("lmdb");
  const args = ["-e", READ_ALL, lmdb, path, `${noSubdir}`];
  return spawnSync(process.execPath, args, { stdio: "ignore" }).status === 0;
}
