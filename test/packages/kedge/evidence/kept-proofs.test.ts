/** Proofs of a case: kept by their lines, and given back whole. */
import { KeptProofs } from "@kedge/cli/evidence/kept-proofs";
import { describe, expect, test } from "vitest";

const HASHES = ["0", "1", "2"].map((digit) => digit.repeat(64));

describe("proofs that are kept", () => {
  const proof = (index: number) => `c2sp.org/tlog-proof@v1\nindex ${index}\nAAAA\n\norigin\n`;

  test("come back as they were, to the last byte", () => {
    const proofs = new KeptProofs();
    for (const [index, hash] of HASHES.entries()) proofs.setProof(hash, proof(index));
    for (const [index, hash] of HASHES.entries()) expect(proofs.proofOf(hash)).toBe(proof(index));
    expect([...proofs.entries()]).toHaveLength(HASHES.length);
  });

  test("are not forgotten for what the service says later", () => {
    const proofs = new KeptProofs();
    const [hash = ""] = HASHES;
    proofs.setNone(hash, "pending");
    expect(proofs.get(hash)).toEqual({ noProof: "pending" });
    proofs.setProof(hash, proof(0));
    proofs.setNone(hash, "unknown");
    expect(proofs.get(hash)).toEqual({ proof: proof(0) });
  });
});
