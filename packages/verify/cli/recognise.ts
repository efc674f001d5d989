/**
 * What bytes are, whatever they claim to be. Looked for before they are committed, because nothing takes an entry back;
 * what may be an honest event is left alone. Pure: the words for it are the commands'.
 */
import { COMMITMENT_HEX } from "../events/commitment.ts";

/**
 * What is plainly no event, or not the events that a file's name promises. The set is closed.
 *
 * - `empty`: nothing but white space, or but NULs
 * - `compressed`: an archive or a compressed file; `format` names it
 * - `utf16`, `utf32`: where UTF-8 is needed: JSON, and lines. `endian` where no byte order mark says it
 * - `bom`: a UTF-8 byte order mark before the first of several lines, part of no event
 * - `pretty`: JSON over several lines, where each line is to be an event
 * - `array`: one JSON array of `count` objects, where each line is to be an event
 * - `lines`: JSON objects, one a line, in a file named as one JSON document
 * - `cut`: ends in the middle of JSON or XML
 * - `broken`: a line that is not JSON, and looks as if it was, among lines that are
 * - `record`: records of `kedge commit`, in a form that is not read as such
 * - `proof`, `credentials`: Kedge's own files
 */
export type Oddity =
  | { is: "empty" | "bom" | "lines" | "utf32" | "record" | "proof" | "credentials" }
  | { is: "compressed"; format: string }
  | { is: "utf16"; endian?: "LE" | "BE" }
  | { is: "array"; count: number }
  | { is: "pretty" | "cut" | "broken"; line?: number };

/** What is odd in a file that is one event; undefined when it may well be one. `name` is the file's own. */
export function oddFile(bytes: Uint8Array, name: string): Oddity | undefined {
  if (isBlank(bytes)) return { is: "empty" };
  const odd = oddBytes(bytes, name);
  if (odd?.is === "utf16" || odd?.is === "utf32") {
    const text = odd.is === "utf16" ? new TextDecoder(encodingOf(odd, bytes)).decode(bytes) : "";
    if (isRecordText(text) || isArrayOfRecords(text)) return { is: "record" };
    return isJsonName(name) ? odd : undefined;
  }
  if (odd !== undefined) return odd;
  const text = new TextDecoder().decode(bytes);
  if (isArrayOfRecords(text)) return { is: "record" };
  const own = ownFile(text);
  if (own !== undefined) return own;
  if (isJsonName(name)) {
    const shape = shapeOf(text);
    if (shape === "cut") return { is: "cut" };
    if (shape === "other" && areJsonLines(text)) return { is: "lines" };
  }
  if (/\.xml$/i.test(name) && text.trimStart().startsWith("<") && !/>\s*$/.test(text.slice(-1024))) {
    return { is: "cut" };
  }
  return undefined;
}

/**
 * How many events a file that is one event seems to hold: a JSON array of objects, a FHIR Bundle, or JSON objects one a
 * line. undefined when it is one. It may be meant so.
 */
export function eventsWithin(bytes: Uint8Array): number | undefined {
  const text = new TextDecoder().decode(bytes);
  const value = parseOr(text);
  const items = isBundle(value) ? value.entry : value;
  if (Array.isArray(items)) return items.length > 1 && items.every(isObject) ? items.length : undefined;
  if (value !== undefined || !areJsonLines(text)) return undefined;
  return text.split("\n").filter((line) => line.trim() !== "").length;
}

/**
 * What is odd in a file of lines, told line by line in their order, the blank ones left out; `isLast` is of a last line
 * without a newline. Lines that were never JSON may hold anything. Call `end` after the last one.
 */
export function lineRecogniser(): {
  add(bytes: Uint8Array, line: number, isUnended: boolean): Oddity | undefined;
  end(): Oddity | undefined;
} {
  let lines = 0;
  let hasJson = false;
  /** Lines that begin as JSON and do not end so, before the first line that is JSON. */
  let suspect: { is: "cut" | "broken"; line: number; isFirst: boolean } | undefined;
  let only: string | undefined;
  return {
    add(bytes, line, isUnended) {
      lines += 1;
      if (lines === 1) {
        const odd = oddBytes(bytes, "") ?? (hasBom(bytes) ? ({ is: "bom" } as const) : undefined);
        if (odd !== undefined) return odd;
      }
      const text = new TextDecoder().decode(bytes);
      only = lines === 1 ? text : undefined;
      const own = ownFile(text);
      if (own !== undefined) return own;
      const shape = shapeOf(text);
      if (shape === "whole") {
        hasJson = true;
        return suspect === undefined ? undefined : { is: suspect.is, line: suspect.line };
      }
      // JSON that is printed over several lines: its first line ends too soon, and the next is none by itself.
      if (suspect?.is === "cut" && suspect.isFirst && lines === 2)
        return { is: "pretty", line: suspect.line };
      const looksBroken = shape === "cut" || /^\s*(\{|\0)/.test(text);
      if (hasJson && (isUnended || shape === "cut")) return { is: "cut", line };
      if (hasJson && looksBroken) return { is: "broken", line };
      if (looksBroken) suspect ??= { is: shape === "cut" ? "cut" : "broken", line, isFirst: lines === 1 };
      return undefined;
    },
    end() {
      if (lines === 1 && suspect?.is === "cut") return { is: "cut", line: suspect.line };
      const value = only === undefined ? undefined : parseOr(only);
      if (!Array.isArray(value) || value.length < 2 || !value.every(isObject)) return undefined;
      return isRecord(value[0]) ? { is: "record" } : { is: "array", count: value.length };
    },
  };
}

/** Whether these bytes are a record of `kedge commit`, or were one before they were cut or edited. */
export function looksLikeRecord(bytes: Uint8Array): boolean {
  return isRecordText(new TextDecoder().decode(bytes));
}

function isRecordText(text: string): boolean {
  if (!text.includes('"commitment"')) return false;
  const value = parseOr(text);
  if (value !== undefined) return isRecord(value);
  return /^\s*\{.*"commitment"\s*:\s*"[0-9a-fA-F]{64}"/s.test(text);
}

const isRecord = (value: unknown): boolean => isObject(value) && "commitment" in value && "opening" in value;

function isArrayOfRecords(text: string): boolean {
  if (!/^\s*\[/.test(text) || !text.includes('"commitment"')) return false;
  const value = parseOr(text);
  return Array.isArray(value) && isRecord(value[0]);
}

/** Proofs, one or a line each, and what holds keys. */
function ownFile(text: string): Oddity | undefined {
  if (text.startsWith("c2sp.org/tlog-proof@")) return { is: "proof" };
  if (text.startsWith("PRIVATE+KEY+")) return { is: "credentials" };
  if (!/"(?:proof|apiKey|tenantKey)"/.test(text)) return undefined;
  const value = parseOr(text) ?? parseOr(text.slice(0, text.indexOf("\n") + 1));
  if (!isObject(value)) return undefined;
  const { commitment, proof, apiKey, tenantKey } = value;
  if (isText(proof, /^c2sp\.org\/tlog-proof@/) && isText(commitment, COMMITMENT_HEX)) return { is: "proof" };
  const hasKey = isText(apiKey, /^kedge_\w+_\w+$/) || isText(tenantKey, /^[0-9a-f]{64}$/);
  return hasKey ? { is: "credentials" } : undefined;
}

/** What desktops, editors, downloads and Kedge itself leave beside events: names of files and of folders. */
export function isLitter(name: string): boolean {
  return (
    /^(\.DS_Store|\.AppleDouble|\.directory|__MACOSX|\.Trash.*|\.Spotlight-V100|\.fseventsd)$/.test(name) ||
    /^((eh)?thumbs\.db|desktop\.ini|\$recycle\.bin|system volume information|@eadir)$/i.test(name) ||
    /^(\._|~\$|\.~lock\.|\.#|\.nfs[0-9a-f])/.test(name) ||
    /(~|\.sw[a-p]|\.tmp|\.temp|\.part|\.partial|\.crdownload|\.download)$/i.test(name) ||
    /^(#.*#|\.git|\.svn|\.hg|\.kedge|numbers\.mdb(-lock)?)$/.test(name)
  );
}

// ---- bytes --------------------------------------------------------------------------------------------------------

const MAGIC: readonly (readonly [format: string, magic: string])[] = [
  ["gzip", "1f8b08"],
  ["compress", "1f9d90"],
  ["bzip2", "425a68??314159265359"],
  ["xz", "fd377a585a00"],
  ["Zstandard", "28b52ffd"],
  ["LZ4", "04224d18"],
  ["7-Zip", "377abcaf271c"],
  ["RAR", "526172211a07"],
  ["zip", "504b0304"],
  ["zip", "504b0506"],
];
/** Where a tar header has `ustar`. */
const TAR_MAGIC_AT = 257;

/** Names whose zip is no document of its own, as those of offices and Java are. */
const ZIP_NAMES = /(^|\/)[^.]*$|\.(zip|json|jsonld|ndjson|jsonl|xml|txt|log|csv|tsv)$/i;

function oddBytes(bytes: Uint8Array, name: string): Oddity | undefined {
  for (const [format, magic] of MAGIC) {
    if (startsWith(bytes, magic) && (format !== "zip" || ZIP_NAMES.test(name))) {
      return { is: "compressed", format };
    }
  }
  if (startsWith(bytes.subarray(TAR_MAGIC_AT), "7573746172")) return { is: "compressed", format: "tar" };
  if (startsWith(bytes, "fffe0000") || startsWith(bytes, "0000feff")) return { is: "utf32" };
  if (startsWith(bytes, "fffe") || startsWith(bytes, "feff")) return { is: "utf16" };
  const endian = nulledEndian(bytes);
  return endian === undefined ? undefined : { is: "utf16", endian };
}

/** Text in UTF-16 has a NUL in nearly every other byte, and never one in the others (RFC 4627 §3). */
function nulledEndian(bytes: Uint8Array): "LE" | "BE" | undefined {
  const start = bytes.subarray(0, 512);
  const units = start.length >> 1;
  if (units < 2) return undefined;
  const nuls = [0, 0];
  for (let at = 0; at < 2 * units; at++) if (start[at] === 0) nuls[at & 1] = (nuls[at & 1] ?? 0) + 1;
  const [even = 0, odd = 0] = nuls;
  if (even === 0 && odd >= 0.8 * units) return "LE";
  if (odd === 0 && even >= 0.8 * units) return "BE";
  return undefined;
}

const encodingOf = ({ endian }: { endian?: "LE" | "BE" }, bytes: Uint8Array): string =>
  endian === "BE" || startsWith(bytes, "feff") ? "utf-16be" : "utf-16le";

const hasBom = (bytes: Uint8Array): boolean => startsWith(bytes, "efbbbf");

/** `magic` is hex; `??` is any byte. */
function startsWith(bytes: Uint8Array, magic: string): boolean {
  const length = magic.length / 2;
  if (bytes.length < length) return false;
  for (let i = 0; i < length; i++) {
    const byte = magic.slice(2 * i, 2 * i + 2);
    if (byte !== "??" && bytes[i] !== Number.parseInt(byte, 16)) return false;
  }
  return true;
}

/** Nothing but white space, or nothing but NULs, as a file has after a power cut. */
function isBlank(bytes: Uint8Array): boolean {
  return (
    bytes.every((byte) => byte === 0x20 || (byte >= 0x09 && byte <= 0x0d)) ||
    bytes.every((byte) => byte === 0)
  );
}

// ---- JSON ---------------------------------------------------------------------------------------------------------

const isJsonName = (name: string): boolean => /\.(json|jsonld)$/i.test(name);

/** A JSON object or array; the beginning of one that ends too soon; or anything else. */
type Shape = "whole" | "cut" | "other";

function shapeOf(text: string): Shape {
  if (!/^[\s\ufeff]*[{[]/.test(text)) return "other";
  if (parseOr(text) !== undefined) return "whole";
  return isCutJson(text) ? "cut" : "other";
}

function areJsonLines(text: string): boolean {
  let whole = 0;
  for (const [line] of text.matchAll(/[^\n]+/g)) {
    if (line.trim() === "") continue;
    if (!line.trimStart().startsWith("{") || shapeOf(line) !== "whole") return false;
    whole += 1;
    if (whole === 2) return true;
  }
  return false;
}

/** Whether text that begins an object or array is JSON as far as it goes. */
function isCutJson(text: string): boolean {
  const open: string[] = [];
  let expected: "value" | "first value" | "name" | "first name" | "colon" | "comma" = "value";
  let at = 0;
  for (;;) {
    while (at < text.length && /\s/.test(text.charAt(at))) at++;
    if (at === text.length) return open.length > 0;
    const character = text.charAt(at);
    const inside = open.at(-1);
    if (character === (inside === "{" ? "}" : "]") && isClosable(expected)) {
      open.pop();
      if (open.length === 0) return false; // and something follows, or it would be JSON
      expected = "comma";
      at++;
    } else if (character === '"' && expected !== "colon" && expected !== "comma") {
      const end = stringEnd(text, at);
      if (end === "unended") return true;
      if (end === "malformed") return false;
      expected = expected.endsWith("name") ? "colon" : "comma";
      at = end;
    } else if (expected === "colon" && character === ":") {
      expected = "value";
      at++;
    } else if (expected === "comma" && character === ",") {
      expected = inside === "{" ? "name" : "value";
      at++;
    } else if (expected !== "value" && expected !== "first value") {
      return false;
    } else if (character === "{" || character === "[") {
      open.push(character);
      expected = character === "{" ? "first name" : "first value";
      at++;
    } else {
      const literal = /[-+.\w]*/y;
      literal.lastIndex = at;
      const [word = ""] = literal.exec(text) ?? [];
      at += word.length;
      if (at === text.length && word !== "") return isLiteralStart(word);
      if (parseOr(word) === undefined) return false;
      expected = "comma";
    }
  }
}

const isClosable = (expected: string): boolean => expected === "comma" || expected.startsWith("first");

function stringEnd(text: string, start: number): number | "unended" | "malformed" {
  for (let at = start + 1; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === '"') return at + 1;
    if (character < " ") return "malformed";
    if (character === "\\") at++;
  }
  return "unended";
}

const isLiteralStart = (word: string): boolean =>
  ["true", "false", "null"].some((literal) => literal.startsWith(word)) ||
  /^-?\d*\.?\d*([eE][-+]?\d*)?$/.test(word);

/** undefined for what is not JSON. */
function parseOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const isObject = (value: unknown): value is { [member: string]: unknown } =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isText = (value: unknown, pattern: RegExp): boolean => typeof value === "string" && pattern.test(value);

const isBundle = (value: unknown): value is { entry: unknown } =>
  isObject(value) && value["resourceType"] === "Bundle";
