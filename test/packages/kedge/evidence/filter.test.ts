import { rowFilter } from "@kedge/cli/evidence/filter";
import { expect, test } from "vitest";

test("what is no question is refused as the officer's", () => {
  const refused = expect.objectContaining({ name: "EvidenceError", code: "filter" });
  expect(() => rowFilter({ from: "14.3.2026" }, "UTC")).toThrow(refused);
  expect(() => rowFilter({ gtin: "123" }, "UTC")).toThrow(refused);
  expect(() => rowFilter({}, "Mars/Olympus")).toThrow(refused);
});
