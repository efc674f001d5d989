/** A witness's configuration: one JSON file, `-c witness=config/witness.json`. */
import { z } from "zod";
import { readLogs } from "../../witness/config.ts";
import {
  ConfigError,
  cannotDeploy,
  deployed,
  parseSettings,
  readJson,
  schemalessUrl,
  throttle,
  unknownRegion,
} from "../settings.ts";

const schema = z.strictObject({
  ...deployed,
  name: schemalessUrl("witness.example.org"),
  logs: z.array(z.string()).superRefine((vkeys, { addIssue }) => {
    try {
      readLogs(vkeys.join("\n"));
    } catch (error) {
      addIssue(error instanceof Error ? error.message : "vkeys of logs");
    }
  }),
  mldsa: z.boolean().default(true),
  // An alarm with periods of an hour covers a week at most.
  silentHours: z.int().min(1).max(168).optional(),
  throttle: throttle.default({ rate: 20, burst: 50 }),
});

export type WitnessConfig = z.infer<typeof schema>;

export const WITNESS_HELP = `A witness is deployed alone, with one JSON file of configuration:

  npx cdk deploy KedgeWitness-prod -c witness=config/witness.json

  stage             "dev" (destroyed with its stack) or "prod" (its keys and its record outlive it). Required.
  region            AWS region. Required.
  newRegion         true: take a region that this version of the CDK does not know. Default false.
  account           12 digits: refuse any other account. Default: that of the credentials.
  name              the witness's name, such as witness.example.org; never change it. Required.
  logs              the vkeys of the logs to watch; a log may have several. Required. Where a log's origin is not
                    its key's name: "<vkey> origin=<origin>".
  mldsa             cosign with ML-DSA-44 too. Default true.
  logRetentionDays  the log lines, with the evidence in them, are kept for so long. Default 365.
  alarmEmail        where alarms go. Default: to a topic without subscribers.
  runbooks          https URL of docs/witness.md, put into every alarm. Default: its path.
  silentHours       alarm when nothing new was cosigned for so long, 1 to 168. Default: no such alarm.
  throttle          {"rate", "burst"}: requests a second of everybody together. Default 20 and 50.`;

/** @throws ConfigError */
export function readWitnessConfig(path: unknown): WitnessConfig {
  if (typeof path !== "string" || path === "") {
    throw new ConfigError(`No configuration is named.\n\n${WITNESS_HELP}`);
  }
  return parseWitnessConfig(readJson(path), path);
}

const SETTINGS = { schema, help: "npx cdk synth -c witness=" };

/** @throws ConfigError */
export function parseWitnessConfig(value: unknown, path: string): WitnessConfig {
  const config = parseSettings(SETTINGS, value, path);
  const problems = unknownRegion(config);
  if (problems.length > 0) throw cannotDeploy(SETTINGS, path, problems);
  return config;
}
