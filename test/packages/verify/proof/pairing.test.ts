/** Which of the proofs that were kept is an event's, where no name says so. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { indexProofs } from "@kedge/verify/cli/proofs";
import { type Claim, ProofIndex, pairProof, searchIn } from "@kedge/verify/proof/pairing";
import { openVerifier } from "@kedge/verify/proof/verify";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { EVENT, log, makeProof } from "../../../support/proofs.ts";

let path: string;
beforeEach(async () => {
  path = join(await mkdtemp(join(tmpdir(), "kedge-pairs-")), "proofs.ndjson");
  const lines = [0, 1, 2, 3].map((n) => {
    const { proof, commitment } = makeProof({ event: event(n) });
    return JSON.stringify({
      event: `${3 - n}.json`,
      commitment: Buffer.from(commitment).toString("hex"),
      proof,
    });
  });
  await writeFile(path, `${lines.join("\n")}\n`);
});
afterEach(() => rm(join(path, ".."), { recursive: true }));

const event = (n: number) => ({ ...EVENT, bytes: new TextEncoder().encode(`{"n":${n}}`) });
const verify = openVerifier({ logVkeys: [log.vkey], anchorVkeys: [] });
const claimOf = (name: string, bytes: Uint8Array): Claim => ({
  source: { name, bytes },
  verifyClaim: async (claim) => verify(claim),
  derive: [],
});

test("an event whose name has another's proof is paired by content, as long as there are tries", async () => {
  const proofs = await indexProofs(path);
  const search = searchIn(proofs, 3);
  const paired = await pairProof(claimOf("0.json", event(0).bytes), proofs, search);
  expect(paired).toMatchObject({ byContent: true, report: { proven: true } });
});

test("once tries are out nobody is accused: it is not known, with a proof of its name or without", async () => {
  const proofs = await indexProofs(path);
  const search = searchIn(proofs, 0);
  expect(await pairProof(claimOf("0.json", event(0).bytes), proofs, search)).toBe("untried");
  expect(await pairProof(claimOf("other.json", event(0).bytes), proofs, search)).toBe("untried");
  expect(await pairProof(claimOf("3.json", event(0).bytes), proofs, search)).toMatchObject({
    byContent: false,
    report: { proven: true },
  });
});

test("an event that was tried with every proof has none, or that of its name, which says why", async () => {
  const proofs = await indexProofs(path);
  const search = searchIn(proofs);
  const altered = new TextEncoder().encode('{"n":9}');
  expect(await pairProof(claimOf("other.json", altered), proofs, search)).toBe("none");
  expect(await pairProof(claimOf("3.json", altered), proofs, search)).toMatchObject({
    report: { failure: { step: "log", code: "bad_proof" } },
  });
});

test("where no proof can be tried any more, none is walked over", async () => {
  const proofs = new ProofIndex<{ commitment?: string }>(() => Promise.reject(new Error("none is read")));
  for (let n = 0; n < 1000; n++) proofs.add({}, []);
  const search = searchIn(proofs, 0);
  const asked = vi.spyOn(search.unused, "has");
  expect(await pairProof(claimOf("other.json", event(0).bytes), proofs, search)).toBe("untried");
  search.unused.clear();
  expect(await pairProof(claimOf("other.json", event(0).bytes), proofs, search)).toBe("none");
  expect(asked).not.toHaveBeenCalled();
});
