/** The verifier page in Chromium, as somebody who has files and keys uses it. */
import { fileURLToPath } from "node:url";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { expect } from "vitest";
import { PATIENCE } from "./browser.ts";

export const PAGE = new URL("../../packages/verify/dist/verify.html", import.meta.url);
export const PAGE_FILE = fileURLToPath(PAGE);

/** A file as it is chosen. */
export type Chosen = { name: string; bytes: Uint8Array | string };

export type Opened = { page: Page; requests: string[]; problems: string[]; close(): Promise<void> };

/** The page in a profile of its own. `requests` are all that it makes, `problems` what it logs or throws. */
export async function openPage(
  browser: Browser,
  { url = PAGE.href, ...options }: BrowserContextOptions & { url?: string } = {},
): Promise<Opened> {
  const context = await browser.newContext({ locale: "en-US", ...options });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const requests: string[] = [];
  const problems: string[] = [];
  page.on("request", (request) => requests.push(request.url()));
  page.on("console", (message) => problems.push(message.text()));
  page.on("pageerror", (error) => problems.push(error.message));
  await page.goto(url);
  await page.waitForSelector("h1");
  return { page, requests, problems, close: () => context.close() };
}

/** Chooses files beside those that are there, and waits until they are checked. */
export async function choose(page: Page, files: readonly Chosen[]): Promise<void> {
  const before = await page.locator(".given li").count();
  const payload = files.map(({ name, bytes }) => ({
    name,
    mimeType: "application/octet-stream",
    buffer: Buffer.from(bytes),
  }));
  await page.setInputFiles("#choose", payload);
  await expect
    .poll(() => page.locator(".given li").count(), { timeout: PATIENCE })
    .toBe(before + files.length);
  await checked(page);
}

export async function paste(page: Page, keys: string): Promise<void> {
  await page.fill("#paste", keys);
  await checked(page);
}

/** Until nothing is read or checked any more: what was given is taken up only after the page was painted. */
export async function checked(page: Page, timeout = 120_000): Promise<void> {
  const isPainted =
    "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))";
  await page.evaluate(isPainted);
  await expect.poll(() => page.getAttribute("main", "aria-busy"), { timeout }).toBe("false");
}

/** What stands above all else. */
export const headline = (page: Page): Promise<string> => page.innerText("#verdict");
