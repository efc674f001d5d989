/** The witness's stack: what outlives it, who may sign, and that its bundle is a witness. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { App } from "aws-cdk-lib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { buildWitness, bundleWitness } from "../../infra/witness.ts";
import { parseWitnessConfig, type WitnessConfig } from "../../infra/witness-config.ts";
import { createKey, startEmbedded } from "../../local/embedded.ts";
import { createTable } from "../../local/table.ts";
import { dynamodbClient } from "../../service/dynamodb.ts";
import { TABLE, witnessCheckpointKey, witnessHeadKey } from "../../service/table.ts";
import { originHash } from "../../service/witness.ts";
import { formatVkey } from "../../tlog/note.ts";
import { NAME, ORIGIN, request, VKEYS } from "../support/witness-cases.ts";

const REQUIRED = { stage: "prod", region: "eu-central-1", name: NAME, logs: VKEYS.map(formatVkey) };

const resourceSchema = z.looseObject({
  Type: z.string(),
  Properties: z.record(z.string(), z.unknown()),
  DeletionPolicy: z.string().optional(),
  UpdateReplacePolicy: z.string().optional(),
});
const templateSchema = z.object({ Resources: z.record(z.string(), resourceSchema) });
const statementsSchema = z.array(
  z.object({
    Effect: z.literal("Allow"),
    Action: z.union([z.string(), z.array(z.string())]).transform((action) => [action].flat()),
    Resource: z.unknown(),
    Condition: z.record(z.string(), z.record(z.string(), z.unknown())).optional(),
  }),
);
const reportSchema = z.object({
  pluginReports: z.array(z.object({ conclusion: z.string(), violations: z.array(z.unknown()) })),
});

let folder: string;
const bundle = () => join(folder, "bundle");
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-witness-stack-"));
  await bundleWitness(bundle(), parseWitnessConfig(REQUIRED, "a test"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function synthesise(settings: Record<string, unknown> = {}) {
  const config: WitnessConfig = parseWitnessConfig({ ...REQUIRED, ...settings }, "a test");
  const { context } = z
    .object({ context: z.record(z.string(), z.unknown()) })
    .parse(JSON.parse(await readFile(join(import.meta.dirname, "../../cdk.json"), "utf8")));
  const app = new App({ outdir: await mkdtemp(join(folder, "out-")), context });
  buildWitness(app, config, bundle());
  const { directory, stacks } = app.synth();
  const report = JSON.parse(await readFile(join(directory, "validation-report.json"), "utf8"));
  const [stack] = stacks;
  const { Resources } = templateSchema.parse(stack?.template);
  const all = (type: string) => Object.entries(Resources).filter(([, { Type }]) => Type === type);
  return {
    name: stack?.stackName,
    terminationProtection: stack?.terminationProtection,
    report: reportSchema.parse(report),
    all,
    properties: (type: string) => all(type).map(([, { Properties }]) => Properties),
    resources: Object.values(Resources),
  };
}

const roleSchema = z.object({
  RoleName: z.string(),
  Policies: z.tuple([z.object({ PolicyDocument: z.object({ Statement: statementsSchema }) })]),
});
const keySchema = z.object({ KeySpec: z.string(), KeyPolicy: z.object({ Statement: statementsSchema }) });

describe("the stack", () => {
  test("cdk-nag finds nothing", async () => {
    for (const settings of [{}, { stage: "dev", mldsa: false }]) {
      const { report } = await synthesise(settings);
      expect(report.pluginReports).toEqual([{ conclusion: "success", violations: [] }]);
    }
  });

  test("in production its record and its keys outlive it, and a development stage leaves nothing behind", async () => {
    const prod = await synthesise();
    expect([prod.name, prod.terminationProtection]).toEqual(["KedgeWitness-prod", true]);
    for (const type of ["AWS::DynamoDB::Table", "AWS::KMS::Key", "AWS::Logs::LogGroup"]) {
      expect(prod.all(type).length).toBeGreaterThan(0);
      for (const [, { DeletionPolicy }] of prod.all(type)) expect(DeletionPolicy).toBe("Retain");
    }
    const dev = await synthesise({ stage: "dev" });
    expect(dev.terminationProtection).toBe(false);
    expect(dev.resources.map(({ DeletionPolicy }) => DeletionPolicy ?? "Delete")).not.toContain("Retain");
  });

  test("the record is the table of service/table.ts, and no backup of it is kept that could be restored", async () => {
    const [table, ...more] = (await synthesise()).properties("AWS::DynamoDB::Table");
    expect(more).toEqual([]);
    expect(table).toMatchObject({
      KeySchema: [
        { AttributeName: TABLE.partitionKey, KeyType: "HASH" },
        { AttributeName: TABLE.sortKey, KeyType: "RANGE" },
      ],
      BillingMode: TABLE.billingMode,
      DeletionProtectionEnabled: true,
    });
    expect(table).not.toHaveProperty("PointInTimeRecoverySpecification");
  });

  test("only its role signs, with each key's own algorithm, and administrators do not", async () => {
    for (const [settings, specs] of [
      [{}, ["ECC_NIST_EDWARDS25519", "ML_DSA_44"]],
      [{ mldsa: false }, ["ECC_NIST_EDWARDS25519"]],
    ] as const) {
      const stack = await synthesise(settings);
      const [role] = stack.properties("AWS::IAM::Role").map((properties) => roleSchema.parse(properties));
      const keys = stack.properties("AWS::KMS::Key").map((properties) => keySchema.parse(properties));
      expect(keys.map(({ KeySpec }) => KeySpec)).toEqual(specs);
      for (const { KeySpec, KeyPolicy } of keys) {
        const algorithm = KeySpec === "ML_DSA_44" ? "ML_DSA_SHAKE_256" : "ED25519_SHA_512";
        // Neither a wildcard nor a grant lets anyone else sign.
        const actions = KeyPolicy.Statement.flatMap(({ Action }) => Action);
        expect(actions.filter((action) => action.includes("*") || action === "kms:CreateGrant")).toEqual([]);
        const [only, ...more] = KeyPolicy.Statement.filter(({ Action }) => Action.includes("kms:Sign"));
        expect(more).toEqual([]);
        expect(JSON.stringify(only?.Condition?.["ArnEquals"])).toContain(`role/${role?.RoleName}`);
        expect(only?.Condition?.["StringEquals"]).toEqual({
          "kms:SigningAlgorithm": algorithm,
          "kms:MessageType": "RAW",
        });
      }
      const statements = role?.Policies[0].PolicyDocument.Statement ?? [];
      const signing = statements.filter(({ Action }) => Action.includes("kms:Sign"));
      expect(signing).toHaveLength(specs.length);
    }
  });

  test("its role does what a witness does, and nothing else", async () => {
    const stack = await synthesise();
    const [role, ...more] = stack
      .properties("AWS::IAM::Role")
      .map((properties) => roleSchema.parse(properties));
    expect(more).toEqual([]);
    expect(stack.all("AWS::IAM::Policy")).toEqual([]);
    const statements = role?.Policies[0].PolicyDocument.Statement ?? [];
    expect(statements.flatMap(({ Action }) => Action).sort()).toEqual([
      "dynamodb:BatchGetItem",
      "dynamodb:PutItem",
      "kms:GetPublicKey",
      "kms:Sign",
      "kms:Sign",
      "logs:CreateLogStream",
      "logs:PutLogEvents",
    ]);
    expect(JSON.stringify(statements.map(({ Resource }) => Resource))).not.toContain("*");
    const [onTable] = statements.filter(({ Action }) => Action.includes("dynamodb:PutItem"));
    expect(onTable?.Condition).toEqual({
      "ForAllValues:StringLike": { "dynamodb:LeadingKeys": ["witness/*"] },
    });
    for (const { pk } of [witnessHeadKey(originHash(ORIGIN)), witnessCheckpointKey(originHash(ORIGIN))]) {
      expect(pk).toMatch(/^witness\/[0-9a-f]{64}$/);
    }
  });
});

test("the bundle is a witness of the configured logs", async () => {
  const before = { ...process.env };
  const embedded = await startEmbedded(join(folder, "embedded"));
  try {
    await createTable(dynamodbClient(), "kedge-witness");
    const [properties] = (await synthesise()).properties("AWS::Lambda::Function");
    const { Variables } = z
      .object({ Environment: z.object({ Variables: z.record(z.string(), z.unknown()) }) })
      .parse(properties)["Environment"];
    expect(Variables).toMatchObject({ KEDGE_WITNESS_NAME: NAME, KEDGE_WITNESS_LOGS_FILE: "logs" });
    const given: Record<string, string> = {
      KEDGE_TABLE: "kedge-witness",
      KEDGE_WITNESS_NAME: NAME,
      KEDGE_WITNESS_KEY: await createKey("ECC_NIST_EDWARDS25519"),
      KEDGE_WITNESS_MLDSA_KEY: await createKey("ML_DSA_44"),
      // Lambda's working directory is the bundle's.
      KEDGE_WITNESS_LOGS_FILE: join(bundle(), "logs"),
      KEDGE_LOG_FILE: join(folder, "log"),
    };
    expect(Object.keys(Variables).filter((name) => !(name in given))).toEqual([]);
    Object.assign(process.env, given);
    const { handler } = z
      .object({
        handler: z.custom<(event: object) => Promise<unknown>>((value) => typeof value === "function"),
      })
      .parse(await import(join(bundle(), "index.mjs")));
    const http = { method: "POST", path: "/add-checkpoint", protocol: "HTTP/1.1", sourceIp: "192.0.2.1" };
    const event = {
      version: "2.0",
      rawPath: "/add-checkpoint",
      rawQueryString: "",
      headers: { "content-type": "text/plain" },
      requestContext: { http, domainName: "witness.example.org", requestId: "id" },
      isBase64Encoded: false,
      body: request(0n, 23n),
    };
    expect(await handler(event)).toMatchObject({
      statusCode: 200,
      body: expect.stringMatching(`^— ${NAME} `),
    });
    expect(await handler(event)).toMatchObject({ statusCode: 409, body: "23\n" });
  } finally {
    await embedded.close();
    process.env = before;
  }
});
