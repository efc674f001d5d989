// What tsc does not make: libraries in one file each, the verifier page, the console. Run after `tsc -b`.
// What is newer than what it is made of is left as it is.
//   node build.mjs
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { build } from "vite";

// The bytes of a page are part of what is published: they must not depend on who builds it, a test say.
process.env["NODE_ENV"] = "production";

const root = import.meta.dirname;
const newest = (path) =>
  !existsSync(path)
    ? 0
    : Math.max(
        ...[
          path,
          ...(statSync(path).isDirectory()
            ? readdirSync(path, { recursive: true }).map((name) => join(path, name))
            : []),
        ]
          .filter((name) => !/(^|\/)(dist|node_modules)(\/|$)/.test(name.slice(path.length)))
          .map((name) => statSync(name).mtimeMs),
      );
const isStale = ({ of, makes }) => {
  const made = join(root, makes);
  const sources = [...of, "build.mjs", "package-lock.json"].map((name) => newest(join(root, name)));
  return !existsSync(made) || statSync(made).mtimeMs <= Math.max(...sources);
};

/**
 * Libraries that the packages need and do not depend on: bundled, they take a tenth of the room. In their build for
 * browsers, which in Node, too, takes fflate for zlib: so a report is the same bytes wherever it is made.
 */
const LIBRARIES = [
  {
    ...{ name: "fflate", package: "verify" },
    exports: 'export { Deflate, deflateSync, Inflate, inflateSync } from "fflate";',
  },
  { name: "pdfkit", package: "kedge", exports: 'export { default } from "pdfkit";' },
  { name: "uqr", package: "kedge", exports: 'export { encode } from "uqr";' },
];

/** Each page: its config, what it is made of, and a file that it makes. */
const PAGES = [
  {
    config: "packages/verify/page/vite.config.ts",
    of: ["packages/verify"],
    makes: "packages/verify/dist/verify.html",
  },
  {
    config: "console/vite.config.ts",
    of: ["console", "packages/verify", "packages/kedge"],
    makes: "console/dist/index.html",
  },
];

for (const { name, package: owner, exports } of LIBRARIES) {
  const folder = `packages/${owner}/dist/vendor`;
  if (isStale({ of: [], makes: `${folder}/${name}.js` })) await bundle(name, exports, join(root, folder));
}
// Beside the code that names them, as beside its source. Whoever makes a report at the same time reads whole files.
cpSync(join(root, "packages/kedge/report/fonts"), join(root, "packages/kedge/dist/report/fonts"), {
  recursive: true,
  filter: (from, to) =>
    statSync(from).isDirectory() || !existsSync(to) || statSync(to).mtimeMs < statSync(from).mtimeMs,
});
for (const page of PAGES)
  if (isStale(page))
    await build({ configFile: join(root, page.config), logLevel: "warn", plugins: [licences()] });

/** Writes the library as one minified module, and the licences of all that is in it. */
async function bundle(name, exports, folder) {
  const entry = `\0${name}`;
  const { output } = await build({
    configFile: false,
    root,
    logLevel: "warn",
    resolve: { conditions: ["browser", "module", "import", "default"] },
    plugins: [
      {
        name: "library",
        resolveId: (id) => (id === entry ? id : undefined),
        load: (id) => (id === entry ? exports : undefined),
      },
      licences(),
    ],
    build: {
      write: false,
      target: "es2022",
      modulePreload: false,
      rollupOptions: {
        input: entry,
        preserveEntrySignatures: "strict",
        output: { entryFileNames: `${name}.js`, codeSplitting: false },
      },
    },
  });
  mkdirSync(folder, { recursive: true });
  // What is newest is looked at, so it is written last.
  for (const part of output.toSorted((a, b) => Number(b.type === "asset") - Number(a.type === "asset")))
    if (part.type === "asset") write(join(folder, `${name}.${part.fileName}`), part.source);
    else write(join(folder, part.fileName), part.code);
}

/** In one step, so that nobody who builds or tests at the same time sees half a file. */
function write(path, text) {
  writeFileSync(`${path}.${process.pid}`, text);
  renameSync(`${path}.${process.pid}`, path);
}

/** A file of a bundle, LICENSES.txt: whose code is in it, and under which licence. Ours is in the package itself. */
function licences() {
  return {
    name: "licences",
    generateBundle(_, bundle) {
      const modules = Object.values(bundle).flatMap((part) =>
        part.type === "chunk" ? Object.keys(part.modules) : [],
      );
      const folders = new Set(modules.map(packageOf).filter((folder) => folder !== undefined));
      this.emitFile({ type: "asset", fileName: "LICENSES.txt", source: licencesOf([...folders]) });
    },
  };
}

/** The folder of the foreign package that a module is of; undefined of our own. */
function packageOf(module) {
  return /^\0?(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(module)?.[1];
}

/** Each package with its copyright; a text that several share stands once, after them. */
function licencesOf(folders) {
  const packages = new Map();
  for (const folder of folders.sort()) {
    const { name, version, license, author } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    const text = file === undefined ? textOf(license, author) : readFileSync(join(folder, file), "utf8");
    const lines = text.split(/\r?\n/).map((line) => line.trim());
    const isOwn = (line) => /^(copyright (\(c\)|©|\d{4})|author \d{4}|all rights reserved)/i.test(line);
    const body = lines.filter((line) => !isOwn(line) && !/^(the )?(mit|isc) license/i.test(line));
    const paragraphs = body.join("\n").split(/\n{2,}/);
    const terms = paragraphs
      .map((paragraph) => paragraph.replace(/\s+/g, " ").replace(/[“”]/g, '"').trim())
      .filter(Boolean)
      .join("\n\n");
    const titles = packages.get(terms) ?? new Set();
    packages.set(terms, titles.add([`${name} ${version} (${license})`, ...lines.filter(isOwn)].join("\n")));
  }
  return [...packages].map(([terms, titles]) => `${[...titles].join("\n\n")}\n\n${terms}\n`).join("\n\n");
}

/** Of packages that name their licence and leave its text out. */
function textOf(license, author) {
  const holder = `Copyright (c) ${typeof author === "string" ? author : (author?.name ?? "its authors")}`;
  if (license === "MIT")
    return `${holder}

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`;
  if (license === "ISC")
    return `${holder}

Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted, provided that the above copyright notice and this permission notice appear in all copies.

THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR ANY SPECIAL, DIRECT, INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.`;
  throw new Error(`A licence is ${license}, without a text: read its terms, and say here how they are kept`);
}
