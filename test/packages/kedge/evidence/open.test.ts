import { readExports } from "@kedge/cli/evidence/exports";
import { openEvents, settleEvents } from "@kedge/cli/evidence/open";
import type { GivenRecord, OpenedEvent } from "@kedge/cli/evidence/types";
import { commitEvent, type EventInput } from "@kedge/verify/events/commitment";
import { bytesToHex } from "@noble/hashes/utils.js";
import { describe, expect, it } from "vitest";

const utf8 = (text: string) => new TextEncoder().encode(text);
const KEY = new Uint8Array(32).fill(7);
const OTHER_KEY = new Uint8Array(32).fill(8);

const audit = (i: number) =>
  `{"resourceType":"AuditEvent","id":"e${i}","recorded":"${new Date(1_772_000_000_000 + 1_000 * i).toISOString()}"}`;

function record(event: string, line: number | undefined, input: EventInput, key = KEY): GivenRecord {
  const { commitment, opening } = commitEvent(input, { tenantKey: key });
  return { event, ...(line === undefined ? {} : { line }), commitment: bytesToHex(commitment), opening };
}
const fhir = (text: string, number?: number): EventInput => ({
  bytes: utf8(text),
  mediaType: "application/fhir+json",
  ...(number === undefined ? {} : { source: "ehr", sequence: BigInt(number) }),
});
const numbered = (count: number) =>
  Array.from({ length: count }, (_, i) => record("ehr.ndjson", i + 1, fhir(audit(i), i + 1)));

function open(name: string, text: string, options: Parameters<typeof openEvents>[1]) {
  const opening = openEvents(readExports([{ name, bytes: utf8(text) }]), options);
  const events: OpenedEvent[] = [];
  for (;;) {
    const step = opening.next();
    if (step.done) return { events, ...step.value };
    events.push(step.value);
  }
}
const lines = (numbers: readonly number[], end = "\n") => numbers.map((i) => audit(i) + end).join("");
const idsOf = (events: readonly OpenedEvent[]) =>
  events.map(({ bytes, commitment }) => [
    /"id":"(e\d+)"/.exec(new TextDecoder().decode(bytes))?.[1],
    commitment,
  ]);

describe("records", () => {
  it("open the events of their names and lines", () => {
    const records = numbered(50);
    const { events, unused, untold } = open("ehr.ndjson", lines([...records.keys()]), { records });
    expect(events.map(({ commitment }) => commitment)).toEqual(records.map(({ commitment }) => commitment));
    expect(events.every(({ opening }, i) => opening?.sequence === `${i + 1}`)).toBe(true);
    expect({ unused, untold }).toEqual({ unused: [], untold: 0 });
  });

  it("open the same bytes in other lines, of a file of another name, with another line end", () => {
    const records = numbered(60);
    const order = [...records.keys()].toSorted((a, b) => ((a * 37) % 60) - ((b * 37) % 60));
    const { events, unused } = open("export-march.ndjson", lines(order, "\r\n"), { records });
    expect(new Map(idsOf(events).map(([id, hex]) => [id, hex]))).toEqual(
      new Map(records.map(({ commitment }, i) => [`e${i}`, commitment])),
    );
    expect(events.every(({ bytes }) => bytes.at(-1) === 0x7d)).toBe(true);
    expect(unused).toEqual([]);
  });

  it("tell which event was changed, which has none, and which record has no event", () => {
    const records = numbered(10);
    const text = `${lines([0, 1, 2]) + audit(3).replace("e3", "f3")}\n${lines([4, 5, 6, 7, 8])}${audit(99)}`;
    const { events, unused } = open("ehr.ndjson", text, {
      records: [...records.slice(0, 7), ...records.slice(8)],
    });
    const changed = events.filter(({ changedFrom }) => changedFrom !== undefined);
    expect(changed.map(({ line }) => line)).toContain(4);
    expect(changed.every(({ commitment }) => commitment === undefined)).toBe(true);
    expect(events.filter(({ commitment }) => commitment !== undefined)).toHaveLength(7);
    expect(unused.length + changed.length).toBe(2);
  });

  it("of a journal in the order of time are found for an export in any order", () => {
    const records = numbered(800).map((one, i) => ({
      ...one,
      event: `events/ehr-${i + 1}.json`,
      line: undefined,
    }));
    const order = [...records.keys()].toSorted((a, b) => ((a * 301) % 800) - ((b * 301) % 800));
    const journal = records.map(({ line: _, ...rest }): GivenRecord => rest);
    const { events, untold } = open("export.ndjson", lines(order), { records: journal });
    expect(untold).toBe(0);
    expect(events.filter(({ commitment }) => commitment !== undefined)).toHaveLength(800);
  });

  it("open a file that was committed as a whole, in place of its parts", () => {
    const bundle = `{"resourceType":"Bundle","entry":[{"resource":${audit(1)}},{"resource":${audit(2)}}]}`;
    const records = [record("b.json", undefined, fhir(bundle))];
    const { events } = open("b.json", bundle, { records });
    expect(events.map(({ commitment }) => commitment)).toEqual([records[0]?.commitment]);
  });

  it("open a header only where it was committed as an event", () => {
    const text = "ACCESS_TIME,USER_ID,PAT_MRN_ID\n2026-03-01 08:00:00,u1,17\n";
    const row = (line: string): EventInput => ({ bytes: utf8(line), mediaType: "text/csv" });
    const [header = "", first = ""] = text.split("\n");
    const ofRow = record("a.csv", 2, row(first));
    const withHeader = open("a.csv", text, { records: [record("a.csv", 1, row(header)), ofRow] });
    expect(withHeader.events).toHaveLength(2);
    expect(withHeader.unused).toEqual([]);
    const without = open("a.csv", text, { records: [ofRow] });
    expect(without.events.map(({ columns }) => columns.user?.login)).toEqual(["u1"]);
  });
});

describe("tenant keys", () => {
  it("make the commitment of an event that was not numbered, under the key that the log knows it by", () => {
    const posted = record("a", 1, fhir(audit(1)), OTHER_KEY).commitment;
    const { events } = open("a.ndjson", lines([1]), { tenantKeys: [KEY, OTHER_KEY] });
    const [settled, ...others] = settleEvents(events, (hex) => hex === posted);
    expect(settled?.commitment).toBe(posted);
    expect(others).toEqual([]);
  });

  it("find a line that was posted without its carriage return, and its bytes are those that were posted", () => {
    const posted = record("a", 1, fhir(audit(1))).commitment;
    const { events } = open("a.ndjson", lines([1, 2], "\r\n"), { tenantKeys: [KEY] });
    const [settled] = settleEvents(events, (hex) => hex === posted);
    expect(new TextDecoder().decode(settled?.bytes)).toBe(audit(1));
  });

  it("take a document as what the log knows: a whole, or its parts", () => {
    const bundle = `{"resourceType":"Bundle","entry":[{"resource":${audit(1)}},{"resource":${audit(2)}}]}`;
    const { events } = open("b.json", bundle, { tenantKeys: [KEY] });
    const whole = record("b", undefined, fhir(bundle)).commitment;
    const parts = [audit(1), audit(2)].map((part) => record("b", undefined, fhir(part)).commitment);
    expect(settleEvents(events, (hex) => hex === whole).map(({ commitment }) => commitment)).toEqual([whole]);
    expect(settleEvents(events, (hex) => parts.includes(hex)).map(({ commitment }) => commitment)).toEqual(
      parts,
    );
    expect(settleEvents(events, () => false)).toHaveLength(2);
  });

  it("make nothing of a changed event that its record does not say better", () => {
    const records = numbered(3);
    const text = `${lines([0]) + audit(1).replace("e1", "x1")}\n${lines([2])}`;
    const { events } = open("ehr.ndjson", text, { records, tenantKeys: [KEY] });
    const settled = settleEvents(events, (hex) => records.some(({ commitment }) => commitment === hex));
    const [changed] = settled.filter(({ changedFrom }) => changedFrom !== undefined);
    expect(changed?.changedFrom).toMatchObject({ commitment: records[1]?.commitment });
    expect(changed).not.toHaveProperty("commitment");
  });

  it("find a record at once, whatever its place, and leave what it says of its number to the key", () => {
    const records = Array.from({ length: 300 }, (_, i) => record("x", i + 1, fhir(audit(i))));
    const order = [...records.keys()].toSorted((a, b) => ((a * 101) % 300) - ((b * 101) % 300));
    const { events, untold } = open("y.ndjson", lines(order), { records, tenantKeys: [KEY] });
    expect(untold).toBe(0);
    expect(events.every(({ commitment }) => commitment !== undefined)).toBe(true);
  });
});

it("without records and keys an event has no commitment, and its columns are there", () => {
  const { events } = open("a.ndjson", lines([1]), {});
  expect(events).toMatchObject([{ columns: { when: new Date(1_772_000_001_000).toISOString() } }]);
  expect(events[0]).not.toHaveProperty("commitment");
});
