/** Events from files, folders, NDJSON and standard input, one at a time. */
import { createReadStream } from "node:fs";
import { opendir, stat } from "node:fs/promises";
import { basename, join, relative } from "node:path";
import type { Readable } from "node:stream";
import { concatBytes } from "../tlog/bytes.ts";
import { misuse, warn } from "./output.ts";

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

/** The files below these paths in the order of their names, proof files left out; `-` stays. */
export async function* listFiles(paths: readonly string[]): AsyncGenerator<InputFile> {
  for (const path of paths) {
    if (path !== "-" && (await statOf(path)).isDirectory()) yield* walk(path, path);
    else yield { name: path, below: path === "-" ? "stdin" : basename(path) };
  }
}

export async function statOf(path: string) {
  try {
    return await stat(path);
  } catch (cause) {
    throw misuse(`${path} cannot be read: there is no such file, or no permission`, cause);
  }
}

async function* walk(root: string, folder: string): AsyncGenerator<InputFile> {
  const entries = [];
  for await (const entry of await opendir(folder)) entries.push(entry);
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    const name = join(folder, entry.name);
    if (entry.isDirectory()) yield* walk(root, name);
    else if (!entry.isFile()) warn(`${name} is left out: it is neither a file nor a folder`);
    else if (!entry.name.endsWith(PROOF_SUFFIX)) yield { name, below: relative(root, name) };
  }
}

/** Whether a file has one event a line; `ndjson` says so of files with another name, and of standard input. */
export function isNdjson({ name }: InputFile, ndjson: boolean | undefined): boolean {
  return ndjson === true || /\.(ndjson|jsonl)$/i.test(name);
}

/** The events of a file: one, or one for each line that is not blank. */
export async function* readEvents(file: InputFile, ndjson: boolean | undefined): AsyncGenerator<EventSource> {
  if (!isNdjson(file, ndjson)) {
    yield { ...file, bytes: await readWhole(file) };
    return;
  }
  for await (const { line, bytes } of readLines(file)) yield { ...file, line, bytes };
}

/** The lines that are not blank, without their newline, read as a stream. */
export async function* readLines(file: InputFile): AsyncGenerator<{ line: number; bytes: Uint8Array }> {
  let line = 0;
  let parts: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks(file)) {
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, start)) {
      line += 1;
      const bytes = concatBytes(...parts, chunk.subarray(start, end));
      if (!isBlank(bytes)) yield { line, bytes };
      parts = [];
      size = 0;
      start = end + 1;
    }
    size += chunk.length - start;
    checkSize(file, size);
    parts.push(chunk.subarray(start));
  }
  const bytes = concatBytes(...parts);
  if (!isBlank(bytes)) yield { line: line + 1, bytes };
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
  const stream: Readable = name === "-" ? process.stdin : createReadStream(name, { highWaterMark: 1 << 18 });
  try {
    for await (const chunk of stream) {
      if (chunk instanceof Uint8Array) yield chunk;
    }
  } catch (cause) {
    throw misuse(
      `${name} cannot be read: ${cause instanceof Error ? cause.message : "unknown reason"}`,
      cause,
    );
  }
}

function checkSize({ name }: InputFile, size: number): void {
  if (size <= MAX_EVENT) return;
  throw misuse(`${name} holds an event larger than ${MAX_EVENT} bytes: is it NDJSON? Then use --ndjson`);
}

function isBlank(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);
}
