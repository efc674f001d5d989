/** What AWS would make up while it deploys: names, ARNs, and the signing keys themselves. */
import { CreateKeyCommand, KeySpec, KMSClient } from "@aws-sdk/client-kms";
import * as z from "zod";
import type { Place } from "../support/lambda-events.ts";
import type { Artefact, Attribute, Resource } from "./artefact.ts";

/** Makes a key in the embedded KMS for each of the templates, and gives everything else a name as CloudFormation does. */
export async function namesFor({ stacks }: Artefact, place: Place, kmsUrl: string): Promise<Attribute> {
  const resources = stacks.flatMap((stack) => [...stack.resources.values()]);
  const keys = await makeKeys(
    resources.filter(({ Type }) => Type === "AWS::KMS::Key"),
    place,
    kmsUrl,
  );
  return (resource, attribute) => {
    const known = attributesOf(resource, place, keys)[`${resource.Type} ${attribute}`];
    if (known === undefined) throw new Error(`this test has no ${attribute} of ${resource.Type}: teach it`);
    return known;
  };
}

function attributesOf(
  { stack, id, Properties }: Resource,
  { region, account }: Place,
  keys: ReadonlyMap<string, string>,
): Readonly<Record<string, string | undefined>> {
  const name = `${stack.name}-${id}-1QK5TEST`;
  const { RoleName = name } = z.object({ RoleName: z.string().optional() }).parse(Properties);
  const arn = (service: string, resource: string) => `arn:aws:${service}:${region}:${account}:${resource}`;
  return {
    "AWS::DynamoDB::Table Ref": name,
    "AWS::DynamoDB::Table Arn": arn("dynamodb", `table/${name}`),
    "AWS::DynamoDB::Table StreamArn": arn("dynamodb", `table/${name}/stream/2026-01-01T00:00:00.000`),
    "AWS::S3::Bucket Ref": name.toLowerCase(),
    "AWS::S3::Bucket Arn": `arn:aws:s3:::${name.toLowerCase()}`,
    "AWS::KMS::Key Arn": keys.get(id),
    "AWS::Lambda::Function Ref": name,
    "AWS::Lambda::Function Arn": arn("lambda", `function:${name}`),
    "AWS::IAM::Role Arn": `arn:aws:iam::${account}:role/${RoleName}`,
    "AWS::Logs::LogGroup Ref": name,
    "AWS::Logs::LogGroup Arn": arn("logs", `log-group:${name}:*`),
    "AWS::SQS::Queue Arn": arn("sqs", name),
  };
}

/** @returns the keys' ARNs, by logical id. */
async function makeKeys(
  keys: readonly Resource[],
  { region, account }: Place,
  endpoint: string,
): Promise<Map<string, string>> {
  const credentials = { accessKeyId: "operator", secretAccessKey: "secret" };
  const client = new KMSClient({ endpoint, region, credentials });
  const arns = new Map<string, string>();
  for (const { id, Properties } of keys) {
    const spec = z.enum(KeySpec).parse(Properties["KeySpec"]);
    const { KeyMetadata } = await client.send(
      new CreateKeyCommand({ KeySpec: spec, KeyUsage: "SIGN_VERIFY" }),
    );
    arns.set(id, `arn:aws:kms:${region}:${account}:key/${KeyMetadata?.KeyId}`);
  }
  client.destroy();
  return arns;
}
