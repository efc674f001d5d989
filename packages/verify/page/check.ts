/** Holds what was given against the keys: the command line's verifier and pairing, in slices, so that the page stays responsive. */
import { type Opening, openCommitment, parseOpening } from "@kedge/verify/events/commitment";
import { EventError } from "@kedge/verify/events/error";
import type { Columns } from "@kedge/verify/events/formats/columns";
import { readColumns } from "@kedge/verify/events/formats/formats";
import { mediaTypeOf } from "@kedge/verify/events/media";
import { PackError } from "@kedge/verify/pack/error";
import { judgePack } from "@kedge/verify/pack/judge";
import { type CommitRecord, parseProofLine, parseRecordLine } from "@kedge/verify/pack/lines";
import { type Pace, startPace } from "@kedge/verify/pack/pace";
import { type Disclosure, factsOf, type JudgedPack, type Pack } from "@kedge/verify/pack/pack";
import { LINES, linesOf as linesIn, readPack } from "@kedge/verify/pack/read";
import { parseProofFile } from "@kedge/verify/proof/extra";
import type { Keys } from "@kedge/verify/proof/keys";
import { pairKey, pairKeysOf, proofName } from "@kedge/verify/proof/names";
import { type Claim, ProofIndex, pairProof, searchIn } from "@kedge/verify/proof/pairing";
import { type RecordVerdict, verdictOf, worstVerdict } from "@kedge/verify/proof/verdict";
import type { RecordFacts } from "@kedge/verify/proof/verdict-words";
import { openVerifier, type VerifyClaim, type VerifyReport } from "@kedge/verify/proof/verify";
import { decodedText } from "@kedge/verify/text";
import { type TimestampTrust, timestampVerifier } from "@kedge/verify/time/timestamps";
import { bytesToHex } from "@noble/hashes/utils.js";
import { countLines, type GivenFile, linesOf, MAX_EVENT, MAX_LINE } from "./given.ts";

/** Why there is no report: no proof of it was given, or too many to try them all; a proof without its event; no event is so large. */
export type NoReport = "no_proof" | "untried" | "no_event" | "too_large";

/** A record, and what holds of it. */
export type CheckedRow = {
  /** Name of its file, and the line in it from 1; of a proof without an event, the proof's. */
  name: string;
  line?: number;
  /** Absent when it was not given, or is withheld. */
  event?: Uint8Array;
  columns?: Columns;
  verdict: RecordVerdict;
  report?: VerifyReport;
  why?: NoReport;
  /** Of a row of a pack: its number from 1, its commitment (hex) by the word of who made the pack, and its event on demand. */
  packed?: {
    number: number;
    commitment: string;
    disclosure?: Disclosure;
    readEvent?: (signal: AbortSignal) => Promise<Uint8Array | undefined>;
  };
  facts: RecordFacts;
};

export type Checked = {
  /** The worst of them, and of the files of a pack. */
  verdict: RecordVerdict;
  rows: readonly CheckedRow[];
  /** Proofs that no event took. */
  left: number;
  pack?: JudgedPack;
  /** The keys that came with the pack. */
  packKeys?: Keys;
  /** Why a pack could not be read. */
  broken?: string;
  /** Why the check did not come to its end. */
  failed?: string;
  /** Whether more lines were given than are checked at once: nothing was checked then. */
  isTooMany?: true;
  /** Why the keys that were given could not be read: nothing was checked then. */
  unreadKeys?: string;
};

export type Trust = Keys & TimestampTrust;

/** A proof that was given; `text` is a view of the file where it has one alone. */
type Kept = { name: string; line?: number; text: Uint8Array | string; commitment?: string };

/** Whether there is anything to hold a timestamp against. */
const hasTimes = ({ tsaCerts, bitcoinBlocks }: TimestampTrust): boolean =>
  tsaCerts.length + bitcoinBlocks.length > 0;

/**
 * Every event with its proof, and the proofs that no event took. `onProgress` gets how many events are done.
 * Throws the signal's reason once it is aborted, and nothing for what the files hold.
 */
export async function checkFiles(
  files: readonly GivenFile[],
  trust: Trust,
  signal: AbortSignal,
  onProgress: (done: number) => void,
): Promise<Checked> {
  const pace = startPace(signal);
  const index = await indexProofs(files, pace);
  const openings = await openingsOf(files, pace);
  const verify = openVerifier(trust);
  const stamped = hasTimes(trust) ? timestampVerifier(trust, verify) : undefined;
  // One event may be tried with 20,000 proofs.
  const verifyClaim = async (claim: VerifyClaim): Promise<VerifyReport> => {
    await pace.rest();
    return stamped === undefined ? verify(claim) : await stamped(claim);
  };
  const search = searchIn(index);
  const rows: CheckedRow[] = [];
  const [only] = index.all.length === 1 ? index.all : [];
  const events = files.filter(({ kind }) => kind === "event" || kind === "events");
  const isAlone = events.length === 1;
  // An opening of which it is not said whose it is can only be that of the one record.
  const isOne = isAlone && events.every(({ kind, bytes }) => kind === "event" || countLines(bytes) === 1);
  const opened = isOne ? openings : { records: openings.records };
  for (const source of eventsOf(files)) {
    if (source.bytes.length > MAX_EVENT) {
      rows.push(rowOf(source, "too_large"));
      continue;
    }
    const claim = claimOf(source, verifyClaim, opened);
    const own = isAlone && source.line === undefined ? only : undefined;
    const paired =
      own === undefined
        ? await pairProof(claim, index, search)
        : { kept: own, report: await reportOf(claim, own) };
    if (typeof paired !== "string") search.unused.delete(paired.kept);
    rows.push(rowOf(source, paired));
    onProgress(rows.length);
    await pace.rest();
  }
  if (rows.length > 0) return { verdict: worstVerdict(verdictsOf(rows)), rows, left: search.unused.size };
  const bare = [...search.unused].map(
    ({ name, line }): CheckedRow => ({
      name,
      ...(line === undefined ? {} : { line }),
      verdict: "untold",
      why: "no_event",
      facts: { verdict: "untold" },
    }),
  );
  return { verdict: "untold", rows: bare, left: 0 };
}

const verdictsOf = (rows: readonly CheckedRow[]): RecordVerdict[] => rows.map(({ verdict }) => verdict);

// ---- a pack -------------------------------------------------------------------------------------------------------

/** A whole pack. Keys, certificates and blocks that were given are used in place of the pack's own. As `checkFiles`. */
export async function checkPack(
  zip: Uint8Array,
  { tsaCerts, bitcoinBlocks, ...keys }: Trust,
  signal: AbortSignal,
  onProgress: (share: number) => void,
): Promise<Checked> {
  try {
    const pack = await readPack(zip, signal);
    const judged = await judgePack(pack, {
      ...(keys.logVkeys.length + keys.anchorVkeys.length > 0 && { keys }),
      ...(hasTimes({ tsaCerts, bitcoinBlocks }) && { timestamps: { tsaCerts, bitcoinBlocks } }),
      signal,
      onProgress,
    });
    const rows: CheckedRow[] = [];
    const pace = startPace(signal);
    for (const row of judged.rows) {
      const { commitment, disclosure, event, columns, report, verdict } = row;
      const readEvent = event === undefined ? undefined : (end: AbortSignal) => eventIn(pack, row, end);
      rows.push({
        name: event ?? "",
        ...(row.line === undefined ? {} : { line: row.line }),
        ...(columns && { columns }),
        ...(report && { report }),
        verdict,
        packed: {
          number: rows.length + 1,
          commitment,
          ...(disclosure && { disclosure }),
          ...(readEvent && { readEvent }),
        },
        facts: factsOf(judged, row),
      });
      await pace.rest();
    }
    return { verdict: judged.verdict, rows, left: 0, pack: judged, packKeys: pack.keys };
  } catch (error) {
    if (!(error instanceof PackError)) throw error;
    const verdict = error.code === "changed" ? "changed" : "untold";
    return { verdict, rows: [], left: 0, broken: error.message };
  }
}

/** The event's own bytes: gone through from the start, so for one row at a time. */
async function eventIn(
  { files }: Pack,
  row: Pick<JudgedPack["rows"][number], "event" | "line">,
  signal: AbortSignal,
) {
  const file = row.event === undefined ? undefined : files.get(row.event);
  if (file === undefined || row.event !== LINES) return file?.bytes();
  const pace = startPace(signal);
  let line = 0;
  for (const bytes of linesIn(file, LINES, MAX_EVENT)) {
    line += 1;
    if (line === row.line) return bytes.slice();
    await pace.rest();
  }
  return undefined;
}

// ---- events and proofs ----------------------------------------------------------------------------------------------

type Source = Claim["source"];

function* eventsOf(files: readonly GivenFile[]): Generator<Source> {
  for (const { name, bytes, kind } of files) {
    if (kind === "event") yield { name, bytes };
    if (kind === "events") for (const line of linesOf(bytes)) yield { name, ...line };
  }
}

async function reportOf({ source, verifyClaim, opening }: Claim, kept: Kept): Promise<VerifyReport> {
  return await verifyClaim({ event: source.bytes, proof: bytesOf(kept), ...(opening && { opening }) });
}

function rowOf(
  { name, line, bytes }: Source,
  paired: { report: VerifyReport } | "none" | "untried" | "too_large",
): CheckedRow {
  const own = { name, ...(line === undefined ? {} : { line }), event: bytes };
  if (typeof paired === "string") {
    const why = paired === "none" ? "no_proof" : paired;
    const columns =
      why === "too_large"
        ? undefined
        : columnsOf(bytes, mediaTypeOf(line === undefined ? name : "line.json", bytes));
    const verdict = verdictOf(undefined);
    return { ...own, ...(columns && { columns }), verdict, why, facts: { verdict } };
  }
  const { report } = paired;
  const mediaType = report.opening?.mediaType ?? mediaTypeOf(line === undefined ? name : "line.json", bytes);
  const columns = columnsOf(bytes, mediaType);
  const verdict = verdictOf(report);
  return { ...own, ...(columns && { columns }), verdict, report, facts: { verdict, report } };
}

/** Undefined where the event says nothing that is known here. */
function columnsOf(bytes: Uint8Array, mediaType: string): Columns | undefined {
  try {
    const columns = readColumns(bytes, mediaType);
    return Object.keys(columns).length === 0 ? undefined : columns;
  } catch (error) {
    if (error instanceof EventError) return undefined;
    throw error;
  }
}

// ---- proofs -------------------------------------------------------------------------------------------------------

const bytesOf = ({ text }: Kept): Uint8Array =>
  typeof text === "string" ? new TextEncoder().encode(text) : text;

async function indexProofs(files: readonly GivenFile[], pace: Pace): Promise<ProofIndex<Kept>> {
  const index = new ProofIndex<Kept>(async (kept) => bytesOf(kept));
  for (const { name, bytes, kind } of files) {
    if (kind === "proof") index.add({ name, text: bytes }, pairKeysOf(name));
    if (kind !== "proofs") continue;
    for (const { line, bytes: own } of linesOf(bytes)) {
      const found = own.length > MAX_LINE ? undefined : parseProofLine(own);
      await pace.rest();
      if (found === undefined) continue;
      const { event, proof: text, commitment } = found;
      const keys = event === undefined ? [] : [proofName(event, found.line), ...keysOf(event, found.line)];
      index.add({ name, line, text, commitment }, keys);
    }
  }
  return index;
}

// ---- openings -----------------------------------------------------------------------------------------------------

/** Openings that were given apart from the proofs: of one event, and records of many by the names of their events. */
type Openings = { only?: Opening; records: ReadonlyMap<string, CommitRecord> };

async function openingsOf(files: readonly GivenFile[], pace: Pace): Promise<Openings> {
  const records = new Map<string, CommitRecord>();
  let only: Opening | undefined;
  for (const { bytes, kind } of files) {
    if (kind === "opening") only = readOpening(bytes);
    if (kind !== "records") continue;
    for (const { bytes: own } of linesOf(bytes)) {
      const record = own.length > MAX_LINE ? undefined : readRecord(own);
      await pace.rest();
      if (record !== undefined) for (const key of keysOf(record.event, record.line)) records.set(key, record);
    }
  }
  const [first] = records.values();
  if (new Set(records.values()).size === 1) only ??= first?.opening;
  return { records, ...(only && { only }) };
}

/** The whole path, and the name alone: a page gets no folders. */
const keysOf = (path: string, line?: number): string[] => {
  const name = proofName(path, line);
  return [pairKey(name), pairKey(name.slice(name.lastIndexOf("/") + 1))];
};

function readRecord(bytes: Uint8Array): CommitRecord | undefined {
  try {
    return parseRecordLine(bytes);
  } catch (error) {
    if (error instanceof EventError) return undefined;
    throw error;
  }
}

function readOpening(bytes: Uint8Array): Opening | undefined {
  try {
    return parseOpening(JSON.parse(decodedText(bytes)));
  } catch {
    return undefined;
  }
}

/**
 * The record's opening where it opens the event, or where the proof has none: what does not fit is then said of the event. A
 * record of another, or one that was changed, is no reason to say it of an event that its own proof opens.
 */
function claimOf(source: Source, verifyClaim: Claim["verifyClaim"], { only, records }: Openings): Claim {
  const record = keysOf(source.name, source.line)
    .map((key) => records.get(key))
    .find((found) => found !== undefined);
  const opening = record?.opening ?? only;
  const claim = { source, verifyClaim, derive: [] };
  if (opening === undefined) return claim;
  if (record !== undefined && opens(record, source.bytes)) return { ...claim, opening };
  return {
    ...claim,
    verifyClaim: (one) => verifyClaim("event" in one && !hasOpening(one.proof) ? { ...one, opening } : one),
  };
}

function opens({ opening, commitment }: CommitRecord, bytes: Uint8Array): boolean {
  try {
    return bytesToHex(openCommitment(opening, bytes)) === commitment;
  } catch (error) {
    if (error instanceof EventError) return false;
    throw error;
  }
}

function hasOpening(proof: VerifyClaim["proof"]): boolean {
  try {
    const isFile = typeof proof === "string" || proof instanceof Uint8Array;
    return (isFile ? parseProofFile(proof) : proof).extra.opening !== undefined;
  } catch {
    return false; // what is wrong with a proof is the verifier's to say
  }
}
