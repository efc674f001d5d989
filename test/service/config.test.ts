/** The configuration is split so that the HTTP API, which neither seals nor publishes, loads nothing that does. */
import { join } from "node:path";
import { build } from "esbuild";
import { expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "../..");

/** Our own modules that a function's entry point leads to, also those that it loads on demand, and what they import. */
async function inputsOf(entry: string) {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: [`${entry}.ts`],
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
    metafile: true,
    write: false,
  });
  return metafile.inputs;
}

const modulesOf = async (name: string) => Object.keys(await inputsOf(`functions/${name}`));

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

test.each(["functions/api", "functions/sealer", "functions/anchorer", "witness/lambda"])(
  "%s has no native module: the store in a folder loads its libraries when it is opened",
  async (entry) => {
    const imports = Object.values(await inputsOf(entry)).flatMap((input) => input.imports);
    const libraries = imports.filter(({ external }) => external).map(({ path }) => path);
    expect(libraries).toContain("@aws-sdk/client-dynamodb");
    expect(libraries.filter((name) => /^(lmdb|msgpackr|dynalite)/.test(name))).toEqual([]);
  },
);
