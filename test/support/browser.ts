/** Chromium for tests: the machine's own, which a fresh machine may lack. */
import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const executablePath = process.env["KEDGE_CHROMIUM"] ?? PLACES.find((path) => existsSync(path));

/** False where there is no Chromium; says so once, on a line that CI repeats at its end. */
export const hasChromium = executablePath !== undefined;
if (!hasChromium)
  console.info(
    "skipped: the pages in Chromium: there is none at /usr/bin/chromium (apt-get install chromium)",
  );

/** Ms that a page may take to do what is waited for: on a machine that does much else, several times what it takes alone. */
export const PATIENCE = 90_000;

export async function openChromium(): Promise<Browser> {
  if (executablePath === undefined) throw new Error("there is no Chromium");
  return await chromium.launch({
    executablePath,
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
  });
}
