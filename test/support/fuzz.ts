/**
 * Fuzzing of a parser: every sample of it, cut off and changed in a hundred thousand ways. It may refuse by the error that
 * it declares. It may not fail otherwise, take more than in proportion to its input, or keep anything.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { concatBytes, joinBytes } from "@kedge/verify/tlog/bytes";
import { utf8ToBytes } from "@noble/hashes/utils.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

export type Parser = {
  name: string;
  samples: readonly Uint8Array[];
  /** Throws what it declares; whatever else it throws has failed, a finding of its own about the result too. */
  parse(input: Uint8Array): void;
  declares(error: unknown): boolean;
};

const RUNS = 100_000;

/** What grammars have a meaning for, and what they have to refuse. */
const TOKENS = [
  ..."<>&\"'{}[]()|,;:=-/\\\t\r\n 0\u0000\u00fc\u2028\u{1f600}",
  ...[
    "<!DOCTYPE a [",
    "<![CDATA[",
    "]]>",
    "<!--",
    "-->",
    "<?x ?>",
    "&#0;",
    "&#xD800;",
    "&lt;",
    "&a;",
    "xmlns=''",
    "a:b",
  ],
  ...[
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "1e999",
    "-0",
    "12345678901234567890",
    '""',
    "{}",
    "[]",
    '"__proto__":',
    '"resourceType":"Bundle"',
  ],
].map(utf8ToBytes);
TOKENS.push(
  Uint8Array.of(0xff),
  Uint8Array.of(0xc0, 0x80),
  Uint8Array.of(0xed, 0xa0, 0x80),
  Uint8Array.of(0xef, 0xbb, 0xbf),
);

const place = fc.nat(0xffff_ffff);
const mutation = fc.oneof(
  fc.record({ kind: fc.constant("cut" as const), at: place }),
  fc.record({ kind: fc.constant("flip" as const), at: place, bit: fc.nat(7) }),
  fc.record({ kind: fc.constant("drop" as const), at: place, length: fc.nat(40) }),
  fc.record({ kind: fc.constant("copy" as const), at: place, from: place, length: fc.nat(60) }),
  fc.record({
    kind: fc.constant("token" as const),
    at: place,
    token: fc.constantFrom(...TOKENS),
    length: fc.nat(4),
  }),
);
type Mutation = typeof mutation extends fc.Arbitrary<infer M> ? M : never;

function mutated(input: Uint8Array, change: Mutation): Uint8Array {
  const at = change.at % (input.length + 1);
  switch (change.kind) {
    case "cut":
      return input.slice(0, at);
    case "flip": {
      const copy = input.slice();
      if (at < copy.length) copy[at] = (copy[at] ?? 0) ^ (1 << change.bit);
      return copy;
    }
    case "drop":
      return concatBytes(input.subarray(0, at), input.subarray(at + change.length));
    case "copy": {
      const from = change.from % (input.length + 1);
      return concatBytes(
        input.subarray(0, at),
        input.subarray(from, from + change.length),
        input.subarray(at),
      );
    }
    case "token":
      return concatBytes(input.subarray(0, at), change.token, input.subarray(at + change.length));
  }
}

/** Runs the parser; rethrows what it does not declare. */
function attempt({ parse, declares }: Parser, input: Uint8Array): void {
  try {
    parse(input);
  } catch (error) {
    if (!declares(error)) throw error;
  }
}

setFlagsFromString("--expose-gc");
const collect: unknown = runInNewContext("gc");

function heapUsed(): number {
  if (typeof collect === "function") collect();
  return process.memoryUsage().heapUsed;
}

const MAX_GROWTH = 24 << 20;
/** A piece that is repeated so often, and eight times as often, takes eight times as long: below 32 is no square. */
const REPEATED = 1_000;
const TIMES = 8;
const MAX_RATIO = 32;
const MEASURABLE_MS = 20;

export function fuzz(parser: Parser): void {
  describe(parser.name, () => {
    const sample = fc.constantFrom(...parser.samples);

    test("its samples are read", () => {
      for (const input of parser.samples) parser.parse(input);
    });

    test(`${RUNS} changed inputs: read, or refused as declared, and nothing is kept`, {
      timeout: 600_000,
    }, () => {
      const input = fc
        .tuple(sample, fc.array(mutation, { minLength: 1, maxLength: 3, size: "max" }))
        .map(([whole, changes]) => changes.reduce(mutated, whole));
      const run = (numRuns: number) =>
        fc.assert(
          fc.property(input, (bytes) => attempt(parser, bytes)),
          { numRuns },
        );
      run(RUNS / 10);
      const before = heapUsed();
      run(RUNS - RUNS / 10);
      expect(heapUsed() - before).toBeLessThan(MAX_GROWTH);
    });

    test("a piece of it that is repeated takes time in proportion, whatever it is", {
      timeout: 600_000,
    }, () => {
      const pump = fc.tuple(
        sample,
        place,
        fc.integer({ min: 1, max: 24 }),
        fc.option(fc.constantFrom(...TOKENS)),
        fc.boolean(),
      );
      fc.assert(
        fc.property(pump, ([whole, where, length, token, isCut]) => {
          const at = where % (whole.length + 1);
          const piece = token ?? whole.subarray(at, at + length);
          const repeated = (times: number) =>
            joinBytes([
              whole.subarray(0, at),
              ...Array<Uint8Array>(times).fill(piece),
              isCut ? new Uint8Array() : whole.subarray(at),
            ]);
          const few = repeated(REPEATED);
          const many = repeated(REPEATED * TIMES);
          if (fastest(parser, many, 1) < MEASURABLE_MS) return;
          const ratio =
            fastest(parser, many, 3) / Math.max(fastest(parser, few, 5), MEASURABLE_MS / TIMES / 2);
          expect(ratio).toBeLessThan(MAX_RATIO);
        }),
        { numRuns: 150 },
      );
    });
  });
}

function fastest(parser: Parser, input: Uint8Array, times: number): number {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < times; i++) {
    // Of this process alone: other work on the machine does not count.
    const start = process.cpuUsage();
    attempt(parser, input);
    const { user, system } = process.cpuUsage(start);
    best = Math.min(best, (user + system) / 1_000);
  }
  return best;
}
