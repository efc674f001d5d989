/** Which of the proofs that were kept is an event's: by its commitment, by its name, and within a bound by trying. */
import { bytesToHex } from "@noble/hashes/utils.js";
import { type Opening, openCommitment } from "../events/commitment.ts";
import { EventError } from "../events/error.ts";
import { pairKey, proofName } from "./names.ts";
import type { VerifyClaim, VerifyReport } from "./verify.ts";

/** The opening of bytes, under one of the tenant's keys; undefined for what cannot be committed to. */
export type Derive = (bytes: Uint8Array) => Opening | undefined;

/** An event, and what its proofs are held against. */
export type Claim = {
  /** `name` is the path as given; `line` counts from 1. */
  source: { name: string; line?: number; bytes: Uint8Array };
  verifyClaim: (claim: VerifyClaim) => Promise<VerifyReport>;
  /** For each of the tenant's keys. */
  derive: readonly Derive[];
  opening?: Opening;
};

export async function verifySource(
  { source, verifyClaim, derive, opening }: Claim,
  proof: Uint8Array,
): Promise<VerifyReport> {
  const claim = { event: source.bytes, proof };
  if (opening !== undefined) return await verifyClaim({ ...claim, opening });
  let found: VerifyReport | undefined;
  for (const deriveOpening of derive) {
    const derivedOpening = deriveOpening(source.bytes);
    const report = await verifyClaim({ ...claim, deriveOpening, ...(derivedOpening && { derivedOpening }) });
    if (!isMismatch(report)) return report;
    // Under another key than its own an event is only altered; under its own one it may be seen to be converted.
    if (found === undefined || report.failure?.code === "converted") found = report;
  }
  return found ?? (await verifyClaim(claim));
}

/** What a proof is of, by the word of who kept it. */
type OfCommitment = { readonly commitment?: string };

/** Kept proofs by what they are found by. An entry takes some 300 bytes of memory, whatever its proof takes. */
export class ProofIndex<Kept extends OfCommitment> {
  /** The text of a proof; none where it is no longer what it was. */
  readonly read: (kept: Kept) => Promise<Uint8Array>;
  readonly #byKey = new Map<string, Kept[]>();
  readonly #byCommitment = new Map<string, Kept[]>();
  readonly all: Kept[] = [];

  constructor(read: (kept: Kept) => Promise<Uint8Array>) {
    this.read = read;
  }

  add(proof: Kept, keys: readonly string[]): void {
    this.all.push(proof);
    for (const key of new Set(keys)) append(this.#byKey, key, proof);
    if (proof.commitment !== undefined) append(this.#byCommitment, proof.commitment, proof);
  }

  /** The newest first: a later line is of a later time. */
  of(commitment: string): Kept[] {
    return [...(this.#byCommitment.get(commitment) ?? [])].reverse();
  }

  /**
   * Those named after the most of the event's path: `day/a.json` rather than `a.json` for `events/day/a.json`; and of these
   * the very name before those that differ in case or mark.
   */
  named(path: string, line?: number): Kept[] {
    const parts = proofName(path, line).split("/");
    const names = parts.map((_, i) => parts.slice(i).join("/"));
    const found = names
      .flatMap((name) => [name, pairKey(name)])
      .flatMap((key) => [...(this.#byKey.get(key) ?? [])].reverse());
    return [...new Set(found)];
  }
}

function append<Kept>(map: Map<string, Kept[]>, key: string, proof: Kept): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [proof]);
  else list.push(proof);
}

/** The proof that was tried, and what it gave. `byContent`: no name led to it. */
export type Paired<Kept> = { kept: Kept; report: VerifyReport; byContent: boolean };
/** `none`: there is no proof of the event. `untried`: one of those that are left may be, and they are too many to try. */
export type Pairing<Kept> = Paired<Kept> | "none" | "untried";

/** Proofs tried by content in one run: some seconds' worth. */
export const MAX_TRIES = 20_000;

/** Proofs that no event took, how many may still be tried, and where the last one stood that no name led to. */
export type Search<Kept> = { unused: Set<Kept>; tries: number; last: number };
export const searchIn = <Kept extends OfCommitment>(
  { all }: ProofIndex<Kept>,
  tries = MAX_TRIES,
): Search<Kept> => ({
  unused: new Set(all),
  tries,
  last: -1,
});

/** Whether another proof may be the event's. */
export function isMismatch({ failure }: VerifyReport): boolean {
  return failure?.step === "log" && (failure.code === "bad_proof" || failure.code === "converted");
}

/** By commitment, where the tenant key gives it; then by name; then by content: lines are re-ordered, files renamed. */
export async function pairProof<Kept extends OfCommitment>(
  claim: Claim,
  proofs: ProofIndex<Kept>,
  search: Search<Kept>,
): Promise<Pairing<Kept>> {
  const { name, line } = claim.source;
  const named = new Set([
    ...commitmentsOf(claim).flatMap((commitment) => proofs.of(commitment)),
    ...proofs.named(name, line),
  ]);
  let first: Paired<Kept> | undefined;
  for (const kept of named) {
    const report = await verifySource(claim, await proofs.read(kept));
    if (report.proven) return { kept, report, byContent: false };
    first ??= { kept, report, byContent: false };
  }
  if (first !== undefined && !isMismatch(first.report)) return first;
  let left = search.unused.size;
  for (const kept of named) if (search.unused.has(kept)) left--;
  if (left === 0) return first ?? "none";
  // Before the walk: past those that are used it takes as long as there are proofs, for each event.
  if (search.tries <= 0) return "untried";
  for (const at of outwards(search.last, proofs.all.length)) {
    const kept = proofs.all[at];
    if (kept === undefined || named.has(kept) || !search.unused.has(kept)) continue;
    if (search.tries-- <= 0) return "untried";
    const report = await verifySource(claim, await proofs.read(kept));
    if (!report.proven) continue;
    search.last = at;
    return { kept, report, byContent: true };
  }
  return first ?? "none";
}

/** Every place of so many, those beside `from` first: lines that were moved were moved together. */
function* outwards(from: number, length: number): Generator<number> {
  for (let distance = 1; from + distance < length || from - distance >= 0; distance++) {
    if (from + distance < length) yield from + distance;
    if (from - distance >= 0) yield from - distance;
  }
}

/** Hex, one for each key; none without a tenant key. */
function commitmentsOf({ source: { bytes }, derive, opening }: Claim): string[] {
  const openings = opening === undefined ? derive.map((derived) => derived(bytes)) : [opening];
  return openings.flatMap((own) => {
    try {
      return own === undefined ? [] : [bytesToHex(openCommitment(own, bytes))];
    } catch (error) {
      if (error instanceof EventError) return []; // it is not what that opening is of
      throw error;
    }
  });
}

/** Why nothing can be told of an event that was not tried with every proof. */
export const NOT_TRIED = `no proof that has its name is of it, and ${MAX_TRIES} proofs were tried for this and other events: with the tenant key, proofs are found by commitment; without it, give fewer events at a time`;
