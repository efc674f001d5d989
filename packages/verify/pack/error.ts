/**
 * Why a pack cannot be read. The set is closed.
 *
 * - `malformed`: it is no pack, or a part of it is not of its form
 * - `too_large`: it holds more than is read here
 * - `changed`: a part of it is not of its form, and by the pack's own list it is not the one that was packed
 */
export type PackErrorCode = "malformed" | "too_large" | "changed";

/** The only error that reading and writing a pack throws. The message quotes nothing of an event. */
export class PackError extends Error {
  readonly code: PackErrorCode;
  /** The path in the pack, where it is one file that cannot be read. */
  readonly file: string | undefined;

  constructor(code: PackErrorCode, message: string, options?: { cause?: unknown; file?: string }) {
    super(message, options);
    this.name = "PackError";
    this.code = code;
    this.file = options?.file;
  }
}
