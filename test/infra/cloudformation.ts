/** Templates as they are read, and with their intrinsic functions resolved as CloudFormation would. */
import * as z from "zod";
import type { Place } from "../support/lambda-events.ts";

const resourceSchema = z.looseObject({
  Type: z.string(),
  Properties: z.record(z.string(), z.unknown()).default({}),
  DeletionPolicy: z.string().optional(),
  UpdateReplacePolicy: z.string().optional(),
  Metadata: z.object({ "aws:cdk:path": z.string() }),
});
const templateSchema = z.looseObject({
  Resources: z.record(z.string(), resourceSchema),
  Outputs: z
    .record(z.string(), z.object({ Value: z.unknown(), Export: z.object({ Name: z.unknown() }).optional() }))
    .default({}),
});
export type StackTemplate = z.infer<typeof templateSchema>;

export const readTemplate = (value: unknown): StackTemplate => templateSchema.parse(value);

/** Templates by the names of their stacks. */
export type Stacks = Readonly<Record<string, StackTemplate>>;

export type Resource = z.infer<typeof resourceSchema> & {
  readonly stack: string;
  readonly id: string;
  /** Its name in the construct tree, `api` of `Kedge-dev-Service/api/Resource`. */
  readonly construct: string;
};

/** Templates with their references resolved. */
export type Resolved = {
  readonly place: Place;
  all(type: string): Resource[];
  /** The resource of this type under this construct. @throws unless there is exactly one. */
  one(type: string, construct: string): Resource;
  properties(resource: Resource): unknown;
  /** `Ref`, or an attribute by its name. */
  attribute(resource: Resource, attribute: string): string;
  /** Of the one resource of this type under this construct. */
  arn(type: string, construct: string): string;
};

/** @param keyId gives the KMS id of a key by its logical id; by default the same. */
export function resolved(stacks: Stacks, place: Place, keyId = (id: string) => id): Resolved {
  const resources = Object.entries(stacks).flatMap(([stack, { Resources }]) =>
    Object.entries(Resources).map(([id, resource]) => {
      const construct = resource.Metadata["aws:cdk:path"].split("/")[1] ?? "";
      return { ...resource, stack, id, construct };
    }),
  );
  const all = (type: string) => resources.filter(({ Type }) => Type === type);
  const attribute = (resource: Resource, attribute: string) => {
    const known = attributesOf(resource, place, keyId)[`${resource.Type} ${attribute}`];
    if (known === undefined) throw new Error(`this test has no ${attribute} of ${resource.Type}: teach it`);
    return known;
  };

  /** @throws for a function that no template of ours uses. */
  function resolve(stack: string, value: unknown): unknown {
    const done = (value: unknown) => resolve(stack, value);
    if (Array.isArray(value)) return value.map(done);
    if (typeof value !== "object" || value === null) return value;
    const [[name, argument] = ["", undefined], ...more] = Object.entries(value);
    if (more.length > 0 || !/^(Ref|Fn::.*)$/.test(name)) {
      return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, done(member)]));
    }
    const find = (id: string): Resource => {
      const resource = resources.find((one) => one.stack === stack && one.id === id);
      if (resource === undefined) throw new Error(`${stack} has no resource ${id}`);
      return resource;
    };
    switch (name) {
      case "Ref": {
        const id = z.string().parse(argument);
        return pseudoParameter(id, place) ?? attribute(find(id), "Ref");
      }
      case "Fn::GetAtt": {
        const [id, of] = z.tuple([z.string(), z.string()]).parse(argument);
        return attribute(find(id), of);
      }
      case "Fn::ImportValue":
        for (const [exporter, { Outputs }] of Object.entries(stacks)) {
          const output = Object.values(Outputs).find(({ Export }) => Export?.Name === argument);
          if (output !== undefined) return resolve(exporter, output.Value);
        }
        throw new Error(`nothing exports ${argument}`);
      case "Fn::Join": {
        const [separator, parts] = z.tuple([z.string(), z.array(z.string())]).parse(done(argument));
        return parts.join(separator);
      }
      case "Fn::Split": {
        const [separator, whole] = z.tuple([z.string(), z.string()]).parse(done(argument));
        return whole.split(separator);
      }
      case "Fn::Select": {
        const [index, parts] = z.tuple([z.coerce.number(), z.array(z.string())]).parse(done(argument));
        return parts[index];
      }
      case "Fn::Sub":
        return z
          .string()
          .parse(argument)
          .replace(/\$\{(.*?)\}/g, (_, name) => z.string().parse(done({ Ref: name })));
      default:
        throw new Error(`${stack} uses ${name}, which this test cannot do`);
    }
  }

  const one = (type: string, construct: string) => {
    const [found, ...more] = all(type).filter((resource) => resource.construct === construct);
    if (found === undefined || more.length > 0) throw new Error(`not one ${type} of ${construct}`);
    return found;
  };
  return {
    place,
    all,
    one,
    properties: ({ stack, Properties }) => resolve(stack, Properties),
    attribute,
    arn: (type, construct) => attribute(one(type, construct), "Arn"),
  };
}

const pseudoParameter = (name: string, { account }: Place): string | undefined =>
  ({ "AWS::Partition": "aws", "AWS::URLSuffix": "amazonaws.com", "AWS::AccountId": account })[name];

/** Names and ARNs that AWS would make up at deployment. */
function attributesOf(
  { stack, id, Properties }: Resource,
  { region, account }: Place,
  keyId: (id: string) => string,
): Readonly<Record<string, string | undefined>> {
  const name = `${stack}-${id}-1QK5TEST`;
  const { RoleName = name } = z.object({ RoleName: z.string().optional() }).parse(Properties);
  const arn = (service: string, resource: string) => `arn:aws:${service}:${region}:${account}:${resource}`;
  return {
    "AWS::DynamoDB::Table Ref": name,
    "AWS::DynamoDB::Table Arn": arn("dynamodb", `table/${name}`),
    "AWS::DynamoDB::Table StreamArn": arn("dynamodb", `table/${name}/stream/2026-01-01T00:00:00.000`),
    "AWS::S3::Bucket Ref": name.toLowerCase(),
    "AWS::S3::Bucket Arn": `arn:aws:s3:::${name.toLowerCase()}`,
    "AWS::KMS::Key Arn": arn("kms", `key/${keyId(id)}`),
    "AWS::Lambda::Function Ref": name,
    "AWS::Lambda::Function Arn": arn("lambda", `function:${name}`),
    "AWS::IAM::Role Arn": `arn:aws:iam::${account}:role/${RoleName}`,
    "AWS::Logs::LogGroup Ref": name,
    "AWS::Logs::LogGroup Arn": arn("logs", `log-group:${name}:*`),
    "AWS::SQS::Queue Arn": arn("sqs", name),
  };
}
