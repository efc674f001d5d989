/** The report within a pack: whoever judges it makes it anew. */
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { reportPdf } from "@kedge/cli/report/pdf";
import { judgePack } from "@kedge/verify/pack/judge";
import { keysOfPolicy, readPack } from "@kedge/verify/pack/read";
import { writePack } from "@kedge/verify/pack/write";
import { VERSION } from "@kedge/verify/version";
import { expect, test } from "vitest";
import { PACK_POLICY, smallParts, unzipped, zipped } from "../../../support/pack.ts";
import { readingOf, readPdf } from "../../../support/pdf.ts";

const made = writePack(smallParts(), { makeReport: reportPdf });

test("the report of a pack says what its rows and its numbering show", async () => {
  const { zip } = await made;
  const report = unzipped(zip).get("report.pdf") ?? new Uint8Array();
  const said = readingOf(readPdf(report).top);
  expect(said).toContain("Each of the 4 records is, byte for byte, what was logged");
  expect(said).toContain("Complete: every number is there.");
  expect(said).toContain("witness.example.com/w1");
  expect(said).toContain("— audit.example.org/log/");
});

test("made anew it is the same, whoever's keys judge; of another report it is told", async () => {
  const { zip } = await made;
  const makeReport = reportPdf;
  expect((await judgePack(await readPack(zip), { makeReport })).files).toEqual([]);
  const keys = keysOfPolicy(PACK_POLICY);
  expect((await judgePack(await readPack(zip), { makeReport, keys })).files).toEqual([]);

  const files = unzipped(zip);
  const report = Uint8Array.from(files.get("report.pdf") ?? []);
  report[report.length - 200] = 0x20;
  files.set("report.pdf", report);
  const judged = await judgePack(await readPack(zipped(files)), { makeReport });
  expect(judged.files.map(({ file }) => file)).toContain("report.pdf");
});

/**
 * What each version makes of one and the same pack. Whoever judges makes it anew, and calls a pack of their own version changed
 * where it differs: so what makes another one is another version. The line of a version that was handed out stays as it is.
 */
const MADE: Readonly<Record<string, string>> = {
  "0.1.0": "aa824cd3efef2f5b666a986e3cbeb10e884dd18b12ef460993067071473b917b",
};

test("one version makes one and the same of a pack, for ever", async () => {
  const files = unzipped((await made).zip);
  const hash = createHash("sha256");
  for (const name of ["README.txt", "case.json", "gaps.json", "report.csv", "report.pdf"]) {
    hash.update(files.get(name) ?? "");
  }
  expect(hash.digest("hex"), "what is made of a pack has changed: name another version").toBe(MADE[VERSION]);
});

test.each(["verify", "cli"])("the version that packs name is that of @kedge/%s", (name) => {
  const { version }: { version: string } = createRequire(import.meta.url)(`@kedge/${name}/package.json`);
  expect(version).toBe(VERSION);
});
