/**
 * Files that no page can use, as large as an export of a year: it says so in words, and what was given before is still there.
 * `KEDGE_LARGE_MIB=300` for larger ones.
 */
import { mkdtemp, open, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MAX_LINES } from "@kedge/verify/page/given";
import { formatVkey } from "@kedge/verify/tlog/note";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hasChromium, openChromium } from "../../../support/browser.ts";
import { checked, choose, headline, openPage, paste } from "../../../support/page.ts";
import { EVENT, log, makeProof } from "../../../support/proofs.ts";

const SIZE = Number(process.env["KEDGE_LARGE_MIB"] ?? 72) << 20;

describe.skipIf(!hasChromium)("the verifier page, given a record and its proof, and then", () => {
  let browser: Browser;
  let folder: string;
  beforeAll(async () => {
    browser = await openChromium();
    folder = await mkdtemp(join(tmpdir(), "kedge-large-"));
    // Zeros that take no room on the disk.
    for (const name of ["scan.bin", "export.json"]) await writeFile(join(folder, name), "");
    await truncate(join(folder, "scan.bin"), SIZE);
    await writeFile(join(folder, "export.json"), '{"resourceType":"Bundle"');
    await truncate(join(folder, "export.json"), SIZE);
    const line = await open(join(folder, "one-line.ndjson"), "w");
    for (let at = 0; at < SIZE; at += 1 << 20) await line.write("a".repeat(1 << 20));
    await line.close();
    await writeFile(join(folder, "blank.ndjson"), "\n".repeat(MAX_LINES + 1));
    await writeFile(join(folder, "keys.txt"), `${formatVkey(log.vkey)}\n`.repeat(20_000));
  });
  afterAll(async () => {
    await browser?.close();
    await rm(folder, { recursive: true });
  });

  test.each([
    ["scan.bin", "[role=alert]", /scan.bin could not be used. It is larger than any file of the kind/],
    ["export.json", "[role=alert]", /export.json could not be used. It is larger than any file of the kind/],
    ["keys.txt", "[role=alert]", /keys.txt could not be used. It is larger than any file of the kind/],
    ["one-line.ndjson", ".result", /It has more than 64 MiB, and no record is so large/],
    ["blank.ndjson", ".result", /More than 500,000 lines were given/],
  ])("%s", { timeout: 300_000 }, async (name, place, words) => {
    const { page, problems, close } = await openPage(browser);
    await paste(page, formatVkey(log.vkey));
    await choose(page, [
      { name: "event.json", bytes: EVENT.bytes },
      { name: "event.json.tlog-proof", bytes: makeProof({}).proof },
    ]);
    expect(await headline(page)).toBe("Unchanged");
    await page.setInputFiles("#choose", join(folder, name));
    await expect.poll(() => page.locator(".given li").count(), { timeout: 120_000 }).toBe(3);
    await checked(page);
    if (name === "one-line.ndjson") await page.getByRole("button", { name: "Details of record 2" }).click();
    await expect
      .poll(() => page.locator(place).allInnerTexts(), { timeout: 120_000 })
      .toEqual(expect.arrayContaining([expect.stringMatching(words)]));
    await page.getByRole("button", { name: `Remove ${name}` }).click();
    await checked(page);
    expect(await headline(page)).toBe("Unchanged");
    expect(problems).toEqual([]);
    await close();
  });
});
