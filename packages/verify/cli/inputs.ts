/** Events from files, folders, NDJSON and standard input, one at a time. */
import { isUtf8 } from "node:buffer";
import type { Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { basename, join, relative } from "node:path";
import type { Readable } from "node:stream";
import { concatBytes } from "../tlog/bytes.ts";
import { isCommitment } from "./options.ts";
import { misuse, warn } from "./output.ts";
import { openRegular, RegularFileError } from "./regular.ts";

/** An event where it was found: `name` is the path as given, `-` for standard input; `line` counts from 1. */
export type EventSource = {
  name: string;
  line?: number;
  bytes: Uint8Array;
  /** Path below the folder that was given, or the file's own name. */
  below: string;
};

/** What one path on the command line stands for. */
type InputFile = { name: string; below: string };

/** Far above any audit event; bounds what a wrong file can take of the memory. */
const MAX_EVENT = 64 << 20;
export const PROOF_SUFFIX = ".tlog-proof";

/**
 * The files below these paths in the order of their names, proof files left out; `-` stays. What else is left out is
 * warned of, and its name added to `leftOut`.
 */
export async function* listFiles(
  paths: readonly string[],
  leftOut: string[] = [],
): AsyncGenerator<InputFile> {
  for (const path of paths) {
    if (isCommitment(path)) {
      throw misuse(
        `${path} is a commitment, and events are wanted: for a file of that name, write ./${path}`,
      );
    }
    if (path !== "-" && (await statOf(path)).isDirectory()) yield* walk(path, path, leftOut);
    else yield { name: path, below: basename(path) };
  }
}

export async function statOf(path: string) {
  try {
    return await stat(path);
  } catch (cause) {
    throw misuse(`${path} cannot be read: there is no such file, or no permission`, cause);
  }
}

async function* walk(root: string, folder: string, leftOut: string[]): AsyncGenerator<InputFile> {
  for (const entry of await readFolder(folder)) {
    const own = entry.name.toString();
    const name = join(folder, own);
    const reason = whyLeftOut(entry);
    if (reason !== undefined) {
      leftOut.push(name);
      warn(`${name} is left out: ${reason}`);
    } else if (entry.isDirectory()) yield* walk(root, name, leftOut);
    else if (!own.endsWith(PROOF_SUFFIX)) yield { name, below: relative(root, name) };
  }
}

/** Names as bytes, for not every file system has them in UTF-8. */
async function readFolder(folder: string): Promise<Dirent<Buffer>[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true, encoding: "buffer" });
    return entries.sort((a, b) => (a.name.toString() < b.name.toString() ? -1 : 1));
  } catch (cause) {
    throw misuse(`The folder ${folder} cannot be read: ${reasonOf(cause)}`, cause);
  }
}

function whyLeftOut(entry: Dirent<Buffer>): string | undefined {
  if (!isUtf8(entry.name)) return "its name is not UTF-8. Rename it";
  if (entry.isSymbolicLink()) return "it is a symbolic link. Name what it leads to, or copy that here";
  if (!entry.isFile() && !entry.isDirectory()) return "it is neither a file nor a folder";
  return undefined;
}

/** Whether a file has one event a line, as standard input does; `ndjson` says so of files with another name. */
export function isNdjson({ name }: InputFile, ndjson: boolean | undefined): boolean {
  return ndjson === true || name === "-" || /\.(ndjson|jsonl)$/i.test(name);
}

/** The events of a file: one, or one for each line that is not blank. Records are a line each, whatever the name. */
export async function* readEvents(file: InputFile, ndjson: boolean | undefined): AsyncGenerator<EventSource> {
  if (isNdjson(file, ndjson)) {
    for await (const { line, bytes } of readLines(file, chunks(file))) {
      if (looksLikeProof(bytes)) {
        throw misuse(`${file.name} line ${line} is a proof, not an event: keep proofs apart from the events`);
      }
      yield { ...file, line, bytes };
    }
    return;
  }
  const bytes = await readWhole(file);
  if (!looksLikeRecord(firstLine(bytes))) {
    yield { ...file, bytes };
    return;
  }
  for await (const { line, bytes: record } of readLines(file, [bytes])) {
    yield { ...file, line, bytes: record };
  }
}

/** Whether these bytes are a record of `kedge commit`, or were one before they were cut or edited. */
export function looksLikeRecord(bytes: Uint8Array): boolean {
  if (!Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes('"commitment"')) return false;
  const text = new TextDecoder().decode(bytes).trimStart();
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && "commitment" in value && "opening" in value;
  } catch {
    return /^\{.*"commitment"\s*:\s*"[0-9a-fA-F]{64}"/s.test(text);
  }
}

/** Whether these bytes are a line of a file of proofs, as `kedge proof --out` writes them. */
function looksLikeProof(bytes: Uint8Array): boolean {
  const raw = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return raw.includes('"commitment"') && raw.includes('"proof":"c2sp.org/tlog-proof@');
}

function firstLine(bytes: Uint8Array): Uint8Array {
  const start = bytes.findIndex((byte) => byte !== NEWLINE && !isSpace(byte));
  if (start === -1) return new Uint8Array();
  const end = bytes.indexOf(NEWLINE, start);
  return bytes.subarray(start, end === -1 ? bytes.length : end);
}

/** The lines that are not blank, without their newline. */
async function* readLines(
  file: InputFile,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<{ line: number; bytes: Uint8Array }> {
  let line = 0;
  let parts: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      line += 1;
      const bytes = concatBytes(...parts, chunk.subarray(start, end));
      if (!bytes.every(isSpace)) yield { line, bytes };
      parts = [];
      size = 0;
      start = end + 1;
    }
    size += chunk.length - start;
    checkSize(file, size);
    parts.push(chunk.subarray(start));
  }
  const bytes = concatBytes(...parts);
  if (!bytes.every(isSpace)) yield { line: line + 1, bytes };
}

async function readWhole(file: InputFile): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks(file)) {
    size += chunk.length;
    checkSize(file, size);
    parts.push(chunk);
  }
  return concatBytes(...parts);
}

async function* chunks({ name }: InputFile): AsyncGenerator<Uint8Array> {
  const isStdin = name === "-";
  const stream: Readable = isStdin ? process.stdin : await openEvents(name);
  let isEmpty = true;
  try {
    for await (const chunk of stream) {
      isEmpty = false;
      if (chunk instanceof Uint8Array) yield chunk;
    }
  } catch (cause) {
    throw misuse(`${name} cannot be read: ${reasonOf(cause)}`, cause);
  }
  // Not an event of no bytes, but a pipe whose other end has failed.
  if (isStdin && isEmpty) throw misuse("Nothing came on standard input: - needs events, one a line");
}

async function openEvents(path: string): Promise<Readable> {
  try {
    return (await openRegular(path)).createReadStream({ highWaterMark: 1 << 18 });
  } catch (cause) {
    if (!(cause instanceof RegularFileError)) throw cause;
    const advice = cause.code === "not_regular" ? ". What comes through a pipe is given as -" : "";
    throw misuse(`${cause.message}${advice}`, cause);
  }
}

function checkSize({ name }: InputFile, size: number): void {
  if (size <= MAX_EVENT) return;
  throw misuse(`${name} holds an event larger than ${MAX_EVENT} bytes: is it NDJSON? Then use --ndjson`);
}

const NEWLINE = 0x0a;

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0d;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : "unknown reason";
}
