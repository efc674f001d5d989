/**
 * `npm run cost -- --events 100e6 --batch 1000 --tenants 50`: runs the functions on metered embedded servers at a small
 * scale, and prices a month of it. It needs no AWS account and opens no connection but to itself.
 */
import { Command, InvalidArgumentError } from "commander";
import { SPECS } from "../infra/service/specs.ts";
import { ASSUMED, billOf, proofPrices, type Use } from "./cost/bill.ts";
import { type Load, monthOf } from "./cost/month.ts";
import { PRICES_OF, REGIONS, type Region, regionSchema } from "./cost/prices.ts";
import { markdown } from "./cost/report.ts";
import { measure } from "./cost/run.ts";

// The AWS SDK announces its end of support for Node 20 on every start.
process.env["AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED"] ??= "true";

const memory = { api: SPECS.api.memory, sealer: SPECS.sealer.memory, anchorer: SPECS.anchorer.memory };

type Options = {
  events: number;
  batch: number;
  tenants: number;
  seal: number;
  anchor: number;
  sweep: number;
  shards: number;
  proofs?: number;
  verifications: number;
  misses: number;
  months: number;
  region: Region;
  json?: true;
};

async function run(options: Options): Promise<void> {
  const { events, batch, tenants, seal, anchor, sweep, shards, region } = options;
  const load: Load = {
    events,
    batch,
    tenants,
    sealSeconds: seal,
    anchorMinutes: anchor,
    sweepMinutes: sweep,
    streamShards: shards,
  };
  const { proofs = events / 1_000, verifications, misses, months } = options;
  const use: Use = { proofs, verifications, misses, months };
  const month = monthOf(load);
  const measured = await measure(load, month);
  const inputs = { load, use, month, measured, memory, region };
  const result = { load, use, region, memory, month, ...billOf(inputs), proofs: proofPrices(inputs) };
  const all = { ...result, pricesOf: PRICES_OF, measured, assumed: ASSUMED };
  process.stdout.write(options.json ? `${JSON.stringify(all, null, 2)}\n` : markdown(result));
}

function between(least: number, most: number) {
  return (text: string): number => {
    const number = Number(text);
    if (text.trim() === "" || !(number >= least && number <= most))
      throw new InvalidArgumentError(`a number from ${least} to ${most}, such as 100e6`);
    return number;
  };
}

function whole(most: number) {
  return (text: string): number => {
    const number = between(1, most)(text);
    if (!Number.isInteger(number)) throw new InvalidArgumentError(`a whole number from 1 to ${most}`);
    return number;
  };
}

function region(text: string): Region {
  const parsed = regionSchema.safeParse(text);
  if (!parsed.success)
    throw new InvalidArgumentError(`one of ${REGIONS.join(", ")}: prices.ts has no others`);
  return parsed.data;
}

const command = new Command("cost")
  .description("What a month on AWS costs, by line. Prices and assumptions are printed with it.")
  .requiredOption("--events <number>", "events a month", between(1, 1e12))
  .requiredOption("--batch <number>", "events in a request", whole(10_000))
  .requiredOption("--tenants <number>", "tenants, with one log each", whole(1_000))
  .option("--seal <seconds>", "sealSeconds of the configuration", whole(300), 60)
  .option("--anchor <minutes>", "anchorMinutes of the configuration", whole(60), 1)
  .option("--sweep <minutes>", "sweepMinutes of the configuration", whole(60), 5)
  .option("--shards <number>", "shards of the table's stream; a new table has four", whole(1_000), 4)
  .option(
    "--proofs <number>",
    "proofs fetched, one a request; default: of one event in 1,000",
    between(0, 1e12),
  )
  .option(
    "--verifications <number>",
    "requests for the anchor log through CloudFront",
    between(0, 1e12),
    100_000,
  )
  .option("--misses <share>", "share of them that CloudFront passes on", between(0, 1), 0.1)
  .option("--months <number>", "months of such events that are stored", whole(1_200), 1)
  .option("--region <name>", `${REGIONS.join(" or ")}`, region, "us-east-1")
  .option("--json", "for machines")
  .action(run);
await command.parseAsync();
