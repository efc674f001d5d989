/** What the configurations of the service and of a witness share: common settings, and how a wrong file is refused. */
import { readFileSync } from "node:fs";
import { RegionInfo } from "aws-cdk-lib/region-info";
import { z } from "zod";
import { reasonOf } from "../platform/words.ts";

/** Settings that both have. */
export const deployed = {
  stage: z.enum(["dev", "prod"]),
  region: z.string().regex(/^[a-z]{2}(-[a-z]+)+-\d$/, "must be an AWS region such as eu-central-1"),
  newRegion: z.boolean().default(false),
  account: z
    .string()
    .regex(/^\d{12}$/, "must be the 12 digits of an AWS account, in quotes")
    .optional(),
  logRetentionDays: z.literal([7, 14, 30, 60, 90, 180, 365, 731, 1096, 1827, 2192, 3653]).default(365),
  alarmEmail: z.email({ error: "must be an e-mail address such as on-call@example.org" }).optional(),
  runbooks: z.url({ protocol: /^https$/, error: "must be a URL that begins with https://" }).optional(),
};

/** The first part of key names and origins. */
export const schemalessUrl = (example: string) =>
  z
    .string()
    .max(200)
    .regex(/^[a-z0-9.-]+(\/[a-z0-9._-]+)*$/, `must be a schema-less URL such as ${example}`);

/** Requests a second. */
export const throttle = z.strictObject({
  rate: z.int().min(1).max(10_000),
  burst: z.int().min(1).max(5_000),
});

const deployedSchema = z.object({ ...deployed, throttle });
export type Deployed = z.infer<typeof deployedSchema>;

/** A configuration that cannot be used; the message names every problem and how to fix it. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/** A kind of configuration: its schema, and the command that lists all settings. */
export type Settings<T extends z.ZodObject> = { readonly schema: T; readonly help: string };

/**
 * @param path the file that the value was read from.
 * @throws ConfigError
 */
export function parseSettings<T extends z.ZodObject>(
  settings: Settings<T>,
  value: unknown,
  path: string,
): z.output<T> {
  const parsed = settings.schema.safeParse(value, { reportInput: true, error: inWords });
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.flatMap((issue) => describe(issue, settings.schema));
  throw cannotDeploy(settings, path, problems);
}

export const cannotDeploy = (
  { help }: Pick<Settings<z.ZodObject>, "help">,
  path: string,
  problems: readonly string[],
): ConfigError =>
  new ConfigError(
    [`${path} cannot be deployed:`, ...problems.map((line) => `  ${line}`), `All settings: ${help}`].join(
      "\n",
    ),
  );

/** What is wrong with a setting, where its schema has no words of its own. */
function inWords(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case "invalid_type":
      return `must be ${TYPES[issue.expected] ?? issue.expected}`;
    case "invalid_value":
      return `must be one of ${issue.values.map((value) => JSON.stringify(value)).join(", ")}`;
    case "too_small":
      return issue.minimum === 1 && issue.origin !== "number"
        ? "must not be empty"
        : `must be at least ${issue.minimum}${UNITS[issue.origin] ?? ""}`;
    case "too_big":
      return `must be at most ${issue.maximum}${UNITS[issue.origin] ?? ""}`;
    default:
      return undefined;
  }
}

const TYPES: Readonly<Record<string, string>> = {
  string: "a text, in quotes",
  number: "a number, without quotes",
  int: "a whole number",
  boolean: "true or false",
  array: "a list, in [ ]",
  object: "settings of its own, in { }",
  record: "names and their values, in { }",
};
const UNITS: Readonly<Record<string, string>> = { string: " characters long", array: " entries long" };

/** A region that is misspelt has valid names of everything, and is found out at the deployment alone. */
export function unknownRegion({ region, newRegion }: Pick<Deployed, "region" | "newRegion">): string[] {
  const known = RegionInfo.regions.map(({ name }) => name);
  if (newRegion || known.includes(region)) return [];
  const near = nearest(region, known);
  return [
    `region: ${region} is no AWS region that this version of the CDK knows${near === undefined ? "" : `: is it ${near}?`} ` +
      'If AWS has it since, add "newRegion": true',
  ];
}

/** @returns a line for each problem. */
function describe({ path, message, input, ...issue }: z.core.$ZodIssue, schema: z.ZodObject): string[] {
  const within = path.map((name) => `${String(name)}.`).join("");
  if (issue.code === "unrecognized_keys") {
    const known = settingsAt(schema, path);
    return issue.keys.map((key) => `${within}${key} is no setting${suggest(key, known)}`);
  }
  // For a key of a record, the nested issue says what is wrong.
  const [why] = issue.code === "invalid_key" ? issue.issues : [];
  const isAbsent = path.length > 0 && input === undefined;
  return [
    `${within.slice(0, -1) || "the configuration"}: ${isAbsent ? "is required" : (why?.message ?? message)}`,
  ];
}

/** The names of the settings at this path. */
function settingsAt(schema: unknown, [name, ...within]: readonly PropertyKey[]): string[] {
  const is = schema instanceof z.ZodOptional || schema instanceof z.ZodDefault ? schema.unwrap() : schema;
  if (!(is instanceof z.ZodObject)) return [];
  return name === undefined ? Object.keys(is.shape) : settingsAt(is.shape[String(name)], within);
}

function suggest(key: string, known: readonly string[]): string {
  const near = nearest(key, known);
  return near === undefined ? ": remove it" : `: is it ${near}?`;
}

/** The known name with the longest common prefix, of several the shortest; undefined when none is near. */
function nearest(key: string, known: readonly string[]): string | undefined {
  const shared = (name: string) => {
    const at = [...name].findIndex((letter, i) => letter.toLowerCase() !== key[i]?.toLowerCase());
    return at === -1 ? name.length : at;
  };
  const [best] = known.toSorted((a, b) => shared(b) - shared(a) || a.length - b.length);
  return best === undefined || shared(best) < 3 ? undefined : best;
}

/** @throws ConfigError */
export function readJson(path: string): unknown {
  const text = readSettings(path);
  try {
    return JSON.parse(text);
  } catch (cause) {
    const why = cause instanceof SyntaxError ? cause.message : reasonOf(cause);
    throw new ConfigError(`${path} is not JSON: ${why}`, { cause });
  }
}

function readSettings(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new ConfigError(`${path} cannot be read: ${reasonOf(cause)}`, { cause });
  }
}
