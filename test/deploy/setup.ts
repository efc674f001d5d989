/** Before the suite: the emulator in a Python environment of its own, or the reason why there is none. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";

export type Python = { readonly python: string } | { readonly missing: string };
declare module "vitest" {
  export interface ProvidedContext {
    python: Python;
  }
}

/** How long a registry that never answers may hold up the tests. */
const INSTALL_MS = 240_000;
const NEEDED = "import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 10))";

export default function setup({ provide }: TestProject): (() => void) | undefined {
  const missing = (why: string): undefined => {
    console.log(`skipped: deploying to an emulator: ${why}`);
    provide("python", { missing: why });
  };
  if (process.platform === "win32") return missing("it needs process groups, which Windows lacks");
  try {
    execFileSync("python3", ["-c", NEEDED], { stdio: "pipe" });
  } catch {
    return missing("no Python 3.10 or later with venv on the PATH, as python3");
  }
  const folder = mkdtempSync(join(tmpdir(), "kedge-python-"));
  const python = join(folder, "bin", "python");
  const remove = () => rmSync(folder, { recursive: true, force: true });
  const requirements = join(import.meta.dirname, "requirements.txt");
  const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"];
  try {
    execFileSync("python3", ["-m", "venv", folder], { stdio: "pipe" });
    const pinned = ["--require-hashes", "--only-binary", ":all:", "--requirement", requirements];
    execFileSync(python, [...pip, ...pinned], { stdio: "pipe", encoding: "utf8", timeout: INSTALL_MS });
  } catch (error) {
    remove();
    const told = error instanceof Error && "stderr" in error ? String(error.stderr).trim() : String(error);
    // Other files than those that were pinned are no reason to skip.
    if (told.includes("DO NOT MATCH THE HASHES")) throw new Error(told, { cause: error });
    return missing(`its packages could not be installed: ${told.split("\n").at(-1)}`);
  }
  provide("python", { python });
  return remove;
}
