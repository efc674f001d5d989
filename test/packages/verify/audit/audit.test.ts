import {
  type AuditFinding,
  addEvent,
  compareLater,
  decodeCommitments,
  type Export,
  emptyExport,
  type Published,
  periodByTime,
  sequenceFindings,
  startAudit,
  tilesCompleted,
} from "@kedge/verify/audit/audit";
import { openHead, parseHead, type SignedHead } from "@kedge/verify/audit/heads";
import { tellAuditFinding } from "@kedge/verify/audit/words";
import type { Opening } from "@kedge/verify/events/commitment";
import { checkEvidence, type Evidence, type Fork } from "@kedge/verify/evidence/evidence";
import { parseEvidence } from "@kedge/verify/evidence/evidencefile";
import { sayVerdict } from "@kedge/verify/evidence/words";
import { TlogError } from "@kedge/verify/tlog/error";
import { leafHash } from "@kedge/verify/tlog/merkle";
import { encodeBundle, encodeEntries, extendTiles, type Tile, tileKey } from "@kedge/verify/tlog/tile";
import { bytesToHex } from "@noble/hashes/utils.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LOG_ORIGIN, log, logSigner, signedHead } from "../../../support/proofs.ts";

const KEYS = { origin: LOG_ORIGIN, vkeys: [log.vkey] };
const RUNS = { numRuns: 30 };
const WIDTH = 256;
const opening: Opening = {
  v: "kedge/v1",
  canonicalisation: "raw",
  mediaType: "application/json",
  nonce: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
};

/** Commitment number `n`, unlike every other. */
const commitment = (n: number): Uint8Array => leafHash(Uint8Array.of(n >> 8, n & 0xff));
const commitments = (count: number): Uint8Array[] => Array.from({ length: count }, (_, n) => commitment(n));
const STRANGER = commitment(0xffff);
const signed = (entries: readonly Uint8Array[], signer = log): SignedHead =>
  parseHead(signedHead(LOG_ORIGIN, entries, [signer]), KEYS);

function exportOf(entries: readonly Uint8Array[]): Export {
  const all = emptyExport();
  for (const [i, entry] of entries.entries()) {
    addEvent(all, { event: "day.ndjson", line: i + 1, commitment: bytesToHex(entry), opening });
  }
  return all;
}

function judged(evidence: Evidence): string {
  const verdict = checkEvidence(evidence, KEYS.vkeys);
  return verdict.convincing ? "convincing" : sayVerdict(verdict);
}

type Options = {
  /** By default, the checkpoint of what is served. */
  head?: SignedHead;
  kept?: readonly SignedHead[];
  history?: readonly SignedHead[];
  events?: Export;
  period?: { start: bigint; end: bigint };
  tiles?: ReadonlyMap<string, Uint8Array>;
};

/** An audit of a log that serves these entries. */
function auditOf(served: readonly Uint8Array[], options: Options = {}) {
  const { head = signed(served), kept = [], history = [], events, period, tiles } = options;
  const size = BigInt(served.length);
  const audit = startAudit({
    log: KEYS,
    head,
    kept: kept.map((head) => ({ ...head, name: "kept" })),
    period: period ?? { start: 0n, end: size },
    ...(events && { events }),
  });
  const findings: AuditFinding[] = [];
  for (let at = 0; at < served.length; at += WIDTH) {
    const entries = served.slice(at, at + WIDTH);
    const [start, end] = [BigInt(at), BigInt(at + entries.length)];
    const hashTiles = tilesCompleted({ start, end }, size).map((tile) => ({
      tile,
      bytes: tiles?.get(tileKey(tile.level, tile.index)) ?? new Uint8Array(),
    }));
    findings.push(
      ...audit.add({
        entries,
        history: history.filter(({ size }) => size > start && size <= end),
        ...(tiles && { tiles: hashTiles }),
      }),
    );
  }
  const { findings: last, evidence } = audit.finish();
  findings.push(...last);
  return { findings, kinds: [...new Set(findings.map(({ finding }) => finding))].sort(), evidence, audit };
}

/** A log of up to three bundles, and a place in it. */
const place = fc
  .integer({ min: 2, max: 600 })
  .chain((size) => fc.record({ size: fc.constant(size), at: fc.nat(size - 1) }));
const twoPlaces = fc
  .integer({ min: 3, max: 600 })
  .chain((size) => fc.record({ size: fc.constant(size), a: fc.nat(size - 1), b: fc.nat(size - 1) }))
  .filter(({ a, b }) => a !== b);

/** The same entries with one removed, added, changed or moved. */
const ALTERATIONS: Record<string, (entries: Uint8Array[], at: number) => Uint8Array[]> = {
  removed: (entries, at) => entries.toSpliced(at, 1),
  added: (entries, at) => entries.toSpliced(at, 0, STRANGER),
  changed: (entries, at) => entries.with(at, STRANGER),
  moved: (entries, at) => {
    const [entry = STRANGER] = entries.slice(at, at + 1);
    return at === 0 ? [...entries.slice(1), entry] : [entry, ...entries.toSpliced(at, 1)];
  },
};

describe("a log that is as it was signed", () => {
  test("reconciles with its export, and every checkpoint of it is of its tree", () => {
    fc.assert(
      fc.property(twoPlaces, ({ size, a, b }) => {
        const entries = commitments(size);
        const earlier = [a, b].filter((n) => n > 0).map((n) => signed(entries.slice(0, n)));
        const history = earlier.toSorted((x, y) => (x.size < y.size ? -1 : 1));
        const { findings, audit } = auditOf(entries, {
          kept: earlier,
          history,
          events: exportOf(entries.toReversed()),
        });
        expect(findings).toEqual([]);
        expect(audit.matched).toMatchObject({ kept: earlier.length, history: earlier.length });
        expect(audit.found).toBe(size);
      }),
      RUNS,
    );
  });

  test("of which only a period is exported: entries outside it need no event", () => {
    fc.assert(
      fc.property(twoPlaces, ({ size, a, b }) => {
        const entries = commitments(size);
        const [start, end] = [Math.min(a, b), Math.max(a, b)];
        const options = { events: exportOf(entries.slice(start, end)) };
        const period = { start: BigInt(start), end: BigInt(end) };
        expect(auditOf(entries, { ...options, period }).findings).toEqual([]);
        const wider = { start: period.start, end: period.end + 1n };
        expect(
          auditOf(entries, { events: exportOf(entries.slice(start, end)), period: wider }).findings,
        ).toEqual([expect.objectContaining({ finding: "entry_without_event", index: String(end) })]);
      }),
      RUNS,
    );
  });
});

describe("entries that are not those that were signed", () => {
  test.each(Object.keys(ALTERATIONS))("one %s: not the root, whatever the export says", (name) => {
    fc.assert(
      fc.property(place, ({ size, at }) => {
        const entries = commitments(size);
        const altered = ALTERATIONS[name]?.(entries, at) ?? [];
        // The service must still serve as many as were signed.
        const served = [...altered, commitment(0xfffe)].slice(0, size);
        const before = entries.slice(0, at);
        const head = signed(entries);
        const { kinds, evidence } = auditOf(served, {
          head,
          kept: [signed(before)],
          events: exportOf(served),
        });
        expect(kinds).toContain("root_differs");
        expect(evidence).toBeUndefined();
      }),
      RUNS,
    );
  });
});

describe("an operator that signs what it has altered", () => {
  const EXPECTED: Record<string, string[]> = {
    removed: ["event_not_in_log"],
    added: ["entry_without_event"],
    changed: ["entry_without_event", "event_not_in_log"],
    moved: [],
  };
  test.each(Object.entries(EXPECTED))("one %s: the export shows it: %j", (name, expected) => {
    fc.assert(
      fc.property(place, ({ size, at }) => {
        const entries = commitments(size);
        const altered = ALTERATIONS[name]?.(entries, at) ?? [];
        const { findings, kinds } = auditOf(altered, { events: exportOf(entries) });
        expect(kinds).toEqual(expected);
        expect(findings).toHaveLength(expected.length);
        for (const { finding, index, entry } of findings) {
          if (finding === "entry_without_event") expect(index).toBe(String(at));
          if (finding === "event_not_in_log") expect(entry).toBe(bytesToHex(commitment(at)));
        }
      }),
      RUNS,
    );
  });

  test.each(Object.keys(ALTERATIONS))("one %s: a checkpoint of before is evidence that convinces", (name) => {
    fc.assert(
      fc.property(place, fc.nat(), fc.boolean(), ({ size, at }, more, fromHistory) => {
        const entries = commitments(size);
        const altered = [
          ...(ALTERATIONS[name]?.(entries, at) ?? []),
          ...commitments(size + (more % 300)).slice(size),
        ];
        const before = signed(entries.slice(0, at + 1 + (more % (size - at))));
        const served = name === "removed" && altered.length < before.size ? [...altered, STRANGER] : altered;
        // At its very end, an entry that was moved there has not moved.
        fc.pre(served.slice(0, Number(before.size)).some((entry, i) => entry !== entries[i]));
        const { kinds, evidence } = auditOf(served, fromHistory ? { history: [before] } : { kept: [before] });
        expect(kinds).toEqual(["checkpoint_differs", "contradiction"]);
        const again = parseEvidence(JSON.stringify(evidence));
        expect(again).toMatchObject({ kind: "fork", size: `${before.size}` });
        expect(judged(again)).toBe("convincing");
      }),
      RUNS,
    );
  });

  test("two roots of one size: evidence, whichever of the two the entries are of", () => {
    fc.assert(
      fc.property(place, fc.boolean(), ({ size, at }, isFirst) => {
        const entries = commitments(size);
        const [one, other] = [signed(entries), signed(entries.with(at, STRANGER))];
        const { kinds, evidence } = auditOf(
          entries,
          isFirst ? { head: one, kept: [other] } : { head: other, kept: [one] },
        );
        expect(kinds).toContain("contradiction");
        expect(evidence).toMatchObject({ kind: "fork", size: `${size}`, proofs: [[], []] });
        expect(evidence && judged(evidence)).toBe("convincing");
      }),
      RUNS,
    );
  });

  test("one entry twice: repeated, for a commitment stands in a log once", () => {
    fc.assert(
      fc.property(place, ({ size, at }) => {
        const entries = commitments(size);
        const { findings } = auditOf([...entries, commitment(at)], { events: exportOf(entries) });
        expect(findings).toMatchObject([{ finding: "entry_repeated", index: String(size) }]);
      }),
      RUNS,
    );
  });
});

describe("an export that is not the log's", () => {
  test("an event too few: its entry is named; one too many: its event is", () => {
    fc.assert(
      fc.property(place, ({ size, at }) => {
        const entries = commitments(size);
        expect(auditOf(entries, { events: exportOf(entries.toSpliced(at, 1)) }).findings).toMatchObject([
          { finding: "entry_without_event", index: String(at), entry: bytesToHex(commitment(at)) },
        ]);
        expect(
          auditOf(entries, { events: exportOf(entries.toSpliced(at, 0, STRANGER)) }).findings,
        ).toMatchObject([{ finding: "event_not_in_log", event: "day.ndjson", line: at + 1 }]);
      }),
      RUNS,
    );
  });

  test("copies of an event are counted, and are one", () => {
    const entries = commitments(5);
    const events = exportOf([...entries, ...entries]);
    expect(auditOf(entries, { events }).findings).toEqual([]);
    expect(events.copies).toBe(5);
  });

  test("sequence numbers: exactly those are missing that no event has, and repeated that several have", () => {
    const run = fc
      .record({ from: fc.bigInt({ min: 0n, max: 30n }), length: fc.integer({ min: 1, max: 6 }) })
      .map(({ from, length }) => Array.from({ length }, (_, i) => from + BigInt(i)));
    const numbers = fc.array(run, { maxLength: 8 }).map((runs) => runs.flat());
    const edge = numbers.map((list) => list.map((n) => 2n ** 63n - 1n - n));
    fc.assert(
      fc.property(fc.oneof(numbers, edge), (list) => {
        const all = emptyExport();
        for (const [i, number] of list.entries()) {
          const numbered = { ...opening, source: "ehr", sequence: `${number}` };
          addEvent(all, { event: "e", commitment: bytesToHex(commitment(i)), opening: numbered });
        }
        const named = { sequence_missing: new Set<bigint>(), sequence_repeated: new Set<bigint>() };
        for (const { finding, first = "", last = "", source } of sequenceFindings(all)) {
          expect(source).toBe("ehr");
          if (finding !== "sequence_missing" && finding !== "sequence_repeated") throw new Error(finding);
          for (let n = BigInt(first); n <= BigInt(last); n++) named[finding].add(n);
        }
        const sorted = list.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0));
        const [low = 0n, high = -1n] = [sorted.at(0), sorted.at(-1)];
        const every = Array.from({ length: Number(high - low) + 1 }, (_, i) => low + BigInt(i));
        expect([...named.sequence_missing].sort()).toEqual(every.filter((n) => !list.includes(n)).sort());
        const repeated = every.filter((n) => list.indexOf(n) !== list.lastIndexOf(n));
        expect([...named.sequence_repeated].sort()).toEqual(repeated.sort());
      }),
    );
  });

  test("the numbers of each source are its own", () => {
    const all = emptyExport();
    for (const [i, [source, sequence]] of [
      ["a", "1"],
      ["b", "7"],
      ["a", "2"],
      ["b", "9"],
    ].entries()) {
      const numbered = { ...opening, source: source ?? "", sequence: sequence ?? "" };
      addEvent(all, { event: "e", commitment: bytesToHex(commitment(i)), opening: numbered });
    }
    expect([...sequenceFindings(all)]).toMatchObject([
      { finding: "sequence_missing", source: "b", first: "8", last: "8" },
    ]);
  });

  test("a record that opened no event fills no gap: its number is its own word", () => {
    const all = emptyExport();
    for (const [i, role] of (["event", "absent", "event"] as const).entries()) {
      const numbered = { ...opening, source: "ehr", sequence: `${i + 1}` };
      addEvent(all, { event: "e", commitment: bytesToHex(commitment(i)), opening: numbered }, role);
    }
    expect([...sequenceFindings(all)]).toMatchObject([
      { finding: "sequence_missing", source: "ehr", first: "2", last: "2" },
    ]);
  });
});

describe("evidence", () => {
  const [entries, altered] = [commitments(300), commitments(300).with(3, STRANGER)];
  const made = (): Fork => {
    const { evidence } = auditOf(altered, { kept: [signed(entries.slice(0, 77))] });
    if (evidence === undefined) throw new Error("there is no evidence");
    return evidence;
  };

  test("of an honest log is never made, and what claims to be it does not convince", () => {
    fc.assert(
      fc.property(twoPlaces, ({ size, a }) => {
        const whole = commitments(size);
        const { evidence } = auditOf(whole, { kept: [signed(whole.slice(0, a))] });
        expect(evidence).toBeUndefined();
        const { evidence: other } = auditOf(whole, { kept: [signed(commitments(a + 1).with(a, STRANGER))] });
        const own = signed(whole.slice(0, a + 1)).note;
        for (const claimed of [other, made()]) {
          const checkpoints = [own, signed(whole).note];
          expect(judged(parseEvidence(JSON.stringify({ ...claimed, checkpoints })))).not.toBe("convincing");
        }
      }),
      RUNS,
    );
  });

  test("by a key that is not pinned is none", () => {
    const forged = auditOf(altered, { history: [signed(entries.slice(0, 77), logSigner(LOG_ORIGIN, 99))] });
    expect(forged.evidence).toBeUndefined();
    expect(forged.findings.map(tellAuditFinding)).toMatchObject([
      { finding: "checkpoint_differs", message: expect.stringMatching(/No pinned key/) },
    ]);
  });
});

describe("a checkpoint that is shown later", () => {
  const at = (size: number, name: string) => ({ ...signed(commitments(size)), name });

  test("of more entries, or the same one, is nothing", () => {
    expect(compareLater(at(5, "a"), at(5, "b")).findings).toEqual([]);
    expect(compareLater(at(5, "a"), at(6, "b")).findings).toEqual([]);
  });

  test("of fewer: the log has shrunk, which two checkpoints show and do not prove", () => {
    const { findings, evidence } = compareLater(at(6, "a"), at(5, "b"));
    expect(findings).toMatchObject([{ finding: "log_shrunk", size: "6" }]);
    expect(evidence).toMatchObject({ kind: "unproven" });
    expect(evidence && judged(evidence)).toMatch(/signed, of 5 and of 6 entries, .*ask the log/);
  });

  test("of as many with another root: a contradiction that convinces", () => {
    const other = { ...signed(commitments(5).with(0, STRANGER)), name: "b" };
    const { findings, evidence } = compareLater(at(5, "a"), other);
    expect(findings).toMatchObject([{ finding: "contradiction" }]);
    expect(evidence && judged(evidence)).toBe("convincing");
  });
});

describe("the period of two times", () => {
  const steps = fc.array(
    fc.record({ entries: fc.integer({ min: 1, max: 9 }), ms: fc.integer({ min: -3, max: 9 }) }),
    {
      maxLength: 12,
    },
  );
  const historyOf = (list: { entries: number; ms: number }[], forward: boolean): Published[] => {
    let [size, at] = [0n, 100];
    return list.map(({ entries, ms }) => {
      size += BigInt(entries);
      at += forward ? Math.abs(ms) : ms;
      return { size, at };
    });
  };

  test("has every entry that was first published in it, and if the clock never went back no other", async () => {
    const times = fc.record({
      from: fc.integer({ min: 90, max: 160 }),
      to: fc.integer({ min: 90, max: 160 }),
    });
    await fc.assert(
      fc.asyncProperty(steps, times, fc.boolean(), async (list, { from, to }, forward) => {
        const history = historyOf(list, forward);
        const size = history.at(-1)?.size ?? 0n;
        const { start, end, clockWentBack } = await periodByTime(history, size, { from, to });
        if (forward) expect(clockWentBack).toBe(false);
        for (let index = 0n; index < size; index++) {
          const at = history.find((published) => published.size > index)?.at ?? Number.NaN;
          const isIn = start <= index && index < end;
          if (from <= at && at < to) expect(isIn).toBe(true);
          else if (!clockWentBack) expect(isIn).toBe(false);
        }
      }),
    );
  });

  test("has what the history does not tell the time of: hiding a checkpoint hides no entry", async () => {
    const none = await periodByTime([], 9n, { from: 100, to: 200 });
    expect(none).toMatchObject({ start: 0n, end: 9n });
    const early = await periodByTime([{ size: 4n, at: 50 }], 9n, { from: 100, to: 200 });
    expect(early).toMatchObject({ start: 4n, end: 9n });
  });
});

describe("hash tiles", () => {
  const tilesOf = (entries: readonly Uint8Array[]) => extendTiles(0n, new Map(), entries.map(leafHash));

  test.each([1, 255, 256, 257, 600])("of %i entries: each is compared, byte for byte", (size) => {
    const entries = commitments(size);
    const tiles = tilesOf(entries);
    expect(auditOf(entries, { tiles }).findings).toEqual([]);
    for (const [key, bytes] of tiles) {
      for (const wrong of [bytes.with(bytes.length - 1, 1), bytes.slice(32), Uint8Array.of(...bytes, 0)]) {
        const { kinds, findings } = auditOf(entries, { tiles: new Map([...tiles, [key, wrong]]) });
        expect([kinds, findings.length]).toEqual([["tile_differs"], 1]);
      }
    }
  });

  test("across twice 65,536 entries, where the second level grows", { timeout: 60_000 }, () => {
    const entries = Array.from({ length: 131_400 }, (_, n) => leafHash(Uint8Array.of(n >> 16, n >> 8, n)));
    const { findings } = auditOf(entries, { tiles: tilesOf(entries) });
    expect(findings).toEqual([]);
  });
});

describe("a bundle", () => {
  const entries = commitments(3);
  const tile: Tile = { level: "entries", index: 5n, width: 3 };

  test("of as many commitments as it is wide is read", () => {
    expect(decodeCommitments(tile, encodeBundle(entries))).toEqual(entries);
  });

  test.each<[string, Uint8Array]>([
    ["narrower", encodeBundle(entries.slice(0, 2))],
    ["wider", encodeBundle(commitments(4))],
    ["with bytes after it", Uint8Array.of(...encodeBundle(entries), 0)],
    ["cut short", encodeBundle(entries).slice(0, -1)],
    ["empty", new Uint8Array()],
    ["with an entry of 31 bytes", encodeEntries([...entries.slice(0, 2), new Uint8Array(31)]).data],
    ["with an entry of 33 bytes", encodeEntries([new Uint8Array(33), ...entries.slice(0, 2)]).data],
  ])("that is %s is refused, and named", (_, bytes) => {
    expect(() => decodeCommitments(tile, bytes)).toThrow(/tile\/entries\/005\.p\/3/);
  });
});

test("a checkpoint of another log is not taken for one of this log", () => {
  const note = signedHead("other.example/log/x", commitments(3), [log]);
  expect(() => openHead(note, KEYS)).toThrow(TlogError);
  expect(() => parseHead(note, KEYS)).toThrow(TlogError);
});

test("an audit that has not seen every entry is not finished", () => {
  const head = signed(commitments(3));
  const audit = startAudit({ log: KEYS, head, kept: [], period: { start: 0n, end: 3n } });
  audit.add({ entries: commitments(2), history: [] });
  expect(() => audit.finish()).toThrow(RangeError);
});

test("of an event under several keys each is the event; none of them, or one of them twice, is a finding", () => {
  const keys = 3;
  const states = fc.array(fc.subarray([0, 1, 2]), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(states, fc.boolean(), (posted, again) => {
      const events = emptyExport();
      const under = (n: number, key: number) => ({
        event: "e",
        commitment: bytesToHex(commitment(keys * n + key)),
        opening,
      });
      for (const n of posted.keys()) addEvent(events, under(n, 2), "event", [under(n, 1), under(n, 0)]);
      const served = posted.flatMap((of, n) => of.map((key) => commitment(keys * n + key)));
      const [first] = served;
      const repeated = again && first !== undefined ? [first] : [];
      const { findings, audit } = auditOf([...served, ...repeated], { events });
      const absent = posted.flatMap((of, n) => (of.length === 0 ? [under(n, 2).commitment] : []));
      expect(
        findings.filter(({ finding }) => finding === "event_not_in_log").map(({ entry }) => entry),
      ).toEqual(absent);
      expect(findings.filter(({ finding }) => finding === "entry_repeated")).toHaveLength(repeated.length);
      expect(findings).toHaveLength(absent.length + repeated.length);
      expect(audit.found).toBe(posted.length - absent.length);
    }),
    RUNS,
  );
});
