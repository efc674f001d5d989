/** A stream of bytes, cut into its lines or rows. Bounded memory, whatever comes. */
import { type RowOptions, rowScanner, withoutLineEnd } from "@kedge/verify/events/formats/rows";
import { joinBytes } from "@kedge/verify/tlog/bytes";

export type Piece = {
  /** Without its line end; absent when it is longer than the limit. */
  bytes?: Uint8Array;
  /** Its length without the line feed. */
  octets: number;
  /** Where it begins, and where the next does: bytes from the beginning of the stream. */
  start: number;
  end: number;
  notes?: readonly string[];
};

export type Pieces = {
  /** The pieces that end in this part. Its bytes are kept until they do: do not write over them. */
  add(part: Uint8Array): Generator<Piece>;
  /** What no line end followed, once nothing more comes. */
  rest(): Generator<Piece>;
};

/** A quoted field may hold line ends, yet one that holds more than this was never closed. */
const MAX_QUOTED = 1 << 20;
const LF = 0x0a;
const UNCLOSED = "a quote is never closed: cut at the line end";

/**
 * Lines, whose carriage return is theirs as in `kedge post`; or rows, without it. From `start` of the stream on. When a quote
 * is never closed, the stretch after it is cut at its line ends, so that it is all there.
 */
export function pieces({ limit, rows }: { limit: number; rows?: RowOptions | undefined }, start = 0): Pieces {
  const maxQuoted = Math.min(limit, MAX_QUOTED);
  const newScanner = () => rows && rowScanner(rows);
  let scanner = newScanner();
  /** Of the piece that is open: empty while it is passed over as too long. */
  let parts: Uint8Array[] = [];
  let octets = 0;
  let at = start;

  const endIn = (part: Uint8Array, from: number): number =>
    scanner === undefined || octets > limit ? part.indexOf(LF, from) : scanner.next(part, from);

  const piece = (line: Uint8Array | number, ended: number, notes?: readonly string[]): Piece => {
    const begin = at;
    const length = typeof line === "number" ? line : line.length;
    at += length + ended;
    const place = { octets: length, start: begin, end: at };
    if (typeof line === "number" || length > limit) return place;
    const bytes = rows === undefined ? line : withoutLineEnd(line);
    return { ...place, bytes, ...(notes && { notes }) };
  };

  /** Line by line: what no line end follows is returned. */
  function* byLines(bytes: Uint8Array): Generator<Piece, Uint8Array> {
    let begin = 0;
    for (let end = bytes.indexOf(LF); end !== -1; end = bytes.indexOf(LF, begin)) {
      yield piece(bytes.subarray(begin, end), 1, [UNCLOSED]);
      begin = end + 1;
    }
    return bytes.subarray(begin);
  }

  /** Ends the open piece: `ended` is the length of its line feed. */
  function* close(ended: 0 | 1): Generator<Piece> {
    const isPassedOver = octets > limit && parts.length === 0;
    const line = isPassedOver ? octets : joinBytes(parts);
    parts = [];
    octets = 0;
    if (isPassedOver) scanner = newScanner();
    const isCut = rows !== undefined && typeof line !== "number" && line.length > maxQuoted;
    yield piece(isCut ? yield* byLines(line) : line, ended);
  }

  function keep(part: Uint8Array): void {
    const isPassedOver = octets > limit;
    octets += part.length;
    if (!isPassedOver && part.length > 0) parts.push(part);
  }

  /** The beginning of a row whose quote was never closed goes by its lines, and its last line may begin a row that is whole. */
  function* unquote(): Generator<Piece> {
    const open = joinBytes(parts);
    parts = [];
    octets = 0;
    const last = yield* byLines(open);
    scanner = newScanner();
    scanner?.next(last, 0);
    keep(last);
  }

  return {
    *add(part) {
      let from = 0;
      for (let end = endIn(part, 0); end !== -1; end = endIn(part, from)) {
        keep(part.subarray(from, end));
        yield* close(1);
        from = end + 1;
      }
      keep(part.subarray(from));
      if (octets <= maxQuoted) return;
      if (scanner?.isQuoted() && parts.length > 0) yield* unquote();
      if (octets > limit) parts = [];
    },
    *rest() {
      if (scanner?.isQuoted() && parts.length > 0) yield* unquote();
      if (octets > 0) yield* close(0);
    },
  };
}
