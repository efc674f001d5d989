/** A wait is as long as it says. */
import { awaitProofs } from "@kedge/cli/cli/wait";
import { openClient } from "@kedge/cli/client/api";
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
