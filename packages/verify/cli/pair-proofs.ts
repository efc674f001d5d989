/** Which of the proofs that were kept is an event's: by its commitment, by its name, and within a bound by trying. */
import { bytesToHex } from "@noble/hashes/utils.js";
import { type Opening, openCommitment } from "../events/commitment.ts";
import { EventError } from "../events/error.ts";
import type { VerifyClaim, VerifyReport } from "../proof/verify.ts";
import type { Derive } from "./committer.ts";
import type { EventSource } from "./inputs.ts";
import { type KeptProof, type ProofIndex, readKept } from "./proofs.ts";

/** An event, and what its proofs are held against. */
export type Claim = {
  source: EventSource;
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

/** The proof that was tried, and what it gave. `byContent`: no name led to it. */
export type Paired = { kept: KeptProof; report: VerifyReport; byContent: boolean };
/** `none`: there is no proof of the event. `untried`: one of those that are left may be, and they are too many to try. */
export type Pairing = Paired | "none" | "untried";

/** Proofs tried by content in one run: some seconds' worth. */
export const MAX_TRIES = 20_000;

/** Proofs that no event took, how many may still be tried, and where the last one stood that no name led to. */
export type Search = { unused: Set<KeptProof>; tries: number; last: number };
export const searchIn = ({ all }: ProofIndex, tries = MAX_TRIES): Search => ({
  unused: new Set(all),
  tries,
  last: -1,
});

/** Whether another proof may be the event's. */
export function isMismatch({ failure }: VerifyReport): boolean {
  return failure?.step === "log" && (failure.code === "bad_proof" || failure.code === "converted");
}

/** By commitment, where the tenant key gives it; then by name; then by content: lines are re-ordered, files renamed. */
export async function pairProof(claim: Claim, proofs: ProofIndex, search: Search): Promise<Pairing> {
  const { name, line } = claim.source;
  const named = new Set([
    ...commitmentsOf(claim).flatMap((commitment) => proofs.of(commitment)),
    ...proofs.named(name, line),
  ]);
  let first: Paired | undefined;
  for (const kept of named) {
    const report = await verifyKept(claim, kept);
    if (report.proven) return { kept, report, byContent: false };
    first ??= { kept, report, byContent: false };
  }
  if (first !== undefined && !isMismatch(first.report)) return first;
  for (const at of outwards(search.last, proofs.all.length)) {
    const kept = proofs.all[at];
    if (kept === undefined || named.has(kept) || !search.unused.has(kept)) continue;
    if (search.tries-- <= 0) return "untried";
    const report = await verifyKept(claim, kept);
    if (!report.proven) continue;
    search.last = at;
    return { kept, report, byContent: true };
  }
  return first ?? "none";
}

async function verifyKept(claim: Claim, kept: KeptProof): Promise<VerifyReport> {
  return await verifySource(claim, await readKept(kept));
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
