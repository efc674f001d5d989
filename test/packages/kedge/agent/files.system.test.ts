/**
 * Files in the quantities that hospitals have, into a journal on the disk: KEDGE_FILES and KEDGE_ROWS say how many. And a writer
 * that rotates its log under an agent that is killed.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { filesSchema, openFiles } from "@kedge/cli/agent/files";
import { openJournal, readJournal } from "@kedge/cli/journal/journal";
import { expect, test } from "vitest";
import { epicRow, writeEpicRows } from "../../../support/epic-rows.ts";

const ROWS = Number(process.env["KEDGE_ROWS"] ?? 200_000);
const FILES = Number(process.env["KEDGE_FILES"] ?? 50_000);
const MB = 1 << 20;

const keys = (() => {
  const key = { epoch: 0, tenantKey: new Uint8Array(32).fill(7) };
  return { current: () => key, of: (epoch: number) => (epoch === 0 ? key : undefined) };
})();

async function inFolder<T>(run: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "kedge-files-"));
  try {
    return await run(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Reads until there is nothing new. Returns by how many MB the memory grew after the first tenth, and what was counted meanwhile. */
async function readAll(folder: string, options: object, expected: number) {
  const journal = await openJournal({ folder: join(folder, "data"), keys });
  const counts = new Map<string, number>();
  let now = Date.now();
  const intake = await journal.intake("ehr");
  const source = openFiles(
    filesSchema.parse({ kind: "files", name: "ehr", ...options }),
    {
      intake,
      signal: new AbortController().signal,
      trouble: (key, what) => {
        if (what !== undefined) throw new Error(`${key}: ${what}`);
      },
      count: (counter, by = 1) => counts.set(counter, (counts.get(counter) ?? 0) + by),
    },
    () => now,
  );
  const memory: number[] = [];
  const progress: number[] = [];
  const watch = setInterval(() => {
    memory.push(process.memoryUsage().rss / MB);
    progress.push(counts.get("files") ?? 0);
  }, 200);
  const began = performance.now();
  while (await source.pass()) {}
  const seconds = (performance.now() - began) / 1_000;
  clearInterval(watch);
  now += 61_000;
  while (await source.pass()) {}
  expect(await source.pass()).toBe(false);
  const [state] = journal.sources();
  expect(state).toMatchObject({ journalled: BigInt(expected), last: BigInt(expected), gaps: 0n });
  await source.close();
  await journal.close();
  const growth = Math.max(...memory) - (memory[Math.floor(memory.length / 10)] ?? 0);
  const rate = Math.round(expected / seconds);
  console.log(
    `${expected} events in ${seconds.toFixed(1)} s: ${rate}/s; rss ${memory.map(Math.round).filter((_, i) => i % 10 === 0)} MB`,
  );
  return { growth, progress };
}

test(`an export of ${ROWS} rows in Epic's columns is journalled, each row once, in bounded memory`, async () => {
  await inFolder(async (folder) => {
    await mkdir(join(folder, "in"));
    await writeEpicRows(join(folder, "in", "access.txt"), ROWS);
    const options = { path: join(folder, "in"), content: "delimited", preset: "epic" };
    const { growth } = await readAll(folder, options, ROWS);
    expect(growth).toBeLessThan(400);
    const reader = readJournal({ folder: join(folder, "data"), keys });
    for (const i of [0, 96, 97, ROWS - 1]) {
      const [entry] = [...(reader?.entries("ehr", { from: BigInt(i + 1), to: BigInt(i + 1) }) ?? [])];
      expect(Buffer.from(entry?.bytes ?? []).toString()).toBe(epicRow(i));
      expect(entry).toMatchObject({ mediaType: "text/csv", notes: ["header 1"] });
    }
    await reader?.close();
  });
}, 1_200_000);

test(`a folder of ${FILES} files is journalled, a file an event, with progress and in bounded memory`, async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "in");
    for (let i = 0; i < FILES; i += 1_000) {
      const below = join(path, `${i / 1_000}`);
      await mkdir(below, { recursive: true });
      const old = new Date(Date.now() - 3_600_000);
      await Promise.all(
        Array.from({ length: Math.min(1_000, FILES - i) }, async (_, j) => {
          const name = join(below, `${i + j}.json`);
          await writeFile(name, `{"resourceType":"AuditEvent","id":"${i + j}"}`);
          await utimes(name, old, old);
        }),
      );
    }
    const { growth, progress } = await readAll(folder, { path }, FILES);
    expect(growth).toBeLessThan(300);
    expect(new Set(progress).size).toBeGreaterThan(3);
  });
}, 3_600_000);

/** An agent's source in a process of its own, on a journal on the disk. */
function startAgent(folder: string): ChildProcess {
  const script = fileURLToPath(new URL("../../../support/files-process.mjs", import.meta.url));
  return spawn(process.execPath, ["--conditions", "default", script, folder], {
    stdio: ["ignore", "inherit", "inherit"],
  });
}

test("a log that is written and rotated while its agent is killed again and again has each line journalled once", async () => {
  await inFolder(async (folder) => {
    const log = join(folder, "ehr.ndjson");
    await writeFile(log, "");
    const script = fileURLToPath(new URL("../../../support/rotating-writer.mjs", import.meta.url));
    const writer = spawn(process.execPath, [script, log], { stdio: ["ignore", "pipe", "inherit"] });
    let written = "";
    writer.stdout?.on("data", (text) => {
      written += text;
    });
    let isOver = false;
    const ended = once(writer, "exit").then(() => {
      isOver = true;
    });
    let agent = startAgent(folder);
    try {
      let kills = 0;
      for (; !isOver; kills++) {
        await Promise.race([ended, once(AbortSignal.timeout(900 + 150 * (kills % 5)), "abort")]);
        agent.kill("SIGKILL");
        await once(agent, "exit");
        agent = startAgent(folder);
      }
      const total = Number(written);
      expect(kills).toBeGreaterThan(3);
      await expect
        .poll(() => numbersIn(folder).then(({ length }) => length), { timeout: 60_000, interval: 500 })
        .toBeGreaterThanOrEqual(total);
      agent.kill("SIGTERM");
      await once(agent, "exit");
      const numbers = await numbersIn(folder);
      expect(numbers.sort((a, b) => a - b)).toEqual(Array.from({ length: total }, (_, i) => i));
    } finally {
      for (const child of [writer, agent]) child.kill("SIGKILL");
    }
  });
});

/** Of the events in the journal, what the writer called them. */
async function numbersIn(folder: string): Promise<number[]> {
  const reader = readJournal({ folder: join(folder, "data"), keys });
  const entries = [...(reader?.entries("ehr") ?? [])];
  await reader?.close();
  return entries.map(({ bytes }) => Number(/"event":(\d+)/.exec(Buffer.from(bytes ?? []).toString())?.[1]));
}
