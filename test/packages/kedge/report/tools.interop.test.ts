/** The report as other people's PDF reader sees it: poppler's text, in the order of the tags. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { reportPdf } from "@kedge/cli/report/pdf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { judgedPack, judgedRow } from "../../../support/judged.ts";

const hasPoppler = spawnSync("pdfinfo", ["-v"]).status === 0;
if (!hasPoppler)
  console.info("skipped: the report by poppler: there is no pdfinfo (apt-get install poppler-utils)");

describe.skipIf(!hasPoppler)("poppler", () => {
  const folder = mkdtempSync(join(tmpdir(), "kedge-report-"));
  const file = join(folder, "report.pdf");
  const run = (name: string, ...args: string[]) => execFileSync(name, [...args], { encoding: "utf8" });
  beforeAll(async () => {
    const rows = Array.from({ length: 6 }, (_, i) => judgedRow(i));
    writeFileSync(file, await reportPdf(judgedPack(rows)));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test("finds a tagged file with its title and date, and nothing that acts", () => {
    const info = run("pdfinfo", file);
    expect(info).toMatch(/Title: +Access report – case 2026-0147\n/);
    expect(info).toMatch(/Tagged: +yes\n/);
    expect(info).toMatch(/JavaScript: +no\n/);
    expect(info).toMatch(/CreationDate: +Sat Mar 14 10:40:00 2026/);
  });

  test("reads the tags: heading, verdict, tables of header cells and cells, the figure", () => {
    const tree = run("pdfinfo", "-struct-text", file);
    expect(tree).toMatch(/^Document\n +H1 \(block\)\n +"Access report "/);
    expect(tree).toContain('"Unchanged "');
    expect(tree).toMatch(
      /THead[\s\S]*Scope \/Column[\s\S]*TBody[\s\S]*Scope \/Row[\s\S]*"Nguyễn Thị Hạnh MRN MRN-100003 "/,
    );
    expect(tree).toContain("Figure");
  });

  test("every font is embedded, as a subset, with its characters", () => {
    const [, , ...fonts] = run("pdffonts", file).trim().split("\n");
    expect(fonts.length).toBeGreaterThan(3);
    for (const font of fonts) expect(font).toMatch(/Identity-H +yes yes yes/);
  });

  test("each page's text has the evidence's SHA-256 and which page it is", () => {
    const pages = run("pdftotext", file, "-").split("\f").slice(0, -1);
    for (const [i, text] of pages.entries()) {
      expect(text).toContain(judgedPack([]).evidence);
      expect(text.replace(/\s+/g, " ")).toContain(`page ${i + 1} of ${pages.length}`);
    }
  });
});
