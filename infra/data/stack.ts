/** What must outlive a deployment: the table, the signing keys, the published bucket, people; and the index, which is long in the making. */
import { Duration, Stack, type StackProps } from "aws-cdk-lib";
import * as dynamodb from "aws-cdk-lib/aws-dynamodb";
import * as iam from "aws-cdk-lib/aws-iam";
import * as s3 from "aws-cdk-lib/aws-s3";
import type { Construct } from "constructs";
import type { Config } from "../config.ts";
import { ED25519, type KeyType, MLDSA44, makeSigningKey, roleArn } from "../keys.ts";
import { acknowledge } from "../nag.ts";
import { type FunctionName, roleName } from "../names.ts";
import { makeUserPool } from "../sign-in/pool.ts";
import { removalPolicyOf } from "../stage.ts";
import { makeTable } from "../table.ts";

/** A kind of key: which logs it signs, and the function that may sign with it. */
type KeyKind = {
  readonly id: string;
  readonly of: string;
  readonly type: KeyType;
  readonly signer: FunctionName;
};

const LOG_KEY: KeyKind = { id: "LogKey", of: "tenants' logs", type: ED25519, signer: "sealer" };
const ANCHOR_KEY: KeyKind = { id: "AnchorKey", of: "the anchor log", type: ED25519, signer: "anchorer" };
const ANCHOR_MLDSA_KEY: KeyKind = { ...ANCHOR_KEY, id: "AnchorMldsaKey", type: MLDSA44 };

/** Of both buckets. */
const PRIVATE = {
  blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
  encryption: s3.BucketEncryption.S3_MANAGED,
  enforceSSL: true,
  minimumTLSVersion: 1.2,
} satisfies s3.BucketProps;

/** What the Service stack uses of the Data stack, by cross-stack references. */
export type Data = {
  readonly tableArn: string;
  readonly streamArn: string;
  readonly bucketArn: string;
  readonly bucketName: string;
  readonly indexArn: string;
  readonly indexName: string;
  /** ARNs of the keys that sign, the log's own first. */
  readonly logKeys: readonly string[];
  readonly anchorKeys: readonly string[];
  readonly anchorMldsaKeys: readonly string[];
  /** Of the user pool, where there is one. */
  readonly userPoolArn?: string;
};

/**
 * Exports everything, used or not. CloudFormation refuses to drop an export while another stack imports it, so an export
 * that came and went with its use would block retiring a key and switching to a restored table.
 */
export class DataStack extends Stack {
  readonly data: Data;

  constructor(scope: Construct, id: string, { config, ...props }: StackProps & { readonly config: Config }) {
    super(scope, id, props);
    const table = makeTable(this, "Table", config, {
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true, recoveryPeriodInDays: 35 },
      stream: dynamodb.StreamViewType.KEYS_ONLY,
    });
    const make = (kind: KeyKind, states: Config["logKeys"]): string[] => {
      const made = Object.entries(states).map(([name, state]) => ({
        signs: state === "signs",
        arn: this.signingKey(kind, name, state === "signs", config),
      }));
      return made.filter(({ signs }) => signs).map(({ arn }) => arn);
    };
    const bucket = this.publishedBucket(config);
    const index = this.indexBucket(config);
    this.data = {
      tableArn: this.exportValue(table.tableArn),
      streamArn: this.exportValue(table.tableStreamArn),
      bucketArn: this.exportValue(bucket.bucketArn),
      bucketName: this.exportValue(bucket.bucketName),
      indexArn: this.exportValue(index.bucketArn),
      indexName: this.exportValue(index.bucketName),
      logKeys: make(LOG_KEY, config.logKeys),
      anchorKeys: make(ANCHOR_KEY, config.anchorKeys),
      anchorMldsaKeys: make(ANCHOR_MLDSA_KEY, config.anchorMldsaKeys),
      ...(config.signIn !== undefined && {
        userPoolArn: this.exportValue(makeUserPool(this, config).userPoolArn),
      }),
    };
  }

  /** @returns its ARN, as a cross-stack reference. */
  private signingKey(
    { id, of, type, signer }: KeyKind,
    name: string,
    signs: boolean,
    config: Config,
  ): string {
    const key = makeSigningKey(this, `${id}-${name}`, config, {
      description: `Kedge ${config.stage}: signs checkpoints of ${of}`,
      type,
      signer: signs ? roleName(config, signer) : undefined,
    });
    return this.exportValue(key.keyArn);
  }

  /**
   * Neither versions nor locks: a run is a function of what is in the table, its hash stands in the table's cover, and what
   * a merge has replaced is deleted.
   */
  private indexBucket(config: Config): s3.Bucket {
    const bucket = new s3.Bucket(this, "Index", {
      ...PRIVATE,
      removalPolicy: removalPolicyOf(config),
      lifecycleRules: [{ abortIncompleteMultipartUploadAfter: Duration.days(1) }],
    });
    bucket.policy?.applyRemovalPolicy(removalPolicyOf(config));
    acknowledge(bucket, "S1", "What is in it can be made again, and is checked whenever it is read.");
    return bucket;
  }

  /** Every version of every object is locked: an overwrite adds a version. */
  private publishedBucket(config: Config): s3.Bucket {
    const { retentionDays } = config;
    const removalPolicy = removalPolicyOf(config);
    const bucket = new s3.Bucket(this, "Published", {
      versioned: true,
      objectLockEnabled: true,
      objectLockDefaultRetention: s3.ObjectLockRetention.compliance(Duration.days(retentionDays)),
      ...PRIVATE,
      removalPolicy,
      // Only the newest version of an object counts: older ones are deleted when their lock ends.
      lifecycleRules: [{ noncurrentVersionExpiration: Duration.days(retentionDays) }],
    });
    bucket.addToResourcePolicy(
      new iam.PolicyStatement({
        sid: "NobodyRemovesWhatIsPublished",
        effect: iam.Effect.DENY,
        principals: [new iam.AnyPrincipal()],
        actions: [
          "s3:BypassGovernanceRetention",
          "s3:DeleteObject",
          "s3:DeleteObjectVersion",
          "s3:PutObjectLegalHold",
          "s3:PutObjectRetention",
        ],
        resources: [bucket.arnForObjects("*")],
      }),
    );
    const writers = (["sealer", "anchorer"] as const).map((name) => roleArn(this, roleName(config, name)));
    bucket.addToResourcePolicy(
      new iam.PolicyStatement({
        sid: "OnlySealerAndAnchorerPublish",
        effect: iam.Effect.DENY,
        principals: [new iam.AnyPrincipal()],
        actions: ["s3:PutObject"],
        resources: [bucket.arnForObjects("*")],
        conditions: { ArnNotEquals: { "aws:PrincipalArn": writers } },
      }),
    );
    const distributions = this.formatArn({
      service: "cloudfront",
      region: "",
      resource: "distribution",
      resourceName: "*",
    });
    const cloudfront = (sid: string, action: string, resource: string) =>
      new iam.PolicyStatement({
        sid,
        principals: [new iam.ServicePrincipal("cloudfront.amazonaws.com")],
        actions: [action],
        resources: [resource],
        // Any distribution of this account: this stack is deployed before the distribution exists.
        conditions: { ArnLike: { "aws:SourceArn": distributions } },
      });
    bucket.addToResourcePolicy(
      cloudfront("CloudFrontReadsTheAnchorLog", "s3:GetObject", bucket.arnForObjects("anchor/*")),
    );
    // S3 answers 403 for a missing object to who may not list the bucket; tiles clients rely on 404.
    bucket.addToResourcePolicy(cloudfront("AbsentIsNotForbidden", "s3:ListBucket", bucket.bucketArn));
    // The policy stays with the bucket.
    bucket.policy?.applyRemovalPolicy(removalPolicy);
    acknowledge(
      bucket,
      "S1",
      "Every version is kept and locked, and two roles write: CloudTrail data events tell more, if wanted.",
    );
    return bucket;
  }
}
