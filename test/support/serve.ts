/** `kedge serve` and `kedge witness` as processes of their own, on free ports unless a test names one. */
import { type ChildProcess, type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

const KEDGE = fileURLToPath(new URL("../../dist/cli/kedge.js", import.meta.url));
const READY = "Ctrl-C stops it";

type Running = ChildProcessByStdio<null, Readable, Readable>;

/** @param env on top of the data folder and a free port. */
export type ServeOptions = {
  readonly cwd: string;
  readonly data: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly args?: readonly string[];
};

export function spawnServe({ cwd, data, env, args = [] }: ServeOptions): Running {
  return spawnKedge(["serve", ...args], cwd, { KEDGE_DATA: data, KEDGE_PORT: "0", ...env });
}

/** Starts it and returns what it printed until it was ready. */
export async function serve(options: ServeOptions): Promise<{ output: string; child: ChildProcess }> {
  const child = spawnServe(options);
  return { output: await untilReady(child), child };
}

export type WitnessOptions = {
  readonly cwd: string;
  readonly data: string;
  readonly name: string;
  /** The vkeys of the logs that it watches. */
  readonly logs: readonly string[];
  readonly port?: number;
};

/** Starts it. `vkeys` and `policy`, the lines for one, are as it prints them: Ed25519, then ML-DSA-44. */
export async function serveWitness({ cwd, data, name, logs, port = 0 }: WitnessOptions): Promise<{
  child: ChildProcess;
  url: string;
  vkeys: string[];
  policy: string[];
}> {
  const args = [
    "--name",
    name,
    "--data",
    data,
    "--port",
    `${port}`,
    ...logs.flatMap((vkey) => ["--log", vkey]),
  ];
  const child = spawnKedge(["witness", ...args], cwd);
  const lines = (await untilReady(child)).split("\n");
  return {
    child,
    url: lines.find((line) => line.startsWith("Witness"))?.split(/ +/)[1] ?? "",
    vkeys: lines.slice(0, 2),
    policy: lines.filter((line) => line.startsWith("  witness ")).map((line) => line.trim()),
  };
}

function spawnKedge(args: readonly string[], cwd: string, env: NodeJS.ProcessEnv = {}): Running {
  return spawn(process.execPath, [KEDGE, ...args], {
    cwd,
    env: { PATH: process.env["PATH"], ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** What it printed until it was ready. */
async function untilReady(child: Running): Promise<string> {
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  let output = "";
  for await (const line of createInterface({ input: child.stdout })) {
    output += `${line}\n`;
    if (line.startsWith(READY)) return output;
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
