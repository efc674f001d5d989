/** The `kedge` command as a process. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const KEDGE = fileURLToPath(new URL("../../dist/cli/kedge.js", import.meta.url));

export type Result = { code: number | null; out: string; err: string };

export type RunOptions = {
  cwd: string;
  env?: Record<string, string>;
  input?: string;
  /** A file descriptor in place of a pipe, or a pipe that nobody reads. */
  stdout?: number | "closed";
  /** SIGINT is sent once this is settled. */
  interrupt?: Promise<unknown>;
};

/** Runs the real command, with no KEDGE_* variable but those given. */
export function kedge(args: readonly string[], options: RunOptions): Promise<Result> {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("KEDGE_"));
  const child = spawn(process.execPath, [KEDGE, ...args], {
    cwd: options.cwd,
    env: { ...Object.fromEntries(inherited), ...options.env },
    stdio: ["pipe", typeof options.stdout === "number" ? options.stdout : "pipe", "pipe"],
  });
  child.stdin?.end(options.input ?? "");
  const result: Result = { code: null, out: "", err: "" };
  if (options.stdout === "closed") child.stdout?.destroy();
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    result.out += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    result.err += text;
  });
  options.interrupt?.then(() => child.kill("SIGINT"));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ ...result, code }));
  });
}
