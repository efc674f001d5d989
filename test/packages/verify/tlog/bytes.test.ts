import { decodeBase64, encodeBase64 } from "@kedge/verify/tlog/bytes";
import { base64 } from "@scure/base";
import fc from "fast-check";
import { expect, test } from "vitest";
import { verdict } from "./reference.ts";

test("base64 is read as @scure/base reads it: canonical and nothing else", () => {
  const canonical = fc.uint8Array({ maxLength: 40 }).map(encodeBase64);
  const near = fc.string({ unit: fc.constantFrom(..."ABQgw0/+=- \n\t\f\r\v\0é"), maxLength: 9 });
  const edited = fc
    .tuple(canonical, fc.nat(60), fc.nat(2), near)
    .map(([text, at, cut, put]) => text.slice(0, at) + put + text.slice(at + cut));
  fc.assert(
    fc.property(fc.oneof(canonical, near, edited), (text) => {
      const expected = attempt(() => base64.decode(text));
      if (expected === undefined) expect(verdict(() => decodeBase64(text, "It"))).toBe("malformed");
      else expect(decodeBase64(text, "It")).toEqual(expected);
    }),
    { numRuns: 20_000 },
  );
});

test("base64 of megabytes is read", () => {
  expect(decodeBase64("A".repeat(8 << 20), "It")).toHaveLength(6 << 20);
});

function attempt<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch {
    return undefined;
  }
}
