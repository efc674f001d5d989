/**
 * Evidence against a log, for a third party who has nothing but the log's pinned keys. Pure; no I/O.
 *
 * A tree of one root and size has one prefix of each size. So two checkpoints signed for one log contradict each other
 * when they are proven to begin with different trees of one size: by RFC 6962 §2.1.2, which any tool can check.
 */
import { z } from "zod";
import { decodeHash, encodeBase64, equalBytes, parseDecimal } from "../tlog/bytes.ts";
import { type Checkpoint, openCheckpoint, parseCheckpoint } from "../tlog/checkpoint.ts";
import { TlogError } from "../tlog/error.ts";
import { leafHash, verifyConsistency } from "../tlog/merkle.ts";
import type { Vkey } from "../tlog/note.ts";
import { parseProof, verifyProof } from "../tlog/proof.ts";
import { TILE_HEIGHT, type TileMap } from "../tlog/tile.ts";
import { consistencyProof, rootFromTiles } from "../tlog/tileproof.ts";
import { quoted } from "./text.ts";

const text = z.string().max(1 << 20);
const hashes = z.array(z.string().max(64)).max(64);

/**
 * - `fork`: two checkpoints of the log, `size`, and the root that each has at that size, with its consistency proof
 * - `entries`: two entries of the log that contradict each other, as they stand in it; a tlog-proof of each
 * - `unproven`: two checkpoints that nobody could show to be of one history: for the log to explain
 *
 * Notes are verbatim, hashes base64, the size decimal.
 */
const evidenceSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("fork"),
    checkpoints: z.tuple([text, text]),
    size: z.string().max(19),
    roots: z.tuple([z.string().max(64), z.string().max(64)]),
    proofs: z.tuple([hashes, hashes]),
  }),
  z.strictObject({
    kind: z.literal("entries"),
    entries: z.tuple([text, text]),
    proofs: z.tuple([text, text]).optional(),
  }),
  z.strictObject({ kind: z.literal("unproven"), checkpoints: z.tuple([text, text]) }),
]);

export type Evidence = z.infer<typeof evidenceSchema>;
export type Fork = Extract<Evidence, { kind: "fork" }>;

/** One line of an evidence file. Throws TlogError `malformed`. */
export function parseEvidence(line: string): Evidence {
  try {
    return evidenceSchema.parse(JSON.parse(line));
  } catch (cause) {
    throw new TlogError("malformed", "This is not a line of evidence as kedge monitor writes it", { cause });
  }
}

/** A signed tree and what is known of it: nothing in `tiles` is trusted. */
export type SignedTree = { note: string; checkpoint: Checkpoint; tiles: TileMap };

/** Whether two trees are of one history; `unknown` when the tiles do not show it. */
export function compareTrees(a: SignedTree, b: SignedTree): Fork | "same" | "unknown" {
  const least = a.checkpoint.size < b.checkpoint.size ? a.checkpoint.size : b.checkpoint.size;
  for (const size of prefixSizes(least)) {
    const [first, second] = [prefixOf(a, size), prefixOf(b, size)];
    if (first === undefined || second === undefined) continue;
    if (equalBytes(first.root, second.root)) return size === least ? "same" : "unknown";
    return {
      kind: "fork",
      checkpoints: [a.note, b.note],
      size: String(size),
      roots: [encodeBase64(first.root), encodeBase64(second.root)],
      proofs: [first.proof.map(encodeBase64), second.proof.map(encodeBase64)],
    };
  }
  return least === 0n ? "same" : "unknown";
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

/** The keys that evidence is checked with: the accused log's, all of one name, and those of tenants' logs, maybe none. */
export type EvidenceKeys = { origin: string; vkeys: readonly Vkey[]; logVkeys: readonly Vkey[] };

export type Verdict = { convincing: boolean; message: string };

/** Never throws for what the evidence holds. */
export function checkEvidence(evidence: Evidence, keys: EvidenceKeys): Verdict {
  try {
    if (evidence.kind === "fork") return convincing(checkFork(evidence, keys));
    if (evidence.kind === "entries") return convincing(checkEntries(evidence, keys));
    for (const note of evidence.checkpoints) openCheckpoint(note, keys);
    throw new TlogError(
      "bad_proof",
      "Both checkpoints are signed, and nothing here shows that they contradict each other: ask the log for a consistency proof",
    );
  } catch (error) {
    if (!(error instanceof TlogError)) throw error;
    return { convincing: false, message: error.message };
  }
}

const convincing = (message: string): Verdict => ({ convincing: true, message });

function checkFork({ checkpoints, size, roots, proofs }: Fork, keys: EvidenceKeys): string {
  const from = parseDecimal(size, "The size");
  const [first, second] = roots.map((root) => decodeHash(root, "A root"));
  if (first === undefined || second === undefined || equalBytes(first, second)) {
    throw new TlogError("bad_proof", "Two equal trees are no contradiction");
  }
  const signed = checkpoints.map((note) => openCheckpoint(note, keys).checkpoint);
  for (const [i, { size: to, root: toRoot }] of signed.entries()) {
    const proof = (proofs[i] ?? []).map((hash) => decodeHash(hash, "A hash of the proof"));
    verifyConsistency({ from, to, fromRoot: i === 0 ? first : second, toRoot, proof });
  }
  const [a, b] = signed.map(({ size }) => size);
  return a === from && b === from
    ? `${quoted(keys.origin)} signed two roots for one size, ${size}.`
    : `${quoted(keys.origin)} signed two histories, of ${a} and of ${b} entries: their first ${size} entries differ.`;
}

/** Signed by the tenant log's own key, or put into the log by the log: one of the two is enough. */
function checkEntries(
  { entries, proofs }: Extract<Evidence, { kind: "entries" }>,
  keys: EvidenceKeys,
): string {
  const [first, second] = entries.map((entry) => parseCheckpoint(entry).checkpoint);
  if (first === undefined || second === undefined || first.origin !== second.origin) {
    throw new TlogError("bad_proof", "The entries are of two logs: they do not contradict each other");
  }
  const log = quoted(first.origin);
  const twoRoots = first.size === second.size && !equalBytes(first.root, second.root);
  if (twoRoots && areSigned(entries, first.origin, keys.logVkeys)) {
    return `${log} signed two roots for one size, ${first.size}.`;
  }
  if (proofs === undefined) {
    throw new TlogError(
      "bad_proof",
      `No proof shows that these entries are in the log: give --log-vkey of ${log}`,
    );
  }
  const [before, after] = entries.map((entry, i) => {
    const proof = parseProof(proofs[i] ?? "");
    const hash = leafHash(new TextEncoder().encode(entry));
    verifyProof({ proof, leafHash: hash, origin: keys.origin, vkeys: keys.vkeys });
    return proof;
  });
  const owner = quoted(keys.origin);
  if (twoRoots) return `${owner} holds two roots of ${log} for one size, ${first.size}.`;
  const isOrdered =
    before !== undefined && before.checkpoint === after?.checkpoint && before.index < after.index;
  if (isOrdered && second.size < first.size) {
    return `${owner} holds ${log} with ${first.size} entries and, later, with ${second.size}.`;
  }
  throw new TlogError("bad_proof", "The entries do not contradict each other");
}

function areSigned(notes: readonly string[], origin: string, vkeys: readonly Vkey[]): boolean {
  try {
    for (const note of notes)
      openCheckpoint(note, { origin, vkeys: vkeys.filter(({ name }) => name === origin) });
    return true;
  } catch (error) {
    if (error instanceof TlogError) return false;
    throw error;
  }
}
