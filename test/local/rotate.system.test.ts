/** A planned rotation on one machine by `kedge rotate`: each step a process, each start a server. */
import type { ChildProcess } from "node:child_process";
import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { kedge } from "../cli/run.ts";
import { addressIn, serve, stop } from "../support/serve.ts";

let folder: string;
let data: string;
let running: ChildProcess | undefined;
let url = "";
/** The anchor log's Ed25519 vkey before. */
let first = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-rotate-"));
  data = join(folder, "data");
});
afterAll(async () => {
  running?.kill("SIGKILL");
  await rm(folder, { recursive: true, force: true });
});

/** A start of today's folder but for these files, which are of a backup. */
async function startWithBackup(...names: string[]): Promise<Awaited<ReturnType<typeof run>>> {
  const other = join(folder, "older");
  await cp(data, other, { recursive: true });
  for (const name of names) await cp(join(folder, "backup", name), join(other, name));
  const refused = await kedge(["serve", "--port", "0"], { cwd: folder, env: { KEDGE_DATA: other } });
  await rm(other, { recursive: true });
  return refused;
}

async function restart(): Promise<void> {
  if (running !== undefined) await stop(running, "SIGTERM");
  const { child, output } = await serve({ cwd: folder, data });
  running = child;
  url = addressIn(output);
}
const run = (...args: string[]) => kedge(args, { cwd: folder, env: { KEDGE_DATA: data, KEDGE_URL: url } });
const vkeys = async (): Promise<{ anchor: { vkeys: string[] }; logs: { keys: string[] } }> =>
  JSON.parse((await run("vkeys", "--json")).out);

test("the second key rides along, then takes over; steps out of turn are refused; old proofs verify", async () => {
  await restart();
  const before = await vkeys();
  const [ed25519 = "", mldsa = ""] = before.anchor.vkeys;
  first = ed25519;
  expect(await run("rotate", "log", "--retire")).toMatchObject({
    code: 2,
    err: expect.stringMatching(/no second/),
  });
  for (const name of ["keys.json", "kms.json"]) await cp(join(data, name), join(folder, "backup", name));
  expect(await run("rotate", "log")).toMatchObject({ code: 0, err: "" });
  const anchor = await run("rotate", "anchor");
  expect(anchor).toMatchObject({ code: 0, out: expect.stringMatching(/both keys sign.*restart/) });
  const [, second = ""] = [...anchor.out.matchAll(/^ {2}(\S+\+\S+)$/gm)].map(([, vkey]) => vkey);
  expect(await run("rotate", "anchor")).toMatchObject({
    code: 2,
    err: expect.stringMatching(/second key signs/),
  });
  // It could not have been pinned by anyone yet.
  expect(await run("rotate", "anchor", "--retire")).toMatchObject({
    code: 2,
    err: expect.stringMatching(/restart/),
  });
  expect(await vkeys()).toEqual(before);

  await restart();
  const riding = await vkeys();
  expect(riding.anchor.vkeys).toEqual([ed25519, second, mldsa]);
  expect(riding.logs.keys).toHaveLength(2);
  expect(await run("rotate", "anchor", "--retire")).toMatchObject({
    code: 0,
    out: expect.stringMatching(/one key/),
  });
  expect(await run("rotate", "log", "--retire")).toMatchObject({ code: 0 });

  await restart();
  expect((await vkeys()).anchor.vkeys).toEqual([second, mldsa]);
  expect((await vkeys()).logs.keys).toEqual([riding.logs.keys[1]]);
  const event = join(data, "demo/break-the-glass.json");
  expect(await run("verify", event, `${event}.tlog-proof`)).toMatchObject({ code: 0 });
  const log = await readFile(join(data, "kedge.log"), "utf8");
  expect(log.match(/"event":"rotation"/g)).toHaveLength(4);
  expect(log.match(/"event":"start"/g)).toHaveLength(3);
});

test("a backup of before it does not undo it in silence: the start names the files", async () => {
  await vi.waitUntil(
    async () => !(await readFile(join(data, "published/anchor/vkeys"), "utf8")).includes(first),
    {
      timeout: 60_000,
    },
  );
  if (running !== undefined) await stop(running, "SIGTERM");
  running = undefined;
  for (const names of [["keys.json", "kms.json"], ["keys.json"]]) {
    expect(await startWithBackup(...names)).toMatchObject({
      code: 1,
      out: "",
      err: expect.stringMatching(/keys\.json and .*kms\.json are older than what was signed.*backup/),
    });
  }
});

test("nothing is rotated where nothing runs", async () => {
  if (running !== undefined) await stop(running, "SIGTERM");
  running = undefined;
  expect(await run("rotate", "log")).toMatchObject({ code: 1, err: expect.stringMatching(/npm start/) });
});
