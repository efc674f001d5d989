import { createHash } from "node:crypto";
import { TlogError, type TlogErrorCode } from "@kedge/verify/tlog/error";

function sha256(...parts: Uint8Array[]): Uint8Array {
  const hash = createHash("sha256");
  for (const part of parts) {
    hash.update(part);
  }
  return Uint8Array.from(hash.digest());
}

/**
 * RFC 6962 §2.1 as it is written, recursion and all, over another SHA-256. Entry i is the decimal of
 * i modulo `period`, so that the hash of a range depends on its length and its start modulo `period`
 * and trees of any size can be computed. Ranges stand for the D[a:b] of the RFC.
 */
export function referenceTree(period: bigint) {
  const known = new Map<string, Uint8Array>();

  function entry(i: bigint): Uint8Array {
    return new TextEncoder().encode(`entry ${i % period}`);
  }

  function mth(a: bigint, b: bigint): Uint8Array {
    const key = `${a % period} ${b - a}`;
    const hash = known.get(key) ?? computeMth(a, b);
    known.set(key, hash);
    return hash;
  }

  function computeMth(a: bigint, b: bigint): Uint8Array {
    const n = b - a;
    if (n === 0n) return sha256();
    if (n === 1n) return sha256(Uint8Array.of(0), entry(a));
    const k = largestPowerOfTwoBelow(n);
    return sha256(Uint8Array.of(1), mth(a, a + k), mth(a + k, b));
  }

  function path(m: bigint, a: bigint, b: bigint): Uint8Array[] {
    const n = b - a;
    if (n === 1n) return [];
    const k = largestPowerOfTwoBelow(n);
    return m < k ? [...path(m, a, a + k), mth(a + k, b)] : [...path(m - k, a + k, b), mth(a, a + k)];
  }

  function subproof(m: bigint, a: bigint, b: bigint, complete: boolean): Uint8Array[] {
    const n = b - a;
    if (m === n) return complete ? [] : [mth(a, b)];
    const k = largestPowerOfTwoBelow(n);
    return m <= k
      ? [...subproof(m, a, a + k, complete), mth(a + k, b)]
      : [...subproof(m - k, a + k, b, false), mth(a, a + k)];
  }

  return {
    entry,
    mth,
    leaf: (i: bigint) => mth(i, i + 1n),
    leaves: (a: bigint, b: bigint) =>
      Array.from({ length: Number(b - a) }, (_, i) => mth(a + BigInt(i), a + BigInt(i) + 1n)),
    root: (size: bigint) => mth(0n, size),
    path: (m: bigint, size: bigint) => path(m, 0n, size),
    /** PROOF(m, D[n]); empty for m = 0, which the RFC leaves out. */
    proof: (m: bigint, n: bigint) => (m === 0n ? [] : subproof(m, 0n, n, true)),
  };
}

function largestPowerOfTwoBelow(n: bigint): bigint {
  let k = 1n;
  while (k * 2n < n) {
    k *= 2n;
  }
  return k;
}

/** The code with which a call is refused, or "accepted". */
export function verdict(call: () => unknown): TlogErrorCode | "accepted" {
  try {
    call();
    return "accepted";
  } catch (error) {
    if (error instanceof TlogError) {
      return error.code;
    }
    throw error;
  }
}

/** The bytes with one bit of byte `at` flipped. */
export function flip(bytes: Uint8Array, at: number, bit = 0): Uint8Array {
  return bytes.map((byte, i) => (i === at ? byte ^ (1 << bit) : byte));
}
