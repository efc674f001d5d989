/** A wait is as long as it says. */
import { askBefore, awaitProofs } from "@kedge/cli/cli/wait";
import { openClient, type ProofAnswer } from "@kedge/cli/client/api";
import { ASSURANCES } from "@kedge/verify/proof/verify";
import { bytesToHex } from "@noble/hashes/utils.js";
import fc from "fast-check";
import { expect, test } from "vitest";

test("what is still pending is asked for until the end of the time, and once more then", async () => {
  const asked: number[] = [];
  const client = {
    ...openClient({ url: "http://127.0.0.1:1", apiKey: "kedge_a_b" }),
    async *proofs() {
      asked.push(performance.now());
      yield { hash: "00", state: "pending" } as const;
    },
  };
  const started = performance.now();
  const wait = async () => {
    for await (const _ of awaitProofs({ client, log: "l" }, [new Uint8Array(32)], {
      wait: "sealed",
      timeout: 700,
    }));
  };
  await expect(wait()).rejects.toMatchObject({ code: "failed", message: expect.stringMatching(/in time/) });
  expect((asked.at(-1) ?? 0) - started).toBeGreaterThanOrEqual(699);
});

test("what has come so far before a post is not asked for again, and all else is; copies are new once", async () => {
  const states = ["unknown", "pending", "sealed", "anchored", "witnessed", "timestamped"] as const;
  const wanted = fc.constantFrom(...ASSURANCES);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(255), { maxLength: 40 }), wanted, async (ids, wait) => {
      const stateOf = (id: number) => states[id % states.length] ?? "unknown";
      const client = {
        ...openClient({ url: "http://127.0.0.1:1", apiKey: "kedge_a_b" }),
        async *proofs(_: string, commitments: readonly Uint8Array[]): AsyncGenerator<ProofAnswer> {
          for (const commitment of commitments) {
            const hash = bytesToHex(commitment);
            const state = stateOf(commitment[0] ?? 0);
            if (state === "unknown") yield { hash, state, detail: "" };
            else if (state === "pending") yield { hash, state };
            else yield { hash, state: "proof", assurance: state, proof: "" };
          }
        },
      };
      const commitments = ids.map((id) => new Uint8Array(32).fill(id));
      const { unknown, waiting } = await askBefore({ client, log: "l" }, commitments, wait);
      expect(unknown).toBe(new Set(ids.filter((id) => stateOf(id) === "unknown")).size);
      const isBelow = (id: number) => states.indexOf(stateOf(id)) < states.indexOf(wait);
      expect(waiting).toEqual(commitments.filter(([id = 0]) => isBelow(id)));
    }),
  );
});
