/** What is said of a pack as it was made: whose keys, which rows, which files were made anew, what the numbering shows. */
import type { EventInput } from "@kedge/verify/events/commitment";
import { judgePack } from "@kedge/verify/pack/judge";
import { factsOf, type Pack, type PackFilter } from "@kedge/verify/pack/pack";
import { entriesOf, keysOfPolicy, readPack } from "@kedge/verify/pack/read";
import { type PackParts, type RowPart, writePack } from "@kedge/verify/pack/write";
import { tellVerdict, VERDICT_WORDS } from "@kedge/verify/proof/verdict-words";
import { formatVkey } from "@kedge/verify/tlog/note";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import {
  accessEvent,
  committed,
  listAnew,
  PACK_POLICY,
  rowOf,
  smallPack,
  smallParts,
  stubReport,
  unzipped,
  zipped,
} from "../../../support/pack.ts";
import { LOG_ORIGIN, log, logSigner } from "../../../support/proofs.ts";

let zip: Uint8Array;
let pack: Pack;
beforeAll(async () => {
  zip = await smallPack();
  pack = await readPack(zip);
});
const judgedOf = async (parts: PackParts) => await judgePack(await readPack(await smallPack(parts)));

test("a pack as it was made is unchanged, by its own keys, and it is said that they came with it", async () => {
  const judged = await judgePack(pack, { makeReport: stubReport });
  expect(judged).toMatchObject({ verdict: "unchanged", files: [], keys: "pack", authorities: "none" });
  expect(judged.policy).toBe(PACK_POLICY);
  expect(judged.counts).toEqual({ total: 4, unchanged: 4, changed: 0, untold: 0, withheld: 0 });
  expect(judged.sources).toMatchObject([{ source: "ehr", periods: [{ verdict: "complete" }], findings: [] }]);
  expect(judged.checkpoints.map(({ file }) => file.replace(/-[0-9a-f]{16}/, ""))).toEqual([
    "checkpoints/log-5.txt",
    "checkpoints/anchor-5.txt",
  ]);
});

test("the same parts make the same bytes", async () => {
  const parts = smallParts();
  const [one, other] = [await smallPack(parts), await smallPack(parts)];
  expect(Buffer.compare(one, other)).toBe(0);
});

test("what the maker saw is what is judged", async () => {
  const { zip, judged } = await writePack(smallParts(), { makeReport: stubReport });
  const again = await judgePack(await readPack(zip));
  expect({ ...again, notMadeAnew: [] }).toEqual(judged);
});

describe("by keys that are given", () => {
  test("the same keys: unchanged, and it is said that they were given", async () => {
    const given = await judgePack(pack, { keys: keysOfPolicy(PACK_POLICY), makeReport: stubReport });
    expect(given).toMatchObject({ verdict: "unchanged", files: [], byOwnKeys: [], keys: "given" });
  });

  test("that show a later time than the pack's own: what says the earlier one is named", async () => {
    const early = await smallPack({
      ...smallParts(),
      policy: PACK_POLICY.replace(/.* w2 .*\n(group.*) 2 w1 w2/, "$1 1 w1"),
    });
    const own = await judgePack(await readPack(early), { makeReport: stubReport });
    expect(own).toMatchObject({ verdict: "unchanged", files: [], byOwnKeys: [] });
    const judged = await judgePack(await readPack(early), {
      keys: keysOfPolicy(PACK_POLICY),
      makeReport: stubReport,
    });
    expect(judged).toMatchObject({
      verdict: "unchanged",
      files: [],
      byOwnKeys: ["case.json", "report.csv", "report.pdf"],
    });
  });

  test("of another log: nothing can be told, though the pack holds together by its own", async () => {
    const other = PACK_POLICY.replace(formatVkey(log.vkey), formatVkey(logSigner(LOG_ORIGIN, 9).vkey));
    const judged = await judgePack(pack, { keys: keysOfPolicy(other), makeReport: stubReport });
    expect(judged).toMatchObject({ verdict: "untold", files: [], keys: "given" });
    const [row] = judged.rows;
    expect(row && tellVerdict(factsOf(judged, row), VERDICT_WORDS.en).headline).toBe("Cannot tell yet");
  });

  test("without the anchor log's: proven as far as they go, and table and report are still compared", async () => {
    const { logVkeys } = keysOfPolicy(PACK_POLICY);
    const judged = await judgePack(pack, { keys: { logVkeys, anchorVkeys: [] }, makeReport: stubReport });
    expect(judged).toMatchObject({ verdict: "unchanged", files: [] });
    expect(judged.rows.map(({ report }) => report?.assurance)).toEqual(Array(4).fill("sealed"));
    expect(judged.policy).toBe(`log ${formatVkey(log.vkey)}\nquorum none\n`);
  });

  test("more is required than is shown: it cannot be told", async () => {
    const judged = await judgePack(pack, { demands: { require: "timestamped" } });
    expect(judged.verdict).toBe("untold");
    expect(judged.files).toEqual([]);
  });
});

describe("files that cannot be made anew", () => {
  test("without the report's maker it is said of the report, and a change of it with the lists does not show", async () => {
    const files = unzipped(zip);
    files.set("report.pdf", new Uint8Array(3));
    listAnew(files);
    const judged = await judgePack(await readPack(zipped(files)));
    expect(judged).toMatchObject({ verdict: "unchanged", notMadeAnew: ["verify.html", "report.pdf"] });
  });

  test("the page of this version is told from another, which accuses nobody", async () => {
    const page = unzipped(zip).get("verify.html") ?? new Uint8Array();
    const same = await judgePack(pack, { page, makeReport: stubReport });
    expect(same).toMatchObject({ verdict: "unchanged", notMadeAnew: [] });
    const other = await judgePack(pack, { page: new Uint8Array(1), makeReport: stubReport });
    expect(other).toMatchObject({ verdict: "unchanged", notMadeAnew: ["verify.html"] });
  });

  test("of another version: what it makes otherwise cannot be told, and is no change", async () => {
    const files = unzipped(zip);
    const text = new TextDecoder().decode(files.get("case.json"));
    files.set(
      "case.json",
      new TextEncoder().encode(text.replace(/"software": "[^"]+"/, '"software": "9.9.9"')),
    );
    listAnew(files);
    const judged = await judgePack(await readPack(zipped(files)), { makeReport: stubReport });
    expect(judged).toMatchObject({
      verdict: "unchanged",
      notMadeAnew: ["README.txt", "verify.html", "report.pdf"],
    });
    files.set("report.csv", new Uint8Array(3));
    listAnew(files);
    const other = await judgePack(await readPack(zipped(files)));
    expect(other).toMatchObject({ verdict: "untold", files: [{ file: "report.csv", is: "other_version" }] });
  });
});

describe("by other time zone data", () => {
  afterEach(() => {
    vi.unstubAllGlobals();
  });
  /** The zone of the pack has other rules, or there is none. */
  function haveRules(zone: string): void {
    class Other extends Intl.DateTimeFormat {
      constructor(locales?: Intl.LocalesArgument, options?: Intl.DateTimeFormatOptions) {
        super(locales, { ...options, timeZone: zone });
      }
    }
    vi.stubGlobal("Intl", Object.create(Intl, { DateTimeFormat: { value: Other } }));
  }

  test.each([
    ["whose rules are others", "Asia/Kathmandu", 4],
    ["that does not know the zone", "Mars/Olympus", "zone not known"],
  ])("%s, a pack is what it was, and that is said beside", async (_, zone, otherLocalTimes) => {
    const { judged } = await writePack(smallParts(), { makeReport: stubReport });
    expect(judged.case.offsets).toEqual([{ minutes: 60 }]);
    haveRules(zone);
    const again = await judgePack(await readPack(zip), { makeReport: stubReport });
    expect(again).toEqual({ ...judged, otherLocalTimes, notMadeAnew: ["verify.html"] });
  });

  test("that was told wrong by its maker, it holds together, and who has the right one says so", async () => {
    haveRules("Asia/Kathmandu");
    const made = await smallPack();
    vi.unstubAllGlobals();
    expect(new TextDecoder().decode(unzipped(made).get("report.csv"))).toContain(
      "2026-03-02 13:46:00+05:45,2026-03-02T08:01:00Z",
    );
    const judged = await judgePack(await readPack(made), { makeReport: stubReport });
    expect(judged).toMatchObject({ verdict: "unchanged", files: [], otherLocalTimes: 4 });
  });

  test("times without an offset, and hours of the day, are by the pack's offsets", async () => {
    const event = (recorded: string): EventInput => ({
      ...accessEvent(1),
      bytes: new TextEncoder().encode(JSON.stringify({ resourceType: "AuditEvent", recorded })),
    });
    const rows = committed([event("2026-03-02T22:30:00"), event("2026-03-02T22:10:00Z")]).map(rowOf);
    const filter = { afterHours: { from: "22:00", to: "06:00" } };
    const parts = smallParts({ lookedThrough: 2 });
    const pack = await smallPack({ ...parts, case: { ...parts.case, filter }, rows, manifests: [] });
    haveRules("America/New_York");
    const judged = await judgePack(await readPack(pack), { makeReport: stubReport });
    expect(judged).toMatchObject({ verdict: "unchanged", outsideFilter: [], otherLocalTimes: 2 });
  });
});

describe("by its own filter", () => {
  const withFilter = (filter: PackFilter, more: Partial<PackParts["case"]> = {}): PackParts => {
    const parts = smallParts();
    return { ...parts, case: { ...parts.case, filter, ...more } };
  };
  const narrowed = (pack: Uint8Array, filter: PackFilter, software?: string): Uint8Array => {
    const files = unzipped(pack);
    const about = JSON.parse(new TextDecoder().decode(files.get("case.json")));
    const changed = { ...about, filter, ...(software && { software }) };
    files.set("case.json", new TextEncoder().encode(`${JSON.stringify(changed, undefined, 2)}\n`));
    listAnew(files);
    return zipped(files);
  };

  test("rows that were not looked for are a change of the case, by whoever's keys, and told", async () => {
    const changed = narrowed(zip, { user: "Ines Beispiel" });
    for (const keys of [undefined, keysOfPolicy(PACK_POLICY)]) {
      const judged = await judgePack(await readPack(changed), keys && { keys });
      expect(judged).toMatchObject({
        verdict: "changed",
        outsideFilter: [2, 4],
        files: [{ file: "case.json", is: "differs" }],
      });
    }
  });

  test("of another version, which may compare otherwise, it cannot be told", async () => {
    const judged = await judgePack(await readPack(narrowed(zip, { user: "Ines Beispiel" }, "9.9.9")));
    expect(judged).toMatchObject({
      verdict: "untold",
      outsideFilter: [2, 4],
      files: [{ file: "case.json", is: "other_version" }],
    });
  });

  test("nothing is held against names that are withheld, nor rows that are not proven", async () => {
    const withheld = await judgedOf(
      withFilter({ patient: "withheld", list: ["withheld"] }, { withheld: "patients" }),
    );
    expect(withheld).toMatchObject({ verdict: "unchanged", outsideFilter: [] });
    const other = PACK_POLICY.replace(formatVkey(log.vkey), formatVkey(logSigner(LOG_ORIGIN, 9).vkey));
    const untold = await judgePack(await readPack(narrowed(zip, { user: "Ines Beispiel" })), {
      keys: keysOfPolicy(other),
    });
    expect(untold).toMatchObject({ verdict: "untold", outsideFilter: [] });
  });

  test("a pack with a row that it did not look for is not made", async () => {
    await expect(smallPack(withFilter({ patient: "MRN-3" }))).rejects.toMatchObject({ code: "malformed" });
  });
});

describe("rows that are not proven", () => {
  test.each(["+275760-09-13T00:00:00Z", "9999-12-31T23:59:59-23:00", "Tue, 3 Mar 2026 09:00:00 +0000"])(
    "one that says %j of its time does not date the pack, nor keep it from being made",
    async (recorded) => {
      const bytes = new TextEncoder().encode(JSON.stringify({ resourceType: "AuditEvent", recorded }));
      const part: RowPart = {
        ...{ commitment: "00".repeat(32), noProof: "pending" as const },
        event: { bytes, mediaType: "application/fhir+json" },
      };
      const judged = await judgedOf({ ...smallParts(), rows: [part], manifests: [] });
      expect(judged).toMatchObject({
        files: [],
        verdict: "untold",
        case: { asOf: "1970-01-01T00:00:00.000Z" },
      });
    },
  );

  test("a pending one cannot be told yet, and it is said why", async () => {
    const parts = smallParts();
    const [first, ...rest] = [...parts.rows].map(({ proof, ...row }, i) =>
      i === 0 ? { ...row, noProof: "pending" as const } : { ...row, ...(proof && { proof }) },
    );
    if (first === undefined) throw new TypeError("no rows");
    const judged = await judgedOf({ ...parts, rows: [first, ...rest] });
    expect(judged).toMatchObject({ verdict: "untold", files: [] });
    expect(judged.counts).toMatchObject({ unchanged: 3, untold: 1 });
    const [row] = judged.rows;
    expect(row && tellVerdict(factsOf(judged, row), VERDICT_WORDS.de).sentence).toMatch(/noch in keinem/);
  });

  test("one that was altered before it was packed is packed, and changed", async () => {
    const parts = smallParts();
    const rows = [...parts.rows].map((row, i) =>
      i === 1
        ? { ...row, event: { bytes: new TextEncoder().encode("{}"), mediaType: "application/json" } }
        : row,
    );
    const judged = await judgedOf({ ...parts, rows });
    expect(judged).toMatchObject({ verdict: "changed", files: [] });
    expect(judged.counts).toMatchObject({ unchanged: 3, changed: 1 });
  });

  test("no rows: nothing can be told", async () => {
    const judged = await judgedOf({ ...smallParts({ lookedThrough: 0 }), rows: [] });
    expect(judged).toMatchObject({ verdict: "untold", files: [] });
  });
});

describe("a pack without the patients", () => {
  const withheld = (): PackParts => {
    const parts = smallParts();
    const rows = [...parts.rows].map((row, i): RowPart => {
      const { event: _, ...rest } = row;
      return i < 2 ? rest : row;
    });
    return { ...parts, case: { ...parts.case, withheld: "patients" }, rows };
  };

  test("its withheld rows keep commitment and proof, and are never called records", async () => {
    const judged = await judgedOf(withheld());
    expect(judged).toMatchObject({ verdict: "unchanged", files: [] });
    expect(judged.counts).toEqual({ total: 4, unchanged: 2, changed: 0, untold: 0, withheld: 2 });
    const [row] = judged.rows;
    expect(row && tellVerdict(factsOf(judged, row), VERDICT_WORDS.en)).toMatchObject({
      headline: "Entry unchanged, record withheld",
    });
  });

  test("a number that a withheld row may have is not told missing", async () => {
    const { isSelection, sources } = await judgedOf(withheld());
    expect(isSelection).toBe(true);
    expect(sources).toMatchObject([{ periods: [{ verdict: "untold" }], findings: [] }]);
  });

  test("holds no opening, no nonce, no column and no source of a withheld event", async () => {
    const files = unzipped(await smallPack(withheld()));
    const proofs = new TextDecoder().decode(files.get("proofs.ndjson")).split("\n");
    const extras = proofs.slice(0, 4).map((line) => {
      const [, extra = ""] = /\nextra (\S+)\n/.exec(JSON.parse(line).proof) ?? [];
      return Buffer.from(extra, "base64").toString();
    });
    expect(extras.map((extra) => extra.includes("nonce"))).toEqual([false, false, true, true]);
    const table = new TextDecoder().decode(files.get("report.csv")).split("\r\n");
    expect(table[1]).toMatch(/^1,+Event withheld; its entry is in the log,witnessed,/);
    expect([...files.values()].some((bytes) => Buffer.from(bytes).includes("MRN-1"))).toBe(false);
  });
});

describe("what the numbering shows", () => {
  const selection = (lookedThrough: number): PackParts => {
    const parts = smallParts({ lookedThrough });
    return { ...parts, rows: [...parts.rows].slice(0, 2) };
  };
  const stated = {
    from: Date.parse("2026-03-02T08:00:00Z"),
    to: Date.parse("2026-03-02T09:00:00Z"),
    count: 4n,
  };
  const numbers = { first: 1n, last: 4n };

  test("a selection is not incomplete: of an hour whose events are not all in the pack nothing is told", async () => {
    const judged = await judgedOf(selection(4));
    expect(judged.sources).toMatchObject([{ periods: [{ verdict: "untold" }], findings: [] }]);
    expect(judged.verdict).toBe("unchanged");
    expect(judged.maker).toBeUndefined();
  });

  test("a pack that is said to hold all there was is told incomplete", async () => {
    const judged = await judgedOf(selection(2));
    expect(judged.sources).toMatchObject([
      {
        periods: [{ verdict: "incomplete" }],
        findings: [{ finding: "sequence_missing", first: "3", last: "4" }],
      },
    ]);
  });

  test("the maker's word on the whole export stands apart", async () => {
    const whole = [
      { source: "ehr", periods: [{ ...stated, numbers, verdict: "complete" as const }], findings: [] },
    ];
    const judged = await judgedOf({ ...selection(4), export: whole });
    expect(judged.maker).toEqual({ sources: whole });
    expect(judged.sources).toMatchObject([{ periods: [{ verdict: "untold" }] }]);
    expect(judged).toMatchObject({ verdict: "unchanged", files: [] });
  });

  test.each([
    [
      "counts an hour otherwise than its manifest",
      { ...stated, numbers: { first: 1n, last: 3n }, count: 3n },
      [],
    ],
    ["leaves an hour out", undefined, []],
    [
      "says that a number is missing which is in the pack",
      { ...stated, numbers },
      [{ finding: "sequence_missing" as const, source: "ehr", first: "2", last: "3" }],
    ],
  ])("a maker's word that the pack contradicts shows: it %s", async (_, period, findings) => {
    const periods = period === undefined ? [] : [{ ...period, verdict: "incomplete" as const }];
    const judged = await judgedOf({ ...selection(4), export: [{ source: "ehr", periods, findings }] });
    expect(judged).toMatchObject({ verdict: "changed", files: [{ file: "gaps.json", is: "differs" }] });
  });
});

test("it tells how far it has come, and can be stopped", async () => {
  const shares: number[] = [];
  await judgePack(pack, { onProgress: (share) => shares.push(share) });
  expect(shares.at(-1)).toBe(1);
  expect(shares).toEqual(shares.toSorted((a, b) => a - b));
  await expect(judgePack(pack, { signal: AbortSignal.abort(new Error("stopped")) })).rejects.toThrow(
    "stopped",
  );
});

test("of lines that no row names, whoever reads goes no further than to the first", () => {
  let read = 0;
  const endless = (text: string) => ({
    size: Number.MAX_SAFE_INTEGER,
    bytes: () => new Uint8Array(),
    *chunks() {
      for (; read < 100; read++) yield new TextEncoder().encode(text);
    },
  });
  const proof = `{"commitment":"${"0".repeat(64)}","proof":""}\n`;
  for (const [file, text] of [
    ["events/lines.ndjson", "\n"],
    ["proofs.ndjson", proof],
  ] as const) {
    read = 0;
    const strays: string[] = [];
    const files = new Map([[file, endless(text)]]);
    expect([...entriesOf({ files, rows: [] }, (stray, is) => strays.push(`${stray} ${is}`))]).toEqual([]);
    expect(strays).toContain(`${file} differs`);
    expect(read).toBe(0);
  }
});
