/** A process that says what it has done, by default of durable-process.mjs, and whether what that said is there. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { expect } from "vitest";
import { folderPublication } from "../../platform/folder.ts";
import { folderIndex } from "../../platform/index-folder.ts";
import { lmdbStore } from "../../platform/lmdb.ts";

const SCRIPT = "durable-process.mjs";

export type DurableProcess = {
  readonly process: ChildProcess;
  /** Lines that it has said. */
  readonly said: readonly string[];
  readonly errors: () => string;
  /** Resolves when it has said so many lines. */
  hasSaid(lines: number): Promise<void>;
  /** Its exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>;
};

/** @param options.files how many files it may open. @param options.script another, in this folder. */
export function startDurable(
  args: readonly string[],
  options: { env?: Readonly<Record<string, string>>; files?: number; script?: string } = {},
): DurableProcess {
  const command = [
    process.execPath,
    "--expose-gc",
    join(import.meta.dirname, options.script ?? SCRIPT),
    ...args,
  ];
  const limited = ["-c", `ulimit -n ${options.files}; exec "$@"`, "sh", ...command];
  const [file = "", ...rest] = options.files === undefined ? command : ["sh", ...limited];
  const child = spawn(file, rest, {
    env: { ...process.env, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said: string[] = [];
  let errors = "";
  let heard: () => void = () => undefined;
  createInterface({ input: child.stdout }).on("line", (line) => {
    said.push(line);
    heard();
  });
  child.stderr.on("data", (text: Buffer) => {
    errors += text.toString();
  });
  const ended = once(child, "close").then(([code, signal]) => code ?? signal);
  return {
    process: child,
    said,
    errors: () => errors,
    ended,
    async hasSaid(lines) {
      while (said.length < lines) {
        const more = new Promise<void>((resolve) => {
          heard = resolve;
        });
        const end = await Promise.race([more, ended]);
        if (end !== undefined && said.length < lines) throw new Error(`ended with ${end}: ${errors}`);
      }
    },
  };
}

/** That all of the rounds 0 to `last` is there, whatever of later ones is. */
export async function expectRounds(folder: string, last: number): Promise<void> {
  const url = (name: string) => pathToFileURL(`${join(folder, name)}/`);
  const [publication, index] = [folderPublication(url("published")), folderIndex(url("index"))];
  const store = lmdbStore(join(folder, "store"));
  try {
    const rounds = Array.from({ length: last + 1 }, (_, n) => n);
    const removed = (n: number) => n % 4 === 1 && n + 2 <= last;
    // The round under way may remove one.
    const sure = rounds.filter((n) => n % 4 !== 1 || n + 2 !== last + 1);
    const items = await store.get(sure.map((n) => ({ pk: "pending", sk: String(n).padStart(6, "0") })));
    expect(items.map((item) => item?.["data"])).toEqual(
      sure.map((n) => (removed(n) ? undefined : new Uint8Array(3000).fill(n))),
    );
    const [head] = await store.get([{ pk: "log", sk: "head" }]);
    expect(Number(head?.["version"])).toBeGreaterThanOrEqual(last);
    // Every record can be read, also those of what was under way.
    for await (const _ of store.query({ pk: "pending" }));
    const recorded = await publication.read("logs/a/head");
    expect(Number(new TextDecoder().decode(recorded?.bytes))).toBeGreaterThanOrEqual(last);
    for (const n of rounds) {
      expect((await publication.read(`logs/a/batch/${n}`))?.bytes).toEqual(new Uint8Array(500).fill(n));
      expect(await index.read(`a/0/${n}`)).toEqual(new Uint8Array(5000).fill(n));
    }
  } finally {
    await store.close();
  }
}
