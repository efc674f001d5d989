/** A small site after some months: how `kedge serve` starts, proves and is audited with 1.2 million entries in its folder. */
import { rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { openClient } from "@kedge/cli/client/api";
import { runAudit } from "./audit.ts";
import { covering, post } from "./client.ts";
import { figure, percentile, type Section } from "./report.ts";
import { dataFolder, serveKedge } from "./served.ts";

const ENTRIES = 1_200_000;
const PER_REQUEST = 10_000;
const PROOFS = 300;

export async function site(): Promise<Section> {
  const folder = await dataFolder();
  try {
    const filling = await serveKedge(folder);
    const shape = {
      encoding: "octets",
      perRequest: PER_REQUEST,
      atOnce: 2,
      seconds: 0,
      least: ENTRIES,
    } as const;
    const { posted } = await post(filling.endpoint, shape);
    await covering(filling, 0, ENTRIES);
    await filling.stop();

    const { port } = new URL(filling.credentials.url);
    const started = performance.now();
    const restarting = serveKedge(folder, port);
    const answersAfter = await firstAnswer(filling.credentials.url, started);
    const side = await restarting;
    try {
      const { credentials } = side;
      const client = openClient(credentials);
      const times: number[] = [];
      for (let i = 0; i < PROOFS; i++) {
        const { last } = posted[(i * 7) % posted.length] ?? { last: new Uint8Array() };
        const began = performance.now();
        for await (const { state } of client.proofs(credentials.log, [last])) {
          if (state !== "proof") throw new Error(`a sealed entry has no proof: ${state}`);
        }
        times.push(performance.now() - began);
      }
      const audit = await runAudit(credentials, [], "CONSISTENT");
      const [p50, p99] = [percentile(times, 0.5), percentile(times, 0.99)];
      return {
        title: `A folder with ${figure(ENTRIES)} entries`,
        head: ["", ""],
        rows: [
          ["from the start of the process to its first answer, ms", figure(answersAfter)],
          ["a proof, one a request: p50, ms", figure(p50)],
          ["the same: p99, ms", figure(p99)],
          ["`kedge audit`, s", figure(audit.seconds)],
          ["the same: peak RSS, MB", figure(audit.megabytes)],
        ],
        values: { answersAfter, p50, p99, auditSeconds: audit.seconds, auditMegabytes: audit.megabytes },
      };
    } finally {
      await side.stop();
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}

const POLL_MS = 10;
const DEADLINE_MS = 60_000;

/** Ms from then to the first answer of 200: until then the port is closed, or it answers that it starts. */
async function firstAnswer(url: string, started: number): Promise<number> {
  while (performance.now() - started < DEADLINE_MS) {
    const answer = await fetch(`${url}/healthz`).catch(() => undefined);
    if (answer?.ok === true) return performance.now() - started;
    await sleep(POLL_MS);
  }
  throw new Error("the restarted server does not answer");
}
