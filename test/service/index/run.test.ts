import { HASH_SIZE } from "@kedge/verify/tlog/merkle";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { keysOf, openFilter } from "../../../service/index/filter.ts";
import {
  blockOf,
  blockRange,
  checkBlock,
  checkFilter,
  encodeRun,
  findInBlock,
  headerHash,
  mergeRuns,
  type RunFile,
  readHeader,
  sortedPlaces,
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
  const [x = 0, y = 0] = keysOf(wanted);
  if (!openFilter(filter).may(x, y)) return undefined;
  const number = blockOf(header, wanted, 0);
  if (number === undefined) return undefined;
  const { from, to } = blockRange(header, number, number + 1);
  return findInBlock(header, checkBlock("r", header, number, file.subarray(from, to)), wanted, 0);
}

/** Leaves that a tenant has ground so that they begin alike. */
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

describe("a run", () => {
  test("answers as the tree does, for what is in it and what is not, however the hashes are distributed", async () => {
    await fc.assert(
      fc.asyncProperty(ground, fc.bigInt({ min: 0n, max: 1n << 40n }), async (leaves, first) => {
        const made = await encodeRun(first, concat(leaves));
        const { file, header } = made;
        const hash = headerHash(made);
        for (const [n, one] of leaves.entries())
          expect(look(file, header, hash, one)).toBe(first + BigInt(n));
        for (let n = 0; n < 20; n++) expect(look(file, header, hash, leaf(n, "out"))).toBeUndefined();
      }),
      { numRuns: 10 },
    );
  });

  test("with any byte altered answers right, or is refused: never a wrong no", async () => {
    const leaves = Array.from({ length: 1_200 }, (_, n) => leaf(n));
    const made = await encodeRun(0n, concat(leaves));
    const { file, header } = made;
    const hash = headerHash(made);
    let refused = 0;
    fc.assert(
      fc.property(fc.nat(file.length - 1), fc.integer({ min: 1, max: 255 }), fc.nat(1_199), (at, by, n) => {
        const altered = file.slice();
        altered[at] = (altered[at] ?? 0) ^ by;
        try {
          expect(look(altered, header, hash, leaf(n))).toBe(BigInt(n));
        } catch (error) {
          expect(error).toMatchObject({ code: "corrupt" });
          refused++;
        }
      }),
      { numRuns: 500 },
    );
    expect(refused).toBeGreaterThan(0);
  });

  test("with any byte of its filter altered is refused, whatever it would answer", async () => {
    const made = await encodeRun(0n, concat(Array.from({ length: 300 }, (_, n) => leaf(n))));
    const { file, header } = made;
    const { filterSize } = readHeader("r", file.subarray(0, header), headerHash(made));
    for (let at = header; at < header + filterSize; at += 7) {
      const altered = file.slice();
      altered[at] = (altered[at] ?? 0) ^ 1;
      expect(() => look(altered, header, headerHash(made), leaf(1, "out"))).toThrow(/is altered/);
    }
  });

  test("has a filter whose seed nobody knows before all its leaves: none can be ground to rob it of that", async () => {
    const leaves = Array.from({ length: 300 }, (_, n) => leaf(n));
    const seedOf = async (of: readonly Uint8Array[]) => {
      const { file, header } = await encodeRun(0n, concat(of));
      return new DataView(file.buffer, file.byteOffset).getUint32(header);
    };
    const seeds = await Promise.all([0, 1, 2].map((n) => seedOf([...leaves, leaf(n, "more")])));
    expect(new Set(seeds).size).toBe(3);
    expect(await seedOf([...leaves, leaf(0, "more")])).toBe(seeds[0]);
  });

  test("is the same bytes on every machine", async () => {
    const { file } = await encodeRun(4_096n, concat(Array.from({ length: 700 }, (_, n) => leaf(n))));
    expect(bytesToHex(sha256(file))).toBe("8779f8053dc9632f5e962d3c65ecc825bf1145e673ed3dac246116f62d51cd01");
  });
});

/** The blocks of a run's entries, as one that is read by ranges. */
async function* blocks({ file, header }: RunFile): AsyncGenerator<Uint8Array> {
  const made = readHeader("r", file.subarray(0, header), sha256(file.subarray(0, header)));
  for (let n = 0; n * made.block < made.count; n++) {
    const { from, to } = blockRange(made, n, n + 1);
    yield file.subarray(from, to);
  }
}

test("runs merged, in one step or in several, are the run that is made of all their leaves", async () => {
  const small = ground.map((leaves) => leaves.slice(0, Math.max(8, leaves.length - (leaves.length % 8))));
  await fc.assert(
    fc.asyncProperty(
      small.filter(({ length }) => length % 8 === 0),
      async (leaves) => {
        const count = leaves.length / 8;
        const merge = async (level: readonly RunFile[], fanout: number, of: number): Promise<RunFile[]> => {
          const next: RunFile[] = [];
          for (let at = 0; at < level.length; at += fanout) {
            next.push(await mergeRuns(BigInt(at * of), of, level.slice(at, at + fanout).map(blocks)));
          }
          return next;
        };
        const parts = await Promise.all(
          Array.from({ length: 8 }, (_, i) =>
            encodeRun(BigInt(i * count), concat(leaves.slice(i * count, (i + 1) * count))),
          ),
        );
        const digests = (made: readonly RunFile[]) =>
          made.map(({ file, header }) => `${header} ${bytesToHex(sha256(file))}`);
        const whole = digests([await encodeRun(0n, concat(leaves))]);
        expect(digests(await merge(parts, 8, count))).toEqual(whole);
        const pairs = await merge(parts, 2, count);
        expect(digests(await merge(await merge(pairs, 2, 2 * count), 2, 4 * count))).toEqual(whole);
      },
    ),
    { numRuns: 8 },
  );
});

test("leaves are sorted by all of their bytes, those that are the same by their places", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(0, 1, 7, 128, 255), { maxLength: 40 }), fc.nat(31), (bytes, at) => {
      const leaves = bytes.map((byte) => {
        const hash = new Uint8Array(HASH_SIZE).fill(9);
        hash[at] = byte;
        return hash;
      });
      const order = bytes.map((_, i) => i).sort((a, b) => (bytes[a] ?? 0) - (bytes[b] ?? 0) || a - b);
      expect([...sortedPlaces(concat(leaves))]).toEqual(order);
    }),
  );
});
