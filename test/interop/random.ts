import fc from "fast-check";
import { z } from "zod";
import { flip } from "../packages/verify/tlog/reference.ts";

const given = process.env["KEDGE_INTEROP_SEED"] ?? Math.floor(Math.random() * 2 ** 31);
const seed = z.coerce.number().int().parse(given);
console.log(`interop: seed ${seed}; KEDGE_INTEROP_SEED=${seed} makes the same inputs again`);

export function sample<T>(arbitrary: fc.Arbitrary<T>, count: number): T[] {
  return fc.sample(arbitrary, { seed, numRuns: count });
}

/** Of every byte, one copy with one bit of it flipped. */
export function flippedBits(bytes: Uint8Array): { at: number; flipped: Uint8Array }[] {
  return sample(fc.nat(7), bytes.length).map((bit, at) => ({ at, flipped: flip(bytes, at, bit) }));
}

// What parsers trip over: separators, white space, padding, signs, digits, and characters of several bytes.
const TOKENS = [
  "\n",
  "\r",
  " ",
  "\t",
  "=",
  "+",
  "-",
  "0",
  "1",
  "A",
  "—",
  "\u00a0",
  "\u{1f40e}",
  "\0",
  "\n\n",
];

/** Copies of a text with one token put in, taken out or put in the place of another character. */
export function mutations(text: string, count: number): string[] {
  const at = fc.nat(text.length);
  const mutation = fc
    .tuple(at, fc.nat(1), fc.constantFrom("", ...TOKENS))
    .map(([start, removed, token]) => text.slice(0, start) + token + text.slice(start + removed));
  return sample(
    mutation.filter((mutated) => !/\p{Surrogate}/u.test(mutated)),
    count,
  );
}
