/**
 * The offline verifier: from an event and its proof file to what they prove under pinned keys. Pure; no I/O.
 *
 * It returns facts: codes, places, times, and whose they are. words.ts says them to people.
 * Trusted: the pinned keys and the policy. Hostile: the event, the proof and everything in it.
 */
import { bytesToHex } from "@noble/hashes/utils.js";
import type { TimestampError } from "../error.ts";
import { type Opening, openCommitment } from "../events/commitment.ts";
import { EventError, type EventErrorCode } from "../events/error.ts";
import { type StatedTime, statedTime } from "../events/stated.ts";
import { encodeBase64 } from "../tlog/bytes.ts";
import {
  type ParsedCheckpoint,
  parseCheckpoint,
  type VerifiedSignature,
  verifyCheckpoint,
} from "../tlog/checkpoint.ts";
import { TlogError, type TlogErrorCode } from "../tlog/error.ts";
import { inclusionVerifier, leafHash } from "../tlog/merkle.ts";
import type { Vkey } from "../tlog/note.ts";
import { type Policy, verifyPolicy } from "../tlog/policy.ts";
import { parseProof, type TlogProof } from "../tlog/proof.ts";
import { type Conversion, eventsBefore, proofBefore } from "./conversions.ts";
import { anchoringsOf, type Extra, type ProofFile, parseProofFile, readExtraLine } from "./extra.ts";
import { kept } from "./kept.ts";

/** What a proof can show, lowest first. Each holds all before it: what is timestamped is witnessed too. */
export const ASSURANCES = ["sealed", "anchored", "witnessed", "timestamped"] as const;
export type Assurance = (typeof ASSURANCES)[number];

/** An assurance in other words, as another version of the service may have, is below all. */
export const isAtLeast = (assurance: string, wanted: Assurance): boolean => {
  const ranks: readonly string[] = ASSURANCES;
  return ranks.indexOf(assurance) >= ranks.indexOf(wanted);
};

/** What proofs are held against. */
export type VerifyTrust = {
  /** Pinned keys of the tenant's logs, those of before a rotation too; a key's name is the origin of its log. */
  readonly logVkeys: readonly Vkey[];
  /** The same of the anchor log. Without any, what the proof says of the anchor log is not checked. */
  readonly anchorVkeys: readonly Vkey[];
  /** Which witnesses must have cosigned the anchor log. */
  readonly policy?: Policy;
  /** Less than this is not proven. */
  readonly require?: Assurance;
  /**
   * Whether the log and the anchor log must each have signed with every kind of key that is pinned for it. Keys of one
   * kind are one key over time: any of them will do.
   */
  readonly requireAllKeys?: boolean;
  /** Whether a timestamp from outside must hold, whatever the assurance is. */
  readonly requireTimestamp?: boolean;
};

/** A proof, and what it is to prove. */
export type VerifyClaim = {
  /** The `.tlog-proof` file, or what `parseProofFile` read from it. */
  proof: string | Uint8Array | ProofFile;
  /** What `checkTimestamps` found, each for the anchor checkpoint that it is of. Absent: they are not checked. */
  timestamps?: readonly CheckedTimestamps[];
} & (
  | { commitment: Uint8Array }
  | {
      event: Uint8Array;
      /** Used rather than the one in the proof. */
      opening?: Opening;
      /** Used when neither `opening` nor the proof has one. */
      derivedOpening?: Opening;
      /** What `derivedOpening` would be for other bytes: to find out whether the event was only converted. */
      deriveOpening?: (event: Uint8Array) => Opening | undefined;
    }
);

export type VerifyInput = VerifyTrust & VerifyClaim;

/** A timestamp that holds. */
export type ShownTimestamp =
  | {
      type: "rfc3161";
      /** The subject of the authority's certificate; text of others. */
      by: string;
      /** RFC 3339. */
      at: string;
      /** How far off the time may be, ms, if the authority says. */
      accuracy?: number;
      serial: string;
      policy: string;
    }
  | {
      type: "ots";
      /** The Bitcoin block. */
      height: number;
      /** RFC 3339, the block's own time, if its header was given. */
      at?: string;
    };

/** What was found of the timestamps of one anchor checkpoint. */
export type CheckedTimestamps = {
  /** The signed note that they are over. */
  readonly note: string;
  readonly shown: readonly ShownTimestamp[];
  readonly refused: readonly TimestampError[];
};

/** Where an entry stands. `index` and `treeSize` are decimal, `root` is base64, as in a checkpoint. */
export type Place = { origin: string; index: string; treeSize: string; root: string };

/**
 * A time, in RFC 3339, that the key named `by` signed for the anchor log's checkpoint or the tenant log's, or that an
 * authority or a block of the Bitcoin chain, `by` its height, shows for the anchor log's.
 */
export type SignedTime = { at: string; by: string; kind: "operator" | "witness" | "authority" | "block" };

/**
 * What was not shown. `not_anchored`, `anchor_not_checked`, `no_policy`, `no_witness_required` and `quorum_not_met` say
 * why the assurance is no higher; the three of timestamps why no time from outside is shown.
 */
export type Caveat =
  | { code: "no_event" }
  | { code: "not_anchored" }
  | { code: "anchor_not_checked" }
  | { code: "no_policy" }
  | { code: "no_witness_required" }
  | { code: "quorum_not_met"; cosigned: string[]; listed: number }
  /** That the policy's witnesses are others than the operator. `own`: those named under the domain of either log. */
  | { code: "whose_witnesses"; cosigned: string[]; own: string[] }
  | { code: "no_timestamp" }
  | { code: "timestamps_not_checked" }
  | { code: "timestamp_refused"; cause: TimestampError }
  | { code: "key_silent"; vkey: Vkey }
  | { code: "no_time" }
  | { code: "no_independent_time" }
  | { code: "bad_cosignature"; witness: string }
  /** Of a renewed proof: an anchoring that no pinned key signed, or that the policy's log keys did not. */
  | { code: "anchoring_not_checked"; cause: VerifyFailure }
  /** That what the event says is true, and that every event was posted: no inclusion proof shows either. */
  | { code: "truth_and_completeness" };

export type VerifyStep = "proof" | "opening" | "log" | "anchor" | "policy" | "requirement";

/** Where the opening is from that the event was opened with. */
export type OpeningFrom = "given" | "proof" | "derived";

export type VerifyFailure =
  /** Nothing was changed but what `conversions` undoes: of the event (`log`), or of the proof file (`proof`). */
  | { step: "log" | "proof"; code: "converted"; conversions: readonly Conversion[] }
  /** `opening`: of an event that is, as it was opened, not the entry of the log that the proof is of. */
  | {
      step: VerifyStep;
      code: TlogErrorCode | EventErrorCode;
      cause: TlogError | EventError;
      opening?: OpeningFrom;
    }
  /** The checkpoint is of a log that no key is pinned for; those that are pinned are of these logs. */
  | { step: "log" | "anchor"; code: "unknown_key"; origin: string; pinned: string[] }
  | { step: "opening"; code: "no_opening" }
  /** No log anchors itself. */
  | { step: "anchor"; code: "same_log" }
  /** A pinned key signed two trees of the anchor log of one size: it shows different parties different histories. */
  | { step: "anchor"; code: "two_histories"; origin: string; size: string }
  | { step: "requirement"; code: "too_low"; reached: Assurance; required: Assurance; why: Caveat[] }
  | { step: "requirement"; code: "missing_signature"; vkeys: Vkey[] }
  | { step: "requirement"; code: "no_timestamp"; why: Caveat[] };

/**
 * What a failure says of the event.
 *
 * - `refuted`: something was altered, or what was given does not belong together
 * - `converted`: the event or the proof was converted, and is what it should be once that is undone
 * - `insufficient`: the proof holds, and shows less than was required
 * - `untold`: nothing can be told: what it takes is missing, not known here, or cannot be read
 */
export type FailureKind = "refuted" | "converted" | "insufficient" | "untold";

export function kindOf({ step, code }: VerifyFailure): FailureKind {
  if (step === "requirement") return "insufficient";
  switch (code) {
    case "converted":
      return "converted";
    case "malformed":
    case "unsupported":
    case "unknown_key":
    case "no_opening":
    case "malformed_opening":
    case "malformed_field":
    case "unknown_media_type":
    case "unknown_canonicalisation":
      return "untold";
    default:
      return "refuted";
  }
}

/** What was proven. When `proven` is false nothing was, and `failure` says why. */
export type VerifyReport = {
  proven: boolean;
  assurance?: Assurance;
  /** Hex. Present once the event has been opened. */
  commitment?: string;
  /** What was committed to beside the event's bytes; absent when a commitment was given. */
  opening?: Omit<Opening, "v" | "nonce">;
  /** The time that the event gives itself. */
  stated?: StatedTime;
  log?: Place;
  anchor?: Place;
  /** The pinned keys that signed either checkpoint. */
  signers?: { log: Vkey[]; anchor: Vkey[] };
  /** The policy's witnesses that cosigned, by their names in it, of how many; present once they are its quorum. */
  witnesses?: { cosigned: string[]; listed: number };
  times: SignedTime[];
  /** Timestamps from outside that hold, of the anchor log's checkpoint. */
  timestamps?: ShownTimestamp[];
  /** Of a renewed proof: what else holds of it, beside the anchoring that all the above is of. Smallest tree first. */
  others?: AnchoringReport[];
  caveats: Caveat[];
  failure?: VerifyFailure;
};

/** What one anchoring of a renewed proof shows, as in `VerifyReport`. */
export type AnchoringReport = {
  assurance: Assurance;
  anchor: Place;
  /** The pinned keys that signed the anchor log's checkpoint. */
  signers: Vkey[];
  witnesses?: { cosigned: string[]; listed: number };
  times: SignedTime[];
  timestamps?: ShownTimestamp[];
};

/** Verifies one proof file. Never throws for what the event or the proof holds: see `failure`. */
export function verifyEvent(input: VerifyInput): VerifyReport {
  return openVerifier(input)(input);
}

/**
 * `verifyEvent` for many proofs under one trust: a checkpoint that they share is parsed, and its signatures are verified,
 * once. What is kept from proof to proof is bounded.
 */
export function openVerifier(trust: VerifyTrust): (claim: VerifyClaim) => VerifyReport {
  const notes = openNotes(trust);
  const report = (claim: VerifyClaim): VerifyReport => {
    try {
      return verify(trust, notes, claim);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return refused(error.failure);
    }
  };
  return (claim) => {
    const first = report(claim);
    const before = first.failure?.step === "proof" ? bytesBefore(claim.proof) : undefined;
    if (before === undefined) return first;
    const second = report({ ...claim, proof: before.bytes });
    if (second.proven) return refused({ step: "proof", code: "converted", conversions: before.conversions });
    return second.failure?.step === "proof" ? first : second;
  };
}

const refused = (failure: VerifyFailure): VerifyReport => ({
  proven: false,
  times: [],
  caveats: [],
  failure,
});

function bytesBefore(proof: VerifyClaim["proof"]) {
  if (proof instanceof Uint8Array) return proofBefore(proof);
  return typeof proof === "string" ? proofBefore(new TextEncoder().encode(proof)) : undefined;
}

/** A checkpoint that its log signed, and the check of what stands in its tree. */
type VerifiedTree = ParsedCheckpoint & {
  readonly verified: readonly VerifiedSignature[];
  readonly includes: ReturnType<typeof inclusionVerifier>;
};
type Witnesses = ReturnType<typeof verifyPolicy>;
/** An entry that was proven to stand in a signed tree. */
type ProvenEntry = { readonly proof: TlogProof; readonly tree: VerifiedTree };

/** Everything that is read from the text of a checkpoint under this trust, each once. */
type Notes = ReturnType<typeof openNotes>;
function openNotes({ logVkeys, anchorVkeys, policy }: VerifyTrust) {
  const parse = kept(parseCheckpoint);
  const tree = (step: "log" | "anchor", pinned: readonly Vkey[]) =>
    kept((note): VerifiedTree => {
      const parsed = parse(note);
      const { origin } = parsed.checkpoint;
      const vkeys = pinned.filter(({ name }) => name === origin);
      if (vkeys.length === 0) {
        const names = [...new Set(pinned.map(({ name }) => name))];
        throw new Refusal({ step, code: "unknown_key", origin, pinned: names });
      }
      const verified = verifyCheckpoint(parsed, vkeys);
      return { ...parsed, verified, includes: inclusionVerifier(parsed.checkpoint) };
    });
  const anchorTree = tree("anchor", anchorVkeys);
  return {
    parse,
    extraLine: kept(readExtraLine),
    logTree: tree("log", logVkeys),
    /** By the tenant's checkpoint, then by the proof of it: the entry of the anchor log is that note, byte for byte. */
    anchored: kept((note) => {
      const leaf = leafHash(new TextEncoder().encode(note));
      return kept((text): ProvenEntry => {
        const proof = parseProof(text, parse);
        const tree = anchorTree(proof.checkpoint);
        tree.includes({ leafHash: leaf, ...proof, proof: proof.hashes });
        return { proof, tree };
      });
    }),
    witnesses: kept((note): Witnesses | undefined => {
      if (policy === undefined) return undefined;
      const { verified, ...checkpoint } = anchorTree(note);
      const result = verifyPolicy({ policy, checkpoint, verified });
      return { ...result, met: result.met && policy.quorum !== "none" };
    }),
  };
}

function verify(trust: VerifyTrust, notes: Notes, claim: VerifyClaim): VerifyReport {
  const { proof, extra } = attempt("proof", () => readProofFile(claim.proof, notes));
  const opening = chooseOpening(claim, extra);
  const { commitment, log } = openInLog(notes, claim, proof, opening);
  const { shown, others, notChecked } = showBest(trust, notes, claim, log, extra);
  const { anchor, witnesses, timestamps, assurance, times } = shown;
  return {
    proven: true,
    assurance,
    commitment: bytesToHex(commitment),
    ...(opening && { opening: committedTo(opening.opening) }),
    ...stated(claim),
    log: place(log),
    ...(anchor && { anchor: place(anchor) }),
    signers: { log: signers(log), anchor: anchor === undefined ? [] : signers(anchor) },
    ...(witnesses?.met && { witnesses: cosigners(trust.policy, witnesses) }),
    times,
    ...(timestamps && { timestamps: [...timestamps.shown] }),
    ...(others.length > 0 && { others: others.flatMap((one) => anchoringReport(trust, one)) }),
    caveats: [
      ...notChecked.map((cause) => ({ code: "anchoring_not_checked" as const, cause })),
      ...caveats(shown),
    ],
  };
}

/**
 * What the proof shows by the best of its anchorings that meets the requirements: the highest assurance, and of these the
 * earliest. One that no pinned key signed is left out: keys are lost over decades, and that is what renewing is for.
 * One that was altered condemns the proof, as it does alone.
 */
function showBest(
  trust: VerifyTrust,
  notes: Notes,
  claim: VerifyClaim,
  log: ProvenEntry,
  extra: Extra,
): { shown: Shown; others: Shown[]; notChecked: VerifyFailure[] } {
  if (extra.anchor === undefined || trust.anchorVkeys.length === 0) {
    const shown = show(trust, notes, claim, log, extra);
    checkRequirements(shown);
    return { shown, others: [], notChecked: [] };
  }
  const all: Shown[] = [];
  const notChecked: VerifyFailure[] = [];
  for (const anchoring of anchoringsOf(extra)) {
    try {
      all.push(show(trust, notes, claim, log, anchoring));
    } catch (error) {
      if (!(error instanceof Refusal) || error.failure.code !== "unknown_key") throw error;
      notChecked.push(error.failure);
    }
  }
  checkOneHistory(all);
  all.sort(byAssuranceThenTree);
  const shown = all.find(meetsRequirements) ?? all[0];
  if (shown === undefined) throw new Refusal(notChecked.at(-1) ?? { step: "anchor", code: "same_log" });
  checkRequirements(shown);
  return { shown, others: all.filter((one) => one !== shown).sort(byTree), notChecked };
}

/** Trees of different sizes are compared by whoever has the log: the renewer, an audit, a monitor. */
function checkOneHistory(all: readonly Shown[]): void {
  const roots = new Map<string, string>();
  for (const { anchor } of all) {
    if (anchor === undefined) continue;
    const { origin, treeSize: size, root } = place(anchor);
    const before = roots.get(`${origin} ${size}`) ?? root;
    if (before !== root) throw new Refusal({ step: "anchor", code: "two_histories", origin, size });
    roots.set(`${origin} ${size}`, before);
  }
}

const treeSize = ({ anchor }: Shown): bigint => anchor?.tree.checkpoint.size ?? 0n;
const byTree = (a: Shown, b: Shown): number => (treeSize(a) < treeSize(b) ? -1 : 1);
function byAssuranceThenTree(a: Shown, b: Shown): number {
  return ASSURANCES.indexOf(b.assurance) - ASSURANCES.indexOf(a.assurance) || byTree(a, b);
}

/** What the proof shows by one of its anchorings, whether or not it is enough. */
function show(
  trust: VerifyTrust,
  notes: Notes,
  claim: VerifyClaim,
  log: ProvenEntry,
  anchoring: Shown["anchoring"],
): Shown {
  const anchor = anchoredIn(trust, notes, log, anchoring.anchor);
  const witnesses = anchor && attempt("policy", () => notes.witnesses(anchor.proof.checkpoint));
  const timestamps = anchor && ofNote(claim.timestamps, anchor.proof.checkpoint);
  const assurance = assuranceOf(anchor, witnesses, timestamps);
  // Fewer than the quorum may be whoever dates back.
  const cosigned = witnesses?.met ? witnesses.cosigned : [];
  const times = [
    ...log.tree.verified.flatMap((signature) => signedTime(signature, log)),
    ...(anchor?.tree.verified ?? []).flatMap((signature) => signedTime(signature, log, anchor)),
    ...cosigned.flatMap((signature) => signedTime(signature, log, anchor)),
    ...(timestamps?.shown ?? []).flatMap(shownTime),
  ];
  return { trust, claim, anchoring, log, anchor, witnesses, timestamps, assurance, times };
}

function anchoringReport(trust: VerifyTrust, shown: Shown): AnchoringReport[] {
  const { anchor, witnesses, timestamps, assurance, times } = shown;
  if (anchor === undefined) return [];
  return [
    {
      assurance,
      anchor: place(anchor),
      signers: signers(anchor),
      ...(witnesses?.met && { witnesses: cosigners(trust.policy, witnesses) }),
      times,
      ...(timestamps && { timestamps: [...timestamps.shown] }),
    },
  ];
}

function readProofFile(proof: VerifyClaim["proof"], { parse, extraLine }: Notes): ProofFile {
  const isFile = typeof proof === "string" || proof instanceof Uint8Array;
  return isFile ? parseProofFile(proof, parse, extraLine) : proof;
}

/** All that was checked of one proof by one of its anchorings, whether or not it is enough. */
type Shown = {
  trust: VerifyTrust;
  claim: VerifyClaim;
  /** The anchor part, absent while the entry is only sealed. */
  anchoring: Pick<Extra, "anchor" | "timestamps">;
  log: ProvenEntry;
  anchor: ProvenEntry | undefined;
  witnesses: Witnesses | undefined;
  timestamps: CheckedTimestamps | undefined;
  assurance: Assurance;
  times: SignedTime[];
};

/** What was checked over another note says nothing of this one. */
function ofNote(
  checked: readonly CheckedTimestamps[] | undefined,
  note: string,
): CheckedTimestamps | undefined {
  return checked?.find((one) => one.note === note);
}

/** A timestamp alone does not raise it: it shows when, and not that everybody is shown the same log. */
function assuranceOf(
  anchor: ProvenEntry | undefined,
  witnesses: Witnesses | undefined,
  timestamps: CheckedTimestamps | undefined,
): Assurance {
  if (anchor === undefined) return "sealed";
  if (!witnesses?.met) return "anchored";
  return isStamped(timestamps) ? "timestamped" : "witnessed";
}

const isStamped = (timestamps: CheckedTimestamps | undefined): boolean => (timestamps?.shown.length ?? 0) > 0;

type ChosenOpening = { readonly opening: Opening; readonly from: OpeningFrom };

function chooseOpening(claim: VerifyClaim, extra: Pick<Extra, "opening">): ChosenOpening | undefined {
  if ("commitment" in claim) return undefined;
  if (claim.opening !== undefined) return { opening: claim.opening, from: "given" };
  if (extra.opening !== undefined) return { opening: extra.opening, from: "proof" };
  if (claim.derivedOpening !== undefined) return { opening: claim.derivedOpening, from: "derived" };
  throw new Refusal({ step: "opening", code: "no_opening" });
}

/** The entry that the event is, in the tree that the log signed. */
function openInLog(
  notes: Notes,
  claim: VerifyClaim,
  proof: TlogProof,
  chosen: ChosenOpening | undefined,
): { commitment: Uint8Array; log: ProvenEntry } {
  const tree = attempt("log", () => notes.logTree(proof.checkpoint));
  const includes = (commitment: Uint8Array): void =>
    tree.includes({ leafHash: leafHash(commitment), index: proof.index, proof: proof.hashes });
  try {
    const commitment = attempt("opening", () => commitmentOf(claim, chosen?.opening));
    attempt("log", () => includes(commitment));
    return { commitment, log: { proof, tree } };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const conversions = chosen && conversionsOf(claim, chosen, includes);
    if (conversions !== undefined) throw new Refusal({ step: "log", code: "converted", conversions });
    const { failure } = error;
    if (chosen === undefined || !("cause" in failure)) throw error;
    throw new Refusal({ ...failure, opening: chosen.from });
  }
}

/** What undoes a conversion of the event after which it is the entry. */
function conversionsOf(
  claim: VerifyClaim,
  { opening, from }: ChosenOpening,
  includes: (commitment: Uint8Array) => void,
): readonly Conversion[] | undefined {
  if ("commitment" in claim) return undefined;
  for (const { bytes, conversions } of eventsBefore(claim.event)) {
    try {
      const own = from === "derived" ? claim.deriveOpening?.(bytes) : opening;
      if (own === undefined) return undefined;
      includes(openCommitment(own, bytes));
      return conversions;
    } catch (error) {
      if (!(error instanceof TlogError || error instanceof EventError)) throw error;
    }
  }
  return undefined;
}

function stated(claim: VerifyClaim): { stated?: StatedTime } {
  const time = "event" in claim ? statedTime(claim.event) : undefined;
  return time === undefined ? {} : { stated: time };
}

function commitmentOf(claim: VerifyClaim, opening: Opening | undefined): Uint8Array {
  if ("commitment" in claim) return claim.commitment;
  if (opening === undefined) throw new TypeError("an event needs an opening");
  return openCommitment(opening, claim.event);
}

function committedTo({ v: _, nonce: __, ...fields }: Opening): Omit<Opening, "v" | "nonce"> {
  return fields;
}

function anchoredIn(
  trust: VerifyTrust,
  notes: Notes,
  log: ProvenEntry,
  anchor: string | undefined,
): ProvenEntry | undefined {
  if (anchor === undefined || trust.anchorVkeys.length === 0) return undefined;
  const entry = attempt("anchor", () => notes.anchored(log.proof.checkpoint)(anchor));
  if (originOf(entry) !== originOf(log)) return entry;
  throw new Refusal({ step: "anchor", code: "same_log" });
}

function meetsRequirements(shown: Shown): boolean {
  return unmet(shown) === undefined;
}

function checkRequirements(shown: Shown): void {
  const failure = unmet(shown);
  if (failure !== undefined) throw new Refusal(failure);
}

/** The first requirement that it does not meet. */
function unmet(shown: Shown): VerifyFailure | undefined {
  const { trust, anchor, anchoring, timestamps, assurance: reached } = shown;
  const { require: required } = trust;
  if (required !== undefined && !isAtLeast(reached, required)) {
    return { step: "requirement", code: "too_low", reached, required, why: whyNotHigher(shown) };
  }
  if (trust.requireAllKeys) {
    const vkeys = [...silentKeys(shown), ...(anchor === undefined ? trust.anchorVkeys : [])];
    if (vkeys.length > 0) return { step: "requirement", code: "missing_signature", vkeys };
  }
  if (trust.requireTimestamp && !isStamped(timestamps)) {
    return { step: "requirement", code: "no_timestamp", why: whyNoTimestamp(anchoring, timestamps) };
  }
  return undefined;
}

/** The pinned keys of a kind that none signed with. The other keys of one that did are its predecessors or successors. */
function silentKeys({ trust, log, anchor }: Shown): Vkey[] {
  const silent = (pinned: readonly Vkey[], { tree: { checkpoint, verified } }: ProvenEntry) =>
    pinned.filter(
      ({ name, type }) => name === checkpoint.origin && !verified.some(({ vkey }) => vkey.type === type),
    );
  return [...silent(trust.logVkeys, log), ...(anchor === undefined ? [] : silent(trust.anchorVkeys, anchor))];
}

/** The latest time that Date can show, in seconds. */
const MAX_SECONDS = 8_640_000_000_000n;

function signedTime(
  { vkey, timestamp }: VerifiedSignature,
  log: ProvenEntry,
  anchor?: ProvenEntry,
): SignedTime[] {
  if (timestamp === undefined || timestamp > MAX_SECONDS) return [];
  const isOperator = vkey.name === originOf(log) || (anchor && vkey.name === originOf(anchor));
  const at = new Date(Number(timestamp) * 1000).toISOString();
  return [{ at, by: vkey.name, kind: isOperator ? "operator" : "witness" }];
}

function shownTime(timestamp: ShownTimestamp): SignedTime[] {
  if (timestamp.type === "rfc3161") return [{ at: timestamp.at, by: timestamp.by, kind: "authority" }];
  const { at, height } = timestamp;
  return at === undefined ? [] : [{ at, by: String(height), kind: "block" }];
}

function originOf({ tree }: ProvenEntry): string {
  return tree.checkpoint.origin;
}

function place({ proof, tree: { checkpoint } }: ProvenEntry): Place {
  const { origin, size, root } = checkpoint;
  return { origin, index: String(proof.index), treeSize: String(size), root: encodeBase64(root) };
}

function signers({ tree: { verified } }: ProvenEntry): Vkey[] {
  return [...new Set(verified.map(({ vkey }) => vkey))];
}

/** Counted as the policy lists them: one that has a line for each of its keys counts as often. */
function cosigners(policy: Policy | undefined, witnesses: Witnesses | undefined) {
  const cosigned = (witnesses?.cosigned ?? []).map(({ name }) => name);
  return { cosigned, listed: policy?.witnesses.length ?? 0 };
}

function caveats(shown: Shown): Caveat[] {
  const { claim, anchoring, times, witnesses, timestamps } = shown;
  const list: Caveat[] = [];
  if ("commitment" in claim) list.push({ code: "no_event" });
  if (!witnesses?.met) list.push(...whyNotHigher(shown));
  else list.push(whoseWitnesses(shown));
  if (!isStamped(timestamps) && anchoring.timestamps.length > 0) {
    list.push(...whyNoTimestamp(anchoring, timestamps));
  } else {
    list.push(...refusedOf(timestamps));
  }
  for (const vkey of silentKeys(shown)) list.push({ code: "key_silent", vkey });
  if (times.length === 0) {
    list.push({ code: "no_time" });
  } else if (times.every(({ kind }) => kind === "operator") && !isStamped(timestamps)) {
    list.push({ code: "no_independent_time" });
  }
  for (const { name } of witnesses?.invalid ?? []) list.push({ code: "bad_cosignature", witness: name });
  list.push({ code: "truth_and_completeness" });
  return list;
}

/** A key's name is no proof of whose it is, but one under the operator's own domain is hardly another's. */
function whoseWitnesses({ trust, log, anchor, witnesses }: Shown): Caveat {
  const domains = [log, ...(anchor === undefined ? [] : [anchor])].map((entry) => domainOf(originOf(entry)));
  const own = (witnesses?.cosigned ?? []).filter(({ vkey }) => domains.includes(domainOf(vkey.name)));
  const { cosigned } = cosigners(trust.policy, witnesses);
  return { code: "whose_witnesses", cosigned, own: own.map(({ name }) => name) };
}

const domainOf = (origin: string): string => origin.split("/", 1).join("").toLowerCase();

function whyNoTimestamp(anchoring: Shown["anchoring"], timestamps: CheckedTimestamps | undefined): Caveat[] {
  if (anchoring.timestamps.length === 0) return [{ code: "no_timestamp" }];
  if (timestamps === undefined) return [{ code: "timestamps_not_checked" }];
  return refusedOf(timestamps);
}

function refusedOf(timestamps: CheckedTimestamps | undefined): Caveat[] {
  return (timestamps?.refused ?? []).map((cause) => ({ code: "timestamp_refused", cause }));
}

/** What stands between this proof and the next assurance. */
function whyNotHigher({ trust: { policy }, anchoring, anchor, witnesses, timestamps }: Shown): Caveat[] {
  if (anchoring.anchor === undefined) return [{ code: "not_anchored" }];
  if (anchor === undefined) return [{ code: "anchor_not_checked" }];
  if (witnesses?.met) return whyNoTimestamp(anchoring, timestamps);
  if (policy === undefined) return [{ code: "no_policy" }];
  if (policy.quorum === "none") return [{ code: "no_witness_required" }];
  return [{ code: "quorum_not_met", ...cosigners(policy, witnesses) }];
}

class Refusal extends Error {
  readonly failure: VerifyFailure;
  constructor(failure: VerifyFailure) {
    super(failure.code);
    this.failure = failure;
  }
}

function attempt<T>(step: VerifyStep, check: () => T): T {
  try {
    return check();
  } catch (cause) {
    if (!(cause instanceof TlogError || cause instanceof EventError)) throw cause;
    throw new Refusal({ step, code: cause.code, cause });
  }
}
