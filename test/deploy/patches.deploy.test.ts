/** What the emulator lacks for Kedge, each lack apart: as it comes it fails the test that it passes when patched. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { z } from "zod";
import { ACCOUNT, type Credentials, type Emulator, PATCHES, Refused, startEmulator } from "./emulator.ts";

type Patch = (typeof PATCHES)[number];

type Probe = {
  /** @returns what came of it. @throws Refused */
  ask(emulator: Emulator): Promise<unknown>;
  /** What AWS answers, and the emulator with the patch. */
  readonly answer: unknown;
  /** What the emulator answers without it; a code is a refusal. */
  readonly lack: unknown;
};

const PROBES: Readonly<Record<Patch, Probe>> = {
  mldsa44: {
    async ask({ aws }) {
      const made = await aws("kms", "create_key", { KeySpec: "ML_DSA_44", KeyUsage: "SIGN_VERIFY" });
      const { KeySpec } = z
        .object({ KeyMetadata: z.object({ KeySpec: z.string() }) })
        .parse(made).KeyMetadata;
      return KeySpec;
    },
    answer: "ML_DSA_44",
    lack: "UnsupportedOperationException",
  },
  object_lock: {
    async ask({ aws }) {
      const Bucket = name();
      const rule = { DefaultRetention: { Mode: "COMPLIANCE", Days: 3 } };
      await stack(aws, "AWS::S3::Bucket", {
        BucketName: Bucket,
        VersioningConfiguration: { Status: "Enabled" },
        ObjectLockEnabled: true,
        ObjectLockConfiguration: { ObjectLockEnabled: "Enabled", Rule: rule },
      });
      const got = await aws("s3", "get_object_lock_configuration", { Bucket });
      return z.object({ ObjectLockConfiguration: z.object({ Rule: z.unknown() }) }).parse(got)
        .ObjectLockConfiguration.Rule;
    },
    answer: { DefaultRetention: { Mode: "COMPLIANCE", Days: 3 } },
    lack: "ObjectLockConfigurationNotFoundError",
  },
  metric_math: {
    async ask({ aws }) {
      const AlarmName = name();
      const Metric = { Namespace: "Kedge", MetricName: "Sealed" };
      await stack(aws, "AWS::CloudWatch::Alarm", {
        AlarmName,
        ComparisonOperator: "GreaterThanThreshold",
        EvaluationPeriods: 1,
        Threshold: 0,
        Metrics: [
          { Id: "m1", ReturnData: false, MetricStat: { Metric, Period: 60, Stat: "Sum" } },
          { Id: "e1", ReturnData: true, Expression: "m1 * 2" },
        ],
      });
      const got = await aws("cloudwatch", "describe_alarms", { AlarmNames: [AlarmName] });
      return z.object({ MetricAlarms: z.array(z.unknown()) }).parse(got).MetricAlarms.length;
    },
    answer: 1,
    lack: "ROLLBACK_COMPLETE",
  },
  leading_keys: {
    async ask(emulator) {
      const { aws } = emulator;
      const TableName = name();
      await aws("dynamodb", "create_table", {
        TableName,
        BillingMode: "PAY_PER_REQUEST",
        AttributeDefinitions: [{ AttributeName: "pk", AttributeType: "S" }],
        KeySchema: [{ AttributeName: "pk", KeyType: "HASH" }],
      });
      const ours = { "ForAnyValue:StringLike": { "dynamodb:LeadingKeys": ["log/*"] } };
      const put = { Effect: "Allow", Action: "dynamodb:PutItem", Resource: "*", Condition: ours };
      const role = await assumed(emulator, name(), [put]);
      const Item = { pk: { S: "log/a" } };
      const other = { TableName, Item: { pk: { S: "tenant/a" } } };
      return [
        await outcomeOf(aws("dynamodb", "put_item", { TableName, Item }, role)),
        await outcomeOf(aws("dynamodb", "put_item", other, role)),
      ];
    },
    answer: ["done", "AccessDeniedException"],
    lack: ["AccessDeniedException", "AccessDeniedException"],
  },
  signing_keys: {
    async ask(emulator) {
      const { aws } = emulator;
      const made = await aws("kms", "create_key", { KeySpec: "ECC_NIST_P256", KeyUsage: "SIGN_VERIFY" });
      const { KeyId } = z.object({ KeyMetadata: z.object({ KeyId: z.string() }) }).parse(made).KeyMetadata;
      const raw = { StringEquals: { "kms:SigningAlgorithm": "ECDSA_SHA_256", "kms:MessageType": "RAW" } };
      const sign = { Effect: "Allow", Action: "kms:Sign", Resource: "*", Condition: raw };
      const role = await assumed(emulator, name(), [sign]);
      const request = { KeyId, Message: "a".repeat(32), SigningAlgorithm: "ECDSA_SHA_256" };
      return [
        await outcomeOf(aws("kms", "sign", { ...request, MessageType: "RAW" }, role)),
        await outcomeOf(aws("kms", "sign", { ...request, MessageType: "DIGEST" }, role)),
      ];
    },
    answer: ["done", "AccessDeniedException"],
    lack: ["AccessDeniedException", "AccessDeniedException"],
  },
  principal_arn: {
    async ask(emulator) {
      const { aws } = emulator;
      const [Bucket, writer] = [name(), name()];
      await aws("s3", "create_bucket", {
        Bucket,
        CreateBucketConfiguration: { LocationConstraint: "eu-central-1" },
      });
      const put = { Effect: "Allow", Action: "s3:PutObject", Resource: "*" };
      const role = await assumed(emulator, writer, [put]);
      const others = { ArnNotEquals: { "aws:PrincipalArn": [`arn:aws:iam::${ACCOUNT}:role/${writer}`] } };
      const Resource = `arn:aws:s3:::${Bucket}/*`;
      const deny = { Effect: "Deny", Principal: "*", Action: "s3:PutObject", Resource, Condition: others };
      const Policy = JSON.stringify({ Version: "2012-10-17", Statement: [deny] });
      await aws("s3", "put_bucket_policy", { Bucket, Policy });
      const other = await assumed(emulator, name(), [put]);
      return [
        await outcomeOf(aws("s3", "put_object", { Bucket, Key: "a", Body: "a" }, role)),
        await outcomeOf(aws("s3", "put_object", { Bucket, Key: "b", Body: "b" }, other)),
      ];
    },
    answer: ["done", "AccessDenied"],
    lack: ["AccessDenied", "AccessDenied"],
  },
};

const name = (): string => `kedge-${randomUUID()}`;

/** Creates a stack of one resource, and waits for it. */
async function stack(aws: Emulator["aws"], Type: string, Properties: object): Promise<void> {
  const StackName = name();
  const TemplateBody = JSON.stringify({ Resources: { It: { Type, Properties } } });
  await aws("cloudformation", "create_stack", { StackName, TemplateBody });
  for (;;) {
    const told = await aws("cloudformation", "describe_stacks", { StackName });
    const { StackStatus, StackStatusReason } = z
      .object({
        Stacks: z.tuple([z.object({ StackStatus: z.string(), StackStatusReason: z.string().optional() })]),
      })
      .parse(told).Stacks[0];
    if (StackStatus === "CREATE_COMPLETE") return;
    if (StackStatus !== "CREATE_IN_PROGRESS") throw new Refused(StackStatus, StackStatusReason ?? "");
  }
}

/** A session of a new role that these statements allow. */
async function assumed({ aws }: Emulator, RoleName: string, Statement: object[]): Promise<Credentials> {
  const document = (statements: object[]) => JSON.stringify({ Version: "2012-10-17", Statement: statements });
  const trust = {
    Effect: "Allow",
    Principal: { AWS: `arn:aws:iam::${ACCOUNT}:root` },
    Action: "sts:AssumeRole",
  };
  await aws("iam", "create_role", { RoleName, AssumeRolePolicyDocument: document([trust]) });
  await aws("iam", "put_role_policy", { RoleName, PolicyName: "p", PolicyDocument: document(Statement) });
  const RoleArn = `arn:aws:iam::${ACCOUNT}:role/${RoleName}`;
  const session = await aws("sts", "assume_role", { RoleArn, RoleSessionName: "probe" });
  return z.object({ Credentials: z.custom<Credentials>() }).parse(session).Credentials;
}

/** The code of what was refused. @throws whatever else went wrong. */
function codeOf(error: unknown): string {
  if (error instanceof Refused) return error.code;
  throw error;
}

/** "done", or the code of what was refused. */
const outcomeOf = (answer: Promise<unknown>): Promise<string> => answer.then(() => "done", codeOf);

const found = inject("python");

describe.skipIf("missing" in found)("the emulator lacks what is patched", () => {
  let asItComes: Emulator;
  let patched: Emulator;
  beforeAll(async () => {
    if ("missing" in found) return;
    [asItComes, patched] = await Promise.all([startEmulator(found.python, []), startEmulator(found.python)]);
  });
  afterAll(async () => {
    await Promise.all([asItComes?.stop(), patched?.stop()]);
  });

  test.each(PATCHES)("%s: as it comes it lacks it, patched it has it", async (patch) => {
    const { ask, answer, lack } = PROBES[patch];
    expect(await ask(asItComes).catch(codeOf)).toEqual(lack);
    expect(await ask(patched)).toEqual(answer);
  });
});
