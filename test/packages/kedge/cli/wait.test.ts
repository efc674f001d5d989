/** A wait is as long as it says. */
import { askBefore, awaitProofs, awaitStatuses } from "@kedge/cli/cli/wait";
import type { Commitments, Followed, StatusAnswer } from "@kedge/cli/client/api";
import { ClientError } from "@kedge/verify/error";
import { ASSURANCES } from "@kedge/verify/proof/verify";
import { bytesToHex } from "@noble/hashes/utils.js";
import fc from "fast-check";
import { expect, test } from "vitest";

test("what is still pending is asked for until the end of the time, and once more then", async () => {
  const asked: number[] = [];
  const client = {
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

test("what is not there in time is counted, copies once", async () => {
  const client = {
    async *follow(): AsyncGenerator<Followed> {
      yield { hash: "00", state: "unknown", detail: "" };
      throw new ClientError("pending", "2 are not sealed in time");
    },
  };
  const commitments = [1, 2, 3, 3, 2].map((byte) => new Uint8Array(32).fill(byte));
  const wait = async () => {
    const answers: Followed[] = [];
    for await (const answer of awaitStatuses({ client, log: "l" }, commitments, {
      wait: "sealed",
      timeout: 1,
    }))
      answers.push(answer);
  };
  await expect(wait()).rejects.toMatchObject({
    code: "failed",
    message: expect.stringMatching(/^2 of 3 are not sealed/),
  });
});

test("what has come so far before a post is not asked for again, and all else is; copies are new once", async () => {
  const states = ["unknown", "pending", "sealed", "anchored", "witnessed", "timestamped"] as const;
  const wanted = fc.constantFrom(...ASSURANCES);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(255), { maxLength: 40 }), wanted, async (ids, wait) => {
      const stateOf = (id: number) => states[id % states.length] ?? "unknown";
      const client = {
        async *statuses(_: string, asked: Commitments): AsyncGenerator<StatusAnswer> {
          for await (const commitment of asked) {
            const hash = bytesToHex(commitment);
            const state = stateOf(commitment[0] ?? 0);
            if (state === "unknown") yield { hash, state, detail: "" };
            else if (state === "pending") yield { hash, state };
            else
              yield {
                ...{ hash, state: "sealed", assurance: state },
                ...{ index: 0, treeSize: 1, sealedAt: "" },
              };
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
