// Packs what people install: both tarballs, the verifier page, and their SHA-256, in packages/packed (or the folder that is named).
//   npm run pack
// Whoever is to check a download compares it with SHA256SUMS from somebody else: sha256sum -c SHA256SUMS
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { minifySync } from "vite";

const root = resolve(import.meta.dirname, "..");
const packed = resolve(process.argv[2] ?? join(import.meta.dirname, "packed"));
const run = (file, ...args) =>
  execFileSync(file, args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });

// What no source has any more would be packed too.
for (const name of ["verify", "kedge"])
  rmSync(join(root, "packages", name, "dist"), { recursive: true, force: true });
run(process.execPath, join(root, "node_modules/typescript/bin/tsc"), "-b");
run(process.execPath, join(root, "build.mjs"));
for (const name of ["verify", "kedge"]) dropComments(join(root, "packages", name, "dist"));

rmSync(packed, { recursive: true, force: true });
mkdirSync(packed, { recursive: true });
const workspaces = ["--workspace=@kedge/verify", "--workspace=@kedge/cli"];
const names = JSON.parse(
  run("npm", "pack", "--json", "--silent", ...workspaces, `--pack-destination=${packed}`),
);
// The page is in the first tarball too; who opens it alone compares it alone.
copyFileSync(join(root, "packages/verify/dist/verify.html"), join(packed, "verify.html"));
const sums = [...Object.values(names), { filename: "verify.html" }]
  .map(({ filename }) => {
    const hash = createHash("sha256")
      .update(readFileSync(join(packed, filename)))
      .digest("hex");
    return `${hash}  ${filename}\n`;
  })
  .join("");
writeFileSync(join(packed, "SHA256SUMS"), sums);
process.stdout.write(sums);

/** A quarter of the code is comments and indentation. Comments of what is public stand in the declarations, too. */
function dropComments(dist) {
  const isOurs = (file) => file.endsWith(".js") && !file.startsWith("vendor");
  for (const file of readdirSync(dist, { recursive: true }).filter(isOurs)) {
    const path = join(dist, file);
    const options = { module: true, compress: false, mangle: false, codegen: { removeWhitespace: false } };
    const { code, errors } = minifySync(file, readFileSync(path, "utf8"), options);
    if (errors.length > 0) throw new Error(`${path}: ${errors[0].message}`);
    writeFileSync(path, code);
  }
}
