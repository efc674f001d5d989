/** Before any test: what is started as a process, or synthesised, is the code as it is. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

export default function build(): void {
  const tsc = fileURLToPath(new URL("../../node_modules/typescript/bin/tsc", import.meta.url));
  execFileSync(process.execPath, [tsc, "-b", "tsconfig.dev.json"], { stdio: "inherit" });
}
