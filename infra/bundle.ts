/** One function as Lambda gets it: our code and its libraries, the AWS SDK among them, in a folder of its own. */
import { copyFile, mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { build, type Plugin } from "esbuild";
import type { Config } from "./config.ts";
import type { FunctionName } from "./names.ts";

export const POLICY_FILE = "policy";
export const TSA_CERTS_FILE = "tsa-certs";
/** Of each function, the module that Lambda loads. */
export const ENTRY_FILE = "index.mjs";

/** Read at the first request for the reference page (functions/http/meta.ts): a megabyte that is never parsed. */
const REFERENCE_PAGE = ["swagger-ui-dist/swagger-ui-bundle.js", "swagger-ui-dist/swagger-ui.css"];

type Files = Pick<Config, "policyPath" | "timestamps">;

/** The configured files that a function reads, by their names in its folder. */
export const filesOf = (name: FunctionName, { policyPath, timestamps }: Files): Record<string, string> => ({
  ...(policyPath !== undefined && name !== "sealer" && { [POLICY_FILE]: policyPath }),
  ...(timestamps?.tsaCerts !== undefined && name === "anchorer" && { [TSA_CERTS_FILE]: timestamps.tsaCerts }),
});

/** Writes the function's folder: `index.mjs`, chunks that it loads on demand, and the files that it reads. */
export async function bundle(name: FunctionName, folder: string, config: Files): Promise<void> {
  await bundleEntry(join(import.meta.dirname, `../functions/${name}`), folder);
  if (name === "api") {
    const { resolve } = createRequire(import.meta.url);
    for (const file of REFERENCE_PAGE) await copy(resolve(file), join(folder, "node_modules", file));
  }
  for (const [file, path] of Object.entries(filesOf(name, config))) await copy(path, join(folder, file));
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
    // Our packages by their sources. "module" is esbuild's own condition, which any list replaces.
    conditions: ["source", "module"],
    // For the CommonJS that is left among the libraries.
    banner: {
      js: 'import{createRequire as kedgeRequire}from"node:module";const require=kedgeRequire(import.meta.url);',
    },
    plugins: [onlyZodType],
    // Whatever the folder this runs in: chunk names must not depend on it.
    absWorkingDir: join(import.meta.dirname, ".."),
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

async function copy(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await copyFile(from, to);
}
