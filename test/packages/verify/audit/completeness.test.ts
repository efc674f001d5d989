/** Completeness: whatever is taken out, doubled, replaced or put in another order shows, and nothing else does. */
import {
  addNumbered,
  type GivenManifest,
  judgeSource,
  noNumbered,
  type SourceCompleteness,
} from "@kedge/verify/audit/completeness";
import { tellAuditFinding } from "@kedge/verify/audit/words";
import { HOUR, type Manifest } from "@kedge/verify/events/manifest";
import { leafHash, rootOf } from "@kedge/verify/tlog/merkle";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

const START = Date.parse("2026-03-01T08:00:00Z");
const commitmentOf = (number: bigint) => sha256(utf8ToBytes(`event ${number}`));
const idOf = (i: number) => sha256(utf8ToBytes(`manifest ${i}`));

/** What an agent makes of so many events in each hour; every manifest is sealed five minutes after its hour. */
function chain(counts: readonly number[]): GivenManifest[] {
  let next = 1n;
  return counts.map((count, i) => {
    const numbers = Array.from({ length: count }, (_, n) => next + BigInt(n));
    next += BigInt(count);
    const [first, last] = [numbers[0], numbers.at(-1)];
    const to = START + (i + 1) * HOUR;
    const manifest: Manifest = {
      ...{ source: "ehr", from: START + i * HOUR, to },
      ...(first !== undefined && last !== undefined && { numbers: { first, last } }),
      root: rootOf(numbers.map((number) => leafHash(commitmentOf(number)))),
      ...(i > 0 && { previous: idOf(i - 1) }),
    };
    return {
      manifest,
      number: BigInt(i + 1),
      commitment: idOf(i),
      index: BigInt(10 * i),
      sealedAt: to + 300_000,
    };
  });
}

function eventsOf(numbers: readonly bigint[], replaced?: bigint) {
  const events = noNumbered();
  for (const number of numbers) {
    addNumbered(events, number, bytesToHex(commitmentOf(number === replaced ? -number : number)));
  }
  return events;
}
const upTo = (total: number) => Array.from({ length: total }, (_, i) => BigInt(i + 1));
const kinds = ({ findings }: SourceCompleteness) => findings.map(({ finding }) => finding);
const verdicts = ({ periods }: SourceCompleteness) => periods.map(({ verdict }) => verdict);
/** A random order, by keys that fast-check gives and shrinks. */
const shuffled = <T>(items: readonly T[], keys: readonly number[]): T[] =>
  items
    .map((item, i) => ({ item, key: keys[i % keys.length] ?? 0 }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item);

const counts = fc.array(fc.nat({ max: 5 }), { minLength: 1, maxLength: 8 });
const keys = fc.array(fc.integer(), { minLength: 1, maxLength: 50 });
const sum = (of: readonly number[]) => of.reduce((a, b) => a + b, 0);

describe("events against their manifests", () => {
  test("all of them, in whatever order, are complete, and periods of none too", () => {
    fc.assert(
      fc.property(counts, keys, (of, order) => {
        const judged = judgeSource(
          "ehr",
          shuffled(chain(of), order),
          eventsOf(shuffled(upTo(sum(of)), order)),
        );
        expect(kinds(judged)).toEqual([]);
        expect(verdicts(judged)).toEqual(of.map(() => "complete"));
        expect(judged.periods.map(({ count }) => Number(count))).toEqual(of);
      }),
    );
  });

  test("those that are taken out are named, each with its period, at the ends too, and no other", () => {
    fc.assert(
      fc.property(
        counts,
        keys,
        fc.array(fc.boolean(), { minLength: 40, maxLength: 40 }),
        (of, order, takes) => {
          const all = upTo(sum(of));
          const gone = all.filter((_, i) => takes[i]);
          const rest = shuffled(
            all.filter((_, i) => !takes[i]),
            order,
          );
          const { findings, periods } = judgeSource("ehr", chain(of), eventsOf(rest));
          const named = findings.flatMap(({ finding, first = "0", last = "-1", from }) => {
            expect(finding).toBe("sequence_missing");
            expect(from).toBeDefined();
            return all.filter((number) => number >= BigInt(first) && number <= BigInt(last));
          });
          expect(named).toEqual(gone);
          for (const { numbers, verdict } of periods) {
            const isHit = numbers && gone.some((number) => number >= numbers.first && number <= numbers.last);
            expect(verdict).toBe(isHit ? "incomplete" : "complete");
          }
        },
      ),
    );
  });

  test("one that was replaced under its number breaks its period's root, and no other period", () => {
    fc.assert(
      fc.property(counts, fc.nat(), (of, which) => {
        const total = sum(of);
        fc.pre(total > 0);
        const replaced = BigInt((which % total) + 1);
        const judged = judgeSource("ehr", chain(of), eventsOf(upTo(total), replaced));
        expect(kinds(judged)).toEqual(["manifest_root"]);
        for (const { numbers, verdict } of judged.periods) {
          const isHit = numbers && replaced >= numbers.first && replaced <= numbers.last;
          expect(verdict).toBe(isHit ? "incomplete" : "complete");
        }
      }),
    );
  });

  test("a number that is there twice makes its period incomplete, whichever of the two is the event", () => {
    const events = eventsOf(upTo(4));
    addNumbered(events, 3n, bytesToHex(commitmentOf(99n)));
    expect(verdicts(judgeSource("ehr", chain([2, 2]), events))).toEqual(["complete", "incomplete"]);
  });

  test("without events nothing is said of them, and the manifests are held against each other all the same", () => {
    const [first, , third] = chain([2, 2, 2]);
    if (first === undefined || third === undefined) throw new Error("three");
    const judged = judgeSource("ehr", [first, third], undefined);
    expect(judged.findings).toEqual([
      {
        finding: "manifest_missing",
        source: "ehr",
        from: "2026-03-01T09:00:00Z",
        to: "2026-03-01T10:00:00Z",
        first: "3",
        last: "4",
      },
    ]);
    expect(verdicts(judged)).toEqual(["untold", "untold"]);
  });

  test("numbers beyond what any manifest counts are not judged, but a gap among them shows", () => {
    const judged = judgeSource("ehr", chain([2]), eventsOf([1n, 2n, 3n, 6n, 7n]));
    expect(judged.findings).toEqual([{ finding: "sequence_missing", source: "ehr", first: "4", last: "5" }]);
    expect(verdicts(judged)).toEqual(["complete"]);
  });

  test("a manifest that counts more numbers than there can be takes no more time than one that counts few", () => {
    const [one] = chain([1]);
    if (one === undefined) throw new Error("one");
    const last = 10n ** 17n;
    const hostile = { ...one, manifest: { ...one.manifest, numbers: { first: 1n, last } } };
    const judged = judgeSource("ehr", [hostile], eventsOf([5n]));
    expect(judged.findings.map(({ first, last }) => [first, last])).toEqual([
      ["1", "4"],
      ["6", `${last}`],
    ]);
  });
});

describe("manifests against each other", () => {
  test("whichever are taken out between others, their hours are named", () => {
    fc.assert(
      fc.property(counts, fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }), (of, takes) => {
        const all = chain(of);
        const given = all.filter((_, i) => !takes[i]);
        const { findings } = judgeSource("ehr", given, undefined);
        const missing = findings.filter(({ finding }) => finding === "manifest_missing");
        expect(missing).toHaveLength(findings.length);
        const [first, last] = [given[0], given.at(-1)];
        const hours = missing.reduce(
          (n, { from = "", to = "" }) => n + (Date.parse(to) - Date.parse(from)) / HOUR,
          0,
        );
        const span =
          first === undefined || last === undefined
            ? 0
            : (last.manifest.to - first.manifest.from) / HOUR - given.length;
        expect(hours).toBe(span);
      }),
    );
  });

  test("of two for one period the earlier in the log counts, in whatever order they are given; the other is a finding", () => {
    fc.assert(
      fc.property(counts, keys, fc.nat(), fc.boolean(), (of, order, which, isInLog) => {
        const all = chain(of);
        const own = all[which % all.length];
        if (own === undefined) throw new Error("one");
        // Made later, to hide that an event was taken out: no numbers at all.
        const { numbers: _, ...bare } = own.manifest;
        const other: GivenManifest = {
          manifest: { ...bare, root: rootOf([]) },
          ...{ number: 99n, commitment: sha256(utf8ToBytes("other")) },
          ...(isInLog && { index: 1_000_000n }),
        };
        const judged = judgeSource("ehr", shuffled([...all, other], order), eventsOf(upTo(sum(of))));
        expect(kinds(judged)).toEqual(["manifest_repeated"]);
        expect(judged.findings[0]?.entry).toBe(bytesToHex(other.commitment));
        expect(verdicts(judged)).toEqual(of.map(() => "complete"));
      }),
    );
  });

  test("a manifest that names another one before it, or none, or one before the first, breaks the chain", () => {
    const all = chain([1, 1, 1]);
    const withPrevious = (i: number, previous: Uint8Array | undefined) =>
      all.map((one, n) => {
        const { previous: _, ...rest } = one.manifest;
        return n === i ? { ...one, manifest: { ...rest, ...(previous && { previous }) } } : one;
      });
    for (const given of [withPrevious(1, idOf(7)), withPrevious(1, undefined), withPrevious(0, idOf(7))]) {
      const judged = judgeSource("ehr", given, eventsOf(upTo(3)));
      expect(kinds(judged)).toEqual(["manifest_chain"]);
      expect(verdicts(judged)).toContain("untold");
    }
    // Those before may not have been given: the first that was names one.
    expect(kinds(judgeSource("ehr", all.slice(1), eventsOf([2n, 3n])))).toEqual([]);
  });

  test("numbers before the first of a first manifest are left out too", () => {
    const all = chain([2, 2])
      .slice(1)
      .map((one) => {
        const { previous: _, ...manifest } = one.manifest;
        return { ...one, number: 1n, manifest };
      });
    const { findings } = judgeSource("ehr", all, eventsOf([3n, 4n]));
    expect(findings).toMatchObject([{ finding: "manifest_numbers", first: "1", last: "2" }]);
  });

  test("numbers that are left out between two, or counted twice, are findings", () => {
    const shifted = (by: bigint) =>
      chain([2, 2]).map((one, i) => {
        const { numbers } = one.manifest;
        if (i === 0 || numbers === undefined) return one;
        const moved = { first: numbers.first + by, last: numbers.last + by };
        return { ...one, manifest: { ...one.manifest, numbers: moved } };
      });
    const left = judgeSource("ehr", shifted(2n), undefined).findings;
    expect(left).toMatchObject([{ finding: "manifest_numbers", first: "3", last: "4" }]);
    const twice = judgeSource("ehr", shifted(-1n), undefined).findings;
    expect(twice).toMatchObject([
      { finding: "manifest_numbers", first: "2", last: "2", detail: { isTwice: true } },
    ]);
  });

  test("one that came into the log more than a day after its hour is late; one that is not in it says nothing", () => {
    const [early, late, absent] = chain([1, 1, 1]);
    if (early === undefined || late === undefined || absent === undefined) throw new Error("three");
    const { index: _, sealedAt: __, ...outside } = absent;
    const given = [early, { ...late, sealedAt: late.manifest.to + 25 * HOUR }, outside];
    const judged = judgeSource("ehr", given, eventsOf(upTo(3)));
    expect(judged.findings).toMatchObject([{ finding: "manifest_late", detail: { hours: 25 } }]);
    expect(verdicts(judged)).toEqual(["complete", "complete", "untold"]);
  });

  test("every finding has words of its own", () => {
    const all = chain([2, 2, 2]);
    const found = [
      ...judgeSource("ehr", all, eventsOf([1n, 2n, 4n, 5n, 6n], 5n)).findings,
      ...judgeSource("ehr", all.toSpliced(1, 1), undefined).findings,
    ];
    const said = found.map((finding) => tellAuditFinding(finding).message);
    expect(said).toEqual([
      expect.stringMatching(
        /has no event of number 3: its manifest for 2026-03-01T09:00:00Z to .* counts it/,
      ),
      expect.stringMatching(/counts other events than you gave/),
      expect.stringMatching(/no manifest for .* Numbers 3 to 4 are in no manifest/),
    ]);
  });
});
