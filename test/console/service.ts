/** What `npm start` starts, with its demonstration, and profiles of Chromium in front of it that note what must not happen. */
import type { ChildProcess } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContext, BrowserContextOptions, Page } from "playwright-core";
import { readCredentials, startLinkForOperator } from "../../local/operator.ts";
import { kedge } from "../cli/run.ts";
import { openChromium, PATIENCE } from "../support/browser.ts";
import { addressIn, serve, stop } from "../support/serve.ts";

export type Console = Awaited<ReturnType<typeof startConsole>>;

/** A window of a profile of its own, and what was wrong in it: each must be empty at the end. */
export type Window = {
  readonly context: BrowserContext;
  readonly page: Page;
  readonly wrong: string[];
};

export async function startConsole() {
  const cwd = await mkdtemp(join(tmpdir(), "kedge-console-"));
  const data = join(cwd, "data");
  let child: ChildProcess | undefined;
  let browser: Browser | undefined;
  try {
    const served = await serve({ cwd, data });
    child = served.child;
    browser = await openChromium();
    return running({ cwd, data, child, browser, url: addressIn(served.output) });
  } catch (error) {
    await browser?.close();
    if (child !== undefined) await stop(child, "SIGINT");
    throw error;
  }
}

type Started = { cwd: string; data: string; child: ChildProcess; browser: Browser; url: string };

function running({ cwd, data, child, browser, url }: Started) {
  /** @param elsewhere where requests may go besides, such as an identity provider. */
  const open = async (options: BrowserContextOptions = {}, elsewhere?: string): Promise<Window> => {
    const context = await browser.newContext({ locale: "en-GB", timezoneId: "Europe/Berlin", ...options });
    context.setDefaultTimeout(PATIENCE);
    const page = await context.newPage();
    const wrong: string[] = [];
    page.on("pageerror", (error) => wrong.push(`error: ${error.message}`));
    page.on("console", (message) => {
      // A refusal of the service is shown in the page, and by Chromium in its own words besides.
      if (/Content Security Policy|Refused to/i.test(message.text())) wrong.push(message.text());
    });
    page.on("request", (request) => {
      const { origin, protocol } = new URL(request.url());
      const isOwn = protocol === "data:" || protocol === "blob:" || origin === url || origin === elsewhere;
      if (!isOwn) wrong.push(`request elsewhere: ${request.url()}`);
    });
    await page.addInitScript(
      `addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI, sourceFile, lineNumber }) =>
        console.error("Content Security Policy:", violatedDirective, blockedURI, sourceFile, lineNumber));`,
    );
    return { context, page, wrong };
  };
  return {
    url,
    cwd,
    open,
    /** Good once. */
    startLink: () => startLinkForOperator({ data }),
    /** The tenant of the demonstration. */
    tenant: async () => (await readCredentials(join(data, "credentials.json")))?.tenant ?? "",
    /** As an operator at this machine's terminal. */
    command: (...args: readonly string[]) => kedge(args, { cwd, env: { KEDGE_DATA: data } }),
    /** A window that is signed in as the administrator, with the logs before it. */
    async signedIn(options: BrowserContextOptions = {}): Promise<Window> {
      const window = await open(options);
      await window.page.goto(await startLinkForOperator({ data }));
      await window.page.locator("nav.pages").waitFor();
      return window;
    },
    async close() {
      await browser.close();
      await stop(child, "SIGINT");
      await rm(cwd, { recursive: true, force: true });
    },
  };
}
