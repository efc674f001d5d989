/** A Lambda function: one spec says all that it is made of, and this turns the spec into constructs. */
import { parse } from "node:path";
import { type Duration, type Stack, StringConcat, Tokenization } from "aws-cdk-lib";
import type { HttpApi } from "aws-cdk-lib/aws-apigatewayv2";
import * as iam from "aws-cdk-lib/aws-iam";
import * as lambda from "aws-cdk-lib/aws-lambda";
import * as logs from "aws-cdk-lib/aws-logs";
import type { Alarm } from "./alarms.ts";
import { ENTRY_FILE } from "./bundle.ts";
import { acknowledge } from "./nag.ts";
import type { Deployed } from "./settings.ts";
import { removalPolicyOf } from "./stage.ts";

/** @typeParam C its configuration. @typeParam R what it uses of its stack: names and ARNs. */
export type FunctionSpec<C extends Deployed, R, Name extends string = string> = {
  readonly name: Name;
  /** The module that exports its `handler`: its path in the repository, without extension. */
  readonly entry: string;
  /** MB. Memory is CPU too: 1,769 MB is one vCPU (Lambda Developer Guide, "Memory"). */
  readonly memory: number;
  readonly timeout: Duration;
  /** Files that it reads, which are put beside its code: contents by name. */
  files(config: C): Readonly<Record<string, string | Uint8Array>>;
  environment(config: C, resources: R): Record<string, string>;
  /** All that it may do: the inline policies of its role, by name. */
  policies(resources: R & LogGroup): Readonly<Record<string, iam.PolicyStatement[]>>;
  /** Resources in these policies that hold a wildcard, each with the reason. */
  wildcards?(resources: R): Readonly<Record<string, string>>;
  /** For a function that runs on a schedule. */
  readonly schedule?: { readonly name: string; minutes(config: C): number };
  alarms(config: C, running: Running): Alarm[];
};

type LogGroup = { readonly logGroupArn: string };

/** What alarms can watch, besides the metrics that the function emits itself. */
export type Running = { readonly function: lambda.Function; readonly http: HttpApi };

type DeployedFunction<C, R> = {
  readonly config: C;
  readonly resources: R;
  /** Its bundle, as `bundle` writes it. */
  readonly folder: string;
  /** Its construct id; its role's and its log group's start with it. */
  readonly id: string;
  readonly description: string;
  readonly role: { readonly roleName: string; readonly description: string };
};

export function makeFunction<C extends Deployed, R>(
  stack: Stack,
  spec: FunctionSpec<C, R>,
  { config, resources, folder, id, description, role: named }: DeployedFunction<C, R>,
): lambda.Function {
  const logGroup = new logs.LogGroup(stack, `${id}Logs`, {
    retention: config.logRetentionDays,
    removalPolicy: removalPolicyOf(config),
  });
  const policies = spec.policies({ ...resources, logGroupArn: logGroup.logGroupArn });
  const role = new iam.Role(stack, `${id}Role`, {
    ...named,
    assumedBy: new iam.ServicePrincipal("lambda.amazonaws.com"),
    inlinePolicies: Object.fromEntries(
      Object.entries(policies).map(([name, statements]) => [name, new iam.PolicyDocument({ statements })]),
    ),
  });
  for (const [pattern, reason] of Object.entries(spec.wildcards?.(resources) ?? {}))
    acknowledge(role, `IAM5[Resource::${byExport(stack, pattern)}]`, reason);
  return new lambda.Function(stack, id, {
    description,
    code: lambda.Code.fromAsset(folder),
    handler: `${parse(ENTRY_FILE).name}.handler`,
    runtime: lambda.Runtime.NODEJS_24_X,
    architecture: lambda.Architecture.ARM_64,
    loggingFormat: lambda.LoggingFormat.JSON,
    // Lambda's own START and END lines cost more than the function's.
    systemLogLevelV2: lambda.SystemLogLevel.WARN,
    memorySize: spec.memory,
    timeout: spec.timeout,
    // The role has exactly the policies of the spec: no construct may add to them.
    role: role.withoutPolicyUpdates(),
    logGroup,
    environment: spec.environment(config, resources),
  });
}

/** cdk-nag names an import from another stack by the name of its export. */
const byExport = (stack: Stack, resource: string): string =>
  Tokenization.reverseString(resource)
    .mapTokens({ mapToken: (token) => stack.resolve(token)["Fn::ImportValue"] })
    .join(new StringConcat());
