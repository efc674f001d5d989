import { HASH_SIZE } from "@kedge/verify/tlog/merkle";
import { sha256 } from "@noble/hashes/sha2.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  blockOf,
  checkFilter,
  encodeRun,
  findInBlock,
  mayContain,
  readHeader,
} from "../../../service/index/run.ts";

const leaf = (n: number, salt = "in"): Uint8Array => sha256(new TextEncoder().encode(`${salt} ${n}`));
const concat = (leaves: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(leaves));

/** As a reader of the file does it: header, filter, one block. */
function look(
  file: Uint8Array,
  headerLength: number,
  hash: Uint8Array,
  wanted: Uint8Array,
): bigint | undefined {
  const header = readHeader("r", file.subarray(0, headerLength), hash);
  const filter = checkFilter("r", header, file.subarray(headerLength, headerLength + header.filterSize));
  if (!mayContain(filter, wanted)) return undefined;
  const block = blockOf(header, wanted);
  return block && findInBlock("r", header, block.number, file.subarray(block.from, block.to), wanted);
}

describe("a run", () => {
  test("answers as the tree does, for what is in it and what is not, however the hashes are distributed", () => {
    const ground = fc
      .tuple(fc.uint8Array({ minLength: 0, maxLength: 30 }), fc.integer({ min: 1, max: 1_500 }))
      .map(([prefix, count]) =>
        Array.from({ length: count }, (_, n) => {
          const hash = leaf(n);
          hash.set(prefix);
          new DataView(hash.buffer).setUint16(30, n);
          return hash;
        }),
      );
    fc.assert(
      fc.property(ground, fc.bigInt({ min: 0n, max: 1n << 40n }), (leaves, first) => {
        const { file, header } = encodeRun(first, concat(leaves));
        const hash = sha256(file.subarray(0, header));
        for (const [n, one] of leaves.entries())
          expect(look(file, header, hash, one)).toBe(first + BigInt(n));
        for (let n = 0; n < 20; n++) expect(look(file, header, hash, leaf(n, "out"))).toBeUndefined();
      }),
      { numRuns: 30 },
    );
  });

  test("with any byte altered answers right, or is refused: never a wrong no", () => {
    const leaves = Array.from({ length: 600 }, (_, n) => leaf(n));
    const { file, header } = encodeRun(0n, concat(leaves));
    const hash = sha256(file.subarray(0, header));
    fc.assert(
      fc.property(fc.nat(file.length - 1), fc.integer({ min: 1, max: 255 }), fc.nat(599), (at, by, n) => {
        const altered = file.slice();
        altered[at] = (altered[at] ?? 0) ^ by;
        try {
          expect(look(altered, header, hash, leaf(n))).toBe(BigInt(n));
        } catch (error) {
          expect(error).toMatchObject({ code: "corrupt" });
        }
      }),
      { numRuns: 500 },
    );
    expect(HASH_SIZE).toBe(32);
  });
});
