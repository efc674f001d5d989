/**
 * Whether one file begins with what was read of another: after a copy, a compression or a restored backup, when the inode says
 * nothing. Short hashes at doubling distances and one where reading stopped, so that a file of any size takes some hundred
 * bytes to remember.
 */
import { createHash } from "node:crypto";
import { joinBytes } from "@kedge/verify/tlog/bytes";

export type Fingerprint = {
  /** How many bytes were read. */
  offset: number;
  /** Of the bytes before 16, 32, 64, … as far as they were read. */
  marks: readonly string[];
  /** Of the bytes before `offset`. */
  tail: string;
};

export const NOTHING_READ: Fingerprint = { offset: 0, marks: [], tail: "" };

/** Bytes that are hashed at each place. */
export const WINDOW = 256;
const FIRST = 16;
const markAt = (mark: number): number => FIRST * 2 ** mark;

const hash = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex").slice(0, 16);

/** Takes the fingerprint of what streams by. */
export type Fingerprinter = {
  add(part: Uint8Array): void;
  /** Of all up to there: no further back than the beginning of the last part, or where all began. */
  upTo(offset: number): Fingerprint;
};

/** From what was read before; `window`: the bytes before its offset, WINDOW of them or as many as there are. */
export function fingerprinter(before: Fingerprint, window: Uint8Array = new Uint8Array()): Fingerprinter {
  const marks = [...before.marks];
  let recent = window;
  let position = before.offset;
  const ending = (offset: number): string => {
    const end = recent.length - (position - offset);
    return hash(recent.subarray(Math.max(0, end - WINDOW), end));
  };
  return {
    add(part) {
      recent = joinBytes([recent.subarray(Math.max(0, recent.length - WINDOW)), part]);
      position += part.length;
      for (let at = markAt(marks.length); at <= position; at = markAt(marks.length)) marks.push(ending(at));
    },
    upTo(offset) {
      if (offset === 0) return NOTHING_READ;
      return { offset, marks: marks.filter((_, mark) => markAt(mark) <= offset), tail: ending(offset) };
    },
  };
}

/** Of all these bytes. */
export function fingerprintAll(bytes: Uint8Array): Fingerprint {
  const print = fingerprinter(NOTHING_READ);
  print.add(bytes);
  return print.upTo(bytes.length);
}

/** Whether one may be the beginning of the other, as far as both have marks. */
export const agree = (marks: readonly string[], others: readonly string[]): boolean =>
  marks.every((mark, i) => others[i] === undefined || others[i] === mark);

/**
 * - `differs`: it is another
 * - `whole`: it begins with all that was read
 * - `part`: it is shorter than what was read, and nothing in it differs as far as `checked`; with a fingerprint of its own
 */
export type Likeness =
  | { is: "differs" | "whole" }
  | { is: "part"; checked: number; fingerprint: Fingerprint };

/** Reads no more of the file than it must. */
export async function likeness(of: Fingerprint, parts: AsyncIterable<Uint8Array>): Promise<Likeness> {
  const other = fingerprinter(NOTHING_READ);
  let size = 0;
  let checked = 0;
  for await (const part of parts) {
    for (let from = 0; from < part.length; from += CHUNK) {
      const piece = part.subarray(from, from + CHUNK);
      other.add(piece);
      size += piece.length;
      const { marks } = other.upTo(Math.min(size, of.offset));
      if (!agree(marks, of.marks)) return { is: "differs" };
      checked = marks.length === 0 ? 0 : markAt(marks.length - 1);
      if (size >= of.offset) return { is: other.upTo(of.offset).tail === of.tail ? "whole" : "differs" };
    }
  }
  return { is: "part", checked, fingerprint: other.upTo(size) };
}
const CHUNK = 1 << 16;

/** Whether the bytes before `of.offset` are still those that were read; `window` has up to WINDOW of them. */
export const endsAlike = (of: Fingerprint, window: Uint8Array): boolean =>
  of.offset === 0 || hash(window) === of.tail;
