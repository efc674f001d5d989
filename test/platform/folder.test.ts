import { mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { folderPublication } from "../../platform/folder.ts";
import { publicationContract } from "../support/publication-contract.ts";
import { memoryPublication } from "../support/world.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-published-"));
});
afterAll(() => rm(folder, { recursive: true }));

const at = (name: string) => folderPublication(pathToFileURL(`${join(folder, name)}/`));

// One for all tests: its queue must not hold one path up for another's failure.
let shared: ReturnType<typeof folderPublication> | undefined;
publicationContract("the folder", () => {
  shared ??= at("contract");
  return shared;
});
publicationContract("the memory publication", () => memoryPublication());

describe("the folder", () => {
  const BYTES = Uint8Array.of(1, 2);

  test("what one process wrote the next one reads and replaces", async () => {
    await at("again").replace("logs/a/head", BYTES, undefined);
    const next = at("again");
    const file = await next.read("logs/a/head");
    expect(file?.bytes).toEqual(BYTES);
    expect(await next.replace("logs/a/head", Uint8Array.of(3), undefined)).toBe(false);
    expect(await next.replace("logs/a/head", Uint8Array.of(3), file?.tag)).toBe(true);
  });

  test("what a crash left half written is never read, not in the way of the next write, and removed when it is old", async () => {
    const temporary = join(folder, "crashed/.tmp");
    await mkdir(temporary, { recursive: true });
    await writeFile(join(temporary, "old"), "half of a fi");
    await writeFile(join(temporary, "new"), "half of a fi");
    const hours = new Date(Date.now() - 2 * 3_600_000);
    await utimes(join(temporary, "old"), hours, hours);
    expect(await at("crashed").replace("logs/a/head", BYTES, undefined)).toBe(true);
    expect(await readdir(join(folder, "crashed/logs/a"))).toEqual(["head"]);
    expect(await readdir(temporary)).toEqual(["new"]);
  });

  test("nothing of the lock is where anyone may read, and what is not public is its owner's alone", async () => {
    const publication = at("modes");
    await publication.replace("anchor/checkpoint", BYTES, undefined);
    await publication.replace("logs/a/head", BYTES, undefined);
    expect((await readdir(join(folder, "modes"))).sort()).toEqual([".lock", ".tmp", "anchor", "logs"]);
    expect(await readdir(join(folder, "modes/anchor"))).toEqual(["checkpoint"]);
    const mode = async (path: string) => ((await stat(join(folder, "modes", path))).mode & 0o777).toString(8);
    const paths = [".lock", ".lock/lock.mdb", ".tmp", "logs", "logs/a/head", "anchor", "anchor/checkpoint"];
    expect(await Promise.all(paths.map(mode))).toEqual(["700", "600", "700", "700", "600", "755", "644"]);
  });

  test("of racing writers one wins, also when the lock was removed under them", async () => {
    const publication = at("unlocked");
    for (let n = 0; n < 3; n++) {
      const before = await publication.read("logs/a/head");
      const contents = Array.from({ length: 4 }, (_, i) => Uint8Array.of(n, i));
      const won = await Promise.all(
        contents.map((bytes) => at("unlocked").replace("logs/a/head", bytes, before?.tag)),
      );
      expect(won.filter((mine) => mine)).toHaveLength(1);
      await rm(join(folder, "unlocked/.lock"), { recursive: true });
    }
  });

  test("a folder that cannot be written is unavailable, and so is the next write, until it can be", async () => {
    const publication = at("blocked");
    await writeFile(join(folder, "blocked"), "a file in its place");
    for (const _ of [0, 1]) {
      const replaced = publication.replace("logs/a/head", BYTES, undefined);
      await expect(replaced).rejects.toMatchObject({ code: "unavailable", cause: { code: "ENOTDIR" } });
    }
    await rm(join(folder, "blocked"));
    expect(await publication.replace("logs/a/head", BYTES, undefined)).toBe(true);
  });
});
