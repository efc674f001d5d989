/** What an operator does to a running deployment: a tenant leaves; a table is lost and brought back. Each a process. */
import type { ChildProcess } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { addressIn, serve, stop } from "../support/serve.ts";
import { kedge } from "./run.ts";

let folder: string;
let data: string;
let running: ChildProcess;
let url: string;

const start = async () => {
  const { child, output } = await serve({ cwd: folder, data });
  running = child;
  url = addressIn(output);
};
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-lifecycle-"));
  data = join(folder, "data");
  await start();
});
afterAll(async () => {
  await stop(running, "SIGTERM");
  await rm(folder, { recursive: true });
});

const run = (...args: string[]) =>
  kedge(args, { cwd: folder, env: { KEDGE_DATA: data, KEDGE_URL: "", KEDGE_STORE: "", AWS_PROFILE: "" } });

const credentialsOf = async (file: string) =>
  z
    .object({ tenant: z.string(), log: z.string() })
    .parse(JSON.parse(await readFile(join(folder, file), "utf8")));

async function tenant(name: string, file: string) {
  const created = await run("tenant", "create", name, "--out", file);
  expect(created).toMatchObject({ code: 0, out: expect.not.stringMatching(/No server/) });
  return await credentialsOf(file);
}

const asTenant = (file: string, ...args: string[]) =>
  kedge([...args, "--credentials", file], { cwd: folder, env: { KEDGE_URL: url } });

describe("a tenant's trail", () => {
  test("comes as files that verify, and says what its operator and its keys did", async () => {
    await tenant("St. Watched", "watched.json");
    expect(await asTenant("watched.json", "key", "create", "agent", "--scope", "write")).toMatchObject({
      code: 0,
    });
    const fetched = await asTenant("watched.json", "trail", "--out", "trail", "--wait", "anchored");
    expect(fetched).toMatchObject({
      code: 0,
      out: expect.stringContaining("3 events, openings, and 3 proofs"),
    });
    const files = ["trail/events", "trail/proofs.ndjson"];
    expect(await asTenant("watched.json", "verify", ...files)).toMatchObject({ code: 0 });
    const told = (await readdir(join(folder, "trail/events"))).map((name) =>
      readFile(join(folder, "trail/events", name), "utf8"),
    );
    const acts = (await Promise.all(told)).map(
      (text) => /"code":"([a-z_]+)","display":"[^"]+","system":"urn:kedge:act"/.exec(text)?.[1],
    );
    expect(acts).toEqual(["log_created", "key_created", "key_created"]);
  });
});

describe("a tenant leaves", () => {
  test("no key of it works any more, its log and its proofs stay, and no other tenant notices", async () => {
    const leaving = await tenant("St. Gone", "gone.json");
    await tenant("St. Stays", "stays.json");
    const demo = ["--folder", "gone-demo"];
    expect(await asTenant("gone.json", "demo", ...demo)).toMatchObject({ code: 0 });

    const listed = await run("tenant", "list", "--json");
    expect(JSON.parse(listed.out)).toContainEqual(
      expect.objectContaining({ id: leaving.tenant, name: "St. Gone", logs: [leaving.log] }),
    );
    expect(await run("tenant", "revoke", leaving.tenant)).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^The API key of /),
    });
    expect((await asTenant("gone.json", "status")).code).not.toBe(0);
    expect(await asTenant("stays.json", "status")).toMatchObject({ code: 0 });
    const event = "gone-demo/break-the-glass.json";
    expect(await asTenant("gone.json", "verify", event, `${event}.tlog-proof`)).toMatchObject({ code: 0 });
    expect(await run("tenant", "revoke", leaving.tenant)).toMatchObject({
      out: expect.stringMatching(/^0 API keys of /),
    });
  });

  test("who is not there cannot leave", async () => {
    expect(await run("tenant", "revoke", "aaaaaaaaaaaaaaaa")).toMatchObject({
      code: 1,
      err: expect.stringMatching(/no such tenant/),
    });
    expect(await run("tenant", "revoke", "St. Gone")).toMatchObject({ code: 2 });
  });
});

describe("a table from a backup, beside what was published since", () => {
  test("restore brings the log back, and every proof of the lost time verifies again", async () => {
    const { log } = await tenant("St. Restored", "restored.json");
    expect(await asTenant("restored.json", "demo", "--folder", "first")).toMatchObject({ code: 0 });
    await stop(running, "SIGTERM");
    await cp(join(data, "store"), join(folder, "backup"), { recursive: true });
    await start();
    // Another event, sealed and anchored after the backup.
    const later = join(folder, "later.json");
    await writeFile(later, '{"later":true}');
    const post = ["post", later, "--wait", "anchored", "--out", "later.ndjson"];
    expect(await asTenant("restored.json", ...post)).toMatchObject({ code: 0 });

    await stop(running, "SIGTERM");
    await rm(join(data, "store"), { recursive: true });
    await cp(join(folder, "backup"), join(data, "store"), { recursive: true });
    await start();
    expect(await run("restore", "bbbbbbbbbbbbbbbbbbb")).toMatchObject({ code: 1 });
    const restored = await run("restore", log, "--json");
    expect(restored).toMatchObject({ code: 0, err: "" });
    expect(JSON.parse(restored.out)).toEqual([{ log, batches: 1, entries: 1, size: 501 }]);
    expect(await run("restore", "anchor")).toMatchObject({ code: 0 });
    expect(await run("restore", "all")).toMatchObject({ code: 0 });

    const proof = await asTenant("restored.json", "proof", later, "--out", "proofs");
    expect(proof).toMatchObject({ code: 0 });
    expect(await asTenant("restored.json", "verify", later, "proofs")).toMatchObject({
      code: 0,
      out: expect.stringMatching(/PROVEN/),
    });
  });
});
