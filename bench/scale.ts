/**
 * I8: what a look-up, a proof and a seal cost however large the log is: in rounds of calls, requests and time, on made-up logs.
 *
 * The sizes end alike, so that a seal widens tiles as full and merges runs as small in all of them.
 */
import { leafHash } from "@kedge/verify/tlog/merkle";
import { SPECS } from "../infra/service/specs.ts";
import type { Service } from "../service/config-sealing.ts";
import { readHeadAndCover } from "../service/index/cover.ts";
import { type Filters, newFilters } from "../service/index/filters.ts";
import { find } from "../service/index/find.ts";
import { PRICES, type PriceName } from "./cost/prices.ts";
import { type Calls, counted, roundsOf, SLOW_MS } from "./counted.ts";
import { type BigLog, madeUpIndex, makeUp } from "./madeup.ts";
import { figure, median, type Section } from "./report.ts";
import { appendRandom, openStack, proveAll, randomCommitments, type Stack, sealBatch } from "./stack.ts";

const RUN = 2n ** 18n;
const REST = 10_007n;
/** About 10⁴, 10⁶, 10⁷ and 10⁸. */
const SIZES = [REST, 4n * RUN + REST, 38n * RUN + REST, 381n * RUN + REST] as const;
const HEADS = ["10⁴ entries", "10⁶", "10⁷", "10⁸"] as const;
const BATCH = 1_000;
const ROUNDS = 12;
const LOOK_UPS = 40;
/** A look-up in between, so that the filters are there. */
const WARMING = 64;
const COLD = 3;
const MEMORY = 1 << 30;

/** Wall-clock time, and that of this process's threads on a core, which others' load moves less. */
type Timed = Calls & { readonly ms: number; readonly cpuMs: number };
type Kind = "present" | "absent" | "seal" | "proof" | "coldPresent" | "coldProof" | "coldProofs";
type Costs = Record<Kind, Timed[]>;
type Measured = BigLog & {
  readonly costs: Costs;
  /** While each call takes SLOW_MS more: for the rounds of calls. */
  readonly slowed: Costs;
  keptBytes: number;
};

export async function scale(): Promise<Section> {
  const stack = await openStack();
  try {
    const index = madeUpIndex(stack.folder);
    const { store, index: place, ...calls } = counted(stack.service.store, index.index);
    const service: Service = { ...stack.service, store, index: place, filters: newFilters(MEMORY) };
    const big: Stack = { ...stack, service, calls };
    const logs: Measured[] = [];
    for (const size of SIZES) {
      const log = await makeUp(service, index, size, BATCH);
      process.stderr.write(` ${size}`);
      logs.push({ ...log, costs: noCosts(), slowed: noCosts(), keptBytes: 0 });
    }
    for (const log of logs) log.keptBytes = await measureCold(big, log, log.costs);
    calls.slow(SLOW_MS);
    for (const log of logs) await measureCold(big, log, log.slowed);
    calls.slow(0);
    for (const log of logs) await lookUp(service, log, randomCommitments(WARMING));
    // Side by side: what slows the machine for a moment slows every size.
    for (let round = 0; round < ROUNDS; round++) {
      for (const log of logs) await measure(big, log, log.costs, LOOK_UPS);
    }
    calls.slow(SLOW_MS);
    for (let i = 0; i < COLD; i++) for (const log of logs) await measure(big, log, log.slowed, 1);
    return section(logs);
  } finally {
    await stack.close();
  }
}

const noCosts = (): Costs => ({
  present: [],
  absent: [],
  seal: [],
  proof: [],
  coldPresent: [],
  coldProof: [],
  coldProofs: [],
});

async function lookUp(
  service: Service,
  { log }: BigLog,
  commitments: readonly Uint8Array[],
): Promise<(bigint | undefined)[]> {
  const { head, cover } = await readHeadAndCover(service, log.id);
  return await find(service, head, cover, Buffer.concat(commitments.map(leafHash)));
}

/** @throws when they are there, or not there, other than is meant: the figures would be of something else. */
async function lookUpOne(service: Service, big: BigLog, commitment: Uint8Array, isThere: boolean) {
  const [index] = await lookUp(service, big, [commitment]);
  if ((index !== undefined) !== isThere) throw new Error("the index does not know what is in the log");
}

async function measure(stack: Stack, big: BigLog, costs: Costs, lookUps: number): Promise<void> {
  const { service } = stack;
  const { log, old } = big;
  const someOld = () => old[Math.floor(Math.random() * old.length)] ?? new Uint8Array();
  await appendRandom(service, log, BATCH, BATCH);
  costs.seal.push(await timed(stack, () => sealBatch(service, log, BATCH)));
  for (let i = 0; i < lookUps; i++) {
    const [stranger = new Uint8Array()] = randomCommitments(1);
    costs.present.push(await timed(stack, () => lookUpOne(service, big, someOld(), true)));
    costs.absent.push(await timed(stack, () => lookUpOne(service, big, stranger, false)));
    costs.proof.push(await timed(stack, () => proveAll(stack, log, [someOld()])));
  }
}

/** As a function does whose process has just begun. @returns bytes of the index that are kept after a thousand proofs. */
async function measureCold(stack: Stack, big: BigLog, costs: Costs): Promise<number> {
  const { log, old } = big;
  let kept = 0;
  const cold = async (kind: Kind, run: (service: Service) => Promise<unknown>): Promise<Filters> => {
    const filters = newFilters(MEMORY);
    costs[kind].push(await timed(stack, () => run({ ...stack.service, filters })));
    return filters;
  };
  for (let i = 0; i < COLD; i++) {
    const one = old.slice(i, i + 1);
    await cold("coldPresent", (service) => lookUpOne(service, big, one[0] ?? new Uint8Array(), true));
    await cold("coldProof", (service) => proveAll({ ...stack, service }, log, one));
    const filters = await cold("coldProofs", (service) => proveAll({ ...stack, service }, log, old));
    kept = filters.bytes();
  }
  return kept;
}

async function timed({ calls }: Stack, run: () => Promise<unknown>): Promise<Timed> {
  calls.take();
  const started = performance.now();
  const cpu = process.cpuUsage();
  await run();
  const ms = performance.now() - started;
  const { user, system } = process.cpuUsage(cpu);
  return { ms, cpuMs: (user + system) / 1000, ...calls.take() };
}

/** US dollars, in us-east-1: what the store, the index, the API and the function's time cost. */
function dollars({ readUnits, gets, ms }: Pick<Timed, "readUnits" | "gets" | "ms">): number {
  const price = (name: PriceName) => PRICES[name].usd["us-east-1"].price / PRICES[name].per;
  return (
    readUnits * price("reads") +
    gets * price("gets") +
    price("http") +
    price("invocations") +
    (ms / 1000) * (SPECS.api.memory / 1024) * price("compute")
  );
}

const requests = ({ storeReads, storeWrites, gets, puts }: Timed) => storeReads + storeWrites + gets + puts;

type Row = readonly [what: string, kind: Kind, of: (cost: Timed) => number];
const KINDS: readonly Row[] = [
  ["look-up of a present commitment: rounds of calls", "present", ({ ms }) => ms],
  ["look-up of a present commitment: requests", "present", requests],
  ["look-up of a present commitment: ms", "present", ({ ms }) => ms],
  ["look-up of a present commitment: CPU ms", "present", ({ cpuMs }) => cpuMs],
  ["look-up of an absent commitment: rounds of calls", "absent", ({ ms }) => ms],
  ["look-up of an absent commitment: requests", "absent", requests],
  ["look-up of an absent commitment: ms", "absent", ({ ms }) => ms],
  ["look-up of an absent commitment: CPU ms", "absent", ({ cpuMs }) => cpuMs],
  ["proof: rounds of calls", "proof", ({ ms }) => ms],
  ["proof: requests", "proof", requests],
  ["proof: ms", "proof", ({ ms }) => ms],
  ["proof: CPU ms", "proof", ({ cpuMs }) => cpuMs],
  ["proof: US$ a million", "proof", (cost) => 1e6 * dollars(cost)],
  [`seal of ${figure(BATCH)} entries: rounds of calls`, "seal", ({ ms }) => ms],
  [`seal of ${figure(BATCH)} entries: requests`, "seal", requests],
  [`seal of ${figure(BATCH)} entries: ms`, "seal", ({ ms }) => ms],
  [`seal of ${figure(BATCH)} entries: CPU ms`, "seal", ({ cpuMs }) => cpuMs],
  ["cold, look-up of a present commitment: rounds of calls", "coldPresent", ({ ms }) => ms],
  ["cold, one proof: GETs of the index", "coldProof", ({ gets }) => gets],
  ["cold, one proof: MB of them", "coldProof", ({ getBytes }) => getBytes / 1e6],
  ["cold, one proof: ms", "coldProof", ({ ms }) => ms],
  ["cold, one proof: US$ a million", "coldProof", (cost) => 1e6 * dollars(cost)],
  [`cold, ${figure(BATCH)} proofs: GETs of the index`, "coldProofs", ({ gets }) => gets],
  [`cold, ${figure(BATCH)} proofs: MB of them`, "coldProofs", ({ getBytes }) => getBytes / 1e6],
  [`cold, ${figure(BATCH)} proofs: ms`, "coldProofs", ({ ms }) => ms],
  [
    `cold, ${figure(BATCH)} proofs: US$ a million proofs`,
    "coldProofs",
    (cost) => (1e6 * dollars(cost)) / BATCH,
  ],
];

function section(logs: readonly Measured[]): Section {
  const values: Record<string, number> = {};
  const rows = KINDS.map(([what, kind, of]) => {
    // Time has outliers; requests vary with what a seal happens to fill, and add up to a bill.
    const sum = what.endsWith(" ms") ? median : mean;
    const isRounds = what.endsWith(": rounds of calls");
    const costs = logs.map(({ costs, slowed }) =>
      isRounds ? roundsOf(msOf(costs[kind]), msOf(slowed[kind])) : sum(costs[kind].map(of)),
    );
    const [tenThousand = Number.NaN, million = Number.NaN, , hundredMillion = Number.NaN] = costs;
    const unit = what.slice(what.lastIndexOf(": ") + 2);
    values[`${kind}.${unit}`] = hundredMillion;
    values[`${kind}.${unit}.overMillion`] = hundredMillion / million;
    values[`${kind}.${unit}.overTenThousand`] = hundredMillion / tenThousand;
    return [
      what,
      ...costs.map(figure),
      `${figure(hundredMillion / million)}×`,
      `${figure(hundredMillion / tenThousand)}×`,
    ];
  });
  const kept = [
    "kept in memory of the index, MB",
    ...logs.map(({ keptBytes }) => figure(keptBytes / 1e6)),
    "",
    "",
  ];
  return {
    title: "I8: cost by the size of the log",
    head: ["", ...HEADS, "10⁸ ÷ 10⁶", "10⁸ ÷ 10⁴"],
    rows: [...rows, kept],
    values,
  };
}

const msOf = (costs: readonly Timed[]): number => median(costs.map(({ ms }) => ms));

const mean = (samples: readonly number[]): number =>
  samples.reduce((sum, sample) => sum + sample, 0) / samples.length;
