/**
 * What holds of a pack: of each row, of each file, of the whole. What follows from other parts of it is made anew and
 * compared, so that a change shows though the lists of hashes were changed with it.
 *
 * Trusted: the keys that are given. Keys that came with the pack are used where none are, and it is said. Hostile: all else.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { type Keys, policyText } from "../proof/keys.ts";
import { worstVerdict } from "../proof/verdict.ts";
import { openVerifier, type VerifyClaim, type VerifyTrust } from "../proof/verify.ts";
import { type TimestampTrust, timestampVerifier } from "../time/timestamps.ts";
import { VERSION } from "../version.ts";
import { csvLines, PACK_STRINGS } from "./csv.ts";
import { PackError } from "./error.ts";
import { rowFilter } from "./filter.ts";
import { formatGaps, readStatement } from "./gaps.ts";
import { type Pace, paced, startPace } from "./pace.ts";
import {
  type FileFinding,
  isWithheld,
  type JudgedPack,
  type JudgedRow,
  type MakerStatement,
  type Pack,
  type PackCase,
  type PackFiles,
  type RowCounts,
} from "./pack.ts";
import {
  ALL_SUMS,
  CASE,
  EVIDENCE_SUMS,
  formatSums,
  GAPS,
  isAuthority,
  isCheckpoint,
  isEvent,
  LINES,
  MANIFEST_PROOFS,
  MANIFESTS,
  orChanged,
  PAGE,
  POLICY,
  PROOFS,
  README,
  REPORT,
  ROWS,
  readSums,
  TABLE,
  textOf,
} from "./read.ts";
import { type Judgement, judgeRows, type Verify } from "./rows.ts";
import { type Clock, instantOf, statedClock, zoneClock } from "./time.ts";

export type JudgeOptions = {
  /** Keys from elsewhere than the pack. Absent: those that came with it. */
  keys?: Keys;
  /**
   * Whose timestamps count. Absent: where keys are given nobody's, else those of the authorities whose certificates came with
   * the pack. An authority of the maker's own would date back what the keys prove.
   */
  timestamps?: TimestampTrust;
  /** What each proof must show. */
  demands?: Pick<VerifyTrust, "require" | "requireAllKeys" | "requireTimestamp">;
  /** Makes the report of a pack that this version has made. Absent: the report is not made anew. */
  makeReport?: (judged: JudgedPack) => Promise<Uint8Array>;
  /** The verifier page of this version: whether the one in the pack is the same. */
  page?: Uint8Array;
  /** Told the share that is done, from 0 to 1. */
  onProgress?: (share: number) => void;
  signal?: AbortSignal;
};

/** Never throws for what proofs and events hold. Throws PackError for a part that cannot be read. */
export async function judgePack(pack: Pack, options: JudgeOptions = {}): Promise<JudgedPack> {
  return await judge(pack, options).catch(async (error: unknown) => {
    throw error instanceof PackError ? await orChanged(error, pack.files) : error;
  });
}

async function judge(pack: Pack, options: JudgeOptions): Promise<JudgedPack> {
  const pace = startPace(options.signal);
  const given = hasOwnTrust(options);
  const passes = given ? 2 : 1;
  const progressOf = (pass: number) => (done: number) =>
    options.onProgress?.((0.9 * (pass + done / Math.max(1, pack.rows.length))) / passes);
  // What the pack was made with: its own keys, and nothing demanded.
  const own = await judgeRows(pack, verifierOf(pack.keys, ownTimestamps(pack)), {
    pace,
    rows: progressOf(0),
  });
  const asked = given
    ? await judgeRows(
        pack,
        verifierOf(options.keys ?? pack.keys, timestampsOf(pack, options), options.demands),
        { pace, rows: progressOf(1) },
      )
    : own;
  const hashes = await hashFiles(pack.files, pace);
  const maker = readMaker(pack);
  const made = new Findings(pack, hashes);
  for (const [file, is] of own.strays) made.add(file, is);
  await checkLists(pack, hashes, made, pace);
  checkLayout(pack, own, made);
  for (const [file, hash] of own.checkpoints) made.compare(file, hash);
  const said = await saidOf(pack, own, maker, pace);
  checkCase(pack, { own, maker, asOf: said[CASE] }, made);
  const outsideFilter = await paced(leftOut(pack.case, asked.rows), pace);
  if (outsideFilter.length > 0) made.addMade(CASE);
  made.compareMade(GAPS, said[GAPS]);
  made.compareMade(TABLE, said[TABLE]);
  const judged: JudgedPack = {
    ...conclude(pack, own, { maker, evidence: hashes.get(EVIDENCE_SUMS) ?? "" }),
    notMadeAnew: [],
  };
  const notMadeAnew = await compareOwn(judged, options, made);
  const isByOthers = options.keys !== undefined || options.timestamps !== undefined;
  const byOwnKeys = isByOthers ? otherwise(said, await saidOf(pack, asked, maker, pace)) : [];
  options.onProgress?.(1);
  const files = made.all;
  const whole = asked === own ? judged : conclude(pack, asked, { maker, evidence: judged.evidence });
  return {
    ...whole,
    verdict: worstVerdict([
      ...(asked.rows.length === 0 ? [] : [whole.verdict]),
      ...files.map(({ is }) => (is === "other_version" ? ("untold" as const) : ("changed" as const))),
    ]),
    files,
    notMadeAnew,
    byOwnKeys: byOwnKeys.filter((file) => !made.has(file)),
    outsideFilter,
    otherLocalTimes: await paced(countOtherTimes(pack.case, asked.rows), pace),
    keys: options.keys === undefined ? "pack" : "given",
    authorities: authoritiesOf(pack, options),
    policy: options.keys === undefined ? pack.policy : policyText(options.keys),
  };
}

/** What files say that follow from a judgement: the date of the case, and the SHA-256 of the others. */
type Said = Record<typeof CASE | typeof GAPS | typeof TABLE, string>;

async function saidOf(
  pack: Pack,
  { newest, sources, rows }: Judgement,
  maker: MakerStatement | undefined,
  pace: Pace,
): Promise<Said> {
  return {
    [CASE]: new Date(newest).toISOString(),
    [GAPS]: hashText(formatGaps(sources, maker?.sources)),
    [TABLE]: await hashCsv(pack, rows, pace),
  };
}

/** What a pack of the same rows would say otherwise if it were made with the keys that are asked about. */
function otherwise(own: Said, asked: Said): string[] {
  const files = ([CASE, GAPS, TABLE] as const).filter((file) => own[file] !== asked[file]);
  return files.length === 0 ? [] : [...files, REPORT];
}

const hasOwnTrust = ({ keys, timestamps, demands = {} }: JudgeOptions): boolean =>
  keys !== undefined || timestamps !== undefined || Object.values(demands).some((demand) => demand);

/** By the authorities whose certificates came with the pack. */
export const ownTimestamps = ({ authorities }: Pick<Pack, "authorities">): TimestampTrust | undefined =>
  authorities.length === 0 ? undefined : { tsaCerts: authorities, bitcoinBlocks: [] };

const timestampsOf = (pack: Pack, { keys, timestamps }: JudgeOptions): TimestampTrust | undefined =>
  timestamps ?? (keys === undefined ? ownTimestamps(pack) : undefined);

function authoritiesOf(pack: Pack, options: JudgeOptions): JudgedPack["authorities"] {
  if (options.timestamps !== undefined) return "given";
  return timestampsOf(pack, options) === undefined ? "none" : "pack";
}

export function verifierOf(
  keys: Keys,
  timestamps: TimestampTrust | undefined,
  demands: JudgeOptions["demands"] = {},
): Verify {
  const verify = openVerifier({ ...keys, ...demands });
  if (timestamps === undefined) return async (claim: VerifyClaim) => verify(claim);
  return timestampVerifier(timestamps, verify);
}

/** What a judgement makes of a pack whose files are all as they were made. */
export function conclude(
  pack: Pick<Pack, "case" | "authorities" | "policy">,
  { rows, sources, isSelection, shown, checkpoints }: Judgement,
  { maker, evidence }: { maker: MakerStatement | undefined; evidence: string },
): JudgedPack {
  return {
    verdict: worstVerdict(rows.map(({ verdict }) => verdict)),
    case: pack.case,
    rows,
    counts: countRows(pack, rows),
    files: [],
    notMadeAnew: [],
    byOwnKeys: [],
    outsideFilter: [],
    otherLocalTimes: 0,
    sources,
    isSelection,
    ...(maker && { maker }),
    keys: "pack",
    authorities: pack.authorities.length > 0 ? "pack" : "none",
    policy: pack.policy,
    checkpoints: shown,
    checkpointCount: checkpoints.size,
    evidence,
  };
}

function countRows(pack: Pick<Pack, "case">, rows: readonly JudgedRow[]): RowCounts {
  const counts = { total: rows.length, unchanged: 0, changed: 0, untold: 0, withheld: 0 };
  for (const row of rows) {
    counts[row.verdict === "unchanged" && isWithheld(pack, row) ? "withheld" : row.verdict] += 1;
  }
  return counts;
}

// ---- files --------------------------------------------------------------------------------------------------------

/** One for each file, the first that is found. */
class Findings {
  readonly #found = new Map<string, FileFinding["is"]>();
  readonly #hashes: ReadonlyMap<string, string>;
  readonly #isOwnVersion: boolean;

  constructor({ case: { software } }: Pack, hashes: ReadonlyMap<string, string>) {
    this.#hashes = hashes;
    this.#isOwnVersion = software === VERSION;
  }

  add(file: string, is: FileFinding["is"]): void {
    if (!this.#found.has(file)) this.#found.set(file, is);
  }

  has(file: string): boolean {
    return this.#found.has(file);
  }

  is(file: string, hash: string): boolean {
    return this.#hashes.get(file) === hash;
  }

  /** @param hash of what the file is by the rest of the pack */
  compare(file: string, hash: string): void {
    const own = this.#hashes.get(file);
    if (own === undefined) this.add(file, "missing");
    else if (own !== hash) this.add(file, "differs");
  }

  /** The same of what another version may make otherwise. */
  compareMade(file: string, hash: string): void {
    const own = this.#hashes.get(file);
    if (own === undefined || own === hash) this.compare(file, hash);
    else this.addMade(file);
  }

  /** A file is not what this version would have made it. */
  addMade(file: string): void {
    this.add(file, this.#isOwnVersion ? "differs" : "other_version");
  }

  get all(): FileFinding[] {
    return [...this.#found].map(([file, is]) => ({ file, is })).sort((a, b) => (a.file < b.file ? -1 : 1));
  }
}

/** SHA-256 of each, lower-case hex, by path. */
export async function hashFiles(files: PackFiles, pace: Pace): Promise<Map<string, string>> {
  const hashes = new Map<string, string>();
  for (const [name, file] of files) {
    const hash = sha256.create();
    for (const chunk of file.chunks()) {
      hash.update(chunk);
      await pace.rest();
    }
    hashes.set(name, bytesToHex(hash.digest()));
  }
  return hashes;
}

const hashText = (text: string): string => bytesToHex(sha256(new TextEncoder().encode(text)));

async function hashCsv(pack: Pick<Pack, "case">, rows: readonly JudgedRow[], pace: Pace): Promise<string> {
  const hash = sha256.create();
  const encoder = new TextEncoder();
  for (const line of csvLines({ case: pack.case, rows })) {
    hash.update(encoder.encode(line));
    await pace.rest();
  }
  return bytesToHex(hash.digest());
}

const inEvidence = (file: string): boolean => ![REPORT, EVIDENCE_SUMS, ALL_SUMS].includes(file);
const inAll = (file: string): boolean => file !== ALL_SUMS;

async function checkLists(
  { files }: Pack,
  hashes: ReadonlyMap<string, string>,
  found: Findings,
  pace: Pace,
): Promise<void> {
  for (const [list, covers] of [
    [ALL_SUMS, inAll],
    [EVIDENCE_SUMS, inEvidence],
  ] as const) {
    if (!hashes.has(list)) {
      found.add(list, "missing");
      continue;
    }
    let listed: Map<string, string>;
    try {
      listed = await paced(readSums(files, list), pace);
    } catch (error) {
      if (!(error instanceof PackError)) throw error;
      found.add(list, "changed");
      continue;
    }
    for (const [file, hash] of listed) {
      const own = hashes.get(file);
      if (!covers(file)) found.add(list, "changed");
      else if (own === undefined) found.add(file, "missing");
      else if (own !== hash) found.add(file, "changed");
      await pace.rest();
    }
    for (const file of hashes.keys()) {
      if (covers(file) && !listed.has(file)) found.add(file, "unlisted");
      await pace.rest();
    }
  }
}

const ALWAYS = [CASE, ROWS, PROOFS, POLICY, GAPS, TABLE, README, PAGE, REPORT, EVIDENCE_SUMS, ALL_SUMS];
const SOMETIMES = [LINES, MANIFESTS, MANIFEST_PROOFS];

/** Files that no part of a pack is, or that nothing names. */
function checkLayout({ files, rows }: Pack, { checkpoints }: Judgement, found: Findings): void {
  const named = new Set(rows.map(({ event }) => event));
  const isKnown = (file: string): boolean =>
    ALWAYS.includes(file) ||
    SOMETIMES.includes(file) ||
    isAuthority(file) ||
    (isEvent(file) && named.has(file)) ||
    (isCheckpoint(file) && checkpoints.has(file));
  for (const file of files.keys()) if (!isKnown(file)) found.add(file, "unlisted");
  if (files.has(LINES) && !named.has(LINES)) found.add(LINES, "unlisted");
  for (const file of ALWAYS) if (!files.has(file)) found.add(file, "missing");
}

function readMaker({ files }: Pack): MakerStatement | undefined {
  return files.has(GAPS) ? readStatement(textOf(files, GAPS), GAPS) : undefined;
}

/** What stands in `case.json` and in the maker's statement, and follows from the rows or contradicts them. */
function checkCase(
  pack: Pack,
  { own, maker, asOf }: { own: Judgement; maker: MakerStatement | undefined; asOf: string },
  found: Findings,
): void {
  const { lookedThrough, headers } = pack.case;
  const rows = pack.rows.length;
  if (pack.case.asOf !== asOf) found.addMade(CASE);
  if (lookedThrough < rows) found.add(CASE, "differs");
  if (pack.rows.some(({ header = 0 }) => header >= Math.max(1, headers.length))) found.add(ROWS, "differs");
  if (maker === undefined) return;
  if (!own.isSelection || contradicts(maker, own)) found.add(GAPS, "differs");
}

/** The maker says that a number is missing which is in the pack, or counts an hour otherwise than its manifest in the pack. */
function contradicts({ sources }: MakerStatement, own: Judgement): boolean {
  const stated = new Map(sources.map((source) => [source.source, source]));
  for (const { source, periods } of own.sources) {
    if (periods.length === 0) continue;
    const counted = new Map(
      stated.get(source)?.periods.map((period) => [`${period.from} ${period.to}`, period]),
    );
    for (const { from, to, count, numbers, verdict } of periods) {
      const other = counted.get(`${from} ${to}`);
      const same =
        other?.count === count &&
        other.numbers?.first === numbers?.first &&
        other.numbers?.last === numbers?.last &&
        (verdict === "untold" || other.verdict === verdict);
      if (!same) return true;
    }
  }
  const numbers = numbersOf(own.rows);
  return sources.some(({ source, findings }) => {
    const known = numbers.get(source) ?? [];
    return findings.some(
      ({ finding, first, last }) =>
        finding === "sequence_missing" &&
        first !== undefined &&
        last !== undefined &&
        isAnyWithin(known, BigInt(first), BigInt(last)),
    );
  });
}

/** The numbers of the proven rows, by source, in their order. */
function numbersOf(rows: readonly JudgedRow[]): Map<string, bigint[]> {
  const numbers = new Map<string, bigint[]>();
  for (const { report } of rows) {
    const { source, sequence } = report?.opening ?? {};
    if (!report?.proven || source === undefined || sequence === undefined) continue;
    const ofSource = numbers.get(source) ?? [];
    numbers.set(source, ofSource);
    ofSource.push(BigInt(sequence));
  }
  for (const ofSource of numbers.values()) ofSource.sort((a, b) => (a < b ? -1 : 1));
  return numbers;
}

function isAnyWithin(sorted: readonly bigint[], first: bigint, last: bigint): boolean {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? 0n) < first) low = middle + 1;
    else high = middle;
  }
  const next = sorted[low];
  return next !== undefined && next <= last;
}

/** Numbers of the rows that are proven, and that the case did not look for; in steps. Throws PackError. */
export function* leftOut(about: PackCase, rows: readonly JudgedRow[]): Generator<undefined, number[]> {
  const { filter, offsets, withheld } = about;
  const { user, patient: _, list: __, ...unnamed } = filter;
  // A word stands for these where patients are left out, and for the user whose surname is one's.
  const named = user !== undefined && !filter.sameSurname ? { ...unnamed, user } : unnamed;
  const isIn = rowFilter(withheld === undefined ? filter : named, statedClock(offsets));
  const found: number[] = [];
  for (const [i, { verdict, columns, header }] of rows.entries()) {
    yield;
    if (verdict !== "unchanged" || columns === undefined || Object.keys(columns).length === 0) continue;
    if (!isIn({ columns, header })) found.push(i + 1);
  }
  return found;
}

/** Of how many rows the platform has another local time than the pack; in steps. */
function* countOtherTimes(
  { zone, offsets }: PackCase,
  rows: readonly JudgedRow[],
): Generator<undefined, JudgedPack["otherLocalTimes"]> {
  const stated = statedClock(offsets);
  let own: Clock;
  try {
    own = zoneClock(zone);
  } catch {
    return "zone not known";
  }
  let count = 0;
  for (const { columns } of rows) {
    yield;
    const ms = instantOf(columns?.when, stated);
    if (ms !== undefined && own(ms) !== stated(ms)) count += 1;
  }
  return count;
}

/** What the same version makes the same: words, the page, the report. The names of those that cannot be compared. */
async function compareOwn(judged: JudgedPack, options: JudgeOptions, found: Findings): Promise<string[]> {
  const { software, language } = judged.case;
  if (software !== VERSION) return [README, PAGE, REPORT];
  found.compare(README, hashText(PACK_STRINGS[language].readme(software)));
  // A page that is none of ours accuses nobody: it is no evidence, and may be of who builds this software alone.
  const isOurs = options.page !== undefined && found.is(PAGE, bytesToHex(sha256(options.page)));
  const left = isOurs ? [] : [PAGE];
  // A report of rows or files that were changed is another anyway.
  if (options.makeReport === undefined) left.push(REPORT);
  else if (!found.has(REPORT)) found.compare(REPORT, bytesToHex(sha256(await options.makeReport(judged))));
  return left;
}

export const sumsOf = (
  hashes: ReadonlyMap<string, string>,
  list: typeof ALL_SUMS | typeof EVIDENCE_SUMS,
): string =>
  formatSums(new Map([...hashes].filter(([file]) => (list === ALL_SUMS ? inAll : inEvidence)(file))));
