/** Keys as they are pasted or dropped: a policy, or verifier keys one a line. A key is of the kind of log that its name says. */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import { TlogError } from "../tlog/error.ts";
import { formatVkey, parseVkey, type Vkey } from "../tlog/note.ts";
import { formatPolicy, type Policy, parsePolicy } from "../tlog/policy.ts";
import { isAnchorOrigin, isLogOrigin, splitPolicy } from "./origins.ts";
import type { VerifyTrust } from "./verify.ts";

/** What proofs are held against: keys of the tenants' logs, keys of the anchor log, its witnesses and quorum. */
export type Keys = Pick<VerifyTrust, "logVkeys" | "anchorVkeys" | "policy">;

export const NO_KEYS: Keys = { logVkeys: [], anchorVkeys: [] };

/** Throws TlogError for what is neither. Line endings, and a last line without one, are the text field's affair. */
export function parseKeys(text: string): Keys {
  const lines = text
    .replaceAll("\r\n", "\n")
    .split("\n")
    .map((line) => line.trim());
  const own = lines.filter((line) => line !== "" && !line.startsWith("#"));
  if (own.length === 0) return NO_KEYS;
  if (own.some((line) => /^(log|witness|group|quorum)[ \t]/.test(line))) {
    const { anchor: policy, logs } = splitPolicy(parsePolicy(`${lines.join("\n")}\n`));
    return {
      logVkeys: logs.map(({ vkey }) => vkey),
      anchorVkeys: policy.logs.map(({ vkey }) => vkey),
      policy,
    };
  }
  const vkeys = own.flatMap((line) => line.split(/\s+/)).map(parseVkey);
  return {
    logVkeys: vkeys.filter(({ name }) => !isAnchorOrigin(name)),
    anchorVkeys: vkeys.filter(({ name }) => !isLogOrigin(name)),
  };
}

/** Of several texts. Throws TlogError as `parseKeys`, and for two policies: which of them counts is for the reader to say. */
export function joinKeys(all: readonly Keys[]): Keys {
  const policies = all.flatMap(({ policy }) => policy ?? []);
  const [policy, other] = policies;
  if (policy !== undefined && other !== undefined && JSON.stringify(policy) !== JSON.stringify(other))
    throw new TlogError("malformed", "Two different policies were given");
  return {
    logVkeys: distinct(all.flatMap(({ logVkeys }) => logVkeys)),
    anchorVkeys: distinct(all.flatMap(({ anchorVkeys }) => anchorVkeys)),
    ...(policy && { policy }),
  };
}

/** As one file: keys without a policy make one whose quorum is none. A key that is of either kind of log stands in it once. */
export function policyText({ logVkeys, anchorVkeys, policy }: Keys): string {
  const logs = distinct([...logVkeys, ...anchorVkeys]).map((vkey) => ({ vkey }));
  return formatPolicy({ witnesses: [], groups: [], quorum: "none", ...policy, logs });
}

/**
 * SHA-256 of the vkey as text, lower-case hex: what keys are compared by. The number in a vkey has 32 bits, so that somebody with a
 * day to spend has another key of the same name and number.
 */
export const fingerprint = (vkey: Vkey): string => bytesToHex(sha256(utf8ToBytes(formatVkey(vkey))));

/** The group that the quorum names, with its members, or what it names: a group's name says nothing of how many it needs. */
export function quorumText({ quorum, groups }: Policy): string {
  const group = groups.find(({ name }) => name === quorum);
  return group === undefined
    ? quorum
    : `${group.threshold} / ${group.members.length}: ${group.members.join(", ")}`;
}

const distinct = (vkeys: readonly Vkey[]): Vkey[] => [
  ...new Map(vkeys.map((vkey) => [formatVkey(vkey), vkey])).values(),
];
