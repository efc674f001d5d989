/** Following yields each entry once, as soon as it has come so far, and ends. */
import type { StatusAnswer } from "@kedge/cli/client/api";
import { follow } from "@kedge/cli/client/follow";
import { ASSURANCES, type Assurance } from "@kedge/verify/proof/verify";
import { bytesToHex } from "@noble/hashes/utils.js";
import fc from "fast-check";
import { expect, test } from "vitest";

const WAYS = ["unknown", "pending", ...ASSURANCES] as const;
const commitment = (id: number) => new Uint8Array(32).fill(id);

function answer(hash: string, at: (typeof WAYS)[number]): StatusAnswer {
  if (at === "unknown") return { hash, state: at, detail: "" };
  if (at === "pending") return { hash, state: at };
  return { hash, state: "sealed", assurance: at, index: 0, treeSize: 1, sealedAt: "" };
}

/** A log whose entries each come one step further at every so many-th question. */
function moving(steps: (id: number) => number) {
  const questions: string[][] = [];
  return {
    questions,
    async *statuses(asked: readonly Uint8Array[]): AsyncGenerator<StatusAnswer> {
      questions.push(asked.map(bytesToHex));
      for (const one of asked) {
        const step = steps(one[0] ?? 0);
        const way = step === 0 ? 0 : Math.min(WAYS.length - 1, Math.ceil(questions.length / step));
        yield answer(bytesToHex(one), WAYS[way] ?? "unknown");
      }
    },
  };
}

const QUICK = { first: 1, most: 2 };

test("each comes once, when it has come so far and not before; what has is not asked for again", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(fc.nat(255), { maxLength: 30 }),
      fc.constantFrom(...ASSURANCES),
      async (ids, to) => {
        const { statuses, questions } = moving((id) => id % 4);
        const seen = new Map<string, StatusAnswer>();
        const all = async () => {
          for await (const found of follow(statuses, ids.map(commitment), { to }, QUICK)) {
            expect(seen.has(found.hash)).toBe(false);
            seen.set(found.hash, found);
            const last = questions.at(-1) ?? [];
            expect(last).toContain(found.hash);
          }
        };
        await all();
        expect(new Set(seen.keys())).toEqual(new Set(ids.map((id) => bytesToHex(commitment(id)))));
        for (const found of seen.values()) {
          const ranks: readonly string[] = ASSURANCES;
          if (found.state === "sealed")
            expect(ranks.indexOf(found.assurance)).toBeGreaterThanOrEqual(ranks.indexOf(to));
          else expect(found.state).toBe("unknown");
        }
        for (const [i, asked] of questions.entries())
          expect(questions[i - 1] ?? asked).toEqual(expect.arrayContaining(asked));
      },
    ),
    { numRuns: 40 },
  );
});

test("of a stream no more is taken than is followed at a time", async () => {
  let taken = 0;
  async function* stream() {
    for (let i = 0; i < 25_000; i++) {
      taken++;
      const bytes = new Uint8Array(32);
      new DataView(bytes.buffer).setUint32(0, i);
      yield bytes;
    }
  }
  const { statuses } = moving(() => 1);
  let [seen, most] = [0, 0];
  for await (const _ of follow(statuses, stream(), { to: "sealed" }, QUICK)) {
    seen++;
    most = Math.max(most, taken - seen);
    if (seen > 10_001) break;
  }
  expect(most).toBeLessThan(10_000);
  expect(taken).toBeLessThanOrEqual(20_000);
});

test("after the time there is one more question, and then it says how many are missing", async () => {
  const asked: number[] = [];
  async function* statuses(some: readonly Uint8Array[]): AsyncGenerator<StatusAnswer> {
    asked.push(performance.now());
    for (const one of some) yield answer(bytesToHex(one), "pending");
  }
  const started = performance.now();
  const all = async () => {
    for await (const _ of follow(statuses, [commitment(1), commitment(2)], { patience: 700 }));
  };
  await expect(all()).rejects.toMatchObject({
    code: "pending",
    message: expect.stringMatching(/^2 are not sealed/),
  });
  expect((asked.at(-1) ?? 0) - started).toBeGreaterThanOrEqual(699);
});

test.each<[string, Assurance]>([["a pause", "timestamped"]])("a signal ends %s at once", async (_, to) => {
  const controller = new AbortController();
  const { statuses } = moving(() => 1_000);
  const all = async () => {
    for await (const _ of follow(statuses, [commitment(1)], { to, signal: controller.signal }));
  };
  const following = all();
  setTimeout(() => controller.abort(new Error("enough")), 50);
  await expect(following).rejects.toThrow("enough");
});
