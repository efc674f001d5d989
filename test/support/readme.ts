/** What a page of ours shows as code, to be run as it stands. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const ROOT = new URL("../../", import.meta.url);

/** The code of that language, in the order of the page: later examples go on from earlier ones. */
export async function codeOf(page: string, language: string): Promise<string> {
  const text = await readFile(fileURLToPath(new URL(page, ROOT)), "utf8");
  const blocks = text.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, "gms"));
  return [...blocks].map(([, code = ""]) => code).join("\n");
}
