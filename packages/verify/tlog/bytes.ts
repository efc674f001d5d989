/** Bytes, text and numbers as the formats of a log have them: UTF-8, base64 (RFC 4648 §4), decimals and u64. Strict. */
import { base64 } from "@scure/base";
import { TlogError } from "./error.ts";

/** Largest tree size, index and timestamp: 2^63 - 1, so that every implementation can hold them. */
export const MAX_UINT63 = (1n << 63n) - 1n;

/** Compares public data; not constant time. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  return joinBytes(parts);
}

/** As `concatBytes`, of any number of parts: a call can have some 120,000 arguments. */
export function joinBytes(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}

/** Big-endian uint64. Throws `out_of_range` outside 0..2^63-1. */
export function uint64(value: bigint, what: string): Uint8Array {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, checkUint63(value, what));
  return out;
}

/** Returns the value when it is in 0..2^63-1, and throws `out_of_range` otherwise. */
export function checkUint63(value: bigint, what: string): bigint {
  if (value < 0n || value > MAX_UINT63) {
    throw new TlogError("out_of_range", `${what} must be between 0 and 2^63-1`);
  }
  return value;
}

/** UTF-8 of the text. A lone surrogate has none (TextEncoder would replace it): `malformed`. */
export function utf8Encode(text: string, what: string): Uint8Array {
  if (hasLoneSurrogate(text)) throw new TlogError("malformed", `${what} is not valid Unicode`);
  return new TextEncoder().encode(text);
}

/** Most text has no surrogate at all, and that is told four times as fast. */
export function hasLoneSurrogate(text: string): boolean {
  return /[\ud800-\udfff]/.test(text) && /\p{Surrogate}/u.test(text);
}

/** A byte order mark is kept, for the caller's grammar to refuse. */
export function utf8Decode(bytes: Uint8Array, what: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new TlogError("malformed", `${what} is not valid UTF-8`, { cause });
  }
}

/** Text of at most `limit` bytes of UTF-8, from text or bytes. Throws `malformed`. */
export function boundedText(input: string | Uint8Array, limit: number, what: string): string {
  if (isLarger(input, limit)) throw new TlogError("malformed", `${what} is larger than ${limit} bytes`);
  if (typeof input !== "string") return utf8Decode(input, what);
  if (hasLoneSurrogate(input)) throw new TlogError("malformed", `${what} is not valid Unicode`);
  return input;
}

/** A UTF-16 unit takes one to three bytes of UTF-8: most text need not be encoded to be told. */
function isLarger(input: string | Uint8Array, limit: number): boolean {
  if (typeof input !== "string" || input.length > limit) return input.length > limit;
  return 3 * input.length > limit && new TextEncoder().encode(input).length > limit;
}

/** RFC 4648 §4. */
export function encodeBase64(bytes: Uint8Array): string {
  return base64.encode(bytes);
}

/** Of a last group: no padding, or unused bits that are zero before it. */
const LAST_GROUP = /^(?:[^=]*|..[AEIMQUYcgkosw048]=|.[AQgw]==)$/;

/**
 * RFC 4648 §4, canonical: padded, no whitespace, unused bits zero. Throws `malformed`. By atob, twice as fast as a decoder
 * in JavaScript; what it forgives is refused before.
 */
export function decodeBase64(text: string, what: string): Uint8Array {
  const isCanonical = text.length % 4 === 0 && !/[\t\n\f\r ]/.test(text) && LAST_GROUP.test(text.slice(-4));
  const binary = isCanonical ? binaryOf(text) : undefined;
  if (binary === undefined) throw new TlogError("malformed", `${what} is not canonical base64`);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

function binaryOf(base64: string): string | undefined {
  try {
    return atob(base64);
  } catch {
    return undefined;
  }
}

/** ASCII decimal without sign or leading zeroes, at most 2^63-1. Throws `malformed`. */
export function parseDecimal(text: string, what: string): bigint {
  // 19 digits hold 2^63-1; the bound also keeps BigInt() from working on megabytes of digits.
  if (!/^(?:0|[1-9][0-9]{0,18})$/.test(text) || BigInt(text) > MAX_UINT63) {
    throw new TlogError("malformed", `${what} is not a decimal between 0 and 2^63-1 without leading zeroes`);
  }
  return BigInt(text);
}
