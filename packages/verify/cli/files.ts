/** Files of a command: read within a bound, and written whole or not at all. */
import { existsSync } from "node:fs";
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { type Policy, parsePolicy } from "../tlog/policy.ts";
import { statOf } from "./inputs.ts";
import { asMisuse, misuse, warn } from "./output.ts";

/** Beyond this nothing is added: whoever is to look has enough to look at. */
const MAX_APPENDED = 64 << 20;

/** Throws CliError `misuse` when it cannot be read, or has more than `limit` bytes. */
export async function readInput(path: string, limit = Number.POSITIVE_INFINITY): Promise<Uint8Array> {
  if ((await statOf(path)).size > limit) throw misuse(`${path} is too large for what it should be`);
  try {
    return new Uint8Array(await readFile(path));
  } catch (cause) {
    throw misuse(`${path} cannot be read: there is no such file, or no permission`, cause);
  }
}

export async function readText(path: string, limit?: number): Promise<string> {
  return new TextDecoder().decode(await readInput(path, limit));
}

/** undefined when there is no such file. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return undefined;
    throw misuse(`${path} cannot be read: it is no file, or there is no permission`, cause);
  }
}

export async function readPolicy(path: string): Promise<Policy> {
  const text = await readText(path);
  const ending = text.includes("\r") ? " It has the line endings of Windows: save it with LF alone." : "";
  return asMisuse(
    () => parsePolicy(text),
    ({ message }) => `${path} is not a policy. ${message.replace(/\.$/, "")}.${ending}`,
  );
}

/** A reader sees the old file or the new one, and when this returns, the new one survives a power cut. */
export async function replaceFile(path: string, text: string): Promise<void> {
  await writing(path, async () => {
    await replacing(path, (partial) => synced(partial, "wx", text));
    await synced(dirname(path), "r");
  });
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
  const before = (await readIfThere(path)) ?? "";
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

async function synced(path: string, flags: "wx" | "a" | "r", text?: string): Promise<void> {
  const file = await open(path, flags);
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
