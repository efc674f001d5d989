/**
 * Where the syslog messages of a stream begin and end (RFC 5425 §4.3, RFC 6587 §3.4): a message that begins with a digit has
 * its length before it, any other ends at LF, NUL or the connection's end. Pure: what comes out does not depend on how the
 * stream was cut into pieces, and no more is held than the longest message that is taken.
 *
 * An audit message is XML, which has line ends of its own, and some senders frame nothing: so that ends with its root
 * element, or where the next message begins.
 */

import { ROOT } from "./syslog-message.ts";

export type Framed =
  /** `isCut`: the rest of it never came. */
  | { kind: "message"; bytes: Uint8Array; isCut: boolean }
  /** Longer than the limit: `octets` of it were passed over. */
  | { kind: "overlong"; octets: number };

export type Framing = {
  /** The messages that end with this piece; it has to be run through. */
  push(piece: Uint8Array): Generator<Framed>;
  /** What is left of the stream. @param isClean whether the sender closed it in order */
  end(isClean: boolean): Generator<Framed>;
  /** Octets that are held of a message whose end has not come. */
  held(): number;
};

const LF = 0x0a;
const CR = 0x0d;
const NUL = 0;

/** MSG-LEN (RFC 5425 §4.3). Nobody has a message of a gigabyte: what has more digits than these is text. */
const COUNT = /^([1-9]\d{0,8}) /;
const COUNT_BEGUN = /^[1-9]\d{0,8}$/;
const MAX_COUNT = 10;

const LINE_END_OR_XML = new RegExp(`[\\n\\0]|<${ROOT}[\\s>]`, "g");
const XML_END = new RegExp(`\\0|\\n(?=<\\d{1,3}>)|</${ROOT}\\s{0,40}>`, "g");
/** More than any match of these, or of what is looked for before a line's end, takes: so much is looked through again. */
const OVERLAP = 512;
/** What goes on after the line's end: the declaration of XML, and a header that nothing follows. */
const DECLARATION = /<\?xml[^<>]{0,200}\?>[ \t\r]*$/;
const BARE_HEADER = /^<\d{1,3}>(?:1 )?\d{4}-\d\d-\d\dT[\d:.]{5,20}(?:Z|[+-]\d\d:\d\d) \S{1,255}[ \r]*$/;
const PRI = /^<\d{1,3}>/;
const PRI_BEGUN = /^(?:<\d{0,3})?$/;
const MAX_PRI = 5;

const EMPTY = Buffer.alloc(0);

/** In octets from where the message begins: where it ends, and where the next may begin. */
type Ending = { at: number; next: number; isCut: boolean };

/** @param limit octets of the longest message that is taken */
export function openFraming(limit: number): Framing {
  // What is held is buffer[start, end): it begins where a message does, but for what was passed over of that.
  let buffer: Buffer = EMPTY;
  let start = 0;
  let end = 0;
  let mode: "between" | "delimited" | "skipping" = "between";
  // Skipping a counted message: what is still to come of it, and all that was announced.
  let toSkip = 0;
  let announced = 0;
  // In a delimited one, counted from `start`: what lies before is never looked at again, and up to where it was looked through.
  let floor = 0;
  let seen = 0;
  let isXml = false;
  let passedOver = 0;

  function append(piece: Uint8Array): void {
    const length = end - start + piece.length;
    if (end + piece.length > buffer.length) {
      const room = length <= buffer.length / 2 ? buffer.length : 2 * length;
      const moved = Buffer.allocUnsafeSlow(room);
      buffer.copy(moved, 0, start, end);
      buffer = moved;
      end -= start;
      start = 0;
    }
    buffer.set(piece, end);
    end += piece.length;
  }

  /** All that has ended; at the end of the stream, all. */
  function* messages(atEnd?: { isClean: boolean }): Generator<Framed> {
    /** Of buffer[from, end), made once a piece and only where something is looked for. */
    let text: { latin1: string; from: number } | undefined;
    for (;;) {
      if (mode === "between") {
        while (start < end && isSeparator(buffer[start])) start += 1;
        if (start === end) break;
        const count = countAt(start);
        if (count === "more" && atEnd === undefined) return;
        if (typeof count === "object" && count.length <= limit) {
          const to = Math.min(count.from + count.length, end);
          const isCut = to < count.from + count.length;
          if (isCut && atEnd === undefined) return;
          yield { kind: "message", bytes: copyOf(buffer.subarray(count.from, to)), isCut };
          start = to;
        } else if (typeof count === "object") {
          mode = "skipping";
          start = count.from;
          toSkip = count.length;
          announced = count.length;
        } else {
          mode = "delimited";
          floor = 0;
          seen = 0;
          isXml = false;
          passedOver = 0;
        }
      } else if (mode === "skipping") {
        const octets = Math.min(toSkip, end - start);
        start += octets;
        toSkip -= octets;
        if (toSkip > 0 && atEnd === undefined) break;
        yield { kind: "overlong", octets: announced - toSkip };
        mode = "between";
      } else {
        if (text === undefined) {
          const from = start + Math.max(floor, seen - OVERLAP);
          text = { latin1: buffer.toString("latin1", from, end), from };
        }
        const ending = findEnding(text, atEnd);
        if (ending === undefined) return passOver();
        const bytes = buffer.subarray(start, start + ending.at);
        const octets = passedOver + bytes.length;
        if (octets > limit) yield { kind: "overlong", octets };
        else if (!isBlank(bytes)) yield { kind: "message", bytes: copyOf(bytes), isCut: ending.isCut };
        start += ending.next;
        mode = "between";
      }
    }
    buffer = EMPTY;
    start = 0;
    end = 0;
  }

  /** The length before the message that begins there; "more" when it cannot be told yet. */
  function countAt(at: number): { from: number; length: number } | "more" | undefined {
    const beginning = buffer.toString("latin1", at, Math.min(end, at + MAX_COUNT));
    const [prefix, digits] = COUNT.exec(beginning) ?? [];
    if (prefix !== undefined) return { from: at + prefix.length, length: Number(digits) };
    return COUNT_BEGUN.test(beginning) ? "more" : undefined;
  }

  /** Undefined when it has not come. */
  function findEnding(
    { latin1, from }: { latin1: string; from: number },
    atEnd: { isClean: boolean } | undefined,
  ): Ending | undefined {
    for (;;) {
      const pattern = isXml ? XML_END : LINE_END_OR_XML;
      pattern.lastIndex = start + Math.max(floor, seen - OVERLAP) - from;
      const [match] = pattern.exec(latin1) ?? [];
      if (match === undefined) {
        seen = end - start;
        return atEnd && { at: seen, next: seen, isCut: isXml || !atEnd.isClean };
      }
      const next = pattern.lastIndex + from - start;
      const at = next - match.length;
      if (isXml) return match.startsWith("<") ? { at: next, next, isCut: false } : { at, next, isCut: true };
      if (match === "\0") return { at, next, isCut: false };
      if (match === "\n") {
        const hasMore = goesOn(at, next, atEnd !== undefined);
        if (hasMore === undefined) {
          seen = at;
          return undefined;
        }
        if (!hasMore) return { at: withoutCr(at), next, isCut: false };
      } else {
        isXml = true;
      }
      floor = next;
    }
  }

  /** Whether the message goes on after the line's end at `at`; undefined when that cannot be told yet. */
  function goesOn(at: number, next: number, isEnd: boolean): boolean | undefined {
    const line = buffer.toString("latin1", start + Math.max(0, at - OVERLAP / 2), start + at);
    if (!DECLARATION.test(line) && !(passedOver === 0 && at <= line.length && BARE_HEADER.test(line)))
      return false;
    const following = buffer.toString("latin1", start + next, Math.min(end, start + next + MAX_PRI));
    if (PRI.test(following)) return false;
    return !isEnd && PRI_BEGUN.test(following) ? undefined : true;
  }

  const withoutCr = (at: number): number => (at > 0 && buffer[start + at - 1] === CR ? at - 1 : at);

  /** Of what is certainly too long only so much is kept as its end may take. */
  function passOver(): void {
    const octets = end - start - OVERLAP;
    if (octets <= (passedOver === 0 ? limit : 0)) return;
    start += octets;
    passedOver += octets;
    floor = Math.max(0, floor - octets);
    seen = Math.max(0, seen - octets);
  }

  /** A large piece leaves no large buffer behind, in each of a thousand connections. */
  function shrink(): void {
    const octets = end - start;
    if (buffer.length < 4096 || octets > buffer.length / 4) return;
    buffer = Buffer.from(buffer.subarray(start, end));
    start = 0;
    end = octets;
  }

  return {
    *push(piece) {
      append(piece);
      yield* messages();
      shrink();
    },
    *end(isClean) {
      yield* messages({ isClean });
    },
    held: () => end - start,
  };
}

/** What stands between messages, and is no part of any. */
const isSeparator = (octet: number | undefined): boolean => octet === LF || octet === CR || octet === NUL;

const isBlank = (bytes: Uint8Array): boolean => bytes.every((octet) => octet === 0x20 || octet === 0x09);

const copyOf = (bytes: Uint8Array): Uint8Array => Uint8Array.prototype.slice.call(bytes);
