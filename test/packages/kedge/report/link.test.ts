import { linkOf } from "@kedge/cli/report/link";
import type { VerifyReport } from "@kedge/verify/proof/verify";
import { expect, test } from "vitest";
import { judgedPack, judgedRow, provenReport } from "../../../support/judged.ts";

const placed = (place: Partial<NonNullable<VerifyReport["log"]>>): VerifyReport => {
  const report = provenReport(7);
  return { ...report, log: { origin: "", index: "7", treeSize: "9", root: "", ...report.log, ...place } };
};

test("the code names index and leaf of one row", () => {
  const link = linkOf(judgedPack([judgedRow(0)]));
  expect(link?.host).toBe("audit.example.org");
  expect(link?.url).toMatch(
    /^https:\/\/audit\.example\.org\/verify\.html#log=[\w.%]+&size=48213&root=[0-9a-f]{64}&index=40000&leaf=[0-9a-f]{64}&evidence=[0-9a-f]{64}$/,
  );
});

test("of several rows it names the largest tree alone, and never whose they are", () => {
  const rows = [judgedRow(0), judgedRow(1, { report: placed({ treeSize: "50000" }) }), judgedRow(2)];
  const { url = "" } = linkOf(judgedPack(rows)) ?? {};
  expect(url).toContain("size=50000");
  expect(url).not.toMatch(/index=|leaf=|MRN|Larsson/);
});

test("there is none where nothing is proven, or the log's name has no host in it", () => {
  const origins = ["javascript:alert(1)/log/x", "a b/log/x", "audit.example.org@evil/log", "/log/x", "-/x"];
  for (const origin of origins)
    expect(linkOf(judgedPack([judgedRow(0, { report: placed({ origin }) })]))).toBeUndefined();
  const { report: _, ...row } = judgedRow(0);
  expect(linkOf(judgedPack([row]))).toBeUndefined();
});
