// Whether the files that a process has open are those that others find. Both threads of the store on LMDB ask.
import { statSync } from "node:fs";

/** @typedef {Readonly<Record<string, string | undefined>>} Identities Identities of files by their paths. */

/** @param {string} path @returns {string | undefined} undefined when there is none. */
export function identityOf(path) {
  const found = statSync(path, { throwIfNoEntry: false });
  return found && `${found.dev}/${found.ino}`;
}

/** @param {Identities} files */
export function isInPlace(files) {
  for (const path in files) if (identityOf(path) !== files[path]) return false;
  return true;
}
