/**
 * `npm run bench [-- section…] [--json]`: every figure of docs/performance.md, on loopback only. Soak and agent run where they are named, soak for
 * `--minutes`, at `--rate` events a second.
 * Progress goes to standard error, the result to standard output.
 */
import { availableParallelism, cpus, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { agent } from "./agent.ts";
import { audit } from "./audit.ts";
import { coldstart } from "./coldstart.ts";
import { fairness } from "./fairness.ts";
import { idle } from "./idle.ts";
import { proofs } from "./proofs.ts";
import { race } from "./race.ts";
import { figure, type Section, table } from "./report.ts";
import { scale } from "./scale.ts";
import { site } from "./site.ts";
import { soak } from "./soak.ts";
import { tlog } from "./tlog.ts";
import { verification } from "./verification.ts";

// The AWS SDK announces its end of support for Node 20 on every start.
process.env["AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED"] ??= "true";

const SECTIONS = {
  race,
  soak: runSoak,
  site,
  idle,
  proofs,
  fairness,
  verification,
  audit,
  scale,
  coldstart,
  tlog,
  agent,
};
type Name = keyof typeof SECTIONS;
const NAMES: readonly Name[] = [
  "race",
  "soak",
  "site",
  "idle",
  "proofs",
  "fairness",
  "verification",
  "audit",
  "scale",
  "coldstart",
  "tlog",
  "agent",
];

/** Those that run only where they are named. */
const LONG: readonly Name[] = ["soak", "agent"];

/** What is to be reached: at least, or at most. */
type Target = {
  readonly what: string;
  readonly of: readonly [Name, value: string];
  readonly least?: number;
  readonly most?: number;
};

/** What counts as flat: two sizes differ by how full their last tiles are, and two timings by more than that. */
const FLAT = 1.1;
const FLAT_TIME = 1.25;

const TARGETS: readonly Target[] = [
  { what: "1,000 a request as octets ÷ Tessera", of: ["race", "octets.ratio"], least: 2 },
  { what: "the same as JSON ÷ Tessera", of: ["race", "json.ratio"], least: 1.5 },
  { what: "1 a request, 24 at a time ÷ Tessera", of: ["race", "single.ratio"], least: 15 },
  { what: "ack → checkpoint p50 at half of peak, ms", of: ["race", "half.p50"], most: 500 },
  { what: "the same, p99, ms", of: ["race", "half.p99"], most: 900 },
  { what: "ack → checkpoint p50 at 3,000/s, ms", of: ["race", "steady.p50"], most: 300 },
  { what: "soak: bytes an event on disk", of: ["soak", "bytesAnEvent"], most: 200 },
  { what: "soak: rise of own memory", of: ["soak", "ownRise"], most: 0.1 },
  { what: "soak: rise of open files", of: ["soak", "filesRise"], most: 0.1 },
  { what: "soak: rise of disk an event", of: ["soak", "diskRise"], most: 0.1 },
  { what: "idle: share of a core beside 990 logs", of: ["idle", "cpu"], most: 0.02 },
  { what: "ack → checkpoint p50 beside them ÷ alone", of: ["idle", "ratio"], most: 1.5 },
  { what: "rounds of calls for an anchored proof", of: ["proofs", "rounds"], most: 4 },
  { what: "a proof beside another tenant's thousands ÷ alone", of: ["fairness", "ratio"], most: 10 },
  { what: "proofs verified a second, sealed", of: ["verification", "sealedPerSecond"], least: 500 },
  { what: "proofs verified a second, anchored", of: ["verification", "anchoredPerSecond"], least: 500 },
  {
    what: "verification: time ÷ its signatures'",
    of: ["verification", "timeOverSignatures"],
    most: FLAT_TIME,
  },
  { what: "audit of 10⁶ entries, s", of: ["audit", "seconds"], most: 60 },
  { what: "the same, reconciled with 10⁶ records, s", of: ["audit", "reconciledSeconds"], most: 60 },
  { what: "the same, peak RSS, MB", of: ["audit", "reconciledMegabytes"], most: 300 },
  { what: "audit: entries hashed a second ÷ the bare hashes'", of: ["audit", "hashShare"], least: 0.5 },
  {
    what: "look-up of a present commitment at 10⁸: rounds",
    of: ["scale", "present.rounds of calls"],
    most: 3,
  },
  {
    what: "look-up of an absent commitment at 10⁸: rounds",
    of: ["scale", "absent.rounds of calls"],
    most: 3,
  },
  { what: "10⁸ ÷ 10⁶: look-up of a present one, time", of: ["scale", "present.ms.overMillion"], most: FLAT },
  { what: "10⁸ ÷ 10⁶: look-up of an absent one, time", of: ["scale", "absent.ms.overMillion"], most: FLAT },
  { what: "10⁸ ÷ 10⁴: time of a seal", of: ["scale", "seal.ms.overTenThousand"], most: FLAT_TIME },
  { what: "10⁸ ÷ 10⁴: requests of a seal", of: ["scale", "seal.requests.overTenThousand"], most: FLAT_TIME },
  { what: "KB that a start of the API parses", of: ["coldstart", "apiKilobytes"], most: 600 },
  {
    what: "cold start of the API ÷ a bare Hono's, until ready",
    of: ["coldstart", "apiReadyOverBare"],
    most: 2,
  },
  { what: "agent, up to the POST on one core, events/s", of: ["agent", "perSecond"], least: 5_000 },
  { what: "the same with the index", of: ["agent", "perSecondIndexed"], least: 5_000 },
  { what: "`kedge find` of a patient, s", of: ["agent", "findSeconds"], most: 1 },
  { what: "the same: found and proven ÷ rows", of: ["agent", "proofs"], least: 1 },
  { what: "the same, until the first answer", of: ["coldstart", "apiAnsweredOverBare"], most: 2 },
];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: "boolean" }, minutes: { type: "string" }, rate: { type: "string" } },
});
const unknown = positionals.find((name) => !NAMES.some((known) => known === name));
if (unknown !== undefined) {
  throw new RangeError(`there is no section ${unknown}: name any of ${NAMES.join(", ")}`);
}

const results = new Map<Name, Section>();
for (const name of NAMES) {
  if (positionals.length > 0 ? !positionals.includes(name) : LONG.includes(name)) continue;
  const started = performance.now();
  process.stderr.write(`${name}…`);
  results.set(name, await SECTIONS[name]());
  process.stderr.write(` ${Math.round((performance.now() - started) / 1000)} s\n`);
}
process.stdout.write(values.json === true ? json() : markdown());

function runSoak(): Promise<Section> {
  const { minutes = "10", rate } = values;
  return soak({ minutes: Number(minutes), ...(rate !== undefined && { rate: Number(rate) }) });
}

function machine() {
  const [cpu] = cpus();
  return {
    date: new Date().toISOString().slice(0, 10),
    cores: availableParallelism(),
    cpu: cpu?.model.trim() ?? "unknown",
    node: process.version,
    loadAverage: loadavg()[1] ?? Number.NaN,
  };
}

function markdown(): string {
  const { date, cores, cpu, node, loadAverage } = machine();
  const targets = TARGETS.flatMap(targetRow);
  const tables = [
    ...(targets.length === 0
      ? []
      : [{ title: "Targets", head: ["", "target", "measured", "met"], rows: targets }]),
    ...results.values(),
  ];
  return [
    `Measured on ${date}, on ${cores} cores of ${cpu}, Node ${node}; the 5-minute load average was ${figure(loadAverage)}.\n`,
    ...tables.map(({ title, head, rows }) => `### ${title}\n\n${table(head, rows)}\n`),
  ].join("\n");
}

function targetRow({ what, of: [section, value], least, most }: Target): string[][] {
  const measured = results.get(section)?.values[value];
  if (measured === undefined) return [];
  const rows = [];
  if (least !== undefined)
    rows.push([what, `≥ ${figure(least)}`, figure(measured), verdict(measured / least)]);
  if (most !== undefined) {
    const share = measured <= most ? 1 : most / measured;
    rows.push([what, `≤ ${figure(most)}`, figure(measured), verdict(share)]);
  }
  return rows;
}

/** @param share of the target that was reached. */
function verdict(share: number): string {
  return share >= 1 ? "yes" : `no: ${figure(1 / share)}× off`;
}

function json(): string {
  const sections = Object.fromEntries([...results].map(([name, { values }]) => [name, values]));
  return `${JSON.stringify({ machine: machine(), sections }, null, 2)}\n`;
}
