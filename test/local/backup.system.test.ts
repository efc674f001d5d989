/**
 * The drill of docs/operations.md, "Back up and restore one machine": taken while events come in, and then the store is
 * lost, or all is. Whatever is put back, no second history of a log is signed, and what was sealed is not lost.
 */
import type { ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { cp, mkdtemp, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { awaitProofs } from "@kedge/cli/cli/wait";
import { openClient } from "@kedge/cli/client/api";
import { ownNumbers, readNumbers } from "@kedge/cli/numbering/numbers";
import { parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { parseProof } from "@kedge/verify/tlog/proof";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { kedge, type Result } from "../cli/run.ts";
import { addressIn, serve, stop } from "../support/serve.ts";

const RESTORE = /published is a backup.*second history.*Back up and restore/;

let folder: string;
let running: ChildProcess | undefined;
let url = "";
let tenant: { apiKey: string; log: string; tenantKey: string };
/** What was sealed and anchored, with its proof, by when the store was lost. */
const proven = new Map<Uint8Array, { index: bigint; proof: string }>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-backup-"));
  await start("data");
  const members = z.object({ apiKey: z.string(), log: z.string(), tenantKey: z.string() });
  tenant = members.parse(JSON.parse(await readFile(at("data/credentials.json"), "utf8")));
});
afterAll(async () => {
  running?.kill("SIGKILL");
  await rm(folder, { recursive: true, force: true });
});

const at = (...path: string[]): string => join(folder, ...path);
const run = (data: string, ...args: string[]): Promise<Result> =>
  kedge(args, { cwd: folder, env: { KEDGE_DATA: at(data) } });

async function start(data: string, env: NodeJS.ProcessEnv = {}): Promise<void> {
  const started = await serve({ cwd: folder, data: at(data), env });
  running = started.child;
  url = addressIn(started.output);
}
async function end(signal: NodeJS.Signals): Promise<void> {
  if (running !== undefined) await stop(running, signal);
  running = undefined;
}

const client = () => openClient({ url, apiKey: tenant.apiKey });
const commitments = (count: number): Uint8Array[] =>
  Array.from({ length: count }, () => new Uint8Array(randomBytes(32)));

/** Their proofs, once they are anchored. */
async function anchored(wanted: readonly Uint8Array[]): Promise<{ index: bigint; proof: string }[]> {
  const found: { index: bigint; proof: string }[] = [];
  const wait = { wait: "anchored" as const, timeout: 60_000 };
  for await (const answer of awaitProofs({ client: client(), log: tenant.log }, wanted, wait)) {
    if (answer.state !== "proof") throw new Error(answer.state);
    found.push({ index: parseProof(answer.proof).index, proof: answer.proof });
  }
  return found;
}

/** Watches the public log as an outsider does, who remembers what was shown before. */
const monitor = async (): Promise<Result> => {
  if ((await stat(at("policy")).catch(() => undefined)) === undefined) {
    await writeFile(at("policy"), (await run("data", "vkeys", "--policy")).out);
  }
  return await run("data", "monitor", `${url}/anchor`, "--policy", "policy", "--state", "monitor.json");
};

test("a backup is taken while events come in, and is its owner's only", async () => {
  const tenantKeys: [Uint8Array] = [Buffer.from(tenant.tenantKey, "hex")];
  const source = (name: string) => ({ folder: at(name, "sources"), source: "ehr", tenantKeys });
  const numbers = await ownNumbers(source("data"));
  const event = { bytes: randomBytes(40), occurrence: 0 };
  numbers.assign([{ ...event, commitAs: () => new Uint8Array(32) }]);
  const stopping = new AbortController();
  const posted: Uint8Array[] = [];
  const post = async () => {
    while (!stopping.signal.aborted) {
      const some = commitments(100);
      await client().post(tenant.log, some);
      posted.push(...some);
    }
  };
  const posting = post();
  const taken = await run("data", "backup", "--out", at("backup"));
  stopping.abort();
  await posting;
  await numbers.close();
  const copied = readNumbers(source("backup"));
  expect(copied?.find(event)).toBe(1n);
  await copied?.close();
  expect(taken).toMatchObject({ code: 0, err: "", out: expect.stringMatching(/private keys.*kms\.json/) });
  expect((await stat(at("backup"))).mode & 0o777).toBe(0o700);
  for (const name of [
    ...["kms.json", "keys.json", "credentials.json", "store/data.mdb"],
    ...["sources/numbers.mdb", "sources/sources"],
  ])
    expect([name, (await stat(at("backup", name))).mode & 0o777]).toEqual([name, 0o600]);
  expect(await run("data", "backup", "--out", at("backup"))).toMatchObject({ code: 1 });
  expect(await run("data", "backup", "--out", at("data/backup"))).toMatchObject({ code: 2 });

  // After the backup, and in it perhaps in part.
  posted.push(...commitments(50));
  await client().post(tenant.log, posted.slice(-50));
  for (const [i, proof] of (await anchored(posted)).entries())
    proven.set(posted[i] ?? new Uint8Array(), proof);
  expect((await monitor()).code).toBe(0);
});

test("the store is lost: the backup's is refused beside what was published, and brought forward", async () => {
  await end("SIGKILL");
  await rename(at("data/store"), at("lost"));
  await cp(at("backup/store"), at("data/store"), { recursive: true });
  const { child, output } = await serve({ cwd: folder, data: at("data") });
  running = child;
  url = addressIn(output);
  expect(output).toMatch(/does not sign everything/);
  const ready = await fetch(`${url}/readyz`);
  expect([ready.status, await ready.text()]).toEqual([503, expect.stringMatching(/"rollback"/)]);

  expect(await run("data", "restore", "all")).toMatchObject({ code: 0, err: "" });
  expect(await run("data", "restore", "anchor")).toMatchObject({ code: 0, err: "" });
  const wanted = [...proven.keys()];
  const again = await anchored(wanted);
  expect(again.map(({ index }) => index)).toEqual([...proven.values()].map(({ index }) => index));
  // Posted once more they are not new, and what is new goes on after them.
  await client().post(tenant.log, wanted.slice(0, 10));
  const [next] = commitments(1);
  await client().post(tenant.log, [next ?? new Uint8Array()]);
  const [last] = await anchored([next ?? new Uint8Array()]);
  expect(last?.index).toBeGreaterThan(Math.max(...again.map(({ index }) => Number(index))));
  expect((await monitor()).code).toBe(0);
});

test("all is lost: a backup alone signs nothing where something newer was signed", async () => {
  const [newest] = await anchored([...proven.keys()].slice(-1));
  await writeFile(at("newest.tlog-proof"), newest?.proof ?? "");
  await end("SIGKILL");
  await cp(at("backup"), at("alone"), { recursive: true });
  const before = await readFile(at("alone/published/logs", tenant.log, "head"), "utf8");
  for (const args of [
    ["serve", "--port", "0"],
    ["restore", "all"],
    ["restore", "anchor"],
    ["tenant", "list"],
  ]) {
    const refused = await run("alone", ...args);
    expect([args, refused.code, refused.out, refused.err]).toEqual([
      args,
      1,
      "",
      expect.stringMatching(RESTORE),
    ]);
  }
  // Its publication in the place of the newer one is refused too.
  await cp(at("data"), at("mixed"), { recursive: true });
  await rm(at("mixed/published"), { recursive: true });
  await cp(at("alone/published"), at("mixed/published"), { recursive: true });
  expect(await run("mixed", "serve", "--port", "0")).toMatchObject({
    code: 1,
    err: expect.stringMatching(RESTORE),
  });

  expect(await run("alone", "reopen")).toMatchObject({
    code: 2,
    err: expect.stringMatching(/no checkpoint was given of .*localhost\/anchor at \d+/),
  });
  const shown = await run("alone", "reopen", "--checkpoint", "newest.tlog-proof", "--nothing-newer");
  expect(shown).toMatchObject({
    code: 1,
    err: expect.stringMatching(/was signed at size \d+, the backup is at/),
  });
  expect(await run("alone", "serve", "--port", "0")).toMatchObject({ code: 1 });
  expect(await readFile(at("alone/published/logs", tenant.log, "head"), "utf8")).toBe(before);
});

test("then the tenants' logs begin under new ids, and the anchor log under a new origin", async () => {
  await start("anew", { KEDGE_DOMAIN: "localhost/2" });
  const { log } = z
    .object({ log: z.string() })
    .parse(JSON.parse(await readFile(at("anew/credentials.json"), "utf8")));
  expect(log).not.toBe(tenant.log);
  const checkpoint = await (await fetch(`${url}/anchor/checkpoint`)).text();
  expect(parseCheckpoint(checkpoint).checkpoint.origin).toBe("localhost/2/anchor");
  await end("SIGTERM");
});

test("where the backup is the newest there is, its logs go on", async () => {
  expect(await run("data", "backup", "--out", at("last"))).toMatchObject({ code: 0 });
  await rm(at("data"), { recursive: true });
  await cp(at("last"), at("data"), { recursive: true });
  expect(await run("data", "serve", "--port", "0")).toMatchObject({ code: 1 });
  const reopened = await run("data", "reopen", "--checkpoint", "newest.tlog-proof", "--nothing-newer");
  expect(reopened).toMatchObject({
    code: 0,
    out: expect.stringMatching(/\/log\/\w+ {2}at size \d+, compared/),
  });
  expect(reopened.out).toMatch(/localhost\/anchor {2}at size \d+, by your word/);
  await start("data");
  const [next] = commitments(1);
  await client().post(tenant.log, [next ?? new Uint8Array()]);
  await anchored([next ?? new Uint8Array()]);
  const again = await anchored([...proven.keys()]);
  expect(again.map(({ index }) => index)).toEqual([...proven.values()].map(({ index }) => index));
  expect((await monitor()).code).toBe(0);
  await end("SIGTERM");
});
