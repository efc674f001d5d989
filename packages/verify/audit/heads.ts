/** Signed checkpoints of a log that is audited, and the proof in the making that one of them contradicts it. Pure; no I/O. */

import { type Fork, forkOf } from "../evidence/evidence.ts";
import { openCheckpoint, parseCheckpoint } from "../tlog/checkpoint.ts";
import { TlogError } from "../tlog/error.ts";
import {
  consistencyRanges,
  extendFrontier,
  frontierRoot,
  perfectSubtrees,
  type Range,
} from "../tlog/merkle.ts";
import type { Vkey } from "../tlog/note.ts";

/** The log that is audited: its origin, and the keys that are pinned for it. */
export type PinnedLog = { origin: string; vkeys: readonly Vkey[] };

/** A checkpoint's signed note, and what it says. */
export type SignedHead = { note: string; size: bigint; root: Uint8Array };
/** `name` says where it is from: a file of the auditor's, or the log's history. */
export type NamedHead = SignedHead & { name: string };

/** Throws TlogError as `openCheckpoint`. */
export function openHead(note: string, log: PinnedLog): SignedHead {
  const { size, root } = openCheckpoint(note, log).checkpoint;
  return { note, size, root };
}

/** As `openHead` without its signatures, which only matter of a history's checkpoint that contradicts. Throws TlogError. */
export function parseHead(note: string, { origin }: PinnedLog): SignedHead {
  const { checkpoint } = parseCheckpoint(note);
  if (checkpoint.origin !== origin) {
    throw new TlogError("unknown_key", "The history has a checkpoint of another log");
  }
  return { note, size: checkpoint.size, root: checkpoint.root };
}

/**
 * A signed checkpoint that is not of the audited tree, the root that it should have, and for each hash of the consistency
 * proof from there the leaves of its range so far, as a frontier.
 */
export type GrowingFork = { earlier: SignedHead; root: Uint8Array; parts: Part[] };
type Part = Range & { size: bigint; frontier: Uint8Array[] };

/** At the size of `earlier`, where `frontier` is that of the entries: those of its subtrees are in the proof already. */
export function startFork(
  earlier: SignedHead,
  root: Uint8Array,
  frontier: readonly Uint8Array[],
  head: SignedHead,
): GrowingFork {
  const subtrees = perfectSubtrees({ start: 0n, end: earlier.size });
  const known = new Map(
    subtrees.map(({ level, index }, i) => [index << BigInt(level), frontier.slice(i, i + 1)]),
  );
  const parts = consistencyRanges(earlier.size, head.size).map((range) => {
    const frontier = known.get(range.start) ?? [];
    return { ...range, size: frontier.length === 0 ? 0n : range.end - range.start, frontier };
  });
  return { earlier, root, parts };
}

/** Leaves of the tree from `at` on: each part takes those of its range. */
export function growFork({ parts }: GrowingFork, at: bigint, leaves: readonly Uint8Array[]): void {
  for (const part of parts) {
    const next = part.start + part.size;
    if (next >= part.end || next >= at + BigInt(leaves.length)) continue;
    const own = leaves.slice(Number(next - at), Number(part.end - at));
    part.frontier = extendFrontier(part.size, part.frontier, own);
    part.size += BigInt(own.length);
  }
}

/** Once the leaves of `head` were given, and make its root; of two checkpoints of one size, without any. */
export function finishFork({ earlier, root, parts }: GrowingFork, { note }: SignedHead): Fork {
  const proof = parts.map(({ frontier }) => frontierRoot(frontier));
  return forkOf(earlier.size, { ...earlier, proof: [] }, { note, root, proof });
}
