import { HASH_SIZE } from "@kedge/verify/tlog/merkle";
import { sha256 } from "@noble/hashes/sha2.js";
import fc from "fast-check";
import { expect, test } from "vitest";
import { buildFilter, filterSize, mayContain } from "../../../service/index/filter.ts";

const leaf = (n: number, salt = "in"): Uint8Array => sha256(new TextEncoder().encode(`${salt} ${n}`));
function many(count: number): Uint8Array {
  const leaves = new Uint8Array(count * HASH_SIZE);
  for (let n = 0; n < count; n++) leaves.set(leaf(n), n * HASH_SIZE);
  return leaves;
}

test.each([1, 2, 3, 10, 100, 4_096, 32_768])(
  "of %d leaves none is missed, and few others are let through",
  (count) => {
    const filter = buildFilter(many(count));
    for (let n = 0; n < count; n++) expect(mayContain(filter, leaf(n))).toBe(true);
    let maybe = 0;
    for (let n = 0; n < 40_000; n++) if (mayContain(filter, leaf(n, "out"))) maybe += 1;
    expect(maybe).toBeLessThanOrEqual(8);
    expect(filter.length).toBe(filterSize(count));
  },
);

test("takes some 18 bits a leaf", () => {
  expect((filterSize(1 << 22) * 8) / (1 << 22)).toBeLessThan(18.5);
});

test("is a function of the set, and never misses, also where hashes share all but a few bits", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 28, maxLength: 28 }),
      fc.integer({ min: 1, max: 300 }),
      (prefix, count) => {
        const leaves = new Uint8Array(count * HASH_SIZE);
        for (let n = 0; n < count; n++) {
          leaves.set(prefix, n * HASH_SIZE);
          new DataView(leaves.buffer).setUint32(n * HASH_SIZE + 28, n);
        }
        const filter = buildFilter(leaves);
        expect(filter).toEqual(buildFilter(leaves.slice()));
        for (let n = 0; n < count; n++) {
          expect(mayContain(filter, leaves.subarray(n * HASH_SIZE, (n + 1) * HASH_SIZE))).toBe(true);
        }
      },
    ),
  );
});
