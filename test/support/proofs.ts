/** A tenant log, its anchor log and two witnesses, made of keys that exist only in the test. */

import { commitEvent, type EventInput, type Opening } from "@kedge/verify/events/commitment";
import { utf8Encode } from "@kedge/verify/tlog/bytes";
import { checkpointBody } from "@kedge/verify/tlog/checkpoint";
import { inclusionRanges, leafHash, rootOf } from "@kedge/verify/tlog/merkle";
import { formatNote, formatVkey } from "@kedge/verify/tlog/note";
import { formatProof } from "@kedge/verify/tlog/proof";
import {
  logSigner,
  mldsaSigner,
  type HeadSigner as Signer,
  witnessSigner,
} from "../packages/verify/tlog/signers.ts";

export { logSigner, mldsaSigner, type Signer, witnessSigner };

export const LOG_ID = "6xq2m4k3v7q2m5xj4t6";
export const LOG_ORIGIN = `audit.example.org/log/${LOG_ID}`;
export const ANCHOR_ORIGIN = "audit.example.org/anchor";
export const OPERATOR_TIME = 1_772_000_000n;
export const WITNESS_TIME = 1_772_000_060n;
export const TENANT_KEY = new Uint8Array(32).fill(7);

export const log = logSigner(LOG_ORIGIN, 1);
export const anchor = logSigner(ANCHOR_ORIGIN, 2);
export const anchorMldsa = mldsaSigner(ANCHOR_ORIGIN, 3, OPERATOR_TIME);
export const witness1 = witnessSigner("witness.example.com/w1", 4, WITNESS_TIME);
export const witness2 = witnessSigner("witness.example.net/w2", 5, WITNESS_TIME + 5n);

export function policyText(quorum: number): string {
  return [
    `log ${formatVkey(anchor.vkey)}`,
    `witness w1 ${formatVkey(witness1.vkey)}`,
    `witness w2 ${formatVkey(witness2.vkey)}`,
    `group all ${quorum} w1 w2`,
    "quorum all",
    "",
  ].join("\n");
}

/** A signed checkpoint of these entries. */
export function signedHead(
  origin: string,
  entries: readonly Uint8Array[],
  signers: readonly Signer[],
): string {
  const head = { origin, size: BigInt(entries.length), root: rootOf(entries.map(leafHash)) };
  return formatNote({ text: checkpointBody(head), signatures: signers.map(({ sign }) => sign(head)) });
}

export function inclusion(entries: readonly Uint8Array[], index: number): Uint8Array[] {
  const leaves = entries.map(leafHash);
  return inclusionRanges(BigInt(index), BigInt(entries.length)).map(({ start, end }) =>
    rootOf(leaves.slice(Number(start), Number(end))),
  );
}

export const filler = (n: number): Uint8Array[] =>
  Array.from({ length: n }, (_, i) => new Uint8Array(32).fill(i + 100));

export const EVENT: EventInput = {
  bytes: new TextEncoder().encode(
    '{"resourceType":"AuditEvent","action":"R","recorded":"2026-03-02T08:00:00Z"}',
  ),
  mediaType: "application/fhir+json",
};

export type Made = { proof: string; commitment: Uint8Array; opening: Opening };

/** The proof file of an event, with as much in it as is asked for. */
export function makeProof(options: {
  event?: EventInput;
  index?: number;
  size?: number;
  logSigners?: readonly Signer[];
  /** Undefined: sealed only. */
  anchorSigners?: readonly Signer[];
  withOpening?: boolean;
  extra?: (extra: Record<string, unknown>) => unknown;
}): Made {
  const {
    event = EVENT,
    index = 3,
    size = 7,
    logSigners = [log],
    anchorSigners,
    withOpening = true,
  } = options;
  const { commitment, opening } = commitEvent(event, { tenantKey: TENANT_KEY });
  const entries = filler(size).with(index, commitment);
  const checkpoint = signedHead(LOG_ORIGIN, entries, logSigners);
  const extra = {
    ...(anchorSigners && { anchor: anchorProof(checkpoint, anchorSigners) }),
    timestamps: [],
    ...(withOpening && { opening }),
  };
  const value = options.extra ? options.extra(extra) : extra;
  const bytes = value instanceof Uint8Array ? value : utf8Encode(JSON.stringify(value), "");
  const proof = formatProof({
    extra: bytes,
    index: BigInt(index),
    hashes: inclusion(entries, index),
    checkpoint,
  });
  return { proof, commitment, opening };
}

export function anchorProof(checkpoint: string, signers: readonly Signer[]): string {
  const entries = filler(5).with(2, utf8Encode(checkpoint, ""));
  return formatProof({
    index: 2n,
    hashes: inclusion(entries, 2),
    checkpoint: signedHead(ANCHOR_ORIGIN, entries, signers),
  });
}
