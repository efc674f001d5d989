/**
 * Evidence against a log, for a third party who has nothing but the log's pinned keys. Pure; no I/O.
 *
 * A tree of one root and size has one prefix of each size. So two checkpoints signed for one log contradict each other
 * when they are proven to begin with different trees of one size: by RFC 6962 §2.1.2, which any tool can check.
 */
import { quoted } from "../text.ts";
import { encodeBase64, equalBytes, parseDecimal } from "../tlog/bytes.ts";
import { type Checkpoint, openCheckpoint, parseCheckpoint } from "../tlog/checkpoint.ts";
import { TlogError } from "../tlog/error.ts";
import { decodeHash, leafHash, verifyConsistency } from "../tlog/merkle.ts";
import type { Vkey } from "../tlog/note.ts";
import { parseProof, verifyProof } from "../tlog/proof.ts";
import { TILE_HEIGHT, type TileMap } from "../tlog/tile.ts";
import { consistencyProof, rootFromTiles } from "../tlog/tileproof.ts";

/** Two checkpoints of the log, and the root that each has at `size`, decimal, with its consistency proof from there. */
export type Fork = {
  kind: "fork";
  checkpoints: [string, string];
  size: string;
  roots: [string, string];
  proofs: [string[], string[]];
};

/**
 * - `fork`: two checkpoints that begin with different trees
 * - `entries`: two entries of the log that contradict each other, as they stand in it; a tlog-proof of each
 * - `unproven`: two checkpoints that nobody could show to be of one history: for the log to explain
 *
 * Notes are verbatim, hashes base64.
 */
export type Evidence =
  | Fork
  | { kind: "entries"; entries: [string, string]; proofs?: [string, string] | undefined }
  | { kind: "unproven"; checkpoints: [string, string] };

/** A signed tree and what is known of it: nothing in `tiles` is trusted. */
export type SignedTree = { note: string; checkpoint: Checkpoint; tiles: TileMap };

/** Whether two trees are of one history; `unknown` when the tiles do not show it. */
export function compareTrees(a: SignedTree, b: SignedTree): Fork | "same" | "unknown" {
  const least = a.checkpoint.size < b.checkpoint.size ? a.checkpoint.size : b.checkpoint.size;
  for (const size of prefixSizes(least)) {
    const [first, second] = [prefixOf(a, size), prefixOf(b, size)];
    if (first === undefined || second === undefined) continue;
    if (equalBytes(first.root, second.root)) return size === least ? "same" : "unknown";
    return forkOf(size, { note: a.note, ...first }, { note: b.note, ...second });
  }
  return least === 0n ? "same" : "unknown";
}

/** The root of a signed tree at some size, and the consistency proof from there. */
type Side = { note: string; root: Uint8Array; proof: readonly Uint8Array[] };

/** Two signed trees whose roots at `size` differ. */
export function forkOf(size: bigint, a: Side, b: Side): Fork {
  return {
    kind: "fork",
    checkpoints: [a.note, b.note],
    size: String(size),
    roots: [encodeBase64(a.root), encodeBase64(b.root)],
    proofs: [a.proof.map(encodeBase64), b.proof.map(encodeBase64)],
  };
}

/** A size, and the smaller ones at which whole tiles end: where trees may be compared by fewer tiles. */
export function prefixSizes(size: bigint): bigint[] {
  const sizes = Array.from({ length: 8 }, (_, level) => {
    const bits = BigInt(TILE_HEIGHT * level);
    return (size >> bits) << bits;
  });
  return [...new Set(sizes)].filter((prefix) => prefix > 0n);
}

/** The tree's root at a smaller size, with its proof; undefined when the tiles do not lead to the signed root. */
function prefixOf(
  { checkpoint, tiles }: SignedTree,
  from: bigint,
): { root: Uint8Array; proof: Uint8Array[] } | undefined {
  const { size: to, root: toRoot } = checkpoint;
  if (from === to) return { root: toRoot, proof: [] };
  try {
    const root = rootFromTiles(from, tiles);
    const proof = consistencyProof(from, to, tiles);
    verifyConsistency({ from, to, fromRoot: root, toRoot, proof });
    return { root, proof };
  } catch (error) {
    if (error instanceof TlogError) return undefined;
    throw error;
  }
}

/** What a log signed, or a log holds of another, that contradict each other. Sizes are decimal. */
export type Contradiction = {
  kind: "signed_two_roots" | "signed_two_histories" | "holds_two_roots" | "holds_shrunk";
  /** The log that contradicts itself, and the one whose entries or signatures show it. */
  origin: string;
  owner: string;
  /** In the order in which they were signed, or stand. */
  sizes: readonly [bigint, bigint];
  /** How many entries are known to differ. */
  prefix?: string;
};

export type Verdict =
  | { convincing: true; contradiction: Contradiction }
  | { convincing: false; cause: TlogError };

/** Under pinned keys, each for the log that it is named after. Never throws for what the evidence holds. */
export function checkEvidence(evidence: Evidence, vkeys: readonly Vkey[]): Verdict {
  try {
    if (evidence.kind === "fork") return convincing(checkFork(evidence, vkeys));
    if (evidence.kind === "entries") return convincing(checkEntries(evidence, vkeys));
    const [a, b] = evidence.checkpoints.map((note) => openOwn(note, vkeys).size);
    throw new TlogError(
      "bad_proof",
      `Both checkpoints are signed, of ${a} and of ${b} entries, and nothing here shows that they contradict each other: ask the log for a consistency proof`,
    );
  } catch (error) {
    if (!(error instanceof TlogError)) throw error;
    return { convincing: false, cause: error };
  }
}

const convincing = (contradiction: Contradiction): Verdict => ({ convincing: true, contradiction });

/** The log that a checkpoint says it is of, and the keys that are pinned for that one: another's signature is none. */
function ownKeys(note: string, vkeys: readonly Vkey[]): { origin: string; vkeys: Vkey[] } {
  const { origin } = parseCheckpoint(note).checkpoint;
  return { origin, vkeys: vkeys.filter(({ name }) => name === origin) };
}

const openOwn = (note: string, vkeys: readonly Vkey[]): Checkpoint =>
  openCheckpoint(note, ownKeys(note, vkeys)).checkpoint;

function checkFork({ checkpoints, size, roots, proofs }: Fork, vkeys: readonly Vkey[]): Contradiction {
  const from = parseDecimal(size, "The size");
  const [a, b] = [openOwn(checkpoints[0], vkeys), openOwn(checkpoints[1], vkeys)];
  if (a.origin !== b.origin || roots[0] === roots[1]) {
    throw new TlogError("bad_proof", "Checkpoints of two logs, or of one tree, are no contradiction");
  }
  for (const [i, { size: to, root: toRoot }] of [a, b].entries()) {
    const fromRoot = decodeHash(roots[i] ?? "", "A root");
    const proof = (proofs[i] ?? []).map((hash) => decodeHash(hash, "A hash of the proof"));
    verifyConsistency({ from, to, fromRoot, toRoot, proof });
  }
  const common = { origin: a.origin, owner: a.origin, sizes: [a.size, b.size] as const };
  return a.size === from && b.size === from
    ? { kind: "signed_two_roots", ...common }
    : { kind: "signed_two_histories", ...common, prefix: size };
}

/** Signed by the tenant log's own key, or put into the log by the log: one of the two is enough. */
function checkEntries(
  { entries, proofs }: Extract<Evidence, { kind: "entries" }>,
  vkeys: readonly Vkey[],
): Contradiction {
  const [first, second] = entries.map((entry) => parseCheckpoint(entry).checkpoint);
  if (first === undefined || second === undefined || first.origin !== second.origin) {
    throw new TlogError("bad_proof", "The entries are of two logs: they do not contradict each other");
  }
  const [{ origin }, sizes] = [first, [first.size, second.size] as const];
  const twoRoots = first.size === second.size && !equalBytes(first.root, second.root);
  if (twoRoots && areSigned(entries, vkeys)) {
    return { kind: "signed_two_roots", origin, owner: origin, sizes };
  }
  if (proofs === undefined) {
    throw new TlogError(
      "bad_proof",
      `No proof shows that these entries are in the log: pin the key of ${quoted(origin)}`,
    );
  }
  const [before, after] = [
    proveEntry(entries[0], proofs[0], vkeys),
    proveEntry(entries[1], proofs[1], vkeys),
  ];
  const owner = before.origin;
  if (twoRoots && before.origin === after.origin) {
    return { kind: "holds_two_roots", origin, owner, sizes };
  }
  const isOrdered = before.note === after.note && before.index < after.index;
  if (isOrdered && second.size < first.size) {
    return { kind: "holds_shrunk", origin, owner, sizes };
  }
  throw new TlogError("bad_proof", "The entries do not contradict each other");
}

/** Where the entry stands, and in the tree of which checkpoint. */
function proveEntry(entry: string, text: string, vkeys: readonly Vkey[]) {
  const proof = parseProof(text);
  const own = ownKeys(proof.checkpoint, vkeys);
  verifyProof({ proof, leafHash: leafHash(new TextEncoder().encode(entry)), ...own });
  return { origin: own.origin, note: proof.checkpoint, index: proof.index };
}

function areSigned(notes: readonly string[], vkeys: readonly Vkey[]): boolean {
  try {
    for (const note of notes) openOwn(note, vkeys);
    return true;
  } catch (error) {
    if (error instanceof TlogError) return false;
    throw error;
  }
}
