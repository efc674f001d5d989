/** Python's packages for a test, pinned, in an environment of its own that is removed with it. */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
/** How long a network that never answers may hold up the tests. */
const INSTALL_MS = 240_000;
const REQUIREMENTS = fileURLToPath(new URL("../functions/clients/requirements.txt", import.meta.url));

export type Python = { readonly bin: string; readonly remove: () => Promise<void> };

/** `missing` says why there is none. */
export async function installPython(): Promise<Python | { missing: string }> {
  try {
    await run("python3", ["-c", "import sys, venv, ensurepip; assert sys.version_info >= (3, 11)"]);
  } catch {
    return { missing: "there is no Python 3.11 or later, with venv, on the PATH" };
  }
  const folder = await mkdtemp(join(tmpdir(), "kedge-python-"));
  const remove = () => rm(folder, { recursive: true, force: true });
  const bin = join(folder, "bin");
  await run("python3", ["-m", "venv", folder]);
  try {
    const quiet = ["--quiet", "--disable-pip-version-check", "--no-input"];
    await run(join(bin, "pip"), ["install", ...quiet, "--requirement", REQUIREMENTS], {
      timeout: INSTALL_MS,
    });
  } catch {
    await remove();
    return {
      missing: "its packages cannot be had: see `pip install -r test/functions/clients/requirements.txt`",
    };
  }
  return { bin, remove };
}
