/**
 * The Merkle tree of RFC 6962 §2.1, its inclusion proofs (§2.1.1) and its consistency proofs (§2.1.2).
 *
 *     leaf  = SHA-256(0x00 ‖ entry)        node = SHA-256(0x01 ‖ left ‖ right)        empty root = SHA-256("")
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { checkUint63, decodeBase64, equalBytes } from "./bytes.ts";
import { TlogError } from "./error.ts";

/** Bytes of a SHA-256 hash. */
export const HASH_SIZE = 32;

/** MTH of no entries: SHA-256 of the empty string (RFC 6962 §2.1). */
export const EMPTY_ROOT: Uint8Array = sha256(new Uint8Array());

/** SHA-256(0x00 ‖ entry), RFC 6962 §2.1. */
export function leafHash(entry: Uint8Array): Uint8Array {
  return sha256.create().update(Uint8Array.of(0x00)).update(entry).digest();
}

// One buffer for every node: V8 allocates arrays above 64 bytes outside its heap, which takes longer than hashing them.
const NODE = Uint8Array.of(0x01, ...new Uint8Array(2 * HASH_SIZE));

/** SHA-256(0x01 ‖ left ‖ right), RFC 6962 §2.1. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  NODE.set(checkHash(left), 1);
  NODE.set(checkHash(right), 1 + HASH_SIZE);
  return sha256(NODE);
}

/** Writes the SHA-256 of `message` to `out` at `at`. What hashes many nodes takes one, so that a server may have a faster. */
export type Sha256 = (message: Uint8Array, out: Uint8Array, at: number) => void;

/** By @noble, which runs everywhere. */
export const sha256Into: Sha256 = (message, out, at) => out.set(sha256(message), at);

/**
 * Returns a hash of 32 bytes and throws `malformed` for any other length, which would shift the
 * boundary between left and right in a node, or between the hashes of a tile.
 */
export function checkHash(hash: Uint8Array): Uint8Array {
  if (hash.length !== HASH_SIZE) {
    throw new TlogError("malformed", `A Merkle tree hash is ${HASH_SIZE} bytes, this one has ${hash.length}`);
  }
  return hash;
}

/** A hash in canonical base64, as one line of a checkpoint or proof. Throws `malformed`. */
export function decodeHash(line: string, what: string): Uint8Array {
  const hash = decodeBase64(line, what);
  if (hash.length !== HASH_SIZE) {
    throw new TlogError("malformed", `${what} is ${hash.length} bytes, not a SHA-256 hash of ${HASH_SIZE}`);
  }
  return hash;
}

/** Root of the tree over these leaf hashes, all in memory (RFC 6962 §2.1, MTH). */
export function rootOf(leafHashes: readonly Uint8Array[]): Uint8Array {
  return frontierRoot(extendFrontier(0n, [], leafHashes));
}

/**
 * The compact range of a tree: the roots of its maximal perfect subtrees, largest (leftmost) first.
 * There are as many as the size has one bits, the lowest bit standing for the last of them.
 */
type Frontier = readonly Uint8Array[];

/**
 * The frontier of a tree of `size` after `leafHashes` are appended to it. Throws `malformed` when
 * `frontier` is not of a tree of `size`, `out_of_range` when the tree would exceed 2^63-1 leaves.
 */
export function extendFrontier(
  size: bigint,
  frontier: Frontier,
  leafHashes: readonly Uint8Array[],
): Uint8Array[] {
  checkUint63(size, "The tree size");
  checkUint63(size + BigInt(leafHashes.length), "The tree size");
  if (frontier.length !== perfectSubtrees({ start: 0n, end: size }).length) {
    throw new TlogError("malformed", `A frontier of ${frontier.length} hashes is not of a tree of ${size}`);
  }
  const stack = frontier.map(checkHash);
  let count = size;
  for (const leaf of leafHashes) {
    // Appending a leaf is adding one to a binary counter: every carry joins two subtrees.
    let carries = 0;
    for (let bits = count; bits & 1n; bits >>= 1n) {
      carries += 1;
    }
    const joined = stack.splice(stack.length - carries);
    stack.push(joined.reduceRight((right, left) => nodeHash(left, right), checkHash(leaf)));
    count += 1n;
  }
  return stack;
}

/** Root of the tree that has this frontier; `EMPTY_ROOT` when it is empty. */
export function frontierRoot(frontier: Frontier): Uint8Array {
  return frontier.length === 0
    ? EMPTY_ROOT
    : frontier.map(checkHash).reduceRight((right, left) => nodeHash(left, right));
}

/** The leaves `start` to `end`, `end` excluded. */
export type Range = { start: bigint; end: bigint };

/** The perfect subtree over leaves [index·2^level, (index+1)·2^level). */
export type NodeCoord = { level: number; index: bigint };

/**
 * The maximal perfect subtrees of a range that is itself a subtree (RFC 6962 §2.1), largest first.
 * Folding their hashes from the right, as `frontierRoot` does, gives the hash of the range.
 */
export function perfectSubtrees({ start, end }: Range): NodeCoord[] {
  const nodes: NodeCoord[] = [];
  for (let next = start; next < end; ) {
    const level = bitLength(end - next) - 1;
    nodes.push({ level, index: next >> BigInt(level) });
    next += 1n << BigInt(level);
  }
  return nodes;
}

/**
 * The range that each hash of an inclusion proof covers, in the order of PATH(index, D[size]),
 * RFC 6962 §2.1.1: from the leaf's sibling up. Throws `out_of_range` unless index < size.
 */
export function inclusionRanges(index: bigint, size: bigint): Range[] {
  checkUint63(size, "The tree size");
  if (index < 0n || index >= size) {
    throw new TlogError("out_of_range", `Leaf ${index} is not in a tree of ${size} leaves`);
  }
  const path: Range[] = [];
  for (let start = 0n, end = size, split = splitPoint(size); end - start > 1n; ) {
    while (split >= end - start) split >>= 1n; // the split point of every smaller range, without counting its bits
    const middle = start + split;
    if (index < middle) {
      path.push({ start: middle, end });
      end = middle;
    } else {
      path.push({ start, end: middle });
      start = middle;
    }
  }
  return path.reverse();
}

/**
 * The range that each hash of a consistency proof covers, in the order of PROOF(from, D[to]),
 * RFC 6962 §2.1.2. Empty when `from` is 0 or `to`. Throws `out_of_range` unless from <= to.
 */
export function consistencyRanges(from: bigint, to: bigint): Range[] {
  checkUint63(to, "The tree size");
  if (from < 0n || from > to) {
    throw new TlogError("out_of_range", `A tree of ${from} leaves is no earlier version of one of ${to}`);
  }
  if (from === 0n) {
    return [];
  }
  const proof: Range[] = [];
  let start = 0n;
  let end = to;
  while (end !== from) {
    const middle = start + splitPoint(end - start);
    if (from <= middle) {
      proof.push({ start: middle, end });
      end = middle;
    } else {
      proof.push({ start, end: middle });
      start = middle;
    }
  }
  // SUBPROOF leaves its last hash out when it is the old root, which the verifier has.
  if (start !== 0n) {
    proof.push({ start, end });
  }
  return proof.reverse();
}

/** A leaf's place, and its inclusion proof, leaf's sibling first. */
type Inclusion = { leafHash: Uint8Array; index: bigint; proof: readonly Uint8Array[] };

/** A node that is in the tree, and its two children once a proof has shown them. */
type Node = { readonly hash: Uint8Array; children?: readonly [Node, Node] };

/** Levels below the root whose nodes are kept from proof to proof: 8,191 nodes at most. */
const KEPT_LEVELS = 12;

/**
 * Checks that leaves stand in the tree of `size` leaves with this root (RFC 6962 §2.1.1). Nodes near the root that one
 * proof has shown are compared with the next one's, not hashed again: two proofs of one tree share most of them.
 * The check throws `out_of_range` or `bad_proof`; it returns only when the proof holds.
 */
export function inclusionVerifier({ size, root }: { size: bigint; root: Uint8Array }) {
  const top: Node = { hash: root.slice() };
  return ({ leafHash, index, proof }: Inclusion): void => {
    checkProofHash("inclusion", leafHash);
    const siblings = placeProof("inclusion", inclusionRanges(index, size), proof);
    // Down from the root, as far as it is known: whoever names another sibling there has no proof.
    let node = top;
    for (let sibling = siblings.at(-1); sibling && node.children; sibling = siblings.at(-1)) {
      const [left, right] = node.children;
      const isLeft = sibling.start > index;
      if (!equalBytes(sibling.hash, (isLeft ? right : left).hash)) throw notIncluded();
      node = isLeft ? left : right;
      siblings.pop();
    }
    // Up from the leaf to there.
    const path = [leafHash];
    let hash = leafHash;
    for (const sibling of siblings) {
      hash = sibling.start > index ? nodeHash(hash, sibling.hash) : nodeHash(sibling.hash, hash);
      path.push(hash);
    }
    if (!equalBytes(hash, node.hash)) throw notIncluded();
    path.pop();
    for (let depth = proof.length - siblings.length; depth < KEPT_LEVELS; depth++) {
      const [own, sibling] = [path.pop(), siblings.pop()];
      if (own === undefined || sibling === undefined) return;
      const [next, other] = [{ hash: own.slice() }, { hash: sibling.hash.slice() }];
      node.children = sibling.start > index ? [next, other] : [other, next];
      node = next;
    }
  };
}

/** As `inclusionVerifier`, for one leaf. */
export function verifyInclusion(input: Inclusion & { size: bigint; root: Uint8Array }): void {
  inclusionVerifier(input)(input);
}

function notIncluded(): TlogError {
  return new TlogError("bad_proof", "The inclusion proof does not lead from the leaf to the root");
}

/**
 * Checks that the tree of `from` leaves is a prefix of the tree of `to` leaves (RFC 6962 §2.1.2).
 * Every tree extends the empty one, whose root must then be `EMPTY_ROOT` and whose proof empty.
 * Throws `out_of_range` or `bad_proof`; returns only when the proof holds.
 */
export function verifyConsistency(input: {
  from: bigint;
  to: bigint;
  fromRoot: Uint8Array;
  toRoot: Uint8Array;
  proof: readonly Uint8Array[];
}): void {
  const { from, to, fromRoot, toRoot } = input;
  checkProofHash("consistency", fromRoot);
  checkProofHash("consistency", toRoot);
  const hashes = placeProof("consistency", consistencyRanges(from, to), input.proof);
  if (from === 0n) {
    checkEmptyRoot(from, fromRoot);
    checkEmptyRoot(to, toRoot);
    return;
  }
  // The fold begins with the rightmost perfect subtree of the old tree: the old tree itself when
  // `from` is a power of two on the path, and the first hash of the proof otherwise.
  const seed = (hashes[0]?.start ?? from) < from ? hashes.shift() : undefined;
  let oldRoot = seed?.hash ?? fromRoot;
  let newRoot = oldRoot;
  for (const { start, hash } of hashes) {
    if (start < from) {
      oldRoot = nodeHash(hash, oldRoot);
      newRoot = nodeHash(hash, newRoot);
    } else {
      newRoot = nodeHash(newRoot, hash);
    }
  }
  if (!equalBytes(oldRoot, fromRoot)) {
    throw new TlogError("bad_proof", `The consistency proof does not lead to the root of size ${from}`);
  }
  if (!equalBytes(newRoot, toRoot)) {
    throw new TlogError("bad_proof", `The consistency proof does not lead to the root of size ${to}`);
  }
}

/** The hashes of a proof, each with the range that it covers. */
function placeProof(kind: string, ranges: readonly Range[], proof: readonly Uint8Array[]) {
  if (proof.length !== ranges.length) {
    throw new TlogError("bad_proof", `The ${kind} proof has ${proof.length} hashes, not ${ranges.length}`);
  }
  return proof.map((hash, i) => ({ start: ranges[i]?.start ?? 0n, hash: checkProofHash(kind, hash) }));
}

function checkProofHash(kind: string, hash: Uint8Array): Uint8Array {
  if (hash.length !== HASH_SIZE) {
    throw new TlogError(
      "bad_proof",
      `The leaf, root or a hash of the ${kind} proof is not ${HASH_SIZE} bytes`,
    );
  }
  return hash;
}

function checkEmptyRoot(size: bigint, root: Uint8Array): void {
  if (size === 0n && !equalBytes(root, EMPTY_ROOT)) {
    throw new TlogError("bad_proof", "The root of size 0 is not the root of the empty tree");
  }
}

/** The largest power of two smaller than `size` (k in RFC 6962 §2.1), for size > 1. */
function splitPoint(size: bigint): bigint {
  return 1n << BigInt(bitLength(size - 1n) - 1);
}

function bitLength(value: bigint): number {
  return value.toString(2).length;
}
