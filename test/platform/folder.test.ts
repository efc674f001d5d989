import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
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

  test("what a crash left half written is never read, and not in the way of the next write", async () => {
    const publication = at("crashed");
    for (const n of [0, 1, 2]) {
      const before = await publication.read("logs/a/head");
      await mkdir(join(folder, "crashed/logs/a"), { recursive: true });
      await writeFile(join(folder, "crashed/logs/a/head.tmp"), "half of a fi");
      expect(await publication.read("logs/a/head")).toEqual(before);
      expect(await publication.replace("logs/a/head", Uint8Array.of(n), before?.tag)).toBe(true);
    }
    expect(await readdir(join(folder, "crashed/logs/a"))).toEqual(["head"]);
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
