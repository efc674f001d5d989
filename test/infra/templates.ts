/** The stacks, synthesised in this process with empty bundles: the templates that CloudFormation would get. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { rootCertificates } from "node:tls";
import { formatVkey } from "@kedge/verify/tlog/note";
import { App } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { expect } from "vitest";
import { z } from "zod";
import { ENTRY_FILE } from "../../infra/bundle.ts";
import { type Config, parseConfig } from "../../infra/config.ts";
import { FUNCTIONS, type FunctionName } from "../../infra/names.ts";
import { buildStacks, buildWitness } from "../../infra/stacks.ts";
import { parseWitnessConfig } from "../../infra/witness/config.ts";
import { NAME, VKEYS } from "../support/witness-cases.ts";
import { type Access, accessOf, type Statement, statementsOf } from "./access.ts";
import { type Resolved, readTemplate, resolved, type StackTemplate } from "./cloudformation.ts";

const roleSchema = z.object({
  RoleName: z.string().optional(),
  ManagedPolicyArns: z.array(z.unknown()).default([]),
  Policies: z.array(z.object({ PolicyDocument: z.unknown() })),
});
type TemplateResource = StackTemplate["Resources"][string];

const findingSchema = z.object({ ruleName: z.string(), reason: z.string().optional() });
const reportSchema = z.object({
  pluginReports: z.array(
    z.object({
      pluginName: z.string(),
      conclusion: z.string(),
      violations: z.array(findingSchema),
      suppressedViolations: z.array(findingSchema),
    }),
  ),
});

export type Deployment = {
  readonly config: Config;
  readonly view: Resolved;
  readonly access: Access;
  readonly data: StackTemplate;
  readonly service: StackTemplate;
  readonly terminationProtection: readonly (boolean | undefined)[];
  readonly report: z.infer<typeof reportSchema>;
};

/** The account of every deployment, also where none is configured. */
const ACCOUNT = "111122223333";

/** Files that stand beside the configuration. */
export const POLICY = "policy.txt";
export const ROOTS = "roots.pem";

/** Every setting that has no default. */
export const REQUIRED = { stage: "prod", region: "eu-central-1", domain: "audit.example.org" };

/** An app in a folder of its own. */
function newApp(): { app: App; folder: string } {
  const folder = mkdtempSync(join(tmpdir(), "kedge-template-"));
  // The feature flags that the CDK command would read from there.
  const { context } = z
    .object({ context: z.record(z.string(), z.unknown()) })
    .parse(JSON.parse(readFileSync(join(import.meta.dirname, "../../cdk.json"), "utf8")));
  const paths = { "aws:cdk:enable-path-metadata": true };
  return { app: new App({ outdir: join(folder, "out"), context: { ...context, ...paths } }), folder };
}

function readReport(directory: string): z.infer<typeof reportSchema> {
  return reportSchema.parse(JSON.parse(readFileSync(join(directory, "validation-report.json"), "utf8")));
}

/** An empty bundle. */
function emptyBundle(folder: string): string {
  mkdirSync(folder);
  writeFileSync(join(folder, ENTRY_FILE), `// ${basename(folder)}\n`);
  return folder;
}

/** @param settings in place of, or beside, those that have no default. */
export function synthesise(settings: Readonly<Record<string, unknown>> = {}): Deployment {
  const { app, folder } = newApp();
  for (const name of FUNCTIONS) emptyBundle(join(folder, name));
  writeFileSync(join(folder, POLICY), "quorum none\n");
  writeFileSync(join(folder, ROOTS), rootCertificates.slice(0, 1).join());
  const config = parseConfig({ ...REQUIRED, ...settings }, join(folder, "config.json"));
  buildStacks(app, config, folder);
  const { directory, stacks } = app.synth();
  const named = (name: string) =>
    stacks.find(({ stackName }) => stackName === `Kedge-${config.stage}-${name}`) ??
    expect.fail(`no stack ${name}`);
  const [data, service] = [readTemplate(named("Data").template), readTemplate(named("Service").template)];
  const view = resolved({ data, service }, { region: config.region, account: ACCOUNT });
  const deployment = {
    config,
    view,
    access: accessOf(view, config.table?.arn),
    data,
    service,
    terminationProtection: stacks.map((stack) => stack.terminationProtection),
    report: readReport(directory),
  };
  rmSync(folder, { recursive: true });
  return deployment;
}

export type WitnessDeployment = {
  readonly name: string;
  readonly template: StackTemplate;
  readonly view: Resolved;
  readonly access: Access;
  readonly terminationProtection: boolean | undefined;
  readonly report: z.infer<typeof reportSchema>;
};

/** Every setting of a witness that has no default. */
export const WITNESS = { stage: "prod", region: "eu-central-1", name: NAME, logs: VKEYS.map(formatVkey) };

/** @param settings in place of, or beside, those that have no default. */
export function synthesiseWitness(settings: Readonly<Record<string, unknown>> = {}): WitnessDeployment {
  const { app, folder } = newApp();
  const config = parseWitnessConfig({ ...WITNESS, ...settings }, "a test");
  buildWitness(app, config, emptyBundle(join(folder, "witness")));
  const { directory, stacks } = app.synth();
  const [stack] = stacks;
  if (stack === undefined || stacks.length > 1) return expect.fail("not one stack");
  const { stackName: name, terminationProtection } = stack;
  const template = readTemplate(stack.template);
  const view = resolved({ [name]: template }, { region: config.region, account: ACCOUNT });
  const access = accessOf(view, view.arn("AWS::DynamoDB::Table", "Record"));
  const deployment = { name, template, view, access, terminationProtection, report: readReport(directory) };
  rmSync(folder, { recursive: true });
  return deployment;
}

/** For the assertions of aws-cdk-lib. */
export const asserted = (stack: StackTemplate): Template => Template.fromJSON(stack);

export function resources({ Resources }: StackTemplate, type: string): [id: string, TemplateResource][] {
  return Object.entries(Resources).filter(([, { Type }]) => Type === type);
}

/** The only resource of this type. @throws unless there is exactly one. */
export function only(stack: StackTemplate, type: string): [id: string, TemplateResource] {
  const [found, ...more] = resources(stack, type);
  return found !== undefined && more.length === 0
    ? found
    : expect.fail(`${more.length + Number(found !== undefined)} of ${type}`);
}

const functionSchema = z.object({
  Description: z.string(),
  Runtime: z.string(),
  Architectures: z.array(z.string()),
  Timeout: z.number(),
  Role: z.object({ "Fn::GetAtt": z.tuple([z.string(), z.literal("Arn")]) }),
  LoggingConfig: z.object({ LogFormat: z.string(), LogGroup: z.object({ Ref: z.string() }) }),
  Environment: z.object({ Variables: z.record(z.string(), z.unknown()) }),
});
export type LambdaFunction = z.infer<typeof functionSchema> & { readonly id: string };

export function lambda({ Resources }: StackTemplate, name: FunctionName): LambdaFunction {
  const all = Object.entries(Resources).filter(([, { Type }]) => Type === "AWS::Lambda::Function");
  const [found] = all
    .map(([id, { Properties }]) => ({ id, ...functionSchema.parse(Properties) }))
    .filter(({ Description }) => Description.endsWith(`: ${name}`));
  return found ?? expect.fail(`no function ${name}`);
}

export type Role = {
  readonly id: string;
  readonly name: string | undefined;
  readonly statements: Statement[];
};

/** Every role of the stack with its statements; a policy outside its role fails the test. */
export function roles(stack: StackTemplate): Role[] {
  const apart = [
    "AWS::IAM::Policy",
    "AWS::IAM::ManagedPolicy",
    "AWS::IAM::RolePolicy",
    "AWS::IAM::UserPolicy",
  ];
  for (const type of apart) expect(resources(stack, type), type).toEqual([]);
  return resources(stack, "AWS::IAM::Role").map(([id, { Properties }]) => {
    const { RoleName, ManagedPolicyArns, Policies } = roleSchema.parse(Properties);
    expect(ManagedPolicyArns, id).toEqual([]);
    return {
      id,
      name: RoleName,
      statements: Policies.flatMap((policy) => statementsOf(policy.PolicyDocument)),
    };
  });
}

export function roleOf(stack: StackTemplate, name: FunctionName): Role {
  const [id] = lambda(stack, name).Role["Fn::GetAtt"];
  return roles(stack).find((role) => role.id === id) ?? expect.fail(`no role of ${name}`);
}

/** The statements of a resource's own policy: a key's, a bucket's, a queue's, a topic's. */
export const policyOf = ({ Properties }: TemplateResource): Statement[] =>
  statementsOf(Properties["KeyPolicy"] ?? Properties["PolicyDocument"]);

export type KeyKind = "LogKey" | "AnchorKey" | "AnchorMldsaKey";
export type SigningKey = { readonly construct: string; readonly kind: KeyKind; readonly signs: boolean };

/** The keys that are configured. */
export function keysOf({ config }: Deployment): SigningKey[] {
  const { logKeys, anchorKeys, anchorMldsaKeys } = config;
  const of = (kind: KeyKind, states: Config["logKeys"]) =>
    Object.entries(states).map(([name, state]) => ({
      construct: `${kind}-${name}`,
      kind,
      signs: state === "signs",
    }));
  return [...of("LogKey", logKeys), ...of("AnchorKey", anchorKeys), ...of("AnchorMldsaKey", anchorMldsaKeys)];
}

const alarmSchema = z.looseObject({
  AlarmName: z.string(),
  AlarmDescription: z.string(),
  AlarmActions: z.array(z.unknown()),
  OKActions: z.array(z.unknown()),
  MetricName: z.string().optional(),
  Namespace: z.string().optional(),
  Period: z.number().optional(),
  EvaluationPeriods: z.number(),
  DatapointsToAlarm: z.number().optional(),
  Threshold: z.number(),
  TreatMissingData: z.string(),
});

export const alarmsOf = (stack: StackTemplate) =>
  resources(stack, "AWS::CloudWatch::Alarm").map(([, { Properties }]) => alarmSchema.parse(Properties));

// ---- the deployments under test --------------------------------------------------------------------------------------

const TABLE_ARN = "arn:aws:dynamodb:eu-central-1:111122223333:table/kedge-restored";
export const RESTORED = { arn: TABLE_ARN, streamArn: `${TABLE_ARN}/stream/2026-01-01T00:00:00.000` };

export const prod = synthesise();
export const dev = synthesise({ stage: "dev", retentionDays: 1, sealSeconds: 10 });
/** Every setting other than its default. */
export const full = synthesise({
  account: "111122223333",
  sealSeconds: 120,
  anchorMinutes: 2,
  sweepMinutes: 10,
  retentionDays: 3_650,
  sessionHours: 4,
  signIn: { cognito: true },
  logRetentionDays: 731,
  logKeys: { a: "retired", b: "signs", c: "signs" },
  anchorKeys: { a: "signs", b: "signs" },
  anchorMldsaKeys: { a: "retired" },
  throttle: { rate: 7, burst: 11 },
  alarmEmail: "on-call@example.org",
  runbooks: "https://example.org/operations.md",
  policy: POLICY,
  timestamps: {
    tsaUrls: ["https://tsa.example.org/tsr", "https://tsa.example.com"],
    tsaCerts: ROOTS,
    everyMinutes: 30,
    otsCalendars: ["https://ots.example.org"],
    bitcoinUrl: "https://blocks.example.org/api",
  },
  host: {
    name: "audit.example.org",
    certificateArn: "arn:aws:acm:us-east-1:111122223333:certificate/0123abcd-01ab-23cd",
  },
  webAcl: "arn:aws:wafv2:us-east-1:111122223333:global/webacl/kedge/0123abcd-01ab-23cd",
});
/** With a restored table in place of the stack's own. */
export const restored = synthesise({ table: RESTORED });
export const ALL: [string, Deployment][] = Object.entries({ prod, dev, full, restored });
