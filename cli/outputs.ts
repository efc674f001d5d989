/** What `cdk deploy --outputs-file` wrote, as the variables that the service is configured with. */
import { readFileSync } from "node:fs";
import { misuse } from "@kedge/verify/cli/output";
import { ClientError } from "@kedge/verify/error";
import { checkUrl } from "@kedge/verify/net/http";
import { quoted } from "@kedge/verify/text";
import type { Command } from "commander";
import { z } from "zod";

export type DeploymentFlags = { outputsFile?: string; stage?: string };

export function withDeployment(command: Command): Command {
  return command
    .option("--outputs-file <file>", "the deployment, as cdk deploy --outputs-file wrote it")
    .option("--stage <name>", "which one, if that file has several");
}

/** Outputs by stack; what CDK itself adds is left aside. */
const fileSchema = z.record(z.string(), z.record(z.string(), z.string()));
type Stack = { readonly name: string; readonly outputs: Readonly<Record<string, string>> };

const ARN = "arn:aws[a-z-]*:kms:[a-z0-9-]+:\\d{12}:key/[\\w-]+";
const KEYS = `${ARN}(,${ARN})*`;
const NOT_KEYS = "ARNs of KMS keys, separated by commas";

const deploymentSchema = z.object({
  Stage: z.string(),
  Region: z.string().regex(/^[a-z]{2}(-[a-z]+)+-\d$/, "an AWS region"),
  TableName: z.string().regex(/^[\w.-]{3,255}$/, "the name of a DynamoDB table"),
  Index: z.string().regex(/^s3:\/\/[a-z0-9.-]{3,63}$/, "an s3:// URL of a bucket"),
  Domain: z.string().regex(/^[a-z0-9.-]+(\/[a-z0-9._-]+)*$/, "a schema-less URL"),
  LogKeys: z.string().regex(new RegExp(`^${KEYS}$`), NOT_KEYS),
  AnchorKeys: z.string().regex(new RegExp(`^${KEYS}$`), NOT_KEYS),
  AnchorMldsaKeys: z.string().regex(new RegExp(`^(-|${KEYS})$`), NOT_KEYS),
  ApiUrl: z.string().refine(isUrl, "a URL that begins with https://"),
  PublicUrl: z.string().refine(isUrl, "a URL that begins with https://"),
});

/**
 * The KEDGE_* variables and the AWS_REGION of the deployment; undefined when no file is named. Throws CliError `misuse`
 * for a file that is not of one deployment of Kedge.
 */
export function readDeployment({ outputsFile, stage }: DeploymentFlags): Record<string, string> | undefined {
  if (outputsFile === undefined) {
    if (stage !== undefined) throw misuse("--stage is for an --outputs-file with several deployments");
    return undefined;
  }
  const found = ofStage(readStacks(outputsFile), stage, outputsFile);
  const outputs = Object.keys(deploymentSchema.shape).map((name) => [name, lookUp(found, name, outputsFile)]);
  const parsed = deploymentSchema.safeParse(Object.fromEntries(outputs));
  if (!parsed.success) {
    const wrong = parsed.error.issues.map(({ path, message }) => `${path.join(".")} is not ${message}`);
    throw misuse(`${outputsFile}: ${wrong.join("; ")}. Deploy again, and let cdk write it`);
  }
  const { Region, TableName, Index, Domain, LogKeys, AnchorKeys, AnchorMldsaKeys, ApiUrl, PublicUrl } =
    parsed.data;
  return {
    AWS_REGION: Region,
    KEDGE_STORE: `dynamodb:${TableName}`,
    KEDGE_INDEX: Index,
    KEDGE_DOMAIN: Domain,
    KEDGE_LOG_KEY: LogKeys,
    KEDGE_ANCHOR_KEY: AnchorKeys,
    ...(AnchorMldsaKeys === "-" ? {} : { KEDGE_ANCHOR_MLDSA_KEY: AnchorMldsaKeys }),
    KEDGE_URL: ApiUrl,
    KEDGE_PUBLIC_URL: PublicUrl,
  };
}

function readStacks(path: string): Stack[] {
  const parsed = fileSchema.safeParse(readJson(path));
  if (!parsed.success) throw misuse(`${path} is not what cdk deploy --outputs-file writes: name that file`);
  return Object.entries(parsed.data).map(([name, outputs]) => ({ name, outputs }));
}

function readJson(path: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw misuse(`${path} cannot be read: there is no such file, or no permission`, cause);
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw misuse(`${path} is not JSON: name the file that cdk deploy --outputs-file wrote`, cause);
  }
}

/** The stacks of one deployment: those that say so, or are called so. All of them, when no stage is named. */
function ofStage(stacks: readonly Stack[], stage: string | undefined, path: string): readonly Stack[] {
  const stages = [...new Set(stacks.flatMap(({ outputs }) => valuesOf(outputs, "Stage")))];
  if (stage === undefined) {
    if (stages.length <= 1) return stacks;
    throw misuse(
      `${path} has several deployments: name one with --stage, of ${stages.map(shown).join(", ")}`,
    );
  }
  if (!stages.includes(stage)) {
    throw misuse(`${path} has no stage ${shown(stage)}; it has ${stages.map(shown).join(", ") || "none"}`);
  }
  return stacks.filter(({ name, outputs }) => {
    const [own] = valuesOf(outputs, "Stage");
    return own === undefined ? name.split("-").includes(stage) : own === stage;
  });
}

function lookUp(stacks: readonly Stack[], output: string, path: string): string {
  const [value, other] = new Set(stacks.flatMap(({ outputs }) => valuesOf(outputs, output)));
  if (value === undefined) {
    throw misuse(`${path} has no output ${output}: deploy all stacks of Kedge with --outputs-file`);
  }
  if (other === undefined) return value;
  throw misuse(`${path} has two values of ${output}: name the outputs file of one deployment`);
}

function valuesOf(outputs: Stack["outputs"], name: string): string[] {
  const value = Object.hasOwn(outputs, name) ? outputs[name] : undefined;
  return value === undefined ? [] : [value];
}

function shown(stage: string): string {
  return quoted(stage, 20);
}

function isUrl(text: string): boolean {
  try {
    const { username, password, search, hash } = checkUrl(text);
    return `${username}${password}${search}${hash}` === "";
  } catch (error) {
    if (error instanceof ClientError) return false;
    throw error;
  }
}
