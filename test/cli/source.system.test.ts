/** `--source`: what is numbered stays numbered, whatever happens between the number and the log. */
import { mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ownNumbers } from "@kedge/cli/numbering/numbers";
import { afterEach, beforeEach, expect, test } from "vitest";
import { kedge, type Result } from "./run.ts";
import { startTenant, type Tenant } from "./tenant.ts";

let cwd: string;
let server: Tenant["server"];
let stop: Tenant["stop"];
beforeEach(async () => {
  ({ cwd, server, stop } = await startTenant());
  await mkdir(join(cwd, "day"));
  await writeFile(join(cwd, "day/a.json"), '{"n":1}');
  await writeFile(join(cwd, "day/b.ndjson"), '{"n":2}\n{"n":3}\n{"n":2}\n');
});
afterEach(() => stop());

const run = (args: string[], more: { env?: Record<string, string>; input?: string } = {}): Promise<Result> =>
  kedge(args, { cwd, ...more });
const records = async (...args: string[]): Promise<{ commitment: string; opening: { sequence: string } }[]> =>
  (await run(["commit", ...args, "--source", "ehr"])).out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

test("a post that fails, or is stopped, and is run again in another order, moved and grown, numbers nothing anew", async () => {
  server.faults.push(() => server.problem(403, "forbidden"));
  const failed = await run(["post", "day", "--source", "ehr", "--out", "first.ndjson"]);
  expect([failed.code, failed.err]).toEqual([
    1,
    expect.stringMatching(/source "ehr" is new in .*begin at 1/),
  ]);
  const interrupt = new Promise((arrived) => {
    server.faults.push(() => new Promise(() => arrived(undefined)));
  });
  await kedge(["post", "day/b.ndjson", "--source", "ehr"], { cwd, interrupt });

  await rename(join(cwd, "day/b.ndjson"), join(cwd, "b.ndjson.1"));
  await writeFile(join(cwd, "more.ndjson"), `${await readFile(join(cwd, "b.ndjson.1"), "utf8")}{"n":4}\n`);
  const again = ["post", "more.ndjson", "b.ndjson.1", "day", "--ndjson", "--source", "ehr"];
  expect(await run(again)).toMatchObject({
    code: 0,
    out: "8 accepted; 5 of them distinct, copies of one event being one entry.\n",
  });
  await server.seal();
  const first = (await readFile(join(cwd, "first.ndjson"), "utf8")).trimEnd().split("\n");
  const committed = first.map((line) => JSON.parse(line));
  expect(committed.map(({ opening }) => opening.sequence)).toEqual(["1", "2", "3", "4"]);
  const [added] = (await records("more.ndjson")).slice(-1);
  expect(added?.opening.sequence).toBe("5");
  const all = [...committed, added].map(({ commitment }) => commitment);
  expect(new Set(server.sealed())).toEqual(new Set(all));
});

test("a path that is given twice running, alone or with its folder, is the same events read again", async () => {
  const sequences = async (...paths: string[]) =>
    (await records(...paths)).map(({ opening }) => opening.sequence);
  const file = "day/b.ndjson";
  expect(await sequences(file, file)).toEqual(["1", "2", "3", "1", "2", "3"]);
  expect(await sequences("day", file, "day/a.json", "day/a.json")).toEqual([
    ...["4", "1", "2", "3"],
    ...["1", "2", "3", "4", "4"],
  ]);
  const dry = await run(["post", "--dry-run", file, file, "--source", "ehr"]);
  expect(dry.out).toMatch(/0 would get a new number/);
  await run(["post", file, file, "--source", "ehr"]);
  await server.seal();
  const proof = await run(["proof", file, file, "--source", "ehr", "--no-opening", "--out", "proofs"]);
  expect(proof).toMatchObject({ code: 0, out: expect.stringMatching(/^6 of 6/) });
  // The third line's proof, asked for under the first: the lines are read again to say whose it is.
  const other = ["verify", file, "proofs/b.ndjson.3.tlog-proof", "--line", "1", "--source", "ehr"];
  const { code, out, err } = await run(other);
  expect([code, out + err]).toEqual([1, expect.stringMatching(/line 3/)]);
});

test("proof and verify look the numbers up, two equal lines included, and give none", async () => {
  await run(["post", "day", "--source", "ehr"]);
  await server.seal();
  expect(await run(["proof", "day", "--source", "ehr", "--no-opening", "--out", "proofs"])).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^4 of 4/),
  });
  expect((await run(["verify", "day", "proofs", "--source", "ehr"])).out).toMatch(/^PROVEN {2}4 of 4/);
  expect((await run(["verify", "day", "proofs"])).code).toBe(1);
  const third = ["verify", "day/b.ndjson", "proofs/b.ndjson.3.tlog-proof", "--line", "3", "--source", "ehr"];
  expect((await run(third)).code).toBe(0);

  await writeFile(join(cwd, "day/c.json"), '{"n":9}');
  const proof = await run(["proof", "day", "--source", "ehr", "--out", "proofs"]);
  expect([proof.code, proof.err]).toEqual([1, expect.stringMatching(/c\.json has no number/)]);
  expect((await records("day/c.json"))[0]?.opening.sequence).toBe("5");
  const other = await run(["proof", "day", "--source", "pacs", "--out", "proofs"]);
  expect([other.code, other.err]).toEqual([
    2,
    expect.stringMatching(/No event has a number of the source "pacs"/),
  ]);
});

test("a source that another process numbers is refused, and nothing is posted", async () => {
  const folder = join(cwd, "state");
  const owner = await ownNumbers({ folder, source: "ehr", tenantKeys: [new Uint8Array(32).fill(7)] });
  const env = { KEDGE_STATE: folder };
  const { code, err } = await run(["post", "day", "--source", "ehr"], { env });
  expect([code, err]).toEqual([2, expect.stringMatching(/Another process is numbering.*wait until it ends/)]);
  expect(server.requests).toEqual([]);
  await owner.close();
  expect((await run(["post", "day", "--source", "ehr"], { env })).code).toBe(0);
});

test("the state lies beside the credentials, for its owner alone; lost in part, it numbers nothing", async () => {
  await records("day");
  expect((await stat(join(cwd, ".kedge/sources"))).mode & 0o077).toBe(0);
  await rm(join(cwd, ".kedge/sources/numbers.mdb"));
  const lost = await run(["post", "day", "--source", "ehr"]);
  expect([lost.code, lost.err]).toEqual([2, expect.stringMatching(/was begun in .*Bring the folder back/)]);
  expect(server.requests).toEqual([]);
});

test("what cannot be numbered is refused: reserved names, random nonces, records of another source", async () => {
  await run(["commit", "day", "--source", "ehr", "--out", "records.ndjson"]);
  for (const [args, said] of [
    [["commit", "day", "--source", "kedge.manifest/ehr"], /reserved/],
    [["commit", "day", "--source", ""], /not empty/],
    [["commit", "day", "--source", "ehr", "--random-nonce"], /random nonce/],
  ] as const) {
    expect(await run([...args])).toMatchObject({ code: 2, err: expect.stringMatching(said) });
  }
  const other = await run(["post", "records.ndjson", "--source", "pacs"]);
  expect([other.code, other.err]).toEqual([1, expect.stringMatching(/not of the source/)]);
  expect(server.requests).toEqual([]);
  expect(await run(["post", "records.ndjson"])).toMatchObject({ code: 0, out: "4 accepted.\n" });
});

test("an event that was renamed to another media type is refused alone, by its name and with the way out", async () => {
  await records("day");
  await rename(join(cwd, "day/a.json"), join(cwd, "day/a.log"));
  await writeFile(join(cwd, "day/c.json"), '{"n":9}');
  const { code, out, err } = await run(["commit", "day", "--source", "ehr"]);
  const sequences = out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line).opening.sequence);
  expect([code, sequences]).toEqual([1, ["2", "3", "4", "5"]]);
  expect(err).toMatch(/day\/a\.log is refused: number 1 of the source "ehr".*--media-type/);
  expect(err).toMatch(/4 committed; 1 refused/);
  const media = ["--media-type", "application/json"];
  expect((await records("day/a.log", ...media))[0]?.opening.sequence).toBe("1");
  const post = await run(["post", "day", "--source", "ehr", "--media-type", "text/plain"]);
  expect([post.code, post.err]).toEqual([1, expect.stringMatching(/b\.ndjson line 3 is refused/)]);
  expect(server.requests).toEqual([]);
});
