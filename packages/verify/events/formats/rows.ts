/**
 * Rows of delimited files over their bytes (RFC 4180 §2), whatever the encoding, as long as ASCII stands for itself in it. A
 * quoted field may hold line ends; a quote elsewhere than at a field's beginning is a character like any other, as exports
 * that quote nothing have it.
 */

export type RowOptions = {
  /** One ASCII character: `,`, `;`, a tab, `|`. */
  separator: string;
  /** False for files where a quote never has a meaning. */
  quoted?: boolean;
};

const LF = 0x0a;
const CR = 0x0d;
const QUOTE = 0x22;

/** Finds where rows end, in bytes that come in parts. */
export type RowScanner = {
  /** Where the line feed stands that ends the row, from `from` on; -1 when it is in no part so far: call again with the next. */
  next(part: Uint8Array, from: number): number;
  /** Whether it stands within a quoted field: at the end of a file, a quote that was never closed. */
  isQuoted(): boolean;
};

/** What the field holds so far: nothing, quoted text, quoted text and a quote that may end it, anything else. */
type Field = "start" | "quoted" | "quote" | "plain";

export function rowScanner({ separator, quoted = true }: RowOptions): RowScanner {
  const between = separatorByte(separator);
  let field: Field = "start";
  return {
    next(part, from) {
      if (!quoted) return part.indexOf(LF, from);
      for (let at = from; at < part.length; at++) {
        const byte = part[at];
        if (field === "quoted") {
          const quote = byte === QUOTE ? at : part.indexOf(QUOTE, at);
          if (quote === -1) return -1;
          at = quote;
          field = "quote";
        } else if (byte === LF) {
          field = "start";
          return at;
        } else if (byte === between) field = "start";
        else if (byte === QUOTE && field !== "plain") field = "quoted";
        else field = "plain";
      }
      return -1;
    },
    isQuoted: () => field === "quoted",
  };
}

/** A row without its line end, which is CRLF or LF. */
export function withoutLineEnd(row: Uint8Array): Uint8Array {
  const end = row.at(-1) === LF ? row.length - 1 : row.length;
  return row.subarray(0, end > 0 && row[end - 1] === CR ? end - 1 : end);
}

/** The fields of a row, their quotes undone. UTF-8, or ISO-8859-1 for what is not. */
export function rowFields(row: Uint8Array, { separator, quoted = true }: RowOptions): string[] {
  const between = separatorByte(separator);
  const line = withoutLineEnd(row);
  const fields: string[] = [];
  for (let at = 0; at <= line.length; at++) {
    const closing = quoted && line[at] === QUOTE ? closingQuote(line, at) : -1;
    let end = line.indexOf(between, closing === -1 ? at : closing);
    if (end === -1) end = line.length;
    // What follows the closing quote, which RFC 4180 does not know, stays.
    const inner = closing === -1 ? "" : decode(line.subarray(at + 1, closing)).replaceAll('""', '"');
    fields.push(inner + decode(line.subarray(closing + 1 || at, end)));
    at = end;
  }
  return fields;
}

/** The one of these that stands most often in a header; a comma where there is none. */
export function separatorOf(header: Uint8Array): string {
  const counts = SEPARATORS.map((separator) => ({
    separator,
    fields: rowFields(header, { separator }).length,
  }));
  return counts.reduce((most, other) => (other.fields > most.fields ? other : most)).separator;
}

const SEPARATORS = [",", "\t", "|", ";", "^"];

/** Where the quote stands that closes the field which one opens; -1 when none does. */
function closingQuote(line: Uint8Array, opening: number): number {
  for (let at = line.indexOf(QUOTE, opening + 1); at !== -1; at = line.indexOf(QUOTE, at + 2)) {
    if (line[at + 1] !== QUOTE) return at;
  }
  return -1;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const latin1 = new TextDecoder("latin1");

function decode(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    return latin1.decode(bytes);
  }
}

function separatorByte(separator: string): number {
  const byte = separator.charCodeAt(0);
  if (separator.length === 1 && byte < 0x80 && ![LF, CR, QUOTE].includes(byte)) return byte;
  throw new RangeError("A separator is one ASCII character, and neither a quote nor a line end");
}
