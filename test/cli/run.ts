import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const KEDGE = fileURLToPath(new URL("../../cli/kedge.mjs", import.meta.url));

export type Result = { code: number | null; out: string; err: string };

/** Runs the real command, with no KEDGE_* variable but those given. */
export function kedge(
  args: readonly string[],
  options: { cwd: string; env?: Record<string, string>; input?: string },
): Promise<Result> {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("KEDGE_"));
  const child = spawn(process.execPath, [KEDGE, ...args], {
    cwd: options.cwd,
    env: { ...Object.fromEntries(inherited), ...options.env },
  });
  child.stdin.end(options.input ?? "");
  const result: Result = { code: null, out: "", err: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    result.out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    result.err += text;
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ ...result, code }));
  });
}
