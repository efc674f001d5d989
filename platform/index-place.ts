/**
 * The place of the index: immutable files, each a function of a published tree, so that what is lost can be made again.
 * Where it is is a URL in the configuration, KEDGE_INDEX.
 */

/** Errors are ServiceErrors: `unavailable`, `throttled`, `corrupt`. */
export interface IndexPlace {
  /**
   * Bytes [from, to) of a file, fewer where it ends before; the whole file without them.
   * @returns undefined when there is no such file.
   * @throws RangeError for a range without a byte.
   */
  read(path: string, from?: number, to?: number): Promise<Uint8Array | undefined>;
  /**
   * Writes a file, whole and durably when this returns. A path stands for one content for ever: writing it again, or by
   * several at once, leaves that content.
   */
  write(path: string, bytes: Uint8Array): Promise<void>;
  /** The paths below a folder such as `<log>/`, in no order; of one that is absent none. */
  list(folder: string): AsyncIterable<string>;
  /** Deletes a file; that it is absent is no error. */
  remove(path: string): Promise<void>;
}

/** S3 has no range of no bytes. */
export function checkRange(from: number, to = Number.MAX_SAFE_INTEGER): void {
  if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to) || from < 0 || from >= to)
    throw new RangeError(`there is no range from ${from} to ${to}`);
}
