/** What the examples have in common: they run the `kedge` command as a person would, and show what it says. */
import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";

export type Story = {
  /** Where the files of this telling are. */
  readonly folder: string;
  /** A heading, and what there is to know. */
  tell(heading: string, ...lines: string[]): void;
  /** Writes a file below the folder, and returns its path. */
  write(name: string, text: string): string;
  /** Copies a folder below the folder, and returns the path of the copy. */
  copy(path: string, name: string): string;
  /** Runs `kedge` with these arguments, and shows both. Rejects when it ends with another code than `expected`. */
  kedge(args: readonly string[], expected?: number, below?: string): Promise<string>;
  /**
   * Runs `kedge agent` with these sources until so many events are sealed, and returns its data folder, of that name. What
   * `meanwhile` does is its input.
   */
  agent(
    flags: readonly string[],
    events: number,
    meanwhile?: () => Promise<void>,
    name?: string,
  ): Promise<string>;
};

export const lines = (values: readonly object[]): string =>
  values.map((value) => `${JSON.stringify(value)}\n`).join("");

const COMMAND = join(root(import.meta.dirname), "kedge.mjs");
const SEALED_WITHIN = 120_000;
const statusSchema = z.object({ sources: z.array(z.object({ sealed: z.coerce.number() })) });

export function beginStory(name: string): Story {
  const folder = mkdtempSync(join(tmpdir(), `kedge-${name}-`));
  const show = (text: string) => process.stdout.write(text);
  const story: Story = {
    folder,
    tell: (heading, ...said) => show(`\n## ${heading}\n\n${said.map((line) => `${line}\n`).join("")}`),
    write(file, text) {
      const path = join(folder, file);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text);
      return path;
    },
    copy(path, name) {
      const copied = join(folder, name);
      cpSync(path, copied, { recursive: true });
      return copied;
    },
    async kedge(args, expected = 0, below = "") {
      const shown = args.map((arg) => (arg.startsWith(folder) ? relative(folder, arg) : arg));
      show(
        `${below === "" ? "" : `$ cd ${below}\n`}$ kedge ${shown.map((arg) => (/[\s*]/.test(arg) ? `'${arg}'` : arg)).join(" ")}\n`,
      );
      const { code, output } = await run(args, join(folder, below));
      show(`${output.replace(/^(?=.)/gm, "  ")}\n`);
      if (code !== expected) throw new Error(`kedge ${args[0]} ended with ${code}, and not with ${expected}`);
      return output;
    },
    async agent(flags, events, meanwhile, name = "agent") {
      const data = join(folder, name);
      show(
        `$ kedge agent --data ${name} ${flags.map((flag) => flag.replaceAll(`${folder}/`, "")).join(" ")}\n`,
      );
      // Whose journal it is: without its keys nobody reads it.
      const own = flags[0] === "--credentials" ? flags.slice(0, 2) : [];
      const process = start(["agent", "--data", data, "--health", "off", ...flags], folder);
      const ended = endOf(process);
      try {
        await meanwhile?.();
        await Promise.race([
          allSealed([...own, "--data", data], events, folder),
          ended.then(({ output }) => Promise.reject(new Error(`kedge agent has ended: ${output}`))),
        ]);
      } finally {
        process.kill("SIGTERM");
        const { output } = await ended;
        // What it says is for who runs it, and of interest when something is wrong.
        writeFileSync(join(folder, `${name}.log`), output);
      }
      await story.kedge(["agent", "status", ...own, "--data", data]);
      return data;
    },
  };
  return story;
}

/** The folder of the package: this file runs from sources and from dist. */
function root(folder: string): string {
  return existsSync(join(folder, "kedge.mjs")) ? folder : root(dirname(folder));
}

async function allSealed(flags: readonly string[], events: number, cwd: string): Promise<void> {
  for (const until = Date.now() + SEALED_WITHIN; ; ) {
    const { code, output } = await run(["agent", "status", ...flags, "--json"], cwd);
    const { sources } = code === 0 ? statusSchema.parse(JSON.parse(output)) : { sources: [] };
    if (sources.reduce((sum, { sealed }) => sum + sealed, 0) >= events) return;
    if (Date.now() > until)
      throw new Error(`The events are not sealed in time. Is npm start running? ${output}`);
    await sleep(500);
  }
}

function start(args: readonly string[], cwd: string): ChildProcess {
  const data = process.env["KEDGE_DATA"] ?? join(process.cwd(), ".kedge");
  return spawn(process.execPath, [COMMAND, ...args], { cwd, env: { ...process.env, KEDGE_DATA: data } });
}

const run = (args: readonly string[], cwd: string) => endOf(start(args, cwd));

function endOf(child: ChildProcess): Promise<{ code: number | null; output: string }> {
  let output = "";
  child.stdout?.on("data", (text) => (output += text));
  child.stderr?.on("data", (text) => (output += text));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, output }));
  });
}
