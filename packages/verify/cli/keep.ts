/** Files that a long-running command keeps: whole after a crash or a power cut, and never beyond a bound. */
import { open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { misuse, warn } from "./output.ts";

/** Beyond this nothing is added: whoever is to look has enough to look at. */
const MAX_APPENDED = 64 << 20;

/** undefined when there is no such file. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return undefined;
    throw misuse(`${path} cannot be read: it is no file, or there is no permission`, cause);
  }
}

/** A reader sees the old file or the new one, and when this returns, the new one survives a power cut. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  await writing(path, async () => {
    await synced(temporary, "w", text);
    await rename(temporary, path);
    await synced(dirname(path), "r");
  });
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

async function synced(path: string, flags: "w" | "a" | "r", text?: string): Promise<void> {
  const file = await open(path, flags);
  try {
    if (text !== undefined) await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function writing(path: string, write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (cause) {
    throw misuse(`${path} cannot be written: is there such a folder, permission, and room?`, cause);
  }
}
