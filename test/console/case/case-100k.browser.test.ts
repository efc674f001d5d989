/**
 * Rows dropped, up to 100,000: time, memory, and a page that stays responsive. Figures are printed; what they must not exceed
 * is checked. `KEDGE_CASE_ROWS=100000` for the figures of docs/performance.md.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hasChromium, openChromium } from "../../support/browser.ts";
import { EPIC_HEADER, epicRow } from "../../support/epic-rows.ts";
import { watchTasks } from "../../support/tasks.ts";
import { begin, counts, give, openCasePage } from "./case-page.ts";
import { type CaseService, commitLines, openCaseService } from "./case-service.ts";

const ROWS = Number(process.env["KEDGE_CASE_ROWS"] ?? 10_000);
/** Ms of the page's main thread by the clock: held to where a person chose the rows, on a machine that does nothing else. */
const LONGEST_TASK = process.env["KEDGE_CASE_ROWS"] === undefined ? Number.POSITIVE_INFINITY : 200;
/** Ms: time to find out by hand how slow a busy machine is. */
const PATIENCE = process.env["KEDGE_CASE_ROWS"] === undefined ? 300_000 : 1_800_000;
/** The same by its own CPU time: whatever else the machine does. */
const LONGEST_BUSY = 200;
/** Bytes of the page's process at its peak, the worker's included. */
const MEMORY = 1_500 << 20;

let service: CaseService;
let browser: Browser;
let paths: string[];

beforeAll(async () => {
  if (!hasChromium) return;
  service = await openCaseService();
  browser = await openChromium();
  const rows = Array.from({ length: ROWS }, (_, i) => ({ line: i + 2, text: epicRow(i) }));
  const { commitments, records } = commitLines("log.csv", rows, "text/csv");
  paths = [join(service.folder, "log.csv"), join(service.folder, "records.ndjson")];
  await writeFile(paths[0] ?? "", [EPIC_HEADER, ...rows.map(({ text }) => text), ""].join("\n"));
  await writeFile(paths[1] ?? "", records);
  const client = service.client();
  await client.post(service.log, commitments);
  for await (const _ of client.follow(service.log, commitments, { to: "anchored", patience: PATIENCE }));
}, PATIENCE);
afterAll(async () => {
  await browser?.close();
  await service?.close();
});

/** Of the processes that render pages. */
async function peakMemory(): Promise<number> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  let peak = 0;
  for (const { id, type } of processInfo) {
    if (type !== "renderer") continue;
    const status = await readFile(`/proc/${id}/status`, "utf8");
    peak = Math.max(peak, 1_024 * Number(/VmHWM:\s*(\d+)/.exec(status)?.[1] ?? 0));
  }
  return peak;
}

describe.skipIf(!hasChromium)(`${ROWS} rows`, () => {
  test("are read, proven, filtered and sorted while the page stays responsive", {
    timeout: PATIENCE,
  }, async () => {
    const page = await openCasePage(browser, service, { viewport: { width: 1440, height: 900 } });
    const since = () => Math.round(performance.now() - began);
    await page.evaluate("window.longest = 0");
    const longestBusy = await watchTasks(browser);
    let began = performance.now();
    await give(page, paths);
    await begin(page);
    await page.locator(".case-count").waitFor({ timeout: PATIENCE });
    console.info(`rows shown after ${since()} ms`);
    await page.locator(".case-grid").focus();
    await page.keyboard.press("End");
    await expect.poll(() => page.locator(".case-active").getAttribute("aria-rowindex")).toBe(`${ROWS + 1}`);
    const all = `${new Intl.NumberFormat("en").format(ROWS)} unchanged`;
    await expect.poll(() => counts(page), { timeout: PATIENCE, interval: 500 }).toContain(all);
    console.info(`all proven after ${since()} ms`);

    began = performance.now();
    await page.getByLabel("Patient or MRN").fill("1000003");
    await expect.poll(() => counts(page), { timeout: 60_000, interval: 20 }).toMatch(/^[1-9] of/);
    console.info(`filtered after ${since()} ms`);
    await page.getByRole("button", { name: "Clear the filters" }).click();
    await expect.poll(() => counts(page), { timeout: 60_000, interval: 20 }).toContain(all);
    began = performance.now();
    const patient = page.getByRole("columnheader", { name: "Patient" });
    await patient.getByRole("button").click();
    await page.locator(".case-grid").press("Home");
    await expect.poll(() => patient.getAttribute("aria-sort")).toBe("ascending");
    await expect
      .poll(() => page.locator("#case-row-0 .case-patient").textContent(), { timeout: 60_000, interval: 20 })
      .toContain("Ashdown");
    await expect
      .poll(() => page.locator("#case-row-1 .case-patient").textContent(), { timeout: 60_000, interval: 20 })
      .toContain("Ashdown");
    console.info(`sorted after ${since()} ms`);
    const busy = await longestBusy();
    const longest = await page.evaluate("window.longest");
    const memory = await peakMemory();
    console.info(
      `longest task ${longest} ms, ${Math.round(busy)} ms of CPU, memory ${Math.round(memory / (1 << 20))} MiB`,
    );
    expect(longest).toBeLessThanOrEqual(LONGEST_TASK);
    expect(busy).toBeGreaterThan(0);
    expect(busy).toBeLessThanOrEqual(LONGEST_BUSY);
    expect(memory).toBeLessThanOrEqual(MEMORY);
  });
});
