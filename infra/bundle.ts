/** Bundles a function for Lambda: its code, its libraries (the AWS SDK too) and the files that it reads, in one folder. */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { build, type Plugin } from "esbuild";

/** The module that Lambda loads. */
export const ENTRY_FILE = "index.mjs";

const ROOT = join(import.meta.dirname, "..");

/** The part of a function's spec that its bundle is made of. */
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

/** @param path of the module without extension: `.ts` in the sources, `.js` once compiled. */
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
    // Keeps out of a cold start what the SDK imports on demand: credential providers that Lambda never uses.
    splitting: true,
    minify: true,
    legalComments: "none",
    mainFields: ["module", "main"],
    // Our own packages resolve to their sources. "module" is esbuild's own condition, which any list replaces.
    conditions: ["source", "module"],
    // Some libraries are CommonJS and call `require`.
    banner: {
      js: 'import{createRequire as kedgeRequire}from"node:module";const require=kedgeRequire(import.meta.url);',
    },
    plugins: [onlyZodType],
    // Chunk names must not depend on the folder that this runs in.
    absWorkingDir: ROOT,
    logLevel: "error",
  });
}

/**
 * @hono/zod-openapi imports the whole of zod, 260 KB of it translations, to extend one class. It gets that class alone;
 * the rest of zod is tree-shaken as usual.
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
