/**
 * What bytes are, whatever they claim to be. Looked for before they are committed, because nothing takes an entry back;
 * what may be an honest event is left alone. Pure: the words for it are the commands'. Time is linear in the bytes, which
 * may be hostile: no pattern here goes back over a text without a bound.
 */
import { COMMITMENT_HEX } from "../events/commitment.ts";
import { parseVkey } from "../tlog/note.ts";
import { parsePolicy } from "../tlog/policy.ts";
import { MEMBERS } from "./credential-members.ts";

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
 * - `proof`, `credentials`: Kedge's own files; the second hold what only their owner may have, or name it
 * - `vkeys`: nothing but verifier keys, or a policy of them
 */
export type Oddity =
  | { is: "empty" | "bom" | "lines" | "utf32" | "record" | "proof" | "credentials" | "vkeys" }
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
  if (/\.xml$/i.test(name) && firstOf(text) === "<" && lastOf(text) !== ">") return { is: "cut" };
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
  let count = 0;
  for (const _ of linesOf(text)) count += 1;
  return count;
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
  /** A line that begins as an object and does not end so, before the first line that is JSON. */
  let suspect: { is: "cut" | "broken"; line: number } | undefined;
  /** The first line, if it begins as JSON and ends too soon. */
  let opened: { text: string; line: number; isUnended: boolean } | undefined;
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
      const begin = firstOf(text);
      if (lines === 2 && opened !== undefined && goesOn(opened.text, text, shape)) {
        return { is: "pretty", line: opened.line };
      }
      if (shape === "whole") {
        hasJson = true;
        return suspect;
      }
      if (lines === 1 && shape === "cut") opened = { text, line, isUnended };
      // Lines of plain text may begin with "[", as those with a time in brackets do.
      const isCut = shape === "cut" && begin === "{";
      const looksBroken = begin === "{" || begin === "\0";
      if (hasJson && (isUnended || isCut)) return { is: "cut", line };
      if (hasJson && looksBroken) return { is: "broken", line };
      if (looksBroken) suspect ??= { is: isCut ? "cut" : "broken", line };
      return undefined;
    },
    end() {
      if (lines === 1 && opened !== undefined && (opened.isUnended || suspect !== undefined)) {
        return { is: "cut", line: opened.line };
      }
      const value = only === undefined ? undefined : parseOr(only);
      if (!Array.isArray(value) || value.length < 2 || !value.every(isObject)) return undefined;
      return isRecord(value[0]) ? { is: "record" } : { is: "array", count: value.length };
    },
  };
}

/** JSON that is printed over several lines: its first line ends too soon, and the next is none by itself or goes on. */
function goesOn(first: string, second: string, shape: Shape): boolean {
  if (firstOf(first) === "{") return shape !== "whole";
  return shapeOf(`${first}\n${second}`) !== "other";
}

/** Whether these bytes are a record of `kedge commit`, or were one before they were cut or edited. */
export function looksLikeRecord(bytes: Uint8Array): boolean {
  return isRecordText(new TextDecoder().decode(bytes));
}

function isRecordText(text: string): boolean {
  if (!text.includes('"commitment"')) return false;
  const value = parseOr(text);
  if (value !== undefined) return isRecord(value);
  return (
    text.length <= MAX_PARSED &&
    firstOf(text) === "{" &&
    /"commitment"\s{0,9}:\s{0,9}"[0-9a-fA-F]{64}"/.test(text)
  );
}

const isRecord = (value: unknown): boolean => isObject(value) && "commitment" in value && "opening" in value;

function isArrayOfRecords(text: string): boolean {
  if (firstOf(text) !== "[" || !text.includes('"commitment"')) return false;
  if (text.length > MAX_PARSED) return isRecordText(text.trimStart().slice(1, 4096));
  const value = parseOr(text);
  return Array.isArray(value) && isRecord(value[0]);
}

/** Proofs, one or a line each, and what holds keys. */
function ownFile(text: string): Oddity | undefined {
  if (text.startsWith("c2sp.org/tlog-proof@")) return { is: "proof" };
  if (text.startsWith("PRIVATE+KEY+")) return { is: "credentials" };
  if (areVkeys(text)) return { is: "vkeys" };
  if (!/"(?:proof|apiKey|tenantKey|seed|sealing|KEDGE_LOG_KEY)"/.test(text)) return undefined;
  const value = parseOr(text) ?? parseOr(text.slice(0, text.indexOf("\n") + 1));
  if (!isObject(value)) return undefined;
  const { commitment, proof } = value;
  if (isText(proof, /^c2sp\.org\/tlog-proof@/) && isText(commitment, COMMITMENT_HEX)) return { is: "proof" };
  const hasKeys = isCredentials(value) || isKmsFile(value) || isKeysFile(value) || isKeyring(value);
  return hasKeys ? { is: "credentials" } : undefined;
}

/** Holds a key, and nothing but what credentials may hold: an event may well have a member of such a name. */
function isCredentials(value: { [member: string]: unknown }): boolean {
  const known: readonly string[] = MEMBERS;
  const isAllKnown = Object.entries(value).every(
    ([member, content]) => known.includes(member) && typeof content === "string",
  );
  const { apiKey, tenantKey } = value;
  return isAllKnown && (isText(apiKey, /^kedge_\w{1,99}_\w{1,99}$/) || isText(tenantKey, /^[0-9a-f]{64}$/));
}

/** kms.json of a data folder: private keys, and nothing else. */
function isKmsFile(value: { [member: string]: unknown }): boolean {
  const { keys } = value;
  return (
    Object.keys(value).every((member) => ["version", "keys", "sha256"].includes(member)) &&
    Array.isArray(keys) &&
    keys.length > 0 &&
    keys.every((key) => isObject(key) && isText(key["seed"], /^[0-9a-f]{64}$/) && "keySpec" in key)
  );
}

/** Tenant keys, plain or sealed, by epochs. */
const isKeyring = (value: { [member: string]: unknown }): boolean =>
  ["v", "sealing", "signer", "epochs"].every((member) => member in value) && Object.keys(value).length === 4;

/** keys.json of a data folder: the ids of its keys, and nothing else. */
const isKeysFile = (value: { [member: string]: unknown }): boolean =>
  "KEDGE_LOG_KEY" in value &&
  "KEDGE_ANCHOR_KEY" in value &&
  Object.entries(value).every(
    ([member, ids]) => isText(member, /^KEDGE_\w+_KEY$/) && typeof ids === "string",
  );

/** Each id of a key is checked against it, so that no other text is taken for one. */
function areVkeys(text: string): boolean {
  if (text.length > MAX_VKEYS || !/\+[0-9a-f]{8}\+/.test(text)) return false;
  try {
    if (/^(?:#|log |witness )/.test(text)) {
      const { logs, witnesses } = parsePolicy(`${text.trimEnd()}\n`);
      return logs.length + witnesses.length > 0;
    }
    for (const line of linesOf(text)) parseVkey(line.trim());
    return true;
  } catch {
    return false;
  }
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
  const endian = nulledEndian(bytes) ?? jsonEndian(bytes);
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

/** JSON in UTF-16, whatever its script: with a NUL beside its punctuation, and JSON as far as it goes. */
function jsonEndian(bytes: Uint8Array): "LE" | "BE" | undefined {
  const start = bytes.subarray(0, Math.min(bytes.length & ~1, 1 << 16));
  if (!start.includes(0)) return undefined;
  for (const endian of ["LE", "BE"] as const) {
    const text = decodeStart(encodingOf({ endian }, start), start);
    // "{" alone is one number of 16 bits.
    if (text === undefined || text.trim().length < 2) continue;
    const [first = ""] = linesOf(text);
    if (shapeOf(text) !== "other" || shapeOf(first) === "whole") return endian;
  }
  return undefined;
}

/** undefined for what is not in this encoding; a character that is cut at the end is left out. */
function decodeStart(encoding: string, bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes, { stream: true });
  } catch {
    return undefined;
  }
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
  if (!["{", "["].includes(firstOf(text))) return "other";
  return parseOr(text) === undefined ? scan(text) : "whole";
}

function areJsonLines(text: string): boolean {
  let whole = 0;
  for (const line of linesOf(text)) {
    if (firstOf(line) !== "{" || shapeOf(line) !== "whole") return false;
    whole += 1;
    if (whole === 2) return true;
  }
  return false;
}

/** Of text that begins an object or array: "cut" when it is JSON as far as it goes. */
function scan(text: string): Shape {
  const open: string[] = [];
  let expected: "value" | "first value" | "name" | "first name" | "colon" | "comma" = "value";
  let at = 0;
  for (;;) {
    while (at < text.length && /\s/.test(text.charAt(at))) at++;
    if (at === text.length) return "cut";
    const character = text.charAt(at);
    const inside = open.at(-1);
    if (character === (inside === "{" ? "}" : "]") && isClosable(expected)) {
      open.pop();
      if (open.length === 0) return text.slice(at + 1).trim() === "" ? "whole" : "other";
      expected = "comma";
      at++;
    } else if (character === '"' && expected !== "colon" && expected !== "comma") {
      const end = stringEnd(text, at);
      if (end === "unended") return "cut";
      if (end === "malformed") return "other";
      expected = expected.endsWith("name") ? "colon" : "comma";
      at = end;
    } else if (expected === "colon" && character === ":") {
      expected = "value";
      at++;
    } else if (expected === "comma" && character === ",") {
      expected = inside === "{" ? "name" : "value";
      at++;
    } else if (expected !== "value" && expected !== "first value") {
      return "other";
    } else if (character === "{" || character === "[") {
      if (open.length === MAX_DEPTH) return "other";
      open.push(character);
      expected = character === "{" ? "first name" : "first value";
      at++;
    } else {
      const start = at;
      while (at < text.length && /[-+.\w]/.test(text.charAt(at))) at++;
      const word = text.slice(start, at);
      if (word.length > MAX_LITERAL) return "other";
      if (at === text.length && word !== "") return isLiteralStart(word) ? "cut" : "other";
      if (parseOr(word) === undefined) return "other";
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
  /^-?\d*(\.\d*)?([eE][-+]?\d*)?$/.test(word);

/** Far above any event. What is nested deeper takes a hundred times its size to parse, and is taken as it is. */
const MAX_DEPTH = 10_000;
/** Characters. The values of a longer text may take thirty times its size, and minutes: its shape alone is looked at. */
const MAX_PARSED = 16 << 20;
/** Characters of a file of verifier keys, or of a policy. */
const MAX_VKEYS = 1 << 20;
/** Characters of a number. */
const MAX_LITERAL = 10_000;

function isDeep(text: string): boolean {
  let depth = 0;
  let isString = false;
  for (let at = 0; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === '"') isString = !isString;
    else if (isString && character === "\\") at++;
    else if (isString) continue;
    else if (character === "{" || character === "[") depth++;
    else if (character === "}" || character === "]") depth--;
    if (depth > MAX_DEPTH) return true;
  }
  return false;
}

/** The lines that are not blank. */
function* linesOf(text: string): Generator<string> {
  for (let start = 0; start < text.length; ) {
    const newline = text.indexOf("\n", start);
    const end = newline === -1 ? text.length : newline;
    const line = text.slice(start, end);
    if (firstOf(line) !== "") yield line;
    start = end + 1;
  }
}

/** The first character that is no white space, or "". */
const firstOf = (text: string): string => text.trimStart().charAt(0);

/** The last character that is neither white space nor NUL, or "". */
function lastOf(text: string): string {
  let at = text.length;
  while (at > 0 && /[\s\0]/.test(text.charAt(at - 1))) at--;
  return text.charAt(at - 1);
}

/** undefined for what is not JSON, is too long, or is nested too deep. */
export function parseOr(text: string): unknown {
  if (text.length > MAX_PARSED || (text.length > MAX_DEPTH && isDeep(text))) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export const isObject = (value: unknown): value is { [member: string]: unknown } =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isText = (value: unknown, pattern: RegExp): boolean => typeof value === "string" && pattern.test(value);

const isBundle = (value: unknown): value is { entry: unknown } =>
  isObject(value) && value["resourceType"] === "Bundle";
