/** What the lines and rows of a file, or of standard input, are as events. */

import { type RowOptions, rowFields } from "@kedge/verify/events/formats/rows";
import { GAP_MEDIA_TYPE, type Gap, gapBytes } from "@kedge/verify/events/gap";
import { mediaTypeOf } from "@kedge/verify/events/media";
import type { Arrival } from "../journal/types.ts";
import type { Piece } from "./pieces.ts";

/** `text` lines that look like JSON are taken as JSON. */
export type LineContent = "lines" | "ndjson" | "text" | "delimited";

export type LineOptions = {
  content: LineContent;
  /** Of every event, in place of what its bytes look like. */
  mediaType?: string | undefined;
  /** What stands before the first `{` of a line is no part of the event. */
  prefix?: boolean | undefined;
  /** A line that is not JSON is a gap, and not an event. */
  refuse?: boolean | undefined;
  /** Of delimited files: of every row, when their first row is a header. */
  header?: Header | undefined;
};

/** What the first row of a delimited file tells of the others; without columns when it is a row like them. */
export type Header = { id: string; separator: string; columns: readonly string[] };

export const gapArrival = (gap: Gap): Arrival => ({ bytes: gapBytes(gap), mediaType: GAP_MEDIA_TYPE });

export const BOM_NOTE = "byte order mark taken away";
export const NULS_NOTE = "NULs before it taken away";
export const PREFIX_NOTE = "text before the JSON taken away";

const BRACE = 0x7b;

/** undefined for a blank line. */
export function lineEvent(piece: Piece, options: LineOptions): Arrival | undefined {
  if (piece.bytes === undefined) return gapArrival({ kind: "overlong", octets: piece.octets });
  const notes: string[] = [...(piece.notes ?? [])];
  let bytes = piece.start === 0 ? withoutMark(piece.bytes, notes) : piece.bytes;
  if (isBlank(bytes)) return undefined;
  if (options.prefix) {
    const brace = bytes.indexOf(BRACE);
    if (brace > 0) {
      bytes = bytes.subarray(brace);
      notes.push(PREFIX_NOTE);
    }
  }
  if (options.refuse && options.content === "ndjson" && !isJson(bytes)) {
    return gapArrival({ kind: "unreadable", octets: bytes.length, detail: "a line that is not JSON" });
  }
  if (options.header !== undefined) notes.push(`header ${options.header.id}`);
  const mediaType = options.mediaType ?? lineMediaType(bytes, options);
  return { bytes, mediaType, ...(notes.length === 0 ? {} : { notes }) };
}

function lineMediaType(bytes: Uint8Array, { content, header }: LineOptions): string {
  if (content === "delimited") return header?.separator === "\t" ? TSV : "text/csv";
  if (content === "lines" || (content === "text" && firstOf(bytes) !== BRACE)) return "text/plain";
  return mediaTypeOf("line.json", bytes); // as `kedge post` has it
}
const TSV = "text/tab-separated-values";

/** What a file may begin with that no event has: the mark of an editor, or the hole that a writer left in a truncated file. */
function withoutMark(bytes: Uint8Array, notes: string[]): Uint8Array {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) {
    notes.push(BOM_NOTE);
    return bytes.subarray(3);
  }
  if (bytes[0] !== 0) return bytes;
  notes.push(NULS_NOTE);
  const first = bytes.findIndex((byte) => byte !== 0);
  return first === -1 ? new Uint8Array() : bytes.subarray(first);
}

/**
 * The columns that the first row of a file names. None of them when none of `wanted` is there: then it is a row like any other,
 * and must not be passed by as a header.
 */
export function headerColumns(
  piece: Piece,
  row: RowOptions,
  wanted: readonly string[] | undefined,
): string[] {
  if (piece.bytes === undefined) return [];
  const bytes = piece.start === 0 ? withoutMark(piece.bytes, []) : piece.bytes;
  const fields = rowFields(bytes, row).map((field) => field.trim());
  return wanted === undefined || wanted.some((column) => fields.includes(column)) ? fields : [];
}

export const isBlank = (bytes: Uint8Array): boolean => firstOf(bytes) === undefined;

const firstOf = (bytes: Uint8Array): number | undefined =>
  bytes.find((byte) => byte !== 0x20 && byte !== 0x09 && byte !== 0x0d && byte !== 0x0a);

function isJson(bytes: Uint8Array): boolean {
  try {
    JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    return true;
  } catch {
    return false;
  }
}
