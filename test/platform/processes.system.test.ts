/** The store, the publication and the index on one machine: several processes at once, and one that is killed. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { folderPublication } from "../../platform/folder.ts";
import { lmdbStore } from "../../platform/lmdb.ts";
import { type DurableProcess, expectRounds, startDurable } from "../support/durable-process.ts";

const PROCESSES = 4;
const EACH = 25;

let folder: string;
let started: DurableProcess[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-processes-"));
  started = [];
});
afterEach(async () => {
  for (const { process, ended } of started) {
    process.kill("SIGKILL");
    await ended;
  }
  await rm(folder, { recursive: true });
});

const start = (...args: readonly string[]): DurableProcess => {
  const process = startDurable(args);
  started.push(process);
  return process;
};

const publication = () => folderPublication(pathToFileURL(`${join(folder, "published")}/`));

test("of processes that race by compare-and-swap none loses what another wrote, in store and publication", async () => {
  const racers = Array.from({ length: PROCESSES }, () => start("add", folder, String(EACH)));
  expect(await Promise.all(racers.map(({ ended }) => ended))).toEqual(racers.map(() => 0));
  const store = lmdbStore(join(folder, "store"));
  const [sum] = await store.get([{ pk: "log", sk: "sum" }]);
  await store.close();
  expect(sum?.["version"]).toBe(BigInt(PROCESSES * EACH));
  expect(await readFile(join(folder, "published/logs/sum"), "utf8")).toBe(String(PROCESSES * EACH));
});

test("one that is killed while it holds the publication's lock holds nobody up", async () => {
  const holder = start("hold", folder);
  await holder.hasSaid(1);
  const waiting = start("add", folder, "1");
  // Beside the held lock it writes to the store, and waits with its file.
  await expect
    .poll(() => readFile(join(folder, "store/data.mdb")).then(() => true), { timeout: 60_000 })
    .toBe(true);
  expect(waiting.said).toEqual([]);
  holder.process.kill("SIGKILL");
  expect(await waiting.ended).toBe(0);
  expect(await publication().replace("logs/sum", Uint8Array.of(1), undefined)).toBe(false);
});

test("one that is stopped while it writes to the store: others give up in time, and go on once it is gone", async () => {
  const store = lmdbStore(join(folder, "store"));
  await store.put({ pk: "log", sk: "a" });
  const holder = start("hold", folder, "store");
  await holder.hasSaid(1);
  const refused = {
    code: "unavailable",
    message: expect.stringContaining("is a process that uses it stopped"),
  };
  await expect(store.put({ pk: "log", sk: "b" })).rejects.toMatchObject(refused);
  expect(await store.get([{ pk: "log", sk: "a" }])).toEqual([{ pk: "log", sk: "a" }]);
  holder.process.kill("SIGKILL");
  await holder.ended;
  await store.put({ pk: "log", sk: "c" });
  await store.close();
});

test("all that one said before it was killed is there, and others go on", async () => {
  const store = lmdbStore(join(folder, "store"));
  for (const rounds of [3, 20, 41]) {
    const writer = start("rounds", folder);
    await writer.hasSaid(rounds);
    writer.process.kill("SIGKILL");
    expect(await writer.ended).toBe("SIGKILL");
    await expectRounds(folder, Number(writer.said.at(-1)));
    await store.put({ pk: "other", sk: String(rounds) });
  }
  await store.close();
});

test("what one process wrote another, which has the store open, reads at once", async () => {
  const store = lmdbStore(join(folder, "store"));
  const writer = start("rounds", folder);
  for (const round of [1, 2, 3, 10]) {
    await writer.hasSaid(round);
    const [head] = await store.get([{ pk: "log", sk: "head" }]);
    expect(Number(head?.["version"])).toBeGreaterThanOrEqual(round - 1);
  }
  await store.close();
});

test("a lock file that is removed parts no two processes", async () => {
  const store = lmdbStore(join(folder, "store"));
  const item = (n: number) => ({ pk: "own", sk: String(n) });
  for (let n = 0; n < 3; n++) {
    await store.put(item(n));
    await rm(join(folder, "store/lock.mdb"));
    const other = start("put", folder, String(n));
    expect(await other.ended).toBe(0);
    expect(await store.get([item(n), { pk: "other", sk: String(n) }])).not.toContain(undefined);
  }
  await store.put(item(3));
  expect(await store.get([0, 1, 2, 3].map(item))).not.toContain(undefined);
  await store.close();
});
