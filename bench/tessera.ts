/** Tessera's POSIX driver behind HTTP (bench/race/main.go), built from pinned modules where there is Go. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { z } from "zod";
import { historyPage, type Side } from "./client.ts";

const run = promisify(execFile);
const MODULE = "bench/race";
const answerSchema = z.object({ last: z.number() });

/** `settings`: flags of its own, in place of Tessera's defaults. */
export type Tessera = { serve(settings?: readonly string[]): Promise<Side>; remove(): Promise<void> };

/** `missing` says why there is none. @throws when it does not build. */
export async function buildTessera(): Promise<Tessera | { missing: string }> {
  try {
    await runGo(["version"]);
  } catch {
    return { missing: "there is no go on the PATH" };
  }
  try {
    await runGo(["mod", "download"]);
  } catch (cause) {
    if (cause instanceof Error && cause.message.includes("checksum mismatch")) throw cause;
    return { missing: `Go is too old or its modules cannot be had: see \`go mod download\` in ${MODULE}` };
  }
  const folder = await mkdtemp(join(tmpdir(), "kedge-race-"));
  const program = join(folder, "race");
  await runGo(["build", "-o", program, "."]);
  return {
    serve: (settings = []) => serve(program, settings),
    remove: () => rm(folder, { recursive: true }),
  };
}

/** Nothing is written beside the sources, no toolchain is downloaded, and the caller's own flags do not count. */
function runGo(args: readonly string[]): Promise<unknown> {
  const settings = {
    CGO_ENABLED: "0",
    GOFLAGS: "-mod=readonly -buildvcs=false",
    GOTOOLCHAIN: "local",
    GOWORK: "off",
  };
  return run("go", args, { cwd: MODULE, env: { ...process.env, ...settings } });
}

async function serve(program: string, settings: readonly string[]): Promise<Side> {
  const folder = await mkdtemp(join(tmpdir(), "tessera-bench-"));
  const child = spawn(program, ["-folder", folder, ...settings], { stdio: ["ignore", "pipe", "ignore"] });
  const [url] = await once(createInterface(child.stdout), "line");
  return {
    pid: child.pid ?? Number.NaN,
    endpoint: { url, headers: {}, paths: { octets: "/entries", json: "/entries" } },
    async published(after) {
      const answer = await fetch(`${url}/checkpoints`);
      return historyPage.parse(await answer.json()).checkpoints.filter(({ size }) => size > after);
    },
    indices: async (posted) => posted.map(({ answer }) => answerSchema.parse(JSON.parse(answer)).last),
    async stop() {
      child.kill();
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
      await rm(folder, { recursive: true });
    },
  };
}
