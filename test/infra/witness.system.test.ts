/** The witness's stack: what outlives it, who may sign, and that its bundle is a witness. */
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { originHash } from "@kedge/verify/tlog/witness";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { bundle as writeBundle } from "../../infra/bundle.ts";
import { parseWitnessConfig } from "../../infra/witness/config.ts";
import { WITNESS as SPEC } from "../../infra/witness/function.ts";
import { dynamodbClient } from "../../platform/dynamodb.ts";
import { createKey, startEmbedded } from "../../platform/embedded/embedded.ts";
import { createTable } from "../../platform/embedded/table.ts";
import { TABLE } from "../../platform/table.ts";
import { cosignedKey, witnessedHeadKey } from "../../witness/items.ts";
import { fork, NAME, ORIGIN, request } from "../support/witness-cases.ts";
import { almighty } from "./access.ts";
import {
  alarmsOf,
  resources,
  roles,
  synthesiseWitness,
  WITNESS,
  type WitnessDeployment,
} from "./templates.ts";

/** Everything about alarms that can be configured. */
const ALARMED = { alarmEmail: "on-call@example.org", silentHours: 24 };

let folder: string;
const bundle = () => join(folder, "bundle");
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-witness-stack-"));
  await writeBundle(SPEC, bundle(), parseWitnessConfig(WITNESS, "a test"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const properties = ({ template }: WitnessDeployment, type: string) =>
  resources(template, type).map(([, { Properties }]) => Properties);

describe("the stack", () => {
  test("cdk-nag finds nothing", async () => {
    for (const settings of [{}, { stage: "dev", mldsa: false }, ALARMED]) {
      const { report } = synthesiseWitness(settings);
      expect(report.pluginReports).toMatchObject([{ conclusion: "success", violations: [] }]);
    }
  });

  test("its alarms share no name with the service's, and its outputs include what docs/witness.md reads", () => {
    const { template } = synthesiseWitness(ALARMED);
    for (const { AlarmName } of alarmsOf(template)) expect(AlarmName).toMatch(/^kedge-witness-prod-/);
    const manual = readFileSync(join(import.meta.dirname, "../../docs/witness.md"), "utf8");
    const read = [...manual.matchAll(/\bout ([A-Z]\w+)/g)].map(([, name]) => name ?? "");
    expect(read.length).toBeGreaterThan(0);
    expect(Object.keys(template.Outputs)).toEqual(expect.arrayContaining(read));
  });

  test("in production its record and keys outlive the stack; a development stage leaves nothing behind", async () => {
    const prod = synthesiseWitness();
    expect([prod.name, prod.terminationProtection]).toEqual(["KedgeWitness-prod", true]);
    for (const type of ["AWS::DynamoDB::Table", "AWS::KMS::Key", "AWS::Logs::LogGroup"]) {
      const kept = resources(prod.template, type);
      expect(kept.length).toBeGreaterThan(0);
      for (const [, { DeletionPolicy }] of kept) expect(DeletionPolicy).toBe("Retain");
    }
    const dev = synthesiseWitness({ stage: "dev" });
    expect(dev.terminationProtection).toBe(false);
    const policies = Object.values(dev.template.Resources).map(({ DeletionPolicy }) => DeletionPolicy);
    expect(policies).not.toContain("Retain");
  });

  test("the record is the table of platform/table.ts, and no backup of it is kept that could be restored", async () => {
    const [table, ...more] = properties(synthesiseWitness(), "AWS::DynamoDB::Table");
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
      const { view, access } = synthesiseWitness(settings);
      const { may, sign } = access;
      const role = access.roleOf("Witness");
      const keys = view.all("AWS::KMS::Key");
      expect(keys.map(({ Properties }) => Properties["KeySpec"])).toEqual(specs);
      for (const { construct, Properties } of keys) {
        const own = Properties["KeySpec"] === "ML_DSA_44" ? "ML_DSA_SHAKE_256" : "ED25519_SHA_512";
        for (const algorithm of ["ED25519_SHA_512", "ED25519_PH_SHA_512", "ML_DSA_SHAKE_256"])
          for (const type of ["RAW", "DIGEST"]) {
            const call = sign(construct, algorithm, type);
            expect(await may(role, call)).toBe(algorithm === own && type === "RAW");
            for (const asking of [almighty("Administrator"), { ...role, name: `${role.name}2` }])
              expect(await may(asking, call)).toBe(false);
          }
        // Nor can anyone grant it to others.
        const grant = { ...sign(construct), action: "kms:CreateGrant", context: {} };
        for (const name of ["Administrator", role.name]) expect(await may(almighty(name), grant)).toBe(false);
      }
    }
  });

  test("its role does what a witness does, and nothing else", async () => {
    const { template } = synthesiseWitness();
    const [role, ...more] = roles(template);
    expect(more).toEqual([]);
    const statements = role?.statements ?? [];
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
    for (const { pk } of [witnessedHeadKey(originHash(ORIGIN)), cosignedKey(originHash(ORIGIN))]) {
      expect(pk).toMatch(/^witness\/[0-9a-f]{64}$/);
    }
  });
});

describe("alarms", () => {
  const { template } = synthesiseWitness(ALARMED);
  const named = (name: string, of = template) =>
    alarmsOf(of).find(({ AlarmName }) => AlarmName === `kedge-witness-prod-${name}`) ??
    expect.fail(`no ${name}`);

  test("one piece of evidence raises the alarm at once; missing data does not", () => {
    expect(named("equivocation")).toMatchObject({
      ...{ Namespace: "KedgeWitness/prod", MetricName: "Equivocations", Statistic: "Sum" },
      ...{ Threshold: 0, ComparisonOperator: "GreaterThanThreshold", EvaluationPeriods: 1 },
      TreatMissingData: "notBreaching",
    });
  });

  test("repeated 5xx raise the alarm, also for a log that submits once an hour", () => {
    const { MetricName, Period = 0, EvaluationPeriods, DatapointsToAlarm } = named("errors");
    expect([MetricName, DatapointsToAlarm]).toEqual(["5xx", 2]);
    expect(Period * EvaluationPeriods).toBeGreaterThanOrEqual(2 * 3_600);
    expect(named("throttles")).toMatchObject({ Namespace: "AWS/Lambda", MetricName: "Throttles" });
  });

  test("silence raises the alarm after the configured hours, and never without them", () => {
    for (const silentHours of [1, 24, 168]) {
      const silent = named("silent", synthesiseWitness({ silentHours }).template);
      expect(silent).toMatchObject({
        ...{ Namespace: "KedgeWitness/prod", MetricName: "Cosigned", Statistic: "Sum", Period: 3_600 },
        ...{ Threshold: 1, ComparisonOperator: "LessThanThreshold", EvaluationPeriods: silentHours },
        TreatMissingData: "breaching",
      });
    }
    const names = alarmsOf(synthesiseWitness().template).map(({ AlarmName }) => AlarmName);
    expect(names).toHaveLength(3);
    expect(names.join()).not.toContain("silent");
  });

  test("someone is told where an address is configured", () => {
    const subscriptions = (of: WitnessDeployment) => properties(of, "AWS::SNS::Subscription");
    expect(subscriptions(synthesiseWitness(ALARMED))).toMatchObject([
      { Protocol: "email", Endpoint: "on-call@example.org" },
    ]);
    expect(subscriptions(synthesiseWitness())).toEqual([]);
  });
});

test("the bundle is a witness of the configured logs", async () => {
  const before = { ...process.env };
  const embedded = await startEmbedded(join(folder, "embedded"));
  try {
    await createTable(dynamodbClient(), "kedge-witness");
    const [made] = properties(synthesiseWitness(), "AWS::Lambda::Function");
    const { Variables } = z
      .object({ Environment: z.object({ Variables: z.record(z.string(), z.unknown()) }) })
      .parse(made)["Environment"];
    expect(Variables).toMatchObject({ KEDGE_WITNESS_NAME: NAME, KEDGE_WITNESS_LOGS_FILE: "logs" });
    const given: Record<string, string> = {
      KEDGE_STORE: "dynamodb:kedge-witness",
      KEDGE_WITNESS_NAME: NAME,
      KEDGE_WITNESS_KEY: await createKey("ECC_NIST_EDWARDS25519"),
      KEDGE_WITNESS_MLDSA_KEY: await createKey("ML_DSA_44"),
      // Lambda's working directory is the bundle's.
      KEDGE_WITNESS_LOGS_FILE: join(bundle(), "logs"),
      KEDGE_METRICS: String(Variables["KEDGE_METRICS"]),
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
    expect(await handler({ ...event, body: request(23n, 23n, fork) })).toMatchObject({ statusCode: 422 });
    // What its alarms watch.
    const lines = readFileSync(given["KEDGE_LOG_FILE"] ?? "", "utf8")
      .trim()
      .split("\n");
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { Cosigned: 1, _aws: { CloudWatchMetrics: [{ Namespace: "KedgeWitness/prod" }] } },
      { code: "conflict" },
      {
        code: "equivocation",
        Equivocations: 1,
        _aws: { CloudWatchMetrics: [{ Namespace: "KedgeWitness/prod" }] },
      },
    ]);
  } finally {
    await embedded.close();
    process.env = before;
  }
});
