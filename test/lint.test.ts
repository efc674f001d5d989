/** The linter looks at what is of the repository, and not at what the README's own commands leave in a clone. */
import { spawnSync } from "node:child_process";
import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
/** No formatter writes this. */
const MALFORMED = '{ "a":1,\n\n\n"b" :2 }';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-lint-"));
  for (const name of ["biome.json", ".gitignore"]) await copyFile(join(root, name), join(folder, name));
});
afterAll(() => rm(folder, { recursive: true }));

async function leave(name: string): Promise<void> {
  await mkdir(dirname(join(folder, name)), { recursive: true });
  await writeFile(join(folder, name), MALFORMED);
}

function lint() {
  const biome = join(root, "node_modules/@biomejs/biome/bin/biome");
  const { status, stdout, stderr } = spawnSync(process.execPath, [biome, "check", "."], {
    cwd: folder,
    encoding: "utf8",
  });
  return { status, output: stdout + stderr };
}

test("what is left in a clone by its commands is not linted, and other files are", async () => {
  const left = ["kedge-demo/event.json", "credentials.json", "acme-credentials.json", "cdk-outputs.json"];
  const folders = [
    ".kedge/credentials.json",
    ".kedge-2/kms.json",
    "coverage/a.json",
    "node_modules/a/b.json",
  ];
  for (const name of [...left, ...folders, "config/mine.json", "cdk.out/a.json", "dist/a.json"])
    await leave(name);
  expect(lint()).toMatchObject({ status: 0 });
  await leave("config/prod.json");
  expect(lint()).toMatchObject({ status: 1, output: expect.stringContaining("config/prod.json") });
});
