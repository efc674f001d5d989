/**
 * The events of an export, as they were committed: a line of NDJSON without its line feed, a row of a delimited file without
 * its line end, a resource of a Bundle from its first brace to its last, or a file. Runs in a browser. Strict: what cannot be
 * cut up as it says it is, is refused with what to do, for a row that is read wrongly would be "changed".
 */
import { lineRecogniser, looksLikeRecord, type Oddity, oddFile } from "@kedge/verify/cli/recognise";
import { EventError } from "@kedge/verify/events/error";
import { formatOf } from "@kedge/verify/events/formats/formats";
import type { Header } from "@kedge/verify/events/formats/header";
import { hasByteOrderMark, isXml } from "@kedge/verify/events/formats/malformed";
import { rowFields, rowScanner, separatorOf, withoutLineEnd } from "@kedge/verify/events/formats/rows";
import { mediaTypeOf } from "@kedge/verify/events/media";
import { headerColumns, type Preset } from "../journal/header.ts";
import { EvidenceError } from "./error.ts";
import { eventSpans, PartsError, skipSpace } from "./json-parts.ts";
import type { ExportedEvent, GivenFile } from "./types.ts";

export type ExportOptions = {
  /** Which column of delimited files is what; Epic's are known. */
  preset?: Preset;
  /** Of delimited files; told from the first row otherwise. Files of any name are then delimited. */
  separator?: string;
  /** False where a quote in delimited files is a character like any other. */
  quoted?: false;
  /** Of every event, where it was committed with another than its file tells. */
  mediaType?: string;
  /**
   * What stood above the rows of a file, by its name: all of its rows are events then (`readHeaders`). A table that begins with
   * such a row has the same columns.
   */
  headers?: ReadonlyMap<string, Header>;
  /** Takes what is wrong with a file, and the others follow. Without it, the first ends all. */
  onError?: (error: EvidenceError) => void;
};

/** Bytes of an event, as `kedge post` has it. */
const MAX_EVENT = 64 << 20;
/** Of a file: what a browser decodes as one text has some 512 million characters. */
const MAX_FILE = 1 << 30;
/** Of all files: as many rows as a pack may have. A million take 1 GB. */
const MAX_EVENTS = 1_000_000;
/** Looked at to tell what a file is. */
const BEGINNING = 1 << 16;

/** One after another, in the order of the files; nothing is read before it is asked for. Throws EvidenceError. */
export function* readExports(
  files: Iterable<GivenFile>,
  options: ExportOptions = {},
): Generator<ExportedEvent> {
  let count = 0;
  for (const file of files) {
    try {
      for (const event of eventsOf(file, options)) {
        if (count === MAX_EVENTS) throw refused("too_large", file, TOO_MANY);
        count += 1;
        yield event;
      }
    } catch (error) {
      if (options.onError === undefined || !(error instanceof EvidenceError)) throw error;
      options.onError(error);
    }
  }
}

const TOO_MANY = `with it there are more than ${MAX_EVENTS} events, and so many are not looked through at once: export a shorter period`;

function* eventsOf(file: GivenFile, options: ExportOptions): Generator<ExportedEvent> {
  const { name, bytes } = file;
  if (bytes.length > MAX_FILE) {
    throw refused("too_large", file, "it has more than 1 GiB: export a shorter period at a time");
  }
  if (isBlank(bytes)) throw refused("empty", file, "there is no event in it: export it again");
  switch (shapeOf(file, options)) {
    case "lines":
      return yield* linesOf(file, options);
    case "rows":
      return yield* rowsOf(file, options);
    case "document":
      if (bytes.length <= MAX_EVENT) checkOdd(file, oddFile(bytes, name));
      return yield* partsOf(file, options);
  }
}

/** Before any of them is opened, which takes minutes. A line that is blank is no event, and a header is none either. */
function checkCount(file: GivenFile, next: (start: number) => number): void {
  let count = 0;
  let before = -1;
  for (let at = next(0); at !== -1; at = next(at + 1)) {
    if (at - before > 2) count += 1;
    before = at;
    if (count > MAX_EVENTS + 1) throw refused("too_large", file, TOO_MANY_IN_ONE);
  }
}

const TOO_MANY_IN_ONE = `it has more than ${MAX_EVENTS} events, and so many are not looked through at once: export a shorter period at a time`;

type Shape = "lines" | "rows" | "document";

/** By its name where that says it, and else by how it begins. */
function shapeOf({ name, bytes }: GivenFile, { separator, headers }: ExportOptions): Shape {
  if (headers?.has(name)) return "rows";
  if (/\.(ndjson|jsonl)$/i.test(name)) return "lines";
  if (/\.(csv|tsv|tab|psv)$/i.test(name)) return "rows";
  const first = bytes[skipSpace(bytes, 0)];
  if (first === LESS) return "document";
  if (first === BRACE) return areJsonLines(bytes) ? "lines" : "document";
  if (first === BRACKET && /\.json(ld)?$/i.test(name)) return "document";
  if (separator !== undefined) return "rows";
  if (/\.(json|jsonld|xml)$/i.test(name)) return "document";
  return areRows(bytes) ? "rows" : "lines";
}
const LESS = 0x3c;
const BRACE = 0x7b;
const BRACKET = 0x5b;
const LF = 0x0a;
const CR = 0x0d;

/** Whether the first line is a JSON object by itself, and another line follows. */
function areJsonLines(bytes: Uint8Array): boolean {
  const start = skipSpace(bytes, 0);
  const end = bytes.indexOf(LF, start);
  if (end === -1 || skipSpace(bytes, end) === bytes.length) return false;
  try {
    JSON.parse(new TextDecoder().decode(bytes.subarray(start, end)));
    return true;
  } catch {
    return false;
  }
}

/** Whether the first two lines have as many fields as each other, and three at least. */
function areRows(bytes: Uint8Array): boolean {
  const [first, second] = new TextDecoder().decode(bytes.subarray(0, BEGINNING)).split("\n");
  if (first === undefined || second === undefined || second.trim() === "") return false;
  const encode = (text: string) => new TextEncoder().encode(text);
  const separator = separatorOf(encode(first));
  const count = rowFields(encode(first), { separator }).length;
  return count >= 3 && count === rowFields(encode(second), { separator }).length;
}

// ---- lines --------------------------------------------------------------------------------------------------------

/** A carriage return before the line feed belongs to the event, as `kedge post` and the agent have it; an HTTP sender's did not. */
function* linesOf(file: GivenFile, { mediaType }: ExportOptions): Generator<ExportedEvent> {
  const { name, bytes } = file;
  const recogniser = lineRecogniser();
  checkCount(file, (start) => bytes.indexOf(LF, start));
  let line = 0;
  let events = 0;
  for (let start = hasByteOrderMark(bytes) ? 3 : 0; start < bytes.length; ) {
    const feed = bytes.indexOf(LF, start);
    const end = feed === -1 ? bytes.length : feed;
    const event = bytes.subarray(start, end);
    line += 1;
    start = end + 1;
    if (isBlank(event)) continue;
    if (event.length > MAX_EVENT) throw refused("too_large", file, "an event of more than 64 MiB", line);
    if (looksLikeRecord(event)) throw refused("not_events", file, RECORDS, line);
    checkOdd(file, recogniser.add(event, line, feed === -1), line);
    events += 1;
    yield {
      file: name,
      line,
      bytes: event,
      mediaType: mediaType ?? lineType(event),
      ...othersOf(bytes, event),
      ...(events > 1 || skipSpace(bytes, end) < bytes.length ? { whole: bytes } : {}),
    };
  }
  checkOdd(file, recogniser.end());
}

const lineType = (event: Uint8Array): string =>
  event[skipSpace(event, 0)] === BRACE ? mediaTypeOf("line.json", event) : "text/plain";

/** Without its carriage return; and with the byte order mark that `--as-bytes` takes as a part of it. */
function othersOf(file: Uint8Array, event: Uint8Array): Pick<ExportedEvent, "otherBytes"> {
  const others: Uint8Array[] = [];
  if (event.at(-1) === CR) others.push(event.subarray(0, -1));
  if (hasByteOrderMark(file) && event.byteOffset === file.byteOffset + 3) {
    others.push(file.subarray(0, 3 + event.length));
  }
  return others.length === 0 ? {} : { otherBytes: others };
}

// ---- rows ---------------------------------------------------------------------------------------------------------

function* rowsOf(file: GivenFile, options: ExportOptions): Generator<ExportedEvent> {
  const { name } = file;
  checkOdd(file, oddRows(file));
  const bytes = hasByteOrderMark(file.bytes) ? file.bytes.subarray(3) : file.bytes;
  let header = options.headers?.get(name);
  const separator = header?.separator ?? options.separator ?? separatorOf(firstLine(bytes));
  const quoted = header?.quoted ?? options.quoted;
  const row = { separator, ...(quoted === undefined ? {} : { quoted }) };
  const mediaType = options.mediaType ?? (separator === "\t" ? "text/tab-separated-values" : "text/csv");
  const counter = rowScanner(row);
  checkCount(file, (start) => counter.next(bytes, start));
  const scanner = rowScanner(row);
  let line = 1;
  for (let start = 0; start < bytes.length; ) {
    const feed = scanner.next(bytes, start);
    if (feed === -1 && scanner.isQuoted()) throw refused("row", file, UNCLOSED, line);
    const end = feed === -1 ? bytes.length : feed;
    const withEnd = bytes.subarray(start, end);
    const event = withoutLineEnd(withEnd);
    const began = line;
    line += countLines(withEnd) + 1;
    start = end + 1;
    if (isBlank(event)) continue;
    if (event.length > MAX_EVENT) throw refused("too_large", file, "a row of more than 64 MiB", began);
    const others = withEnd.length > event.length ? { otherBytes: [withEnd] } : {};
    const place = { file: name, line: began, bytes: event, mediaType, ...others, whole: file.bytes };
    if (header === undefined) {
      header = headerOf(file, event, row, options);
      yield { ...place, header, isHeader: true };
      continue;
    }
    checkFields(file, rowFields(event, row).length, header, began);
    yield { ...place, header };
  }
}

const UNCLOSED =
  "a quoted field is never closed. Export it again; if quotes mean nothing in this file, say that they do not";

function headerOf(
  file: GivenFile,
  event: Uint8Array,
  row: { separator: string; quoted?: boolean },
  { preset: given, headers }: ExportOptions,
): Header {
  const names = headerColumns(event, row, given);
  const preset = given ?? presetOf(names, row.separator, headers);
  if (names.length > 0) return { ...row, header: names, ...(preset === undefined ? {} : { preset }) };
  const what = "its first row names none of the columns that are expected: export it with its header";
  throw refused("header", file, what, 1);
}

/** Of a table whose first row stood above other rows as well: what its columns are was said there. */
function presetOf(names: readonly string[], separator: string, headers: ExportOptions["headers"]) {
  const isSame = (other: Header): boolean =>
    other.separator === separator &&
    other.header.length === names.length &&
    other.header.every((name, i) => name === names[i]);
  for (const header of new Set(headers?.values())) if (isSame(header)) return header.preset;
  return undefined;
}

function checkFields(file: GivenFile, count: number, { header }: Header, line: number): void {
  if (count === header.length) return;
  const what = `the row has ${count} fields, and the header ${header.length}: it was cut, joined or edited. Export it again`;
  throw refused("row", file, what, line);
}

/** Of a delimited file what is at its beginning alone: its rows may hold anything. */
function oddRows({ bytes }: GivenFile): Oddity | undefined {
  const first = firstLine(bytes);
  return looksLikeRecord(first) ? { is: "record" } : lineRecogniser().add(first, 1, false);
}

function firstLine(bytes: Uint8Array): Uint8Array {
  const start = skipSpace(bytes, 0);
  const end = bytes.indexOf(LF, start);
  return bytes.subarray(start, end === -1 ? bytes.length : end);
}

function countLines(bytes: Uint8Array): number {
  let count = 0;
  for (let at = bytes.indexOf(LF); at !== -1; at = bytes.indexOf(LF, at + 1)) count += 1;
  return count;
}

// ---- documents ----------------------------------------------------------------------------------------------------

/** The events that a document holds, or itself. */
function* partsOf(file: GivenFile, { mediaType }: ExportOptions): Generator<ExportedEvent> {
  const { name, bytes } = file;
  const itself = { file: name, bytes, mediaType: mediaType ?? mediaTypeOf(name, bytes) };
  try {
    const parts = isXml(bytes) ? xmlParts(bytes) : jsonParts(bytes);
    if (parts === undefined) {
      if (bytes.length > MAX_EVENT) throw refused("too_large", file, "an event of more than 64 MiB");
      return yield itself;
    }
    for (const part of parts) {
      if (part.bytes.length === bytes.length) yield itself;
      else yield { file: name, ...part, mediaType: mediaType ?? part.mediaType, whole: bytes };
    }
  } catch (cause) {
    if (cause instanceof PartsError) {
      const code = cause.at >= bytes.length ? "cut" : "malformed";
      throw refused(
        code,
        file,
        `it cannot be read at byte ${cause.at}: ${cause.message}. ${AGAIN}`,
        undefined,
        cause,
      );
    }
    if (!(cause instanceof EventError)) throw cause;
    throw refused("malformed", file, cause.message, undefined, cause);
  }
}

type Part = { bytes: Uint8Array; mediaType: string };

function xmlParts(bytes: Uint8Array): readonly Part[] | undefined {
  return formatOf(bytes).split?.(bytes);
}

function jsonParts(bytes: Uint8Array): Iterable<Part> | undefined {
  const spans = eventSpans(bytes);
  if (spans === undefined) return formatOf(bytes).split?.(bytes);
  return (function* () {
    for (const { start, end } of spans) {
      const part = bytes.subarray(start, end);
      yield { bytes: part, mediaType: partType(part) };
    }
  })();
}

/** As the formats name the events that they cut out of a document. */
function partType(part: Uint8Array): string {
  const { name, mediaTypes } = formatOf(part);
  if (name === "epcis") return "application/ld+json";
  return name === "cloudevents" ? (mediaTypes[0] ?? "") : mediaTypeOf("part.json", part);
}

// ---- what is no export --------------------------------------------------------------------------------------------

const AGAIN = "Export it again, or copy it again from where it is whole";
const RECORDS = "it holds records of kedge commit, and no events: give it as records";

function checkOdd(file: GivenFile, odd: Oddity | undefined, line?: number): void {
  if (odd === undefined) return;
  const at = "line" in odd ? odd.line : line;
  switch (odd.is) {
    case "empty":
      throw refused("empty", file, "there is no event in it: export it again");
    case "compressed":
      throw refused("not_events", file, `it is compressed (${odd.format}): unpack it first`);
    case "utf16":
    case "utf32":
      throw refused("not_events", file, "it is text of another encoding: export it as UTF-8");
    case "record":
      throw refused("not_events", file, RECORDS, at);
    case "proof":
      throw refused("not_events", file, "it holds proofs, and no events: give it as proofs", at);
    case "credentials":
      throw refused(
        "not_events",
        file,
        "it holds keys that only their owner may have: never give it here",
        at,
      );
    case "vkeys":
      throw refused("not_events", file, "it holds public keys, and no events: give it as the policy", at);
    case "array":
      throw refused(
        "malformed",
        file,
        `it is one JSON array of ${odd.count}: name it .json, and not .ndjson`,
      );
    case "lines":
      throw refused("malformed", file, "it has one event a line: name it .ndjson, and not .json");
    case "pretty":
      throw refused("malformed", file, "its JSON is printed over several lines: export one event a line", at);
    case "broken":
      throw refused("malformed", file, `a line of it is no JSON. ${AGAIN}`, at);
    case "cut":
      throw refused("cut", file, `it ends in the middle. ${AGAIN}`, at);
    case "bom":
      return;
  }
}

function refused(
  code: EvidenceError["code"],
  { name }: GivenFile,
  what: string,
  line?: number,
  cause?: unknown,
): EvidenceError {
  const place = line === undefined ? name : `${name}, line ${line}`;
  return new EvidenceError(code, `${place}: ${what}.`, { file: name, line, cause });
}

function isBlank(bytes: Uint8Array): boolean {
  return skipSpace(bytes, 0) === bytes.length;
}
