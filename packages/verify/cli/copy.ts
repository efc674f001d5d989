/** A copy of a public log's static files in a folder, `file:///…`: read as from a server, and as hostile. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ClientError } from "../error.ts";
import { type LogFiles, logFiles } from "../net/files.ts";
import { RegularFileError, readRegular } from "./regular.ts";

export const isCopy = (url: string): boolean => url.startsWith("file:");

/** Throws ClientError `invalid` when the URL names no folder of this machine. */
export function openCopy(url: string): LogFiles {
  const folder = folderOf(url);
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

function folderOf(url: string): string {
  try {
    return fileURLToPath(url);
  } catch (cause) {
    throw new ClientError("invalid", "Give a folder as file:///<its absolute path>", { cause });
  }
}
