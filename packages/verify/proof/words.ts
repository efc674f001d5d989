/** What the verifier found, in words for people: for a terminal or a page. No sentence names a command's flag. */
import { keyId, keyLabel, MAYBE_ROTATED, quoted } from "../text.ts";
import { MLDSA44_COSIGNATURE, type Vkey } from "../tlog/note.ts";
import type {
  AnchoringReport,
  Caveat,
  ShownTimestamp,
  SignedTime,
  VerifyFailure,
  VerifyReport,
  VerifyStep,
} from "./verify.ts";

/** Where the reader finds what a sentence asks for, by the fact's code: it goes in brackets before the last full stop. */
export type Hints = Partial<Record<Caveat["code"] | VerifyFailure["code"], string>>;

/** A report as it is told and kept: facts beside sentences. */
export type ToldReport = Pick<
  VerifyReport,
  "proven" | "assurance" | "commitment" | "log" | "anchor" | "times" | "timestamps"
> & {
  others?: Omit<AnchoringReport, "signers">[];
  /** What was proven, in plain words. */
  statements: string[];
  /** What was not. */
  caveats: string[];
  /** `message`: what failed and what to do. */
  failure?: { step: VerifyStep; code: VerifyFailure["code"]; message: string };
};

export function tellReport(report: VerifyReport, hints: Hints = {}): ToldReport {
  const { opening: _, signers: __, witnesses: ___, others, caveats, failure, ...facts } = report;
  return {
    ...facts,
    ...(others && { others: others.map(({ signers: ____, ...other }) => other) }),
    times: facts.times.map((time) => ({ ...time, by: sayBy(time) })),
    statements: statements(report),
    caveats: caveats.map((caveat) => sayCaveat(caveat, hints)),
    ...(failure && {
      failure: { step: failure.step, code: failure.code, message: sayFailure(failure, hints) },
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

function statements({ proven, opening, log, anchor, signers, witnesses, ...report }: VerifyReport): string[] {
  if (!proven || log === undefined || signers === undefined) return [];
  const lines = [
    `${opening === undefined ? "The commitment" : "The event"} stands at index ${log.index} in the log ${log.origin}, whose ${keys(signers.log)} signed its tree of ${log.treeSize} entries.`,
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
    lines.push(
      `That signed tree stands at index ${anchor.index} in the public anchor log ${anchor.origin}, whose ${keys(signers.anchor)} signed its tree of ${anchor.treeSize} entries.`,
    );
  }
  if (witnesses !== undefined) {
    lines.push(`The policy's quorum has cosigned the anchor log: ${cosigners(witnesses)}.`);
  }
  for (const timestamp of report.timestamps ?? []) lines.push(timestampLine(timestamp));
  const latest = latestOf(report.times);
  if (latest !== undefined) lines.push(existedBy(latest));
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

function existedBy(time: SignedTime): string {
  if (time.kind === "witness") {
    return `It existed by ${time.at}: the latest time that a witness signed (${time.by}).`;
  }
  if (time.kind === "operator") return `It existed by ${time.at}, by the operator's own clock (${time.by}).`;
  return `It existed by ${time.at}: the latest time that a timestamp shows (${quoted(sayBy(time))}).`;
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
  return `${cosigned.length} of its ${listed} witnesses${which}`;
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
      return "No witness is shown: cosignatures were not checked, no policy was given.";
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
    case "truth_and_completeness":
      return "No inclusion proof shows that what the event says is true, or that every event was posted.";
  }
}

function nameKey(vkey: Vkey): string {
  return vkey.type === MLDSA44_COSIGNATURE ? `${keyLabel(vkey)} (ML-DSA-44)` : keyLabel(vkey);
}

const LOGS = { log: "log", anchor: "anchor log" } as const;

function failureSentence(failure: VerifyFailure, hints: Hints): string {
  if ("cause" in failure) {
    const { step, code, cause } = failure;
    return `${explain(step, code)} (${cause.message.replace(/\.$/, "")}.)`;
  }
  switch (failure.code) {
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
