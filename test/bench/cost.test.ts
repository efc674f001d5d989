/** The arithmetic of the bill: what is metered is metered by running the functions, `npm run cost`. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ASSUMED, type Bill, billOf, type Use } from "../../bench/cost/bill.ts";
import { NO_CALLS } from "../../bench/cost/calls.ts";
import { type Load, MONTH_SECONDS, type Month, monthOf } from "../../bench/cost/month.ts";
import { PRICES, PRICES_OF, type PriceName, REGIONS } from "../../bench/cost/prices.ts";
import { markdown } from "../../bench/cost/report.ts";
import type { Measured } from "../../bench/cost/run.ts";
import { itemSizes } from "../../bench/cost/sizes.ts";
import { average, between, scaled, type Work } from "../../bench/cost/work.ts";

const LOAD: Load = {
  events: 100e6,
  batch: 1_000,
  tenants: 50,
  sealSeconds: 60,
  anchorMinutes: 1,
  sweepMinutes: 5,
  streamShards: 4,
};

describe("a month", () => {
  const loads = fc.record({
    events: fc.integer({ min: 1, max: 1e9 }),
    batch: fc.constantFrom(1, 10, 1_000, 10_000),
    tenants: fc.integer({ min: 1, max: 200 }),
    sealSeconds: fc.integer({ min: 1, max: 300 }),
    anchorMinutes: fc.integer({ min: 1, max: 60 }),
    sweepMinutes: fc.integer({ min: 1, max: 60 }),
    streamShards: fc.integer({ min: 1, max: 32 }),
  });
  const few = { numRuns: 10 };

  test("seals every request once, but for those that are pending at its end", () => {
    fc.assert(
      fc.property(loads, (load) => {
        const { requests, seals, requestsPerSeal } = monthOf(load);
        expect(requests).toBe(load.events / load.batch);
        const sealed = seals * requestsPerSeal;
        expect(sealed).toBeLessThanOrEqual(requests * 1.001 + 1);
        // Of what was played, no more than the last windows of every log can be missing.
        const waiting = (requests / MONTH_SECONDS) * (load.sealSeconds + 60 * load.sweepMinutes);
        expect(sealed).toBeGreaterThanOrEqual(requests - (waiting + 1) * Math.max(1, requests / 200_000));
      }),
      few,
    );
  });

  test("is the same each time", () => {
    expect(monthOf(LOAD)).toEqual(monthOf(LOAD));
  });

  test("sweeps and anchors on schedule, busy or not", () => {
    fc.assert(
      fc.property(loads, (load) => {
        const { sweeps, anchorRuns, idleAnchorRuns, checkpointsPerAnchor } = monthOf(load);
        expect(sweeps * 60 * load.sweepMinutes).toBeCloseTo(MONTH_SECONDS);
        expect((anchorRuns + idleAnchorRuns) * 60 * load.anchorMinutes).toBeCloseTo(MONTH_SECONDS);
        expect(checkpointsPerAnchor).toBeLessThanOrEqual(load.tenants);
      }),
      few,
    );
  });

  test("of sparse requests seals each on its own, however many shards there are", () => {
    for (const streamShards of [1, 4, 32]) {
      const { seals, requestsPerSeal } = monthOf({ ...LOAD, streamShards });
      expect([seals, requestsPerSeal]).toEqual([100_000, 1]);
    }
  });

  test("of dense requests seals a log once a window on one shard, and at sweeps", () => {
    const dense = { ...LOAD, batch: 1, streamShards: 1 };
    const windows = (MONTH_SECONDS / dense.sealSeconds) * dense.tenants;
    const sweeps = (MONTH_SECONDS / 60 / dense.sweepMinutes) * dense.tenants;
    const { seals } = monthOf(dense);
    expect(seals).toBeGreaterThan(0.95 * windows);
    expect(seals).toBeLessThanOrEqual(1.01 * (windows + sweeps));
  });

  test("of dense requests seals more often, the more shards there are", () => {
    const seals = [1, 2, 4, 8].map((streamShards) => monthOf({ ...LOAD, batch: 1, streamShards }).seals);
    for (const [i, more] of seals.slice(1).entries()) expect(more).toBeGreaterThan(1.2 * (seals[i] ?? 0));
  });

  test("splits what is more than a batch may hold", () => {
    const huge = { ...LOAD, events: 1e9, batch: 10_000, tenants: 1, streamShards: 1, sealSeconds: 300 };
    const { seals, requestsPerSeal } = monthOf(huge);
    expect(requestsPerSeal * huge.batch).toBeLessThanOrEqual(32_768);
    expect(seals).toBeGreaterThan(MONTH_SECONDS / 300);
  });
});

const NOTHING: Work = {
  ...NO_CALLS,
  tableBytes: 0,
  bucketBytes: 0,
  cpuMs: 0,
  logBytes: 0,
  responseBytes: 0,
};
const IDLE: Measured = {
  post: NOTHING,
  postBytes: 100,
  seal: NOTHING,
  idleVisit: NOTHING,
  sweep: NOTHING,
  anchor: NOTHING,
  idleAnchor: NOTHING,
  proof: NOTHING,
  publicBytes: 0,
  metrics: 8,
};
const MONTH: Month = {
  requests: 1_000_000,
  sealerRuns: 1_000,
  logsPerRun: 1,
  seals: 10_000,
  requestsPerSeal: 100,
  idleVisits: 10,
  sweeps: 8_640,
  anchorRuns: 43_000,
  checkpointsPerAnchor: 2,
  idleAnchorRuns: 200,
};
const USE: Use = { proofs: 0, verifications: 0, misses: 0.1, months: 1 };
const MEMORY = { api: 1_769, sealer: 1_769, anchorer: 1_769 };

type Changes = { measured?: Partial<Measured>; month?: Partial<Month>; use?: Partial<Use>; api?: number };
const bill = ({ measured, month, use, api = MEMORY.api }: Changes = {}): Bill =>
  billOf({
    load: LOAD,
    use: { ...USE, ...use },
    month: { ...MONTH, ...month },
    measured: { ...IDLE, ...measured },
    memory: { ...MEMORY, api },
    region: "us-east-1",
  });
const usd = ({ lines }: Bill, price: PriceName, what?: string): number =>
  lines
    .filter((line) => line.price === price && (what === undefined || line.what === what))
    .reduce((sum, line) => sum + line.usd, 0);

describe("a bill", () => {
  test("is the sum of its lines, and of each the quantity at its price", () => {
    const { lines, usd: sum, usdPerMillion } = bill({ measured: { seal: { ...NOTHING, writeUnits: 7 } } });
    expect(sum).toBeCloseTo(lines.reduce((all, line) => all + line.usd, 0));
    expect(usdPerMillion).toBeCloseTo(sum / 100);
    for (const { price, quantity, usd: cost } of lines) {
      expect(cost).toBeCloseTo((quantity / PRICES[price].per) * PRICES[price].usd["us-east-1"].price);
    }
  });

  test("counts a run's units as often as it runs", () => {
    const seal = { ...NOTHING, writeUnits: 100, readUnits: 40, ed25519Signatures: 1, puts: 2, gets: 3 };
    const found = bill({ measured: { seal } });
    // 10,000 seals.
    expect(usd(found, "writes", "seals")).toBeCloseTo(0.625);
    expect(usd(found, "reads", "seals")).toBeCloseTo(0.4 * 0.125);
    expect(usd(found, "ed25519", "seals")).toBeCloseTo(0.15);
    expect(usd(found, "puts", "seals")).toBeCloseTo(0.1);
    expect(usd(found, "gets", "seals")).toBeCloseTo(0.012);
  });

  test("never falls when a run costs more", () => {
    const runs = fc.constantFrom<Exclude<keyof Measured, "postBytes" | "publicBytes" | "metrics">>(
      ...(["post", "seal", "idleVisit", "sweep", "anchor", "idleAnchor", "proof"] as const),
    );
    const names = fc.constantFrom<keyof Work>(
      ...(["readUnits", "writeUnits", "puts", "tableBytes", "cpuMs", "logBytes", "dynamodbRounds"] as const),
    );
    fc.assert(
      fc.property(runs, names, fc.double({ min: 0, max: 1e6, noNaN: true }), (run, name, amount) => {
        const use = { proofs: 10, verifications: 10 };
        const more = bill({ use, measured: { [run]: { ...NOTHING, [name]: amount } } });
        expect(more.usd).toBeGreaterThanOrEqual(bill({ use }).usd - 1e-9);
      }),
    );
  });

  test("meters a request in increments of 512 KB", () => {
    expect(usd(bill({ measured: { postBytes: 512 * 1024 } }), "http")).toBeCloseTo(1);
    expect(usd(bill({ measured: { postBytes: 512 * 1024 + 1 } }), "http")).toBeCloseTo(2);
  });

  test("lets a function with less memory compute longer, and wait as long", () => {
    const gbSeconds = (work: Partial<Work>, api: number) =>
      bill({ measured: { post: { ...NOTHING, ...work } }, api }).lines.find(
        ({ price, what }) => price === "compute" && what === "api",
      )?.quantity ?? 0;
    const starts = (gb: number) => 1e6 * ASSUMED.coldStarts * (ASSUMED.coldStartMs / 1_000) * gb;
    const half = 1_769 / 2;
    expect(gbSeconds({ cpuMs: 100 }, 1_769)).toBeCloseTo(100e3 * (1_769 / 1_024) + starts(1_769 / 1_024));
    // Half the memory for twice the time.
    expect(gbSeconds({ cpuMs: 100 }, half)).toBeCloseTo(100e3 * (1_769 / 1_024) + starts(half / 1_024));
    const waits = 2 * ASSUMED.dynamodbMs;
    expect(gbSeconds({ dynamodbRounds: 2 }, 1_024)).toBeCloseTo(waits * 1e3 + starts(1));
    expect(gbSeconds({}, 1_024)).toBeCloseTo(ASSUMED.floorMs * 1e3 + starts(1));
  });

  test("of logs that are sealed side by side counts the waiting once", () => {
    const seal = { ...NOTHING, dynamodbRounds: 100 };
    const one = usd(bill({ measured: { seal }, month: { logsPerRun: 1 } }), "compute", "sealer");
    const four = usd(bill({ measured: { seal }, month: { logsPerRun: 4 } }), "compute", "sealer");
    expect(four).toBeLessThan(0.3 * one);
    expect(four).toBeGreaterThan(0.2 * one);
  });

  test("stores what past months stored, log lines for a year", () => {
    const measured = { seal: { ...NOTHING, tableBytes: 1e6, logBytes: 1e6, bucketBytes: 1e6 } };
    const [now, later] = [bill({ measured }), bill({ measured, use: { months: 72 } })];
    for (const price of ["tableStorage", "recovery", "bucketStorage"] as const)
      expect(usd(later, price)).toBeCloseTo(72 * usd(now, price));
    expect(usd(later, "logStorage")).toBeCloseTo(12 * usd(now, "logStorage"));
    expect(usd(later, "logs")).toBeCloseTo(usd(now, "logs"));
  });

  test("of verifications has CloudFront's part for all, and the bucket's for those that it passes on", () => {
    const use = { verifications: 1_000_000, misses: 0.1 };
    const [without, found] = [bill(), bill({ use, measured: { publicBytes: 2 ** 20 } })];
    expect(usd(found, "edgeRequests")).toBeCloseTo(1);
    expect(usd(found, "edgeEgress")).toBeCloseTo((1e6 / 1_024) * 0.085);
    expect(usd(found, "gets", "public reads")).toBeCloseTo(0.04);
    expect(usd(found, "http")).toBe(usd(without, "http"));
    // From the bucket to CloudFront it is AWS's own network.
    expect(usd(found, "egress")).toBe(usd(without, "egress"));
  });

  test("is held to a target where there is one", () => {
    const target = (batch: number, sealSeconds = 60) =>
      billOf({
        load: { ...LOAD, batch, sealSeconds },
        use: USE,
        month: MONTH,
        measured: IDLE,
        memory: MEMORY,
        region: "us-east-1",
      }).target;
    expect([target(1_000), target(10_000), target(1), target(100)]).toEqual([1, 1, 3, undefined]);
    expect(target(1_000, 300)).toBeUndefined();
  });

  test("is printed with its verdict, what dominates it, and every assumption", () => {
    const printed = (writeUnits: number) => {
      const found = bill({ measured: { seal: { ...NOTHING, writeUnits } } });
      return markdown({ ...found, load: LOAD, use: USE, region: "us-east-1", memory: MEMORY, month: MONTH });
    };
    expect(printed(1)).toContain("Target, at most $1.00: met.");
    expect(printed(1e6)).toMatch(/missed, .* times over/);
    expect(printed(1e6)).toContain("write request units for seals (100 %)");
    for (const said of [
      `${ASSUMED.dynamodbMs} ms a DynamoDB round trip`,
      "ML-DSA requests (AWS KMS pricing)",
      PRICES_OF,
    ])
      expect(printed(1)).toContain(said);
  });
});

describe("the parts", () => {
  test("costs between two measured ones are on the line between them", () => {
    const [a, b] = [
      { ...NOTHING, readUnits: 10, cpuMs: 4 },
      { ...NOTHING, readUnits: 30, cpuMs: 4 },
    ];
    expect([between(a, b, 0), between(a, b, 1), between(a, b, 0.25)]).toEqual([
      a,
      b,
      { ...a, readUnits: 15 },
    ]);
    expect(average([a, b])).toEqual({ ...a, readUnits: 20 });
    expect(scaled(a, 2)).toEqual({ ...a, readUnits: 20, cpuMs: 8 });
    expect(() => average([])).toThrow(RangeError);
  });

  test("an item is as large as its names and values", () => {
    const Item = { pk: { S: "ab" }, sk: { S: "-" }, index: { N: "12300" }, data: { B: "AAEC" } };
    const bytes = 2 + 2 + (2 + 1) + (5 + 3) + (4 + 3);
    expect(itemSizes({ TableName: "t", Item })).toEqual([["ab\0-", bytes]]);
    const Key = { pk: { S: "é" }, sk: { S: "x" } };
    const RequestItems = { t: [{ PutRequest: { Item } }, { DeleteRequest: { Key } }] };
    expect(itemSizes({ RequestItems })).toEqual([
      ["ab\0-", bytes],
      ["é\0x", undefined],
    ]);
  });

  test("every price is one in every region, and was seen no later than the table says", () => {
    for (const [name, { usd, per }] of Object.entries(PRICES)) {
      for (const region of REGIONS) {
        const { price, seen } = { seen: undefined, ...usd[region] };
        expect([name, price > 0, per > 0]).toEqual([name, true, true]);
        if (seen !== undefined) expect(`${seen}-01` <= PRICES_OF && /^\d{4}-\d\d$/.test(seen)).toBe(true);
      }
    }
  });
});
