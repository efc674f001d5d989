/** `kedge evidence` as a process, against a service in this process: from an export to a pack that verifies. */
import { access, copyFile, mkdir, readFile, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { formatVkey } from "@kedge/verify/tlog/note";
import { afterAll, beforeAll, expect, test } from "vitest";
import { kedge } from "../../../cli/run.ts";
import { startTenant, type Tenant } from "../../../cli/tenant.ts";
import { logSigner } from "../../../support/proofs.ts";

let cwd: string;
let server: Tenant["server"];
let stop: Tenant["stop"];
const event = (i: number, patient = i % 3) =>
  JSON.stringify({
    resourceType: "AuditEvent",
    recorded: `2026-03-1${i}T08:00:00Z`,
    agent: [{ name: "Ana Berrio", requestor: true }],
    entity: [{ what: { reference: `Patient/${patient}` }, role: { code: "1" } }],
  });
const lines = (events: readonly string[]) => events.map((one) => `${one}\n`).join("");
const EVENTS = Array.from({ length: 9 }, (_, i) => event(i));
const run = (...args: string[]) => kedge(args, { cwd });

beforeAll(async () => {
  ({ cwd, server, stop } = await startTenant());
  await writeFile(join(cwd, "ehr.ndjson"), lines(EVENTS));
  expect(await run("post", "ehr.ndjson", "--out", "records.ndjson")).toMatchObject({ code: 0 });
  await server.seal();
  await server.anchor();
});
afterAll(() => stop());

test("an export becomes a pack that verifies whole, the same by records and by keys, fetched and kept proofs", async () => {
  const zone = ["--zone", "Europe/Berlin"];
  const asked = [
    "--patient",
    "1",
    "--from",
    "2026-03-01",
    "--to",
    "2026-03-16",
    "--case-number",
    "7",
    ...zone,
  ];
  const made = await run(
    "evidence",
    "--events",
    "ehr.ndjson",
    "--records",
    "records.ndjson",
    ...asked,
    "-o",
    "a.zip",
  );
  expect([made.code, made.out]).toEqual([0, expect.stringMatching(/^Unchanged {2}2 rows of 9 events/)]);
  expect(await run("verify", "a.zip")).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^Unchanged {2}the pack of case "7": 2 rows: 2 unchanged/),
  });
  expect((await stat(join(cwd, "a.zip"))).mode & 0o777).toBe(0o600);
  await run("proof", "ehr.ndjson", "--out", "proofs.ndjson");
  const kept = await run(
    "evidence",
    "--events",
    "ehr.ndjson",
    "--proofs",
    "proofs.ndjson",
    ...asked,
    "-o",
    "b.zip",
  );
  expect(kept).toMatchObject({ code: 0 });
  expect(await readFile(join(cwd, "b.zip"))).toEqual(await readFile(join(cwd, "a.zip")));
});

test("keys of another log that are pinned beside, of which one is the same key, are no matter to a pack", async () => {
  const path = join(cwd, ".kedge/credentials.json");
  const credentials = JSON.parse(await readFile(path, "utf8"));
  const other = formatVkey(logSigner("audit.example.org/log/second", 1).vkey);
  const both = JSON.stringify({ ...credentials, logVkey: `${credentials.logVkey} ${other}` });
  await writeFile(join(cwd, "two-logs.json"), both, { mode: 0o600 });
  const given = ["--events", "ehr.ndjson", "--records", "records.ndjson", "--zone", "UTC"];
  expect(await run("evidence", ...given, "-o", "one.zip")).toMatchObject({ code: 0 });
  const made = await run("evidence", ...given, "--credentials", "two-logs.json", "-o", "two.zip");
  expect(made).toMatchObject({ code: 0 });
  expect(await readFile(join(cwd, "two.zip"))).toEqual(await readFile(join(cwd, "one.zip")));
});

test("an export in .kedge is one where it, or its folder, was named", async () => {
  await mkdir(join(cwd, ".kedge/demo"));
  await copyFile(join(cwd, "ehr.ndjson"), join(cwd, ".kedge/demo/ehr.ndjson"));
  await copyFile(join(cwd, "records.ndjson"), join(cwd, ".kedge/demo/records.ndjson"));
  const out = expect.stringMatching(/^Unchanged {2}9 rows of 9 events/);
  const given = ["--events", ".kedge/demo/ehr.ndjson", "--records", ".kedge/demo/records.ndjson"];
  expect(await run("evidence", ...given, "-o", "file.zip")).toMatchObject({ code: 0, out });
  expect(await run("evidence", "--events", ".kedge/demo", "-o", "folder.zip")).toMatchObject({
    code: 0,
    out,
  });
});

test("rows that were changed, added and taken out: changed in the pack, told, and exit code 1", async () => {
  const edited = [event(0), event(1, 7), ...EVENTS.slice(2, 5), ...EVENTS.slice(6), event(9, 8)];
  await writeFile(join(cwd, "edited.ndjson"), lines(edited));
  const made = await run(
    "evidence",
    "--events",
    "edited.ndjson",
    "--records",
    "records.ndjson",
    "-o",
    "c.zip",
  );
  expect([made.code, made.out]).toEqual([
    1,
    expect.stringMatching(/^Changed, or never logged {2}9 rows of 9 events/),
  ]);
  expect(made.out).toMatch(/7 unchanged, 1 changed or never logged, 1 that cannot be told yet/);
});

test("what is missing is told before anything is written, and no pack is written over", async () => {
  const refused = async (...args: string[]) => (await run("evidence", ...args, "-o", "a.zip")).err;
  expect(await refused("--events", "ehr.ndjson", "--kind", "trace")).toMatch(
    /GTIN, a lot or a serial number/,
  );
  expect(await refused("--events", "ehr.ndjson", "--zone", "Nowhere")).toMatch(/no time zone/);
  expect(await refused("--events", "records.ndjson")).toMatch(/no export/);
  expect(await refused("--events", "ehr.ndjson", "--records", "records.ndjson")).toMatch(/exists already/);
});

/** One that no export has ever had: beyond what an event, or a row, may have. */
const LARGE = 72 << 20;
test.each([
  ["scan.bin", "", /scan\.bin.*is not|scan\.bin.*more than 64 MiB/],
  ["bundle.json", '{"resourceType":"Bundle","entry":[', /bundle\.json: it cannot be read at byte/],
  ["one-line.ndjson", '{"a":"', /one-line\.ndjson, line 1: an event of more than 64 MiB/],
  ["quote.csv", 'TIME,USER,PATIENT,ACTION\n1,2,3,"', /quote\.csv, line 2: a quoted field is never closed/],
])("%s of 72 MB is refused in words, and nothing is written", async (name, begins, words) => {
  await writeFile(join(cwd, name), begins);
  await truncate(join(cwd, name), LARGE); // zeros that take no room on the disk
  const columns = JSON.stringify({ when: "TIME", "user.login": "USER", "patient.mrn": "PATIENT" });
  await writeFile(join(cwd, "columns.json"), columns);
  const given = ["--events", name, "--records", "records.ndjson", "--columns", "columns.json"];
  const refused = await run("evidence", ...given, "-o", "large.zip");
  expect([refused.code, refused.err]).toEqual([2, expect.stringMatching(words)]);
  await expect(access(join(cwd, "large.zip"))).rejects.toThrow();
});
