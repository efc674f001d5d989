/** One function as Lambda gets it: our code and its libraries, the AWS SDK among them, in a folder of its own. */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { build, type Plugin } from "esbuild";

/** Of each function, the module that Lambda loads. */
export const ENTRY_FILE = "index.mjs";

const ROOT = join(import.meta.dirname, "..");

/** What a bundle is made of, in the terms of a function's spec. */
type Bundled<C> = {
  readonly entry: string;
  files(config: C): Readonly<Record<string, string | Uint8Array>>;
};

/** Writes the function's folder: `index.mjs`, chunks that it loads on demand, and the files that it reads. */
export async function bundle<C>({ entry, files }: Bundled<C>, folder: string, config: C): Promise<void> {
  await bundleEntry(join(ROOT, entry), folder);
  for (const [name, content] of Object.entries(files(config))) {
    const path = join(folder, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
  }
}

/** @param path of the module, without its extension: sources and what is compiled lie alike. */
export async function bundleEntry(path: string, folder: string): Promise<void> {
  await build({
    entryPoints: { index: path },
    outdir: folder,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    platform: "node",
    // Node 24 runs it; so does every Node on which this repository is tested.
    target: "node20",
    format: "esm",
    // What the SDK loads on demand (ways to log in that no Lambda uses) stays out of what is parsed at a start.
    splitting: true,
    minify: true,
    legalComments: "none",
    mainFields: ["module", "main"],
    // Our packages by their sources.
    conditions: ["source"],
    // For the CommonJS that is left among the libraries.
    banner: {
      js: 'import{createRequire as kedgeRequire}from"node:module";const require=kedgeRequire(import.meta.url);',
    },
    plugins: [onlyZodType],
    // Whatever the folder this runs in: chunk names must not depend on it.
    absWorkingDir: ROOT,
    logLevel: "error",
  });
}

/**
 * @hono/zod-openapi imports the whole of zod, 260 KB of it translations, to extend one class. It gets that class alone;
 * everything else of zod is tree-shaken by what our own modules use.
 */
const onlyZodType: Plugin = {
  name: "only-zod-type",
  setup({ onResolve, onLoad }) {
    const namespace = "only-zod-type";
    onResolve({ filter: /^zod$/ }, ({ importer, resolveDir }) =>
      importer.includes("@hono/zod-openapi") ? { path: "zod", namespace, pluginData: resolveDir } : undefined,
    );
    onLoad({ filter: /.*/, namespace }, ({ pluginData }) => ({
      contents: 'import { ZodType } from "zod"; export const z = { ZodType };',
      resolveDir: String(pluginData),
    }));
  },
};
