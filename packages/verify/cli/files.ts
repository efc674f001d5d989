/** Files of a command: read within a bound, and written whole or not at all. */
import { existsSync } from "node:fs";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { asMisuse, misuse, warn } from "./output.ts";
import { RegularFileError, readRegular } from "./regular.ts";

/** Beyond this nothing is added: whoever is to look has enough to look at. */
const MAX_APPENDED = 64 << 20;
/** What was below that, and what one run added. */
export const MAX_APPENDED_TO = 2 * MAX_APPENDED;

/** Of a file that has one thing in it: an opening, certificates, keys. */
const MAX_SMALL = 1 << 20;

/** Throws CliError `misuse` when it is no file, cannot be read, or has more than `limit` bytes. */
export function readInput(path: string, limit: number): Uint8Array {
  try {
    return readRegular(path, limit);
  } catch (cause) {
    throw cause instanceof RegularFileError ? misuse(cause.message, cause) : cause;
  }
}

/** As `readInput`, for text of 1 MiB at most unless said otherwise; without the byte order mark of an editor. */
export function readText(path: string, limit = MAX_SMALL): string {
  return new TextDecoder().decode(readInput(path, limit));
}

/** As `readText`; undefined when there is no such file. */
export function readIfThere(path: string, limit = MAX_SMALL): string | undefined {
  try {
    return new TextDecoder().decode(readRegular(path, limit));
  } catch (cause) {
    if (!(cause instanceof RegularFileError)) throw cause;
    if (cause.code === "absent") return undefined;
    throw misuse(cause.message, cause);
  }
}

/** A reader sees the old file or the new one, and when this returns, the new one survives a power cut. */
export async function replaceFile(path: string, text: string, mode?: number): Promise<void> {
  await writing(path, async () => {
    await replacing(path, (partial) => synced(partial, "wx", text, mode));
    await synced(dirname(path), "r");
  });
}

/** As `replaceFile`, for what `parse` reads alone: a file of another kind, such as credentials or events, is left as it is. */
export async function replaceOwn(
  path: string,
  text: string,
  what: string,
  parse: (text: string) => unknown,
): Promise<void> {
  const before = readIfThere(path);
  if (before !== undefined && before.trim() !== "") {
    asMisuse(
      () => parse(before),
      () => `${path} holds something else than ${what}, and is left as it is: name another file`,
    );
  }
  await replaceFile(path, text);
}

/** A reader sees the old file or the new one. Throws what `write`, which creates the file it is given, or renaming does. */
export async function replacing(path: string, write: (partial: string) => Promise<void>): Promise<void> {
  const partial = `${path}.${process.pid}.partial`;
  try {
    await rm(partial, { force: true }); // a process that was killed had the same id
    await write(partial);
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true }).catch(() => undefined);
    throw error;
  }
}

/** Appends those of the lines that the file does not have yet. False when it is too full for them. */
export async function appendNew(path: string, lines: readonly string[]): Promise<boolean> {
  if (lines.length === 0) return true;
  const before = readIfThere(path, MAX_APPENDED_TO) ?? "";
  const known = new Set(before.split("\n"));
  const fresh = [...new Set(lines)].filter((line) => !known.has(line));
  if (fresh.length === 0) return true;
  if (before.length > MAX_APPENDED) {
    warn(`${path} is full: move it elsewhere, so that more is kept`);
    return false;
  }
  // A line that a crash cut short is left as it is, on a line of its own.
  const start = before === "" || before.endsWith("\n") ? "" : "\n";
  await writing(path, async () => {
    await synced(path, "a", `${start}${fresh.map((line) => `${line}\n`).join("")}`);
    await synced(dirname(path), "r");
  });
  return true;
}

/** As `mkdir -p`. Node's own does not return where no folder can be made, such as below /proc. */
export async function makeFolder(folder: string, mode?: number): Promise<void> {
  const parent = dirname(folder);
  if (!existsSync(parent) && parent !== folder) await makeFolder(parent, mode);
  await mkdir(folder, mode).catch((error: unknown) => {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  });
}

async function synced(path: string, flags: "wx" | "a" | "r", text?: string, mode?: number): Promise<void> {
  const file = await open(path, flags, mode);
  try {
    if (text !== undefined) await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function writing(path: string, run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (cause) {
    throw misuse(`${path} cannot be written: is there such a folder, permission, and room?`, cause);
  }
}
