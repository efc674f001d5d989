/** What was dropped: each file is told by its content, whatever it is called, and a reader may say otherwise. Pure. */
import { parseProofLine, parseRecordLine } from "@kedge/verify/pack/lines";
import { looksLikePack } from "@kedge/verify/pack/read";
import { PROOF_SUFFIX } from "@kedge/verify/proof/names";
import { decodedText } from "@kedge/verify/text";

/** `proofs`, `records`, `events`: one a line. An `opening` is of one event; a `certificate` of a timestamping authority. */
export const FILE_KINDS = [
  ...(["event", "events", "proof", "proofs", "records", "opening"] as const),
  ...(["keys", "certificate", "pack", "ignored"] as const),
];
export type FileKind = (typeof FILE_KINDS)[number];

/** `id` tells two files of one name apart. `sha256` is lower-case hex. */
export type GivenFile = { id: number; name: string; bytes: Uint8Array; sha256: string; kind: FileKind };

const NEWLINE = 0x0a;
/** Bytes from the start that a file is told by. */
const HEAD = 1 << 16;
/** A line of a proof with its anchorings is below this. */
export const MAX_LINE = 16 << 20;
/** Bytes of a record, as `kedge post` has it. */
export const MAX_EVENT = 64 << 20;
/** Lines of records, proofs and openings that are checked at once: each takes some 2 KB of the browser's memory. */
export const MAX_LINES = 500_000;
const MAX_SMALL = 1 << 20;

/** Of what is taken whole, and not in lines: bytes, far above any that there is. */
const LIMITS: Partial<Record<FileKind, number>> = {
  event: MAX_EVENT,
  proof: MAX_LINE,
  opening: MAX_SMALL,
  keys: MAX_SMALL,
  certificate: MAX_SMALL,
};

/** Whether it cannot be what it is taken for: it is not looked at then. */
export const isTooLarge = ({ kind, bytes }: GivenFile): boolean =>
  bytes.length > (LIMITS[kind] ?? Number.POSITIVE_INFINITY);

export function kindOfFile(name: string, bytes: Uint8Array): FileKind {
  if (looksLikePack(bytes) || /\.zip$/i.test(name)) return "pack";
  const head = decodedText(bytes.subarray(0, HEAD));
  if (head.trimStart().startsWith("c2sp.org/tlog-proof@") || name.endsWith(PROOF_SUFFIX)) return "proof";
  if (isCertificate(name, head, bytes)) return "certificate";
  const line = firstLine(bytes);
  if (head.includes("tlog-proof@") && parseProofLine(line) !== undefined) return "proofs";
  const other = kindOfJson(line);
  if (other !== undefined) return other;
  if (isKeys(head)) return "keys";
  return /\.(ndjson|jsonl)$/i.test(name) ? "events" : "event";
}

function firstLine(bytes: Uint8Array): Uint8Array {
  const start = bytes.subarray(0, HEAD).findIndex((byte) => byte > 0x20);
  if (start === -1) return new Uint8Array();
  const line = bytes.subarray(start, start + MAX_LINE);
  const end = line.indexOf(NEWLINE);
  return end === -1 ? line : line.subarray(0, end);
}

function kindOfJson(line: Uint8Array): FileKind | undefined {
  const text = line.length < HEAD ? new TextDecoder().decode(line) : "";
  if (text.includes('"kedge/v1"') && text.includes('"nonce"')) {
    try {
      return parseRecordLine(line) === undefined ? "opening" : "records";
    } catch {
      return "records";
    }
  }
  return undefined;
}

function isCertificate(name: string, head: string, bytes: Uint8Array): boolean {
  return (
    head.includes("-----BEGIN CERTIFICATE-----") || (/\.(cer|crt|der)$/i.test(name) && bytes[0] === 0x30)
  );
}

/** PEM, also of a file that is DER. */
export function pemOf(bytes: Uint8Array): string {
  if (bytes[0] !== 0x30) return decodedText(bytes);
  let binary = "";
  for (const byte of bytes.subarray(0, HEAD)) binary += String.fromCharCode(byte);
  return `-----BEGIN CERTIFICATE-----\n${btoa(binary)}\n-----END CERTIFICATE-----\n`;
}

/** How every vkey looks (c2sp.org/signed-note), and the lines of a policy (c2sp.org/tlog-policy). */
const KEY_LINE = /^(?:#.*|(?:log|witness|group|quorum)[ \t].*|[^+\s]+\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+)$/;

/** A Bitcoin block, as `parseBlock` reads it. */
export const BLOCK_LINE = /^\d{1,9}:[0-9a-fA-F]{64,160}$/;

function isKeys(head: string): boolean {
  const lines = head
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "");
  return (
    lines.some((line) => !line.startsWith("#")) &&
    lines.every((line) => KEY_LINE.test(line) || BLOCK_LINE.test(line))
  );
}

export type Line = { line: number; bytes: Uint8Array };

/** The lines that are not blank, without their newline, as views of the bytes. A carriage return stays, as the CLI keeps it. */
export function* linesOf(bytes: Uint8Array): Generator<Line> {
  let line = 0;
  for (let start = 0; start < bytes.length; ) {
    const newline = bytes.indexOf(NEWLINE, start);
    const end = newline === -1 ? bytes.length : newline;
    line += 1;
    const own = bytes.subarray(start, end);
    const isText = own.length > HEAD || own.some((byte) => byte !== 0x20 && byte !== 0x09 && byte !== 0x0d);
    if (isText) yield { line, bytes: own };
    start = end + 1;
  }
}

/** How many lines there are, the blank ones too, or that they are more than MAX_LINES. */
export function countLines(bytes: Uint8Array): number {
  let count = bytes.length === 0 || bytes.at(-1) === NEWLINE ? 0 : 1;
  for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) {
    count += 1;
    if (count > MAX_LINES) break;
  }
  return count;
}
