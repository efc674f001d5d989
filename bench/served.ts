/** `kedge serve` in a process of its own, on a data folder of its own, as `npm start` has it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { openClient } from "@kedge/cli/client/api";
import { type Connection, request } from "@kedge/verify/net/http";
import { parseProof } from "@kedge/verify/tlog/proof";
import { z } from "zod";
import { historyPage, type Posted, type Published, type Side } from "./client.ts";

export const COMMAND = fileURLToPath(new URL("../cli/kedge.js", import.meta.url));

/** A folder in which `node --cpu-prof` leaves a profile of each server; unset: none is made. */
const PROFILES = process.env["BENCH_CPU_PROF"];

const credentialsSchema = z.object({
  url: z.string(),
  apiKey: z.string(),
  log: z.string(),
  logVkey: z.string(),
});
type Credentials = z.infer<typeof credentialsSchema>;

export type Kedge = Side & { readonly folder: string; readonly credentials: Credentials };

export const dataFolder = (): Promise<string> => mkdtemp(join(tmpdir(), "kedge-bench-"));

/** Starts on a new folder, or on one that it ran on before; its demonstration warms it up. */
export async function serveKedge(folder: string, port = "0"): Promise<Kedge> {
  const profile = PROFILES === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${PROFILES}`];
  const child = spawn(process.execPath, [...profile, COMMAND, "serve", "--port", port, "--data", folder], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const url = await ready(child);
  const file = await readFile(join(folder, "credentials.json"), "utf8");
  const credentials = { ...credentialsSchema.parse(JSON.parse(file)), url };
  return {
    pid: child.pid ?? Number.NaN,
    folder,
    credentials,
    ...logSide(credentials, credentials.log),
    async stop() {
      child.kill("SIGTERM");
      if (child.exitCode === null) await once(child, "exit");
    },
  };
}

/** How one log of the server is posted to and read. */
export function logSide(connection: Connection, log: string): Omit<Side, "pid" | "stop"> {
  const path = `/v1/logs/${log}`;
  return {
    endpoint: {
      url: connection.url,
      headers: { Authorization: `Bearer ${connection.apiKey}` },
      paths: { octets: `${path}/entries/octets`, json: `${path}/entries` },
    },
    published: (after) => history(connection, `${path}/checkpoints`, after),
    indices: (posted) => indicesOf(connection, log, posted),
  };
}

/** The same, on a folder that is removed with it. */
export async function serveNewKedge(): Promise<Kedge> {
  const folder = await dataFolder();
  const side = await serveKedge(folder);
  const stop = async () => {
    await side.stop();
    await rm(folder, { recursive: true });
  };
  return { ...side, stop };
}

/** What to do next is the last thing that `kedge serve` says. */
async function ready(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new TypeError("the server's output is not piped");
  let url = "";
  for await (const line of createInterface(child.stdout)) {
    url = /^API +(\S+)$/.exec(line)?.[1] ?? url;
    if (line.startsWith("Ctrl-C")) return url;
  }
  throw new Error("kedge serve ended before it was ready");
}

async function history(connection: Connection, path: string, after: number): Promise<Published[]> {
  const found: Published[] = [];
  for (let from: number | undefined = after; from !== undefined; ) {
    const page = historyPage.parse(
      JSON.parse(
        await request(connection, {
          method: "GET",
          path: `${path}?after=${from}&limit=1000`,
          idempotent: true,
        }),
      ),
    );
    found.push(...page.checkpoints);
    from = page.next;
  }
  return found;
}

async function indicesOf(connection: Connection, log: string, posted: readonly Posted[]): Promise<number[]> {
  const indices: number[] = [];
  const commitments = posted.map(({ last }) => last);
  for await (const answer of openClient(connection).proofs(log, commitments)) {
    if (answer.state !== "proof") throw new Error(`a published event has no proof: ${answer.state}`);
    indices.push(Number(parseProof(answer.proof).index));
  }
  return indices;
}
