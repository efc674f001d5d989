/**
 * Files that another may have given: only regular ones, and no more of them than is wanted. A pipe or a device is never
 * waited for.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

/**
 * - `absent`: there is nothing of this name
 * - `not_regular`: a folder, a pipe, a device or a socket
 * - `too_large`: it has more bytes than asked for
 * - `unreadable`: no permission, or the disk failed
 */
type RegularFileErrorCode = "absent" | "not_regular" | "too_large" | "unreadable";

/** The message is one sentence without its end, and names the path. */
export class RegularFileError extends Error {
  readonly code: RegularFileErrorCode;

  constructor(code: RegularFileErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "RegularFileError";
    this.code = code;
  }
}

/** To open a pipe does not wait for its other end then. Windows has no such flag, and no pipes among files. */
const FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);
const CHUNK = 1 << 16;

/** All of a file of at most `limit` bytes. Throws RegularFileError. */
export function readRegular(path: string, limit: number): Uint8Array {
  const file = naming(path, () => openSync(path, FLAGS));
  try {
    const { size } = checkRegular(
      path,
      naming(path, () => fstatSync(file)),
    );
    if (size > limit) throw tooLarge(path, limit);
    // It may grow while it is read, and what /proc shows has size 0.
    const parts: Uint8Array[] = [];
    for (let total = 0; ; ) {
      const part = new Uint8Array(Math.min(Math.max(size - total, CHUNK), limit + 1 - total));
      const read = naming(path, () => readSync(file, part));
      if (read === 0) return Buffer.concat(parts);
      total += read;
      if (total > limit) throw tooLarge(path, limit);
      parts.push(part.subarray(0, read));
    }
  } finally {
    closeSync(file);
  }
}

/** For what is read in parts: to be closed by the caller. Throws RegularFileError. */
export async function openRegular(path: string): Promise<FileHandle> {
  const file = await open(path, FLAGS).catch((cause: unknown) => {
    throw unreadable(path, cause);
  });
  try {
    checkRegular(path, await file.stat());
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

function checkRegular<T extends { isFile(): boolean; isDirectory(): boolean }>(path: string, found: T): T {
  if (found.isFile()) return found;
  const what = found.isDirectory() ? "a folder" : "a pipe or a device";
  throw new RegularFileError("not_regular", `${path} is ${what}, not a file`);
}

function tooLarge(path: string, limit: number): RegularFileError {
  return new RegularFileError(
    "too_large",
    `${path} is larger than ${limit} bytes, too large for what it should be`,
  );
}

function naming<T>(path: string, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

function unreadable(path: string, cause: unknown): RegularFileError {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  if (code === "ENOENT" || code === "ENOTDIR") {
    return new RegularFileError("absent", `${path} cannot be read: there is no such file`, { cause });
  }
  const reason =
    code === "EACCES" || code === "EPERM" ? "there is no permission" : String(code ?? "unknown reason");
  return new RegularFileError("unreadable", `${path} cannot be read: ${reason}`, { cause });
}
