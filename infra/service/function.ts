/** What the specs of the service's three functions share. */
import { readFileSync } from "node:fs";
import type { Duration } from "aws-cdk-lib";
import type { Function as LambdaFunction } from "aws-cdk-lib/aws-lambda";
import type { Alarm } from "../alarms.ts";
import type { Config } from "../config.ts";
import type { Data } from "../data/stack.ts";
import type { FunctionSpec } from "../function.ts";
import { type FunctionName, metricNamespace } from "../names.ts";

/** The data, with the restored table in place of the stack's own if one is configured. */
export type Resources = Data & {
  readonly tableName: string;
  readonly deadLettersArn: string;
};

export type ServiceFunction = FunctionSpec<Config, Resources, FunctionName>;

/** Matches the id of a tenant log, which has 19 characters; never `anchor`. */
export const LOG = "?".repeat(19);

/** Variables of all three. */
export const commonEnvironment = (
  config: Config,
  { tableName, indexName, logKeys, anchorKeys, anchorMldsaKeys }: Resources,
): Record<string, string> => ({
  KEDGE_STORE: `dynamodb:${tableName}`,
  KEDGE_INDEX: `s3://${indexName}`,
  KEDGE_DOMAIN: config.domain,
  KEDGE_LOG_KEY: logKeys.join(","),
  KEDGE_ANCHOR_KEY: anchorKeys.join(","),
  ...(anchorMldsaKeys.length > 0 && { KEDGE_ANCHOR_MLDSA_KEY: anchorMldsaKeys.join(",") }),
  KEDGE_METRICS: metricNamespace(config),
});

const POLICY_FILE = "policy";

/** The operator's witness policy: the API serves it, the anchorer enforces it. */
export const policyFile = ({ policyPath }: Config): Record<string, Uint8Array> =>
  policyPath === undefined ? {} : { [POLICY_FILE]: readFileSync(policyPath) };
export const policyVariable = ({ policyPath }: Config): Record<string, string> =>
  policyPath === undefined ? {} : { KEDGE_POLICY: POLICY_FILE };

export const errorsOf = (name: FunctionName, made: LambdaFunction, period: Duration): Alarm => ({
  name: `${name}-errors`,
  means: `The ${name} fails.`,
  metric: made.metricErrors({ period }),
  threshold: 0,
  periods: 2,
});
