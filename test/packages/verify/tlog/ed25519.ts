/** Ed25519 signatures on which verifiers are known to differ, as only the holder of a key can make them. */

import { concatBytes, equalBytes } from "@kedge/verify/tlog/bytes";
import { ED25519_TORSION_SUBGROUP, ed25519 } from "@noble/curves/ed25519.js";
import { bytesToNumberLE, numberToBytesLE } from "@noble/curves/utils.js";
import { sha512 } from "@noble/hashes/sha2.js";
import fc from "fast-check";

const { BASE, CURVE, Fn, fromHex } = ed25519.Point;
type Point = typeof BASE;

const EIGHTH = fromHex(ED25519_TORSION_SUBGROUP[1] ?? "");
/** The eight points whose order divides the cofactor. */
const TORSION = Array.from({ length: 8 }, (_, i) => EIGHTH.multiplyUnsafe(BigInt(i)));
/** Secrets; 0 instead stands for a point that has only its part of small order. */
const SCALARS = [
  0n,
  ...Array.from({ length: 12 }, (_, i) => Fn.create(0x9e3779b97f4a7c15n ** BigInt(i + 5))),
];
const MULTIPLES = new Map(SCALARS.map((scalar) => [scalar, BASE.multiplyUnsafe(scalar)]));

export type Ed25519Case = {
  publicKey: Uint8Array;
  message: Uint8Array;
  signature: Uint8Array;
  /** Whether the key's order divides the cofactor, or its encoding is not the canonical one. */
  isWeakKey: boolean;
};

/**
 * With S made so that the equation holds once it is multiplied by the cofactor, and then maybe spoilt. The parts of small
 * order decide whether it holds as it stands. `message` makes what is signed of 16 random bytes.
 */
export function ed25519Cases(message: (random: Uint8Array) => Uint8Array): fc.Arbitrary<Ed25519Case> {
  const scalar = fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...SCALARS) }, fc.constant(0n));
  const torsion = fc.oneof(fc.constant(0), fc.nat(7));
  const point = fc.record({ scalar, torsion, encoding: fc.nat(3) });
  const kind = fc.constantFrom("as made", "as made", "as made", "plus L", "another", "flipped bit");
  const random = fc.uint8Array({ minLength: 16, maxLength: 16 });
  return fc
    .record({ key: point, commitment: point, kind, random, bit: fc.nat(511) })
    .map(({ key, commitment, kind, random, bit }) => {
      const signed = message(random);
      const publicKey = encode(key);
      const r = encode(commitment);
      const k = Fn.create(bytesToNumberLE(sha512(concatBytes(r, publicKey, signed))));
      const made = Fn.create(commitment.scalar + k * key.scalar);
      const s = kind === "plus L" ? made + CURVE().n : kind === "another" ? Fn.create(made + 1n) : made;
      const signature = concatBytes(r, numberToBytesLE(s, 32));
      if (kind === "flipped bit") signature[bit >> 3] = (signature[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const isCanonical = equalBytes(publicKey, pointOf(key).toBytes());
      return { publicKey, message: signed, signature, isWeakKey: key.scalar === 0n || !isCanonical };
    });
}

type Made = { scalar: bigint; torsion: number; encoding: number };

function pointOf({ scalar, torsion }: Made): Point {
  return (MULTIPLES.get(scalar) ?? BASE).add(TORSION[torsion] ?? BASE);
}

/** One of the up to four encodings of a point: y or y + p, where that has 255 bits, and either sign, where x is 0. */
function encode(made: Made): Uint8Array {
  const { x, y } = pointOf(made).toAffine();
  const ys = y < 19n ? [y, y + CURVE().p] : [y];
  const signs = x === 0n ? [0n, 1n] : [x & 1n];
  const all = ys.flatMap((y) => signs.map((sign) => numberToBytesLE(y | (sign << 255n), 32)));
  return all[made.encoding % all.length] ?? new Uint8Array();
}
