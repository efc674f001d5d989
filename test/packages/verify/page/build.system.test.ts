/** The page is one file of bounded size, and the same to the byte wherever it is built. */
import { execFileSync } from "node:child_process";
import { readFileSync, statSync, utimesSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { PAGE_FILE } from "../../../support/page.ts";

const BUILD = fileURLToPath(new URL("../../../../build.mjs", import.meta.url));
const inDist = (path: string) =>
  fileURLToPath(new URL(`../../../../packages/${path.replace("/", "/dist/")}`, import.meta.url));
const LIBRARY = inDist("verify/vendor/fflate.js");
const FONT = inDist("kedge/report/fonts/noto-sans-latin-400.woff");
const build = (): void => void execFileSync(process.execPath, [BUILD], { stdio: "pipe" });

test("two builds give the same bytes, at most 700,000 of them", () => {
  build();
  const [page, library] = [readFileSync(PAGE_FILE), readFileSync(LIBRARY)];
  expect(page.length).toBeLessThanOrEqual(700_000);
  // Older than their sources: they are made again, and replaced in one step, for other tests run what is there.
  for (const path of [LIBRARY, PAGE_FILE]) utimesSync(path, 0, 0);
  build();
  for (const path of [LIBRARY, PAGE_FILE]) expect(statSync(path).mtimeMs).toBeGreaterThan(0);
  expect(readFileSync(PAGE_FILE).equals(page)).toBe(true);
  expect(readFileSync(LIBRARY).equals(library)).toBe(true);
});

test("what is newer than its sources is left as it is", () => {
  build();
  const made = [PAGE_FILE, LIBRARY, FONT];
  const before = made.map((path) => statSync(path).mtimeMs);
  build();
  expect(made.map((path) => statSync(path).mtimeMs)).toEqual(before);
});

test("the page names nothing outside of itself, and the licences of what is in it", () => {
  const page = readFileSync(PAGE_FILE, "utf8");
  expect(page.match(/<(script|link|img|iframe)[^>]* (src|href)="(?!data:,)/g)).toBeNull();
  for (const name of ["pkijs", "asn1js", "@noble/curves", "preact", "fflate"]) {
    expect(page.slice(page.indexOf('id="licences"'))).toContain(`${name} `);
  }
});
