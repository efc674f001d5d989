/** The verdict on what people hand in: the same list is put to the page, in page/verdicts.browser.test.ts. */
import { parseOpening } from "@kedge/verify/events/commitment";
import { parseKeys } from "@kedge/verify/proof/keys";
import { verdictOf } from "@kedge/verify/proof/verdict";
import { verifyEvent } from "@kedge/verify/proof/verify";
import { expect, test } from "vitest";
import { VERIFY_CASES } from "../../../support/verify-cases.ts";

test.each(VERIFY_CASES.map((one) => [one.name, one] as const))("%s", (_, { event, proof, keys, ...one }) => {
  const opening = one.opening === undefined ? {} : { opening: parseOpening(JSON.parse(one.opening)) };
  const report = verifyEvent({ event, proof, ...parseKeys(keys), ...opening });
  expect(verdictOf(report), JSON.stringify(report.failure)).toBe(one.verdict);
});

test("the names are distinct, and each verdict has its cases", () => {
  expect(new Set(VERIFY_CASES.map(({ name }) => name)).size).toBe(VERIFY_CASES.length);
  for (const verdict of ["unchanged", "changed", "untold"]) {
    expect(VERIFY_CASES.filter((one) => one.verdict === verdict).length).toBeGreaterThan(8);
  }
});
