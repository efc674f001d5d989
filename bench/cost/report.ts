/** The bill in Markdown, with what it rests on. */
import { cpus } from "node:os";
import { figure, table } from "../report.ts";
import { ASSUMED, type Bill, type Memory, type ProofPrice, type Use } from "./bill.ts";
import type { Load, Month } from "./month.ts";
import { PRICES, PRICES_OF, type Region } from "./prices.ts";

export type Result = Bill & {
  readonly load: Load;
  readonly use: Use;
  readonly region: Region;
  readonly memory: Memory;
  readonly month: Month;
  readonly proofs: readonly ProofPrice[];
};

/** A tenth of the bill is worth a thought. */
const MUCH = 0.1;

export function markdown(result: Result): string {
  const { load, region, month, lines, usd, usdPerMillion } = result;
  const bill = table(
    ["", "of", "quantity", "unit", "USD", "share"],
    lines.map(({ price, what, quantity, usd: cost }) => [
      PRICES[price].page.replace(/^(Amazon|AWS) | pricing.*$/g, ""),
      what,
      figure(quantity),
      PRICES[price].unit,
      cost.toFixed(2),
      `${((100 * cost) / usd).toFixed(1)} %`,
    ]),
  );
  const frequency = [
    `${figure(month.requests)} requests, ${figure(month.seals)} seals of ${figure(month.requestsPerSeal)} requests each`,
    `${figure(month.sealerRuns)} runs of the sealer by ${load.streamShards} stream shards`,
    `${figure(month.anchorRuns)} anchor runs of ${figure(month.checkpointsPerAnchor)} checkpoints each`,
  ];
  return [
    `${figure(load.events)} events a month, ${figure(load.batch)} a request, ${load.tenants} tenants, sealed every ${load.sealSeconds} s, in ${region}:`,
    `${frequency.join("; ")}.\n`,
    `${bill}\n`,
    `**$${usd.toFixed(2)} a month, $${usdPerMillion.toFixed(2)} per million events.** ${verdict(result)}\n`,
    `${dominating(result)}\n`,
    `${storage(result)}\n`,
    `${proofTable(result)}\n`,
    "Assumed, not measured:\n",
    ...assumptions(result),
    "",
  ].join("\n");
}

function verdict({ target, usdPerMillion }: Bill): string {
  if (target === undefined) return "No target is set for this shape.";
  const met = usdPerMillion <= target ? "met" : `missed, ${figure(usdPerMillion / target)} times over`;
  return `Target, at most $${target.toFixed(2)}: ${met}.`;
}

function dominating({ lines, usd }: Bill): string {
  const largest = lines.filter((line) => line.usd > MUCH * usd).sort((a, b) => b.usd - a.usd);
  const named = largest.map(
    ({ price, what, usd: cost }) => `${PRICES[price].unit} for ${what} (${percent(cost / usd)})`,
  );
  return `A tenth of it or more, each: ${named.join(", ") || "nothing"}.`;
}

const percent = (share: number): string => `${Math.round(100 * share)} %`;

/** What is stored stays: the lines that grow by themselves. */
function storage({ lines, use }: Result): string {
  const stored = lines.filter(({ price }) => /^(tableStorage|recovery|bucketStorage)$/.test(price));
  const growth = stored.reduce((sum, line) => sum + line.usd, 0) / use.months;
  const after = (months: number) => `$${(growth * months).toFixed(0)} after ${months}`;
  return (
    `What is stored stays: storage and its backup cost $${growth.toFixed(2)} more with every month of such events, ` +
    `${after(12)} months and ${after(72)}. --months prints the bill of such a month.`
  );
}

const proofTable = ({ proofs }: Result): string =>
  table(
    ["proofs", "in a request", "GETs of the index", "USD per million"],
    proofs.map(({ what, proofs: count, gets, usdPerMillion }) => [
      what,
      figure(count),
      figure(gets),
      usdPerMillion.toFixed(2),
    ]),
  );

function assumptions({ use, memory, region }: Result): string[] {
  const unseen = Object.values(PRICES).filter(({ usd }) => !("seen" in usd[region]));
  const unsure = [...new Set(unseen.map(({ unit, page }) => `${unit} (${page})`))];
  return [
    `- Prices as of ${PRICES_OF}, first tier, no free tier, from public copies of AWS's price list: check each page before you rely on one. Found in no copy, so from memory: ${unsure.join("; ")}.`,
    `- Requests are evenly spread, and so are tenants. ${figure(use.proofs)} proofs are fetched one by one; ${figure(use.verifications)} requests for the anchor log go through CloudFront, of which it fetches ${percent(use.misses)} from the bucket.`,
    `- Units, signatures, S3 requests, bytes and log lines are what the handlers caused on the embedded servers; a query that finds nothing counts as one read unit.`,
    `- Lambda: CPU time of this machine (${cpus()[0]?.model.trim() ?? "unknown"}, ${process.arch}) taken for arm64's, on the function's share of a CPU by its memory (${memory.api}, ${memory.sealer}, ${memory.anchorer} MB); ${ASSUMED.dynamodbMs} ms a DynamoDB round trip, ${ASSUMED.kmsMs} ms for KMS, ${ASSUMED.s3Ms} ms for S3; at least ${ASSUMED.floorMs} ms a run; one run in ${1 / ASSUMED.coldStarts} starts cold, ${ASSUMED.coldStartMs} ms.`,
    `- The index: the log that is sealed and asked has runs of three sizes; a sealer keeps ${ASSUMED.indexMemory} MiB of it, and reads ${ASSUMED.s3MbPerSecond} MB a second from S3; merges of larger runs cost as many times more as they are larger. Runs that were merged are kept for 36 days.`,
    `- ${ASSUMED.accessLogBytes} bytes an access log line; log lines stored at ${percent(ASSUMED.logCompression)} of their size; ${ASSUMED.alarmMetrics} alarm metrics, ${ASSUMED.dashboards} dashboard, ${ASSUMED.keys} keys.`,
    "- Nothing for the dead-letter queue, which should be empty, for Lambda's reads of the stream, which are free, nor for support, tax, replicas or CloudTrail data events.",
  ];
}
