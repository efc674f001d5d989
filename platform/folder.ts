/** Publication into a folder, `file:///…`: for one process on one machine. */
import { createHash } from "node:crypto";
import { mkdir, open, readFile, rename, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ServiceError } from "./error.ts";
import type { Publication } from "./publication.ts";

export function folderPublication(url: URL): Publication {
  const root = fileURLToPath(url);
  // Compare-and-replace is atomic within this process only; one queue for all paths keeps it simple.
  let queue: Promise<unknown> = Promise.resolve();

  const read = async (path: string) => {
    const bytes = await readFile(join(root, path)).catch(ignoreAbsent);
    return bytes && { bytes: new Uint8Array(bytes), tag: tagOf(bytes) };
  };

  const replaceNow = async (path: string, bytes: Uint8Array, tag: string | undefined) => {
    if ((await read(path))?.tag !== tag) return false;
    await writeDurably(join(root, path), bytes);
    return true;
  };

  return {
    read: (path) => read(path).catch(unavailable),
    replace(path, bytes, tag) {
      const done = queue.then(() => replaceNow(path, bytes, tag)).catch(unavailable);
      queue = done.catch(() => undefined);
      return done;
    },
  };
}

const tagOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** A reader sees the old file or the new one, whole; when this returns, the new one survives a power cut. */
async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  await makeFolder(dirname(path));
  // The queue is the only writer, so one name does; what a crash leaves there is overwritten.
  const temporary = `${path}.tmp`;
  await sync(temporary, "w", (file) => file.writeFile(bytes));
  await rename(temporary, path);
  await sync(dirname(path), "r");
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
  await sync(dirname(path), "r");
}

async function sync(
  path: string,
  flags: string,
  write?: (file: Awaited<ReturnType<typeof open>>) => Promise<void>,
) {
  const file = await open(path, flags);
  try {
    await write?.(file);
    await file.sync();
  } finally {
    await file.close();
  }
}

function ignoreAbsent(error: unknown): undefined {
  if (!hasCode(error, "ENOENT")) throw error;
}

const hasCode = (error: unknown, code: string): boolean =>
  error instanceof Error && "code" in error && error.code === code;

function unavailable(cause: unknown): never {
  throw new ServiceError("unavailable", "the publication folder cannot be read or written", { cause });
}
