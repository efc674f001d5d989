/** What the lines and rows of a file, or of standard input, are as events. */
import { MAX_EVENT } from "@kedge/verify/cli/inputs";
import { parseSource } from "@kedge/verify/events/commitment";
import { EventError } from "@kedge/verify/events/error";
import { type RowOptions, separatorOf } from "@kedge/verify/events/formats/rows";
import { mediaTypeOf, parseSentMediaType } from "@kedge/verify/events/media";
import { z } from "zod";
import {
  type Header,
  headerColumns,
  headerCursor,
  headerNote,
  presetSchema,
  withId,
} from "../journal/header.ts";
import type { Arrival, Intake } from "../journal/types.ts";
import { gapArrival } from "./gap-arrival.ts";
import { type Piece, type Pieces, pieces } from "./pieces.ts";

const parsed = (parse: (text: string) => string) =>
  z.string().superRefine((text, context) => {
    try {
      parse(text);
    } catch (error) {
      if (!(error instanceof EventError)) throw error;
      context.addIssue({ code: "custom", message: error.message });
    }
  });

/** What the sources have in common that read lines or rows. */
export const lineMembers = {
  /** Of its numbers. Those of the agent's own begin with `kedge.`. */
  name: parsed(parseSource).refine((name) => !name.startsWith("kedge."), {
    error: "A name that begins with kedge. is the agent's own: take another",
  }),
  /** Of every event, where the bytes are not to tell it. */
  mediaType: parsed(parseSentMediaType).optional(),
  /** What stands before the first `{` of a line is no part of the event. */
  prefix: z.boolean().optional(),
  /** What is not of the format becomes a gap, and not an event. */
  refuse: z.boolean().optional(),
  /** Octets of the largest event: a larger one becomes a gap. */
  limit: z.int().min(1).max(MAX_EVENT).default(MAX_EVENT),
  /** Of delimited input; told from its first row otherwise. */
  separator: z
    .string()
    .regex(/^[\t\x20-\x7e]$/)
    .refine((separator) => separator !== '"', { error: "A separator is no quote" })
    .optional(),
  /** False where a quote is a character like any other. */
  quoted: z.boolean().optional(),
  /** Whether the first row names the columns. */
  header: z.boolean().default(true),
  /** Which column is what to the officer: `epic`, or their names, such as `{"user.login": "USER_ID"}`. */
  preset: presetSchema.optional(),
};

/** `text`: lines, and JSON where they look like it. */
export const LINE_CONTENTS = ["lines", "ndjson", "text", "delimited"] as const;
export type LineContent = (typeof LINE_CONTENTS)[number];

export type LineOptions = {
  mediaType?: string | undefined;
  prefix?: boolean | undefined;
  refuse?: boolean | undefined;
  limit: number;
  separator?: string | undefined;
  quoted?: boolean | undefined;
  header: boolean;
  preset?: Header["preset"] | undefined;
};

export type LineStep = {
  /** Where the next line begins: bytes from the beginning of the stream. */
  end: number;
  /** Absent for a blank line, and for a header. */
  event?: Arrival | undefined;
};

export type Lines = {
  add(part: Uint8Array): Generator<LineStep>;
  /** The last line, that nothing ended. */
  rest(): Generator<LineStep>;
  /** Of the rows so far. */
  header(): Header | undefined;
};

/** Reads on from `offset` of a stream, where `header` stood above it. */
export function readLines(
  content: LineContent,
  options: LineOptions,
  { intake, offset = 0, ...above }: { intake: Intake; offset?: number; header?: Header | undefined },
): Lines {
  const { limit } = options;
  let header = above.header;
  let cut: Pieces | undefined;
  let row: RowOptions | undefined;

  /** The first row tells what separates the fields of all. */
  function begin(part: Uint8Array): Pieces {
    if (content !== "delimited") return pieces({ limit }, offset);
    const end = part.indexOf(LF);
    const first = end === -1 ? part : part.subarray(0, end);
    const separator = options.separator ?? header?.separator ?? separatorOf(first);
    row = { separator, ...(options.quoted === undefined ? {} : { quoted: options.quoted }) };
    return pieces({ limit, rows: row }, offset);
  }

  function headerIn(piece: Piece, row: RowOptions): Header {
    const bytes = piece.bytes ?? new Uint8Array();
    const { preset } = options;
    const names = options.header ? headerColumns(withoutMark(bytes, []), row, preset) : [];
    return withId(intake, { ...row, header: names, ...(preset === undefined ? {} : { preset }) });
  }

  function step(piece: Piece): LineStep {
    const { end } = piece;
    const isFirst = offset === 0 && header === undefined && !(piece.bytes && isBlank(piece.bytes));
    if (row !== undefined && isFirst) {
      header = headerIn(piece, row);
      if (header.header.length > 0) return { end };
    }
    return { end, event: lineEvent(piece, content, options, header) };
  }

  return {
    *add(part) {
      cut ??= begin(part);
      for (const piece of cut.add(part)) yield step(piece);
    },
    *rest() {
      for (const piece of cut?.rest() ?? []) yield step(piece);
    },
    header: () => header,
  };
}
const LF = 0x0a;

/** What is written beside the first rows below a header. */
export const headerCursors = (header: Header | undefined): [key: string, value: string][] =>
  header === undefined ? [] : [headerCursor(header)];

const BOM_NOTE = "byte order mark taken away";
const NULS_NOTE = "NULs before it taken away";
const PREFIX_NOTE = "text before the JSON taken away";

const BRACE = 0x7b;

/** undefined for a blank line. */
function lineEvent(
  piece: Piece,
  content: LineContent,
  options: LineOptions,
  header: Header | undefined,
): Arrival | undefined {
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
  if (options.refuse && content === "ndjson" && !isJson(bytes)) {
    return gapArrival({ kind: "unreadable", octets: bytes.length, detail: "a line that is not JSON" });
  }
  if (header !== undefined) notes.push(headerNote(header));
  const mediaType = options.mediaType ?? lineMediaType(bytes, content, header);
  return { bytes, mediaType, ...(notes.length === 0 ? {} : { notes }) };
}

function lineMediaType(bytes: Uint8Array, content: LineContent, header: Header | undefined): string {
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

export const isBlank = (bytes: Uint8Array): boolean => firstOf(bytes) === undefined;

const firstOf = (bytes: Uint8Array): number | undefined =>
  bytes.find((byte) => byte !== 0x20 && byte !== 0x09 && byte !== 0x0d && byte !== LF);

function isJson(bytes: Uint8Array): boolean {
  try {
    JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    return true;
  } catch {
    return false;
  }
}
