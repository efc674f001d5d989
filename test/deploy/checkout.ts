/** Checkouts as an operator has them: of what is here, and of an earlier commit. Each is a folder of its own. */
import { execFile } from "node:child_process";
import { copyFile, cp, mkdir, mkdtemp, readdir, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, "../..");
const OURS = "@kedge";

export type Checkout = { readonly folder: string; remove(): Promise<void> };

/** What is here, committed or not, with its packages installed and compiled. */
export async function copyOfThis(): Promise<Checkout> {
  const checkout = await emptyCheckout();
  const { folder } = checkout;
  const { stdout } = await run("git", ["ls-files", "-z", "-co", "--exclude-standard"], { cwd: ROOT });
  for (const path of new Set(stdout.split("\0").filter((path) => path !== ""))) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    // What is deleted and not yet committed is listed too.
    await copyFile(join(ROOT, path), join(folder, path)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
    });
  }
  const compiled = ["dist", "console/dist", "packages/verify/dist", "packages/kedge/dist"];
  for (const path of compiled) await cp(join(ROOT, path), join(folder, path), { recursive: true });
  // Everything that is installed but our own packages, which link to this checkout's.
  const modules = join(folder, "node_modules");
  await mkdir(join(modules, OURS), { recursive: true });
  for (const name of await readdir(join(ROOT, "node_modules")))
    if (name !== OURS) await symlink(join(ROOT, "node_modules", name), join(modules, name));
  await symlink("../../packages/verify", join(modules, OURS, "verify"));
  await symlink("../../packages/kedge", join(modules, OURS, "cli"));
  return checkout;
}

/** @returns undefined where the history does not reach back so far. */
export async function checkoutOf(commit: string): Promise<Checkout | undefined> {
  try {
    await run("git", ["cat-file", "-e", `${commit}^{commit}`], { cwd: ROOT });
  } catch {
    return undefined;
  }
  const checkout = await emptyCheckout();
  const { folder } = checkout;
  const archive = join(folder, "archive.tar");
  await run("git", ["archive", "--output", archive, commit], { cwd: ROOT });
  await run("tar", ["xf", archive], { cwd: folder });
  await rm(archive);
  const quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"];
  await run("npm", ["ci", ...quiet], { cwd: folder });
  return checkout;
}

/** In a folder of its own, since commands write beside the checkout too. */
async function emptyCheckout(): Promise<Checkout> {
  const around = await mkdtemp(join(tmpdir(), "kedge-checkout-"));
  const folder = join(around, "kedge");
  await mkdir(folder);
  return { folder, remove: () => rm(around, { recursive: true, force: true }) };
}
