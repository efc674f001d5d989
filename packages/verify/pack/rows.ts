/**
 * The rows of a pack held against keys, one after another, and what follows from them: sources, signed tree heads, the time of
 * the newest proof. Used when a pack is made, and whenever it is judged: so both come to the same.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import type { AuditFinding } from "../audit/audit.ts";
import {
  addNumbered,
  type GivenManifest,
  judgeSource,
  type NumberedEvents,
  noNumbered,
  type SourceCompleteness,
} from "../audit/completeness.ts";
import { EventError } from "../events/error.ts";
import type { Columns } from "../events/formats/columns.ts";
import { readColumns } from "../events/formats/formats.ts";
import { GAP_MEDIA_TYPE, parseGap } from "../events/gap.ts";
import { MANIFEST_MEDIA_TYPE, manifestSource, parseManifest } from "../events/manifest.ts";
import { anchoringsOf, type ProofFile, parseProofFile, readExtraLine } from "../proof/extra.ts";
import { kept } from "../proof/kept.ts";
import { type RecordVerdict, verdictOf } from "../proof/verdict.ts";
import type { VerifyClaim, VerifyReport } from "../proof/verify.ts";
import { utf8Encode } from "../tlog/bytes.ts";
import { parseCheckpoint } from "../tlog/checkpoint.ts";
import { parseProof } from "../tlog/proof.ts";
import type { Pace } from "./pace.ts";
import { type JudgedRow, MAX_CHECKPOINTS, type Pack, type PackRow } from "./pack.ts";
import { entriesOf, LINES, MANIFESTS, manifestsOf, ROWS } from "./read.ts";
import { hasOffset, instantOf, UTC } from "./time.ts";

/** A signed tree head: its path in the pack, and the SHA-256 of its text in hex. */
export type NamedCheckpoint = { file: string; hash: string; text: string };

export type Judgement = {
  rows: JudgedRow[];
  sources: SourceCompleteness[];
  /** SHA-256 by path. */
  checkpoints: Map<string, string>;
  /** The first of them, as text. */
  shown: { file: string; text: string }[];
  /** Ms: the newest time that any proof shows, or else that any event states. */
  newest: number;
  /** Whether there is more than the pack shows the numbers of: by those a missing one is not told. */
  isSelection: boolean;
  /** Files that rows name and that are not there, or not as the rows have them. */
  strays: Map<string, "missing" | "differs">;
};

export type Verify = (claim: VerifyClaim) => Promise<VerifyReport>;

/**
 * Throws PackError for what cannot be read.
 *
 * @param verify under the keys that are asked about
 */
export async function judgeRows(
  pack: Pack,
  verify: Verify,
  on: { pace: Pace; rows?: (done: number) => void; checkpoint?: (one: NamedCheckpoint) => void },
): Promise<Judgement> {
  const strays = new Map<string, "missing" | "differs">();
  const onStray = (file: string, is: "missing" | "differs") => {
    if (!strays.has(file)) strays.set(file, is);
  };
  const heads = checkpointCollector(on.checkpoint);
  const numbering = new Numbering();
  const rows: JudgedRow[] = [];
  let newest: number | undefined;
  let newestStated: number | undefined;
  for (const entry of entriesOf(pack, onStray)) {
    await on.pace.rest();
    if (entry === undefined) continue;
    const { row, event, proof } = entry;
    const report = proof === undefined ? undefined : await verifyOne(verify, heads, { row, event, proof });
    if (report?.proven && report.commitment !== row.commitment) onStray(ROWS, "differs");
    const columns = event && columnsOf(pack, row, event, report);
    rows.push({
      ...row,
      verdict: rowVerdict(pack, row, event, report),
      ...(report && { report }),
      ...(columns && { columns }),
    });
    numbering.add(row, event, report);
    newest = latest(newest, report);
    newestStated = later(newestStated, statedBy(columns));
    on.rows?.(rows.length);
  }
  for (const { row, event, proof } of manifestsOf(pack, onStray)) {
    await on.pace.rest();
    if (event === undefined || proof === undefined) continue;
    const report = await verifyOne(verify, heads, { row, event, proof });
    // None is packed that its proof does not show: it would count for nothing, and be missed by nobody.
    if (!report.proven || report.commitment !== row.commitment) onStray(MANIFESTS, "differs");
    numbering.addManifest(row, event, report);
    newest = latest(newest, report);
  }
  // A row that is withheld, or has no proof, has a number that is not known.
  const isSelection =
    pack.rows.length < pack.case.lookedThrough ||
    rows.some(({ event, report }) => event === undefined || report === undefined);
  return {
    rows,
    isSelection,
    sources: numbering.judge(isSelection),
    checkpoints: heads.checkpoints,
    shown: heads.shown,
    newest: newest ?? newestStated ?? 0,
    strays,
  };
}

type Given = { row: PackRow; event: Uint8Array | undefined; proof: string };

async function verifyOne(
  verify: Verify,
  heads: ReturnType<typeof checkpointCollector>,
  { row, event, proof }: Given,
): Promise<VerifyReport> {
  const file = heads.read(proof) ?? proof;
  if (event !== undefined) return await verify({ event, proof: file });
  return await verify({ commitment: hexToBytes(row.commitment), proof: file });
}

function rowVerdict(
  { case: { withheld } }: Pack,
  row: PackRow,
  event: Uint8Array | undefined,
  report: VerifyReport | undefined,
): RecordVerdict {
  const verdict = verdictOf(report, row.commitment);
  // The proof of an event that is not there, though it is not withheld, says nothing of the event.
  const isGone = event === undefined && (row.event !== undefined || withheld === undefined);
  return verdict === "unchanged" && isGone ? "untold" : verdict;
}

/** What the event says, whether or not it is proven: an altered one too has to be read. */
function columnsOf(
  { case: { headers } }: Pack,
  row: PackRow,
  event: Uint8Array,
  report: VerifyReport | undefined,
): Columns | undefined {
  const header = row.header === undefined ? undefined : headers[row.header];
  try {
    return readColumns(event, report?.opening?.mediaType ?? mediaTypeOf(row), header);
  } catch (error) {
    if (error instanceof EventError) return undefined;
    throw error;
  }
}

/** Of an event that its opening does not open: by what it looks like, but a row of a table has a header. */
const mediaTypeOf = ({ event, header }: PackRow): string =>
  header !== undefined ? "text/csv" : event === LINES ? "application/json" : "";

function latest(before: number | undefined, report: VerifyReport | undefined): number | undefined {
  const times = [...(report?.times ?? []), ...(report?.others ?? []).flatMap((other) => other.times)];
  return times.reduce<number | undefined>((newest, { at }) => later(newest, Date.parse(at)), before);
}

/** Of an event that says its offset. Read as tables read it: engines differ in what `Date.parse` takes for a time. */
const statedBy = ({ when = "" }: Columns = {}): number | undefined =>
  hasOffset(when) ? instantOf(when, UTC) : undefined;

function later(before: number | undefined, ms: number | undefined): number | undefined {
  if (ms === undefined || Number.isNaN(ms)) return before;
  return before === undefined || ms > before ? ms : before;
}

// ---- signed tree heads --------------------------------------------------------------------------------------------

/** Reads proofs, each signed tree head in them once, and names these. */
function checkpointCollector(onCheckpoint: ((one: NamedCheckpoint) => void) | undefined) {
  const checkpoints = new Map<string, string>();
  const shown: { file: string; text: string }[] = [];
  const parse = kept(parseCheckpoint);
  const extraLine = kept(readExtraLine);
  const noteOf = kept((anchor) => parseProof(anchor, parse).checkpoint);
  const note = (kind: "log" | "anchor") =>
    kept((text) => {
      const hash = bytesToHex(sha256(utf8Encode(text, "The checkpoint")));
      const file = `checkpoints/${kind}-${parse(text).checkpoint.size}-${hash.slice(0, 16)}.txt`;
      if (checkpoints.has(file)) return;
      checkpoints.set(file, hash);
      if (shown.length < MAX_CHECKPOINTS) shown.push({ file, text });
      onCheckpoint?.({ file, hash, text });
    });
  const noteLog = note("log");
  const noteAnchor = note("anchor");
  return {
    checkpoints,
    shown,
    /** Undefined of what is no proof: it is the verifier's to say why. */
    read(proof: string): ProofFile | undefined {
      try {
        const file = parseProofFile(proof, parse, extraLine);
        noteLog(file.proof.checkpoint);
        for (const { anchor } of anchoringsOf(file.extra)) noteAnchor(noteOf(anchor));
        return file;
      } catch {
        return undefined;
      }
    },
  };
}

// ---- sources ------------------------------------------------------------------------------------------------------

/** The numbers that events of the pack have, and the manifests that count them: of what is proven alone. */
class Numbering {
  readonly #events = new Map<string, NumberedEvents>();
  readonly #manifests = new Map<string, GivenManifest[]>();
  readonly #findings = new Map<string, AuditFinding[]>();

  add(row: PackRow, event: Uint8Array | undefined, report: VerifyReport | undefined): void {
    const { source, sequence, mediaType } = report?.opening ?? {};
    if (!report?.proven || source === undefined || sequence === undefined) return;
    if (mediaType === MANIFEST_MEDIA_TYPE && event !== undefined) {
      this.addManifest(row, event, report);
      return;
    }
    const events = this.#events.get(source) ?? noNumbered();
    this.#events.set(source, events);
    addNumbered(events, BigInt(sequence), row.commitment);
    if (mediaType === GAP_MEDIA_TYPE && event !== undefined) {
      this.#find(source, { finding: "gap_seen", source, first: sequence, last: sequence, ...gapOf(event) });
    }
  }

  /** One that is not proven is none. */
  addManifest({ commitment }: PackRow, event: Uint8Array, report: VerifyReport): void {
    const { source, sequence } = report.opening ?? {};
    if (!report.proven || report.log === undefined || report.commitment !== commitment) return;
    if (source === undefined || sequence === undefined) return;
    try {
      const manifest = parseManifest(event);
      if (source !== manifestSource(manifest.source)) return;
      const manifests = this.#manifests.get(manifest.source) ?? [];
      this.#manifests.set(manifest.source, manifests);
      manifests.push({
        manifest,
        number: BigInt(sequence),
        commitment: hexToBytes(commitment),
        index: BigInt(report.log.index),
      });
    } catch (error) {
      if (!(error instanceof EventError)) throw error;
      const own = source.replace(manifestSource(""), "");
      this.#find(own, {
        finding: "manifest_malformed",
        source: own,
        entry: commitment,
        detail: { cause: error },
      });
    }
  }

  #find(source: string, finding: AuditFinding): void {
    const findings = this.#findings.get(source) ?? [];
    this.#findings.set(source, findings);
    findings.push(finding);
  }

  /**
   * In the order of their names. That an event is not in a selection is no finding: only where all events of a period are
   * there, it is told of the period.
   */
  judge(isSelection: boolean): SourceCompleteness[] {
    const names = new Set([...this.#events.keys(), ...this.#manifests.keys(), ...this.#findings.keys()]);
    return [...names].sort().map((source) => {
      const manifests = this.#manifests.get(source);
      const judged = judgeSource(source, manifests ?? [], this.#events.get(source));
      const others = this.#findings.get(source) ?? [];
      const none: AuditFinding[] = manifests === undefined ? [{ finding: "no_manifest", source }] : [];
      const findings = [...judged.findings, ...others, ...none];
      if (!isSelection) return { ...judged, findings };
      return {
        source,
        periods: judged.periods.map((period) =>
          period.verdict === "incomplete" && !hasOther(judged, period)
            ? { ...period, verdict: "untold" }
            : period,
        ),
        findings: findings.filter(({ finding }) => finding !== "sequence_missing"),
      };
    });
  }
}

/** All numbers of the period are there, and one of them stands for another event. */
const hasOther = ({ findings }: SourceCompleteness, { from }: { from: number }): boolean =>
  findings.some(
    (one) => one.finding === "manifest_root" && one.from !== undefined && Date.parse(one.from) === from,
  );

function gapOf(event: Uint8Array): Pick<AuditFinding, "detail"> {
  try {
    return { detail: { gap: parseGap(event) } };
  } catch (error) {
    if (error instanceof EventError) return {};
    throw error;
  }
}
