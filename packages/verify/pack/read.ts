/**
 * Reads a pack: its parts as values, and each row with its event and its proof. Verifies nothing.
 *
 * Hostile: all of it. What is large stays compressed, and is gone through line by line.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { TimestampError } from "../error.ts";
import type { Keys } from "../proof/keys.ts";
import { splitPolicy } from "../proof/origins.ts";
import { type Cert, parsePemCertificates } from "../time/x509.ts";
import { joinBytes } from "../tlog/bytes.ts";
import { TlogError } from "../tlog/error.ts";
import { type Policy, parsePolicy } from "../tlog/policy.ts";
import { MAX_PROOF_SIZE } from "../tlog/proof.ts";
import { PackError } from "./error.ts";
import { paced, startPace } from "./pace.ts";
import type { Pack, PackFile, PackFiles, PackRow } from "./pack.ts";
import { caseFile, proofLine, rowLine } from "./schema.ts";
import { MAX_WHOLE, readingZip } from "./zip.ts";

export const CASE = "case.json";
export const ROWS = "rows.ndjson";
export const LINES = "events/lines.ndjson";
export const PROOFS = "proofs.ndjson";
export const POLICY = "policy.txt";
export const GAPS = "gaps.json";
export const TABLE = "report.csv";
export const REPORT = "report.pdf";
export const README = "README.txt";
export const PAGE = "verify.html";
export const EVIDENCE_SUMS = "EVIDENCE-SHA256";
export const ALL_SUMS = "SHA256SUMS";
export const MANIFESTS = "manifests/events.ndjson";
export const MANIFEST_PROOFS = "manifests/proofs.ndjson";

const MAX_ROWS = 1_000_000;
const MAX_ROW_LINE = 1 << 16;
/** Of all rows, which are kept as values: a million without disclosures have some 150 bytes each. */
const MAX_ROWS_SIZE = 256 << 20;
/** JSON writes a byte of a proof as two at most: its newlines. */
const MAX_PROOF_LINE = 2 * MAX_PROOF_SIZE + (1 << 16);
const MAX_AUTHORITIES = 64;
const MAX_POLICY = 1 << 20;

/** Whether a file is a pack, as far as its first bytes tell: a zip. */
export const looksLikePack = (bytes: Uint8Array): boolean =>
  bytes[0] === 0x50 && bytes[1] === 0x4b && bytes[2] === 3 && bytes[3] === 4;

/** Throws PackError. */
export async function readPack(zip: Uint8Array, signal?: AbortSignal): Promise<Pack> {
  const files = await paced(readingZip(zip), startPace(signal));
  if (!files.has(CASE)) {
    throw new PackError("malformed", `This zip is no evidence pack: it has no ${CASE}`);
  }
  return await readParts(files, signal).catch(async (error: unknown) => {
    throw error instanceof PackError ? await orChanged(error, files) : error;
  });
}

/** The same of files that are in no zip yet. */
export async function readParts(files: PackFiles, signal?: AbortSignal): Promise<Pack> {
  const pace = startPace(signal);
  const whole = caseFile.read(textOf(files, CASE), CASE);
  const policy = textOf(files, POLICY, MAX_POLICY);
  const keys = inPack(POLICY, () => keysOfPolicy(policy));
  const authorities = readAuthorities(files);
  const rows: PackRow[] = [];
  let size = 0;
  for (const line of linesOf(fileOf(files, ROWS), ROWS, MAX_ROW_LINE)) {
    if (rows.length === MAX_ROWS) throw tooMany(ROWS);
    size += line.length;
    if (size > MAX_ROWS_SIZE) {
      throw new PackError("too_large", `${ROWS} is larger than ${MAX_ROWS_SIZE} bytes`, { file: ROWS });
    }
    rows.push(rowLine.read(decode(line, ROWS), ROWS));
    await pace.rest();
  }
  return { files, case: whole, rows, policy, keys, authorities };
}

/** That a file cannot be read is no riddle where it is not the one that was packed. */
export async function orChanged(error: PackError, files: PackFiles): Promise<PackError> {
  const { file } = error;
  if (error.code !== "malformed" || file === undefined) return error;
  try {
    const listed = (await paced(readSums(files, ALL_SUMS), startPace())).get(file);
    if (listed === undefined || listed === hashOf(fileOf(files, file))) return error;
  } catch (cause) {
    if (!(cause instanceof PackError)) throw cause;
    return error;
  }
  return new PackError("changed", `${file} is not the file that was packed, and cannot be read`, {
    cause: error,
    file,
  });
}

/** What is to be the policy of a pack, or in place of it. Throws TlogError as `parsePolicy`. */
export function keysOfPolicy(text: string): Keys {
  const { anchor, logs } = splitPolicy(parsePolicy(text));
  return keysOf(
    logs.map(({ vkey }) => vkey),
    anchor,
  );
}

const keysOf = (logVkeys: Keys["logVkeys"], policy: Policy): Keys => ({
  logVkeys,
  anchorVkeys: policy.logs.map(({ vkey }) => vkey),
  policy,
});

function readAuthorities(files: PackFiles): Cert[] {
  return [...files.keys()]
    .filter(isAuthority)
    .slice(0, MAX_AUTHORITIES)
    .flatMap((file) => inPack(file, () => parsePemCertificates(textOf(files, file, MAX_POLICY))));
}

export const isAuthority = (file: string): boolean => /^tsa\/[^/]+\.pem$/.test(file);
export const isEvent = (file: string): boolean => file.startsWith("events/");
export const isCheckpoint = (file: string): boolean => file.startsWith("checkpoints/");

function inPack<T>(file: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    if (!(cause instanceof TlogError || cause instanceof TimestampError)) throw cause;
    throw new PackError("malformed", `${file} cannot be read: ${cause.message}`, { cause, file });
  }
}

export function fileOf(files: PackFiles, file: string): PackFile {
  const found = files.get(file);
  if (found === undefined) throw new PackError("malformed", `The pack has no ${file}`, { file });
  return found;
}

export function textOf(files: PackFiles, file: string, limit = MAX_WHOLE): string {
  const found = fileOf(files, file);
  if (found.size > limit) throw new PackError("too_large", `${file} is larger than ${limit} bytes`, { file });
  return decode(found.bytes(), file);
}

function decode(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new PackError("malformed", `${file} is not UTF-8`, { cause, file });
  }
}

const NEWLINE = 0x0a;

/** Each ends in a newline, which is no part of it. Throws PackError. */
export function* linesOf(content: PackFile, file: string, limit: number): Generator<Uint8Array> {
  let waiting: Uint8Array[] = [];
  let length = 0;
  for (const chunk of content.chunks()) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      const part = chunk.subarray(start, end);
      if (length + part.length > limit) throw tooLong(file);
      yield waiting.length === 0 ? part : joinBytes([...waiting, part]);
      waiting = [];
      length = 0;
      start = end + 1;
    }
    if (start < chunk.length) waiting.push(chunk.subarray(start));
    length += chunk.length - start;
    if (length > limit) throw tooLong(file);
  }
  if (length > 0) throw new PackError("malformed", `${file} was cut: its last line has no end`, { file });
}

const tooMany = (file: string): PackError =>
  new PackError("too_large", `${file} has more than ${MAX_ROWS} lines`, { file });

const tooLong = (file: string): PackError =>
  new PackError("too_large", `${file} has a line that is longer than any of a pack`, { file });

// ---- lists of hashes ----------------------------------------------------------------------------------------------

const SUM = /^([0-9a-f]{64}) {2}(.{1,200})$/;

/** SHA-256 of files by their paths, as `sha256sum` writes it, in the order of `formatSums`; in steps. Throws PackError. */
export function* readSums(files: PackFiles, list: string): Generator<undefined, Map<string, string>> {
  const sums = new Map<string, string>();
  const malformed = () => new PackError("malformed", `${list} is not a list of SHA-256`, { file: list });
  const lines = textOf(files, list).split("\n");
  if (lines.pop() !== "") throw malformed();
  let before = "";
  for (const line of lines) {
    const [, hash, file] = SUM.exec(line) ?? [];
    if (hash === undefined || file === undefined || file <= before) throw malformed();
    sums.set(file, hash);
    before = file;
    yield;
  }
  return sums;
}

/** In the order of the paths' code units. */
export function formatSums(sums: ReadonlyMap<string, string>): string {
  const names = [...sums.keys()].sort();
  return names.map((file) => `${sums.get(file)}  ${file}\n`).join("");
}

/** Lower-case hex. */
export function hashOf(file: PackFile): string {
  const hash = sha256.create();
  for (const chunk of file.chunks()) hash.update(chunk);
  return bytesToHex(hash.digest());
}

// ---- rows with what belongs to them -------------------------------------------------------------------------------

/** A row with its event's bytes and the text of its proof, where they are there. `n` counts from 1. */
export type PackEntry = { n: number; row: PackRow; event?: Uint8Array; proof?: string };

/**
 * Each row with its event and its proof. Both lie in the order of the rows, so each is gone through once. A file that is
 * not as the rows have it is told to `onStray`. Gives undefined now and then while it seeks. Throws PackError.
 */
export function* entriesOf(
  { files, rows }: Pick<Pack, "files" | "rows">,
  onStray: (file: string, is: "missing" | "differs") => void = () => {},
): Generator<PackEntry | undefined> {
  const places = new Map(rows.map(({ commitment }, i) => [commitment, i]));
  if (places.size < rows.length) onStray(ROWS, "differs");
  const events = eventReader(files, onStray);
  const proofs = proofReader(files, places, onStray);
  for (const [i, row] of rows.entries()) {
    const event = yield* events.of(row);
    const proof = row.noProof === undefined ? yield* proofs.of(row, i) : undefined;
    yield { n: i + 1, row, ...(event && { event }), ...(proof !== undefined && { proof }) };
  }
  events.finish();
  proofs.finish();
}

type Stray = (file: string, is: "missing" | "differs") => void;

function eventReader(files: PackFiles, onStray: Stray) {
  const file = files.get(LINES);
  const lines = file && linesOf(file, LINES, MAX_WHOLE);
  const taken = new Set<string>();
  let at = 0;
  return {
    *of({ event: path, line }: PackRow): Generator<undefined, Uint8Array | undefined> {
      if (path === undefined) {
        if (line !== undefined) onStray(ROWS, "differs");
        return undefined;
      }
      if (path !== LINES) {
        if (taken.has(path) || line !== undefined || !isEvent(path)) onStray(ROWS, "differs");
        taken.add(path);
        const found = isEvent(path) ? files.get(path) : undefined;
        if (found === undefined) onStray(path, "missing");
        return found?.bytes();
      }
      if (lines === undefined) onStray(LINES, "missing");
      if (lines === undefined || line === undefined || line <= at) {
        if (lines !== undefined) onStray(ROWS, "differs");
        return undefined;
      }
      for (;;) {
        const next = lines.next();
        if (next.done) {
          onStray(LINES, "differs");
          return undefined;
        }
        at += 1;
        if (at === line) return next.value;
        onStray(LINES, "differs"); // a line that no row names
        if (at > MAX_ROWS) throw tooMany(LINES);
        yield undefined;
      }
    },
    /** One that is left says it: there may be a billion. */
    finish(): void {
      if (lines?.next().done === false) onStray(LINES, "differs");
    },
  };
}

function proofReader(files: PackFiles, places: ReadonlyMap<string, number>, onStray: Stray) {
  const file = files.get(PROOFS);
  if (file === undefined) onStray(PROOFS, "missing");
  const lines = file && linesOf(file, PROOFS, MAX_PROOF_LINE);
  /** Read, and of a later row. */
  let ahead: { commitment: string; proof: string } | undefined;
  let count = 0;
  const read = () => {
    const next = lines?.next();
    count += 1;
    if (count > MAX_ROWS + 1) throw tooMany(PROOFS);
    return next === undefined || next.done ? undefined : proofLine.read(decode(next.value, PROOFS), PROOFS);
  };
  return {
    *of({ commitment }: PackRow, place: number): Generator<undefined, string | undefined> {
      for (;;) {
        ahead ??= read();
        if (ahead === undefined) break;
        if (ahead.commitment === commitment) {
          const { proof } = ahead;
          ahead = undefined;
          return proof;
        }
        onStray(PROOFS, "differs");
        if ((places.get(ahead.commitment) ?? -1) > place) return undefined;
        ahead = undefined; // of no row, or of one that is past
        yield undefined;
      }
      if (file !== undefined) onStray(PROOFS, "differs");
      return undefined;
    },
    finish(): void {
      ahead ??= read();
      if (ahead !== undefined) onStray(PROOFS, "differs");
    },
  };
}

/** Gone through at once; for the few of a manifest. Throws PackError. */
export function* manifestsOf(
  { files }: Pick<Pack, "files">,
  onStray: Stray = () => {},
): Generator<PackEntry> {
  const events = files.get(MANIFESTS);
  const proofs = files.get(MANIFEST_PROOFS);
  if (events === undefined && proofs === undefined) return;
  const lines = events ? linesOf(events, MANIFESTS, MAX_ROW_LINE) : [].values();
  const proofLines = proofs ? linesOf(proofs, MANIFEST_PROOFS, MAX_PROOF_LINE) : [].values();
  for (let n = 1; ; n++) {
    if (n > MAX_ROWS) throw tooMany(MANIFESTS);
    const event = lines.next();
    const line = proofLines.next();
    if (event.done && line.done) return;
    if (event.done || line.done) {
      onStray(event.done ? MANIFESTS : MANIFEST_PROOFS, events && proofs ? "differs" : "missing");
      return;
    }
    const { commitment, proof } = proofLine.read(decode(line.value, MANIFEST_PROOFS), MANIFEST_PROOFS);
    yield { n, row: { commitment, event: MANIFESTS, line: n }, event: event.value, proof };
  }
}
