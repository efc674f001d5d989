/** Publication into a folder, `file:///…`: for one machine, and for several processes on it at once. */
import { createHash } from "node:crypto";
import { readFileSync, renameSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ignoreAbsent, makeFolder, syncFolder, temporaryFolder } from "./durable.ts";
import { ServiceError } from "./error.ts";
import { holdLock } from "./lock.ts";
import { isPublic, type Publication } from "./publication.ts";

/** Beside the files, and not below `anchor/`, which anyone may read. */
const LOCK = ".lock";
const TEMPORARY = ".tmp";

export function folderPublication(url: URL): Publication {
  const root = fileURLToPath(url);
  const temporaries = temporaryFolder(join(root, TEMPORARY));

  const read = async (path: string) => {
    const bytes = await readFile(join(root, path)).catch(ignoreAbsent);
    return bytes && { bytes: new Uint8Array(bytes), tag: tagOf(bytes) };
  };

  const replace = async (path: string, bytes: Uint8Array, tag: string | undefined) => {
    const place = join(root, path);
    if ((await read(path))?.tag !== tag) return false;
    // What is not public is its owner's only, whoever may look into the folder around it.
    // Nothing is anyone else's to write, whatever the umask.
    await makeFolder(root, 0o755);
    await makeFolder(dirname(place), isPublic(path) ? 0o755 : 0o700);
    const temporary = await temporaries.write(bytes, isPublic(path) ? 0o644 : 0o600);
    try {
      // Writes go side by side; only to take the name is one after the other.
      const isReplaced = holdLock(join(root, LOCK), () => {
        if (tagAt(place) !== tag) return false;
        renameSync(temporary, place);
        return true;
      });
      if (isReplaced) await syncFolder(dirname(place));
      return isReplaced;
    } finally {
      // Gone already, unless it has not become the file.
      await rm(temporary, { force: true });
    }
  };

  return {
    read: (path) => read(path).catch(unavailable),
    replace: (path, bytes, tag) => replace(path, bytes, tag).catch(unavailable),
  };
}

const tagOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Of the file that stands there now. */
function tagAt(path: string): string | undefined {
  try {
    return tagOf(readFileSync(path));
  } catch (error) {
    return ignoreAbsent(error);
  }
}

function unavailable(cause: unknown): never {
  throw new ServiceError("unavailable", "the publication folder cannot be read or written", { cause });
}
