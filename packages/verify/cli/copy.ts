/** A public log's static files, from a server or from a copy in a folder, `file:///…`: both are read as hostile. */
import { statSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { ClientError } from "../error.ts";
import { type AnchorFiles, type FilesOptions, logFiles, openLogFiles } from "../net/files.ts";
import { RegularFileError, readRegular } from "./regular.ts";

/**
 * The files of a log at an http, https or file URL, or in a folder that exists or whose path begins with `/`, `./` or `../`: a
 * URL made from a path by hand breaks on `#` and `%`. Throws ClientError `invalid` when it is none of these.
 */
export function openFiles(where: string, options: FilesOptions = {}): AnchorFiles {
  if (/^(\.{0,2}[/\\]|[A-Za-z]:[/\\])/.test(where) || isFolder(where)) return openCopy(resolve(where));
  return where.startsWith("file:") ? openCopy(folderOf(where)) : openLogFiles(where, options);
}

const isFolder = (where: string): boolean =>
  !/^(https?|file):/.test(where) && (statSync(where, { throwIfNoEntry: false })?.isDirectory() ?? false);

function openCopy(folder: string): AnchorFiles {
  return logFiles(async (path, limit) => {
    try {
      return readRegular(join(folder, path), limit);
    } catch (cause) {
      if (!(cause instanceof RegularFileError)) throw cause;
      const message = `${cause.message}: is this a whole copy of the log's files?`;
      throw new ClientError(CODES[cause.code], message, { cause });
    }
  });
}

/** What no copy of a log has is the copy's fault. */
const CODES = {
  absent: "not_found",
  unreadable: "network",
  not_regular: "protocol",
  too_large: "protocol",
} as const;

/** Throws ClientError `invalid` when the URL names no folder of this machine. */
function folderOf(url: string): string {
  try {
    return fileURLToPath(url);
  } catch (cause) {
    throw new ClientError("invalid", "Give a folder as file:///<its absolute path>", { cause });
  }
}
