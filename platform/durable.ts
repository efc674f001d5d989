/** Files that survive a power cut, whole, and folders that do. */
import { mkdir, open, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Writes a file and the folders above it. A reader sees the old file or the new one, whole; when this returns, the new
 * one survives a power cut. One writer at a time: all use the same temporary name.
 */
export async function writeDurably(path: string, content: string | Uint8Array, mode?: number): Promise<void> {
  await makeFolder(dirname(path));
  const temporary = `${path}.tmp`;
  // Made anew: what a crash left there would keep its own mode.
  await rm(temporary, { force: true });
  const file = await open(temporary, "wx", mode);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  await syncFolder(dirname(path));
}

/**
 * Makes a folder and those above it that are absent, so that each survives a power cut.
 * Not by mkdir's own recursion: it never ends where nothing can be made, such as below /proc.
 */
export async function makeFolder(path: string, mode?: number): Promise<void> {
  if ((await stat(path).catch(ignoreAbsent)) !== undefined) return;
  await makeFolder(dirname(path), mode);
  await mkdir(path, mode).catch((error: unknown) => {
    if (!hasCode(error, "EEXIST")) throw error;
  });
  await syncFolder(dirname(path));
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** For a `catch`: what is absent is undefined, any other error is thrown. */
export function ignoreAbsent(error: unknown): undefined {
  if (!hasCode(error, "ENOENT")) throw error;
}

const hasCode = (error: unknown, code: string): boolean =>
  error instanceof Error && "code" in error && error.code === code;
