/** Events from files, folders, NDJSON and standard input, one at a time. */
import { isUtf8 } from "node:buffer";
import type { Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { basename, join, relative } from "node:path";
import type { Readable } from "node:stream";
import { PROOF_SUFFIX } from "../proof/names.ts";
import { joinBytes } from "../tlog/bytes.ts";
import { isCommitment } from "./options.ts";
import { CliError, misuse, warn } from "./output.ts";
import { isLitter, looksLikeRecord } from "./recognise.ts";
import { openRegular, RegularFileError } from "./regular.ts";

export { looksLikeRecord };

/** An event where it was found: `name` is the path as given, `-` for standard input; `line` counts from 1. */
export type EventSource = {
  name: string;
  /** What was read: a path that is given twice stands for two. */
  file: InputFile;
  line?: number;
  bytes: Uint8Array;
  /** Path below the folder that was given, or the file's own name. */
  below: string;
  /** Of a last line that no newline ends. */
  isUnended?: true;
};

/** What one path on the command line stands for; its first `size` bytes, where that is known. */
export type InputFile = { name: string; below: string; size?: number };

/** Far above any audit event; bounds what a wrong file can take of the memory. */
export const MAX_EVENT = 64 << 20;

export type ListOptions = {
  /** What an editor or a desktop leaves is a file like any other. */
  asBytes?: boolean | undefined;
  /** Gets the name of what was passed by as such. Without it nobody is told, and a path that was given is always meant. */
  onLitter?: (name: string) => void;
  /** Takes what cannot be read, and the others follow. Without it, the first ends all. */
  onError?: OnError | undefined;
};
export type OnError = (error: CliError) => void;

/**
 * The files below these paths in the order of their names, proof files and litter passed by; `-` stays. What else is
 * left out is warned of, and its name added to `leftOut`: who misses it has not seen all.
 */
export async function* listFiles(
  paths: readonly string[],
  leftOut: string[] = [],
  options: ListOptions = {},
): AsyncGenerator<InputFile> {
  for (const path of paths) {
    if (isCommitment(path)) {
      throw misuse(
        `${path} is a commitment, and events are wanted: for a file of that name, write ./${path}`,
      );
    }
    const found = path === "-" ? undefined : await orElse(() => statOf(path), options.onError);
    if (found?.isDirectory()) yield* walk(path, path, leftOut, options);
    else if (found && options.onLitter && passedBy(basename(path), path, options)) continue;
    else if (found !== undefined || path === "-") yield { name: path, below: basename(path) };
  }
}

function passedBy(own: string, name: string, { asBytes, onLitter }: ListOptions): boolean {
  if (asBytes || !isLitter(own)) return false;
  onLitter?.(name);
  return true;
}

/** undefined for what `onError` has taken. */
async function orElse<T>(run: () => Promise<T>, onError: OnError | undefined): Promise<T | undefined> {
  try {
    return await run();
  } catch (error) {
    if (onError === undefined || !(error instanceof CliError)) throw error;
    onError(error);
    return undefined;
  }
}

export async function statOf(path: string) {
  try {
    return await stat(path);
  } catch (cause) {
    throw misuse(`${path} cannot be read: there is no such file, or no permission`, cause);
  }
}

async function* walk(
  root: string,
  folder: string,
  leftOut: string[],
  options: ListOptions,
): AsyncGenerator<InputFile> {
  for (const entry of (await orElse(() => readFolder(folder), options.onError)) ?? []) {
    const own = entry.name.toString();
    const name = join(folder, own);
    if (passedBy(own, name, options)) continue;
    const reason = whyLeftOut(entry);
    if (reason !== undefined) {
      leftOut.push(name);
      warn(`${name} is left out: ${reason}`);
    } else if (entry.isDirectory()) yield* walk(root, name, leftOut, options);
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

/**
 * The events of a file: one, or one for each line that is not blank. Records are a line each, whatever the name. `onEnd`
 * gets how many bytes the file has.
 */
export async function* readEvents(
  file: InputFile,
  ndjson: boolean | undefined,
  onEnd?: (bytes: number) => void,
): AsyncGenerator<EventSource> {
  if (isNdjson(file, ndjson)) {
    yield* readLines(file, chunks(file, onEnd));
    return;
  }
  const bytes = await readWhole(file, onEnd);
  if (looksLikeRecord(firstLine(bytes))) yield* readLines(file, [bytes]);
  else yield { name: file.name, file, below: file.below, bytes };
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
): AsyncGenerator<EventSource> {
  const { name, below } = file;
  let line = 0;
  let parts: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      line += 1;
      const bytes = joinBytes([...parts, chunk.subarray(start, end)]);
      if (!bytes.every(isSpace)) yield { name, file, below, line, bytes };
      parts = [];
      size = 0;
      start = end + 1;
    }
    size += chunk.length - start;
    checkSize(file, size);
    parts.push(chunk.subarray(start));
  }
  const bytes = joinBytes(parts);
  if (!bytes.every(isSpace)) yield { name, file, below, line: line + 1, bytes, isUnended: true };
}

async function readWhole(file: InputFile, onEnd?: (bytes: number) => void): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks(file, onEnd)) {
    size += chunk.length;
    checkSize(file, size);
    parts.push(chunk);
  }
  return joinBytes(parts);
}

async function* chunks(
  { name, size }: InputFile,
  onEnd?: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  if (size === 0) return;
  const stream: Readable = name === "-" ? process.stdin : await openEvents(name, size);
  let read = 0;
  try {
    for await (const chunk of stream) {
      if (!(chunk instanceof Uint8Array)) continue;
      read += chunk.length;
      yield chunk;
    }
  } catch (cause) {
    throw misuse(`${name} cannot be read: ${reasonOf(cause)}`, cause);
  }
  if (size !== undefined && read < size)
    throw misuse(`${name} became shorter while it was read: give it again`);
  onEnd?.(read);
}

async function openEvents(path: string, size: number | undefined): Promise<Readable> {
  const end = size === undefined ? {} : { end: size - 1 };
  try {
    return (await openRegular(path)).createReadStream({ highWaterMark: 1 << 18, ...end });
  } catch (cause) {
    if (!(cause instanceof RegularFileError)) throw cause;
    const advice = cause.code === "not_regular" ? ". What comes through a pipe is given as -" : "";
    throw misuse(`${cause.message}${advice}`, cause);
  }
}

function checkSize({ name }: InputFile, size: number): void {
  if (size <= MAX_EVENT) return;
  throw misuse(
    `${name} holds an event larger than 64 MiB (${MAX_EVENT} bytes), which is the limit: is it NDJSON? Then use --ndjson`,
  );
}

const NEWLINE = 0x0a;

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0d;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : "unknown reason";
}
