// Packs what people install: both tarballs and their SHA-256, in packages/packed (or the folder that is named).
//   npm run pack
// Whoever is to check a download compares it with SHA256SUMS from somebody else: sha256sum -c SHA256SUMS
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "..");
const packed = resolve(process.argv[2] ?? join(import.meta.dirname, "packed"));
const run = (file, ...args) =>
  execFileSync(file, args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });

// What no source has any more would be packed too.
for (const name of ["verify", "kedge"])
  rmSync(join(root, "packages", name, "dist"), { recursive: true, force: true });
run(process.execPath, join(root, "node_modules/typescript/bin/tsc"), "-b");

rmSync(packed, { recursive: true, force: true });
mkdirSync(packed, { recursive: true });
const workspaces = ["--workspace=@kedge/verify", "--workspace=@kedge/cli"];
const names = JSON.parse(
  run("npm", "pack", "--json", "--silent", ...workspaces, `--pack-destination=${packed}`),
);
const sums = Object.values(names)
  .map(({ filename }) => {
    const hash = createHash("sha256")
      .update(readFileSync(join(packed, filename)))
      .digest("hex");
    return `${hash}  ${filename}\n`;
  })
  .join("");
writeFileSync(join(packed, "SHA256SUMS"), sums);
process.stdout.write(sums);
