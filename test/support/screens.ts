/** Pictures of pages, for docs and for who looks at them: written into the folder that KEDGE_SCREENS names, and else not at all. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Page } from "playwright-core";

const folder = process.env["KEDGE_SCREENS"];

/**
 * @param name of the file, without extension.
 * @param of "page": the whole page, as it is now. "view": what is in sight of it, which is small enough for docs.
 */
export async function screen(page: Page, name: string, of: "page" | "view" = "page"): Promise<void> {
  if (folder === undefined) return;
  await mkdir(folder, { recursive: true });
  await page.screenshot({
    path: join(folder, `${name}.png`),
    ...{ fullPage: of === "page", animations: "disabled" },
  });
}
