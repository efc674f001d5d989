/**
 * Where the events of a large JSON document stand in its bytes: the resources of a FHIR Bundle, the elements of an array. The
 * document never becomes a value, so its size is no matter; each event is read by itself later, and strictly.
 */

export type Span = { start: number; end: number };

/** It is not JSON as far as it was gone through; `at` is the offset in bytes. */
export class PartsError extends Error {
  readonly at: number;
  constructor(at: number, reason: string) {
    super(reason);
    this.name = "PartsError";
    this.at = at;
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN = { array: 0x5b, object: 0x7b } as const;
const CLOSE = { array: 0x5d, object: 0x7d } as const;

/** The offset of the first byte from here that is no white space (RFC 8259 §2), nor a byte order mark at the very beginning. */
export function skipSpace(bytes: Uint8Array, from: number): number {
  let at = from === 0 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : from;
  for (; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d) break;
  }
  return at;
}

/** The events of the document; undefined when it is neither a Bundle nor an array. Throws PartsError. */
export function eventSpans(bytes: Uint8Array): Generator<Span> | undefined {
  const start = skipSpace(bytes, 0);
  if (bytes[start] === OPEN.array) return objectsOf(bytes, start);
  if (bytes[start] === OPEN.object && isBundle(bytes, start)) return resourcesOf(bytes, start);
  return undefined;
}

function* objectsOf(bytes: Uint8Array, start: number): Generator<Span> {
  for (const element of elements(bytes, start)) {
    if (bytes[element.start] !== OPEN.object)
      throw new PartsError(element.start, "an event that is no object");
    yield element;
  }
}

function isBundle(bytes: Uint8Array, start: number): boolean {
  for (const { name, value } of members(bytes, start)) {
    if (name === "resourceType") return text(bytes, value) === '"Bundle"';
  }
  return false;
}

function* resourcesOf(bytes: Uint8Array, start: number): Generator<Span> {
  const entry = onlyMember(bytes, start, "entry");
  if (entry === undefined) return;
  if (bytes[entry.start] !== OPEN.array) throw new PartsError(entry.start, "an entry that is no array");
  for (const element of elements(bytes, entry.start)) {
    if (bytes[element.start] !== OPEN.object)
      throw new PartsError(element.start, "an entry that is no object");
    const resource = onlyMember(bytes, element.start, "resource");
    if (resource === undefined) continue;
    if (bytes[resource.start] !== OPEN.object) {
      throw new PartsError(resource.start, "a resource that is no object");
    }
    yield resource;
  }
}

/** Readers differ in which of two they take: such a document is refused. */
function onlyMember(bytes: Uint8Array, start: number, wanted: string): Span | undefined {
  let found: Span | undefined;
  for (const { name, value } of members(bytes, start)) {
    if (name !== wanted) continue;
    if (found !== undefined) throw new PartsError(value.start, `two members ${wanted}`);
    found = value;
  }
  return found;
}

/** Of the object that begins here; `name` as it is written, without its quotes. */
function* members(bytes: Uint8Array, start: number): Generator<{ name: string; value: Span }> {
  let at = skipSpace(bytes, start + 1);
  if (bytes[at] === CLOSE.object) return checkEnd(bytes, start, at + 1);
  for (;;) {
    if (bytes[at] !== QUOTE) throw new PartsError(at, "no name of a member");
    const nameEnd = stringEnd(bytes, at);
    const name = text(bytes, { start: at + 1, end: nameEnd - 1 });
    at = skipSpace(bytes, nameEnd);
    if (bytes[at] !== COLON) throw new PartsError(at, "no colon");
    const value = valueAt(bytes, skipSpace(bytes, at + 1));
    yield { name, value };
    at = skipSpace(bytes, value.end);
    if (bytes[at] === CLOSE.object) return checkEnd(bytes, start, at + 1);
    if (bytes[at] !== COMMA) throw new PartsError(at, "no comma");
    at = skipSpace(bytes, at + 1);
  }
}

function* elements(bytes: Uint8Array, start: number): Generator<Span> {
  let at = skipSpace(bytes, start + 1);
  if (bytes[at] === CLOSE.array) return checkEnd(bytes, start, at + 1);
  for (;;) {
    const value = valueAt(bytes, at);
    yield value;
    at = skipSpace(bytes, value.end);
    if (bytes[at] === CLOSE.array) return checkEnd(bytes, start, at + 1);
    if (bytes[at] !== COMMA) throw new PartsError(at, "no comma");
    at = skipSpace(bytes, at + 1);
  }
}

/** After the outermost value of the document nothing stands. */
function checkEnd(bytes: Uint8Array, start: number, end: number): void {
  if (start !== skipSpace(bytes, 0)) return;
  const rest = skipSpace(bytes, end);
  if (rest !== bytes.length) throw new PartsError(rest, "more text after the JSON value");
}

/** Of an object or array, up to what closes it; what is in it is not looked at. */
function valueAt(bytes: Uint8Array, start: number): Span {
  const first = bytes[start];
  if (first === undefined) throw new PartsError(start, "the end");
  if (first === QUOTE) return { start, end: stringEnd(bytes, start) };
  if (first !== OPEN.object && first !== OPEN.array) return { start, end: literalEnd(bytes, start) };
  let depth = 0;
  for (let at = start; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) at = stringEnd(bytes, at) - 1;
    else if (byte === OPEN.object || byte === OPEN.array) depth++;
    else if (byte === CLOSE.object || byte === CLOSE.array) {
      depth--;
      if (depth === 0) return { start, end: at + 1 };
    }
  }
  throw new PartsError(bytes.length, "the end");
}

/** After the closing quote. */
function stringEnd(bytes: Uint8Array, start: number): number {
  for (let at = start + 1; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) return at + 1;
    if (byte === BACKSLASH) at++;
  }
  throw new PartsError(bytes.length, "the end");
}

function literalEnd(bytes: Uint8Array, start: number): number {
  let at = start;
  while (at < bytes.length && /[-+.\w]/.test(String.fromCharCode(bytes[at] ?? 0))) at++;
  if (at === start) throw new PartsError(at, "no value");
  return at;
}

const utf8 = new TextDecoder();
const text = (bytes: Uint8Array, { start, end }: Span): string => utf8.decode(bytes.subarray(start, end));
