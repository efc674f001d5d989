/** Records find their events by what these hold, wherever they stand, in bounded work. */
import { type Pair, type PairedEvent, type PairedRecord, startPairing } from "@kedge/verify/audit/pairing";
import { commitEvent } from "@kedge/verify/events/commitment";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

const bytesOf = (n: number) => new TextEncoder().encode(`{"n":${n}}`);
const eventOf = (n: number, line = n + 1, path = `export.ndjson.${line}`): PairedEvent => ({
  event: "export.ndjson",
  line,
  path,
  bytes: bytesOf(n),
});
/** Of event `n`, with a nonce that no key gives, made from standard input. */
function recordOf(n: number): PairedRecord {
  const nonce = new Uint8Array(32).fill(n + 1);
  new DataView(nonce.buffer).setUint32(0, n);
  const { commitment, opening } = commitEvent(
    { bytes: bytesOf(n), mediaType: "application/json" },
    { nonce },
  );
  const hex = Buffer.from(commitment).toString("hex");
  return { event: "-", line: n + 1, path: `stdin.${n + 1}`, commitment: hex, opening };
}

function pair(records: readonly PairedRecord[], events: readonly PairedEvent[]): Pair[] {
  const pairing = startPairing(records);
  return [...events.flatMap((event) => pairing.add(event)), ...pairing.finish()];
}
function kinds(pairs: readonly Pair[]) {
  const counts: Record<string, number> = {};
  for (const { kind } of pairs) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

const upTo = (n: number) => Array.from({ length: n }, (_, i) => i);

test("in any order, with any left out and any that are new, each record opens its own event and no other", () => {
  fc.assert(
    fc.property(
      fc.shuffledSubarray(upTo(40)),
      fc.shuffledSubarray(upTo(40)),
      fc.array(fc.integer({ min: 100, max: 120 }), { maxLength: 5 }),
      (recorded, given, strange) => {
        const events = [...given, ...strange].map((n, i) => eventOf(n, i + 1));
        const pairs = pair(recorded.map(recordOf), events);
        const opened = pairs.flatMap((found) => (found.kind === "opened" ? [found] : []));
        for (const { event, record } of opened) expect(event.bytes).toEqual(bytesOf((record.line ?? 0) - 1));
        expect(opened.length).toBe(given.filter((n) => recorded.includes(n)).length);
        const { changed = 0, unopened = 0, unused = 0 } = kinds(pairs);
        expect(changed + unopened + opened.length).toBe(events.length);
        expect(changed + unused + opened.length).toBe(recorded.length);
      },
    ),
    { numRuns: 50 },
  );
});

describe("of a thousand lines", () => {
  const lines = upTo(1_000);
  const records = lines.map(recordOf);
  const given = (order: readonly number[]) => order.map((n, i) => eventOf(n, i + 1));

  test("one that was deleted is one record without an event; one that is new, one event without a record", () => {
    expect(kinds(pair(records, given(lines.toSpliced(5, 1))))).toEqual({ opened: 999, unused: 1 });
    expect(kinds(pair(records, given(lines.toSpliced(5, 0, 7_000))))).toEqual({ opened: 1_000, unopened: 1 });
  });

  test("some that were altered are changed, in their places", () => {
    const pairs = pair(records, given(lines.with(5, 7_000).with(6, 7_001).with(900, 7_002)));
    expect(kinds(pairs)).toEqual({ opened: 997, changed: 3 });
    const changed = pairs.flatMap((found) => (found.kind === "changed" ? [found] : []));
    expect(changed.map(({ event, record }) => [event.line, record.line])).toEqual([
      [6, 6],
      [7, 7],
      [901, 901],
    ]);
  });

  test("a block that was deleted, or is new, is no more than that, in few tries", () => {
    const few = (order: readonly number[]) => {
      const pairing = startPairing(records, 100_000);
      const pairs = [...given(order).flatMap((event) => pairing.add(event)), ...pairing.finish()];
      return kinds(pairs);
    };
    expect(few(lines.toSpliced(100, 300))).toEqual({ opened: 700, unused: 300 });
    const fresh = Array.from({ length: 200 }, (_, i) => 7_000 + i);
    expect(few(lines.toSpliced(100, 0, ...fresh))).toEqual({ opened: 1_000, unopened: 200 });
  });

  test("a copy of one is of the same record", () => {
    expect(kinds(pair(records, given([...lines, 3])))).toEqual({ opened: 1_001 });
    // Also while another record is free, and when the copy comes before it.
    expect(kinds(pair(records, given([...lines.slice(1), 3, 3])))).toEqual({ opened: 1_001, unused: 1 });
    expect(kinds(pair(records, given([900, ...lines])))).toEqual({ opened: 1_001 });
  });

  test("two that are the same have each their own record, far apart, and together in a sorted export", () => {
    const twice = lines.with(700, 10);
    const records = twice.map((n, at) => {
      const nonce = new Uint8Array(32).fill(at);
      new DataView(nonce.buffer).setUint32(0, at);
      const { commitment, opening } = commitEvent(
        { bytes: bytesOf(n), mediaType: "application/json" },
        { nonce },
      );
      const hex = Buffer.from(commitment).toString("hex");
      return { event: "-", line: at + 1, path: `stdin.${at + 1}`, commitment: hex, opening };
    });
    for (const order of [twice.toSorted((a, b) => a - b), twice, twice.toReversed()]) {
      const pairs = pair(records, given(order));
      const used = new Set(pairs.map((found) => found.kind === "opened" && found.record.commitment));
      expect([kinds(pairs), used.size]).toEqual([{ opened: 1_000 }, 1_000]);
    }
    // One more is a copy. Without tries left, no record is said to be of no event.
    expect(kinds(pair(records, given([...twice, 10])))).toEqual({ opened: 1_001 });
    const pairing = startPairing(records, 5);
    const pairs = [...given([10, 10]).flatMap((event) => pairing.add(event)), ...pairing.finish()];
    expect(kinds(pairs)).toEqual({ opened: 2, untold: 1 });
  });
});

test("what would take too many tries is not tried, and is said to be untold", () => {
  const [records, events] = [upTo(100).map(recordOf), upTo(100).map((n) => eventOf(n + 10_000))];
  const pairing = startPairing(records, 9_000);
  const pairs = [...events.flatMap((event) => pairing.add(event)), ...pairing.finish()];
  expect(pairs).toEqual([{ kind: "untold", events: 100, records }]);
  expect(kinds(pair(records, events))).toEqual({ changed: 100 });
});

test("files that have the names of others, too many to be tried, are not called changed", () => {
  const named = (n: number) => ({ event: `${n}.json`, path: `${n}.json` });
  const records = upTo(600).map((n) => ({ ...recordOf(n), ...named(n) }));
  const events = upTo(600).map((n) => ({ ...named(n), bytes: bytesOf((n * 241) % 600) }));
  const pairing = startPairing(records, 1_000);
  const pairs = [...events.flatMap((event) => pairing.add(event)), ...pairing.finish()];
  const { opened = 0, ...others } = kinds(pairs);
  expect(others).toEqual({ untold: 1 });
  expect(pairs.at(-1)).toMatchObject({ kind: "untold", events: 600 - opened });
  expect(kinds(pair(records, events))).toEqual({ opened: 600 });
});

test("with the tenant key, order and names do not matter, however many there are", () => {
  const tenantKey = new Uint8Array(32).fill(7);
  const made = upTo(3_000).map((n) => {
    const bytes = bytesOf(n);
    const { commitment, opening } = commitEvent({ bytes, mediaType: "application/json" }, { tenantKey });
    return {
      event: "-",
      line: n + 1,
      path: `stdin.${n + 1}`,
      commitment: Buffer.from(commitment).toString("hex"),
      opening,
    };
  });
  const events = made.map((derived, n) => ({ ...eventOf(n), derived: [derived] })).toReversed();
  expect(kinds(pair(made, events))).toEqual({ opened: 3_000 });
});

test("with the tenant key, a record's source and number are those that the key gives, and not what it says", () => {
  const tenantKey = new Uint8Array(32).fill(7);
  const event = eventOf(1);
  const { commitment, opening } = commitEvent(
    { bytes: event.bytes, mediaType: "application/json" },
    { tenantKey },
  );
  const derived = { event: "e", commitment: Buffer.from(commitment).toString("hex"), opening };
  const forged = { ...derived, path: "e", opening: { ...opening, source: "ehr", sequence: "7" } };
  // The copy is of another media type by its name, so the key gives another commitment.
  const copy = { ...event, derived: [{ ...derived, commitment: "00".repeat(32) }] };
  for (const found of pair([forged], [{ ...event, derived: [derived] }, copy])) {
    expect(found).toMatchObject({ kind: "opened", record: { commitment: derived.commitment } });
    expect(found.kind === "opened" && found.record.opening).toEqual(opening);
  }
});
