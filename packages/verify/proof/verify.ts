/**
 * The offline verifier: from an event and its proof file to what they prove under pinned keys. Pure; no I/O.
 *
 * Trusted: the pinned keys and the policy. Hostile: the event, the proof and everything in it.
 */
import { bytesToHex } from "@noble/hashes/utils.js";
import { type Opening, openCommitment } from "../events/commitment.ts";
import { EventError, type EventErrorCode } from "../events/error.ts";
import { keyId, keyLabel, MAYBE_ROTATED, quoted } from "../text.ts";
import type { CheckedTimestamps, ShownTimestamp } from "../time/timestamps.ts";
import { encodeBase64 } from "../tlog/bytes.ts";
import { type Checkpoint, parseCheckpoint, type VerifiedSignature } from "../tlog/checkpoint.ts";
import { TlogError, type TlogErrorCode } from "../tlog/error.ts";
import { leafHash } from "../tlog/merkle.ts";
import { MLDSA44_COSIGNATURE, type Vkey } from "../tlog/note.ts";
import { type Policy, verifyPolicy } from "../tlog/policy.ts";
import { parseProof, type TlogProof, verifyProof } from "../tlog/proof.ts";
import { type Extra, parseExtra } from "./extra.ts";

/** What a proof can show, lowest first. Each holds all before it: what is timestamped is witnessed too. */
export const ASSURANCES = ["sealed", "anchored", "witnessed", "timestamped"] as const;
export type Assurance = (typeof ASSURANCES)[number];

export type VerifyInput = {
  /** The `.tlog-proof` file. */
  proof: string | Uint8Array;
  /** Pinned keys of the tenant's logs, those of before a rotation too; a key's name is the origin of its log. */
  logVkeys: readonly Vkey[];
  /** The same of the anchor log. Without any, what the proof says of the anchor log is not checked. */
  anchorVkeys: readonly Vkey[];
  /** Which witnesses must have cosigned the anchor log. */
  policy?: Policy;
  /** Less than this is not proven. */
  require?: Assurance;
  /**
   * Whether the log and the anchor log must each have signed with every kind of key that is pinned for it. Keys of one
   * kind are one key over time: any of them will do.
   */
  requireAllKeys?: boolean;
  /** What `checkTimestamps` found; it counts for the anchor checkpoint that it is of. Absent: they are not checked. */
  timestamps?: CheckedTimestamps;
  /** Whether a timestamp from outside must hold, whatever the assurance is. */
  requireTimestamp?: boolean;
} & (
  | { commitment: Uint8Array }
  | {
      event: Uint8Array;
      /** Used rather than the one in the proof. */
      opening?: Opening;
      /** Used when neither `opening` nor the proof has one. */
      derivedOpening?: Opening;
    }
);

/** Where an entry stands. `index` and `treeSize` are decimal, `root` is base64, as in a checkpoint. */
export type Place = { origin: string; index: string; treeSize: string; root: string };

/**
 * A time, in RFC 3339, that the key named `by` signed for the anchor log's checkpoint or the tenant log's, or that an
 * authority or a block of a chain shows for the anchor log's.
 */
export type SignedTime = { at: string; by: string; kind: "operator" | "witness" | "authority" | "block" };

export type VerifyStep = "proof" | "opening" | "log" | "anchor" | "policy" | "requirement";

export type VerifyFailure = {
  step: VerifyStep;
  code:
    | TlogErrorCode
    | EventErrorCode
    | "no_opening"
    | "same_log"
    | "too_low"
    | "missing_signature"
    | "no_timestamp";
  /** What failed and what to do. */
  message: string;
};

/** What was proven. When `proven` is false nothing was, whatever else stands in the report. */
export type VerifyReport = {
  proven: boolean;
  assurance?: Assurance;
  /** Hex. Present once the event has been opened. */
  commitment?: string;
  log?: Place;
  anchor?: Place;
  times: SignedTime[];
  /** Timestamps from outside that hold, of the anchor log's checkpoint. */
  timestamps?: ShownTimestamp[];
  /** What was proven, in plain words. */
  statements: string[];
  /** What was not. */
  caveats: string[];
  failure?: VerifyFailure;
};

/** Verifies a proof file. Never throws for what the event or the proof holds: see `failure`. */
export function verifyEvent(input: VerifyInput): VerifyReport {
  try {
    return verify(input);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { proven: false, times: [], statements: [], caveats: [], failure: error.failure };
  }
}

function verify(input: VerifyInput): VerifyReport {
  const { proof, extra } = attempt("proof", () => {
    const proof = parseProof(input.proof);
    return { proof, extra: proof.extra === undefined ? { timestamps: [] } : parseExtra(proof.extra) };
  });
  const opening = chooseOpening(input, extra);
  const commitment = attempt("opening", () => commitmentOf(input, opening));
  const log = attempt("log", () => verifyIn("log", input.logVkeys, proof, commitment));
  const anchor = verifyAnchor(input.anchorVkeys, log, extra);
  const witnesses = anchor && verifyWitnesses(input.policy, anchor);
  const timestamps = anchor && ofNote(input.timestamps, anchor.proof.checkpoint);
  const assurance = assuranceOf(anchor, witnesses, timestamps);

  const times = [
    ...log.verified.flatMap((signature) => signedTime(signature, log.checkpoint.origin)),
    ...(anchor?.verified ?? []).flatMap((signature) => signedTime(signature, log.checkpoint.origin, anchor)),
    ...(witnesses?.cosigned ?? []).flatMap((signature) =>
      signedTime(signature, log.checkpoint.origin, anchor),
    ),
    ...(timestamps?.shown ?? []).flatMap(shownTime),
  ];
  const evidence: Evidence = { input, extra, opening, log, anchor, witnesses, timestamps, times };
  checkRequirement(input.require, assurance, evidence);
  checkAllKeys(evidence);
  checkTimestamp(evidence);
  return {
    proven: true,
    assurance,
    commitment: bytesToHex(commitment),
    log: place(log),
    ...(anchor === undefined ? {} : { anchor: place(anchor) }),
    times,
    ...(timestamps === undefined ? {} : { timestamps: [...timestamps.shown] }),
    statements: statements(evidence),
    caveats: caveats(evidence),
  };
}

/** A proof whose signature and inclusion hold. */
type Verified = { proof: TlogProof; checkpoint: Checkpoint; verified: VerifiedSignature[] };
type Witnesses = ReturnType<typeof verifyPolicy>;
type Evidence = {
  input: VerifyInput;
  extra: Extra;
  opening: Opening | undefined;
  log: Verified;
  anchor: Verified | undefined;
  witnesses: Witnesses | undefined;
  timestamps: CheckedTimestamps | undefined;
  times: SignedTime[];
};

/** What was checked over another note says nothing of this one. */
function ofNote(checked: CheckedTimestamps | undefined, note: string): CheckedTimestamps | undefined {
  return checked?.note === note ? checked : undefined;
}

/** A timestamp alone does not raise it: it shows when, and not that everybody is shown the same log. */
function assuranceOf(
  anchor: Verified | undefined,
  witnesses: Witnesses | undefined,
  timestamps: CheckedTimestamps | undefined,
): Assurance {
  if (anchor === undefined) return "sealed";
  if (!witnesses?.met) return "anchored";
  return isStamped(timestamps) ? "timestamped" : "witnessed";
}

const isStamped = (timestamps: CheckedTimestamps | undefined): boolean => (timestamps?.shown.length ?? 0) > 0;

function chooseOpening(input: VerifyInput, extra: Extra): Opening | undefined {
  if ("commitment" in input) return undefined;
  const opening = input.opening ?? extra.opening ?? input.derivedOpening;
  if (opening !== undefined) return opening;
  throw new Refusal({
    step: "opening",
    code: "no_opening",
    message:
      "The proof does not carry the event's opening, so nothing ties the event to it. " +
      "Give the opening with --opening, or the tenant key that the event was committed with.",
  });
}

function commitmentOf(input: VerifyInput, opening: Opening | undefined): Uint8Array {
  if ("commitment" in input) return input.commitment;
  if (opening === undefined) throw new TypeError("an event needs an opening");
  return openCommitment(opening, input.event);
}

const LOGS = { log: "log", anchor: "anchor log" } as const;

/** Verifies that the log of the proof's checkpoint, by one of its pinned keys, has this entry. */
function verifyIn(
  step: keyof typeof LOGS,
  pinned: readonly Vkey[],
  proof: TlogProof,
  entry: Uint8Array,
): Verified {
  const { origin } = parseCheckpoint(proof.checkpoint).checkpoint;
  const vkeys = pinned.filter(({ name }) => name === origin);
  if (vkeys.length === 0) {
    const names = [...new Set(pinned.map(({ name }) => name))].join(", ");
    throw new Refusal({
      step,
      code: "unknown_key",
      message: `The checkpoint is of the ${LOGS[step]} ${quoted(origin)}, and the pinned key of ${names}. Check that key and proof are of one ${LOGS[step]}.`,
    });
  }
  return { proof, ...verifyProof({ proof, leafHash: leafHash(entry), origin, vkeys }) };
}

/** The entry of the anchor log is the tenant's signed checkpoint, byte for byte. */
function verifyAnchor(anchorVkeys: readonly Vkey[], log: Verified, extra: Extra): Verified | undefined {
  const { anchor } = extra;
  if (anchor === undefined || anchorVkeys.length === 0) return undefined;
  const verified = attempt("anchor", () =>
    verifyIn("anchor", anchorVkeys, parseProof(anchor), new TextEncoder().encode(log.proof.checkpoint)),
  );
  if (verified.checkpoint.origin !== log.checkpoint.origin) return verified;
  throw new Refusal({
    step: "anchor",
    code: "same_log",
    message:
      "The anchor part is of the log itself, and no log anchors itself. Pin the anchor log's own keys.",
  });
}

function verifyWitnesses(policy: Policy | undefined, anchor: Verified): Witnesses | undefined {
  if (policy === undefined) return undefined;
  return attempt("policy", () => {
    const result = verifyPolicy({ policy, checkpoint: anchor.proof.checkpoint });
    return { ...result, met: result.met && policy.quorum !== "none" };
  });
}

function checkRequirement(required: Assurance | undefined, reached: Assurance, evidence: Evidence): void {
  if (required === undefined || ASSURANCES.indexOf(reached) >= ASSURANCES.indexOf(required)) return;
  throw new Refusal({
    step: "requirement",
    code: "too_low",
    message: `The proof holds, but only at assurance ${reached}, and ${required} is required. ${whyNotHigher(evidence)}`,
  });
}

function checkAllKeys(evidence: Evidence): void {
  const { input, anchor } = evidence;
  if (!input.requireAllKeys) return;
  const silent = [...silentKeys(evidence), ...(anchor === undefined ? input.anchorVkeys : [])];
  if (silent.length === 0) return;
  throw new Refusal({
    step: "requirement",
    code: "missing_signature",
    message: `The proof holds, but every kind of pinned key is required, and there is no signature by ${silent.map(nameKey).join(", ")}. Fetch the proof again, or ask the operator why.`,
  });
}

function checkTimestamp({ input, extra, timestamps }: Evidence): void {
  if (!input.requireTimestamp || isStamped(timestamps)) return;
  throw new Refusal({
    step: "requirement",
    code: "no_timestamp",
    message: `The proof holds, but a timestamp from outside is required. ${whyNoTimestamp(extra, timestamps)}`,
  });
}

/** The pinned keys of a kind that none signed with. The other keys of one that did are its predecessors or successors. */
function silentKeys({ input, log, anchor }: Evidence): Vkey[] {
  const silent = (pinned: readonly Vkey[], { checkpoint, verified }: Verified) =>
    pinned.filter(
      ({ name, type }) => name === checkpoint.origin && !verified.some(({ vkey }) => vkey.type === type),
    );
  return [...silent(input.logVkeys, log), ...(anchor === undefined ? [] : silent(input.anchorVkeys, anchor))];
}

function nameKey(vkey: Vkey): string {
  return vkey.type === MLDSA44_COSIGNATURE ? `${keyLabel(vkey)} (ML-DSA-44)` : keyLabel(vkey);
}

/** The latest time that Date can show, in seconds. */
const MAX_SECONDS = 8_640_000_000_000n;

function signedTime(signature: VerifiedSignature, logOrigin: string, anchor?: Verified): SignedTime[] {
  const { vkey, timestamp } = signature;
  if (timestamp === undefined || timestamp > MAX_SECONDS) return [];
  const isOperator = vkey.name === logOrigin || vkey.name === anchor?.checkpoint.origin;
  const at = new Date(Number(timestamp) * 1000).toISOString();
  return [{ at, by: vkey.name, kind: isOperator ? "operator" : "witness" }];
}

function shownTime(timestamp: ShownTimestamp): SignedTime[] {
  if (timestamp.type === "rfc3161") return [{ at: timestamp.at, by: timestamp.by, kind: "authority" }];
  return timestamp.at === undefined
    ? []
    : [{ at: timestamp.at, by: `Bitcoin block ${timestamp.height}`, kind: "block" }];
}

function place({ proof, checkpoint: { origin, size, root } }: Verified): Place {
  return { origin, index: String(proof.index), treeSize: String(size), root: encodeBase64(root) };
}

function statements({ input, opening, log, anchor, witnesses, timestamps, times }: Evidence): string[] {
  const { origin, size } = log.checkpoint;
  const lines = [
    `${opening === undefined ? "The commitment" : "The event"} stands at index ${log.proof.index} in the log ${origin}, whose ${signers(log)} signed its tree of ${size} entries.`,
  ];
  if (opening !== undefined) {
    lines.push(
      opening.canonicalisation === "raw"
        ? `Not one byte of the event (${opening.mediaType}) has changed since it was committed.`
        : `What the event (${opening.mediaType}) says has not changed since it was committed; its ${opening.canonicalisation} form was compared.`,
    );
  }
  if (opening?.source !== undefined)
    lines.push(`It was committed as an event of the source ${quoted(opening.source)}.`);
  if (opening?.sequence !== undefined) lines.push(`It was committed under the number ${opening.sequence}.`);
  if (anchor !== undefined) {
    const { origin, size } = anchor.checkpoint;
    lines.push(
      `That signed tree stands at index ${anchor.proof.index} in the public anchor log ${origin}, whose ${signers(anchor)} signed its tree of ${size} entries.`,
    );
  }
  if (input.policy !== undefined && witnesses?.met) {
    lines.push(`The policy's quorum has cosigned the anchor log: ${cosigners(input.policy, witnesses)}.`);
  }
  for (const timestamp of timestamps?.shown ?? []) lines.push(timestampLine(timestamp));
  const latest = (["witness", "authority", "block", "operator"] as const)
    .map((kind) => latestTime(times, kind))
    .find((time) => time !== undefined);
  if (latest?.kind === "witness") {
    lines.push(`It existed by ${latest.at}: the latest time that a witness signed (${latest.by}).`);
  } else if (latest?.kind === "operator") {
    lines.push(`It existed by ${latest.at}, by the operator's own clock (${latest.by}).`);
  } else if (latest !== undefined) {
    lines.push(`It existed by ${latest.at}: the latest time that a timestamp shows (${quoted(latest.by)}).`);
  }
  return lines;
}

function timestampLine(timestamp: ShownTimestamp): string {
  if (timestamp.type === "ots") {
    const at = timestamp.at === undefined ? "" : ` of about ${timestamp.at}`;
    return `The anchor log's signed tree was there before Bitcoin block ${timestamp.height}${at}, whose merkle root depends on it (OpenTimestamps).`;
  }
  const accuracy = timestamp.accuracy === undefined ? "" : `, to within ${timestamp.accuracy / 1000} s`;
  return `The anchor log's signed tree was timestamped by ${quoted(timestamp.by)} at ${timestamp.at}${accuracy} (RFC 3161).`;
}

/** The IDs of the keys, as in their vkeys: they tell a key of before a rotation from that of after. */
function signers({ verified }: Verified): string {
  const ids = [...new Set(verified.map(({ vkey }) => keyId(vkey)))];
  return `${ids.length === 1 ? "key" : "keys"} ${ids.join(" and ")}`;
}

/** The latest is the cautious one: by then, every one of them says so. */
function latestTime(times: readonly SignedTime[], kind: SignedTime["kind"]): SignedTime | undefined {
  return times
    .filter((time) => time.kind === kind)
    .sort((a, b) => Date.parse(a.at) - Date.parse(b.at))
    .at(-1);
}

function caveats(evidence: Evidence): string[] {
  const { input, extra, times, witnesses, timestamps } = evidence;
  const lines: string[] = [];
  if ("commitment" in input)
    lines.push("No event was given: which one the commitment stands for is not shown.");
  if (!witnesses?.met) lines.push(whyNotHigher(evidence));
  if (!isStamped(timestamps) && extra.timestamps.length > 0) {
    lines.push(whyNoTimestamp(extra, timestamps));
  } else {
    for (const { message } of timestamps?.refused ?? []) lines.push(refusedLine(message));
  }
  for (const vkey of silentKeys(evidence)) {
    lines.push(`The pinned key ${nameKey(vkey)} did not sign: the proof rests on the others alone.`);
  }
  if (times.length === 0) {
    lines.push("No time is shown: none was signed by a key that you pinned.");
  } else if (times.every(({ kind }) => kind === "operator") && !isStamped(timestamps)) {
    lines.push("No independent time is shown: the only time is the operator's own.");
  }
  for (const { name } of witnesses?.invalid ?? []) {
    lines.push(`A cosignature under the key of the witness ${name} is not valid, and did not count.`);
  }
  lines.push("No inclusion proof shows that what the event says is true, or that every event was posted.");
  return lines;
}

function whyNoTimestamp(extra: Extra, timestamps: CheckedTimestamps | undefined): string {
  if (extra.timestamps.length === 0)
    return "The proof carries no timestamp. Fetch it again later, or ask the operator why.";
  if (timestamps === undefined) {
    return "The timestamps in the proof were not checked. Name the authority's certificate (--tsa-cert) or the Bitcoin block (--btc-header).";
  }
  return timestamps.refused.map(({ message }) => refusedLine(message)).join(" ");
}

const refusedLine = (message: string): string =>
  `A timestamp in the proof did not count. ${message.replace(/\.$/, "")}.`;

/** What stands between this proof and the next assurance. */
function whyNotHigher({ input, extra, anchor, witnesses, timestamps }: Evidence): string {
  if (extra.anchor === undefined) {
    return "The log alone vouches for it: the proof has no anchor part. Once the entry is anchored, fetch it again.";
  }
  if (anchor === undefined) {
    return "The log alone vouches for it: the anchor part was not checked, no anchor key was given (--anchor-vkey).";
  }
  if (witnesses?.met) return whyNoTimestamp(extra, timestamps);
  if (input.policy === undefined) {
    return "No witness is shown: no policy was given (--policy), so cosignatures were not checked.";
  }
  if (input.policy.quorum === "none") {
    return "No witness is shown: the policy requires none.";
  }
  return `The policy's quorum is not shown: ${cosigners(input.policy, witnesses)} have cosigned. Fetch the proof again later, or ask the operator why.`;
}

/** Counted as the policy lists them: one that has a line for each of its keys counts as often. */
function cosigners({ witnesses: listed }: Policy, witnesses: Witnesses | undefined): string {
  const names = (witnesses?.cosigned ?? []).map(({ name }) => name);
  const which = names.length === 0 ? "" : ` (${names.join(", ")})`;
  return `${names.length} of its ${listed.length} witnesses${which}`;
}

class Refusal extends Error {
  readonly failure: VerifyFailure;
  constructor(failure: VerifyFailure) {
    super(failure.message);
    this.failure = failure;
  }
}

function attempt<T>(step: VerifyStep, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof TlogError || error instanceof EventError)) throw error;
    const message = `${explain(step, error.code)} (${error.message.replace(/\.$/, "")}.)`;
    throw new Refusal({ step, code: error.code, message });
  }
}

function explain(step: VerifyStep, code: VerifyFailure["code"]): string {
  if (step === "proof") return "The proof file cannot be read: it was altered or cut. Fetch it again.";
  if (step === "opening")
    return "The event cannot be opened with this opening. Check that they belong together.";
  if (step === "policy") {
    const why = "The policy does not accept the anchor log's checkpoint. Check where each is from.";
    return code === "unknown_key" ? `${why} ${MAYBE_ROTATED}` : why;
  }
  const log = step === "log" ? "log" : "anchor log";
  if (code === "unknown_key")
    return `The checkpoint is not signed by a pinned key of the ${log}. ${MAYBE_ROTATED}`;
  if (code === "bad_signature") {
    return `The checkpoint is not as the ${log} signed it, or the pinned key is not the one that signed.`;
  }
  if (code === "malformed") return `The proof's ${log} part cannot be read: it was altered. Fetch it again.`;
  return step === "log"
    ? "The event is not the one in the log: the event, its opening or the proof was altered, or they do not belong together."
    : "The log's checkpoint is not the one in the anchor log: the proof was altered. Fetch it again.";
}
