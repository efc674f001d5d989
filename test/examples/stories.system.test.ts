/** Each example runs as its page says, against a service of its own, and shows what it is meant to show. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { serve } from "../support/serve.ts";

const examples = fileURLToPath(new URL("../../examples", import.meta.url));
const main = fileURLToPath(new URL("../../dist/examples/main.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "kedge-stories-"));
const data = join(folder, "data");
let child: ChildProcess;

beforeAll(async () => {
  ({ child } = await serve({ cwd: folder, data }));
});
afterAll(async () => {
  const ended = once(child, "exit");
  child.kill();
  await ended;
  rmSync(folder, { recursive: true });
});

async function tell(name: string): Promise<{ code: number | null; output: string }> {
  const story = spawn(process.execPath, [main, name], {
    cwd: folder,
    env: { PATH: process.env["PATH"], KEDGE_DATA: data, TMPDIR: folder },
  });
  let output = "";
  for (const stream of [story.stdout, story.stderr]) stream.on("data", (text) => (output += text));
  const [code] = await once(story, "close");
  return { code, output };
}

const STORIES = [
  ["ehr-access", [/has no event of number 81 to 82/, /PROVEN {2}2 of 2 events/]],
  ["supply-chain", [/NOT PROVEN {2}11 of 12 events/, /PROVEN {2}12 of 12 events/]],
  ["clinical-trial", [/NOT PROVEN {2}1 of 2 events/, /PROVEN {2}2 of 2 events/]],
  ["remote-monitoring", [/has no event of number 61 to 120/, /PROVEN {2}at assurance anchored/]],
  ["exchange", [/"node-b" has no event of number 2\./, /PROVEN {2}at assurance anchored/]],
] as const;

test.each(STORIES)("%s", async (name, shown) => {
  const { code, output } = await tell(name);
  for (const pattern of shown) expect(output).toMatch(pattern);
  expect(code).toBe(0);
});

test("each has a page with its command", () => {
  for (const [name] of STORIES) {
    expect(readFileSync(join(examples, name, "README.md"), "utf8")).toContain(`npm run example -- ${name}`);
  }
  const told = readdirSync(examples, { recursive: true, encoding: "utf8" }).filter((path) =>
    path.endsWith("example.ts"),
  );
  expect(told).toHaveLength(STORIES.length);
});
