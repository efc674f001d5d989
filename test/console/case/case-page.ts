/** The case page in a profile of its own, signed in. */
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { PATIENCE } from "../../support/browser.ts";
import type { CaseService } from "./case-service.ts";

export async function openCasePage(
  browser: Browser,
  service: CaseService,
  options: BrowserContextOptions = {},
): Promise<Page> {
  const context = await browser.newContext({ locale: "en-GB", timezoneId: "Europe/Berlin", ...options });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  page.on("console", (message) => message.type() === "error" && console.info("page:", message.text()));
  page.on("pageerror", (error) => console.info("page:", error.message));
  await page.addInitScript(`
    window.longest = 0;
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) window.longest = Math.max(window.longest, duration);
    }).observe({ type: "longtask", buffered: true });
  `);
  await page.goto(await service.startLink());
  await page.locator("nav.pages a[href='#/prove']").click();
  await page.locator("#case-log").waitFor();
  return page;
}

/** Files by their names and texts, or by their paths. */
export async function give(page: Page, files: Record<string, string> | readonly string[]): Promise<void> {
  const given = Array.isArray(files)
    ? [...files]
    : Object.entries(files).map(([name, text]) => ({
        name,
        mimeType: "text/plain",
        buffer: Buffer.from(text),
      }));
  const listed = page.locator(".case-given li");
  const before = await listed.count();
  await page.getByTestId("case-chooser").setInputFiles(given);
  // A worker looks at them first: until then there is nothing to begin with.
  await listed.nth(before + given.length - 1).waitFor();
}

export const begin = (page: Page) => page.getByRole("button", { name: "Prove the rows" }).click();
export const counts = (page: Page) => page.locator(".case-count").textContent();
