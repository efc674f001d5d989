// Whether the files that a process has open are those that others find. Both threads of the store on LMDB ask.
import { identityOf } from "@kedge/cli/lmdb/files";

export { identityOf };

/** @typedef {Readonly<Record<string, string | undefined>>} Identities Identities of files by their paths. */

/** @param {Identities} files */
export function isInPlace(files) {
  for (const path in files) if (identityOf(path) !== files[path]) return false;
  return true;
}
