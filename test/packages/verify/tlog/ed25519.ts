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

type Signed = { publicKey: Uint8Array; message: Uint8Array; signature: Uint8Array };

export type Ed25519Case = Signed & {
  /** Whether S·B = R + k·A as it stands, with S below L and R in its canonical encoding. */
  holds: boolean;
  /** Whether the key or R is of small order, or the key's encoding is not the canonical one. */
  isWeak: boolean;
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
      const made = sign(key, commitment, message(random));
      const { signature } = made;
      const s = bytesToNumberLE(signature.subarray(32));
      if (kind === "plus L") signature.set(numberToBytesLE(s + CURVE().n, 32), 32);
      if (kind === "another") signature.set(numberToBytesLE(Fn.create(s + 1n), 32), 32);
      if (kind === "flipped bit") signature[bit >> 3] = (signature[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      return judge(made);
    });
}

/** For each R of small order a signature on which the equation holds, under a key that is not of small order. */
export function smallOrderRCases(message: (random: Uint8Array) => Uint8Array): Ed25519Case[] {
  const key = { scalar: SCALARS[1] ?? 0n, torsion: 1, encoding: 0 };
  return TORSION.map((_, torsion) => {
    // The key's part of small order cancels R's under one message in eight.
    for (let i = 0; ; i += 1) {
      const made = judge(sign(key, { scalar: 0n, torsion, encoding: 0 }, message(numberToBytesLE(i, 16))));
      if (made.holds) return made;
    }
  });
}

function sign(key: Made, commitment: Made, message: Uint8Array): Signed {
  const publicKey = encode(key);
  const r = encode(commitment);
  const s = Fn.create(commitment.scalar + hash(r, publicKey, message) * key.scalar);
  return { publicKey, message, signature: concatBytes(r, numberToBytesLE(s, 32)) };
}

function judge(signed: Signed): Ed25519Case {
  const { publicKey, message, signature } = signed;
  const r = signature.subarray(0, 32);
  const s = bytesToNumberLE(signature.subarray(32));
  const [A, R] = [decode(publicKey), decode(r)];
  if (A === undefined || R === undefined) return { ...signed, holds: false, isWeak: false };
  const right = R.add(A.multiplyUnsafe(hash(r, publicKey, message)));
  const isCanonical = equalBytes(R.toBytes(), r) && Fn.isValid(s);
  return {
    ...signed,
    holds: isCanonical && BASE.multiplyUnsafe(s).equals(right),
    isWeak: A.isSmallOrder() || R.isSmallOrder() || !equalBytes(A.toBytes(), publicKey),
  };
}

function hash(...parts: Uint8Array[]): bigint {
  return Fn.create(bytesToNumberLE(sha512(concatBytes(...parts))));
}

/** Of whichever encoding; undefined when there is no such point. */
function decode(bytes: Uint8Array): Point | undefined {
  try {
    return ed25519.Point.fromBytes(bytes, true);
  } catch {
    return undefined;
  }
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
