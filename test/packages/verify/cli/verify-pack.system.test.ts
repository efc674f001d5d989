/** `kedge verify pack.zip` and `kedge-verify verify pack.zip` as processes. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { reportPdf } from "@kedge/cli/report/pdf";
import { writePack } from "@kedge/verify/pack/write";
import { fingerprint } from "@kedge/verify/proof/keys";
import { VERDICT_WORDS } from "@kedge/verify/proof/verdict-words";
import { formatVkey } from "@kedge/verify/tlog/note";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { kedge } from "../../../cli/run.ts";
import {
  accessEvent,
  committed,
  listAnew,
  PACK_POLICY,
  rowOf,
  smallParts,
  TAMPERINGS,
  tampered,
  unzipped,
  zipped,
} from "../../../support/pack.ts";
import { anchor, LOG_ORIGIN, log, logSigner, witness1, witness2 } from "../../../support/proofs.ts";

let cwd: string;
let zip: Uint8Array;
beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), "kedge-pack-"));
  ({ zip } = await writePack(smallParts(), { makeReport: reportPdf }));
  await writeFile(join(cwd, "pack.zip"), zip);
  await writeFile(join(cwd, "policy"), PACK_POLICY);
});
afterAll(() => rm(cwd, { recursive: true }));

async function verify(pack: Uint8Array | string, ...args: string[]) {
  const name = typeof pack === "string" ? pack : "other.zip";
  if (typeof pack !== "string") await writeFile(join(cwd, name), pack);
  return await kedge(["verify", name, ...args], { cwd });
}

describe("a pack as it was made", () => {
  test("is unchanged: exit 0, with its own keys, of which it is said that they came with it", async () => {
    const { code, out, err } = await verify("pack.zip");
    // On a slow machine it says how far it has come.
    expect({ code, err: err.replaceAll(/^rows checked: \d+\n/gm, "") }).toEqual({ code: 0, err: "" });
    expect(out).toMatch(/^Unchanged {2}the pack of case "2026-17": 4 rows: 4 unchanged\n/);
    expect(out).toMatch(/Keys {2}Checked with the keys that came with the pack.*compare them/);
    // The number in a vkey can be imitated.
    for (const { vkey } of [log, anchor, witness1, witness2]) expect(out).toContain(fingerprint(vkey));
    expect(out).toContain("complete (4 events, numbers 1 to 4, by one manifest)");
    expect(out).toContain("This does not show that the access was justified");
    expect(out).not.toContain("report.pdf is the one that the pack lists");
  });

  test("of tables says that what the columns are called is under no proof", async () => {
    const parts = smallParts();
    const headers = [{ separator: ",", header: ["WHO", "WHOSE"] }];
    const tables = await writePack({ ...parts, case: { ...parts.case, headers } }, { makeReport: reportPdf });
    const { code, out } = await verify(tables.zip);
    expect(code).toBe(0);
    expect(out).toContain(VERDICT_WORDS.en.columnsNotShown);
    expect((await verify("pack.zip")).out).not.toContain(VERDICT_WORDS.en.columnsNotShown);
  });

  test("with the keys that are given it names their source, and none that lie in the folder", async () => {
    const given = await verify("pack.zip", "--policy", "policy");
    expect(given.code).toBe(0);
    expect(given.out).toMatch(/Keys {2}--policy: log audit\.example\.org\/log\//);
    expect(given.out).not.toContain("came with the pack");
    await mkdir(join(cwd, ".kedge"));
    await writeFile(join(cwd, ".kedge/credentials.json"), JSON.stringify({ logVkey: formatVkey(log.vkey) }));
    expect((await verify("pack.zip")).out).toContain("came with the pack");
    await rm(join(cwd, ".kedge"), { recursive: true });
  });

  test("is told as JSON: a line for each row, the last for the whole", async () => {
    const { code, out } = await verify("pack.zip", "--json");
    const lines = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(code).toBe(0);
    expect(lines).toHaveLength(5);
    expect(lines[0]).toMatchObject({ row: 1, verdict: "unchanged", report: { proven: true } });
    expect(lines[4]).toMatchObject({
      verdict: "unchanged",
      counts: { total: 4, unchanged: 4 },
      files: [],
      keys: { from: "pack" },
      sources: [{ source: "ehr", periods: [{ verdict: "complete" }] }],
    });
    expect(out).not.toMatch(/MRN|Mustermann|Beispiel/);
  });
});

test("by keys of another log nothing can be told: exit 3", async () => {
  const other = formatVkey(logSigner(LOG_ORIGIN, 9).vkey);
  const { code, out } = await verify("pack.zip", "--log-vkey", other);
  expect(code).toBe(3);
  expect(out).toMatch(/^Cannot tell yet {2}/);
});

test("less than is required: exit 1", async () => {
  expect(
    (await verify("pack.zip", "--policy", "policy", "--require", "timestamped", "--tsa-cert", "policy")).code,
  ).toBe(2);
  const { code, out } = await verify("pack.zip", "--require-timestamp");
  expect(code).toBe(1);
  expect(out).toMatch(/^Cannot tell yet {2}/);
});

test.each(["one letter of an event", "the table", "a row is removed with its event and proof"])(
  "%s was changed, and the lists of hashes with it: exit 1, and what it is",
  async (name) => {
    const tampering = TAMPERINGS.find((one) => one.name === name);
    if (tampering === undefined) throw new TypeError(`there is no ${name}`);
    const { code, out } = await verify(tampered(zip, tampering, "fit"));
    expect(code).toBe(1);
    expect(out).toMatch(/^Changed, or never logged {2}/);
    expect(out).toContain("changed");
  },
);

test.each([
  [
    ['"filter": {}', '"filter": {\n    "user": "Ines Beispiel"\n  }'],
    /^Changed, or never logged {2}[\s\S]*"case\.json" is not what[\s\S]*Not what case\.json says was looked for: 2 rows \(2, 4\)\./,
    { verdict: "changed", outsideFilter: [2, 4], otherLocalTimes: 0 },
  ],
  [
    ["Europe/Berlin", "Asia/Kathmandu"],
    /For 4 rows this machine has another offset of Asia\/Kathmandu:/,
    { outsideFilter: [], otherLocalTimes: 4 },
  ],
  [
    ["Europe/Berlin", "Mars/Olympus"],
    /"Mars\/Olympus" is not known here, so they were not compared\./,
    { outsideFilter: [], otherLocalTimes: "zone not known" },
  ],
] as const)("case.json has another text, and the lists with it: %j", async ([from, to], words, json) => {
  const files = unzipped(zip);
  const about = new TextDecoder().decode(files.get("case.json"));
  files.set("case.json", new TextEncoder().encode(about.replace(from, to)));
  listAnew(files);
  const changed = zipped(files);
  const { out } = await verify(changed);
  expect(out).toMatch(words);
  const lines = (await verify(changed, "--json")).out.trimEnd().split("\n");
  expect(JSON.parse(lines.at(-1) ?? "")).toMatchObject(json);
});

test("the report is made anew and compared by who can make it, and of others it is said that they did not", async () => {
  const files = unzipped(zip);
  files.set("report.pdf", new TextEncoder().encode("%PDF-1.7"));
  listAnew(files);
  const { code, out } = await verify(zipped(files));
  expect(code).toBe(1);
  expect(out).toContain('"report.pdf" is not what the rest of the pack makes it');
});

test.each([
  ["a zip that was cut", () => zip.slice(0, -5), 3, "Cannot tell yet"],
  ["no zip", () => new TextEncoder().encode("none"), 3, "Cannot tell yet"],
  ["a zip that is no pack", () => zipped(new Map([["a.txt", new Uint8Array(1)]])), 3, "no evidence pack"],
  [
    "a pack whose policy is none",
    () => {
      const files = unzipped(zip);
      files.set("policy.txt", new TextEncoder().encode("none"));
      return zipped(files);
    },
    1,
    "Changed, or never logged",
  ],
])("%s: exit code and reason", async (_, make, exit, says) => {
  const { code, out, err } = await verify(make());
  expect({ code, out }).toEqual({ code: exit, out: "" });
  expect(err).toContain(says);
});

test("by keys that show a later time, what the pack says of an earlier one is named, and the time is the later one", async () => {
  const policy = PACK_POLICY.replace(/.* w2 .*\n(group.*) 2 w1 w2/, "$1 1 w1");
  const { zip: early } = await writePack({ ...smallParts(), policy }, { makeReport: reportPdf });
  expect((await verify(early)).out).not.toContain("says what the pack's own keys show");
  const { code, out } = await verify(early, "--policy", "policy");
  expect(code).toBe(0);
  for (const file of ["case.json", "report.csv", "report.pdf"]) {
    expect(out).toContain(`${file} says what the pack's own keys show`);
  }
  expect(out).toContain(
    "Each record is, byte for byte, what was logged at or before 25 February 2026, 06:14 UTC.",
  );
});

test("of canonicalised JSON nobody says that it is the same byte for byte", async () => {
  const rows = committed([{ ...accessEvent(1), canonicalisation: "jcs" }]).map(rowOf);
  const parts = { ...smallParts(), rows, manifests: [] };
  const { zip: jcs } = await writePack(parts, { makeReport: reportPdf });
  const { code, out } = await verify(jcs);
  expect(code).toBe(0);
  expect(out).toContain(
    "byte for byte or, of canonicalised JSON (RFC 8785), value for value, what was logged",
  );
});

test("a pack whose rows would fill the memory is refused, and why is said", async () => {
  const files = unzipped(zip);
  const long = "x".repeat(4_000);
  const row = JSON.stringify({
    commitment: "0".repeat(64),
    disclosure: { recipient: long, address: long, description: long, purpose: long },
    noProof: "pending",
  });
  files.set("rows.ndjson", new TextEncoder().encode(`${row}\n`.repeat(17_000)));
  listAnew(files);
  const { code, err } = await verify(zipped(files));
  expect(code).not.toBe(0);
  expect(err).toContain("rows.ndjson is larger than 268435456 bytes");
});
