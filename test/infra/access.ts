/**
 * The one judge of who may do what: iam-simulate evaluates the policies of synthesised templates. It judges recorded
 * calls and made-up ones, and finds grants that no call needs.
 */
import { runSimulation } from "@cloud-copilot/iam-simulate";
import * as z from "zod";
import type { Resolved } from "./cloudformation.ts";

/** What somebody asks of AWS. */
export type Call = {
  readonly action: string;
  readonly resource: string;
  readonly context: Readonly<Record<string, string | readonly string[]>>;
};

/** Who asks: a session of a role, with the role's policies by their names. */
export type Role = { readonly name: string; readonly policies: Readonly<Record<string, unknown>> };

/** Whether IAM lets this role do it. */
export type Judge = (role: Role, call: Call) => Promise<boolean>;

const oneOrMore = <T extends z.ZodType>(schema: T) =>
  z.union([z.array(schema), schema.transform((one) => [one])]);
/** Strict: a policy with NotAction, NotPrincipal or NotResource fails here. */
const statementSchema = z.strictObject({
  Sid: z.string().optional(),
  Effect: z.enum(["Allow", "Deny"]),
  Principal: z.unknown().optional(),
  Action: oneOrMore(z.string()),
  Resource: oneOrMore(z.unknown()).default([]),
  Condition: z.record(z.string(), z.record(z.string(), z.unknown())).default({}),
});
export type Statement = z.infer<typeof statementSchema>;

const documentSchema = z.object({ Statement: z.array(statementSchema) });
export const statementsOf = (document: unknown): Statement[] => documentSchema.parse(document).Statement;

/**
 * A judge for one account. The library knows that a KMS key trusts IAM policies only as far as the key's own policy
 * says.
 * @param resourcePolicies of keys and buckets, by ARN.
 * @throws when a call names a context key that AWS does not set for it: a condition on it would never hold.
 */
export function judgeOf(account: string, resourcePolicies: ReadonlyMap<string, unknown> = new Map()): Judge {
  return async ({ name, policies }, { action, resource, context }) => {
    const resourcePolicy =
      resourcePolicies.get(resource) ?? resourcePolicies.get(resource.split("/")[0] ?? "");
    const response = await runSimulation(
      {
        request: {
          principal: `arn:aws:sts::${account}:assumed-role/${name}/session`,
          action,
          resource: { resource, accountId: account },
          contextVariables: { ...circumstances(account, name, action), ...mutable(context) },
        },
        identityPolicies: Object.entries(policies).map(([name, policy]) => ({ name, policy })),
        serviceControlPolicies: [],
        resourceControlPolicies: [],
        ...(resourcePolicy !== undefined && { resourcePolicy }),
      },
      { simulationMode: "Strict" },
    );
    if (response.resultType !== "single")
      throw new Error(`${action} ${resource}: ${JSON.stringify(response)}`);
    const { ignoredContextKeys = [] } = response.result;
    if (ignoredContextKeys.length > 0)
      throw new Error(`${action} has no context key ${ignoredContextKeys.join()}`);
    return response.overallResult === "Allowed";
  };
}

/** The context that AWS adds to every call. */
const circumstances = (account: string, role: string, action: string): Record<string, string> => ({
  "aws:PrincipalArn": `arn:aws:iam::${account}:role/${role}`,
  "aws:PrincipalAccount": account,
  "aws:SecureTransport": "true",
  ...(action.startsWith("s3:") && { "s3:TlsVersion": "1.3" }),
  ...(action.startsWith("kms:") && { "kms:CallerAccount": account }),
});

const mutable = (context: Call["context"]): Record<string, string | string[]> =>
  Object.fromEntries(
    Object.entries(context).map(([key, value]) => [key, typeof value === "string" ? value : [...value]]),
  );

// ---- templates -------------------------------------------------------------------------------------------------------

export type Access = {
  /** By the role's own policies and those of the templates' keys and bucket. */
  readonly may: Judge;
  /** The role of this ARN. */
  role(arn: string): Role;
  /** The role of the function under this construct. */
  roleOf(construct: string): Role;
  /** Calls: with the key under this construct, on partitions of the table, on an object of the published bucket or the index. */
  sign(key: string, algorithm?: string, messageType?: string): Call;
  onTable(action: string, ...partitions: readonly string[]): Call;
  onObject(action: string, path: string, context?: Call["context"]): Call;
  onRun(action: string, path: string, context?: Call["context"]): Call;
};

const roleSchema = z.object({
  RoleName: z.string().optional(),
  Policies: z.array(z.object({ PolicyName: z.string(), PolicyDocument: z.unknown() })),
});
const bucketPolicySchema = z.object({ Bucket: z.string(), PolicyDocument: z.unknown() });
const keyPolicySchema = z.object({ KeyPolicy: z.unknown() });
const functionSchema = z.object({ Role: z.string() });

/** @param tableArn of the table in use: by default the stack's own. */
export function accessOf(
  { place, all, one, properties, attribute, arn }: Resolved,
  tableArn = arn("AWS::DynamoDB::Table", "Table"),
): Access {
  const policies = new Map<string, unknown>();
  for (const policy of all("AWS::S3::BucketPolicy")) {
    const { Bucket, PolicyDocument } = bucketPolicySchema.parse(properties(policy));
    policies.set(`arn:aws:s3:::${Bucket}`, PolicyDocument);
  }
  for (const key of all("AWS::KMS::Key"))
    policies.set(attribute(key, "Arn"), keyPolicySchema.parse(properties(key)).KeyPolicy);

  const role = (roleArn: string): Role => {
    const found = all("AWS::IAM::Role").find((role) => attribute(role, "Arn") === roleArn);
    if (found === undefined) throw new Error(`no template has the role ${roleArn}`);
    const { RoleName, Policies } = roleSchema.parse(properties(found));
    return {
      name: RoleName ?? roleArn.split("/").at(-1) ?? "",
      policies: Object.fromEntries(Policies.map((policy) => [policy.PolicyName, policy.PolicyDocument])),
    };
  };
  const inBucket =
    (bucket: string) =>
    (action: string, path: string, context: Call["context"] = {}): Call => ({
      action: `s3:${action}`,
      resource: `${arn("AWS::S3::Bucket", bucket)}/${path}`,
      context,
    });
  return {
    may: judgeOf(place.account, policies),
    role,
    roleOf: (construct) =>
      role(functionSchema.parse(properties(one("AWS::Lambda::Function", construct))).Role),
    sign: (key, algorithm = "ED25519_SHA_512", messageType = "RAW") => ({
      action: "kms:Sign",
      resource: arn("AWS::KMS::Key", key),
      context: { "kms:SigningAlgorithm": algorithm, "kms:MessageType": messageType },
    }),
    onTable: (action, ...partitions) => ({
      action: `dynamodb:${action}`,
      resource: tableArn,
      context: { [LEADING_KEYS]: partitions },
    }),
    onObject: inBucket("Published"),
    onRun: inBucket("Index"),
  };
}

/** A role whose IAM policies allow everything; only resource policies can stop it. */
export const almighty = (name: string): Role => ({
  name,
  policies: { all: policyWith({ Effect: "Allow", Action: "*", Resource: "*" }) },
});

export const policyWith = (...Statement: readonly object[]) => ({ Version: "2012-10-17", Statement });

// ---- unneeded grants -------------------------------------------------------------------------------------------------

/** One thing that a role may do: an action on a resource pattern, and on partitions of this pattern if it names any. */
export type Grant = { readonly action: string; readonly resource: unknown; readonly partitions?: string };

const LEADING_KEYS = "dynamodb:LeadingKeys";
const STRING_LIKE = "ForAllValues:StringLike";

/** The grants of a role without which every one of these calls would be allowed all the same. */
export async function unneeded(
  may: Judge,
  { name, policies }: Role,
  calls: readonly Call[],
): Promise<Grant[]> {
  const grants = Object.values(policies)
    .flatMap(statementsOf)
    .flatMap(({ Action, Resource, Condition }) =>
      Action.flatMap((action) => Resource.map((resource) => ({ action, resource, Condition }))),
    );
  const found: Grant[] = [];
  for (const [i, { action, resource, Condition }] of grants.entries()) {
    const partitions = z.array(z.string()).parse([Condition[STRING_LIKE]?.[LEADING_KEYS] ?? []].flat());
    for (const pattern of partitions.length === 0 ? [undefined] : partitions) {
      const others = partitions.filter((other) => other !== pattern);
      const Statement = grants.flatMap((grant, j) => {
        const narrowed = { ...Condition, [STRING_LIKE]: { [LEADING_KEYS]: others } };
        if (j === i && others.length === 0) return [];
        const { action: Action, resource: Resource } = grant;
        return [{ Effect: "Allow", Action, Resource, Condition: j === i ? narrowed : grant.Condition }];
      });
      const without = { name, policies: { all: policyWith(...Statement) } };
      const asked = calls.filter((call) => call.action === action);
      const allowed = await Promise.all(asked.map((call) => may(without, call)));
      if (!allowed.includes(false))
        found.push({ action, resource, ...(pattern !== undefined && { partitions: pattern }) });
    }
  }
  return found;
}

// ---- kinds of calls --------------------------------------------------------------------------------------------------

/**
 * One call of each kind. Calls are of one kind if they differ only in how many items they name, and in the ids, hashes
 * and numbers of these names; an id's length is part of the kind.
 */
export function kindsOf(calls: readonly Call[]): Call[] {
  const kinds = new Map<string, Call>();
  for (const { action, resource, context } of calls) {
    const values = Object.entries(context).map(([key, value]) => [key, byKind([value].flat())] as const);
    const kind = [
      action,
      kindOf(resource),
      ...values.map(([key, byKind]) => `${key} ${[...byKind.keys()].sort()}`),
    ];
    const representative = Object.fromEntries(values.map(([key, byKind]) => [key, [...byKind.values()]]));
    kinds.set(JSON.stringify(kind), { action, resource, context: representative });
  }
  return [...kinds.values()];
}

const byKind = (names: readonly string[]) => new Map(names.map((name) => [kindOf(name), name]));

/** Log ids are 19 characters, tenant ids 16, hashes 64; other words, such as `anchor`, stand for themselves. */
const kindOf = (name: string): string =>
  name
    .replace(/\b([a-z2-7]{19}|[a-z2-7]{16})\b/g, (id) => `<${id.length}>`)
    .replace(/\b[0-9a-f]{64}\b/g, "<hash>")
    .replace(/\b\d+\b/g, "<n>");
