/**
 * What programs do to a file on its way, undone: whether an event or a proof that does not verify was only converted.
 * A guess counts for nothing by itself; the verifier tries it against the log.
 */
import { decodedText, utf16Of } from "../text.ts";
import { concatBytes } from "../tlog/bytes.ts";

/** How what was given has to be changed to be what was committed, or what the service wrote. */
export type Conversion =
  | "to_utf8"
  | "without_bom"
  | "with_bom"
  | "lf"
  | "crlf"
  | "without_final_newline"
  | "with_final_lf"
  | "with_final_crlf"
  | "with_final_cr"
  | "compact_json"
  | "indented_json"
  | "without_space_around";

export type Converted = { readonly bytes: Uint8Array; readonly conversions: readonly Conversion[] };

/** Larger ones are not tried: a failed check is to end in seconds. */
const MAX_TRIED = 4 << 20;
const MAX_REFORMATTED = 1 << 20;

const LF = 0x0a;
const CR = 0x0d;
const BOM = Uint8Array.of(0xef, 0xbb, 0xbf);

/** What an event may have been before it was converted, the likeliest first. */
export function* eventsBefore(event: Uint8Array): Generator<Converted> {
  if (event.length > MAX_TRIED) return;
  const seen = new Set([key(event)]);
  for (const converted of variants(event)) {
    const own = key(converted.bytes);
    if (seen.has(own)) continue;
    seen.add(own);
    yield converted;
  }
}

/** The proof as a proof is written: UTF-8, LF, no byte order mark, one newline at its end. Undefined: it is already. */
export function proofBefore(proof: Uint8Array): Converted | undefined {
  if (proof.length > MAX_TRIED) return undefined;
  const conversions: Conversion[] = [];
  let text = "";
  if (utf16(proof) !== undefined) {
    conversions.push("to_utf8");
    text = latin(utf16(proof) ?? proof);
  } else text = latin(proof);
  const bare = text.startsWith(latin(BOM)) ? text.slice(BOM.length) : text;
  if (bare !== text && conversions.length === 0) conversions.push("without_bom");
  const lines = bare.replaceAll("\r\n", "\n");
  if (lines !== bare) conversions.push("lf");
  const trimmed = lines.trim();
  if (lines === trimmed) conversions.push("with_final_lf");
  else if (lines !== `${trimmed}\n`) conversions.push("without_space_around");
  return conversions.length === 0 ? undefined : { bytes: ofLatin(`${trimmed}\n`), conversions };
}

function* variants(event: Uint8Array): Generator<Converted> {
  const decoded = utf16(event);
  const text: Converted =
    decoded === undefined ? { bytes: event, conversions: [] } : { bytes: decoded, conversions: ["to_utf8"] };
  for (const marked of byMark(text)) for (const lines of byLines(marked)) yield* byEnd(lines);
  for (const formatted of byFormat(text)) yield* byEnd(formatted);
}

function* byMark(text: Converted): Generator<Converted> {
  yield text;
  const { bytes, conversions } = text;
  if (!hasMark(bytes)) yield { bytes: concatBytes(BOM, bytes), conversions: [...conversions, "with_bom"] };
  else yield { bytes: bytes.subarray(BOM.length), conversions: [...conversions, "without_bom"] };
}

function* byLines(text: Converted): Generator<Converted> {
  yield text;
  const lf = latin(text.bytes).replaceAll("\r\n", "\n");
  if (lf.length !== text.bytes.length) {
    yield { bytes: ofLatin(lf), conversions: [...text.conversions, "lf"] };
  } else if (text.bytes.includes(LF)) {
    yield { bytes: ofLatin(lf.replaceAll("\n", "\r\n")), conversions: [...text.conversions, "crlf"] };
  }
}

function* byEnd(text: Converted): Generator<Converted> {
  yield text;
  const { bytes, conversions } = text;
  let end = bytes.length;
  if (bytes[end - 1] === LF) end -= 1;
  if (bytes[end - 1] === CR) end -= 1;
  const body = bytes.subarray(0, end);
  yield { bytes: body, conversions: [...conversions, "without_final_newline"] };
  yield { bytes: concatBytes(body, Uint8Array.of(LF)), conversions: [...conversions, "with_final_lf"] };
  yield { bytes: concatBytes(body, Uint8Array.of(CR, LF)), conversions: [...conversions, "with_final_crlf"] };
  yield { bytes: concatBytes(body, Uint8Array.of(CR)), conversions: [...conversions, "with_final_cr"] };
}

/**
 * JSON as serialisers write it by default. Only where white space is all that differs: what a member twice, a number of too
 * many digits or another escape would lose was not merely converted.
 */
function* byFormat({ bytes, conversions }: Converted): Generator<Converted> {
  if (bytes.length > MAX_REFORMATTED) return;
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    value = JSON.parse(text);
  } catch {
    return;
  }
  if (typeof value !== "object" || value === null) return;
  if (withoutSpace(text) !== JSON.stringify(value)) return;
  const form = (indent: number | string): Uint8Array =>
    new TextEncoder().encode(JSON.stringify(value, null, indent));
  yield { bytes: form(0), conversions: [...conversions, "compact_json"] };
  for (const indent of [2, 4, "\t"]) {
    yield { bytes: form(indent), conversions: [...conversions, "indented_json"] };
  }
}

/** JSON without the white space between its tokens. */
const withoutSpace = (json: string): string =>
  json.replace(/"(?:[^"\\]|\\.)*"|[ \t\r\n]+/g, (part) => (part.startsWith('"') ? part : ""));

/** Undefined when it is not UTF-16 with its byte order mark. */
const utf16 = (bytes: Uint8Array): Uint8Array | undefined =>
  utf16Of(bytes) && new TextEncoder().encode(decodedText(bytes));

const hasMark = (bytes: Uint8Array): boolean => BOM.every((byte, i) => bytes[i] === byte);

/** A character for each byte, so that any bytes are compared and replaced as text. */
function latin(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 1 << 13) {
    text += String.fromCharCode(...bytes.subarray(at, at + (1 << 13)));
  }
  return text;
}

const ofLatin = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0));

/** Tells two variants of one event apart: they differ in length, or in where they have line endings and marks. */
const key = latin;
