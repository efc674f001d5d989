/** `kedge audit` as a process, on a log that is or is not what was posted. */
import { mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ClientError } from "@kedge/verify/error";
import { commitEvent } from "@kedge/verify/events/commitment";
import { GAP_MEDIA_TYPE, gapBytes } from "@kedge/verify/events/gap";
import { HOUR, MANIFEST_MEDIA_TYPE, manifestBytes, manifestSource } from "@kedge/verify/events/manifest";
import { openLogReader } from "@kedge/verify/net/log";
import { leafHash, rootOf } from "@kedge/verify/tlog/merkle";
import { formatVkey } from "@kedge/verify/tlog/note";
import { encodeBundle, extendTiles, parseTilePath, TILE_WIDTH, tileKey } from "@kedge/verify/tlog/tile";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { kedge, type Result, type RunOptions } from "../../../cli/run.ts";
import { API_KEY, LOG_ID } from "../../../support/fake-api.ts";
import { LOG_ORIGIN, log, logSigner, makeProof, signedHead, TENANT_KEY } from "../../../support/proofs.ts";
import { addressIn, serve, stop } from "../../../support/serve.ts";

type Answer = (response: ServerResponse, path: string) => void;

/** A log on loopback, entries and checkpoints as they are set; each fault answers a path in place of the log. */
async function startLog() {
  const state = {
    entries: [] as Uint8Array[],
    /** Sizes of the history's checkpoints, a minute apart. */
    history: [] as number[],
    checkpoint: () => signedHead(LOG_ORIGIN, state.entries, [log]),
    faults: [] as { path: RegExp; times: number; answer: Answer }[],
    requests: [] as string[],
  };
  const note = (size: number) => signedHead(LOG_ORIGIN, state.entries.slice(0, size), [log]);
  const answer = (response: ServerResponse, path: string): void => {
    const below = path.slice(`/v1/logs/${LOG_ID}/`.length);
    if (below === "checkpoint") response.end(state.checkpoint());
    else if (below.startsWith("checkpoints")) {
      const checkpoints = state.history.map((size, i) => ({
        size,
        publishedAt: new Date(Date.UTC(2026, 2, 2, 8, i)).toISOString(),
        checkpoint: note(size),
      }));
      const after = Number(new URL(path, "http://x").searchParams.get("after"));
      const page = checkpoints.filter(({ size }) => size > after);
      // Two a page, so that pages are turned.
      const next = page.length > 2 ? { next: page[1]?.size } : {};
      response.end(JSON.stringify({ checkpoints: page.slice(0, 2), ...next }));
    } else {
      const { level, index, width } = parseTilePath(below);
      const start = Number(index) * TILE_WIDTH;
      const tiles = () => extendTiles(0n, new Map(), state.entries.map(leafHash));
      if (level === "entries") response.end(encodeBundle(state.entries.slice(start, start + width)));
      else response.end(tiles().get(tileKey(level, index)));
    }
  };
  const server = createServer((request, response) => {
    const path = request.url ?? "";
    state.requests.push(path);
    const fault = state.faults.find(({ path: wanted, times }) => times > 0 && wanted.test(path));
    if (fault === undefined) return answer(response, path);
    fault.times -= 1;
    fault.answer(response, path);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address: AddressInfo | string | null = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  return Object.assign(state, {
    url: `http://127.0.0.1:${address.port}`,
    fault(path: RegExp, answer: Answer, times = Number.POSITIVE_INFINITY) {
      state.faults.push({ path, times, answer });
    },
    stop() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  });
}

let cwd: string;
let server: Awaited<ReturnType<typeof startLog>>;
beforeEach(async () => {
  [cwd, server] = await Promise.all([mkdtemp(join(tmpdir(), "kedge-audit-")), startLog()]);
  await mkdir(join(cwd, "day"));
  for (let n = 0; n < EVENTS; n++) await writeFile(join(cwd, `day/${name(n)}`), text(n));
  server.entries = Array.from({ length: EVENTS }, (_, n) => commitmentOf(n));
  server.history = [2, 5, EVENTS];
});
afterEach(() => Promise.all([rm(cwd, { recursive: true }), server.stop()]));

const EVENTS = 7;
const name = (n: number) => `${String(n).padStart(4, "0")}.json`;
const text = (n: number) => `{"resourceType":"AuditEvent","who":"DrSecret${n}"}`;
const commitmentOf = (n: number, tenantKey = TENANT_KEY) =>
  commitEvent({ bytes: new TextEncoder().encode(text(n)), mediaType: "application/fhir+json" }, { tenantKey })
    .commitment;
const STRANGER = commitmentOf(0, new Uint8Array(32).fill(8));
const KEYS = { KEDGE_LOG_VKEY: formatVkey(log.vkey) };
const TENANT = { KEDGE_TENANT_KEY: Buffer.from(TENANT_KEY).toString("hex") };

function run(args: string[], options: Partial<RunOptions> = {}): Promise<Result> {
  const service = { KEDGE_URL: server.url, KEDGE_API_KEY: API_KEY, KEDGE_LOG: LOG_ID };
  return kedge(args, { cwd, ...options, env: { ...service, ...KEYS, ...TENANT, ...options.env } });
}
const audit = (...args: string[]) => run(["audit", ...args]);
/** Findings, and the report. */
async function auditJson(...args: string[]) {
  const { code, out, err } = await audit("--json", ...args);
  const lines = out.trimEnd().split("\n");
  const report = JSON.parse(lines.pop() ?? "");
  return { code, err, report, findings: lines.map((line) => JSON.parse(line)) };
}

describe("events and entries", () => {
  test("that belong together are reconciled, and nothing of an event is shown", async () => {
    const { code, out, err } = await audit(LOG_ID, "--events", "day", "--tiles");
    expect([code, err]).toEqual([0, ""]);
    expect(out).toMatch(/^RECONCILED {2}7 events, 7 entries of the period, 7 entries of the log\n/);
    expect(out).toMatch(/3 of the log's history, 0 that you kept/);
    expect(out).not.toMatch(/DrSecret/);
  });

  test("of which either has one too many: it is named, on the terminal and as JSON", async () => {
    server.entries = server.entries.with(3, STRANGER);
    const { code, out } = await audit("--events", "day");
    expect([code, out]).toEqual([1, expect.stringMatching(/^NOT RECONCILED .*: 2 findings\n/)]);
    expect(out).toMatch(/Entry 3, [0-9a-f]{64}, is not of an event in the export that you gave/);
    expect(out).toMatch(/The event "day\/0003\.json" is not in the log.*has a number .*\(--records\)/s);
    const { report, findings } = await auditJson("--events", "day");
    expect(findings).toMatchObject([
      { finding: "entry_without_event", index: "3" },
      { finding: "event_not_in_log", event: "day/0003.json" },
    ]);
    expect(report).toMatchObject({
      verdict: "NOT RECONCILED",
      origin: LOG_ORIGIN,
      size: "7",
      read: "7",
      events: { total: 7, found: 6 },
      findings: { entry_without_event: 1, event_not_in_log: 1 },
    });
  });

  test("of several bundles: the terminal shows some of many findings, JSON all", async () => {
    server.entries = Array.from({ length: 600 }, (_, n) => leafHash(Uint8Array.of(n >> 8, n)));
    server.history = [1, 256, 257, 512, 600];
    const { code, out } = await audit("--events", "day/0000.json");
    expect([code, out]).toEqual([1, expect.stringMatching(/… and 580 more of this kind/)]);
    const { findings } = await auditJson("--events", "day/0000.json", "--tiles");
    expect(findings).toHaveLength(601);
  });

  test("are not reconciled while a symbolic link among them was left out: what it leads to is not known", async () => {
    await symlink(join(cwd, "elsewhere.json"), join(cwd, "day/link.json"));
    const { code, out } = await audit("--events", "day");
    expect([code, out]).toEqual([3, expect.stringMatching(/^UNDECIDED .*"day\/link\.json" was left out/s)]);
    // An entry that is missing may be of it; an event that is not in the log is not.
    await rename(join(cwd, "day", name(3)), join(cwd, "elsewhere.json"));
    expect((await audit("--events", "day")).code).toBe(3);
    await writeFile(join(cwd, "day", name(3)), text(99));
    expect((await audit("--events", "day")).code).toBe(1);
  });

  test("in a file that was passed by as an editor's are not said to be missing, and the file is named", async () => {
    await run(["commit", "day", "--out", "whole.ndjson"]);
    await writeFile(join(cwd, "day/.DS_Store"), "");
    const [all, named] = [["--events", "day", "--records", "whole.ndjson"], /Passed by .*"day\/\.DS_Store"/];
    const beside = await audit(...all);
    expect([beside.code, beside.out]).toEqual([0, expect.stringMatching(named)]);
    // One that is gone, and is of no such name, is missing all the same.
    await rename(join(cwd, "day", name(3)), join(cwd, "gone"));
    expect((await audit(...all)).code).toBe(1);
    await rename(join(cwd, "gone"), join(cwd, "day", name(3)));
    await rm(join(cwd, "day/.DS_Store"));
    await rename(join(cwd, "day", name(3)), join(cwd, "day", `${name(3)}.tmp`));
    const whole = await readFile(join(cwd, "whole.ndjson"), "utf8");
    await writeFile(join(cwd, "tmp.ndjson"), whole.replace(name(3), `${name(3)}.tmp`));
    for (const args of [
      ["--events", "day"],
      ["--events", "day", "--records", "tmp.ndjson"],
    ]) {
      const { code, out } = await audit(...args);
      expect([code, out]).toEqual([3, expect.stringMatching(/^UNDECIDED .*"day\/0003\.json\.tmp"/s)]);
    }
    const meant = await audit(
      "--events",
      "day",
      "--events",
      `day/${name(3)}.tmp`,
      "--media-type",
      "application/fhir+json",
    );
    expect(meant.code).toBe(0);
  });

  test("a log alone is audited without an export", async () => {
    const { code, out } = await audit();
    expect([code, out]).toEqual([0, expect.stringMatching(/^CONSISTENT .*no events were given/s)]);
  });
});

describe("records", () => {
  beforeEach(async () => {
    await run(["commit", "day", "--out", "records.ndjson", "--random-nonce"]);
    const records = (await readFile(join(cwd, "records.ndjson"), "utf8")).trimEnd().split("\n");
    server.entries = records.map((line) => new Uint8Array(Buffer.from(JSON.parse(line).commitment, "hex")));
  });
  const withoutKey = (...args: string[]) => run(["audit", ...args], { env: { KEDGE_TENANT_KEY: "" } });

  test("are reconciled with the log, and that the events were not given is said", async () => {
    const { code, out } = await withoutKey("--records", "records.ndjson");
    expect([code, out]).toEqual([
      0,
      expect.stringMatching(
        /^RECONCILED {2}7 records \(no events were given\).*Every record .*records were compared/s,
      ),
    ]);
    expect(out).not.toMatch(/event of the export/);
  });

  test("open the events, without the tenant key and wherever the folder is now", async () => {
    await mkdir(join(cwd, "moved/here"), { recursive: true });
    for (let n = 0; n < EVENTS; n++) await writeFile(join(cwd, `moved/here/${name(n)}`), text(n));
    const { code, out } = await withoutKey("--events", "moved", "--records", "records.ndjson");
    expect([code, out]).toEqual([0, expect.not.stringMatching(/events were not given/)]);
  });

  test("of many files of one name, each in a folder of its own, are told apart", async () => {
    const days = ["mon", "tue", "wed", "thu"];
    for (const [n, day] of days.entries()) {
      await mkdir(join(cwd, "before", day), { recursive: true });
      await writeFile(join(cwd, "before", day, "e.json"), text(n));
    }
    await run(["commit", "before", "--out", "days.ndjson", "--random-nonce"]);
    const lines = (await readFile(join(cwd, "days.ndjson"), "utf8")).trimEnd().split("\n");
    server.entries = lines.map((line) => new Uint8Array(Buffer.from(JSON.parse(line).commitment, "hex")));
    server.history = [4];
    await rename(join(cwd, "before"), join(cwd, "after"));
    const args = ["--events", "after", "--records", "days.ndjson"];
    expect(await withoutKey(...args)).toMatchObject({ code: 0 });
    await rm(join(cwd, "after/wed"), { recursive: true });
    await writeFile(join(cwd, "after/tue/e.json"), text(99));
    const { out } = await withoutKey("--json", ...args);
    const findings = out
      .trimEnd()
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line));
    expect(findings.map(({ finding, event, index }) => [finding, event ?? index])).toEqual([
      ["event_changed", "after/tue/e.json"],
      ["record_without_event", "before/wed/e.json"],
    ]);
  });

  test("with an event that was changed, one that is gone and one that is new: each is named", async () => {
    await writeFile(join(cwd, "day", name(1)), text(99));
    await rm(join(cwd, "day", name(2)));
    await writeFile(join(cwd, "day/new.json"), text(98));
    const { code, out } = await withoutKey("--events", "day", "--records", "records.ndjson");
    expect(code).toBe(1);
    expect(out).toMatch(/"day\/0001\.json" is not the one that its record was made of/);
    expect(out).toMatch(/Entry 2, .* not in the export that you gave: by its record of "day\/0002\.json"/);
    expect(out).toMatch(/"day\/new\.json" has no opening/);
    expect(out).toMatch(/: 3 findings\n/);
    expect(out).not.toMatch(/DrSecret/);
  });

  test("made from standard input are of their events, whatever the file of these is called", async () => {
    const lines = Array.from({ length: 90 }, (_, n) => `${text(n)}\n`);
    const committed = await run(["commit", "-", "--random-nonce"], { input: lines.join("") });
    await writeFile(join(cwd, "stdin.records"), committed.out);
    const records = committed.out.trimEnd().split("\n");
    expect(JSON.parse(records[0] ?? "")).toMatchObject({ event: "-", line: 1 });
    server.entries = records.map((line) => new Uint8Array(Buffer.from(JSON.parse(line).commitment, "hex")));
    server.history = [90];
    const args = ["--events", "export.ndjson", "--records", "stdin.records"];
    const of = async (given: string[]) => {
      await writeFile(join(cwd, "export.ndjson"), given.join(""));
      const { out, code } = await withoutKey("--json", ...args);
      const findings = out.trimEnd().split("\n").slice(0, -1);
      return [code, ...findings.map((line) => JSON.parse(line).finding)];
    };
    expect(await of(lines)).toEqual([0]);
    expect(await of(lines.toReversed())).toEqual([0]);
    expect(await of(lines.toSpliced(3, 1))).toEqual([1, "record_without_event"]);
    expect(await of(lines.with(3, `${text(999)}\n`))).toEqual([1, "event_changed"]);
    expect(await of(lines.toSpliced(3, 0, `${text(999)}\n`))).toEqual([1, "event_without_opening"]);
  });

  test("of several systems in one log: one is compared, the others are counted and named", async () => {
    const lines = (await readFile(join(cwd, "records.ndjson"), "utf8")).trimEnd().split("\n");
    const tenantKey = TENANT_KEY;
    const made = lines.map((_, n) => {
      const source = n < 4 ? "ehr" : n < 6 ? "lab" : undefined;
      const numbered = source === undefined ? {} : { source, sequence: BigInt(n) };
      const bytes = new TextEncoder().encode(text(n));
      const { commitment, opening } = commitEvent(
        { bytes, mediaType: "application/json", ...numbered },
        { tenantKey },
      );
      return { event: `day/${name(n)}`, commitment: Buffer.from(commitment).toString("hex"), opening };
    });
    server.entries = made.map(({ commitment }) => new Uint8Array(Buffer.from(commitment, "hex")));
    server.entries.push(STRANGER);
    server.history = [8];
    await writeFile(join(cwd, "all.ndjson"), made.map((record) => `${JSON.stringify(record)}\n`).join(""));
    for (const n of [4, 5, 6]) await rm(join(cwd, "day", name(n)));
    const args = ["--events", "day", "--records", "all.ndjson"];
    const whole = await withoutKey(...args);
    expect([whole.code, whole.out]).toEqual([1, expect.stringMatching(/: 4 findings\n/)]);
    const { code, out } = await withoutKey(...args, "--source", "ehr");
    expect([code, out]).toEqual([
      0,
      expect.stringMatching(/^RECONCILED {2}4 events, 8 entries of the period/),
    ]);
    expect(out).toMatch(/Of 8 entries from index 0 to 7, 4 are of the sources that were compared/);
    expect(out).toMatch(/"ehr": numbers 0 to 3, none missing/);
    expect(out).toMatch(/not compared.*: 2 of "lab", 1 without a source\./);
    expect(out).not.toMatch(/by these of other sources/); // no event says so, but only records
    expect(out).toMatch(/of no event you gave: 4\. Whose they are a hash does not say/);
    // A lab's event that is given is opened as the lab's.
    await writeFile(join(cwd, "day", name(4)), text(4));
    const lab = await withoutKey(...args, "--source", "ehr");
    expect([lab.code, lab.out]).toEqual([
      0,
      expect.stringMatching(/by these of other sources, and were not compared: 1\..*no event you gave: 3\./s),
    ]);
    await rm(join(cwd, "day", name(4)));
    // What is missing of the source itself is found all the same.
    await rm(join(cwd, "day", name(1)));
    const less = await withoutKey(...args, "--source", "ehr");
    expect([less.code, less.out]).toEqual([
      1,
      expect.stringMatching(
        /: 2 findings\n {2}The source "ehr" has no event of number 1\.\n {2}Entry 1, .*by its record of "day\/0001\.json"/s,
      ),
    ]);
  });

  test("that say another source of an event that was altered do not excuse it, with the tenant key or without", async () => {
    const altered = EVENTS - 1;
    const records = Array.from({ length: EVENTS }, (_, n) => {
      const bytes = new TextEncoder().encode(text(n));
      const numbered = { source: "ehr", sequence: BigInt(n) };
      const { commitment, opening } = commitEvent(
        { bytes, mediaType: "application/json", ...numbered },
        { tenantKey: TENANT_KEY },
      );
      const said = n === altered ? { ...opening, source: "lab" } : opening;
      return { event: `day/${name(n)}`, commitment: Buffer.from(commitment).toString("hex"), opening: said };
    });
    server.entries = records.map(({ commitment }) => new Uint8Array(Buffer.from(commitment, "hex")));
    await writeFile(
      join(cwd, "said.ndjson"),
      records.map((record) => `${JSON.stringify(record)}\n`).join(""),
    );
    await writeFile(join(cwd, "day", name(altered)), text(99));
    const args = ["--events", "day", "--records", "said.ndjson", "--source", "ehr"];
    const named = expect.stringMatching(/: 1 finding\n {2}The event "day\/0006\.json" is not the one/);
    for (const result of [await withoutKey(...args), await audit(...args)]) {
      expect([result.code, result.out]).toEqual([1, named]);
    }
    // Nor do they when they have another name and another place, and the key makes a commitment of the event all the same.
    await rename(join(cwd, "day", name(altered)), join(cwd, "day/zzz.json"));
    await writeFile(join(cwd, "day/aaa.json"), text(98));
    const moved = await audit(...args);
    expect([moved.code, moved.out]).toEqual([
      1,
      expect.stringMatching(/: 2 findings\n.*aaa\.json.*zzz\.json/s),
    ]);
  });

  test("whose numbers have a gap are not reconciled, though the log agrees", async () => {
    const lines = (await readFile(join(cwd, "records.ndjson"), "utf8")).trimEnd().split("\n");
    const numbered = lines.map((line, i) => {
      const record = JSON.parse(line);
      const sequence = String(i < 4 ? i : i + 2);
      return JSON.stringify({ ...record, opening: { ...record.opening, source: "ehr", sequence } });
    });
    await writeFile(join(cwd, "numbered.ndjson"), `${numbered.join("\n")}\n`);
    const { code, out } = await withoutKey("--records", "numbered.ndjson");
    expect([code, out]).toEqual([1, expect.stringMatching(/"ehr" has no event of number 4 to 5/)]);
  });
});

describe("manifests", () => {
  const START = Date.UTC(2026, 2, 2, 5);
  const commit = (source: string, n: number, mediaType: string, bytes: Uint8Array) =>
    commitEvent({ bytes, mediaType, source, sequence: BigInt(n) }, { tenantKey: TENANT_KEY });
  const line = (event: string, n: number, made: ReturnType<typeof commitEvent>) =>
    JSON.stringify({
      ...{ event, line: n, commitment: Buffer.from(made.commitment).toString("hex"), opening: made.opening },
    });
  /** Three hours of `ehr`: two events, none, three of which one says that a message was too long. */
  const HOURS = [2, 0, 3];
  const GAP = gapBytes({ kind: "overlong", octets: 2_000_000 });
  let events: string[];
  beforeEach(async () => {
    const utf8 = new TextEncoder();
    events = [1, 2, 3, 4].map((n) => JSON.stringify({ n }));
    const ofEvents = [
      ...events.map((text, i) => commit("ehr", i + 1, "application/json", utf8.encode(text))),
      commit("ehr", 5, GAP_MEDIA_TYPE, GAP),
    ];
    let next = 1;
    let previous: Uint8Array | undefined;
    const manifests = HOURS.map((count, i) => {
      const leaves = ofEvents.slice(next - 1, next - 1 + count).map(({ commitment }) => leafHash(commitment));
      const bytes = manifestBytes({
        ...{ source: "ehr", from: START + i * HOUR, to: START + (i + 1) * HOUR, root: rootOf(leaves) },
        ...(count > 0 && { numbers: { first: BigInt(next), last: BigInt(next + count - 1) } }),
        ...(previous && { previous }),
      });
      next += count;
      const made = commit(manifestSource("ehr"), i + 1, MANIFEST_MEDIA_TYPE, bytes);
      previous = made.commitment;
      return { text: new TextDecoder().decode(bytes), made };
    });
    events.push(new TextDecoder().decode(GAP));
    await writeFile(join(cwd, "manifests.ndjson"), manifests.map(({ text }) => `${text}\n`).join(""));
    const lines = [
      ...ofEvents.map((made, i) => line("events.ndjson", i + 1, made)),
      ...manifests.map(({ made }, i) => line("manifests.ndjson", i + 1, made)),
    ];
    await writeFile(join(cwd, "records.ndjson"), `${lines.join("\n")}\n`);
    server.entries = [...ofEvents, ...manifests.map(({ made }) => made)].map(({ commitment }) => commitment);
    server.history = [server.entries.length];
  });
  /** The events without those of these numbers, and without their records. */
  const given = async (...without: number[]) => {
    const kept = events.filter((_, i) => !without.includes(i + 1));
    await writeFile(join(cwd, "events.ndjson"), kept.map((text) => `${text}\n`).join(""));
    const records = (await readFile(join(cwd, "records.ndjson"), "utf8")).split("\n");
    const rest = records.filter((_, i) => !without.includes(i + 1));
    await writeFile(join(cwd, "given.ndjson"), rest.join("\n"));
  };
  const withKeyless = (...args: string[]) => run(["audit", ...args], { env: { KEDGE_TENANT_KEY: "" } });
  const judge = (...args: string[]) =>
    withKeyless(
      "--events",
      "events.ndjson",
      "--manifests",
      "manifests.ndjson",
      "--records",
      "given.ndjson",
      ...args,
    );

  test("say that a source is complete, and what they cannot say; a gap that the agent saw is a finding", async () => {
    await given();
    const { code, out } = await judge();
    expect(out).toMatch(
      /Source "ehr", 2026-03-02T05:00:00Z to 2026-03-02T08:00:00Z: complete \(5 events, numbers 1 to 5, by 3 manifests\)/,
    );
    expect(out).toMatch(
      /"ehr" says under number 5 that something is missing there: a message of 2000000 octets was too long/,
    );
    expect(out).toMatch(/what a system lost on the way to it.*was given no number/);
    expect([code, out.split("\n")[0]]).toEqual([1, expect.stringMatching(/^NOT RECONCILED .*: 1 finding$/)]);
  });

  test("show an event that was taken out with its record, first, last or between, by its number and hour", async () => {
    for (const [number, hour] of [
      [1, "05"],
      [4, "07"],
      [5, "07"],
    ] as const) {
      await given(number);
      const { code, out } = await judge("--source", "ehr");
      expect(code).toBe(1);
      expect(out).toMatch(
        new RegExp(`no event of number ${number}: its manifest for 2026-03-02T${hour}:00:00Z`),
      );
      expect(out).toMatch(/NOT complete/);
    }
  });

  test("beside records alone, or with none of a source, are judged for what they can say", async () => {
    await given();
    const records = await withKeyless(
      "--manifests",
      "manifests.ndjson",
      "--records",
      "given.ndjson",
      "--json",
    );
    const report = JSON.parse(records.out.trimEnd().split("\n").at(-1) ?? "");
    expect(report.completeness).toEqual([
      {
        source: "ehr",
        periods: HOURS.map((count, i) => ({
          ...{ from: `2026-03-02T0${5 + i}:00:00Z`, to: `2026-03-02T0${6 + i}:00:00Z` },
          ...{ verdict: "complete", count: `${count}` },
          ...(count > 0 && { first: i === 0 ? "1" : "3", last: i === 0 ? "2" : "5" }),
        })),
      },
    ]);
    const misused = await withKeyless("--manifests", "manifests.ndjson", "--events", "events.ndjson");
    expect([misused.code, misused.err]).toEqual([2, expect.stringMatching(/give --records too/)]);
    const empty = await readFile(join(cwd, "given.ndjson"), "utf8");
    await writeFile(join(cwd, "none.ndjson"), "");
    const ofEvents = empty.split("\n").filter((text) => !text.includes("manifests.ndjson"));
    await writeFile(join(cwd, "given.ndjson"), ofEvents.join("\n"));
    const none = await withKeyless(
      ...[
        "--events",
        "events.ndjson",
        "--records",
        "given.ndjson",
        "--manifests",
        "none.ndjson",
        "--source",
        "ehr",
        "--json",
      ],
    );
    expect(none.out).toMatch(/"finding":"no_manifest".*cannot be told/);
  });
});

describe("the period", () => {
  beforeEach(async () => {
    for (const n of [0, 1, 5, 6]) await rm(join(cwd, "day", name(n)));
  });

  test("by index, both ends included", async () => {
    expect((await audit("--events", "day", "--from-index", "2", "--to-index", "4")).code).toBe(0);
    const { findings } = await auditJson("--events", "day", "--from-index", "1", "--to-index", "4");
    expect(findings).toMatchObject([{ finding: "entry_without_event", index: "1" }]);
  });

  test("by the history's times, whose clock is the operator's", async () => {
    const times = ["--from", "2026-03-02T08:01:00Z", "--to", "2026-03-02T10:02:00+02:00"];
    const { code, out } = await audit("--events", "day", ...times);
    expect([code, out]).toEqual([0, expect.stringMatching(/index 2 to 4 .*operator's own clock/s)]);
    expect((await audit("--events", "day", "--from", "2026-03-02T08:02:00Z")).code).toBe(1);
  });

  test("that the log does not reach is not reconciled", async () => {
    const { code, out } = await audit("--events", "day", "--from-index", "2", "--to-index", "7");
    expect([code, out]).toEqual([
      1,
      expect.stringMatching(/^NOT RECONCILED.*goes to entry 7, and the log has 7 entries/s),
    ]);
  });

  test("without an entry reconciles nothing, and says so", async () => {
    const { code, out } = await audit("--events", "day", "--from", "2026-03-03T00:00:00Z");
    expect([code, out]).toEqual([
      3,
      expect.stringMatching(
        /^NOTHING TO RECONCILE {2}3 events, 0 entries of the period.*\n {2}The period has no entry/,
      ),
    ]);
    expect(out).not.toMatch(/^RECONCILED/m);
  });

  test("is of posting and not of the events, which stands beside the verdict", async () => {
    const { out } = await audit("--events", "day", "--from-index", "2", "--to-index", "4");
    expect(out.split("\n")[1]).toMatch(/order of posting, and not by when the events happened/);
  });
});

describe("what the auditor kept", () => {
  const forked = () => {
    server.entries = [...server.entries.with(1, STRANGER), commitmentOf(50)];
    server.history = [8];
  };

  test("is written by one audit, and of the tree of the next one", async () => {
    expect((await audit("--keep", "kept")).code).toBe(0);
    server.entries.push(STRANGER);
    const { code, out } = await audit("--since", "kept", "--keep", "kept");
    expect([code, out]).toEqual([0, expect.stringMatching(/1 that you kept/)]);
    expect(await readFile(join(cwd, "kept"), "utf8")).toBe(server.checkpoint());
  });

  test("and a log that contradicts it is evidence that a third party checks with the log's key alone", async () => {
    await audit("--keep", "kept");
    forked();
    const { code, out } = await audit("--since", "kept", "--evidence", "evidence", "--keep", "kept");
    expect([code, out]).toEqual([1, expect.stringMatching(/contradict each other, of 7 and of 8 entries/)]);
    expect(await readFile(join(cwd, "kept"), "utf8")).not.toBe(server.checkpoint());

    const elsewhere = join(cwd, "elsewhere");
    await mkdir(elsewhere);
    const evidence = await readFile(join(cwd, "evidence"), "utf8");
    await writeFile(join(cwd, "altered"), evidence.replace("\\n7\\n", "\\n6\\n"));
    server.requests.length = 0;
    for (const [file, vkey, expected] of [
      ["evidence", log.vkey, [0, expect.stringMatching(/^CONVINCING {2}.*of 7 and of 8 entries/)]],
      ["evidence", logSigner(LOG_ORIGIN, 99).vkey, [1, expect.stringMatching(/^NOT CONVINCING/)]],
      ["altered", log.vkey, [1, expect.stringMatching(/^NOT CONVINCING/)]],
    ] as const) {
      const [key, path] = [formatVkey(vkey), join("..", file)];
      await writeFile(join(elsewhere, "policy"), `log ${key}\nquorum none\n`);
      for (const judge of [
        ["audit", "--log-vkey", key],
        ["monitor", "--policy", "policy"],
      ]) {
        const { code, out } = await kedge([...judge, "--check-evidence", path], { cwd: elsewhere });
        expect([code, out]).toEqual(expected);
      }
    }
    expect(server.requests).toEqual([]);
  });

  test("is never written over by evidence, which is added once, and shown where it cannot be kept", async () => {
    await audit("--keep", "kept");
    forked();
    const keepIn = (file: string) => audit("--since", "kept", "--evidence", file);
    await writeFile(join(cwd, "evidence"), "what is there already");
    expect((await keepIn("evidence")).code).toBe(1);
    const once = await readFile(join(cwd, "evidence"), "utf8");
    expect(once).toMatch(/^what is there already\n\{"kind":"fork",.*\}\n$/);
    expect((await keepIn("evidence")).code).toBe(1);
    expect(await readFile(join(cwd, "evidence"), "utf8")).toBe(once);
    await writeFile(join(cwd, "full"), Buffer.alloc((64 << 20) + 1, "\n"));
    for (const file of ["day", "nowhere/evidence", "full"]) {
      const { code, err } = await keepIn(file);
      expect([code, err]).toEqual([1, expect.stringMatching(/(cannot be|is full|is a folder).*keep it:\n/s)]);
      expect(`what is there already\n${err.slice(err.indexOf("{"))}`).toBe(once);
    }
  });

  test("in a proof counts as well, and a checkpoint of another log or key does not", async () => {
    await writeFile(join(cwd, "proof"), makeProof({ size: 5 }).proof);
    const { findings } = await auditJson("--since", "proof");
    expect(findings.map(({ finding }) => finding)).toEqual(["checkpoint_differs", "contradiction"]);
    await writeFile(join(cwd, "other"), signedHead("a.example/log/x", server.entries, [log]));
    await writeFile(join(cwd, "forged"), signedHead(LOG_ORIGIN, server.entries, [logSigner(LOG_ORIGIN, 9)]));
    expect(await audit("--since", "other")).toMatchObject({ code: 2, err: expect.stringMatching(/other/) });
    expect(await audit("--since", "forged")).toMatchObject({
      code: 2,
      err: expect.stringMatching(/pinned|known/),
    });
  });

  test("is refused with a byte order mark before it, for no signed note begins with one", async () => {
    await audit("--keep", "kept");
    await writeFile(join(cwd, "kept"), `\ufeff${await readFile(join(cwd, "kept"), "utf8")}`);
    const { code, err } = await audit("--since", "kept");
    expect([code, err]).toEqual([2, expect.stringMatching(/--since: kept has no checkpoint/)]);
  });

  test("of more entries than the log shows: it has shrunk", async () => {
    await audit("--keep", "kept");
    server.entries = server.entries.slice(0, 5);
    server.history = [2, 5];
    const { code, out } = await audit("--since", "kept", "--evidence", "evidence");
    expect([code, out]).toEqual([1, expect.stringMatching(/shrunk: it signed 7 entries .* and shows 5/)]);
    const check = await audit("--check-evidence", "evidence");
    expect([check.code, check.out]).toEqual([
      1,
      expect.stringMatching(/NOT CONVINCING .*of 5 and of 7 entries/),
    ]);
  });
});

const flood: Answer = (response) => {
  const more = () => {
    while (!response.destroyed && response.write(Buffer.alloc(1 << 16, "x")));
    if (!response.destroyed) response.once("drain", more);
  };
  more();
};
const body =
  (bytes: Uint8Array | string): Answer =>
  (response) =>
    void response.end(bytes);
const status =
  (code: number, headers: Record<string, string> = {}): Answer =>
  (response) =>
    void response.writeHead(code, headers).end();
const never: Answer = () => undefined;
const BUNDLE = /tile\/entries/;

describe("a hostile or failing service", () => {
  test.each<[string, RegExp, Answer, RegExp]>([
    [
      "a bundle narrower than was signed",
      BUNDLE,
      body(encodeBundle([STRANGER])),
      /tile\/entries\/000\.p\/7 is not 7/,
    ],
    ["bytes after a bundle", BUNDLE, body(Buffer.alloc(7 * 34 + 1)), /larger than 238 bytes/],
    ["a bundle of other lengths", BUNDLE, body(Buffer.alloc(7 * 34)), /tile\/entries\/000\.p\/7 is not 7/],
    ["a bundle without end", BUNDLE, flood, /larger than 238 bytes/],
    ["a checkpoint without end", /checkpoint$/, flood, /larger than/],
    ["a history without end", /checkpoints/, flood, /larger than/],
    ["no bundle", BUNDLE, status(404), /\(404: /],
    ["a redirect", BUNDLE, status(302, { Location: "http://127.0.0.1:1/" }), /\(302: /],
    ["a service that is down", BUNDLE, status(503, { "Retry-After": "0" }), /\(503: /],
    ["a pause that nobody waits for", BUNDLE, status(429, { "Retry-After": "99999" }), /\(429: /],
    ["no checkpoint at all", /checkpoint$/, body("<html>"), /not one of/],
    ["a history that is none", /checkpoints/, body("{}"), /not what Kedge's API promises/],
    [
      "a history that goes in circles",
      /checkpoints/,
      body('{"checkpoints":[],"next":1}'),
      /order of their sizes/,
    ],
  ])("%s: undecided, and why", async (_, path, answer, why) => {
    server.fault(path, answer);
    const { code, out, err } = await audit("--events", "day", "--timeout", "1");
    expect([code, out, err]).toEqual([3, expect.stringMatching(/^UNDECIDED/), ""]);
    expect(out).toMatch(why);
    expect(out).not.toMatch(/NOT RECONCILED|finding/);
  });

  test.each<[string, string, RegExp]>([
    ["another log's", signedHead("a.example/log/x", [], [log]), /another log/],
    ["one by no pinned key", signedHead(LOG_ORIGIN, [], [logSigner(LOG_ORIGIN, 9)]), /may have rotated/],
  ])("%s as its checkpoint: not reconciled, and why", async (_, note, why) => {
    server.fault(/checkpoint$/, body(note));
    const { code, out } = await audit("--events", "day");
    expect([code, out]).toEqual([1, expect.stringMatching(/^NOT RECONCILED/)]);
    expect(out).toMatch(why);
  });

  test("that is throttled half-way: what was found before stands, and nothing is missed for it", async () => {
    server.entries = Array.from({ length: 600 }, (_, n) => leafHash(Uint8Array.of(n >> 8, n)));
    server.history = [600];
    server.fault(/tile\/entries\/002/, status(429, { "Retry-After": "1" }));
    const bare = await audit("--timeout", "2");
    expect([bare.code, bare.out]).toEqual([3, expect.stringMatching(/^UNDECIDED .*\(429: /s)]);
    const { code, report } = await auditJson("--timeout", "2", "--events", "day/0000.json");
    expect([code, report.findings]).toEqual([1, { entry_without_event: 512, incomplete: 1 }]);
  });

  test("one that is busy for a while is asked again, and reconciled", async () => {
    server.fault(BUNDLE, status(429, { "Retry-After": "0" }), 2);
    server.fault(/checkpoint$/, status(503, { "Retry-After": "0" }), 1);
    server.fault(BUNDLE, (response) => void response.destroy(), 1);
    expect((await audit("--events", "day")).code).toBe(0);
  });

  test("a bundle that is another the second time it is read: not what was signed", async () => {
    const altered = encodeBundle(server.entries.with(4, STRANGER));
    expect((await audit("--events", "day")).code).toBe(0);
    server.fault(BUNDLE, body(altered));
    const { kinds, code } = await auditJson("--events", "day").then(({ code, findings }) => ({
      code,
      kinds: findings.map(({ finding }) => finding),
    }));
    expect(code).toBe(1);
    expect(kinds).toEqual(
      expect.arrayContaining(["root_differs", "entry_without_event", "event_not_in_log"]),
    );
  });

  test("a checkpoint that shrinks, or has another root, while it is audited", async () => {
    const first = server.checkpoint();
    for (const [entries, kind] of [
      [server.entries.slice(0, 6), "log_shrunk"],
      [server.entries.with(0, STRANGER), "contradiction"],
    ] as const) {
      server.faults.length = 0;
      server.fault(/checkpoint$/, body(first), 1);
      server.fault(/checkpoint$/, body(signedHead(LOG_ORIGIN, entries, [log])));
      const { code, findings } = await auditJson();
      expect([code, findings]).toEqual([1, [expect.objectContaining({ finding: kind })]]);
    }
  });

  test("a hash tile that is not what the entries make", async () => {
    server.fault(/tile\/0\//, body(Buffer.alloc(7 * 32)));
    expect((await audit()).code).toBe(0);
    const { code, out } = await audit("--tiles");
    expect([code, out]).toEqual([
      1,
      expect.stringMatching(/tile\/0\/000\.p\/7 is not what the entries make/),
    ]);
  });

  test("a log of more entries than anyone could read is refused before it is read", async () => {
    const size = 2 ** 50;
    server.checkpoint = () => {
      const head = { origin: LOG_ORIGIN, size: BigInt(size), root: new Uint8Array(32) };
      const { name, id, signature } = log.sign(head);
      const line = Buffer.concat([Buffer.from(id.toString(16).padStart(8, "0"), "hex"), signature]);
      return `${LOG_ORIGIN}\n${size}\n${Buffer.alloc(32).toString("base64")}\n\n— ${name} ${line.toString("base64")}\n`;
    };
    const { code, out } = await audit();
    expect([code, out]).toEqual([3, expect.stringMatching(/more than --max-entries/)]);
    expect(server.requests).toHaveLength(1);
  });

  test("what is held back does not hold up the answer", async () => {
    server.entries = Array.from({ length: 600 }, (_, n) => leafHash(Uint8Array.of(n >> 8, n)));
    server.fault(/tile\/entries\/000/, body("x"));
    server.fault(/tile\/entries/, never);
    expect(await audit()).toMatchObject({ code: 3, out: expect.stringMatching(/^UNDECIDED/) });
  });

  test("silence ends with the attempts", async () => {
    server.fault(BUNDLE, never);
    const log = openLogReader({ url: server.url, apiKey: API_KEY, timeout: 1_000, attempts: 2 }, LOG_ID);
    const tile = { level: "entries", index: 0n, width: 7 } as const;
    const error: unknown = await log.tile(tile, 238).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ClientError);
    expect(error).toMatchObject({ code: "network" });
    expect(server.requests).toHaveLength(2);
  });
});

describe("what makes no sense", () => {
  test.each([
    [
      ["--from-index", "1", "--from", "2026-03-02T08:00:00Z"],
      /--from-index .* cannot be used with .*--from /,
    ],
    [["--events", "day", "--from-index", "5", "--to-index", "4"], /before it begins/],
    [["--events", "day", "--from", "yesterday"], /RFC 3339/],
    [["--events", "day", "--to-index", "-1"], /number from 0/],
    [["--to-index", "4"], /A period is of events/],
    [["--events", "nowhere"], /nowhere cannot be read/],
    [["--since", "nowhere"], /nowhere cannot be read/],
    [["anotherlog"], /pin the keys of the log/],
  ])("%j is used wrongly", async (args, why) => {
    const { code, err } = await audit(...args);
    expect([code, err]).toEqual([2, expect.stringMatching(why)]);
    expect(server.requests).toEqual([]);
  });

  test("events without a tenant key or records, and records in place of events", async () => {
    const bare = await run(["audit", "--events", "day"], { env: { KEDGE_TENANT_KEY: "" } });
    expect([bare.code, bare.err]).toEqual([2, expect.stringMatching(/tenant key/)]);
    await run(["commit", "day", "--out", "records.ndjson"]);
    const swapped = await audit("--events", "records.ndjson");
    expect([swapped.code, swapped.err]).toEqual([2, expect.stringMatching(/--records/)]);
  });
});

describe("the whole system", () => {
  let folder: string;
  let running: Awaited<ReturnType<typeof serve>>;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "kedge-audit-serve-"));
    running = await serve({ cwd: folder, data: join(folder, ".kedge") });
  });
  afterAll(async () => {
    await stop(running.child, "SIGTERM");
    await rm(folder, { recursive: true });
  });
  const there = (...args: string[]) =>
    kedge(args, { cwd: folder, env: { KEDGE_DATA: ".kedge", KEDGE_URL: addressIn(running.output) } });

  test("its first day is reconciled, and what is slipped in afterwards is found", async () => {
    const demo = ["--records", ".kedge/demo/records.ndjson", "--events", ".kedge/demo/hospital-day.ndjson"];
    const proof = ".kedge/demo/break-the-glass.json.tlog-proof";
    const day = await there("audit", ...demo, "--tiles", "--since", proof, "--keep", "kept");
    expect(day).toMatchObject({ code: 0, err: "" });
    expect(day.out).toMatch(
      /^RECONCILED {2}500 events, 500 entries.*"pharmacy": numbers 1 to 61, none missing/s,
    );

    await writeFile(join(folder, "late.json"), "{}");
    expect((await there("post", "late.json", "--wait")).code).toBe(0);
    const late = await there("audit", ...demo, "--since", "kept");
    expect([late.code, late.out]).toEqual([1, expect.stringMatching(/1 finding\n {2}Entry 500, /)]);
    const whole = await there("audit", ...demo, "--events", "late.json", "--since", "kept", "--since", proof);
    expect([whole.code, whole.out]).toEqual([0, expect.stringMatching(/^RECONCILED {2}501 events/)]);
  });
});
