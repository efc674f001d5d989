/** Documents of a pack that were made to fill the memory of whoever reads them. */
import { PackError } from "@kedge/verify/pack/error";
import { readStatement } from "@kedge/verify/pack/gaps";
import { caseFile, list } from "@kedge/verify/pack/schema";
import { expect, test } from "vitest";
import * as z from "zod/mini";

const reading = (read: () => unknown): unknown => {
  try {
    return read();
  } catch (error) {
    return error instanceof PackError ? `${error.code}: ${error.message}` : error;
  }
};

test.each([
  ["case.json", (text: string) => caseFile.read(text, "case.json")],
  ["gaps.json", (text: string) => readStatement(text, "gaps.json")],
])("%s of too many levels is refused before it is a value", (file, read) => {
  const said = reading(() => read("[".repeat(1_000)));
  expect(said).toMatch(/^malformed: .* more than 128 levels of nesting/);
  expect(said).toContain(`${file} cannot be read`);
});

test("of a list with many items that are none, one is looked at", () => {
  let looked = 0;
  const never = z.custom<never>(() => {
    looked += 1;
    return false;
  });
  const { error } = list(never, 1_000).safeParse(Array.from({ length: 1_000 }, () => ({})));
  expect(error?.issues.map(({ path }) => path)).toEqual([[0]]);
  list(never, 1_000).safeParse(Array.from({ length: 1_001 }, () => ({})));
  expect(looked).toBe(1);
});
