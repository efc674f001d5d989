/**
 * The agent on an export in Epic's columns, `KEDGE_ROWS` rows of it: events a second up to the POST on one core, with the index and
 * without it, and what it then takes to find one patient, with proofs.
 * `KEDGE_RUNS` says how many runs.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { openFindIndex } from "@kedge/cli/find/index";
import { readJournal } from "@kedge/cli/journal/journal";
import { openKeyring } from "@kedge/cli/keys/keyring";
import { findTenantKey } from "@kedge/verify/cli/credentials";
import { z } from "zod";
import { epicRow, writeEpicRows } from "../test/support/epic-rows.ts";
import { cpuSeconds } from "./client.ts";
import { figure, median, type Section, spread } from "./report.ts";
import { COMMAND, dataFolder, type Kedge, serveNewKedge } from "./served.ts";

const ROWS = Number(process.env["KEDGE_ROWS"] ?? 1_000_000);
const RUNS = Number(process.env["KEDGE_RUNS"] ?? 3);
const FINDS = 5;
const HITS = 25;
const PATIENT = "1000007";
const POLL_MS = 200;
const PROFILES = process.env["BENCH_CPU_PROF"];

export async function agent(): Promise<Section> {
  const folder = await dataFolder();
  const served = await serveNewKedge();
  try {
    mkdirSync(join(folder, "in"));
    await writeEpicRows(join(folder, "in", "access.txt"), ROWS);
    const credentials = join(folder, "credentials.json");
    const file = JSON.parse(readFileSync(join(served.folder, "credentials.json"), "utf8"));
    writeFileSync(credentials, JSON.stringify({ ...file, url: served.credentials.url }), { mode: 0o600 });
    const place = { folder, credentials, served };
    const runs: { off: Run[]; on: Run[] } = { off: [], on: [] };
    for (let run = 0; run < RUNS; run++) {
      if (run > 0) rmSync(join(folder, "with"), { recursive: true });
      runs.off.push(await takeIn({ ...place, name: `off-${run}`, index: false }));
      rmSync(join(folder, "without"), { recursive: true });
      runs.on.push(await takeIn({ ...place, name: `on-${run}`, index: true }));
    }
    return sectionOf(runs, await findAll(place));
  } finally {
    await served.stop();
    rmSync(folder, { recursive: true });
  }
}

type Run = {
  seconds: number;
  cpu: number;
  megabytes: number;
  server: number;
  indexed: number;
  bytes: number;
  /** Of a FHIR search for one patient, s; none without the index. */
  searches: number[];
  load: number;
};
type Place = { folder: string; credentials: string; served: Kedge };

/** Until the service has accepted all, and then until all is in the index. */
async function takeIn({
  folder,
  credentials,
  served,
  name,
  index,
}: Place & { name: string; index: boolean }): Promise<Run> {
  const data = join(folder, index ? "with" : "without");
  const config = join(folder, "agent.json");
  const source = { kind: "files", name, path: join(folder, "in"), content: "delimited", preset: "epic" };
  writeFileSync(
    config,
    JSON.stringify({ data, credentials, health: false, index, sources: [source, ...(index ? [FHIR] : [])] }),
  );
  const profile = PROFILES === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${PROFILES}`];
  const before = await cpuSeconds(served.pid);
  const started = performance.now();
  const child = onOneCore([...profile, COMMAND, "agent", "--config", config]);
  const pid = child.pid ?? Number.NaN;
  const endpoint = fhirEndpoint(child);
  try {
    let megabytes = 0;
    const look = async (isDone: Promise<boolean>) => {
      megabytes = Math.max(megabytes, ownMegabytes(pid));
      return await isDone;
    };
    await until(() => look(posted(data, name).then((count) => count >= BigInt(ROWS))), child);
    const seconds = (performance.now() - started) / 1_000;
    const cpu = await cpuSeconds(pid);
    const server = (await cpuSeconds(served.pid)) - before;
    if (index) await until(() => look(isIndexed(data, credentials)), child);
    const indexed = (performance.now() - started) / 1_000;
    const bytes = index ? statSync(join(data, "find.mdb")).blocks * 512 : 0;
    const searches = index ? await searchFhir(await endpoint) : [];
    const run = {
      seconds,
      cpu,
      server,
      indexed,
      megabytes,
      bytes,
      searches,
      load: loadavg()[0] ?? Number.NaN,
    };
    process.stderr.write(`\n${index ? "with" : "without"} the index: ${JSON.stringify(run)}`);
    return run;
  } finally {
    child.kill("SIGTERM");
    if (child.exitCode === null) await once(child, "exit");
  }
}

const FHIR = { kind: "fhir", name: "fhir", listen: { address: "http://127.0.0.1:0" }, search: true };

/** Where the agent's FHIR endpoint listens, as it says in its log; all that it says afterwards is read too. */
function fhirEndpoint({ stderr }: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    if (stderr === null) throw new TypeError("the agent's log is not piped");
    createInterface(stderr).on("line", (line) => {
      const { kind, url } = logSchema.parse(JSON.parse(line));
      if (kind === "fhir" && url !== undefined) resolve(url);
    });
  });
}
const logSchema = z.object({ kind: z.string().optional(), url: z.string().optional() });

/** For a patient of whom a few AuditEvents come after all those rows. */
async function searchFhir(url: string): Promise<number[]> {
  const headers = { "Content-Type": "application/fhir+json" };
  for (let i = 0; i < HITS; i++) {
    const recorded = new Date(Date.UTC(2026, 4, 1, 0, i)).toISOString();
    const entity = [{ what: { reference: "Patient/p1" }, role: { code: "1", system: ROLES } }];
    const event = { resourceType: "AuditEvent", action: "R", recorded, entity };
    const { status } = await fetch(`${url}/AuditEvent`, {
      method: "POST",
      headers,
      body: JSON.stringify(event),
    });
    if (status !== 201) throw new Error(`the FHIR endpoint answered with ${status}`);
  }
  const seconds: number[] = [];
  for (let i = 0; i < FINDS; i++) {
    const started = performance.now();
    const answer = await fetch(`${url}/AuditEvent?patient=Patient/p1`);
    const matches = (await answer.text()).match(/"mode":"match"/g)?.length;
    if (matches !== HITS) throw new Error(`the FHIR search found ${matches} of ${HITS}`);
    seconds.push((performance.now() - started) / 1_000);
  }
  return seconds;
}
const ROLES = "http://terminology.hl7.org/CodeSystem/object-role";

/** Where there is no taskset, it has all cores: its seconds of CPU tell. */
function onOneCore(args: readonly string[]): ChildProcess {
  const isPinned = spawnSync("taskset", ["-c", "0", "true"]).status === 0;
  const [command, before] = isPinned ? ["taskset", ["-c", "0", process.execPath]] : [process.execPath, []];
  return spawn(command, [...before, ...args], { stdio: ["ignore", "ignore", "pipe"] });
}

async function until(isDone: () => Promise<boolean>, child: ChildProcess): Promise<void> {
  while (!(await isDone())) {
    if (child.exitCode !== null) throw new Error(`the agent ended with ${child.exitCode}`);
    await sleep(POLL_MS);
  }
}

async function posted(data: string, source: string): Promise<bigint> {
  const journal = readJournal({ folder: data });
  const count = journal?.sources().find(({ name }) => name === source)?.posted ?? 0n;
  await journal?.close();
  return count;
}

async function isIndexed(data: string, credentials: string): Promise<boolean> {
  const keys = await openKeyring({
    path: join(data, "keyring.json"),
    tenantKey: findTenantKey({ credentials }),
  });
  const journal = readJournal({ folder: data, keys });
  if (journal === undefined) return false;
  const index = openFindIndex(data, journal, keys);
  const last = Date.parse(
    `${epicRow(ROWS - 1)
      .slice(0, 19)
      .replace(" ", "T")}Z`,
  );
  const [found] = index.search({ from: last, to: last + 1 });
  await index.close();
  await journal.close();
  return found !== undefined;
}

/** Of its own: the mapped files, which the system takes back as it needs to, do not count. */
function ownMegabytes(pid: number): number {
  const [, kilobytes] = /RssAnon:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kilobytes) / 1_024;
}

type Finding = { found: number; seconds: number[]; exported: number; proofs: number };

/** Processes from their start to their end, one after the other. */
async function findAll({ folder, credentials }: Place): Promise<Finding> {
  const find = (...args: string[]) => [
    COMMAND,
    "find",
    "--credentials",
    credentials,
    "--data",
    join(folder, "with"),
    "--patient",
    PATIENT,
    ...args,
  ];
  const run = (args: readonly string[]) => {
    const started = performance.now();
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
    if (status !== 0) throw new Error(`kedge find ended with ${status}: ${stderr}`);
    return { seconds: (performance.now() - started) / 1_000, lines: stdout.trim().split("\n") };
  };
  const searches = Array.from({ length: FINDS }, () => run(find("--json")));
  const out = join(folder, "out");
  const exported = run(find("--export", out));
  const proofs = readFileSync(join(out, "proofs.ndjson"), "utf8").trim().split("\n").length;
  const verified = run([
    COMMAND,
    "verify",
    "--credentials",
    credentials,
    join(out, "events"),
    join(out, "proofs.ndjson"),
  ]);
  process.stderr.write(`\n${verified.lines.at(-1)}\n`);
  return {
    found: searches[0]?.lines.length ?? 0,
    seconds: searches.map(({ seconds }) => seconds),
    exported: exported.seconds,
    proofs,
  };
}

/** Of the patient's rows, how many there are (test/support/epic-rows.ts). */
const expected = Math.ceil((ROWS - 7) / 40_009);

function sectionOf({ off, on }: { off: Run[]; on: Run[] }, finding: Finding): Section {
  const each = (of: (run: Run) => number) => [off, on].map((runs) => spread(runs.map(of)));
  const { found, seconds, exported, proofs } = finding;
  return {
    title: `The agent: an export of ${figure(ROWS)} rows`,
    head: ["", "without the index", "with it"],
    rows: [
      ["up to the POST, events/s", ...each((run) => ROWS / run.seconds)],
      ["events a second of the agent's CPU", ...each((run) => ROWS / run.cpu)],
      ["the service's CPU meanwhile, s", ...each(({ server }) => server)],
      ["until all is in the index, s", "", spread(on.map(({ indexed }) => indexed))],
      ["the agent's own memory at most, MB", ...each(({ megabytes }) => megabytes)],
      ["the index, bytes an event", "", spread(on.map(({ bytes }) => bytes / ROWS))],
      ["load average", ...each(({ load }) => load)],
      [`\`kedge find\` of a patient: ${found} of ${expected} rows, s`, "", spread(seconds)],
      [`the same with --export: ${proofs} proofs, s`, "", figure(exported)],
      [
        `a FHIR search, ${HITS} hits with their proofs, s`,
        "",
        spread(on.flatMap(({ searches }) => searches)),
      ],
    ],
    values: {
      perSecond: ROWS / median(off.map(({ seconds }) => seconds)),
      perSecondIndexed: ROWS / median(on.map(({ seconds }) => seconds)),
      perCpuSecond: ROWS / median(off.map(({ cpu }) => cpu)),
      perCpuSecondIndexed: ROWS / median(on.map(({ cpu }) => cpu)),
      found: found / expected,
      proofs: proofs / expected,
      findSeconds: median(seconds),
    },
  };
}
