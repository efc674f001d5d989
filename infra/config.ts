/** The service's configuration: one JSON file, `-c config=config/prod.json`. */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { anchorOrigin } from "@kedge/cli/contract/ids";
import { parsePemCertificates } from "@kedge/verify/time/x509";
import { checkPolicyLog, type Policy, parsePolicy } from "@kedge/verify/tlog/policy";
import { z } from "zod";
import { reasonOf } from "../platform/words.ts";
import {
  ConfigError,
  cannotDeploy,
  deployed,
  parseSettings,
  readJson,
  schemalessUrl,
  throttle,
  unknownRegion,
} from "./settings.ts";

/**
 * A log's signing keys by name, oldest first; a name is never reused. Every key that "signs" signs each checkpoint. A
 * rotation goes from `{"a": "signs"}` over `{"a": "signs", "b": "signs"}` to `{"a": "retired", "b": "signs"}`. A retired
 * key is kept, and nobody may sign with it.
 */
const optionalKeys = z
  .record(
    z.string().regex(/^[a-z][a-z0-9]{0,7}$/, "name keys with 1 to 8 of a-z and 0-9"),
    z.enum(["signs", "retired"]),
  )
  .refine(
    (all) => Object.values(all).filter((state) => state === "signs").length <= 2,
    "two keys sign at most, while one takes over from the other: retire one",
  );
const keys = optionalKeys.refine(
  (all) => Object.values(all).includes("signs"),
  'at least one key must sign: set one to "signs"',
);

/** Bounded because a function's environment holds at most 4 KB, and up to 17 of these go into one. */
const httpsUrl = z
  .url({ protocol: /^https$/, error: "must be an https URL" })
  .max(128, "must be a URL of at most 128 characters")
  .regex(/^\w+:\/\/[\w.~:/?[\]!$&'()*+,;=%-]+$/, "must be a URL without a user, a fragment or spaces");
const httpsUrls = z
  .array(httpsUrl)
  .min(1, "name at least one, or leave it out")
  .max(8, "name 8 at most")
  .refine((urls) => new Set(urls).size === urls.length, "name each once");

const timestamps = z.strictObject({
  /** RFC 3161 authorities, and a PEM file of the root certificates that theirs must chain to. */
  tsaUrls: httpsUrls.optional(),
  tsaCerts: z.string().min(1).optional(),
  everyMinutes: z.int().min(1).max(1_440).default(60),
  /** OpenTimestamps calendars, and an Esplora API to look up Bitcoin blocks. */
  otsCalendars: httpsUrls.optional(),
  bitcoinUrl: httpsUrl.optional(),
});

const schema = z.strictObject({
  ...deployed,
  domain: schemalessUrl("audit.example.org"),
  sealSeconds: z.int().min(1).max(300).default(60),
  anchorMinutes: z.int().min(1).max(60).default(1),
  sweepMinutes: z.int().min(1).max(60).default(5),
  retentionDays: z.int().min(1).max(36_500).default(2_192),
  trailDays: z.int().min(1).max(36_500).default(2_190),
  sessionHours: z.int().min(1).max(8).default(8),
  signIn: z.strictObject({ cognito: z.literal(true) }).optional(),
  logKeys: keys.default({ a: "signs" }),
  anchorKeys: keys.default({ a: "signs" }),
  anchorMldsaKeys: optionalKeys.default({ a: "signs" }),
  throttle: throttle.default({ rate: 500, burst: 1_000 }),
  policy: z.string().min(1).optional(),
  timestamps: timestamps.optional(),
  host: z
    .strictObject({
      name: z.string().regex(/^[a-z0-9-]+(\.[a-z0-9-]+)+$/, "must be a host name such as audit.example.org"),
      certificateArn: z
        .string()
        .regex(
          /^arn:aws:acm:us-east-1:\d{12}:certificate\/[\w-]+$/,
          "CloudFront takes certificates of us-east-1 only",
        ),
    })
    .optional(),
  webAcl: z
    .string()
    .regex(
      /^arn:aws:wafv2:us-east-1:\d{12}:global\/webacl\/[\w-]+\/[\w-]+$/,
      "must be the ARN of a web ACL for CloudFront, in us-east-1",
    )
    .optional(),
  table: z
    .strictObject({
      arn: z
        .string()
        .regex(/^arn:aws:dynamodb:[a-z0-9-]+:\d{12}:table\/[\w.-]+$/, "must be the ARN of a DynamoDB table"),
      streamArn: z
        .string()
        .regex(
          /^arn:aws:dynamodb:[a-z0-9-]+:\d{12}:table\/[\w.-]+\/stream\/[\w:.-]+$/,
          "must be the ARN of its stream",
        ),
    })
    .optional(),
});

/** `policyPath` and `timestamps.tsaCerts` are absolute, and their files have been parsed. */
export type Config = Omit<z.infer<typeof schema>, "policy"> & { readonly policyPath?: string };

export const HELP = `Kedge is deployed with one JSON file of configuration:

  npx cdk deploy --all -c config=config/prod.json --outputs-file cdk-outputs.json

  stage             "dev" (destroyed with its stacks) or "prod" (its data outlives them). Required.
  region            AWS region. Required.
  newRegion         true: take a region that this version of the CDK does not know. Default false.
  account           12 digits: refuse any other account. Default: that of the credentials.
  domain            first part of every log's origin, such as audit.example.org; never change it. Required.
  sealSeconds       new entries are sealed after so long, 1 to 300. Default 60.
  anchorMinutes     checkpoints are anchored every so often, 1 to 60. Default 1.
  sweepMinutes      every log is looked at every so often, 1 to 60. Default 5.
  retentionDays     published objects are locked for so long, 1 to 36500. Default 2192, six years. It can only be raised.
  trailDays         events of Kedge's own trail are kept for so long, 1 to 36500. Default 2190.
  sessionHours      a person is signed in for so long at most, 1 to 8. Default 8.
  signIn            {"cognito": true}: a user pool for people whose organisation has no identity provider. Default: none.
  logRetentionDays  the functions' log lines are kept for so long. Default 365.
  logKeys           signing keys of the logs by name: "signs" or "retired". Default {"a": "signs"}.
  anchorKeys        signing keys of the anchor log, likewise.
  anchorMldsaKeys   its post-quantum keys, ML-DSA-44, likewise; {} for none. Default {"a": "signs"}.
  throttle          {"rate", "burst"}: requests a second of all tenants together. Default 500 and 1000.
  alarmEmail        where alarms go. Default: to a topic without subscribers.
  runbooks          https URL of docs/operations.md, put into every alarm. Default: its path.
  policy            a C2SP tlog-policy file, beside the configuration: witnesses and quorum. Default: none.
  timestamps        {"tsaUrls", "tsaCerts", "everyMinutes", "otsCalendars", "bitcoinUrl"}: who timestamps the anchor log,
                    as docs/operations.md says under that name. Default: nobody.
  host              {"name", "certificateArn"}: the public host name and its certificate in us-east-1.
  webAcl            ARN of an AWS WAF web ACL for CloudFront: what strangers may try. Default: none.
  table             {"arn", "streamArn"}: a table restored from a backup, in place of the stack's own.

config/dev.json and config/prod.json are examples. docs/operations.md says when to change what.`;

const SETTINGS = { schema, help: "npx cdk synth" };

/** @throws ConfigError */
export function readConfig(path: unknown): Config {
  if (typeof path !== "string" || path === "") throw new ConfigError(`No configuration is named.\n\n${HELP}`);
  return parseConfig(readJson(path), path);
}

/** @throws ConfigError */
export function parseConfig(value: unknown, path: string): Config {
  const { policy, ...config } = parseSettings(SETTINGS, value, path);
  const problems = [...impossible(config), ...impossibleTimestamps(config)];
  if (problems.length > 0) throw cannotDeploy(SETTINGS, path, problems);
  const { timestamps } = config;
  const beside = (file: string) => resolve(dirname(path), file);
  return {
    ...config,
    ...(policy !== undefined && { policyPath: checkPolicy(beside(policy), config) }),
    ...(timestamps?.tsaCerts !== undefined && {
      timestamps: { ...timestamps, tsaCerts: checkCerts(beside(timestamps.tsaCerts)) },
    }),
  };
}

function impossible(config: Config): string[] {
  const { stage, sealSeconds, anchorMinutes, retentionDays, table, region, account } = config;
  return [
    ...unknownRegion(config),
    ...(table !== undefined && account !== undefined && table.arn.split(":")[4] !== account
      ? [`table.arn: the table is not of account ${account}: restore it there`]
      : []),
    ...(stage === "prod" && retentionDays < 365
      ? ["retentionDays: audit trails are kept for years: set 2192 (six years), or use the stage dev"]
      : []),
    ...(sealSeconds > anchorMinutes * 60
      ? ["sealSeconds: what is not sealed cannot be anchored: set it to no more than anchorMinutes × 60"]
      : []),
    ...(table !== undefined && !table.streamArn.startsWith(`${table.arn}/stream/`)
      ? ["table.streamArn: is the stream of another table: set that of table.arn"]
      : []),
    ...(table !== undefined && table.arn.split(":")[3] !== region
      ? [`table.arn: the table is not in ${region}: restore it there`]
      : []),
  ];
}

function impossibleTimestamps({ timestamps, anchorMinutes }: Config): string[] {
  if (timestamps === undefined) return [];
  const { tsaUrls, tsaCerts, otsCalendars, bitcoinUrl, everyMinutes } = timestamps;
  return [
    ...(tsaUrls === undefined && otsCalendars === undefined
      ? ["timestamps: names nobody to ask: set tsaUrls or otsCalendars, or leave it out"]
      : []),
    // A timestamp is stored only once it has been verified.
    ...((tsaUrls === undefined) !== (tsaCerts === undefined)
      ? ["timestamps.tsaCerts: set it with tsaUrls: a PEM file of the authorities' root certificates"]
      : []),
    ...((otsCalendars === undefined) !== (bitcoinUrl === undefined)
      ? ["timestamps.bitcoinUrl: set it with otsCalendars: an Esplora API, to look up blocks of Bitcoin"]
      : []),
    ...(everyMinutes < anchorMinutes
      ? [
          "timestamps.everyMinutes: only what is anchored is timestamped: set it to no less than anchorMinutes",
        ]
      : []),
  ];
}

const checkPolicy = (path: string, { domain, stage }: Pick<Config, "domain" | "stage">): string =>
  checkFile(
    "policy",
    path,
    (text) => checkOwn(parsePolicy(text), domain, stage),
    "cannot be used as a C2SP policy",
  );

function checkOwn(policy: Policy, domain: string, stage: Config["stage"]): void {
  checkPolicyLog(policy, anchorOrigin(domain));
  const plain = policy.witnesses.find(
    ({ url }) => stage === "prod" && url !== undefined && !url.startsWith("https://"),
  );
  if (plain !== undefined) throw new Error(`the witness ${plain.name} has no https:// URL`);
}

const checkCerts = (path: string): string =>
  checkFile(
    "timestamps.tsaCerts",
    path,
    parsePemCertificates,
    "must hold the authorities' root certificates, as they hand them out, in PEM",
  );

/** @returns the path. @throws ConfigError unless its file can be parsed. */
function checkFile(setting: string, path: string, parse: (text: string) => unknown, problem: string): string {
  try {
    parse(readFileSync(path, "utf8"));
    return path;
  } catch (cause) {
    throw new ConfigError(`${setting}: ${path} ${problem}: ${reasonOf(cause)}`, { cause });
  }
}
