/**
 * What AWS charges, in US dollars, on demand and without free tiers, in the first tier of each price.
 *
 * No figure here was read off an AWS page: `seen` is the month of a public copy of the AWS price list (or, for CloudFront
 * and the dashboard, of a list-price book) in which it was found. Without it the figure is an assumption. Check each
 * against the page that it names before you rely on it.
 */
import { z } from "zod";

export const PRICES_OF = "2026-11-24";

export const REGIONS = ["us-east-1", "eu-central-1"] as const;
export const regionSchema = z.enum(REGIONS);
export type Region = z.infer<typeof regionSchema>;

type Page =
  | "Amazon DynamoDB pricing for on-demand capacity"
  | "AWS KMS pricing"
  | "Amazon S3 pricing"
  | "AWS Lambda pricing"
  | "Amazon API Gateway pricing"
  | "Amazon CloudFront pricing"
  | "AWS data transfer pricing, on the page of Amazon EC2 on-demand"
  | "Amazon CloudWatch pricing"
  | "Amazon EventBridge pricing";

export type Price = {
  readonly page: Page;
  /** What one is charged for: units as the page counts them. */
  readonly unit: string;
  /** How many units the figures are of. */
  readonly per: number;
  readonly usd: Readonly<Record<Region, { readonly price: number; readonly seen?: string }>>;
};

const MILLION = 1_000_000;
const both = (usEast1: number, euCentral1: number, seen: string) => ({
  "us-east-1": { price: usEast1, seen },
  "eu-central-1": { price: euCentral1, seen },
});
const dynamodb = { page: "Amazon DynamoDB pricing for on-demand capacity" } as const;
const kms = { page: "AWS KMS pricing" } as const;
const s3 = { page: "Amazon S3 pricing" } as const;
const lambda = { page: "AWS Lambda pricing" } as const;
const cloudfront = { page: "Amazon CloudFront pricing" } as const;
const cloudwatch = { page: "Amazon CloudWatch pricing" } as const;

export const PRICES = {
  writes: { ...dynamodb, unit: "write request units", per: MILLION, usd: both(0.625, 0.7625, "2026-08") },
  reads: { ...dynamodb, unit: "read request units", per: MILLION, usd: both(0.125, 0.1525, "2026-08") },
  tableStorage: { ...dynamodb, unit: "GB-month", per: 1, usd: both(0.25, 0.306, "2026-08") },
  recovery: { ...dynamodb, unit: "GB-month", per: 1, usd: both(0.2, 0.2448, "2026-08") },
  key: {
    ...kms,
    unit: "key-month",
    per: 1,
    usd: { "us-east-1": { price: 1, seen: "2025-10" }, "eu-central-1": { price: 1 } },
  },
  ed25519: {
    ...kms,
    unit: "ECC requests",
    per: 10_000,
    usd: { "us-east-1": { price: 0.15, seen: "2025-10" }, "eu-central-1": { price: 0.15 } },
  },
  mldsa: {
    ...kms,
    unit: "ML-DSA requests",
    per: 10_000,
    usd: { "us-east-1": { price: 0.15 }, "eu-central-1": { price: 0.15 } },
  },
  puts: { ...s3, unit: "PUT requests", per: 1_000, usd: both(0.005, 0.0054, "2026-08") },
  gets: { ...s3, unit: "GET requests", per: 1_000, usd: both(0.0004, 0.00043, "2026-08") },
  bucketStorage: { ...s3, unit: "GB-month", per: 1, usd: both(0.023, 0.0245, "2026-08") },
  invocations: { ...lambda, unit: "requests", per: MILLION, usd: both(0.2, 0.2, "2025-10") },
  compute: { ...lambda, unit: "GB-seconds, arm64", per: 1, usd: both(0.0000133334, 0.0000133334, "2025-10") },
  http: {
    page: "Amazon API Gateway pricing",
    unit: "HTTP API requests of 512 KB",
    per: MILLION,
    usd: { "us-east-1": { price: 1, seen: "2025-10" }, "eu-central-1": { price: 1.2 } },
  },
  // The edge that answers, in the United States or in Europe, and not the region decides.
  edgeRequests: { ...cloudfront, unit: "HTTPS requests", per: MILLION, usd: both(1, 1.2, "2026-03") },
  edgeEgress: {
    ...cloudfront,
    unit: "GB out",
    per: 1,
    usd: { "us-east-1": { price: 0.085 }, "eu-central-1": { price: 0.085 } },
  },
  egress: {
    page: "AWS data transfer pricing, on the page of Amazon EC2 on-demand",
    unit: "GB out",
    per: 1,
    usd: both(0.09, 0.09, "2026-08"),
  },
  logs: { ...cloudwatch, unit: "GB ingested", per: 1, usd: both(0.5, 0.63, "2026-08") },
  logStorage: { ...cloudwatch, unit: "GB-month, compressed", per: 1, usd: both(0.03, 0.0324, "2026-08") },
  metrics: { ...cloudwatch, unit: "metric-month", per: 1, usd: both(0.3, 0.3, "2026-08") },
  alarms: { ...cloudwatch, unit: "alarm metric-month", per: 1, usd: both(0.1, 0.1, "2026-08") },
  dashboards: { ...cloudwatch, unit: "dashboard-month", per: 1, usd: both(3, 3, "2026-03") },
  schedules: {
    page: "Amazon EventBridge pricing",
    unit: "Scheduler invocations",
    per: MILLION,
    usd: both(1, 1.15, "2026-08"),
  },
} satisfies Record<string, Price>;

export type PriceName = keyof typeof PRICES;
