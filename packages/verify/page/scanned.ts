/**
 * What a report's QR code says after the `#` of this page's address. A fragment is sent to no server. It says which tree of a log
 * the paper rests on, of a report of one row also which record, and proves nothing by itself: it is compared with what is given
 * here. Pure.
 */
import { decodeBase64 } from "@kedge/verify/tlog/bytes";
import { leafHash } from "@kedge/verify/tlog/merkle";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";

/**
 * `index` and `size` are decimal; `leaf`, `root`, and `evidence` (SHA-256 of the pack's EVIDENCE-SHA256) are lower-case hex of 32
 * bytes. Each that is there is compared.
 */
export type Scanned = Partial<Record<(typeof MEMBERS)[number], string>>;

export const MEMBERS = ["log", "index", "size", "leaf", "root", "evidence"] as const;
const HASH = /^[0-9a-f]{64}$/;
const FORM: Record<(typeof MEMBERS)[number], RegExp> = {
  log: /^[\x21-\x7e]{1,256}$/,
  index: /^(0|[1-9]\d{0,18})$/,
  size: /^[1-9]\d{0,18}$/,
  leaf: HASH,
  root: HASH,
  evidence: HASH,
};

/** Undefined for a fragment that speaks of no tree and no record. What is malformed in it is left out. */
export function parseScanned(fragment: string): Scanned | undefined {
  const given = new URLSearchParams(fragment.replace(/^#/, "").slice(0, 1_024));
  const scanned: Scanned = {};
  for (const member of MEMBERS) {
    const value = given.get(member);
    if (value !== null && FORM[member].test(value)) scanned[member] = value;
  }
  return scanned.leaf === undefined && scanned.root === undefined ? undefined : scanned;
}

/** What of a checked record the code is compared with, and of its pack. */
export type Shown = {
  commitment?: string;
  log?: { origin: string; index: string; treeSize: string; root: string };
};

/** Whether the paper speaks of this record, or rests on the tree that it stands in; where a pack was given, as that pack's report. */
export function isScanned(scanned: Scanned, { commitment, log }: Shown, evidence?: string): boolean {
  if (commitment === undefined || log === undefined) return false;
  // In this order, so that of many rows few are hashed.
  const shown: Record<(typeof MEMBERS)[number], () => string | undefined> = {
    log: () => log.origin,
    index: () => log.index,
    size: () => log.treeSize,
    leaf: () => bytesToHex(leafHash(hexToBytes(commitment))),
    root: () => bytesToHex(decodeBase64(log.root, "The root")),
    evidence: () => evidence ?? scanned.evidence,
  };
  return MEMBERS.every((member) => scanned[member] === undefined || scanned[member] === shown[member]());
}
