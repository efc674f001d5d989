/**
 * Timestamps from outside, as a proof carries them, over the anchor log's checkpoint in it: the signed note, whole.
 *
 * Apart from verify.ts because signatures of X.509 need WebCrypto, which is asynchronous: check first, then verify.
 */

import { TimestampError } from "../error.ts";
import { type Anchoring, anchoringsOf, MAX_TIMESTAMPS, parseProofFile } from "../proof/extra.ts";
import type { CheckedTimestamps, ShownTimestamp, VerifyClaim, VerifyReport } from "../proof/verify.ts";
import { decodeBase64, utf8Encode } from "../tlog/bytes.ts";
import { TlogError } from "../tlog/error.ts";
import { parseProof } from "../tlog/proof.ts";
import { type BitcoinBlock, verifyOts } from "./ots.ts";
import { verifyToken } from "./rfc3161.ts";
import type { Timestamp } from "./timestampform.ts";
import type { Cert } from "./x509.ts";

/** Whose word on the time is taken. */
export type TimestampTrust = {
  /** Certificates of timestamping authorities: their roots, or one below. */
  readonly tsaCerts: readonly Cert[];
  /** Blocks of the Bitcoin chain, from a source that the verifier trusts. */
  readonly bitcoinBlocks: readonly BitcoinBlock[];
};

/** `verify`, which is `verifyEvent` or an open verifier, with the timestamps of the proof checked first. */
export function timestampVerifier<Claim extends VerifyClaim>(
  trust: TimestampTrust,
  verify: (claim: Claim) => VerifyReport,
): (claim: Claim) => Promise<VerifyReport> {
  // The proofs of one folder carry few checkpoints, and each its timestamps again.
  let last: { key: string; checked: CheckedTimestamps[] } | undefined;
  return async (claim) => {
    const stamped = stampedAnchorings(claim.proof);
    if (stamped.length === 0) return verify(claim);
    const key = JSON.stringify(stamped);
    if (last?.key !== key) {
      const checks = stamped.map(({ note, timestamps }) => checkTimestamps(note, timestamps, trust));
      last = { key, checked: await Promise.all(checks) };
    }
    return verify({ ...claim, timestamps: last.checked });
  };
}

/** Checks timestamps over a signed note. Never throws for what they hold. */
export async function checkTimestamps(
  note: string,
  timestamps: readonly unknown[],
  trust: TimestampTrust,
): Promise<CheckedTimestamps> {
  const message = utf8Encode(note, "The checkpoint");
  const shown: ShownTimestamp[] = [];
  const refused: TimestampError[] = [];
  for (const timestamp of timestamps.slice(0, MAX_TIMESTAMPS)) {
    try {
      shown.push(await checkOne(timestamp, message, trust));
    } catch (error) {
      if (!(error instanceof TimestampError)) throw error;
      refused.push(error);
    }
  }
  if (timestamps.length > MAX_TIMESTAMPS) {
    const message = `Only the first ${MAX_TIMESTAMPS} timestamps were looked at`;
    refused.push(new TimestampError("unsupported", message));
  }
  return { note, shown, refused };
}

async function checkOne(value: unknown, message: Uint8Array, trust: TimestampTrust): Promise<ShownTimestamp> {
  const timestamp = parseTimestamp(value);
  if (timestamp.type === "ots") {
    const proof = decode(timestamp.proof);
    const { height, time } = verifyOts(proof, message, trust.bitcoinBlocks);
    return { type: "ots", height, ...(time === undefined ? {} : { at: new Date(time).toISOString() }) };
  }
  const token = await verifyToken(decode(timestamp.token), { message, roots: trust.tsaCerts });
  const { genTime, accuracy, serial, policy, tsa } = token;
  const at = new Date(genTime).toISOString();
  return { type: "rfc3161", by: tsa, at, ...(accuracy === undefined ? {} : { accuracy }), serial, policy };
}

/** @throws TimestampError `malformed`, or `unsupported` for another type. */
export function parseTimestamp(value: unknown): Timestamp {
  if (typeof value !== "object" || value === null || !("type" in value)) throw malformed();
  const members = Object.keys(value).length;
  if (value.type === "rfc3161" && "token" in value && typeof value.token === "string" && members === 2) {
    return { type: "rfc3161", token: value.token };
  }
  if (value.type === "ots" && "proof" in value && typeof value.proof === "string" && members === 2) {
    return { type: "ots", proof: value.proof };
  }
  if (value.type === "rfc3161" || value.type === "ots") throw malformed();
  throw new TimestampError("unsupported", "A timestamp is of a type that is not known here");
}

/** The anchor checkpoints of a proof that it has timestamps of. */
function stampedAnchorings(proof: VerifyClaim["proof"]): { note: string; timestamps: unknown[] }[] {
  return readAnchorings(proof).flatMap(({ anchor, timestamps }) => {
    const note = timestamps.length === 0 ? undefined : readNote(anchor);
    return note === undefined ? [] : [{ note, timestamps }];
  });
}

// What is wrong with a proof is the verifier's to say, for both of these.

function readAnchorings(proof: VerifyClaim["proof"]): Anchoring[] {
  try {
    const isFile = typeof proof === "string" || proof instanceof Uint8Array;
    return anchoringsOf((isFile ? parseProofFile(proof) : proof).extra);
  } catch {
    return [];
  }
}

function readNote(anchor: string): string | undefined {
  try {
    return parseProof(anchor).checkpoint;
  } catch {
    return undefined;
  }
}

function decode(base64: string): Uint8Array {
  try {
    return decodeBase64(base64, "The timestamp");
  } catch (cause) {
    if (!(cause instanceof TlogError)) throw cause;
    throw malformed(cause);
  }
}

function malformed(cause?: unknown): TimestampError {
  return new TimestampError("malformed", "A timestamp in the proof is not of the form that Kedge writes", {
    cause,
  });
}
