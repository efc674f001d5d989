/** Before any test: what is started as a process, or synthesised, is the code as it is. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** A type error is shown and stops no test: `npm run check` is what fails for it. */
export default function build(): void {
  const tsc = fileURLToPath(new URL("../../node_modules/typescript/bin/tsc", import.meta.url));
  spawnSync(process.execPath, [tsc, "-b", "tsconfig.dev.json"], { stdio: "inherit" });
  const pages = fileURLToPath(new URL("../../build.mjs", import.meta.url));
  spawnSync(process.execPath, [pages], { stdio: "inherit" });
}
