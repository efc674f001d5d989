/**
 * What each function may do: exactly the calls that it makes, on the partitions that it makes them on (service/table.ts).
 * `dynamodb:LeadingKeys` is the partition key of every item that a call names.
 */
import { PolicyStatement } from "aws-cdk-lib/aws-iam";
import type { KeyAlgorithm } from "./keys.ts";
import type { FunctionName } from "./names.ts";

export type Resources = {
  readonly tableArn: string;
  readonly bucketArn: string;
  readonly logKeys: readonly string[];
  readonly anchorKeys: readonly string[];
  readonly anchorMldsaKeys: readonly string[];
};

/** The id of a tenant log, 19 characters: never `anchor`. */
const LOG = "?".repeat(19);

type Access = { readonly [action: string]: readonly string[] };

const TABLE_ACCESS: Record<FunctionName, Access> = {
  api: {
    "dynamodb:BatchGetItem": ["tenant/*", "log/*", "index/*", "tile/*"],
    "dynamodb:Query": ["tenant/*", "log/*", "anchored/*", `pending/${LOG}/*`],
    // Pending chunks, tenants, logs and API keys: never a head, a tile or a checkpoint.
    "dynamodb:PutItem": ["tenant/*", "logs", `pending/${LOG}/*`],
    "dynamodb:BatchWriteItem": ["tenant/*"],
  },
  sealer: {
    "dynamodb:BatchGetItem": ["logs", `log/${LOG}`, `staging/${LOG}`, `tile/${LOG}/*`, `index/${LOG}/*`],
    "dynamodb:Query": ["logs", `pending/${LOG}/*`, `staging/${LOG}`],
    "dynamodb:PutItem": [`log/${LOG}`, `tile/${LOG}/*`],
    "dynamodb:BatchWriteItem": [`pending/${LOG}/*`, `staging/${LOG}`, `tile/${LOG}/*`, `index/${LOG}/*`],
  },
  anchorer: {
    "dynamodb:BatchGetItem": [
      "log/*",
      `anchored/${LOG}`,
      "staging/anchor",
      "tile/anchor/*",
      "index/anchor/*",
    ],
    "dynamodb:Query": ["logs", `anchored/${LOG}`, "pending/anchor/*", "staging/anchor"],
    "dynamodb:PutItem": ["log/anchor", "pending/anchor/*", "tile/anchor/*"],
    "dynamodb:BatchWriteItem": [
      `anchored/${LOG}`,
      "pending/anchor/*",
      "staging/anchor",
      "tile/anchor/*",
      "index/anchor/*",
    ],
  },
};

/** The statements of a function's role, what it needs of Lambda itself (logs, streams, queues) apart. */
export function permissions(name: FunctionName, resources: Resources): PolicyStatement[] {
  return [
    ...tableAccess(name, resources),
    ...keyAccess(name, resources),
    ...publicationAccess(name, resources),
  ];
}

function tableAccess(name: FunctionName, { tableArn }: Resources): PolicyStatement[] {
  return Object.entries(TABLE_ACCESS[name]).map(
    ([action, partitions]) =>
      new PolicyStatement({
        actions: [action],
        resources: [tableArn],
        conditions: { "ForAllValues:StringLike": { "dynamodb:LeadingKeys": partitions } },
      }),
  );
}

function keyAccess(
  name: FunctionName,
  { logKeys, anchorKeys, anchorMldsaKeys }: Resources,
): PolicyStatement[] {
  const allKeys = [...logKeys, ...anchorKeys, ...anchorMldsaKeys];
  if (name === "api") return [new PolicyStatement({ actions: ["kms:GetPublicKey"], resources: allKeys })];
  if (name === "sealer") return signing(logKeys, "ED25519_SHA_512");
  return [...signing(anchorKeys, "ED25519_SHA_512"), ...signing(anchorMldsaKeys, "ML_DSA_SHAKE_256")];
}

export function signing(resources: readonly string[], algorithm: KeyAlgorithm): PolicyStatement[] {
  if (resources.length === 0) return [];
  return [
    new PolicyStatement({ actions: ["kms:GetPublicKey"], resources: [...resources] }),
    new PolicyStatement({
      actions: ["kms:Sign"],
      resources: [...resources],
      conditions: { StringEquals: { "kms:SigningAlgorithm": algorithm, "kms:MessageType": "RAW" } },
    }),
  ];
}

/** The tenants' records, or that of the anchor log and what is public of it. Without ListBucket S3 answers 403 for an object that is absent. */
function publicationAccess(name: FunctionName, { bucketArn }: Resources): PolicyStatement[] {
  if (name === "api") return [];
  return [
    new PolicyStatement({ actions: ["s3:GetObject", "s3:PutObject"], resources: objects(name, bucketArn) }),
    new PolicyStatement({ actions: ["s3:ListBucket"], resources: [bucketArn] }),
  ];
}

const objects = (name: FunctionName, bucketArn: string): string[] =>
  (name === "anchorer" ? ["logs/anchor/*", "anchor/*"] : [`logs/${LOG}/*`]).map(
    (path) => `${bucketArn}/${path}`,
  );

/** The patterns among the resources of a role: those that cdk-nag asks a reason for. */
export function wildcards(name: FunctionName, { bucketArn }: Resources): string[] {
  if (name === "api") return [];
  return [...objects(name, bucketArn), ...(name === "sealer" ? ["*"] : [])];
}

/** What Lambda itself does in a function's name. */
export function platformPermissions(
  name: FunctionName,
  { logGroupArn, streamArn, queueArn }: { logGroupArn: string; streamArn: string; queueArn: string },
): PolicyStatement[] {
  const logs = new PolicyStatement({
    actions: ["logs:CreateLogStream", "logs:PutLogEvents"],
    resources: [logGroupArn],
  });
  if (name !== "sealer") return [logs];
  return [
    logs,
    new PolicyStatement({
      actions: ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"],
      resources: [streamArn],
    }),
    // IAM knows no resource for it; it tells names of streams and nothing of what is in them.
    new PolicyStatement({ actions: ["dynamodb:ListStreams"], resources: ["*"] }),
    new PolicyStatement({ actions: ["sqs:SendMessage"], resources: [queueArn] }),
  ];
}
