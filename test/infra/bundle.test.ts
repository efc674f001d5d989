/** What a function's bundle leaves out: a store for one machine, whose native module Lambda could not load. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { z } from "zod";
import { bundleEntry, ENTRY_FILE } from "../../infra/bundle.ts";

type Open = (folder: string) => unknown;
const schema = z.object({ lmdbStore: z.custom<Open>((value) => typeof value === "function") });

test("what opens a folder as a store is bundled without lmdb, and can be loaded all the same", async () => {
  const folder = mkdtempSync(join(tmpdir(), "kedge-bundle-"));
  try {
    await bundleEntry(join(import.meta.dirname, "../../platform/lmdb"), folder);
    const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
    for (const file of files) {
      expect(file).toMatch(/\.mjs$/);
      expect(readFileSync(join(folder, file), "utf8")).not.toMatch(/node-gyp-build|@lmdb\/|\.node\b/);
    }
    const loaded: unknown = await import(pathToFileURL(join(folder, ENTRY_FILE)).href);
    const { lmdbStore } = schema.parse(loaded);
    expect(() => lmdbStore(join(folder, "store"))).toThrow(/store cannot be opened/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
