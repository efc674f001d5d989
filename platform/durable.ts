/** Files that survive a power cut, whole, and folders that do. */
import { randomUUID } from "node:crypto";
import { mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";

/** No write takes as long. */
const ABANDONED_MS = 3_600_000;

/**
 * Writes a file and the folders above it. A reader sees the old file or the new one, whole; when this returns, the new
 * one survives a power cut. One writer at a time: all use the same temporary name.
 */
export async function writeDurably(path: string, content: string | Uint8Array, mode?: number): Promise<void> {
  await makeFolder(dirname(path));
  const temporary = `${path}.tmp`;
  // Made anew: what a crash left there would keep its own mode.
  await rm(temporary, { force: true });
  await writeSynced(temporary, content, mode);
  await rename(temporary, path);
  await syncFolder(dirname(path));
}

/** Files on their way to their names. */
export type Temporaries = {
  /** Writes a file, durably but for its name. @returns its path, for the caller to rename or remove. */
  write(content: string | Uint8Array, mode: number): Promise<string>;
};

/**
 * A folder for temporary files, of any number of writers and processes at once: on one file system with where the files go.
 * What a killed process left there is removed an hour later, when another begins to write.
 */
export function temporaryFolder(path: string): Temporaries {
  let opened: Promise<void> | undefined;
  const open = async () => {
    await makeFolder(path, 0o700);
    for (const name of await readdir(path)) {
      const file = join(path, name);
      const { mtimeMs = Number.POSITIVE_INFINITY } = (await stat(file).catch(ignoreAbsent)) ?? {};
      if (Date.now() - mtimeMs > ABANDONED_MS) await rm(file, { force: true });
    }
  };
  return {
    async write(content, mode) {
      opened ??= open();
      // One that failed, or whose folder was removed, is opened again by the next write.
      try {
        await opened;
        const file = join(path, randomUUID());
        await writeSynced(file, content, mode);
        return file;
      } catch (error) {
        opened = undefined;
        throw error;
      }
    },
  };
}

async function writeSynced(path: string, content: string | Uint8Array, mode?: number): Promise<void> {
  const file = await open(path, "wx", mode);
  try {
    await file.writeFile(content);
    await file.sync();
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  } finally {
    await file.close();
  }
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

export async function syncFolder(path: string): Promise<void> {
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
