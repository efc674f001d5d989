/** Signed checkpoints of a log that contradict each other, and what convinces a third party of it. Pure; no I/O. */
import { z } from "zod";
import { decodeBase64, encodeBase64, equalBytes } from "../tlog/bytes.ts";
import { openCheckpoint, parseCheckpoint } from "../tlog/checkpoint.ts";
import { TlogError } from "../tlog/error.ts";
import {
  consistencyRanges,
  frontierRoot,
  perfectSubtrees,
  type Range,
  verifyConsistency,
} from "../tlog/merkle.ts";
import type { Vkey } from "../tlog/note.ts";

/** The log that is audited: its origin, and the keys that are pinned for it. */
export type LogKeys = { origin: string; vkeys: readonly Vkey[] };

/** A checkpoint's signed note, and what it says. */
export type Head = { note: string; size: bigint; root: Uint8Array };
/** `name` says where it is from: a file of the auditor's, or the log's history. */
export type NamedHead = Head & { name: string };

/** Throws TlogError as `openCheckpoint`. */
export function openHead(note: string, log: LogKeys): Head {
  const { size, root } = openCheckpoint(note, log).checkpoint;
  return { note, size, root };
}

/** As `openHead` without its signatures, which only matter of a history's checkpoint that contradicts. Throws TlogError. */
export function parseHead(note: string, { origin }: LogKeys): Head {
  const { checkpoint } = parseCheckpoint(note);
  if (checkpoint.origin !== origin) {
    throw new TlogError("unknown_key", "The history has a checkpoint of another log");
  }
  return { note, size: checkpoint.size, root: checkpoint.root };
}

/** The first signed checkpoint that is not of this tree, and its consistency proof in the making. */
export type Fork = { head: Head; root: Uint8Array; lefts: Map<bigint, Uint8Array>; rights: Growing[] };
export type Growing = Range & { size: bigint; frontier: Uint8Array[] };

export const EVIDENCE = "kedge-audit-evidence/v1";

/**
 * Two signed checkpoints of one log, that of fewer entries first. They contradict each other when `root`, base64, is not
 * the first one's and `proof` shows that the second one's tree grew out of it (RFC 6962 §2.1.2): of the tree that the
 * log signed in the second, the first is no earlier version. Without them, it shows only that a log has shrunk.
 */
export type Evidence = z.infer<typeof evidenceSchema>;

const evidenceSchema = z.strictObject({
  v: z.literal(EVIDENCE),
  checkpoints: z.tuple([z.string(), z.string()]),
  root: z.string().exactOptional(),
  proof: z.array(z.string()).max(128).exactOptional(),
});

/** Throws TlogError `malformed`. */
export function parseEvidence(text: string): Evidence {
  try {
    return evidenceSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new TlogError("malformed", "This is not evidence as kedge audit writes it", { cause });
  }
}

/** What a third party concludes from evidence under its own pinned keys; `failure` says why it does not convince. */
export function checkEvidence(
  { checkpoints, root, proof }: Evidence,
  log: LogKeys,
): { sizes: [bigint, bigint]; failure?: string } {
  const [older, newer] = [openHead(checkpoints[0], log), openHead(checkpoints[1], log)];
  const sizes: [bigint, bigint] = [older.size, newer.size];
  if (root === undefined || proof === undefined) {
    const failure = `The two do not contradict each other. They show that the log once had ${newer.size} entries.`;
    return { sizes, failure };
  }
  const oldRoot = decodeBase64(root, "The root");
  verifyConsistency({
    from: older.size,
    to: newer.size,
    fromRoot: oldRoot,
    toRoot: newer.root,
    proof: proof.map((hash) => decodeBase64(hash, "A hash of the proof")),
  });
  return equalBytes(oldRoot, older.root)
    ? { sizes, failure: "The two do not contradict each other: one tree grew out of the other." }
    : { sizes };
}

/** At the size of `earlier`, whose root is not that of the entries, `root`: their frontier is half of the proof. */
export function startFork(
  earlier: Head,
  root: Uint8Array,
  frontier: readonly Uint8Array[],
  head: Head,
): Fork {
  const starts = perfectSubtrees({ start: 0n, end: earlier.size }).map(
    ({ level, index }) => index << BigInt(level),
  );
  const lefts = new Map(frontier.map((hash, i) => [starts[i] ?? 0n, hash]));
  const rights = consistencyRanges(earlier.size, head.size)
    .filter(({ start }) => start >= earlier.size)
    .map((range) => ({ ...range, size: 0n, frontier: [] }));
  return { head: earlier, root, lefts, rights };
}

/** Of two sizes it takes the entries that the newer root is made of; of one size the checkpoints are enough. */
export function contradictionOf({ head: older, root, lefts, rights }: Fork, newer: Head, isWhole: boolean) {
  const checkpoints: [string, string] = [older.note, newer.note];
  if (older.size === newer.size) {
    if (equalBytes(older.root, newer.root)) return undefined; // the entries are wrong, not the checkpoints
    return { v: EVIDENCE, checkpoints, root: encodeBase64(newer.root), proof: [] } satisfies Evidence;
  }
  if (!isWhole) return undefined;
  const hashes = consistencyRanges(older.size, newer.size).map(({ start }) => {
    const right = rights.find((range) => range.start === start);
    return right === undefined ? lefts.get(start) : frontierRoot(right.frontier);
  });
  const proof = hashes.flatMap((hash) => (hash === undefined ? [] : [encodeBase64(hash)]));
  return { v: EVIDENCE, checkpoints, root: encodeBase64(root), proof } satisfies Evidence;
}
