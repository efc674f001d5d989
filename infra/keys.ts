/** Signing keys in KMS: the account administers them, and one role signs with each. */
import { Duration, type Stack } from "aws-cdk-lib";
import * as iam from "aws-cdk-lib/aws-iam";
import * as kms from "aws-cdk-lib/aws-kms";
import type { Deployed } from "./settings.ts";
import { isDurable, removalPolicyOf } from "./stage.ts";

/** A key's type, and the algorithm that it signs by. */
export type KeyType = { readonly spec: kms.KeySpec; readonly algorithm: string };
export const ED25519: KeyType = { spec: kms.KeySpec.ECC_NIST_EDWARDS25519, algorithm: "ED25519_SHA_512" };
export const MLDSA44: KeyType = { spec: kms.KeySpec.ML_DSA_44, algorithm: "ML_DSA_SHAKE_256" };

/** What administrators of the account may do with a signing key: neither sign with it nor copy it. */
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

/** The ARN of a role of this account, which need not exist yet. */
export const roleArn = (stack: Stack, resourceName: string): string =>
  stack.formatArn({ service: "iam", region: "", resource: "role", resourceName });

type SigningKey = {
  readonly description: string;
  readonly type: KeyType;
  /** The name of the role that may sign; undefined for a retired key, with which nobody may. */
  readonly signer: string | undefined;
};

export function makeSigningKey(
  stack: Stack,
  id: string,
  config: Deployed,
  { description, type, signer }: SigningKey,
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
  if (signer !== undefined) {
    // By name, not by reference: the role is of a stack that may be deleted and deployed again.
    const role = roleArn(stack, signer);
    statements.push(
      new iam.PolicyStatement({
        sid: "SignCheckpoints",
        principals: [account],
        actions: ["kms:Sign"],
        resources: ["*"],
        conditions: {
          ArnEquals: { "aws:PrincipalArn": role },
          StringEquals: { "kms:SigningAlgorithm": type.algorithm, "kms:MessageType": "RAW" },
        },
      }),
    );
  }
  return new kms.Key(stack, id, {
    description,
    keySpec: type.spec,
    keyUsage: kms.KeyUsage.SIGN_VERIFY,
    policy: new iam.PolicyDocument({ statements }),
    pendingWindow: Duration.days(isDurable(config) ? 30 : 7),
    removalPolicy: removalPolicyOf(config),
  });
}
