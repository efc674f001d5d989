/** `kedge proof --renew` as a process, against a service in this process. */
import { chmod, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseProofFile } from "@kedge/verify/proof/extra";
import { afterEach, beforeEach, expect, test } from "vitest";
import { kedge } from "../../../cli/run.ts";
import { startTenant, type Tenant } from "../../../cli/tenant.ts";

let cwd: string;
let server: Tenant["server"];
let stop: Tenant["stop"];
beforeEach(async () => {
  ({ cwd, server, stop } = await startTenant());
});
afterEach(() => stop());

const run = (...args: string[]) => kedge(args, { cwd });
async function prove(name: string): Promise<void> {
  await writeFile(join(cwd, name), JSON.stringify({ name }));
  expect(await run("post", name)).toMatchObject({ code: 0 });
  await server.seal();
  await server.anchor();
  expect(await run("proof", name, "--out", "proofs")).toMatchObject({ code: 0 });
}
const extraOf = async (name: string) =>
  parseProofFile(await readFile(join(cwd, `proofs/${name}.tlog-proof`))).extra;

test("an old proof gets the newer anchoring in its place and still verifies; one as new is left alone", async () => {
  await prove("old.json");
  await chmod(join(cwd, "proofs/old.json.tlog-proof"), 0o640);
  const before = await extraOf("old.json");
  expect((await run("proof", "--renew", "proofs")).out).toMatch(
    /^0 of 1 proofs renewed .*1 have nothing newer/,
  );
  await prove("new.json");
  const newest = await readFile(join(cwd, "proofs/new.json.tlog-proof"));
  expect(await run("proof", "--renew", "proofs")).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^1 of 2 proofs renewed/),
  });
  const after = await extraOf("old.json");
  expect(after.earlier).toEqual([{ anchor: before.anchor, timestamps: before.timestamps }]);
  expect((await stat(join(cwd, "proofs/old.json.tlog-proof"))).mode & 0o777).toBe(0o640);
  expect(await readFile(join(cwd, "proofs/new.json.tlog-proof"))).toEqual(newest);
  const verified = await run("verify", "old.json", "proofs/old.json.tlog-proof", "--require", "anchored");
  expect(verified).toMatchObject({
    code: 0,
    out: expect.stringMatching(/stands as well in the anchor log's tree/),
  });
});

test("of a file of many proofs the newer line counts, and the older stays", async () => {
  await writeFile(join(cwd, "old.json"), "{}");
  expect(await run("post", "old.json")).toMatchObject({ code: 0 });
  await server.seal();
  await server.anchor();
  const path = join(cwd, "proofs.ndjson");
  expect(await run("proof", "old.json", "--out", "proofs.ndjson")).toMatchObject({ code: 0 });
  const [before = ""] = (await readFile(path, "utf8")).split("\n");
  await prove("new.json");
  for (const said of [/^1 of 1 proofs renewed/, /^0 of 1 proofs renewed .*1 have nothing newer/]) {
    const { code, out } = await run("proof", "--renew", "proofs.ndjson");
    expect([code, out]).toEqual([0, expect.stringMatching(said)]);
  }
  const lines = (await readFile(path, "utf8")).trimEnd().split("\n");
  expect([lines.length, lines[0]]).toEqual([2, before]);
  const verified = await run("verify", "old.json", "proofs.ndjson");
  expect([verified.code, verified.out]).toEqual([
    0,
    expect.stringMatching(/stands as well in the anchor log's tree/),
  ]);
});

test("a proof that cannot be renewed is named and left as it is, and the others are renewed", async () => {
  await prove("old.json");
  await writeFile(join(cwd, "proofs/cut.tlog-proof"), "c2sp.org/tlog-proof@v1\nindex 0\n");
  await prove("new.json");
  const { code, out, err } = await run("proof", "--renew", "proofs");
  expect([code, out]).toEqual([1, expect.stringMatching(/^1 of 3 proofs renewed .*\n1 not renewed/)]);
  expect(err).toMatch(/cut\.tlog-proof is not renewed\. It cannot be read/);
  expect((await extraOf("old.json")).earlier).toHaveLength(1);
});

test("a service that cannot be reached leaves every proof as it is", async () => {
  await prove("old.json");
  const before = await readFile(join(cwd, "proofs/old.json.tlog-proof"));
  const nowhere = new URL("nothing-here/", `file://${cwd}/`).href;
  const { code, err } = await run("proof", "--renew", "proofs", "--anchor-log", nowhere);
  expect([code, err]).toEqual([1, expect.stringMatching(/cannot be read/)]);
  expect(await readFile(join(cwd, "proofs/old.json.tlog-proof"))).toEqual(before);
});
