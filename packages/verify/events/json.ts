import { hasLoneSurrogate } from "../tlog/bytes.ts";
import { EventError } from "./error.ts";

/** A JSON value as ECMAScript holds it. */
export type Json = null | boolean | number | string | Json[] | JsonObject;
export type JsonObject = { [member: string]: Json };

/** Levels of arrays and objects that are read before the event is refused: audit events have about ten. */
export const MAX_DEPTH = 128;

/**
 * Reads JSON (RFC 8259) and refuses whatever the resulting value would not tell apart from other JSON, so that
 * serialising it by RFC 8785 loses nothing: duplicate member names, lone surrogates (I-JSON, RFC 7493 §2.1, §2.3),
 * and numbers that no double holds, `-0` included. Accepted are all spellings of one number (`1.50`, `15e-1`), and of a
 * fraction the double nearest to its up to 17 digits: `333333333.33333329` is `333333333.3333333` (RFC 8785 §3.2.2).
 *
 * Throws EventError `malformed_json` or `not_canonicalisable`, with the offset in bytes.
 */
export function readJson(bytes: Uint8Array, look?: Look): Json {
  const cursor: Cursor = { bytes, at: 0, values: 0, look };
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) {
    if (look === undefined) throw refused(cursor, "a byte order mark", 0); // RFC 8259 §8.1
    cursor.at = 3;
  }
  const value = readValue(cursor, 0);
  if (peek(cursor) !== undefined) throw refused(cursor, "more text after the JSON value", cursor.at);
  return value;
}

/**
 * For JSON that is looked at and not hashed by its value: a byte order mark, lone surrogates and any number are let pass,
 * duplicate member names are not, for readers differ in which of them they take.
 */
export type Look = {
  /** More are refused: each takes some hundred bytes of memory, and two in the text. */
  maxValues: number;
  /** What stands for a number, given as it is written. */
  number(literal: string): Json;
  /** Told of each object, with the offsets in bytes of its beginning and its end. */
  object?(value: JsonObject, start: number, end: number): void;
  refuse(reason: string, at: number): EventError;
};

/** The text being read; `at` is the offset of the next unread byte. */
type Cursor = { readonly bytes: Uint8Array; at: number; values: number; readonly look: Look | undefined };

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

function readValue(cursor: Cursor, depth: number): Json {
  const byte = peek(cursor);
  if (cursor.look !== undefined && ++cursor.values > cursor.look.maxValues) {
    throw refused(cursor, `more than ${cursor.look.maxValues} values`, cursor.at);
  }
  if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
    if (depth === MAX_DEPTH) throw refused(cursor, `more than ${MAX_DEPTH} levels of nesting`, cursor.at);
    if (byte === OPEN_ARRAY) return readArray(cursor, depth + 1);
    const start = cursor.at;
    const value = readObject(cursor, depth + 1);
    cursor.look?.object?.(value, start, cursor.at);
    return value;
  }
  if (byte === QUOTE) return readString(cursor);
  return readLiteral(cursor);
}

function readObject(cursor: Cursor, depth: number): JsonObject {
  const members = new Map<string, Json>();
  cursor.at++;
  if (peek(cursor) === CLOSE_OBJECT) {
    cursor.at++;
    return {};
  }
  for (;;) {
    if (peek(cursor) !== QUOTE) throw malformed(cursor);
    const nameAt = cursor.at;
    const name = readString(cursor);
    if (members.has(name)) throw refused(cursor, "a duplicate member name", nameAt);
    if (peek(cursor) !== COLON) throw malformed(cursor);
    cursor.at++;
    members.set(name, readValue(cursor, depth));
    const byte = peek(cursor);
    if (byte !== COMMA && byte !== CLOSE_OBJECT) throw malformed(cursor);
    cursor.at++;
    // fromEntries defines members, so one named __proto__ stays a member.
    if (byte === CLOSE_OBJECT) return Object.fromEntries(members);
  }
}

function readArray(cursor: Cursor, depth: number): Json[] {
  const elements: Json[] = [];
  cursor.at++;
  if (peek(cursor) === CLOSE_ARRAY) {
    cursor.at++;
    return elements;
  }
  for (;;) {
    elements.push(readValue(cursor, depth));
    const byte = peek(cursor);
    if (byte !== COMMA && byte !== CLOSE_ARRAY) throw malformed(cursor);
    cursor.at++;
    if (byte === CLOSE_ARRAY) return elements;
  }
}

// ignoreBOM keeps a U+FEFF that starts a string; fatal refuses what would become U+FFFD.
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function readString(cursor: Cursor): string {
  const { bytes } = cursor;
  const start = cursor.at;
  let isEscaped = false;
  cursor.at++;
  for (let byte = bytes[cursor.at]; byte !== QUOTE; byte = bytes[cursor.at]) {
    if (byte === undefined || byte < 0x20) throw malformed(cursor);
    if (byte === BACKSLASH) {
      isEscaped = true;
      skipEscape(cursor);
    } else {
      cursor.at++;
    }
  }
  cursor.at++;
  const text = decode(cursor, start);
  const value = isEscaped ? unescaped(text) : text;
  if (cursor.look === undefined && hasLoneSurrogate(value)) {
    throw refused(cursor, "a string with a lone surrogate", start);
  }
  return value;
}

/** Of the string that ends before the cursor. */
function decode(cursor: Cursor, start: number): string {
  try {
    return utf8.decode(cursor.bytes.subarray(start + 1, cursor.at - 1));
  } catch (cause) {
    throw refused(cursor, "a string that is not UTF-8", start, cause);
  }
}

function skipEscape(cursor: Cursor): void {
  const following = ascii(cursor, cursor.at + 1, cursor.at + 6);
  const [{ length } = ""] = /^(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/.exec(following) ?? [];
  if (length === 0) throw malformed(cursor);
  cursor.at += 1 + length;
}

/** Of a string whose escapes were checked. */
const unescaped = (text: string): string => String(JSON.parse(`"${text}"`));

/** `null`, `true`, `false` or a number: the run of bytes that could be one. */
function readLiteral(cursor: Cursor): Json {
  const start = cursor.at;
  let end = start;
  while (isLiteralByte(cursor.bytes[end])) end++;
  const literal = ascii(cursor, start, end);
  const decimal = NUMBER.exec(literal);
  if (literal !== "null" && literal !== "true" && literal !== "false" && decimal === null) {
    throw malformed(cursor);
  }
  cursor.at = end;
  if (decimal === null) return literal === "null" ? null : literal === "true";
  if (cursor.look !== undefined) return cursor.look.number(literal);
  const value = Number(literal);
  if (!namesItself(literal, value)) throw refused(cursor, "a number that a double cannot hold", start);
  return value;
}

function isLiteralByte(byte: number | undefined): boolean {
  if (byte === undefined) return false;
  const lower = byte | 0x20;
  const isLetter = lower >= 0x61 && lower <= 0x7a;
  const isDigit = byte >= 0x30 && byte <= 0x39;
  return isLetter || isDigit || byte === 0x2b || byte === 0x2d || byte === 0x2e; // + - .
}

const NUMBER = /^-?(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?$/;

/** Enough to tell any double from its neighbours: serialisers write no more. */
const DOUBLE_DIGITS = 17;
/** Below, a double has fewer digits than that, down to one. */
const MIN_NORMAL = 2 ** -1022;

/**
 * Whether a literal is the number that is hashed in its place, the double nearest to it (RFC 8785 §3.2.2.3): the same
 * decimal as ECMAScript writes, or a fraction that differs beyond what doubles can tell. An integer is exact, for it may
 * be an identifier: 2^53 + 1 would become its neighbour.
 */
function namesItself(literal: string, value: number): boolean {
  if (!Number.isFinite(value)) return false;
  if (value === 0 && literal.startsWith("-")) return false;
  const decimal = decimalOf(literal);
  if (decimal === decimalOf(String(value))) return true;
  const isFraction = !Number.isInteger(value) && Math.abs(value) >= MIN_NORMAL;
  return isFraction && decimal.indexOf("e") <= DOUBLE_DIGITS;
}

/** The magnitude a number literal denotes as `digits e exponent`, without leading or trailing zeroes. */
function decimalOf(literal: string): string {
  const [, integer = "", fraction = "", exponent = "0"] = NUMBER.exec(literal) ?? [];
  const digits = integer + fraction;
  let first = 0;
  while (digits[first] === "0") first++;
  let end = digits.length;
  while (end > first && digits[end - 1] === "0") end--;
  if (first === end) return "0";
  return `${digits.slice(first, end)}e${Number(exponent) - fraction.length + digits.length - end}`;
}

/** The next byte that is not whitespace, unread; undefined at the end. */
function peek(cursor: Cursor): number | undefined {
  for (;;) {
    const byte = cursor.bytes[cursor.at];
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return byte;
    cursor.at++;
  }
}

const latin1 = new TextDecoder("latin1");

/** Bytes that are compared with ASCII only, so what others become does not matter. */
function ascii(cursor: Cursor, start: number, end: number): string {
  return latin1.decode(cursor.bytes.subarray(start, end));
}

const ADVICE = "Correct it where it is written, or commit its raw bytes.";

function malformed({ bytes, at, look }: Cursor): EventError {
  const what = at < bytes.length ? "an unexpected byte" : "an unexpected end";
  if (look !== undefined) return look.refuse(what, at);
  return new EventError("malformed_json", `The event is not JSON: ${what} at offset ${at}. ${ADVICE}`);
}

function refused({ look }: Cursor, what: string, at: number, cause?: unknown): EventError {
  if (look !== undefined) return look.refuse(what, at);
  return new EventError(
    "not_canonicalisable",
    `The event cannot be canonicalised without changing what it says: ${what} at offset ${at}. ${ADVICE}`,
    { cause },
  );
}
