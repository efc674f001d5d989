/** The trail in pages: all of it, or the newest, and then that is told. */
import { expect, test } from "vitest";
import { newestOf, type TrailPage } from "../../../console/pages/acts.ts";

/** Ten events, three a page. */
async function pageOf(before = "10"): Promise<TrailPage> {
  const first = Number(before);
  const rows = [first, first - 1, first - 2]
    .filter((n) => n > 0)
    .map((n) => ({ at: "", event: `${n}`, commitment: `${n}`, opening: {} }));
  return { rows, ...(first > 3 && { next: `${first - 3}` }) };
}

test.each([
  [100, 10, false],
  [10, 10, false],
  [9, 9, true],
  [1, 3, true],
])("of ten events, %i at most: %i, and older ones: %s", async (most, count, isCut) => {
  const found = await newestOf(pageOf, most);
  expect(found.isCut).toBe(isCut);
  expect(found.rows.map(({ event }) => Number(event))).toEqual(
    Array.from({ length: count }, (_, i) => 10 - i),
  );
});
