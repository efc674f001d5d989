/** The three functions: bundles without anything of the runtime's own, each under a role of its own. */
import { join, parse } from "node:path";
import { Duration, RemovalPolicy, type Stack, Validations } from "aws-cdk-lib";
import * as iam from "aws-cdk-lib/aws-iam";
import * as lambda from "aws-cdk-lib/aws-lambda";
import * as logs from "aws-cdk-lib/aws-logs";
import type { IQueue } from "aws-cdk-lib/aws-sqs";
import { ENTRY_FILE, filesOf, POLICY_FILE, TSA_CERTS_FILE } from "./bundle.ts";
import { type Config, isDurable } from "./config.ts";
import { type FunctionName, roleName } from "./names.ts";
import { permissions, platformPermissions, type Resources, wildcards } from "./permissions.ts";

/** What every function of ours runs on. */
export const LAMBDA = {
  handler: `${parse(ENTRY_FILE).name}.handler`,
  runtime: lambda.Runtime.NODEJS_24_X,
  architecture: lambda.Architecture.ARM_64,
  loggingFormat: lambda.LoggingFormat.JSON,
  // Lambda's own START and END lines cost more than the function's.
  systemLogLevelV2: lambda.SystemLogLevel.WARN,
} as const;

/** Memory is CPU too: 1,769 MB is one vCPU. The API Gateway waits 30 s at most. */
export const SIZES: Record<FunctionName, { readonly memory: number; readonly timeout: Duration }> = {
  api: { memory: 1_024, timeout: Duration.seconds(29) },
  sealer: { memory: 1_769, timeout: Duration.minutes(15) },
  anchorer: { memory: 1_024, timeout: Duration.minutes(15) },
};

export type Surroundings = Resources & {
  readonly tableName: string;
  readonly bucketName: string;
  readonly streamArn: string;
  readonly deadLetters: IQueue;
  /** The folder with a folder for each function's bundle. */
  readonly bundles: string;
};

export function makeFunction(
  stack: Stack,
  name: FunctionName,
  config: Config,
  around: Surroundings,
): lambda.Function {
  const logGroup = new logs.LogGroup(stack, `${name}Logs`, {
    retention: config.logRetentionDays,
    removalPolicy: isDurable(config) ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
  });
  const role = new iam.Role(stack, `${name}Role`, {
    roleName: roleName(config, name),
    assumedBy: new iam.ServicePrincipal("lambda.amazonaws.com"),
    description: `Kedge ${config.stage}: what its ${name} may do`,
    inlinePolicies: {
      kedge: new iam.PolicyDocument({ statements: permissions(name, around) }),
      lambda: new iam.PolicyDocument({
        statements: platformPermissions(name, {
          logGroupArn: logGroup.logGroupArn,
          streamArn: around.streamArn,
          queueArn: around.deadLetters.queueArn,
        }),
      }),
    },
  });
  for (const pattern of wildcards(name, around)) {
    // cdk-nag names an import by the name of its export.
    const resource = pattern.replace(
      around.bucketArn,
      String(stack.resolve(around.bucketArn)["Fn::ImportValue"]),
    );
    Validations.of(role).acknowledge({
      id: `AwsSolutions::AwsSolutions-IAM5[Resource::${resource}]`,
      reason:
        "The objects of logs, some of them created later; or ListStreams, which IAM knows no resource for.",
    });
  }
  return new lambda.Function(stack, name, {
    description: `Kedge ${config.stage}: ${name}`,
    code: lambda.Code.fromAsset(join(around.bundles, name)),
    ...LAMBDA,
    memorySize: SIZES[name].memory,
    timeout: SIZES[name].timeout,
    // Exactly what stands in permissions.ts: nothing that a construct would add.
    role: role.withoutPolicyUpdates(),
    logGroup,
    environment: environment(name, config, around),
  });
}

function environment(name: FunctionName, config: Config, around: Surroundings): Record<string, string> {
  const { logKeys, anchorKeys, anchorMldsaKeys, tableName, bucketName } = around;
  const files = filesOf(name, config);
  return {
    KEDGE_TABLE: tableName,
    KEDGE_DOMAIN: config.domain,
    KEDGE_LOG_KEY: logKeys.join(","),
    KEDGE_ANCHOR_KEY: anchorKeys.join(","),
    ...(anchorMldsaKeys.length > 0 && { KEDGE_ANCHOR_MLDSA_KEY: anchorMldsaKeys.join(",") }),
    ...(name !== "api" && { KEDGE_PUBLICATION: `s3://${bucketName}` }),
    ...(POLICY_FILE in files && { KEDGE_POLICY: POLICY_FILE }),
    ...(name === "anchorer" && timestamping(config)),
    ...(TSA_CERTS_FILE in files && { KEDGE_TSA_CERTS: TSA_CERTS_FILE }),
    KEDGE_METRICS: metricNamespace(config),
  };
}

function timestamping({ timestamps }: Config): Record<string, string> {
  if (timestamps === undefined) return {};
  const { tsaUrls, everyMinutes, otsCalendars, bitcoinUrl } = timestamps;
  return {
    KEDGE_TSA_EVERY: String(everyMinutes),
    ...(tsaUrls !== undefined && { KEDGE_TSA_URLS: tsaUrls.join(" ") }),
    ...(otsCalendars !== undefined && { KEDGE_OTS_CALENDARS: otsCalendars.join(" ") }),
    ...(bitcoinUrl !== undefined && { KEDGE_BITCOIN_URL: bitcoinUrl }),
  };
}

export const metricNamespace = ({ stage }: Config): string => `Kedge/${stage}`;
