/** What `kedge commit` wrote is never taken for an event. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { looksLikeRecord } from "@kedge/verify/cli/inputs";
import { CliError } from "@kedge/verify/cli/output";
import { readRecords, recordLine } from "@kedge/verify/cli/records";
import { EventError } from "@kedge/verify/events/error";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { makeProof } from "../../../support/proofs.ts";

let cwd: string;
beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), "kedge-records-"));
});
afterEach(() => rm(cwd, { recursive: true }));

const { opening, commitment } = makeProof({});
const hex = Buffer.from(commitment).toString("hex");
const line = recordLine({ event: "day/a.json", commitment: hex, opening });

test("records that were cut or edited are read or refused, and never committed to as an event", async () => {
  const text = line.repeat(3);
  const start = line.indexOf(hex) + hex.length + 1;
  const cut = fc.integer({ min: start, max: text.length }).map((end) => text.slice(0, end));
  const edited = fc
    .tuple(
      fc.integer({ min: line.indexOf('"opening"') + 9, max: text.length - 1 }),
      fc.string({ minLength: 1, maxLength: 3 }),
    )
    .map(([at, typed]) => text.slice(0, at) + typed + text.slice(at));
  const indented = fc
    .integer({ min: 1, max: 2 })
    .map((n) => `${JSON.stringify(JSON.parse(line), undefined, 2)}\n`.repeat(n));
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        fc.tuple(fc.oneof(cut, edited), fc.constantFrom("r.ndjson", "r.txt", "r")),
        fc.tuple(indented, fc.constantFrom("r.txt", "r")),
      ),
      async ([text, name]) => {
        await writeFile(join(cwd, name), text);
        const read = [];
        try {
          const tenantKey = "07".repeat(32);
          for await (const record of readRecords([join(cwd, name)], { tenantKey })) read.push(record);
        } catch (error) {
          expect(error instanceof CliError || error instanceof EventError).toBe(true);
        }
        for (const { commitment } of read) expect(commitment).toBe(hex);
      },
    ),
  );
});

test("an event that only mentions a record is an event", () => {
  for (const event of [
    JSON.stringify({ note: line }),
    `2026-03-02 ${line}`,
    '{"commitment":"paid in full","opening_hours":"9 to 5"}',
    "",
  ]) {
    expect(looksLikeRecord(new TextEncoder().encode(event))).toBe(false);
  }
});
