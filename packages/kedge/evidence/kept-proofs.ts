/**
 * Proofs by their commitments (hex), as makePack and reconcile take them. Proofs of one log share most of their lines:
 * checkpoints, and the upper nodes of the tree. Each line is kept once, so that 100,000 proofs of some 4 KB take tens of
 * megabytes and not hundreds. Runs in a browser.
 */
import type { KnownProof, Proofs } from "./types.ts";

type Kept = readonly string[] | "pending" | "unknown";

export class KeptProofs implements Proofs {
  readonly #lines = new Map<string, string>();
  readonly #kept = new Map<string, Kept>();
  readonly #encoder = new TextEncoder();
  readonly #decoder = new TextDecoder();

  get size(): number {
    return this.#kept.size;
  }

  has(commitment: string): boolean {
    return this.#kept.has(commitment);
  }

  get(commitment: string): KnownProof | undefined {
    const kept = this.#kept.get(commitment);
    return kept && known(kept);
  }

  /** The proof as text; undefined where there is none. */
  proofOf(commitment: string | undefined): string | undefined {
    return commitment === undefined ? undefined : this.get(commitment)?.proof;
  }

  setProof(commitment: string, proof: string): void {
    const lines = proof.split("\n").map((line) => this.#lines.get(line) ?? this.#keep(line));
    this.#kept.set(commitment, lines);
  }

  /** A proof that is there is not forgotten for what the service says later. */
  setNone(commitment: string, why: "pending" | "unknown"): void {
    if (!Array.isArray(this.#kept.get(commitment))) this.#kept.set(commitment, why);
  }

  /** A part of a string keeps the whole of it in memory: a copy does not. */
  #keep(line: string): string {
    const copy = this.#decoder.decode(this.#encoder.encode(line));
    this.#lines.set(copy, copy);
    return copy;
  }

  keys() {
    return this.#kept.keys();
  }

  *values(): Generator<KnownProof, undefined> {
    for (const kept of this.#kept.values()) yield known(kept);
  }

  *entries(): Generator<[string, KnownProof], undefined> {
    for (const [commitment, kept] of this.#kept) yield [commitment, known(kept)];
  }

  [Symbol.iterator]() {
    return this.entries();
  }

  forEach(tell: (proof: KnownProof, commitment: string, all: Proofs) => void): void {
    for (const [commitment, proof] of this) tell(proof, commitment, this);
  }
}

function known(kept: Kept): KnownProof {
  return typeof kept === "string" ? { noProof: kept } : { proof: kept.join("\n") };
}
