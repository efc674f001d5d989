/** Which names a rotation gives. */
import { familyOf, isRotationOf } from "@kedge/cli/agent/file-state";
import { expect, test } from "vitest";

test.each([
  "ehr.log.1",
  "ehr.log.12.gz",
  "ehr.log-20261128",
  "ehr.log-20261128.gz",
  "ehr.log.2026-11-28_10",
  "ehr.log.old",
  "ehr-2026-11-28.log",
  "ehr.2026-11-28.3.log.gz",
  "ehr.1.log",
])("%s was ehr.log", (name) => {
  expect(familyOf(name)).toBe("ehr.log");
  expect(isRotationOf(name, "ehr.log")).toBe(true);
});

test.each([
  "ehr-2.log",
  "ehr2.log",
  "other.log.1",
  "ehr.log.bz2",
  "ehr.logs",
  "ehr.log.1.txt",
  "deep/ehr.log.1",
  "ehr.log",
])("%s was not", (name) => {
  expect(isRotationOf(name, "ehr.log")).toBe(false);
});

test("a compressed file was what its name says without the ending", () => {
  expect(isRotationOf("ehr.log.1.gz", "ehr.log.1")).toBe(true);
  expect(isRotationOf("ehr.log.2", "ehr.log.1")).toBe(false);
});
