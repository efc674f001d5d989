import { keepFollowing } from "@kedge/cli/agent/follow";
import { openReport } from "@kedge/cli/agent/report";
import { ClientError } from "@kedge/verify/error";
import { bytesToHex } from "@noble/hashes/utils.js";
import { afterEach, expect, test } from "vitest";
import { memoryJournal } from "./memory-journal.ts";

const PAUSES = { first: 1, most: 5 };
const ending: AbortController[] = [];
afterEach(() => {
  for (const controller of ending.splice(0)) controller.abort();
});

type Place = bigint | "pending" | "unknown";

/** Ten events that are posted; `answers` says of each by its number what the service knows. */
async function following(answers: (number: number, asked: number) => Place) {
  const { journal } = memoryJournal();
  const intake = await journal.intake("ehr");
  const arrivals = Array.from({ length: 10 }, (_, i) => ({
    bytes: new TextEncoder().encode(`event ${i}`),
    mediaType: "text/plain",
  }));
  await intake.take({ arrivals });
  const receipt = { postedAt: 0, receivedAt: "2026-03-01T08:00:00Z", log: "l", accepted: 10 };
  await journal.posted(journal.outbox(100), receipt);
  const numbers = new Map(
    [...journal.entries("ehr")].map(({ number, commitment }) => [bytesToHex(commitment), Number(number)]),
  );
  const again: number[] = [];
  let asked = 0;
  const report = openReport(() => undefined);
  const controller = new AbortController();
  ending.push(controller);
  const numberOf = (commitment: Uint8Array) => numbers.get(bytesToHex(commitment)) ?? 0;
  const done = keepFollowing(
    {
      journal,
      report,
      async places(commitments) {
        asked += 1;
        const now = asked;
        return commitments.map((commitment) => answers(numberOf(commitment), now));
      },
      post: async (commitments) => void again.push(...commitments.map(numberOf)),
    },
    controller.signal,
    PAUSES,
  );
  const indices = () => [...journal.entries("ehr")].map(({ index }) => index);
  return { indices, again, report, controller, done, asked: () => asked };
}

test("each event learns its place once it is sealed, and is not asked for again", async () => {
  const { indices, controller, done, report } = await following((number, asked) =>
    number <= 3 * asked ? BigInt(100 + number) : "pending",
  );
  const all = Array.from({ length: 10 }, (_, i) => BigInt(101 + i));
  await expect.poll(indices, { timeout: 30_000 }).toEqual(all);
  expect(report.troubles()).toEqual([]);
  controller.abort();
  await done;
});

test("what the service has forgotten is posted again, and said until it is known", async () => {
  let isRestored = true;
  const { indices, again, report } = await following((number) =>
    isRestored && number > 8 ? "unknown" : BigInt(number),
  );
  await expect.poll(() => again.length, { timeout: 30_000 }).toBeGreaterThan(0);
  expect([...new Set(again)]).toEqual([9, 10]);
  expect(report.troubles()).toMatchObject([{ scope: "follow", key: "unknown" }]);
  isRestored = false;
  await expect.poll(() => report.troubles(), { timeout: 30_000 }).toEqual([]);
  expect(indices().at(-1)).toBe(10n);
});

test("who does not know it only once is asked once more", async () => {
  const { indices, again } = await following((number, asked) => (asked === 1 ? "unknown" : BigInt(number)));
  await expect.poll(() => indices().at(-1), { timeout: 30_000 }).toBe(10n);
  expect(again).toEqual([]);
});

test("an outage is a trouble until it is over", async () => {
  let isDown = true;
  const { indices, report } = await following((number) => {
    if (isDown) throw new ClientError("network", "The service cannot be reached");
    return BigInt(number);
  });
  await expect.poll(() => report.troubles().length, { timeout: 30_000 }).toBe(1);
  isDown = false;
  await expect.poll(() => indices().at(-1), { timeout: 30_000 }).toBe(10n);
  await expect.poll(() => report.troubles(), { timeout: 30_000 }).toEqual([]);
});
