/** The report is made in a browser too, under a policy without eval, and has the bytes that Node makes. */
import { createHash } from "node:crypto";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { reportPdf } from "@kedge/cli/report/pdf";
import type { JudgedPack } from "@kedge/verify/pack/pack";
import type { Browser } from "playwright-core";
import { build } from "vite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hasChromium, openChromium } from "../../../support/browser.ts";
import { judgedPack, judgedRow } from "../../../support/judged.ts";

const ROOT = join(import.meta.dirname, "../../../..");
const ENTRY = "\0entry";
/** Makes the report of a judged pack, and gives its SHA-256. */
const SOURCE = `
import { reportPdf } from "@kedge/cli/report/pdf";
globalThis.report = async (judged) => {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", await reportPdf(judged)));
  return [...hash].map((byte) => byte.toString(16).padStart(2, "0")).join("");
};
`;
declare global {
  var report: (judged: JudgedPack) => Promise<string>;
}
const POLICY = "default-src 'none'; script-src 'self'; connect-src 'self'";
const TYPES: Record<string, string> = { js: "text/javascript", woff: "font/woff" };

async function bundle(): Promise<ReadonlyMap<string, string | Uint8Array>> {
  const built = await build({
    configFile: false,
    root: ROOT,
    logLevel: "error",
    resolve: { conditions: ["source", "browser", "module", "import", "default"] },
    plugins: [
      {
        name: "entry",
        resolveId: (id) => (id === ENTRY ? id : undefined),
        load: (id) => (id === ENTRY ? SOURCE : undefined),
      },
    ],
    build: {
      write: false,
      target: "es2022",
      assetsInlineLimit: 0,
      modulePreload: false,
      rollupOptions: { input: ENTRY, output: { entryFileNames: "entry.js" } },
    },
  });
  if (!("output" in built)) throw new Error("one bundle was asked for");
  return new Map(
    built.output.map((part) => [`/${part.fileName}`, part.type === "chunk" ? part.code : part.source]),
  );
}

describe.skipIf(!hasChromium)("the report in a browser", () => {
  let browser: Browser;
  let server: Server;
  beforeAll(async () => {
    const files = await bundle();
    server = createServer((request, response) => {
      response.setHeader("content-security-policy", POLICY);
      const { url = "/" } = request;
      const file =
        url === "/" ? '<!doctype html><script type="module" src="/entry.js"></script>' : files.get(url);
      if (file === undefined) response.statusCode = 404;
      response.setHeader("content-type", TYPES[url.split(".").at(-1) ?? ""] ?? "text/html");
      response.end(file);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    browser = await openChromium();
  });
  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  test.each(["en", "de"] as const)(
    "the same bytes as in Node, and nothing that the policy refuses (%s)",
    async (language) => {
      const page = await browser.newPage();
      const refused: string[] = [];
      page.on("console", (message) => message.type() === "error" && refused.push(message.text()));
      page.on("pageerror", (error) => refused.push(String(error)));
      const address = server.address();
      if (address === null || typeof address === "string") throw new Error("the server has no port");
      await page.goto(`http://127.0.0.1:${address.port}/`);
      await expect
        .poll(async () => [await page.evaluate("typeof report"), ...refused], { timeout: 60_000 })
        .toEqual(["function"]);
      const rows = Array.from({ length: 120 }, (_, i) => judgedRow(i));
      const judged = judgedPack(rows, { case: { language } });
      const hash = await page.evaluate((pack) => globalThis.report(pack), judged);
      const here = await reportPdf(judged);
      expect(hash).toBe(createHash("sha256").update(here).digest("hex"));
      expect(refused).toEqual([]);
      await page.close();
    },
  );
});
