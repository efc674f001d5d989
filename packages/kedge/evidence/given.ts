/** What was given, by what it is: exports, records, proofs, keys. Whoever drops a folder has them all in it. Runs in a browser. */
import { isLitter, looksLikeRecord } from "@kedge/verify/cli/recognise";
import type { Opening } from "@kedge/verify/events/commitment";
import { EventError } from "@kedge/verify/events/error";
import type { Header } from "@kedge/verify/events/formats/header";
import { parseProofLine, parseRecordLine } from "@kedge/verify/pack/lines";
import { parseProofFile } from "@kedge/verify/proof/extra";
import { PROOF_SUFFIX, pairKey, pairKeysOf, proofName } from "@kedge/verify/proof/names";
import { parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { TlogError } from "@kedge/verify/tlog/error";
import { leafHash, verifyInclusion } from "@kedge/verify/tlog/merkle";
import { parsePolicy } from "@kedge/verify/tlog/policy";
import { MAX_PROOF_SIZE, parseProof } from "@kedge/verify/tlog/proof";
import { hexToBytes } from "@noble/hashes/utils.js";
import * as z from "zod";
import { type Preset, presetSchema } from "../journal/header.ts";
import { EvidenceError } from "./error.ts";
import type { GivenFile, GivenRecord } from "./types.ts";

export type SortedFiles = {
  /** In the order of their names. */
  events: GivenFile[];
  records: GivenFile[];
  proofs: GivenFile[];
  policies: GivenFile[];
  /** What stood above rows that are a file each. */
  headers: GivenFile[];
  /** What desktops and editors leave, and what cannot be an export: names. */
  passedBy: string[];
};

/** By their beginnings, never by where they were dropped. Order does not matter. */
export function sortFiles(files: Iterable<GivenFile>): SortedFiles {
  const sorted: SortedFiles = {
    events: [],
    records: [],
    proofs: [],
    policies: [],
    headers: [],
    passedBy: [],
  };
  const inOrder = [...files].toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  for (const file of inOrder) {
    const first = firstLine(file.bytes);
    if ((file.below ?? file.name).split(/[/\\]/).some(isLitter)) sorted.passedBy.push(file.name);
    else if (looksLikeRecord(first)) sorted.records.push(file);
    else if (isProofs(file, first)) sorted.proofs.push(file);
    else if (ownName(file.name) === HEADERS) sorted.headers.push(file);
    else if (isPolicy(file.bytes)) sorted.policies.push(file);
    else sorted.events.push(file);
  }
  return sorted;
}

/** Of a path, as either kind of system writes one. */
export const ownName = (path: string): string => path.split(/[/\\]/).at(-1) ?? "";

const MAX_POLICY = 1 << 20;
const MAX_LINE = 4 * MAX_PROOF_SIZE;
const LF = 0x0a;
const TLOG_PROOF = "c2sp.org/tlog-proof@";

function firstLine(bytes: Uint8Array): Uint8Array {
  const start = bytes.findIndex((byte) => byte > 0x20);
  if (start === -1) return new Uint8Array();
  const end = bytes.subarray(0, start + MAX_LINE).indexOf(LF, start);
  return bytes.subarray(start, end === -1 ? start + MAX_LINE : end);
}

function isProofs({ bytes }: GivenFile, first: Uint8Array): boolean {
  return (
    decode(bytes.subarray(0, TLOG_PROOF.length)) === TLOG_PROOF ||
    (first.length <= MAX_LINE && parseProofLine(first) !== undefined)
  );
}

function isPolicy(bytes: Uint8Array): boolean {
  if (bytes.length > MAX_POLICY) return false;
  const text = decode(bytes);
  if (!/^(?:#|log |witness )/.test(text)) return false;
  try {
    parsePolicy(text);
    return true;
  } catch (error) {
    if (error instanceof TlogError) return false;
    throw error;
  }
}

const utf8 = new TextDecoder();
const decode = (bytes: Uint8Array): string => utf8.decode(bytes);

function* linesOf(bytes: Uint8Array): Generator<{ line: number; bytes: Uint8Array }> {
  let line = 0;
  for (let start = 0; start < bytes.length; ) {
    const feed = bytes.indexOf(LF, start);
    const end = feed === -1 ? bytes.length : feed;
    line += 1;
    const own = bytes.subarray(start, end);
    if (own.some((byte) => byte > 0x20)) yield { line, bytes: own };
    start = end + 1;
  }
}

// ---- records ------------------------------------------------------------------------------------------------------

/** What `kedge commit` and `kedge find --export` wrote, a record a line. Throws EvidenceError `records`. */
export function* readRecords(files: Iterable<GivenFile>): Generator<GivenRecord> {
  for (const { name, bytes } of files) {
    for (const { line, bytes: text } of linesOf(bytes)) yield readRecord(text, name, line);
  }
}

function readRecord(bytes: Uint8Array, file: string, line: number): GivenRecord {
  const why = "is no record as kedge commit writes it";
  try {
    const record = parseRecordLine(bytes);
    if (record !== undefined) return record;
  } catch (cause) {
    if (!(cause instanceof EventError)) throw cause;
    throw unreadable("records", file, line, why, cause);
  }
  throw unreadable("records", file, line, why);
}

function unreadable(
  code: "records" | "proofs" | "header",
  file: string,
  line: number | undefined,
  what: string,
  cause?: unknown,
): EvidenceError {
  const place = line === undefined ? file : `${file}, line ${line},`;
  return new EvidenceError(code, `${place} ${what}: give it as it was written.`, { file, line, cause });
}

// ---- headers ------------------------------------------------------------------------------------------------------

/** The file beside `events/` that says what stood above its rows. */
export const HEADERS = "headers.ndjson";
/** A line of it; `events` are paths beside it. */
export type RowsBelow = { header: Omit<Header, "preset"> & { preset?: Preset }; events: string[] };

const rowsSchema = z.strictObject({
  header: z.strictObject({
    separator: z.string().regex(/^[\t\x20-\x7e]$/),
    quoted: z.boolean().exactOptional(),
    header: z.array(z.string()).max(4_096),
    preset: presetSchema.exactOptional(),
  }),
  events: z.array(z.string().min(1)),
});

/** By the path of each row's file, as it was given. Throws EvidenceError `header`. */
export function readHeaders(files: Iterable<GivenFile>): ReadonlyMap<string, Header> {
  const headers = new Map<string, Header>();
  for (const { name, bytes } of files) {
    const folder = name.slice(0, -HEADERS.length);
    for (const { line, bytes: text } of linesOf(bytes)) {
      const { data } = rowsSchema.safeParse(parseJson(text));
      if (data === undefined) throw unreadable("header", name, line, "does not say what stood above rows");
      for (const event of data.events) headers.set(folder + event, data.header);
    }
  }
  return headers;
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(decode(bytes));
  } catch {
    return undefined;
  }
}

// ---- proofs -------------------------------------------------------------------------------------------------------

/** Whose a proof may be. */
export type Known = { readonly file: string; readonly line?: number; readonly commitment?: string };
export type GivenProof = { commitment: string; proof: string };

/** Entries that are tried with a proof whose name does not say whose it is: some milliseconds. */
const MAX_TRIED = 10_000;

/**
 * Proofs of files of many, and of files of their own: whose one of these is, its name says, or trying. Of several of one entry
 * the last counts. Nothing but that is verified. Throws EvidenceError `proofs`.
 *
 * @param known what the proofs may be of
 */
export function* readProofs(
  files: Iterable<GivenFile>,
  known: () => Iterable<Known> = () => [],
): Generator<GivenProof> {
  let candidates: Candidates | undefined;
  for (const { name, bytes } of files) {
    if (decode(bytes.subarray(0, TLOG_PROOF.length)) === TLOG_PROOF) {
      candidates ??= candidatesAmong(known());
      const proof = decode(bytes);
      const commitment = ownerOf(name, proof, candidates);
      if (commitment === undefined)
        throw unreadable("proofs", name, undefined, "is a proof of none of the events");
      yield { commitment, proof };
      continue;
    }
    for (const { line, bytes: text } of linesOf(bytes)) {
      const proof = parseProofLine(text);
      if (proof === undefined) throw unreadable("proofs", name, line, "is no proof");
      yield { commitment: proof.commitment, proof: proof.proof };
    }
  }
}

/**
 * Of proofs one a line that hold what opens their events: as good as records, where there are none. What is wrong with a line
 * `readProofs` says.
 */
export function* recordsInProofs(files: Iterable<GivenFile>): Generator<GivenRecord> {
  for (const { bytes } of files) {
    for (const { bytes: text } of linesOf(bytes)) {
      const { event, line, commitment, proof = "" } = parseProofLine(text) ?? {};
      const opening = openingIn(proof);
      if (event === undefined || commitment === undefined || opening === undefined) continue;
      yield { event, ...(line === undefined ? {} : { line }), commitment, opening };
    }
  }
}

function openingIn(proof: string): Opening | undefined {
  try {
    return parseProofFile(proof).extra.opening;
  } catch (error) {
    if (error instanceof TlogError || error instanceof EventError) return undefined;
    throw error;
  }
}

/** Commitments whose a proof may be: by the names that it would have, and the first of all. */
type Candidates = {
  readonly byName: ReadonlyMap<string, readonly string[]>;
  readonly first: readonly string[];
};

function candidatesAmong(known: Iterable<Known>): Candidates {
  const names = new Map<string, string[]>();
  const first = new Set<string>();
  for (const { file, line, commitment } of known) {
    if (commitment === undefined) continue;
    if (first.size < MAX_TRIED) first.add(commitment);
    const parts = proofName(file, line).split("/");
    for (const [i] of parts.entries()) {
      const key = pairKey(parts.slice(i).join("/"));
      const same = names.get(key);
      if (same === undefined) names.set(key, [commitment]);
      else same.push(commitment);
    }
  }
  return { byName: names, first: [...first] };
}

function ownerOf(name: string, proof: string, { byName, first }: Candidates): string | undefined {
  const own = ownName(name).slice(0, -PROOF_SUFFIX.length);
  const named = pairKeysOf(name).flatMap((key) =>
    key.split("/").map((_, i, parts) => parts.slice(i).join("/")),
  );
  const likely = [own, ...named.flatMap((key) => byName.get(key) ?? [])].filter((hex) =>
    /^[0-9a-f]{64}$/.test(hex),
  );
  try {
    const { index, hashes, checkpoint } = parseProof(proof);
    const { size, root } = parseCheckpoint(checkpoint).checkpoint;
    return [...likely, ...first].find((commitment) => {
      try {
        verifyInclusion({ leafHash: leafHash(hexToBytes(commitment)), index, size, root, proof: hashes });
        return true;
      } catch (error) {
        if (error instanceof TlogError) return false;
        throw error;
      }
    });
  } catch (cause) {
    if (!(cause instanceof TlogError)) throw cause;
    throw unreadable("proofs", name, undefined, "is a proof that cannot be read", cause);
  }
}
