/** A report of many rows: how long it takes, and where the table ends. */
import { MAX_TABLE_ROWS, reportPdf } from "@kedge/cli/report/pdf";
import { expect, test } from "vitest";
import { judgedPack, judgedRow } from "../../../support/judged.ts";
import { readingOf, readPdf } from "../../../support/pdf.ts";

test("10,000 rows take a minute of a processor at most and 400 MB, and the table says where it goes on", async () => {
  const rows = Array.from({ length: 10_000 }, (_, i) => judgedRow(i));
  const before = process.memoryUsage().rss;
  const start = process.cpuUsage();
  const bytes = await reportPdf(judgedPack(rows));
  const { user, system } = process.cpuUsage(start);
  const ms = (user + system) / 1_000;
  const grown = (process.memoryUsage().rss - before) / 1e6;
  console.info(
    `report of ${MAX_TABLE_ROWS} of 10,000 rows: ${Math.round(ms / (MAX_TABLE_ROWS / 1_000))} ms of a processor per 1,000 rows, ${grown.toFixed(0)} MB, ${(bytes.length / 1e6).toFixed(1)} MB of PDF`,
  );
  expect(ms).toBeLessThan(60_000);
  expect(grown).toBeLessThan(400);

  const said = readingOf(readPdf(bytes).top);
  expect(said).toContain("The first 5,000 of 10,000 rows. The table goes on in report.csv");
  expect(said).toContain("Each of the 10,000 records");
  expect(said).toContain("5,000 more rows: rows.ndjson has all.");
});

test("an accounting that goes on elsewhere says so above its disclosures too", async () => {
  const disclosure = { recipient: "B. Novak", description: "Summary", purpose: "Request" };
  const columns = { when: "2026-03-14T09:00:00Z" };
  const rows = Array.from({ length: MAX_TABLE_ROWS + 1 }, (_, i) => judgedRow(i, { disclosure, columns }));
  const bytes = await reportPdf(judgedPack(rows, { case: { kind: "disclosures" } }));
  const said = readingOf(readPdf(bytes).top);
  expect(said.split("The first 5,000 of 5,001 rows.")).toHaveLength(3);
});
