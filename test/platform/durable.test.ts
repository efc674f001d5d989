/** Files and folders that survive a power cut: what can be seen of it without one. */
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeFolder, writeDurably } from "../../platform/durable.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-durable-"));
});
afterAll(() => rm(folder, { recursive: true }));

test("a private file stays private over what a crash left behind, and leaves nothing else", async () => {
  const path = join(folder, "private/keys.json");
  await makeFolder(join(folder, "private"));
  for (const text of ["one", "two"]) {
    await writeFile(`${path}.tmp`, "half of a fi", { mode: 0o644 });
    await writeDurably(path, text, 0o600);
    expect(await readFile(path, "utf8")).toBe(text);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  }
  expect(await readdir(join(folder, "private"))).toEqual(["keys.json"]);
});

test("racing makers of one folder all find it made", async () => {
  const path = join(folder, "made/by/many");
  await Promise.all(Array.from({ length: 12 }, () => makeFolder(path)));
  expect(await readdir(path)).toEqual([]);
});

test.skipIf(process.platform !== "linux")("a folder that cannot be made is refused at once", async () => {
  await expect(makeFolder("/proc/nope/deeper")).rejects.toMatchObject({ code: "ENOENT" });
});
