/** Why the journal cannot do what it was asked to, and what to do next. */
import { quoted } from "@kedge/verify/text";

/**
 * The set is closed.
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

// ---- what each says ---------------------------------------------------------------------------------------------------

const ANEW =
  "Bring the folder back as it was last: an older copy would give numbers again that were given. If there is none, begin in another folder and under other names of the sources";

export const closed = (folder: string) =>
  new JournalError("closed", `The journal in ${folder} has been closed`);
export const lost = (folder: string, source: string) =>
  new JournalError(
    "lost",
    `The source ${quoted(source)} was begun in ${folder}, and its journal is not there. ${ANEW}`,
  );
export const damaged = (folder: string, what: string, cause?: unknown) =>
  new JournalError("damaged", `The journal in ${folder} is damaged: ${what}. ${ANEW}`, { cause });
export const otherKey = (folder: string, what: string) =>
  new JournalError(
    "other_key",
    `The journal in ${folder} is kept under other keys (${what}): use those that it was begun with, or another folder`,
  );
export const unwritable = (folder: string, cause: unknown) =>
  new JournalError(
    "unwritable",
    `The journal in ${folder} cannot be opened or written: is there permission, room within quotas, and a sound disk? Nothing was taken`,
    { cause },
  );
export const replaced = (folder: string) =>
  new JournalError(
    "unwritable",
    `The files of the journal in ${folder} were removed or replaced while it was open: stop all that use it, bring them back, and start again`,
  );
/** @param source quoted */
export const inUse = (folder: string, source: string) =>
  new JournalError(
    "in_use",
    `Another process has the source ${source} of the journal in ${folder}: end it, or give this source another name`,
  );

/** What the thread that writes has said. */
export function refused(
  folder: string,
  { code, error }: { code: JournalErrorCode; error: string },
): JournalError {
  const cause = new Error(error);
  switch (code) {
    case "full":
      return new JournalError(
        code,
        `There is no room for the journal in ${folder}: make some on its disk. What was refused was not taken, and may be sent again`,
        { cause },
      );
    case "damaged":
      return damaged(folder, error);
    case "other_key":
      return otherKey(folder, error);
    case "in_use":
      return inUse(folder, error);
    default:
      return unwritable(folder, cause);
  }
}
