/** A witness by itself: its record, its keys, one function and the way in. Nothing of the anchoring service is needed. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type App,
  CfnOutput,
  Duration,
  Fn,
  RemovalPolicy,
  Stack,
  type StackProps,
  Tags,
  Validations,
} from "aws-cdk-lib";
import * as dynamodb from "aws-cdk-lib/aws-dynamodb";
import * as iam from "aws-cdk-lib/aws-iam";
import * as kms from "aws-cdk-lib/aws-kms";
import * as lambda from "aws-cdk-lib/aws-lambda";
import * as logs from "aws-cdk-lib/aws-logs";
import { AwsSolutionsChecks } from "cdk-nag";
import type { Construct } from "constructs";
import { TABLE } from "../platform/table.ts";
import { bundleEntry } from "./bundle.ts";
import { isDurable } from "./config.ts";
import { LAMBDA } from "./functions.ts";
import { acknowledge, makeHttpApi } from "./http-api.ts";
import { type KeyAlgorithm, makeSigningKey } from "./keys.ts";
import { signing } from "./permissions.ts";
import { watchWitness, witnessNamespace } from "./witness-alarms.ts";
import type { WitnessConfig } from "./witness-config.ts";

/** In the function's folder: an ML-DSA-44 vkey is 1.8 kB, and a function's environment 4 kB. */
const LOGS_FILE = "logs";
/** Every item is in the partition of a log's origin (service/table.ts). */
const PARTITIONS = "witness/*";
/** Writes the function's folder: its code, and the vkeys of the logs that it watches. */
export async function bundleWitness(folder: string, { logs: vkeys }: WitnessConfig): Promise<void> {
  await bundleEntry(join(import.meta.dirname, "../witness/lambda"), folder);
  await writeFile(join(folder, LOGS_FILE), `${vkeys.join("\n")}\n`);
}

/** @param folder as `bundleWitness` writes it. */
export function buildWitness(app: App, config: WitnessConfig, folder: string): void {
  const { stage, region, account } = config;
  new WitnessStack(app, `KedgeWitness-${stage}`, {
    config,
    folder,
    env: { region, ...(account !== undefined && { account }) },
    terminationProtection: isDurable(config),
    description: "Kedge: a witness of transparency logs",
  });
  Tags.of(app).add("service", "kedge-witness");
  Tags.of(app).add("stage", stage);
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
}

type Surroundings = {
  readonly config: WitnessConfig;
  readonly folder: string;
  readonly roleName: string;
  readonly removalPolicy: RemovalPolicy;
};

export class WitnessStack extends Stack {
  constructor(
    scope: Construct,
    id: string,
    { config, folder, ...props }: StackProps & { readonly config: WitnessConfig; readonly folder: string },
  ) {
    super(scope, id, props);
    const around: Surroundings = {
      config,
      folder,
      // IAM is global, so the region is part of the name.
      roleName: `kedge-witness-${config.stage}-${config.region}`,
      removalPolicy: isDurable(config) ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
    };
    const table = record(this, around);
    const ed25519 = key(this, "Key", kms.KeySpec.ECC_NIST_EDWARDS25519, "ED25519_SHA_512", around);
    const mldsa = config.mldsa
      ? [key(this, "MldsaKey", kms.KeySpec.ML_DSA_44, "ML_DSA_SHAKE_256", around)]
      : [];
    const witness = makeFunction(this, { table, ed25519, mldsa, ...around });
    const http = makeHttpApi(
      this,
      {
        id: "Witness",
        target: witness,
        description: `Kedge witness ${config.name}`,
        authorization:
          "Requests are authenticated by the log's signature on the checkpoint (c2sp.org/tlog-witness).",
      },
      config,
    );
    watchWitness(this, { config, witness, http });
    const keys = [ed25519, ...mldsa].map(({ keyArn }) => keyArn);
    new CfnOutput(this, "Region", { value: config.region });
    new CfnOutput(this, "WitnessUrl", { value: http.apiEndpoint });
    new CfnOutput(this, "WitnessName", { value: config.name });
    new CfnOutput(this, "WitnessKeys", { value: Fn.join(",", keys) });
    new CfnOutput(this, "WitnessFunction", { value: witness.functionName });
  }
}

/** Without backups: an older copy has forgotten what was cosigned, and would let the keys cosign a fork of it. */
function record(stack: Stack, { config, removalPolicy }: Surroundings): dynamodb.Table {
  const string = dynamodb.AttributeType.STRING;
  const table = new dynamodb.Table(stack, "Record", {
    partitionKey: { name: TABLE.partitionKey, type: string },
    sortKey: { name: TABLE.sortKey, type: string },
    billingMode: dynamodb.BillingMode[TABLE.billingMode],
    deletionProtection: isDurable(config),
    removalPolicy,
  });
  acknowledge(
    table,
    "DDB3",
    "A restored record has forgotten what was cosigned since: a lost one means new keys.",
  );
  return table;
}

const key = (
  stack: Stack,
  id: string,
  spec: kms.KeySpec,
  algorithm: KeyAlgorithm,
  around: Surroundings,
): kms.Key =>
  makeSigningKey(stack, id, {
    description: `Kedge witness ${around.config.name}: cosigns checkpoints`,
    spec,
    algorithm,
    signer: around.roleName,
    durable: isDurable(around.config),
    removalPolicy: around.removalPolicy,
  });

function makeFunction(
  stack: Stack,
  around: Surroundings & {
    readonly table: dynamodb.Table;
    readonly ed25519: kms.Key;
    readonly mldsa: readonly kms.Key[];
  },
): lambda.Function {
  const { config, folder, roleName, removalPolicy, table, ed25519, mldsa } = around;
  const logGroup = new logs.LogGroup(stack, "WitnessLogs", {
    retention: config.logRetentionDays,
    removalPolicy,
  });
  const onTable = (action: string) =>
    new iam.PolicyStatement({
      actions: [action],
      resources: [table.tableArn],
      conditions: { "ForAllValues:StringLike": { "dynamodb:LeadingKeys": [PARTITIONS] } },
    });
  const statements = [
    onTable("dynamodb:BatchGetItem"),
    onTable("dynamodb:PutItem"),
    ...signing([ed25519.keyArn], "ED25519_SHA_512"),
    ...signing(
      mldsa.map(({ keyArn }) => keyArn),
      "ML_DSA_SHAKE_256",
    ),
    new iam.PolicyStatement({
      actions: ["logs:CreateLogStream", "logs:PutLogEvents"],
      resources: [logGroup.logGroupArn],
    }),
  ];
  const role = new iam.Role(stack, "WitnessRole", {
    roleName,
    assumedBy: new iam.ServicePrincipal("lambda.amazonaws.com"),
    description: `Kedge witness ${config.name}: what it may do`,
    inlinePolicies: { kedge: new iam.PolicyDocument({ statements }) },
  });
  const [mldsaKey] = mldsa;
  return new lambda.Function(stack, "Witness", {
    description: `Kedge witness ${config.name}`,
    code: lambda.Code.fromAsset(folder),
    ...LAMBDA,
    memorySize: 1_024,
    // API Gateway waits 30 s at most.
    timeout: Duration.seconds(29),
    role: role.withoutPolicyUpdates(),
    logGroup,
    environment: {
      KEDGE_TABLE: table.tableName,
      KEDGE_WITNESS_NAME: config.name,
      KEDGE_WITNESS_KEY: ed25519.keyArn,
      ...(mldsaKey !== undefined && { KEDGE_WITNESS_MLDSA_KEY: mldsaKey.keyArn }),
      KEDGE_WITNESS_LOGS_FILE: LOGS_FILE,
      KEDGE_METRICS: witnessNamespace(config),
    },
  });
}
