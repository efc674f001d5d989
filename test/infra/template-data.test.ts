/** What must outlive a deployment: the table, the keys, the buckets, and what a change of configuration does to them. */
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { FUNCTIONS } from "../../infra/names.ts";
import { TABLE } from "../../platform/table.ts";
import { almighty, statementsOf } from "./access.ts";
import {
  ALL,
  asserted,
  dev,
  full,
  only,
  prod,
  RESTORED,
  resources,
  restored,
  roleOf,
  synthesise,
} from "./templates.ts";

const DURABLE = [
  ...["AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::KMS::Key"],
  ...["AWS::Cognito::UserPool", "AWS::Cognito::UserPoolDomain"],
];

test("in production, deleting a stack deletes nothing that cannot be made again", () => {
  for (const deployment of [prod, full, restored]) {
    expect(deployment.terminationProtection).toEqual([true, true]);
    asserted(deployment.data).hasResourceProperties("AWS::DynamoDB::Table", {
      DeletionProtectionEnabled: true,
    });
    for (const [id, resource] of DURABLE.flatMap((type) => resources(deployment.data, type))) {
      expect([id, resource.DeletionPolicy, resource.UpdateReplacePolicy]).toEqual([id, "Retain", "Retain"]);
    }
  }
});

test("a development stage leaves nothing behind when its stacks go", () => {
  expect(dev.terminationProtection).toEqual([false, false]);
  asserted(dev.data).hasResourceProperties("AWS::DynamoDB::Table", { DeletionProtectionEnabled: false });
  const kept = [dev.data, dev.service].flatMap(({ Resources }) =>
    Object.entries(Resources).filter(([, { DeletionPolicy }]) => (DeletionPolicy ?? "Delete") !== "Delete"),
  );
  expect(kept.map(([id]) => id)).toEqual([]);
});

test("a user pool is made where it is asked for: nobody signs up, and everybody has a second factor", () => {
  for (const type of ["AWS::Cognito::UserPool", "AWS::Cognito::UserPoolClient"]) {
    for (const stack of [prod.data, prod.service]) asserted(stack).resourceCountIs(type, 0);
  }
  asserted(full.data).hasResourceProperties("AWS::Cognito::UserPool", {
    AdminCreateUserConfig: { AllowAdminCreateUserOnly: true },
    MfaConfiguration: "ON",
    EnabledMfas: ["SOFTWARE_TOKEN_MFA"],
    DeletionProtection: "ACTIVE",
  });
  asserted(full.service).hasResourceProperties("AWS::Cognito::UserPoolClient", {
    GenerateSecret: false,
    AllowedOAuthFlows: ["code"],
    AllowedOAuthFlowsUserPoolClient: true,
    AllowedOAuthScopes: ["openid", "profile"],
    CallbackURLs: [`https://${full.config.host?.name}/`],
    SupportedIdentityProviders: ["COGNITO"],
  });
  const [, { Properties }] = only(full.service, "AWS::Cognito::UserPoolClient");
  expect(Properties["ExplicitAuthFlows"] ?? ["ALLOW_REFRESH_TOKEN_AUTH"]).toEqual([
    "ALLOW_REFRESH_TOKEN_AUTH",
  ]);
});

test("the Service stack holds nothing that must outlive it", () => {
  for (const type of DURABLE) asserted(prod.service).resourceCountIs(type, 0);
});

const PRIVATE = {
  PublicAccessBlockConfiguration: {
    BlockPublicAcls: true,
    BlockPublicPolicy: true,
    IgnorePublicAcls: true,
    RestrictPublicBuckets: true,
  },
  BucketEncryption: {
    ServerSideEncryptionConfiguration: [{ ServerSideEncryptionByDefault: { SSEAlgorithm: "AES256" } }],
  },
};

describe.each(ALL)("%s: the table and the buckets", (_, { data, view, access }) => {
  test("the table is that of platform/table.ts, with a stream of keys and point-in-time recovery", () => {
    const [, { Properties }] = only(data, "AWS::DynamoDB::Table");
    expect(Properties).toMatchObject({
      KeySchema: [
        { AttributeName: TABLE.partitionKey, KeyType: "HASH" },
        { AttributeName: TABLE.sortKey, KeyType: "RANGE" },
      ],
      AttributeDefinitions: [TABLE.partitionKey, TABLE.sortKey].map((AttributeName) => ({
        AttributeName,
        AttributeType: "S",
      })),
      BillingMode: TABLE.billingMode,
      // Keys only: the stream must not carry entries.
      StreamSpecification: { StreamViewType: "KEYS_ONLY" },
      PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true, RecoveryPeriodInDays: 35 },
    });
    for (const never of ["GlobalSecondaryIndexes", "LocalSecondaryIndexes", "TimeToLiveSpecification"])
      expect(Properties).not.toHaveProperty(never);
  });

  test("every version in the bucket is locked in compliance mode, and none is public", () => {
    const { Properties } = view.one("AWS::S3::Bucket", "Published");
    expect(Properties).toMatchObject({
      VersioningConfiguration: { Status: "Enabled" },
      ObjectLockEnabled: true,
      ObjectLockConfiguration: { Rule: { DefaultRetention: { Mode: "COMPLIANCE" } } },
      ...PRIVATE,
    });
  });

  test("the index is private too, and keeps neither what is deleted nor what was never uploaded in whole", () => {
    const { Properties } = view.one("AWS::S3::Bucket", "Index");
    expect(Properties).toMatchObject({
      ...PRIVATE,
      LifecycleConfiguration: {
        Rules: [{ Status: "Enabled", AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 } }],
      },
    });
    for (const never of ["VersioningConfiguration", "ObjectLockEnabled", "ObjectLockConfiguration"])
      expect(Properties).not.toHaveProperty(never);
  });

  test("nothing is written into the index, or read from it, but by TLS", async () => {
    const { may, onRun } = access;
    const administrator = almighty("Administrator");
    for (const action of ["GetObject", "PutObject", "DeleteObject"]) {
      expect(await may(administrator, onRun(action, "a/0/0-b"))).toBe(true);
      for (const context of [{ "aws:SecureTransport": "false" }, { "s3:TlsVersion": "1.1" }])
        expect(await may(administrator, onRun(action, "a/0/0-b", context))).toBe(false);
    }
  });

  test("the lifecycle never deletes a current version, nor an older one before its lock ends", () => {
    const { Properties } = view.one("AWS::S3::Bucket", "Published");
    const { LifecycleConfiguration, ObjectLockConfiguration } = z
      .object({
        ObjectLockConfiguration: z.object({
          Rule: z.object({ DefaultRetention: z.object({ Days: z.number() }) }),
        }),
        LifecycleConfiguration: z.object({
          Rules: z.array(
            z.strictObject({
              Status: z.literal("Enabled"),
              NoncurrentVersionExpiration: z.strictObject({ NoncurrentDays: z.number() }),
            }),
          ),
        }),
      })
      .parse(Properties);
    const locked = ObjectLockConfiguration.Rule.DefaultRetention.Days;
    for (const { NoncurrentVersionExpiration } of LifecycleConfiguration.Rules)
      expect(NoncurrentVersionExpiration.NoncurrentDays).toBeGreaterThanOrEqual(locked);
  });

  test("of the bucket, CloudFront reads the anchor log's files and nothing else, for this account's distributions", () => {
    const { PolicyDocument } = z
      .object({ PolicyDocument: z.unknown() })
      .parse(view.properties(view.one("AWS::S3::BucketPolicy", "Published")));
    const bucket = view.arn("AWS::S3::Bucket", "Published");
    const cloudfront = {
      Principal: { Service: "cloudfront.amazonaws.com" },
      Condition: {
        ArnLike: { "aws:SourceArn": `arn:aws:cloudfront::${view.place.account}:distribution/*` },
      },
    };
    expect(statementsOf(PolicyDocument).filter(({ Effect }) => Effect === "Allow")).toMatchObject([
      { Action: ["s3:GetObject"], Resource: [`${bucket}/anchor/*`], ...cloudfront },
      // Only so that what is absent is answered with 404.
      { Action: ["s3:ListBucket"], Resource: [bucket], ...cloudfront },
    ]);
  });

  test("the bucket takes TLS only, and lets nobody delete, unlock or relock", async () => {
    const { may, roleOf, onObject } = access;
    const administrator = almighty("Administrator");
    for (const path of ["logs/a/head", "anchor/checkpoint", "other"]) {
      expect(await may(administrator, onObject("GetObject", path))).toBe(true);
      for (const context of [{ "aws:SecureTransport": "false" }, { "s3:TlsVersion": "1.1" }])
        expect(await may(administrator, onObject("GetObject", path, context))).toBe(false);
      for (const action of [
        ...["DeleteObject", "DeleteObjectVersion", "PutObjectRetention", "PutObjectLegalHold"],
        ...["BypassGovernanceRetention", "PutObject"],
      ])
        expect([path, action, await may(administrator, onObject(action, path))]).toEqual([
          path,
          action,
          false,
        ]);
      for (const name of FUNCTIONS) {
        const asking = almighty(roleOf(name).name);
        expect(await may(asking, onObject("DeleteObject", path))).toBe(false);
        expect(await may(asking, onObject("PutObject", path))).toBe(name !== "api");
      }
    }
  });
});

test("objects are locked for the configured days", () => {
  for (const [deployment, Days] of [
    [prod, 2_192],
    [dev, 1],
    [full, 3_650],
  ] as const) {
    asserted(deployment.data).hasResourceProperties("AWS::S3::Bucket", {
      ObjectLockConfiguration: { Rule: { DefaultRetention: { Mode: "COMPLIANCE", Days } } },
    });
  }
});

describe("a signing key is rotated", () => {
  const steps = [{ a: "signs" }, { a: "signs", b: "signs" }, { a: "retired", b: "signs" }].map((keys) =>
    synthesise({ logKeys: keys, anchorKeys: keys, anchorMldsaKeys: keys }),
  );

  test("no step removes a key or an export of the Data stack", () => {
    for (const [i, { data }] of steps.entries()) {
      for (const before of steps.slice(0, i)) {
        const ids = resources(before.data, "AWS::KMS::Key").map(([id]) => id);
        expect(Object.keys(data.Resources)).toEqual(expect.arrayContaining(ids));
        expect(data.Outputs).toMatchObject(before.data.Outputs);
      }
    }
  });

  test("nothing of a key changes but who may sign with it", () => {
    const [first, ...later] = steps.map(({ data }) => resources(data, "AWS::KMS::Key"));
    for (const [id, key] of first ?? []) {
      for (const now of later) {
        const same = now.find(([other]) => other === id)?.[1];
        const { KeyPolicy: _, ...properties } = key.Properties;
        expect(same?.Properties).toMatchObject(properties);
      }
    }
  });

  test("nothing else of the Data stack changes", () => {
    const others = steps.map(({ data }) =>
      Object.entries(data.Resources).filter(([, { Type }]) => Type !== "AWS::KMS::Key"),
    );
    for (const other of others) expect(other).toEqual(others[0]);
  });
});

describe("a restored table replaces the stack's own", () => {
  test("the Data stack does not change, so the old table stays", () => {
    expect(restored.data).toEqual(prod.data);
  });

  test("roles, functions, stream, alarms and outputs are of the restored one, and of no other", () => {
    const text = JSON.stringify(restored.service);
    expect(text).not.toMatch(/ExportsOutputFnGetAttTable/);
    expect(JSON.stringify(prod.service)).toMatch(/ExportsOutputFnGetAttTable/);
    expect(only(restored.service, "AWS::Lambda::EventSourceMapping")[1].Properties["EventSourceArn"]).toBe(
      RESTORED.streamArn,
    );
    for (const { Resource, Action } of roleOf(restored.service, "sealer").statements) {
      if (Action.some((action) => /^dynamodb:(?!ListStreams)/.test(action))) {
        expect([RESTORED.arn, RESTORED.streamArn]).toContain(Resource[0]);
      }
    }
  });
});
