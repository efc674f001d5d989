/**
 * Makes a pack: its parts become files, the rows are judged under the keys that go with them, and what follows from that is
 * added, the report last. The same parts make the same bytes.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import type { SourceCompleteness } from "../audit/completeness.ts";
import type { Opening } from "../events/commitment.ts";
import { EventError } from "../events/error.ts";
import { formatProofFile, type ProofFile, parseProofFile } from "../proof/extra.ts";
import { TlogError } from "../tlog/error.ts";
import { VERSION } from "../version.ts";
import { csvLines, PACK_STRINGS } from "./csv.ts";
import { PackError } from "./error.ts";
import { formatGaps, readStatement } from "./gaps.ts";
import { conclude, hashFiles, leftOut, ownTimestamps, sumsOf, verifierOf } from "./judge.ts";
import { type Pace, paced, startPace } from "./pace.ts";
import type { Disclosure, JudgedPack, Pack, PackCase, PackRow } from "./pack.ts";
import {
  ALL_SUMS,
  CASE,
  EVIDENCE_SUMS,
  fileOf,
  GAPS,
  hashOf,
  LINES,
  MANIFEST_PROOFS,
  MANIFESTS,
  PAGE,
  POLICY,
  PROOFS,
  README,
  REPORT,
  ROWS,
  readParts,
  TABLE,
} from "./read.ts";
import { type Judgement, judgeRows } from "./rows.ts";
import { caseFile, proofLine, rowLine } from "./schema.ts";
import { type Clock, instantOf, offsetsAround, zoneClock } from "./time.ts";
import { startFile, writeZip, type ZipFile, zipFile } from "./zip.ts";

/** A row to pack, in the order of the report. */
export type RowPart = {
  /** Lower-case hex. */
  commitment: string;
  /** Absent when the event is withheld, or no longer there. `opening`: where the proof does not have it. */
  event?: { bytes: Uint8Array; mediaType: string; opening?: Opening };
  /** The text of the proof file; of a row without one, why. */
  proof?: string;
  noProof?: "pending" | "unknown";
  /** Place in the case's `headers`. */
  header?: number;
  disclosure?: Disclosure;
};

export type PackParts = {
  case: Omit<PackCase, "v" | "offsets" | "asOf" | "software">;
  rows: Iterable<RowPart>;
  /** Keys of the log and of the anchor log, witnesses and quorum, as text (c2sp.org/tlog-policy). */
  policy: string;
  /** PEM, each of one authority or more. */
  authorities?: readonly string[];
  /** Manifests of the sources, with their proofs that hold their openings. */
  manifests?: Iterable<{ commitment: string; bytes: Uint8Array; proof: string }>;
  /** What the numbering shows of all that was looked through; it is left out where all of that is in the pack. */
  export?: readonly SourceCompleteness[];
  /** The verifier page. */
  page: Uint8Array;
};

export type WriteOptions = {
  makeReport: (judged: JudgedPack) => Promise<Uint8Array>;
  /** Told the share that is done, from 0 to 1. */
  onProgress?: (share: number) => void;
  signal?: AbortSignal;
};

/**
 * The zip, and what the report was made of. What is changed or cannot be told is packed too, and the report says so.
 *
 * Throws PackError `malformed` for parts that do not make a pack, `too_large`.
 */
export async function writePack(
  parts: PackParts,
  { makeReport, onProgress, signal }: WriteOptions,
): Promise<{ zip: Uint8Array; judged: JudgedPack }> {
  const pace = startPace(signal);
  const files = new Map<string, ZipFile>();
  const add = (name: string, content: Uint8Array | string): void => {
    files.set(name, zipFile(name, typeof content === "string" ? encode(content) : content));
  };
  const unknown = { offsets: [{ minutes: 0 }], asOf: new Date(0).toISOString() };
  const about: PackCase = { v: 1, ...parts.case, ...unknown, software: VERSION };
  add(README, PACK_STRINGS[about.language].readme(VERSION));
  add(CASE, caseFile.write(about));
  add(POLICY, parts.policy);
  add(PAGE, parts.page);
  for (const [i, pem] of (parts.authorities ?? []).entries()) add(`tsa/${i + 1}.pem`, pem);
  await addRows(parts, files, pace);
  addManifests(parts, files);

  const checkpoints = new Map<string, string>();
  const pack = await readParts(files, signal);
  const judgement = await judgeRows(pack, verifierOf(pack.keys, ownTimestamps(pack)), {
    pace,
    rows: (done) => onProgress?.(0.3 + (0.6 * done) / Math.max(1, pack.rows.length)),
    checkpoint: ({ file, text }) => checkpoints.set(file, text),
  });
  const [stray] = judgement.strays.keys();
  if (stray !== undefined) {
    throw new PackError(
      "malformed",
      `The parts do not belong together: ${stray} would not be what the rows need`,
    );
  }
  // What is read back, so that the report is made of the same that it is made anew of.
  const offsets = offsetsOf(about, judgement);
  const text = caseFile.write({ ...about, offsets, asOf: new Date(judgement.newest).toISOString() });
  const dated: Pack = { ...pack, case: caseFile.read(text, CASE) };
  const [outside] = await paced(leftOut(dated.case, judgement.rows), pace);
  if (outside !== undefined) {
    throw new PackError("malformed", `Row ${outside} is not of the filter that the case states`);
  }
  add(CASE, text);
  for (const [file, note] of checkpoints) add(file, note);
  const gaps = formatGaps(judgement.sources, judgement.isSelection ? parts.export : undefined);
  const maker = readStatement(gaps, GAPS);
  add(GAPS, gaps);
  await addTable(files, csvLines({ case: dated.case, rows: judgement.rows }), pace);
  const hashes = await hashFiles(files, pace);
  add(EVIDENCE_SUMS, sumsOf(hashes, EVIDENCE_SUMS));
  const evidence = hashOf(fileOf(files, EVIDENCE_SUMS));
  hashes.set(EVIDENCE_SUMS, evidence);
  const judged = conclude(dated, judgement, { maker, evidence });
  const report = await makeReport(judged);
  add(REPORT, report);
  hashes.set(REPORT, bytesToHex(sha256(report)));
  add(ALL_SUMS, sumsOf(hashes, ALL_SUMS));
  const zip = writeZip(new Map([...files].sort(([a], [b]) => (a < b ? -1 : 1))));
  onProgress?.(1);
  return { zip, judged };
}

/** Of all times that stand in the pack. */
function offsetsOf({ zone, filter }: PackCase, { rows, newest }: Judgement): PackCase["offsets"] {
  const clock = clockOf(zone);
  const times = function* () {
    yield newest;
    for (const when of [filter.from, filter.to, ...rows.map(({ columns }) => columns?.when)]) {
      const ms = instantOf(when, clock);
      if (ms !== undefined) yield ms;
    }
  };
  return offsetsAround(times(), clock);
}

function clockOf(zone: string): Clock {
  try {
    return zoneClock(zone);
  } catch (cause) {
    throw new PackError("malformed", "No time zone of that name is known here", { cause });
  }
}

type Files = Map<string, ZipFile>;

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

async function addTable(files: Files, lines: Iterable<string>, pace: Pace): Promise<void> {
  const table = startFile(TABLE);
  for (const line of lines) {
    table.write(encode(line));
    await pace.rest();
  }
  files.set(TABLE, table.end());
}

const NEWLINE = encode("\n");

async function addRows({ rows, case: { withheld } }: PackParts, files: Files, pace: Pace): Promise<void> {
  const [rowLines, lines, proofs] = [startFile(ROWS), startFile(LINES), startFile(PROOFS)];
  let n = 0;
  let line = 0;
  for (const part of rows) {
    n += 1;
    const { commitment, event, proof, noProof, header, disclosure } = part;
    const row: PackRow = { commitment };
    if (event !== undefined) {
      const isLine = event.bytes.length > 0 && !event.bytes.includes(0x0a);
      if (isLine) {
        line += 1;
        lines.write(event.bytes);
        lines.write(NEWLINE);
        row.event = LINES;
        row.line = line;
      } else {
        row.event = `events/${n}.${extensionOf(event.mediaType)}`;
        files.set(row.event, zipFile(row.event, event.bytes));
      }
      if (header !== undefined) row.header = header;
    } else if (withheld === undefined && proof === undefined && noProof === undefined) {
      throw new PackError("malformed", `Row ${n} has neither an event nor a proof`);
    }
    if (disclosure !== undefined) row.disclosure = disclosure;
    if (proof === undefined) row.noProof = noProof ?? "unknown";
    else proofs.write(encode(`${proofLine.write({ commitment, proof: proofOf(part, proof) })}\n`));
    rowLines.write(encode(`${rowLine.write(row)}\n`));
    await pace.rest();
  }
  files.set(ROWS, rowLines.end());
  files.set(PROOFS, proofs.end());
  if (line > 0) files.set(LINES, lines.end());
}

/**
 * With the opening of an event that is in the pack; without the one of an event that is not: it would tell the event to
 * whoever can guess it.
 */
function proofOf({ event }: RowPart, proof: string): string {
  const file = readProof(proof);
  if (file === undefined) {
    if (event !== undefined) return proof; // it is packed, and the report says that it cannot be read
    throw new PackError("malformed", "A proof whose event is not in the pack cannot be read: fetch it again");
  }
  const { opening: own, ...extra } = file.extra;
  if (event === undefined) return own === undefined ? proof : formatProofFile({ ...file, extra });
  if (event.opening === undefined || own !== undefined) return proof;
  return formatProofFile({ ...file, extra: { ...extra, opening: event.opening } });
}

function readProof(proof: string): ProofFile | undefined {
  try {
    return parseProofFile(proof);
  } catch (error) {
    if (error instanceof TlogError || error instanceof EventError) return undefined;
    throw error;
  }
}

function addManifests({ manifests = [] }: PackParts, files: Files): void {
  const [events, proofs] = [startFile(MANIFESTS), startFile(MANIFEST_PROOFS)];
  let count = 0;
  for (const { commitment, bytes, proof } of manifests) {
    count += 1;
    events.write(bytes);
    events.write(NEWLINE);
    proofs.write(encode(`${proofLine.write({ commitment, proof })}\n`));
  }
  if (count === 0) return;
  files.set(MANIFESTS, events.end());
  files.set(MANIFEST_PROOFS, proofs.end());
}

const EXTENSIONS: readonly (readonly [RegExp, string])[] = [
  [/json$/, "json"],
  [/xml$/, "xml"],
  [/csv$/, "csv"],
  [/^text\//, "txt"],
];

const extensionOf = (mediaType: string): string =>
  EXTENSIONS.find(([pattern]) => pattern.test(mediaType))?.[1] ?? "bin";
