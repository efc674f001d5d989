/** Files of a command are there whole or not at all. */
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeFolder, readText, replaceFile, replacing } from "@kedge/verify/cli/files";
import { afterEach, beforeEach, expect, test } from "vitest";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-files-"));
});
afterEach(() => rm(folder, { recursive: true }));

test("a write that fails leaves what was there, and nothing beside it", async () => {
  const path = join(folder, "state");
  await replaceFile(path, "first");
  const failing = replacing(path, async (partial) => {
    await writeFile(partial, "sec");
    throw new Error("no room");
  });
  await expect(failing).rejects.toThrow("no room");
  expect([await readFile(path, "utf8"), await readdir(folder)]).toEqual(["first", ["state"]]);
});

test("what a killed process of the same id left does not stand in the way", async () => {
  const path = join(folder, "state");
  await writeFile(`${path}.${process.pid}.partial`, "of a killed process, and longer");
  await replaceFile(path, "second");
  expect([await readFile(path, "utf8"), await readdir(folder)]).toEqual(["second", ["state"]]);
});

test("a file in place of the folder, or one that is too large, is misuse", async () => {
  await writeFile(join(folder, "file"), "12345");
  await expect(replaceFile(join(folder, "file/state"), "")).rejects.toMatchObject({ code: "misuse" });
  expect(() => readText(join(folder, "file"), 4)).toThrow(expect.objectContaining({ code: "misuse" }));
  expect(readText(join(folder, "file"), 5)).toBe("12345");
});

test("a folder is made with those above it, for its owner alone where so asked, once or twice", async () => {
  await mkdir(join(folder, "a"));
  for (let i = 0; i < 2; i++) await makeFolder(join(folder, "a/b/c"), 0o700);
  expect((await stat(join(folder, "a/b"))).mode & 0o077).toBe(0);
});
