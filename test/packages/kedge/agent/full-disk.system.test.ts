/** The agent in this process on a disk that fills up, and has room again. */
import { execFileSync } from "node:child_process";
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runAgent } from "@kedge/cli/agent/agent";
import { configOfFlags } from "@kedge/cli/agent/config";
import { openReport } from "@kedge/cli/agent/report";
import { statusOf } from "@kedge/cli/agent/status";
import { readJournal } from "@kedge/cli/journal/journal";
import { afterEach, expect, test } from "vitest";
import { API_KEY, LOG_ID, startServer } from "../../../support/fake-api.ts";
import { reasonAgainstMounting } from "../../../support/faults.ts";

const key = { epoch: 0, tenantKey: new Uint8Array(32).fill(7), bodyKey: new Uint8Array(32).fill(8) };
const keys = { current: () => key, of: (epoch: number) => (epoch === 0 ? key : undefined) };
const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

const reason = await reasonAgainstMounting();
if (reason !== undefined) console.info(`No disk can be filled here: ${reason}`);

test.skipIf(reason !== undefined)(
  "a disk that is full refuses the senders and does not end the agent; with room again every line is in the log once",
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "kedge-full-"));
    stops.push(() => rmSync(folder, { recursive: true, force: true }));
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=12m", "tmpfs", folder]);
    stops.push(() => execFileSync("umount", ["-l", folder]));
    const outside = mkdtempSync(join(tmpdir(), "kedge-full-log-"));
    stops.push(() => rmSync(outside, { recursive: true, force: true }));
    const server = await startServer();
    stops.push(() => server.stop());
    const data = join(folder, "data");
    const file = join(outside, "ehr.ndjson");
    writeFileSync(file, "");
    const config = configOfFlags(data, { health: "off", sources: new Map([["follow", [`ehr=${file}`]]]) });
    const stop = new AbortController();
    const lines: string[] = [];
    let ended: unknown;
    const done = runAgent(
      {
        ...{ config, log: LOG_ID, keys, connection: { url: server.url, apiKey: API_KEY } },
        report: openReport((line) => lines.push(line)),
      },
      stop.signal,
      { sources: 10_000, posting: 2_000 },
    ).catch((error: unknown) => {
      ended = error;
    });
    stops.push(async () => {
      stop.abort();
      await done;
    });
    const status = async () => {
      const journal = readJournal({ folder: data, keys });
      const found = journal && statusOf(journal).sources[0];
      await journal?.close();
      return found;
    };
    const count = 3_000;
    const filler = "x".repeat(2_000);
    for (let round = 0; round < 6; round++) {
      // Whatever is left is taken away, and given back, at any moment.
      try {
        writeFileSync(join(folder, "filler"), Buffer.alloc(5 << 20), { flag: "w" });
      } catch {
        // That much is not there.
      }
      for (let i = 0; i < count / 6; i++)
        appendFileSync(file, `{"n":${(round * count) / 6 + i},"x":"${filler}"}\n`);
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      if (ended !== undefined) break;
      rmSync(join(folder, "filler"), { force: true });
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      await server.seal();
    }
    console.info(lines.slice(-12).join("\n"), await status().catch(String), String(ended));
    expect(ended).toBeUndefined();
    execFileSync("mount", ["-o", "remount,size=256m", folder]);
    const patience = { timeout: 60_000, interval: 300 };
    await expect.poll(status, patience).toMatchObject({ journalled: count, posted: count });
    await server.seal();
    await expect.poll(status, patience).toMatchObject({ sealed: count, gaps: [] });
    expect(ended).toBeUndefined();
  },
);
