/**
 * The log file of a process that stays up: bounded, and never a reason for anything else to fail. What cannot be written is
 * said once on stderr and counted.
 */
import { appendFileSync, lstatSync, renameSync, truncateSync, writeSync } from "node:fs";

/** Then the file becomes `<file>.1`, and `<file>.1` the next; the oldest goes. */
export const MAX_LOG_BYTES = 32 * 1024 * 1024;
export const KEPT_LOG_FILES = 4;

/** How many lines could not be written, by path, since one last could. */
const lost = new Map<string, number>();

/** @param line ends in a newline. */
export function appendToLog(path: string, line: string): void {
  let size: number | undefined;
  try {
    size = makeRoom(path, Buffer.byteLength(line));
    const missing = lost.get(path) ?? 0;
    appendFileSync(path, missing === 0 ? line : `${gapLine(missing)}${line}`, { mode: 0o600 });
    lost.delete(path);
  } catch (error) {
    // A full disk takes part of a line: the next one must not be written onto it.
    if (size !== undefined) cut(path, size);
    const before = lost.get(path) ?? 0;
    lost.set(path, before + 1);
    if (before === 0) tell(path, codeOf(error));
  }
}

/** @returns the size of the file as it is then; undefined of what is no file of its own: a pipe, a link, a device. */
function makeRoom(path: string, bytes: number): number | undefined {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return 0;
  if (!found.isFile()) return undefined;
  if (found.size + bytes <= MAX_LOG_BYTES) return found.size;
  for (let n = KEPT_LOG_FILES - 1; n > 0; n--) {
    if (lstatSync(`${path}.${n}`, { throwIfNoEntry: false })?.isFile())
      renameSync(`${path}.${n}`, `${path}.${n + 1}`);
  }
  renameSync(path, `${path}.1`);
  return 0;
}

function cut(path: string, size: number): void {
  try {
    truncateSync(path, size);
  } catch {
    // It is not there, or nobody may write to it: then no part of the line is in it either.
  }
}

const gapLine = (lines: number): string =>
  `${JSON.stringify({ level: "error", time: new Date().toISOString(), event: "log", lost: lines })}\n`;

const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error ? String(error.code) : "unknown reason";

function tell(path: string, reason: string): void {
  const advice = "everything else goes on; mend it, or name another with KEDGE_LOG_FILE";
  try {
    writeSync(2, `kedge: the log file ${path} cannot be written (${reason}): ${advice}\n`);
  } catch {
    // Nobody reads it.
  }
}
