/** `kedge keys` and `kedge shred` as a tenant runs them: what was posted before is found and proven, until it is shredded. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openJournal } from "@kedge/cli/journal/journal";
import { openingOf } from "@kedge/cli/journal/opening";
import { openKeyring } from "@kedge/cli/keys/keyring";
import { recordLine } from "@kedge/verify/cli/records";
import { HOUR, MANIFEST_MEDIA_TYPE, manifestBytes, manifestSource } from "@kedge/verify/events/manifest";
import { leafHash, rootOf } from "@kedge/verify/tlog/merkle";
import { bytesToHex } from "@noble/hashes/utils.js";
import { afterEach, beforeEach, expect, test } from "vitest";
import { kedge, type Result } from "./run.ts";
import { startTenant, type Tenant } from "./tenant.ts";

let cwd: string;
let server: Tenant["server"];
let stop: Tenant["stop"];
beforeEach(async () => {
  ({ cwd, server, stop } = await startTenant());
  for (const day of ["one", "two"]) {
    await mkdir(join(cwd, day));
    for (const n of [1, 2]) await writeFile(join(cwd, day, `${n}.json`), JSON.stringify({ day, n }));
  }
});
afterEach(() => stop());

const run = (args: string[], env: Record<string, string> = {}): Promise<Result> => kedge(args, { cwd, env });
const ok = async (...args: string[]): Promise<string> => {
  const { code, out, err } = await run(args);
  expect([code, err.includes("failed")], `${args.join(" ")}: ${err}`).toEqual([0, false]);
  return out;
};
const inFolder = (name: string) => readFile(join(cwd, ".kedge", name), "utf8");
const seal = async () => {
  await server.seal();
  await server.anchor();
};

test("after a rotation, events of both epochs get their proofs and are proven, numbered or not", async () => {
  for (const source of [[], ["--source", "ehr"]]) {
    await ok("post", "one", ...source);
    expect(await ok("keys", "rotate")).toMatch(/Epoch \d is current/);
    await ok("post", "two", ...source);
    await seal();
    const out = ["--out", `proofs${source.length}`];
    expect(await ok("proof", "one", "two", ...source, "--no-opening", ...out)).toMatch(/^4 of 4/);
    for (const day of ["one", "two"]) {
      expect(await ok("verify", day, `proofs${source.length}`, ...source)).toMatch(/^PROVEN {2}2 of 2/);
    }
  }
  // The first time without numbers: an audit finds these by the keys alone.
  const days = ["--events", "one", "--events", "two"];
  expect((await run(["audit", ...days])).out).not.toMatch(/is not in the log/);
  expect(await ok("keys", "list")).toMatch(/epoch 0 {2}kept.*epoch 2 {2}current/s);
});

test("a rotated keyring goes on numbering: what has a number keeps it and its commitment", async () => {
  const commit = async (
    ...paths: string[]
  ): Promise<{ commitment: string; opening: { sequence: string } }[]> =>
    (await ok("commit", ...paths, "--source", "ehr"))
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
  const before = await commit("one");
  await ok("keys", "rotate");
  const after = await commit("one", "two");
  expect(after.slice(0, 2)).toEqual(before);
  expect(after.map(({ opening }) => opening.sequence)).toEqual(["1", "2", "3", "4"]);
  await ok("keys", "rotate");
  expect(await commit("two", "one")).toEqual([...after.slice(2), ...before]);
});

test("sealed, the keys are plain nowhere; verifying with the openings in the proofs needs no passphrase", async () => {
  await ok("post", "one");
  await seal();
  await ok("proof", "one", "--out", "proofs");
  await writeFile(join(cwd, "passphrase"), "correct horse\n");
  await ok("keys", "seal", "--by", "passphrase", "--new-passphrase-file", "passphrase");
  const key = "07".repeat(32);
  for (const name of ["keyring.json", "credentials.json"]) expect(await inFolder(name)).not.toContain(key);
  const closed = await run(["post", "two"]);
  expect([closed.code, closed.err]).toEqual([
    2,
    expect.stringMatching(/sealed with a passphrase.*--passphrase-file/),
  ]);
  expect(await ok("verify", "one", "proofs")).toMatch(/^PROVEN {2}2 of 2/);
  const given = ["--passphrase-file", "passphrase"];
  await ok("keys", "rotate", ...given);
  await ok("post", "two", ...given);
  await writeFile(join(cwd, "kedge-passphrase"), "correct horse");
  const credential = await run(["commit", "one"], { CREDENTIALS_DIRECTORY: cwd });
  expect([credential.code, credential.out.split("\n").length]).toEqual([0, 3]);
  const wrong = await run(["commit", "one", "--passphrase-file", "one/1.json"]);
  expect([wrong.code, wrong.err]).toEqual([2, expect.stringMatching(/cannot be opened/)]);
});

test("shred: what the service does not take destroys nothing, and going on ends with an anchored record", async () => {
  await ok("post", "one");
  await seal();
  const { commitment } = JSON.parse(await ok("commit", "one/1.json"));
  await ok("proof", "one", "--out", "with");
  await ok("proof", "one", "--no-opening", "--out", "without");
  const refused = await run(["shred", "--no-agent", "--epoch", "0", "--yes"]);
  expect([refused.code, refused.err]).toEqual([2, expect.stringMatching(/kedge keys rotate/)]);
  await ok("keys", "rotate");
  const which = await run(["shred", "--epoch", "0", "--yes"]);
  expect([which.code, which.err]).toEqual([
    2,
    expect.stringMatching(/--data, for its manifests; or say --no-agent/),
  ]);
  expect(await run(["shred", "--no-agent", "--epoch", "0"])).toMatchObject({
    code: 2,
    err: expect.stringMatching(/--yes/),
  });
  expect(await ok("verify", "one", "without")).toMatch(/^PROVEN/);

  server.faults.push(() => server.problem(403, "forbidden"));
  const stopped = await run(["shred", "--no-agent", "--epoch", "0", "--yes"]);
  expect([stopped.code, stopped.err]).toEqual([
    1,
    expect.stringMatching(/not destroyed yet: run this again/),
  ]);
  const secrets = ["07".repeat(32), Buffer.from("07".repeat(32), "hex").toString("base64")];
  expect(await inFolder("keyring.json")).toContain(secrets[1]);
  expect(await ok("keys", "list")).toMatch(/epoch 0 {2}being shredded/);

  const late = await run(["shred", "--no-agent", "--epoch", "0", "--yes", "--timeout", "0.1"]);
  expect([late.code, late.err]).toEqual([1, expect.stringMatching(/not anchored in time/)]);
  for (const name of ["keyring.json", "credentials.json"]) {
    for (const secret of secrets) expect(await inFolder(name)).not.toContain(secret);
  }
  await seal();
  expect(await ok("shred", "--no-agent", "--epoch", "0", "--yes")).toMatch(/anchored/);
  const note = ".kedge/shred-0.note";
  expect(await ok("verify", note, `${note}.tlog-proof`)).toMatch(/^PROVEN/);
  expect(await ok("keys", "list")).toMatch(/epoch 0 {2}shredded/);
  expect(
    server.requests.filter(
      ({ method, path, status }) => method === "POST" && path.includes("/entries") && status < 300,
    ),
  ).toHaveLength(2);

  // What keeps its opening is proven as before; a commitment is in the log as before; which event it was of, nobody knows.
  expect(await ok("verify", "one", "with")).toMatch(/^PROVEN {2}2 of 2/);
  expect(await ok("verify", "--commitment", commitment, "without/1.json.tlog-proof")).toMatch(/^PROVEN/);
  expect((await run(["verify", "one", "without"])).code).not.toBe(0);
  expect(await ok("post", "two")).toMatch(/^2 accepted/);
});

/** What an agent has once it has counted an hour of three events: the journal in `agent`, the events and records as exported. */
async function journalAnHour(): Promise<void> {
  const keys = await openKeyring({
    path: join(cwd, ".kedge/keyring.json"),
    tenantKey: new Uint8Array(32).fill(7),
  });
  const journal = await openJournal({ folder: join(cwd, "agent"), keys, now: () => Date.now() - 600_000 });
  const events = [1, 2, 3].map((n) => JSON.stringify({ n }));
  await (await journal.intake("ehr")).take({
    arrivals: events.map((text) => ({
      bytes: new TextEncoder().encode(text),
      mediaType: "application/json",
    })),
    cursors: new Map([["place", "line 3"]]),
  });
  const entries = [...journal.entries("ehr")];
  const to = Math.floor(Date.now() / HOUR) * HOUR;
  const root = rootOf(entries.map(({ commitment }) => leafHash(commitment)));
  const numbers = { first: 1n, last: 3n };
  const bytes = manifestBytes({ source: "ehr", from: to - HOUR, to, numbers, root });
  await (await journal.intake(manifestSource("ehr"))).take({
    arrivals: [{ bytes, mediaType: MANIFEST_MEDIA_TYPE }],
  });
  const records = entries.map((entry, i) => {
    const opening = openingOf(entry, keys);
    if (opening === undefined) throw new Error("it has its key");
    const commitment = bytesToHex(entry.commitment);
    return recordLine({ event: "events.ndjson", line: i + 1, commitment, opening });
  });
  await writeFile(join(cwd, "events.ndjson"), events.map((text) => `${text}\n`).join(""));
  await writeFile(join(cwd, "records.ndjson"), records.join(""));
  await server.add(
    [...entries, ...journal.entries(manifestSource("ehr"))].map(({ commitment }) => commitment),
  );
  await journal.close();
  await seal();
}

test("an agent's source stays complete to an auditor when its key is shredded: the manifests are kept before", async () => {
  await journalAnHour();
  const audit = (manifests: string) => [
    ...["audit", "--source", "ehr", "--events", "events.ndjson", "--records", "records.ndjson"],
    ...["--manifests", `${manifests}/manifests.ndjson`, "--records", `${manifests}/records.ndjson`],
  ];
  expect(await ok("manifests", "--data", "agent", "--out", "given")).toMatch(/^1 manifests/);
  const complete = /Source "ehr", .*: complete \(3 events, numbers 1 to 3, by one manifest\)/;
  expect(await ok(...audit("given"))).toMatch(complete);

  await ok("keys", "rotate");
  const shredding = ["shred", "--data", "agent", "--epoch", "0", "--yes"];
  const early = await run(shredding);
  expect([early.code, early.err]).toEqual([2, expect.stringMatching(/wait a minute/)]);
  const keyring = JSON.parse(await inFolder("keyring.json"));
  keyring.epochs[1].createdAt = new Date(Date.now() - 120_000).toISOString();
  await writeFile(join(cwd, ".kedge/keyring.json"), JSON.stringify(keyring));
  const late = await run([...shredding, "--timeout", "0.1"]);
  expect([late.code, late.out]).toEqual([1, expect.stringMatching(/1 manifests of epoch 0.*are kept/)]);
  await seal();
  await ok(...shredding);

  // The agent, which has not run since, finds where its sources stand.
  const keys = await openKeyring({ path: join(cwd, ".kedge/keyring.json") });
  const journal = await openJournal({ folder: join(cwd, "agent"), keys });
  expect(journal.cursor("ehr", "place")).toBe("line 3");
  await journal.close();

  const none = await run(["manifests", "--data", "agent", "--out", "none"]);
  expect([none.code, none.err]).toEqual([1, expect.stringMatching(/of 1 manifests the key was shredded/)]);
  expect(await ok(...audit(".kedge/shred-0-manifests"))).toMatch(complete);
  // With the record of the shredding beside them, all of the log is explained.
  const whole = audit(".kedge/shred-0-manifests").filter(
    (word, i, all) => ![word, all[i - 1]].includes("--source"),
  );
  const note = ".kedge/shred-0.note";
  expect(await ok(...whole, "--events", note, "--records", `${note}.records.ndjson`)).toMatch(
    /^RECONCILED {2}5 events, 5 entries/,
  );
});
