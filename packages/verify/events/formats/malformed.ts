/** How a format refuses what it cannot read: by line, column and reason, and without a word of the event. */
import { EventError } from "../error.ts";

/**
 * Lines and columns count from 1, columns in characters; a line ends at LF, CR or CRLF.
 *
 * @param at the offset in bytes; at the end of the bytes for what is missing there
 */
export function malformedEvent(bytes: Uint8Array, at: number, reason: string): EventError {
  const { line, column } = placeOf(bytes, at);
  return new EventError(
    "malformed_event",
    `The event cannot be read: line ${line}, column ${column}: ${reason}. ` +
      "Correct it where it is written, or take what comes from there as plain bytes.",
  );
}

const LF = 0x0a;
const CR = 0x0d;

function placeOf(bytes: Uint8Array, at: number): { line: number; column: number } {
  let line = 1;
  let lineStart = hasByteOrderMark(bytes) && at >= 3 ? 3 : 0;
  for (let i = 0; i < at; i++) {
    const byte = bytes[i];
    if (byte === LF || (byte === CR && bytes[i + 1] !== LF)) {
      line++;
      lineStart = i + 1;
    }
  }
  let column = 1;
  // A byte 10xxxxxx goes on with a character of UTF-8.
  for (let i = lineStart; i < at; i++) if (((bytes[i] ?? 0) & 0xc0) !== 0x80) column++;
  return { line, column };
}

export const hasByteOrderMark = (bytes: Uint8Array): boolean =>
  bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;

/** Whether the bytes can only be XML: the first that is no whitespace is `<`. */
export const isXml = (bytes: Uint8Array): boolean =>
  bytes.subarray(hasByteOrderMark(bytes) ? 3 : 0).find((byte) => byte > 0x20) === 0x3c;
