/** What a function's bundle leaves out: the store for one machine, whose native module Lambda could not load. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { bundleEntry } from "../../infra/bundle.ts";
import { FUNCTIONS } from "../../infra/names.ts";
import { SPECS } from "../../infra/service/specs.ts";

test.each(FUNCTIONS)("the %s is bundled without lmdb and anything native", async (name) => {
  const folder = mkdtempSync(join(tmpdir(), "kedge-bundle-"));
  try {
    await bundleEntry(join(import.meta.dirname, "../..", SPECS[name].entry), folder);
    for (const file of readdirSync(folder)) {
      expect(file).toMatch(/\.mjs$/);
      // Its name alone, with which one machine asks for it when it opens a folder.
      const native = /node-gyp-build|@lmdb\/|mdb_env/.exec(readFileSync(join(folder, file), "utf8"));
      expect([file, native?.[0]]).toEqual([file, undefined]);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
