/**
 * Why the journal cannot do what it was asked to. The set is closed.
 *
 * - `full`: no room on the disk; it goes on once there is
 * - `in_use`: another process, or this one, has the intake of the source
 * - `damaged`: the journal cannot be read, or contradicts itself
 * - `lost`: it once had what it has no more
 * - `other_key`: it is kept under other tenant keys
 * - `unwritable`: its folder or a file of it cannot be made, opened or written
 * - `closed`: it was closed before
 */
export type JournalErrorCode = "full" | "in_use" | "damaged" | "lost" | "other_key" | "unwritable" | "closed";

/** The one error of the journal. A message says what to do next, and nothing of an event. */
export class JournalError extends Error {
  readonly code: JournalErrorCode;

  constructor(code: JournalErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "JournalError";
    this.code = code;
  }
}
