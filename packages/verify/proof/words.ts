/** What the verifier found, in words for people: for a terminal or a page. No sentence names a command's flag. */

import type { StatedTime } from "../events/stated.ts";
import { keyId, keyLabel, MAYBE_ROTATED, quoted } from "../text.ts";
import { MLDSA44_COSIGNATURE, type Vkey } from "../tlog/note.ts";
import type { Conversion } from "./conversions.ts";
import {
  type AnchoringReport,
  type Caveat,
  type FailureKind,
  kindOf,
  type OpeningFrom,
  type ShownTimestamp,
  type SignedTime,
  type VerifyFailure,
  type VerifyReport,
  type VerifyStep,
} from "./verify.ts";

/** Where the reader finds what a sentence asks for, by the fact's code: it goes in brackets before the last full stop. */
export type Hints = Partial<Record<Caveat["code"] | VerifyFailure["code"], string>>;

/** A report as it is told and kept: facts beside sentences. */
export type ToldReport = Pick<
  VerifyReport,
  "proven" | "assurance" | "commitment" | "stated" | "log" | "anchor" | "times" | "timestamps"
> & {
  others?: Omit<AnchoringReport, "signers">[];
  /** What stands above the rest: how far it is proven, and what of the rest was not checked or is not there. */
  headline: string;
  /** What was proven, in plain words. */
  statements: string[];
  /** What was not. */
  caveats: string[];
  /** `message`: what failed and what to do. */
  failure?: { step: VerifyStep; code: VerifyFailure["code"]; kind: FailureKind; message: string };
};

export function tellReport(report: VerifyReport, hints: Hints = {}): ToldReport {
  const { opening: _, signers: __, witnesses: ___, others, caveats, failure, ...facts } = report;
  return {
    ...facts,
    ...(others && { others: others.map(({ signers: ____, ...other }) => other) }),
    headline: headline(report),
    times: facts.times.map((time) => ({ ...time, by: sayBy(time) })),
    statements: statements(report),
    caveats: caveats.map((caveat) => sayCaveat(caveat, hints)),
    ...(failure && {
      failure: {
        step: failure.step,
        code: failure.code,
        kind: kindOf(failure),
        message: sayFailure(failure, hints),
      },
    }),
  };
}

/** What failed and what to do. */
export function sayFailure(failure: VerifyFailure, hints: Hints = {}): string {
  return hinted(failureSentence(failure, hints), hints[failure.code]);
}

function hinted(sentence: string, hint: string | undefined): string {
  return hint === undefined ? sentence : `${sentence.slice(0, -1)} (${hint}).`;
}

function headline({ assurance, caveats, failure }: VerifyReport): string {
  if (failure !== undefined) return kindOf(failure) === "untold" ? "CANNOT TELL" : "NOT PROVEN";
  const open = caveats.flatMap(({ code }) => OPEN[code] ?? []);
  return `PROVEN  at assurance ${assurance}${open.length === 0 ? "" : ` (${[...new Set(open)].join("; ")})`}`;
}

/** What was left open, in a word or two. */
const OPEN: Partial<Record<Caveat["code"], string>> = {
  no_event: "no event given",
  not_anchored: "not anchored",
  anchor_not_checked: "anchor log, witnesses and timestamps not checked",
  no_policy: "witnesses not checked",
  no_witness_required: "no witness required",
  quorum_not_met: "too few witnesses",
  no_timestamp: "no timestamp",
  timestamps_not_checked: "timestamps not checked",
};

function statements({ proven, opening, log, anchor, signers, witnesses, ...report }: VerifyReport): string[] {
  if (!proven || log === undefined || signers === undefined) return [];
  const lines = [
    `${opening === undefined ? "The commitment" : "The event"} stands at index ${log.index} in the log ${log.origin}, whose ${keys(signers.log)} signed its tree of ${log.treeSize} entries.`,
  ];
  if (opening !== undefined) lines.push(sameAsLogged(opening));
  if (opening?.source !== undefined)
    lines.push(`It was committed as an event of the source ${quoted(opening.source)}.`);
  if (opening?.sequence !== undefined) {
    lines.push(
      `It was committed with the number ${opening.sequence}, given by whoever committed it: alone, it shows no gap.`,
    );
  }
  if (anchor !== undefined) {
    lines.push(
      `That signed tree stands at index ${anchor.index} in the public anchor log ${anchor.origin}, whose ${keys(signers.anchor)} signed its tree of ${anchor.treeSize} entries.`,
    );
  }
  if (witnesses !== undefined) {
    lines.push(`The policy's quorum has cosigned the anchor log: ${cosigners(witnesses)}.`);
  }
  for (const timestamp of report.timestamps ?? []) lines.push(timestampLine(timestamp));
  const latest = latestOf(report.times);
  if (latest !== undefined) lines.push(inLogBy(latest));
  if (report.stated !== undefined) lines.push(statedLine(report.stated, latest));
  for (const other of report.others ?? []) lines.push(otherAnchoring(other));
  return lines;
}

/** Another anchoring of a renewed proof: a tree that the same signed tree stands in, later or earlier. */
function otherAnchoring({ anchor, signers, witnesses, timestamps, times }: AnchoringReport): string {
  const signed = `The same signed tree stands as well in the anchor log's tree of ${anchor.treeSize} entries, which ${keys(signers)} signed`;
  const cosigned = witnesses === undefined ? "" : `, cosigned by ${cosigners(witnesses)}`;
  const stamped = (timestamps ?? []).map((timestamp) =>
    timestamp.type === "ots"
      ? `Bitcoin block ${timestamp.height} (OpenTimestamps)`
      : `${quoted(timestamp.by)} (RFC 3161)`,
  );
  const by = stamped.length === 0 ? "" : `, timestamped by ${stamped.join(" and ")}`;
  const at = latestOf(times);
  return `${signed}${cosigned}${by}${at === undefined ? "" : `, as of ${at.at}`}.`;
}

function sameAsLogged({ canonicalisation, mediaType }: NonNullable<VerifyReport["opening"]>): string {
  if (canonicalisation === "raw") return `It is, byte for byte, what was committed to (${mediaType}).`;
  return (
    `Its JSON has the values that were committed to (${mediaType}, RFC 8785). Not compared: white space, the order of ` +
    "members, and how a number is written (1.10 is 1.1)."
  );
}

function inLogBy(time: SignedTime): string {
  if (time.kind === "witness") {
    return `It was in the log by ${time.at}: the latest time that a witness signed (${time.by}).`;
  }
  if (time.kind === "operator")
    return `It was in the log by ${time.at}, by the operator's own clock (${time.by}).`;
  return `It was in the log by ${time.at}: the latest time that a timestamp shows (${quoted(sayBy(time))}).`;
}

const DAY_MS = 86_400_000;

/** Both times, for the later one is all that is shown. */
function statedLine({ at, member }: StatedTime, shown: SignedTime | undefined): string {
  const own = `The event itself says ${at} (${member}), which is its own word.`;
  const gap = shown === undefined ? Number.NaN : Date.parse(shown.at) - Date.parse(at);
  if (gap >= DAY_MS) {
    const days = Math.floor(gap / DAY_MS);
    return `${own} That is ${days} ${days === 1 ? "day" : "days"} before, and of the time between nothing is shown.`;
  }
  return gap < 0 ? `${own} That is later than the log's.` : own;
}

function sayBy({ kind, by }: SignedTime): string {
  return kind === "block" ? `Bitcoin block ${by}` : by;
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
function keys(vkeys: readonly Vkey[]): string {
  const ids = [...new Set(vkeys.map(keyId))];
  return `${ids.length === 1 ? "key" : "keys"} ${ids.join(" and ")}`;
}

/** Of the kind that says most. */
function latestOf(times: readonly SignedTime[]): SignedTime | undefined {
  return (["witness", "authority", "block", "operator"] as const)
    .map((kind) => latestTime(times, kind))
    .find((time) => time !== undefined);
}

/** The latest is the cautious one: by then, every one of them says so. */
function latestTime(times: readonly SignedTime[], kind: SignedTime["kind"]): SignedTime | undefined {
  return times
    .filter((time) => time.kind === kind)
    .sort((a, b) => Date.parse(a.at) - Date.parse(b.at))
    .at(-1);
}

function cosigners({ cosigned, listed }: { cosigned: string[]; listed: number }): string {
  const which = cosigned.length === 0 ? "" : ` (${cosigned.join(", ")})`;
  return `${cosigned.length} of the ${listed} ${listed === 1 ? "witness" : "witnesses"} in it${which}`;
}

function sayCaveat(caveat: Caveat, hints: Hints): string {
  return hinted(caveatSentence(caveat, hints), hints[caveat.code]);
}

function caveatSentence(caveat: Caveat, hints: Hints): string {
  switch (caveat.code) {
    case "no_event":
      return "No event was given: which one the commitment stands for is not shown.";
    case "not_anchored":
      return "The log alone vouches for it: the proof has no anchor part. Once the entry is anchored, fetch it again.";
    case "anchor_not_checked":
      return "The log alone vouches for it: the anchor part was not checked, no anchor key was given.";
    case "no_policy":
      return "No witness is shown: no policy was given, so cosignatures were not checked.";
    case "no_witness_required":
      return "No witness is shown: the policy requires none.";
    case "quorum_not_met":
      return `The policy's quorum is not shown: ${cosigners(caveat)} have cosigned. Fetch the proof again later, or ask the operator why.`;
    case "no_timestamp":
      return "The proof carries no timestamp. Fetch it again later, or ask the operator why.";
    case "timestamps_not_checked":
      return "The timestamps in the proof were not checked. Name the authority's certificate or the Bitcoin block.";
    case "timestamp_refused":
      return `A timestamp in the proof did not count. ${caveat.cause.message.replace(/\.$/, "")}.`;
    case "key_silent":
      return `The pinned key ${nameKey(caveat.vkey)} did not sign: the proof rests on the others alone.`;
    case "no_time":
      return "No time is shown: none was signed by a key that you pinned.";
    case "no_independent_time":
      return "No independent time is shown: the only time is the operator's own.";
    case "bad_cosignature":
      return `A cosignature under the key of the witness ${caveat.witness} is not valid, and did not count.`;
    case "anchoring_not_checked":
      return `The proof was anchored more than once, and one of these was not checked. ${failureSentence(caveat.cause, hints)}`;
    case "whose_witnesses": {
      const own =
        caveat.own.length === 0 ? "" : ` Named under the operator's own domain: ${caveat.own.join(", ")}.`;
      const names = caveat.cosigned.join(", ");
      return `That ${names} ${caveat.cosigned.length === 1 ? "is" : "are"} independent of the operator: the policy is your own word for that.${own}`;
    }
    case "truth_and_completeness":
      return "That what the event says is true, its own time included, that the access was justified, or that every event was posted: no inclusion proof shows it.";
  }
}

function nameKey(vkey: Vkey): string {
  return vkey.type === MLDSA44_COSIGNATURE ? `${keyLabel(vkey)} (ML-DSA-44)` : keyLabel(vkey);
}

const LOGS = { log: "log", anchor: "anchor log" } as const;

function failureSentence(failure: VerifyFailure, hints: Hints): string {
  if ("cause" in failure) {
    const { step, code, cause, opening } = failure;
    return `${explain(step, code, opening)} (${cause.message.replace(/\.$/, "")}.)`;
  }
  switch (failure.code) {
    case "converted": {
      const undone = failure.conversions.map((conversion) => UNDONE[conversion]).join(", and ");
      return failure.step === "proof"
        ? `The proof file was converted on its way: ${undone}, it is a proof of this event, and nothing else was changed. Save it so, or fetch it again.`
        : `The event was converted on its way: ${undone}, it is byte for byte the event in the log, and nothing else was changed. As it is now, it is not that event.`;
    }
    case "no_opening":
      return (
        "The proof does not carry the event's opening, so nothing ties the event to it. " +
        "Give the opening, or the tenant key that the event was committed with."
      );
    case "unknown_key": {
      const log = LOGS[failure.step];
      return `The checkpoint is of the ${log} ${quoted(failure.origin)}, and the pinned key of ${failure.pinned.join(", ")}. Check that key and proof are of one ${log}.`;
    }
    case "same_log":
      return "The anchor part is of the log itself, and no log anchors itself. Pin the anchor log's own keys.";
    case "two_histories":
      return `The proof holds two trees of the anchor log ${failure.origin} of ${failure.size} entries, both signed by a pinned key, and they differ: the log has shown two histories. Keep the proof, it is evidence, and show it to those who watch the log.`;
    case "too_low":
      return `The proof holds, but only at assurance ${failure.reached}, and ${failure.required} is required. ${sayAll(failure.why, hints)}`;
    case "missing_signature":
      return `The proof holds, but every kind of pinned key is required, and there is no signature by ${failure.vkeys.map(nameKey).join(", ")}. Fetch the proof again, or ask the operator why.`;
    case "no_timestamp":
      return `The proof holds, but a timestamp from outside is required. ${sayAll(failure.why, hints)}`;
  }
}

function sayAll(why: readonly Caveat[], hints: Hints): string {
  return why.map((caveat) => sayCaveat(caveat, hints)).join(" ");
}

const UNDONE: Record<Conversion, string> = {
  to_utf8: "in UTF-8 in place of UTF-16",
  without_bom: "without the byte order mark at its start",
  with_bom: "with a byte order mark at its start",
  lf: "with the line ending LF in place of CRLF",
  crlf: "with the line ending CRLF in place of LF",
  without_final_newline: "without the newline at its end",
  with_final_lf: "with a newline (LF) at its end",
  with_final_crlf: "with a newline (CRLF) at its end",
  with_final_cr: "with a CR at its end",
  compact_json: "as JSON without white space",
  indented_json: "as JSON with indented lines",
  without_space_around: "without the white space around it",
};

function explain(step: VerifyStep, code: VerifyFailure["code"], opening: OpeningFrom | undefined): string {
  if (step === "proof") {
    return "The proof file cannot be read: it is no proof, or was altered or cut. Fetch it again.";
  }
  if (step === "opening") return unopened(code);
  if (step === "policy") {
    const why = "The policy does not accept the anchor log's checkpoint. Check where each is from.";
    return code === "unknown_key" ? `${why} ${MAYBE_ROTATED}` : why;
  }
  const log = step === "log" ? "log" : "anchor log";
  if (code === "unknown_key")
    return `The checkpoint is not signed by a pinned key of the ${log}. ${MAYBE_ROTATED}`;
  if (code === "bad_signature") {
    return `The checkpoint was altered after the ${log} had signed it, or the pinned key is not the one that signed.`;
  }
  if (code === "malformed")
    return `The proof's ${log} part cannot be read: it was altered or cut. Fetch it again.`;
  return step === "log"
    ? otherEntry(opening)
    : "The log's checkpoint is not the one in the anchor log: one of them was altered, or they are not of one proof. Fetch it again.";
}

function unopened(code: VerifyFailure["code"]): string {
  if (code === "malformed_json" || code === "not_canonicalisable") {
    return "The event is not what the opening was made for, JSON that RFC 8785 can write: it was altered, or event and opening do not belong together.";
  }
  return "The opening cannot be read: it is of another version of Kedge, or was altered. Give the one that the event was committed with.";
}

/** The tree is as the log signed it, so it is the rest that does not fit; which of it, no hash can tell. */
function otherEntry(opening: OpeningFrom | undefined): string {
  if (opening === undefined) {
    return "The commitment is not the entry that the proof is of: one of them was altered, or they do not belong together.";
  }
  const rest =
    "To find out: compare the event with the copy that was committed, and see whether the proof is that of another event.";
  if (opening === "derived") {
    return `The event is not the entry that the proof is of: event or proof was altered, or they do not belong together, or the event was committed with another tenant key, media type, canonicalisation, source or number. ${rest}`;
  }
  return `The event is not the entry that the proof is of: event, opening or proof was altered, or they do not belong together. Conversions of line endings, of the encoding and of JSON's white space were tried: it is none of them. ${rest}`;
}
