import { kept } from "@kedge/verify/proof/kept";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

describe("what is kept by its text", () => {
  test("is read from that very text, a byte order mark included", () => {
    const read = kept((text) => text);
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom("\ufeff", "\ufeffa", "a\ufeff", "\ufffd"),
    );
    fc.assert(fc.property(text, (text) => read(text) === text && read(text) === text));
  });

  test("is never read from a text that is not valid Unicode", () => {
    let reads = 0;
    const read = kept(() => reads++);
    expect(() => read("a\ud800")).toThrow(expect.objectContaining({ code: "malformed" }));
    expect(reads).toBe(0);
  });

  test("is read once while it is among the last sixteen, and again once it is not", () => {
    const reads: string[] = [];
    const read = kept((text) => reads.push(text));
    for (const text of ["a", "a", ...Array.from({ length: 15 }, (_, i) => `${i}`), "a"]) read(text);
    expect(reads.filter((text) => text === "a")).toHaveLength(1);
    for (let i = 0; i < 16; i++) read(`more ${i}`);
    read("a");
    expect(reads.filter((text) => text === "a")).toHaveLength(2);
  });
});
