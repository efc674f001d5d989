/** Signing keys in KMS: administered by the account, and used by one role. */
import { Duration, type RemovalPolicy, type Stack } from "aws-cdk-lib";
import * as iam from "aws-cdk-lib/aws-iam";
import * as kms from "aws-cdk-lib/aws-kms";

export type KeyAlgorithm = "ED25519_SHA_512" | "ML_DSA_SHAKE_256";

/** What an administrator of the account may do with a signing key: everything but sign, replicate it or use it. */
const KEY_ADMINISTRATION = [
  "kms:CancelKeyDeletion",
  "kms:DescribeKey",
  "kms:DisableKey",
  "kms:EnableKey",
  "kms:GetKeyPolicy",
  "kms:GetKeyRotationStatus",
  "kms:GetPublicKey",
  "kms:ListGrants",
  "kms:ListKeyPolicies",
  "kms:ListResourceTags",
  "kms:PutKeyPolicy",
  "kms:RevokeGrant",
  "kms:ScheduleKeyDeletion",
  "kms:TagResource",
  "kms:UntagResource",
  "kms:UpdateKeyDescription",
];

/** Of a role of this account, whether or not it exists yet. */
export const roleArn = (stack: Stack, resourceName: string): string =>
  stack.formatArn({ service: "iam", region: "", resource: "role", resourceName });

/** @param signer the name of the role that may sign; undefined for a retired key, with which nobody may. */
export function makeSigningKey(
  stack: Stack,
  id: string,
  key: {
    readonly description: string;
    readonly spec: kms.KeySpec;
    readonly algorithm: KeyAlgorithm;
    readonly signer: string | undefined;
    readonly durable: boolean;
    readonly removalPolicy: RemovalPolicy;
  },
): kms.Key {
  const account = new iam.AccountRootPrincipal();
  const statements = [
    new iam.PolicyStatement({
      sid: "AdministerWithoutSigning",
      principals: [account],
      actions: KEY_ADMINISTRATION,
      resources: ["*"],
    }),
  ];
  if (key.signer !== undefined) {
    // The role is named, not referenced: it may belong to a stack that comes and goes.
    const role = roleArn(stack, key.signer);
    statements.push(
      new iam.PolicyStatement({
        sid: "SignCheckpoints",
        principals: [account],
        actions: ["kms:Sign"],
        resources: ["*"],
        conditions: {
          ArnEquals: { "aws:PrincipalArn": role },
          StringEquals: { "kms:SigningAlgorithm": key.algorithm, "kms:MessageType": "RAW" },
        },
      }),
    );
  }
  return new kms.Key(stack, id, {
    description: key.description,
    keySpec: key.spec,
    keyUsage: kms.KeyUsage.SIGN_VERIFY,
    policy: new iam.PolicyDocument({ statements }),
    pendingWindow: Duration.days(key.durable ? 30 : 7),
    removalPolicy: key.removalPolicy,
  });
}
