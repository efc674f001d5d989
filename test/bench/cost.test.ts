/** The arithmetic of the bill: what is metered is metered by running the functions, `npm run cost`. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ASSUMED, type Bill, billOf, proofPrices, type Use } from "../../bench/cost/bill.ts";
import { type Load, MONTH_SECONDS, type Month, monthOf } from "../../bench/cost/month.ts";
import { PRICES, PRICES_OF, type PriceName, REGIONS } from "../../bench/cost/prices.ts";
import { markdown } from "../../bench/cost/report.ts";
import type { Measured } from "../../bench/cost/run.ts";
import { lookUp, runsOf } from "../../bench/cost/runs.ts";
import { itemSizes } from "../../bench/cost/sizes.ts";
import { average, between, beyond, NO_WORK, scaled, type Work } from "../../bench/cost/work.ts";

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

  test("of dense requests seals more often the more shards there are, unless they are small", () => {
    const seals = (batch: number) =>
      [1, 2, 4, 8].map(
        (streamShards) => monthOf({ ...LOAD, events: batch * 100e6, batch, streamShards }).seals,
      );
    const [one = 0, ...more] = seals(1);
    for (const other of more) expect(other / one).toBeCloseTo(1, 1);
    const large = seals(200);
    for (const [i, more] of large.slice(1).entries()) expect(more).toBeGreaterThan(1.2 * (large[i] ?? 0));
  });

  test("splits what is more than a batch may hold", () => {
    const huge = { ...LOAD, events: 1e9, batch: 10_000, tenants: 1, streamShards: 1, sealSeconds: 300 };
    const { seals, requestsPerSeal } = monthOf(huge);
    expect(requestsPerSeal * huge.batch).toBeLessThanOrEqual(32_768);
    expect(seals).toBeGreaterThan(MONTH_SECONDS / 300);
  });
});

const IDLE: Measured = {
  post: NO_WORK,
  postBytes: 100,
  seal: NO_WORK,
  run: NO_WORK,
  merge: NO_WORK,
  idleVisit: NO_WORK,
  sweep: NO_WORK,
  anchor: NO_WORK,
  idleAnchor: NO_WORK,
  proof: NO_WORK,
  proofs: NO_WORK,
  proofsAnswered: 1_000,
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
    const { lines, usd: sum, usdPerMillion } = bill({ measured: { seal: { ...NO_WORK, writeUnits: 7 } } });
    expect(sum).toBeCloseTo(lines.reduce((all, line) => all + line.usd, 0));
    expect(usdPerMillion).toBeCloseTo(sum / 100);
    for (const { price, quantity, usd: cost } of lines) {
      expect(cost).toBeCloseTo((quantity / PRICES[price].per) * PRICES[price].usd["us-east-1"].price);
    }
  });

  test("counts a run's units as often as it runs", () => {
    const seal = { ...NO_WORK, writeUnits: 100, readUnits: 40, ed25519Signatures: 1, puts: 2, gets: 3 };
    const found = bill({ measured: { seal } });
    // 10,000 seals.
    expect(usd(found, "writes", "seals")).toBeCloseTo(0.625);
    expect(usd(found, "reads", "seals")).toBeCloseTo(0.4 * 0.125);
    expect(usd(found, "ed25519", "seals")).toBeCloseTo(0.15);
    expect(usd(found, "puts", "seals")).toBeCloseTo(0.1);
    expect(usd(found, "gets", "seals")).toBeCloseTo(0.012);
  });

  test("never falls when a run costs more", () => {
    const runs = fc.constantFrom<
      Exclude<keyof Measured, "postBytes" | "publicBytes" | "proofsAnswered" | "metrics">
    >(...(["post", "seal", "run", "merge", "idleVisit", "sweep", "anchor", "idleAnchor", "proof"] as const));
    const names = fc.constantFrom<keyof Work>(
      ...(["readUnits", "writeUnits", "puts", "tableBytes", "cpuMs", "logBytes", "dynamodbRounds"] as const),
    );
    fc.assert(
      fc.property(runs, names, fc.double({ min: 0, max: 1e6, noNaN: true }), (run, name, amount) => {
        const use = { proofs: 10, verifications: 10 };
        const more = bill({ use, measured: { [run]: { ...NO_WORK, [name]: amount } } });
        expect(more.usd).toBeGreaterThanOrEqual(bill({ use }).usd - 1e-9);
      }),
    );
  });

  test("counts a run for each 4,096 events, and a merge of each at every level", () => {
    const found = bill({
      month: { requestsPerSeal: 1 },
      measured: { run: { ...NO_WORK, indexPuts: 1 }, merge: { ...NO_WORK, indexGets: 16 } },
    });
    const quantity = (what: string) => found.lines.find((line) => line.what === what)?.quantity;
    expect(quantity("runs made: the index")).toBeCloseTo(100e6 / 4_096);
    expect(quantity("runs merged: the index")).toBeCloseTo((3 * 16 * 100e6) / 32_768);
    // Notes of what was merged are deleted one by one.
    expect(usd(found, "writes", "runs merged")).toBeCloseTo((0.625 * 3 * 8 * 100) / 32_768);
  });

  test("counts no run apart where every seal fills one", () => {
    const measured = { run: { ...NO_WORK, indexPuts: 1 } };
    expect(usd(bill({ measured, month: { requestsPerSeal: 5 } }), "puts")).toBe(0);
  });

  test("stores each entry's place in a run, and in those that it was merged from for 36 days", () => {
    const measured = { run: { ...NO_WORK, indexBytes: 4_096 * 40 } };
    const gb = (months: number) =>
      bill({ measured, use: { months } }).lines.find(({ what }) => what === "runs of the index")?.quantity ??
      0;
    const once = (100e6 * 40) / 2 ** 30;
    expect(gb(1)).toBeCloseTo(4 * once);
    expect(gb(12)).toBeCloseTo((12 + 3 * 1.2) * once);
  });

  test("reads filters again at every seal once the logs' are more than the sealer keeps", () => {
    const again = (months: number) =>
      bill({ use: { months } }).lines.find(({ what }) => what === "filters read again: the index")
        ?.quantity ?? 0;
    expect([again(1), again(3)]).toEqual([0, 0]);
    expect(again(12)).toBeGreaterThan(MONTH.seals * 20);
  });

  test("meters a request in increments of 512 KB", () => {
    expect(usd(bill({ measured: { postBytes: 512 * 1024 } }), "http")).toBeCloseTo(1);
    expect(usd(bill({ measured: { postBytes: 512 * 1024 + 1 } }), "http")).toBeCloseTo(2);
  });

  test("lets a function with less memory compute longer, and wait as long", () => {
    const gbSeconds = (work: Partial<Work>, api: number) =>
      bill({ measured: { post: { ...NO_WORK, ...work } }, api }).lines.find(
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
    const seal = { ...NO_WORK, dynamodbRounds: 100 };
    const one = usd(bill({ measured: { seal }, month: { logsPerRun: 1 } }), "compute", "sealer");
    const four = usd(bill({ measured: { seal }, month: { logsPerRun: 4 } }), "compute", "sealer");
    expect(four).toBeLessThan(0.3 * one);
    expect(four).toBeGreaterThan(0.2 * one);
  });

  test("stores what past months stored, log lines for a year", () => {
    const measured = { seal: { ...NO_WORK, tableBytes: 1e6, logBytes: 1e6, bucketBytes: 1e6 } };
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

  test("of proofs counts the index's GETs, and answers in increments of 512 KB", () => {
    const proof = { ...NO_WORK, indexGets: 2 };
    const proofs = { ...NO_WORK, indexGets: 1_000, responseBytes: 5 * 2 ** 20 };
    const measured = { ...IDLE, proof, proofs, proofsAnswered: 800 };
    const inputs = {
      load: LOAD,
      use: USE,
      month: MONTH,
      measured,
      memory: MEMORY,
      region: "us-east-1",
    } as const;
    const [one, full, cold, coldFull] = proofPrices(inputs);
    expect(one?.usdPerMillion).toBeGreaterThan(1 + 0.2 + 2 * 0.4);
    expect(one?.usdPerMillion).toBeLessThan(1 + 0.2 + 2 * 0.4 + 0.2);
    const requests = 1e6 / 800;
    const answers = (requests * 5 * 0.09) / 1_024;
    expect(full?.usdPerMillion).toBeGreaterThan(
      (requests * 10) / 1e6 + (requests * 1_000 * 0.4) / 1e6 + answers,
    );
    expect([cold?.gets, coldFull?.gets]).toEqual([122, 1_061]);
    expect(cold?.usdPerMillion).toBeGreaterThan(122 * 0.4);
    expect(coldFull?.usdPerMillion).toBeGreaterThan(full?.usdPerMillion ?? 0);
  });

  test("is held to a target where there is one", () => {
    const target = (batch: number, more: Partial<Load> = {}) =>
      billOf({
        load: { ...LOAD, batch, ...more },
        use: USE,
        month: MONTH,
        measured: IDLE,
        memory: MEMORY,
        region: "us-east-1",
      }).target;
    expect([target(1_000), target(10_000), target(100), target(10), target(1)]).toEqual([
      0.4,
      0.4,
      0.6,
      undefined,
      4.5,
    ]);
    expect(target(10_000, { events: 1e9 })).toBe(0.1);
    expect(target(1_000, { sealSeconds: 300 })).toBeUndefined();
  });

  test("is printed with its verdict, what dominates it, and every assumption", () => {
    const printed = (writeUnits: number) => {
      const found = bill({ measured: { seal: { ...NO_WORK, writeUnits } } });
      const more = {
        load: LOAD,
        use: USE,
        region: "us-east-1",
        memory: MEMORY,
        month: MONTH,
        proofs: [],
      } as const;
      return markdown({ ...found, ...more });
    };
    expect(printed(1)).toContain("Target, at most $0.40: met.");
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

describe("a look-up", () => {
  const sizes = fc.integer({ min: 1, max: 2e8 });

  test("finds runs of falling size that leave less than one of the lowest level", () => {
    fc.assert(
      fc.property(sizes, (entries) => {
        const runs = runsOf(entries);
        expect(runs).toEqual(runs.toSorted((a, b) => b - a));
        const covered = runs.reduce((sum, count) => sum + count, 0);
        expect(entries - covered).toBeGreaterThanOrEqual(0);
        expect(entries - covered).toBeLessThan(4_096);
      }),
    );
  });

  test("reads a block for each leaf where the filters are known, and opens each run where they are not", () => {
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 1_000 }), (entries, leaves) => {
        expect(lookUp(entries, leaves, true)).toMatchObject({ rounds: 1, gets: leaves });
        const cold = lookUp(entries, leaves, false);
        expect(cold.gets).toBeGreaterThanOrEqual(runsOf(entries).length);
        expect(cold.bytes).toBeGreaterThanOrEqual(
          lookUp(entries, leaves, true).bytes * (leaves >= 64 ? 1 : 0),
        );
      }),
    );
    // Of one leaf each of the 60 runs of 10^8 entries has a header and a block to read.
    expect(runsOf(1e8)).toHaveLength(47 + 5 + 3 + 6);
    expect(lookUp(1e8, 1, false).gets).toBe(2 * 61);
    expect(lookUp(1e8, 1_000, false).gets).toBe(61 + 1_000);
    expect(lookUp(1e8, 1_000, false, false).gets).toBe(61);
  });
});

describe("the parts", () => {
  test("costs between two measured ones are on the line between them", () => {
    const [a, b] = [
      { ...NO_WORK, readUnits: 10, cpuMs: 4 },
      { ...NO_WORK, readUnits: 30, cpuMs: 4 },
    ];
    expect([between(a, b, 0), between(a, b, 1), between(a, b, 0.25)]).toEqual([
      a,
      b,
      { ...a, readUnits: 15 },
    ]);
    expect(average([a, b])).toEqual({ ...a, readUnits: 20 });
    expect(beyond(b, a)).toEqual({ ...NO_WORK, readUnits: 20 });
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
