/** An export of more events than are looked through at once: refused in words, wherever the last of them stands. */
import { readExports } from "@kedge/cli/evidence/exports";
import { openEvents } from "@kedge/cli/evidence/open";
import { commitEvent } from "@kedge/verify/events/commitment";
import { bytesToHex } from "@noble/hashes/utils.js";
import { expect, test } from "vitest";

test("a million events are read, and one more is refused", () => {
  const bytes = new TextEncoder().encode("a b\n".repeat(1_000_000));
  const files = [
    { name: "a.log", bytes },
    { name: "b.log", bytes: new TextEncoder().encode("a b\n") },
  ];
  let count = 0;
  const readAll = () => {
    for (const _ of readExports(files)) count += 1;
  };
  expect(readAll).toThrow(/^b\.log: with it there are more than 1000000 events/);
  expect(count).toBe(1_000_000);
});

test.each([
  ["export.ndjson", `${"{}\n".repeat(1_000_002)}`],
  ["export.csv", `WHO,WHAT\n${"a,b\n".repeat(1_000_002)}`],
])("of %s with more than a million none is read before it is refused", (name, text) => {
  const preset = { "user.login": "WHO" };
  const events = readExports([{ name, bytes: new TextEncoder().encode(text) }], { preset });
  expect(() => events.next()).toThrow(/^export\.\w+: it has more than 1000000 events.*shorter period/);
});

test("blank lines are none of them", () => {
  const bytes = new TextEncoder().encode(`a b c\n${"\r\n\n".repeat(1_000_002)}`);
  expect([...readExports([{ name: "a.log", bytes }])]).toHaveLength(1);
});

test("a large file as a whole is held against a few records, however many there are", () => {
  const bytes = new TextEncoder().encode(`a b c\n${"x".repeat(40 << 20)}\n`);
  const nonce = new Uint8Array(32);
  const { commitment, opening } = commitEvent({ bytes, mediaType: "text/plain" }, { nonce });
  const own = { event: "other.log", commitment: bytesToHex(commitment), opening };
  const other = { ...own, commitment: "0".repeat(64) };
  const openedBy = (before: number): number => {
    const records = [...Array.from({ length: before }, () => ({ ...other })), own];
    const events = [...openEvents(readExports([{ name: "a.log", bytes }]), { records })];
    return events.filter((event) => event.commitment === own.commitment).length;
  };
  expect(openedBy(2)).toBe(1);
  // 256 MiB are hashed: six times these 40.
  expect(openedBy(8)).toBe(0);
});
