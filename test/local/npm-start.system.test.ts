/** `npm start` as a service manager and a terminal stop it: by a signal to npm, or to the whole group. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { afterAll, beforeAll, expect, test } from "vitest";
import { addressIn } from "../support/serve.ts";

const ROOT = join(import.meta.dirname, "../..");

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-npm-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

type Npm = ChildProcessByStdio<null, Readable, Readable>;

/** In a process group of its own, as a shell starts it. */
async function npmStart(): Promise<{ npm: Npm; url: string; pid: number; ended: Promise<string> }> {
  const env = { PATH: process.env["PATH"], HOME: folder, KEDGE_DATA: join(folder, "data"), KEDGE_PORT: "0" };
  const npm = spawn("npm", ["start"], { cwd: ROOT, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  npm.stderr.resume();
  let output = "";
  const lines = createInterface({ input: npm.stdout });
  const ready = new Promise<void>((resolve) =>
    lines.on("line", (line) => {
      output += `${line}\n`;
      if (line.startsWith("Ctrl-C")) resolve();
    }),
  );
  const ended = once(lines, "close").then(() => output);
  await Promise.race([ready, ended]);
  return { npm, url: addressIn(output), pid: npm.pid ?? 0, ended };
}

test.skipIf(process.platform === "win32").each([
  ["SIGTERM to npm alone, as a supervisor sends it", 1, "SIGTERM"],
  ["SIGINT to npm alone", 1, "SIGINT"],
  ["SIGINT to the group, as Ctrl-C sends it, which npm passes on too", -1, "SIGINT"],
  ["SIGTERM to the group, as systemd sends it", -1, "SIGTERM"],
] as const)("%s ends the server in order", async (_, whom, signal) => {
  const { npm, url, pid, ended } = await npmStart();
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  const exited = once(npm, "exit");
  process.kill(whom * pid, signal);
  // Its output ends when nobody has it open any more: npm, the shell and the server are gone.
  expect(await ended).toContain("Stopping…");
  await exited;
  await expect(fetch(`${url}/healthz`)).rejects.toThrow();
  expect(existsSync(join(folder, "data/environment.json"))).toBe(false);
});
