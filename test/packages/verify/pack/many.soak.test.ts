/** 100,000 rows in one pack: written, read and judged, with what it takes printed; `KEDGE_ROWS` is another number. */
import { writeFile } from "node:fs/promises";
import { judgePack } from "@kedge/verify/pack/judge";
import { readPack } from "@kedge/verify/pack/read";
import { writePack } from "@kedge/verify/pack/write";
import { expect, test } from "vitest";
import { manyRows, smallParts } from "../../../support/pack.ts";

const ROWS = Number(process.env["KEDGE_ROWS"] ?? 100_000);
const mb = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MB`;

/** Prints the CPU time, the longest stretch in which nothing else was done, and the memory. */
async function measured<T>(what: string, run: () => Promise<T>): Promise<T> {
  let longest = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }, 1);
  const start = process.cpuUsage();
  const result = await run().finally(() => clearInterval(timer));
  const { user, system } = process.cpuUsage(start);
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  process.stdout.write(
    `${what}: ${((user + system) / 1e6).toFixed(1)} s of CPU, at most ${longest.toFixed(0)} ms at once, heap ${mb(heapUsed)}, buffers ${mb(arrayBuffers)}\n`,
  );
  return result;
}

test(`${ROWS} rows`, { timeout: 2_400_000 }, async () => {
  const parts = { ...smallParts({ lookedThrough: ROWS }), manifests: [] };
  // The tree of all of them is the test's own work, and is made at once.
  const rows = manyRows(ROWS);
  const { value: first } = rows.next();
  const all = (function* () {
    if (first) yield first;
    yield* rows;
  })();
  const { zip } = await measured("written", () =>
    writePack({ ...parts, rows: all }, { makeReport: async () => new Uint8Array(1) }),
  );
  const kept = process.env["KEDGE_PACK_OUT"];
  if (kept !== undefined) await writeFile(kept, zip);
  const pack = await measured(`read, ${mb(zip.length)}`, () => readPack(zip));
  const judged = await measured("judged", () => judgePack(pack));
  expect(judged).toMatchObject({ verdict: "unchanged", files: [] });
  expect(judged.counts.unchanged).toBe(ROWS);
});
