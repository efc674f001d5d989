/** IAM's judgement of recorded calls, by the synthesised policies; and what they allow that nobody does. */
import { runSimulation } from "@cloud-copilot/iam-simulate";
import * as z from "zod";
import type { Resolved } from "./artefact.ts";
import type { Call } from "./recorder.ts";

const oneOrMany = <T extends z.ZodType>(of: T) =>
  z.union([of, z.array(of)]).transform((value) => [value].flat());
const conditionSchema = z.record(z.string(), z.record(z.string(), oneOrMany(z.string())));
const statementSchema = z.object({
  Effect: z.enum(["Allow", "Deny"]),
  Action: oneOrMany(z.string()),
  Resource: oneOrMany(z.string()),
  Condition: conditionSchema.default({}),
});
const documentSchema = z.object({ Statement: z.array(statementSchema) });

/** Who asks: a session of a role, in the account that everything is in. */
export type Principal = {
  readonly account: string;
  readonly role: string;
  /** Policy documents by name. */
  readonly policies: Readonly<Record<string, unknown>>;
};

export type Judged = Omit<Call, "accessKeyId">;

/** What AWS says of every call by itself: who asks, and over what. */
function circumstances({ account, role }: Principal, action: string): Record<string, string> {
  return {
    "aws:PrincipalArn": `arn:aws:iam::${account}:role/${role}`,
    "aws:PrincipalAccount": account,
    "aws:SecureTransport": "true",
    ...(action.startsWith("s3:") && { "s3:TlsVersion": "1.3" }),
    ...(action.startsWith("kms:") && { "kms:CallerAccount": account }),
  };
}

/** Whether IAM lets this principal do it. */
export type Judge = (principal: Principal, call: Judged) => Promise<boolean>;

/** By the policies of the principal and those of the templates' keys and bucket. */
export function judgeOf({ all, one, attribute, properties }: Resolved): Judge {
  const policies = new Map([
    [
      attribute(one("AWS::S3::Bucket", "Published"), "Arn"),
      bucketPolicySchema.parse(properties(one("AWS::S3::BucketPolicy", "Published"))).PolicyDocument,
    ],
    ...all("AWS::KMS::Key").map(
      (key) => [attribute(key, "Arn"), keyPolicySchema.parse(properties(key)).KeyPolicy] as const,
    ),
  ]);
  return (principal, call) => {
    const [bucket = ""] = call.resource.split("/");
    return isAllowed(principal, call, policies.get(call.resource) ?? policies.get(bucket));
  };
}

const bucketPolicySchema = z.object({ PolicyDocument: z.unknown() });
const keyPolicySchema = z.object({ KeyPolicy: z.unknown() });

/**
 * A KMS key trusts its account's policies only as far as its own policy says; the library knows.
 * @throws when the request names a context key that AWS does not set for such a call: a condition on it would never hold.
 */
async function isAllowed(
  principal: Principal,
  { action, resource, context }: Judged,
  resourcePolicy: unknown,
): Promise<boolean> {
  const { account, role, policies } = principal;
  const given = Object.entries(context).map(([key, value]) => [
    key,
    typeof value === "string" ? value : [...value],
  ]);
  const response = await runSimulation(
    {
      request: {
        principal: `arn:aws:sts::${account}:assumed-role/${role}/session`,
        action,
        resource: { resource, accountId: account },
        contextVariables: { ...circumstances(principal, action), ...Object.fromEntries(given) },
      },
      identityPolicies: Object.entries(policies).map(([name, policy]) => ({ name, policy })),
      serviceControlPolicies: [],
      resourceControlPolicies: [],
      ...(resourcePolicy !== undefined && { resourcePolicy }),
    },
    { simulationMode: "Strict" },
  );
  if (response.resultType !== "single") throw new Error(`${action} ${resource}: ${JSON.stringify(response)}`);
  const { ignoredContextKeys = [] } = response.result;
  if (ignoredContextKeys.length > 0)
    throw new Error(`${action} has no context key ${ignoredContextKeys.join()}`);
  return response.overallResult === "Allowed";
}

const roleSchema = z.object({
  RoleName: z.string().optional(),
  Policies: z.array(z.object({ PolicyName: z.string(), PolicyDocument: z.unknown() })),
});

/** The role of this ARN, with its policies. */
export function principalOf(
  { all, attribute, properties }: Resolved,
  account: string,
  arn: string,
): Principal {
  const role = all("AWS::IAM::Role").find((role) => attribute(role, "Arn") === arn);
  if (role === undefined) throw new Error(`no template has the role ${arn}`);
  const { RoleName, Policies } = roleSchema.parse(properties(role));
  const policies = Object.fromEntries(Policies.map((policy) => [policy.PolicyName, policy.PolicyDocument]));
  return { account, role: RoleName ?? arn.split("/").at(-1) ?? "", policies };
}

/** One thing that a role may do: an action on a resource pattern, and on partitions of this pattern if it names any. */
export type Grant = { readonly action: string; readonly resource: string; readonly partitions?: string };

const LEADING_KEYS = "dynamodb:LeadingKeys";

export function grantsOf({ policies }: Principal): Grant[] {
  return Object.values(policies).flatMap((policy) =>
    documentSchema
      .parse(policy)
      .Statement.filter(({ Effect }) => Effect === "Allow")
      .flatMap(({ Action, Resource, Condition }) => {
        const partitions = Object.values(Condition).flatMap((keys) => keys[LEADING_KEYS] ?? []);
        const narrowed =
          partitions.length === 0 ? [{}] : partitions.map((pattern) => ({ partitions: pattern }));
        return Action.flatMap((action) =>
          Resource.flatMap((resource) => narrowed.map((more) => ({ action, resource, ...more }))),
        );
      }),
  );
}

/** The grants without which every one of these calls would be allowed all the same. */
export function unneeded(grants: readonly Grant[], calls: readonly Judged[]): Grant[] {
  const needed = new Set<Grant>();
  for (const { action, resource, context } of calls) {
    // A call needs its action on its resource, for each of the partitions that it names.
    for (const partition of [context[LEADING_KEYS] ?? [undefined]].flat()) {
      const [only, ...others] = grants.filter(
        (grant) =>
          grant.action === action &&
          glob(grant.resource, resource) &&
          (grant.partitions === undefined || (partition !== undefined && glob(grant.partitions, partition))),
      );
      if (only !== undefined && others.length === 0) needed.add(only);
    }
  }
  return grants.filter((grant) => !needed.has(grant));
}

/** `*` is any text, `?` any character (IAM User Guide, "String condition operators"). */
function glob(pattern: string, text: string): boolean {
  const escaped = pattern.replace(/[.+^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`^${escaped.replaceAll("*", ".*").replaceAll("?", ".")}$`, "s").test(text);
}

/**
 * One call of each kind: of those that differ in nothing but the ids, hashes and numbers in their names, whose lengths
 * are part of the kind, and in how many items they are about.
 */
export function kindsOf(calls: readonly Judged[]): Judged[] {
  const kinds = new Map<string, Judged>();
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
