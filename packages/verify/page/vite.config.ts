/** Builds the verifier page into one self-contained file, packages/verify/dist/verify.html. */
import { createHash } from "node:crypto";
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig, type Plugin } from "vite";

const dist = join(import.meta.dirname, "../dist");
const escaped = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

/** Script and style within the page, which a policy allows by their hashes alone. Nothing else is loaded, ever. */
const oneFile: Plugin = {
  name: "one-file",
  enforce: "post",
  generateBundle(_, bundle) {
    const parts = Object.values(bundle);
    const script = parts.flatMap((part) => (part.type === "chunk" ? [part.code.trim()] : [])).join("\n");
    const style = parts
      .flatMap((part) =>
        part.type === "asset" && part.fileName.endsWith(".css") ? [String(part.source).trim()] : [],
      )
      .join("\n");
    const licences = parts.find((part) => part.type === "asset" && part.fileName === "LICENSES.txt");
    if (licences?.type !== "asset")
      throw new Error("the licences of what is in the page are not known: run build.mjs");
    const html = parts.find((part) => part.type === "asset" && part.fileName === "index.html");
    if (html?.type !== "asset") throw new Error("there is no index.html");
    const hashOf = (text: string) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
    // A script ends at the first "</script", wherever that stands in it.
    const inline = `\n${script.replaceAll("</script", "<\\/script")}\n`;
    const policy = `default-src 'none'; script-src ${hashOf(inline)}; style-src ${hashOf(style)}; img-src data:; base-uri 'none'; form-action 'none'`;
    const page = String(html.source)
      .replace(/<script type="module"[^>]*><\/script>\n?/, "")
      .replace(/<link rel="stylesheet"[^>]*>\n?/, "")
      .replace(
        "<!-- policy -->",
        () => `<meta http-equiv="Content-Security-Policy" content="${policy}">\n<style>${style}</style>`,
      )
      .replace(
        "<!-- licences -->",
        () => `<pre id="licences" hidden>${escaped(String(licences.source))}</pre>`,
      )
      .replace("<!-- script -->", () => `<script type="module">${inline}</script>`);
    for (const name of Object.keys(bundle)) delete bundle[name];
    // In one step, so that nobody who builds or tests at the same time sees half a page.
    const file = join(dist, "verify.html");
    writeFileSync(`${file}.${process.pid}`, page);
    renameSync(`${file}.${process.pid}`, file);
  },
};

/**
 * Two libraries name their classes in static blocks, which a bundler must take for effects: so it keeps every class, of formats
 * that no timestamp has. As static fields they mean the same, and what nothing uses is left out: a tenth of the page.
 */
const namedByFields: Plugin = {
  name: "named-by-fields",
  transform(code, id) {
    if (!/\/node_modules\/(pkijs|asn1js)\//.test(id)) return undefined;
    return {
      code: code.replace(/static \{\s*this\.(CLASS_NAME|NAME) = ("\w+");\s*\}/g, "static $1 = $2;"),
      map: null,
    };
  },
};

export default defineConfig({
  root: import.meta.dirname,
  plugins: [namedByFields, oneFile],
  resolve: { conditions: ["source", "browser", "module", "import", "default"] },
  build: {
    outDir: join(dist, "page"),
    write: false,
    target: "es2022",
    cssCodeSplit: false,
    modulePreload: false,
    rollupOptions: { output: { codeSplitting: false } },
  },
});
