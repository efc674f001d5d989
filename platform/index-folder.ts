/** The index in a folder, `file:///…`: for one machine, and for several processes on it at once. */
import type { Dirent } from "node:fs";
import { open, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ignoreAbsent, makeFolder, syncFolder, temporaryFolder } from "./durable.ts";
import { ServiceError } from "./error.ts";
import { checkRange, type IndexPlace } from "./index-place.ts";

/** Its name begins as that of no log does. */
const TEMPORARY = ".tmp";

/** Files and folders are their owner's alone. @throws ServiceError `unavailable` */
export function folderIndex(url: URL): IndexPlace {
  const root = fileURLToPath(url);
  const temporaries = temporaryFolder(join(root, TEMPORARY));

  const write = async (path: string, bytes: Uint8Array) => {
    const place = join(root, path);
    await makeFolder(dirname(place), 0o700);
    const temporary = await temporaries.write(bytes, 0o600);
    try {
      // In the place of one that is there: it has the same content, or is to be made good.
      await rename(temporary, place);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    await syncFolder(dirname(place));
  };

  return {
    async read(path, from = 0, to) {
      checkRange(from, to);
      return await readRange(join(root, path), from, to).catch(unavailable);
    },
    write: (path, bytes) => write(path, bytes).catch(unavailable),
    async *list(folder) {
      try {
        yield* filesBelow(root, folder);
      } catch (cause) {
        unavailable(cause);
      }
    },
    remove: (path) => rm(join(root, path), { force: true }).catch(unavailable),
  };
}

async function readRange(path: string, from: number, to = Number.MAX_SAFE_INTEGER) {
  const file = await open(path, "r").catch(ignoreAbsent);
  if (file === undefined) return undefined;
  try {
    const { size } = await file.stat();
    const bytes = new Uint8Array(Math.max(0, Math.min(to, size) - from));
    let filled = 0;
    while (filled < bytes.length) {
      const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, from + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return bytes.subarray(0, filled);
  } finally {
    await file.close();
  }
}

/** @param folder ends with a slash, or is empty: the root. */
async function* filesBelow(root: string, folder: string): AsyncGenerator<string> {
  const entries: Dirent[] | undefined = await readdir(join(root, folder), { withFileTypes: true }).catch(
    ignoreAbsent,
  );
  for (const entry of entries ?? []) {
    const path = `${folder}${entry.name}`;
    if (path === TEMPORARY) continue;
    if (entry.isDirectory()) yield* filesBelow(root, `${path}/`);
    else yield path;
  }
}

function unavailable(cause: unknown): never {
  if (cause instanceof ServiceError) throw cause;
  throw new ServiceError("unavailable", "the index folder cannot be read or written", { cause });
}
