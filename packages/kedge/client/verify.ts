/** Verifying proofs offline, against keys and a policy that were pinned: texts, as whoever vouches for them hands them out. */
import { type Assurance, type VerifyClaim, type VerifyReport, verifyEvent } from "@kedge/verify/proof/verify";
import { parseVkey } from "@kedge/verify/tlog/note";
import { parsePolicy } from "@kedge/verify/tlog/policy";

export type Pins = {
  /** Of the log, those of before a rotation too. Not what the service says: who serves a log cannot vouch for its keys. */
  logVkeys: readonly string[];
  anchorVkeys: readonly string[];
  /** The witnesses that must have cosigned the anchor log, as c2sp.org/tlog-policy has them. */
  policy?: string;
  /** Less than this is not proven. */
  require?: Assurance;
};

/** Throws TlogError for a key or a policy that is malformed. What it returns throws nothing: a report says what is shown. */
export function openVerifier({
  logVkeys,
  anchorVkeys,
  policy,
  require,
}: Pins): (claim: VerifyClaim) => VerifyReport {
  const trust = {
    logVkeys: logVkeys.map(parseVkey),
    anchorVkeys: anchorVkeys.map(parseVkey),
    ...(policy === undefined ? {} : { policy: parsePolicy(policy) }),
    ...(require === undefined ? {} : { require }),
  };
  return (claim) => verifyEvent({ ...claim, ...trust });
}
