/** The configuration is split so that the HTTP API, which neither seals nor publishes, loads nothing that does. */
import { join } from "node:path";
import { build } from "esbuild";
import { expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "../..");

/** Our own modules that a function's entry point leads to, also those that it loads on demand. */
async function modulesOf(name: string): Promise<string[]> {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: [`functions/${name}.ts`],
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
    metafile: true,
    write: false,
  });
  return Object.keys(metafile.inputs);
}

const NOT_FOR_THE_API =
  /^service\/(seal|staging|record|sweep|restore|anchor|public-files|stamp|witnesses|config-sealing)\.ts$|^platform\/(s3|folder)\.ts$/;

test("the API loads neither sealing nor where files are published; sealer and anchorer load all of it", async () => {
  const [api, sealer, anchorer] = await Promise.all(["api", "sealer", "anchorer"].map(modulesOf));
  expect(api?.filter((path) => NOT_FOR_THE_API.test(path))).toEqual([]);
  expect(api).toContain("service/prove.ts");
  const others = new Set(
    [...(sealer ?? []), ...(anchorer ?? [])].filter((path) => NOT_FOR_THE_API.test(path)),
  );
  expect(others.size).toBe(12);
});
