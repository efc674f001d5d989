/** A public log's static files, from a server or from a copy in a folder, `file:///…`: both are read as hostile. */
import { readFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { ClientError } from "../error.ts";
import { type AnchorFiles, type FilesOptions, logFiles, openLogFiles } from "../net/files.ts";

/**
 * The files of a log at an http, https or file URL, or in a folder whose path begins with `/` or `.`: a URL made from a path
 * by hand breaks on `#` and `%`. Throws ClientError `invalid` when it is none of these.
 */
export function openFiles(where: string, options: FilesOptions = {}): AnchorFiles {
  if (/^(\.{0,2}[/\\]|[A-Za-z]:[/\\])/.test(where)) return openCopy(resolve(where));
  return where.startsWith("file:") ? openCopy(folderOf(where)) : openLogFiles(where, options);
}

function openCopy(folder: string): AnchorFiles {
  return logFiles(async (path, limit) => {
    try {
      return await readBounded(join(folder, path), limit);
    } catch (cause) {
      if (cause instanceof ClientError) throw cause;
      const isAbsent = cause instanceof Error && "code" in cause && cause.code === "ENOENT";
      const message = `${path} cannot be read in ${folder}: is it a whole copy of the log's files?`;
      throw new ClientError(isAbsent ? "not_found" : "network", message, { cause });
    }
  });
}

/** Throws ClientError `invalid` when the URL names no folder of this machine. */
function folderOf(url: string): string {
  try {
    return fileURLToPath(url);
  } catch (cause) {
    throw new ClientError("invalid", "Give a folder as file:///<its absolute path>", { cause });
  }
}

async function readBounded(path: string, limit: number): Promise<Uint8Array> {
  const found = await stat(path);
  // Opening a pipe would wait for ever.
  if (!found.isFile()) throw new ClientError("protocol", `${path} is no file: no copy of a log has that`);
  if (found.size > limit)
    throw new ClientError("protocol", `${path} is larger than ${limit} bytes: no log has that`);
  return new Uint8Array(await readFile(path));
}
