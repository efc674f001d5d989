/** Proofs that were kept: a folder of proof files, files of many proofs (NDJSON), or both; found by event or commitment. */
import { type FileHandle, readdir } from "node:fs/promises";
import { join } from "node:path";
import { type ProofLine, parseProofLine } from "../pack/lines.ts";
import { PROOF_SUFFIX, pairKey, pairKeysOf, proofName } from "../proof/names.ts";
import { ProofIndex } from "../proof/pairing.ts";
import { joinBytes } from "../tlog/bytes.ts";
import { MAX_PROOF_SIZE } from "../tlog/proof.ts";
import { readInput } from "./files.ts";
import { statOf } from "./inputs.ts";
import { isCommitment } from "./options.ts";
import { jsonLine, misuse, warn } from "./output.ts";
import { openRegular, RegularFileError } from "./regular.ts";

/** Where a proof is; what it is of, by the word of who wrote the file. */
export type KeptProof = {
  /** As it was given, or below the folder that was given. */
  readonly path: string;
  /** In a file of many. */
  readonly at?: { readonly line: number; readonly offset: number; readonly length: number };
  readonly commitment?: string;
};

/** JSON writes a byte of a proof as two at most: its newlines. */
const MAX_LINE = 2 * MAX_PROOF_SIZE + (1 << 16);
const NEWLINE = 0x0a;

export function formatProofLine({ event, line, commitment, proof }: ProofLine): string {
  const of = event === undefined ? {} : { event, ...(line === undefined ? {} : { line }) };
  return jsonLine({ ...of, commitment, proof });
}

/** Whether a file has a proof a line, as its first line shows. False for what is no file. */
export async function holdsProofLines(path: string): Promise<boolean> {
  if (!(await statOf(path)).isFile()) return false;
  for await (const { bytes } of linesOf(path))
    return bytes !== undefined && parseProofLine(bytes) !== undefined;
  return false;
}

/** The lines that are not blank. `bytes` is undefined for one that is too long for a proof. */
async function* linesOf(
  path: string,
): AsyncGenerator<{ line: number; offset: number; length: number; bytes: Uint8Array | undefined }> {
  let line = 1;
  let offset = 0;
  let length = 0;
  let parts: Uint8Array[] = [];
  const take = (part: Uint8Array): void => {
    length += part.length;
    if (length > MAX_LINE) parts = [];
    else parts.push(part);
  };
  const current = () => ({
    line,
    offset,
    length,
    bytes: length > MAX_LINE ? undefined : joinBytes(parts),
  });
  for await (const chunk of chunksOf(path)) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      take(chunk.subarray(start, end));
      if (length > 0) yield current();
      offset += length + 1;
      line += 1;
      length = 0;
      parts = [];
      start = end + 1;
    }
    take(chunk.subarray(start));
  }
  if (length > 0) yield current();
}

async function* chunksOf(path: string): AsyncGenerator<Uint8Array> {
  const file = await openOrMisuse(path);
  try {
    for await (const chunk of file.createReadStream({ highWaterMark: 1 << 18, autoClose: false })) {
      if (chunk instanceof Uint8Array) yield chunk;
    }
  } finally {
    await file.close();
  }
}

async function openOrMisuse(path: string): Promise<FileHandle> {
  try {
    return await openRegular(path);
  } catch (cause) {
    throw cause instanceof RegularFileError ? misuse(cause.message, cause) : cause;
  }
}

/** The proofs of a file, and where they stand. What is no proof is named, and left out. */
export async function* readProofLines(
  path: string,
): AsyncGenerator<ProofLine & { at: NonNullable<KeptProof["at"]> }> {
  let broken = 0;
  let first = 0;
  for await (const { line, offset, length, bytes } of linesOf(path)) {
    const proof = bytes && parseProofLine(bytes);
    if (proof !== undefined) {
      yield { ...proof, at: { line, offset, length } };
      continue;
    }
    broken += 1;
    if (broken === 1) first = line;
  }
  if (broken > 0) {
    warn(
      `${path}: ${broken} of its lines, first line ${first}, were cut or altered: no proof was read from them`,
    );
  }
}

/** The text of a proof; none where its line is no longer what it was. */
export async function readKept(kept: KeptProof): Promise<Uint8Array> {
  if (kept.at === undefined) return await readProofFile(kept.path);
  return new TextEncoder().encode((await readKeptLine(kept))?.proof ?? "");
}

/** The line of a file of many. */
export async function readKeptLine({ path, at }: KeptProof): Promise<ProofLine | undefined> {
  if (at === undefined) return undefined;
  const bytes = new Uint8Array(at.length);
  const file = await openOrMisuse(path);
  try {
    await file.read(bytes, 0, at.length, at.offset);
  } finally {
    await file.close();
  }
  return parseProofLine(bytes);
}

/** A file too large to be a proof is read no further than shows it. */
async function readProofFile(path: string): Promise<Uint8Array> {
  const { size } = await statOf(path);
  if (size > MAX_PROOF_SIZE) warn(`${path} is too large to be a proof`);
  return size > MAX_PROOF_SIZE ? new Uint8Array() : readInput(path, MAX_PROOF_SIZE);
}

/** The proofs of a folder, or of a file of many. */
export async function indexProofs(path: string): Promise<ProofIndex<KeptProof>> {
  const index = new ProofIndex(readKept);
  if (!(await statOf(path)).isDirectory()) {
    await indexLines(index, path);
    return index;
  }
  for (const name of await readNames(path)) {
    const file = join(path, name);
    if (name.endsWith(PROOF_SUFFIX)) {
      const own = name.slice(0, -PROOF_SUFFIX.length);
      index.add({ path: file, ...(isCommitment(own) ? { commitment: own } : {}) }, [
        own.normalize("NFC").replaceAll("\\", "/"),
        ...pairKeysOf(name),
      ]);
    } else if (isNamedNdjson(name) && (await holdsProofLines(file))) await indexLines(index, file);
  }
  return index;
}

export const isNamedNdjson = (path: string): boolean => /\.(ndjson|jsonl)$/i.test(path);

async function indexLines(index: ProofIndex<KeptProof>, path: string): Promise<void> {
  for await (const { event, line, commitment, at } of readProofLines(path)) {
    const name = event === undefined ? undefined : proofName(event, line);
    index.add({ path, at, commitment }, name === undefined ? [] : [name, pairKey(name)]);
  }
}

export async function readNames(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder, { recursive: true })).sort();
  } catch (cause) {
    throw misuse(`The folder ${folder} cannot be read: is there no permission?`, cause);
  }
}
