/** What a browser loads before the console is shown. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";

const DIST = join(import.meta.dirname, "../../console/dist");
const MAX_BYTES = 150 * 1024;

test("the first load is at most 150 KB compressed; the chart, the case and the report come when they are opened", () => {
  const html = readFileSync(join(DIST, "index.html"), "utf8");
  const loaded = [...html.matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g)].map(([, path = ""]) => path);
  expect(loaded.length).toBeGreaterThanOrEqual(2);
  // A chunk that another one imports by name is loaded with it.
  for (const path of loaded) {
    const text = readFileSync(join(DIST, path), "utf8");
    for (const [, name = ""] of text.matchAll(/(?:from|import)\s*"\.\/([^"]+\.js)"/g))
      if (!loaded.includes(`assets/${name}`)) loaded.push(`assets/${name}`);
  }
  const bytes = [html, ...loaded.map((path) => readFileSync(join(DIST, path)))].map(
    (content) => gzipSync(content).length,
  );
  const sum = bytes.reduce((total, each) => total + each, 0);
  console.info(`the console's first load: ${sum} bytes compressed, in ${bytes.length} files`);
  expect(sum).toBeLessThanOrEqual(MAX_BYTES);

  const atOnce = loaded.map((path) => readFileSync(join(DIST, path), "utf8")).join("\n");
  for (const later of ["u-cursor-x", "PDFDocument", "case-chooser"])
    expect(atOnce.includes(later)).toBe(false);
  expect(readdirSync(join(DIST, "assets")).length).toBeGreaterThan(loaded.length);
});
