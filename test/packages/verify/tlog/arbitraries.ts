import fc from "fast-check";

const MAX = (1n << 63n) - 1n;

/** Tree sizes where mistakes live: small, around powers of two (of 256, of 2^53), and anywhere. */
export const treeSize: fc.Arbitrary<bigint> = fc.oneof(
  fc.bigInt(1n, 1000n),
  fc
    .tuple(fc.integer({ min: 1, max: 63 }), fc.bigInt(-3n, 3n))
    .map(([power, offset]) => (1n << BigInt(power)) + offset)
    .filter((size) => size >= 1n && size <= MAX),
  fc.bigInt(1n << 53n, MAX),
  fc.bigInt(1n, MAX),
);

/** A size and one number in 0..size-1, often at an edge. */
export const sizeAndIndex: fc.Arbitrary<{ size: bigint; index: bigint }> = treeSize.chain((size) =>
  fc
    .oneof(fc.bigInt(0n, size - 1n), fc.constant(0n), fc.constant(size - 1n), fc.constant(size / 2n))
    .map((index) => ({ size, index })),
);

/** Two sizes, from <= to, often close together. */
export const growth: fc.Arbitrary<{ from: bigint; to: bigint }> = treeSize.chain((to) =>
  fc
    .oneof(
      fc.bigInt(0n, to),
      fc.constant(to),
      fc.constant(to / 2n),
      fc.bigInt(0n, 600n).map((back) => (back > to ? 0n : to - back)),
      treeSize.map((from) => from % (to + 1n)),
    )
    .map((from) => ({ from, to })),
);

export const bytes32: fc.Arbitrary<Uint8Array> = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => Uint8Array.from(bytes));
