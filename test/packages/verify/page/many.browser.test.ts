/** 100,000 records at once: the page goes on answering while it checks them, and shows a hundred at a time. */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatVkey } from "@kedge/verify/tlog/note";
import { bytesToHex } from "@noble/hashes/utils.js";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hasChromium, openChromium } from "../../../support/browser.ts";
import { accessEvent } from "../../../support/pack.ts";
import { checked, openPage, paste } from "../../../support/page.ts";
import { log, makeProof } from "../../../support/proofs.ts";
import { watchTasks } from "../../../support/tasks.ts";

const RECORDS = 100_000;
/** The line that there is a proof of: those before it are tried with it. */
const PROVEN = 3_000;

describe.skipIf(!hasChromium)("the verifier page", () => {
  let browser: Browser;
  let folder: string;
  beforeAll(async () => {
    browser = await openChromium();
    folder = await mkdtemp(join(tmpdir(), "kedge-many-"));
  });
  afterAll(async () => {
    await browser?.close();
    await rm(folder, { recursive: true });
  });

  test("with 100,000 records it answers while it checks, and the table stays small", {
    timeout: 900_000,
  }, async () => {
    const lines = Array.from({ length: RECORDS }, (_, i) => Buffer.from(accessEvent(i + 1).bytes).toString());
    const { proof, commitment } = makeProof({ event: accessEvent(PROVEN) });
    const proofLine = JSON.stringify({ commitment: bytesToHex(commitment), proof });
    const { page, problems, close } = await openPage(browser);
    await page.evaluate(`new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) longest = Math.max(longest, duration);
    }).observe({ type: "longtask" }); var longest = 0`);
    await paste(page, formatVkey(log.vkey));
    await writeFile(join(folder, "proofs.ndjson"), `${proofLine}\n`);
    await writeFile(join(folder, "export.ndjson"), `${lines.join("\n")}\n`);
    const longestBusy = await watchTasks(browser);
    await page.setInputFiles("#choose", [join(folder, "proofs.ndjson"), join(folder, "export.ndjson")]);
    await expect
      .poll(() => page.innerText("[role=status]"), { timeout: 120_000 })
      .toMatch(/Checking: .* of 100,000/);
    await page.getByRole("button", { name: "Deutsch" }).click();
    expect(await page.innerText("[role=status]")).toMatch(/Wird geprüft: .* von 100\.000/);
    await page.getByRole("button", { name: "English" }).click();
    await checked(page, 600_000);
    expect(await page.locator("tbody tr").count()).toBe(100);
    await page.getByRole("button", { name: "Unchanged (1)" }).click();
    expect(await page.locator("tbody tr").count()).toBe(1);
    expect(await page.innerText("tbody tr")).toContain("line 3,000");
    await page.getByRole("button", { name: "Cannot tell yet (99,999)" }).click();
    await page.getByRole("button", { name: "Last" }).click();
    expect(await page.innerText("caption")).toBe("Records 99,901 to 99,999 of 99,999");
    const busy = await longestBusy();
    const longest = await page.evaluate("Math.round(longest)");
    console.info(`100,000 records: the longest task took ${longest} ms, ${Math.round(busy)} ms of CPU`);
    expect(busy).toBeGreaterThan(0);
    expect(busy).toBeLessThanOrEqual(200);
    expect(problems).toEqual([]);
    await close();
  });
});
