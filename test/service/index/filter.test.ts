import { HASH_SIZE } from "@kedge/verify/tlog/merkle";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import fc from "fast-check";
import { expect, test } from "vitest";
import { buildFilter, filterSize, keysOf, openFilter } from "../../../service/index/filter.ts";

const leaf = (n: number, salt = "in"): Uint8Array => sha256(new TextEncoder().encode(`${salt} ${n}`));
function many(count: number, salt?: string): Uint8Array {
  const leaves = new Uint8Array(count * HASH_SIZE);
  for (let n = 0; n < count; n++) leaves.set(leaf(n, salt), n * HASH_SIZE);
  return leaves;
}

/** How many of these keys the filter lets through. */
function through(filter: Uint8Array, keys: Uint32Array): number {
  const { may } = openFilter(filter);
  let passed = 0;
  for (let i = 0; i < keys.length; i += 2) if (may(keys[i] ?? 0, keys[i + 1] ?? 0)) passed++;
  return passed;
}

const OTHERS = keysOf(many(20_000, "out"));

test.each([1, 2, 3, 10, 100, 4_096, 32_768])(
  "of %d leaves none is missed, and few others are let through",
  async (count) => {
    const keys = keysOf(many(count));
    const filter = await buildFilter(keys, 7);
    expect(through(filter, keys)).toBe(count);
    expect(through(filter, OTHERS)).toBeLessThanOrEqual(5);
    expect(filter.length).toBe(filterSize(count));
  },
);

test("takes some 18 bits a leaf", () => {
  expect((filterSize(1 << 21) * 8) / (1 << 21)).toBeLessThan(18.1);
});

test("is the same bytes on every machine", async () => {
  const filter = await buildFilter(keysOf(many(1_000)), 7);
  expect(bytesToHex(sha256(filter))).toBe("f80f09c136a83255e672ef50259df4f49a16617bbf070d41f13fb38ab776d2f7");
});

test("is a function of the set, and never misses, also where hashes share all but a few bits", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ minLength: 28, maxLength: 28 }),
      fc.integer({ min: 1, max: 300 }),
      async (prefix, count) => {
        const leaves = new Uint8Array(count * HASH_SIZE);
        for (let n = 0; n < count; n++) {
          leaves.set(prefix, n * HASH_SIZE);
          new DataView(leaves.buffer).setUint32(n * HASH_SIZE + 28, n);
        }
        const keys = keysOf(leaves);
        const filter = await buildFilter(keys, 7);
        expect(filter.length).toBe(filterSize(count));
        expect(
          await buildFilter(
            Uint32Array.from(keys).reverse().reduceRight(swapped, new Uint32Array(keys.length)),
            7,
          ),
        ).toEqual(filter);
        expect(through(filter, keys)).toBe(count);
      },
    ),
    { numRuns: 30 },
  );
});

/** Puts the numbers of a reversed list of pairs back into pairs. */
function swapped(pairs: Uint32Array, value: number, i: number): Uint32Array {
  pairs[i ^ 1] = value;
  return pairs;
}

test("leaves of the same key, which cost a tenant work to find, count once", async () => {
  const keys = keysOf(many(500));
  const twins = new Uint32Array(1_000 + 40);
  twins.set(keys);
  twins.set(keys.subarray(0, 40), 1_000);
  const filter = await buildFilter(twins, 7);
  expect(filter.length).toBe(filterSize(520));
  expect(through(filter, keys)).toBe(500);
  expect(through(filter, OTHERS)).toBeLessThanOrEqual(5);
});

test("of thousands of leaves of one key as of one", async () => {
  const filter = await buildFilter(new Uint32Array(8_192).fill(7), 7);
  expect(through(filter, Uint32Array.of(7, 7))).toBe(1);
  expect(through(filter, OTHERS)).toBeLessThanOrEqual(5);
});
