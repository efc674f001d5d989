/** The log file: bounded, and never a reason for anything else to fail. */
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { endLog, keepMetrics, logLine, metricLine } from "../../platform/log.ts";
import { KEPT_LOG_FILES, MAX_LOG_BYTES } from "../../platform/logfile.ts";

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-log-"));
  path = join(folder, "kedge.log");
  vi.stubEnv("KEDGE_LOG_FILE", path);
  vi.useFakeTimers();
});
afterEach(async () => {
  endLog();
  vi.useRealTimers();
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

const lines = async (): Promise<Record<string, unknown>[]> =>
  (await readFile(path, "utf8"))
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line));

test("a file that cannot be written throws nothing, and what was lost is counted once it can be", async () => {
  await mkdir(path);
  for (let i = 0; i < 3; i++) logLine("info", { i });
  await rm(path, { recursive: true });
  logLine("info", { i: 3 });
  expect(await lines()).toMatchObject([{ event: "log", lost: 3 }, { i: 3 }]);
});

test.skipIf(process.getuid?.() === 0)("nor does one that this user may not write to", async () => {
  await writeFile(path, "");
  await chmod(path, 0o400);
  logLine("info", { i: 0 });
  await chmod(path, 0o600);
  logLine("info", { i: 1 });
  expect(await lines()).toMatchObject([{ event: "log", lost: 1 }, { i: 1 }]);
});

test("the files are bounded in size and number, private, and lose no line between them", async () => {
  for (let i = 0; i < KEPT_LOG_FILES + 3; i++) {
    logLine("info", { i });
    await truncate(path, MAX_LOG_BYTES - 10);
  }
  const names = (await readdir(folder)).sort();
  expect(names).toEqual(["kedge.log", ...[1, 2, 3, 4].map((n) => `kedge.log.${n}`)]);
  for (const [n, name] of names.entries()) {
    const { size, mode } = await stat(join(folder, name));
    expect(size).toBeLessThanOrEqual(MAX_LOG_BYTES);
    expect(mode & 0o777).toBe(0o600);
    expect(await readFile(join(folder, name), "utf8")).toMatch(new RegExp(`"i":${KEPT_LOG_FILES + 2 - n}}`));
  }
});

test("the same trouble is a line, and then one a minute with its count, until it has ended", async () => {
  const trouble = (size: number) => logLine("error", { event: "anchor", code: "rollback", size });
  for (let i = 0; i < 55; i++) trouble(i);
  logLine("error", { event: "anchor", code: "signer" });
  expect(await lines()).toMatchObject([{ code: "rollback", size: 0 }, { code: "signer" }]);
  vi.advanceTimersByTime(60_000);
  expect((await lines()).slice(2)).toMatchObject([{ code: "rollback", size: 54, times: 54 }]);
  vi.advanceTimersByTime(60_000);
  trouble(55);
  expect((await lines()).slice(3)).toMatchObject([{ code: "rollback", size: 55 }]);
  trouble(56);
  endLog();
  expect((await lines()).slice(4)).toMatchObject([{ code: "rollback", size: 56, times: 1 }]);
});

test("each failed request has its line", async () => {
  for (let i = 0; i < 3; i++) logLine("error", { requestId: `${i}`, code: "unavailable" });
  expect(await lines()).toHaveLength(3);
});

test("kept metrics are totals or newest values, of lines that are not written too", async () => {
  const read = keepMetrics();
  metricLine({ event: "sweep" }, { SealLag: 7, Signatures: 2 });
  metricLine({ event: "sweep" }, { SealLag: 3, Signatures: 2 });
  expect(Object.fromEntries(read().map(({ name, value }) => [name, value]))).toEqual({
    SealLag: 3,
    Signatures: 4,
  });
  // It cannot be told: the last one that was known would say that all is well.
  metricLine({ event: "sweep" }, { SealLag: undefined, Signatures: 0 });
  expect(read().map(({ name }) => name)).toEqual(["Signatures"]);
});
