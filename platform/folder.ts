/** Publication into a folder, `file:///…`: for one process on one machine. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ignoreAbsent, makeFolder, writeDurably } from "./durable.ts";
import { ServiceError } from "./error.ts";
import { isPublic, type Publication } from "./publication.ts";

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
    // What is not public is its owner's only, whoever may look into the folder around it.
    // Nothing is anyone else's to write, whatever the umask.
    await makeFolder(root, 0o755);
    await makeFolder(dirname(join(root, path)), isPublic(path) ? 0o755 : 0o700);
    // The queue is the only writer, as writeDurably asks.
    await writeDurably(join(root, path), bytes, isPublic(path) ? 0o644 : 0o600);
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

function unavailable(cause: unknown): never {
  throw new ServiceError("unavailable", "the publication folder cannot be read or written", { cause });
}
