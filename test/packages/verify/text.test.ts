/** Text of others as it stands in our own sentences. */
import { visible } from "@kedge/verify/text";
import { expect, test } from "vitest";

test("what is unseen, or turns what is beside it around, is one character each that is seen", () => {
  expect(visible("a\u200bb\u202ec\u2066d\ne", 100)).toBe("a\ufffdb\ufffdc\ufffdd\ufffde");
});

test("marks on one character are as many as a script has, and a thousand cover nothing", () => {
  const name = "Nguy\u0065\u0302\u0303n";
  expect(visible(name, 100)).toBe(name);
  expect(visible(`e${"\u0301".repeat(1_000)}, MRN 1`, 4_096)).toBe(`e${"\u0301".repeat(8)}\ufffd, MRN 1`);
});
