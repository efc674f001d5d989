/** `kedge serve` as a process of its own, on a free port. */
import { type ChildProcess, type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

const KEDGE = fileURLToPath(new URL("../../cli/kedge.mjs", import.meta.url));
const READY = "Ctrl-C stops it";

export type ServeOptions = { readonly cwd: string; readonly data: string };

export function spawnServe({ cwd, data }: ServeOptions): ChildProcessByStdio<null, Readable, Readable> {
  return spawn(process.execPath, [KEDGE, "serve"], {
    cwd,
    env: { PATH: process.env["PATH"], KEDGE_DATA: data, KEDGE_PORT: "0" },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** Starts it and returns what it printed until it was ready. */
export async function serve(options: ServeOptions): Promise<{ output: string; child: ChildProcess }> {
  const child = spawnServe(options);
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  let output = "";
  for await (const line of createInterface({ input: child.stdout })) {
    output += `${line}\n`;
    if (line.startsWith(READY)) return { output, child };
  }
  throw new Error(`it ended before it was ready: ${output}${errors}`);
}

export async function stop(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  const exited = once(child, "exit");
  child.kill(signal);
  const [code] = await exited;
  return code;
}

/** The address changes with every start here; the credentials keep the first one. */
export const addressIn = (output: string): string => /API +(http\S+)/.exec(output)?.[1] ?? "";
