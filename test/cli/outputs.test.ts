/** What `cdk deploy --outputs-file` wrote, and what others may have made of it. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CliError } from "@kedge/verify/cli/output";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readDeployment } from "../../cli/outputs.ts";

const KEY = "arn:aws:kms:eu-central-1:111122223333:key/mrk-0123456789abcdef0123456789abcdef";
const OTHER_KEY = KEY.replace(/.$/, "0");
const SERVICE = {
  Index: "s3://kedge-prod-data-index-1a2b",
  Stage: "prod",
  Region: "eu-central-1",
  TableName: "Kedge-prod-Data-Table-1A2B",
  Domain: "audit.example.org",
  LogKeys: `${KEY},${OTHER_KEY}`,
  AnchorKeys: KEY,
  AnchorMldsaKeys: KEY,
  ApiUrl: "https://abc.execute-api.eu-central-1.amazonaws.com",
  PublicUrl: "https://audit.example.org",
  LogOrigins: "audit.example.org/log/<log id>",
};
/** CDK's own outputs stand beside ours. */
const DATA = { ExportsOutputFnGetAttTableArn: "arn:aws:dynamodb:eu-central-1:111122223333:table/x" };
const PROD = { "Kedge-prod-Data": DATA, "Kedge-prod-Service": SERVICE };
const DEV = {
  "Kedge-dev-Data": DATA,
  "Kedge-dev-Service": { ...SERVICE, Stage: "dev", TableName: "Kedge-dev-Data-Table-9Z" },
};

let folder: string;
let file: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-outputs-"));
  file = join(folder, "cdk-outputs.json");
});
afterAll(() => rm(folder, { recursive: true }));

async function read(content: unknown, stage?: string) {
  await writeFile(file, typeof content === "string" ? content : JSON.stringify(content));
  return readDeployment({ outputsFile: file, ...(stage === undefined ? {} : { stage }) });
}

async function refusal(content: unknown, stage?: string): Promise<string> {
  const error: unknown = await read(content, stage).then(
    (found) => expect.fail(`read as ${JSON.stringify(found)}`),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(CliError);
  expect(error).toMatchObject({ code: "misuse" });
  return error instanceof Error ? error.message : "";
}

const EXPECTED = {
  AWS_REGION: SERVICE.Region,
  KEDGE_STORE: `dynamodb:${SERVICE.TableName}`,
  KEDGE_INDEX: SERVICE.Index,
  KEDGE_DOMAIN: SERVICE.Domain,
  KEDGE_LOG_KEY: SERVICE.LogKeys,
  KEDGE_ANCHOR_KEY: SERVICE.AnchorKeys,
  KEDGE_ANCHOR_MLDSA_KEY: SERVICE.AnchorMldsaKeys,
  KEDGE_URL: SERVICE.ApiUrl,
  KEDGE_PUBLIC_URL: SERVICE.PublicUrl,
};

describe("one deployment", () => {
  test("its outputs are found in whichever stack has them", async () => {
    const { TableName, LogKeys, ...rest } = SERVICE;
    expect(await read(PROD)).toEqual(EXPECTED);
    expect(await read({ Data: { ...DATA, TableName, LogKeys }, Service: rest })).toEqual(EXPECTED);
    expect(await read({ Data: { TableName }, Service: SERVICE })).toEqual(EXPECTED);
  });

  test("without post-quantum keys there is no variable for them", async () => {
    const { KEDGE_ANCHOR_MLDSA_KEY, ...rest } = EXPECTED;
    expect(KEDGE_ANCHOR_MLDSA_KEY).toBeDefined();
    expect(await read({ S: { ...SERVICE, AnchorMldsaKeys: "-" } })).toEqual(rest);
  });

  test.each([
    "Stage",
    "Region",
    "TableName",
    "Index",
    "Domain",
    "LogKeys",
    "AnchorKeys",
    "AnchorMldsaKeys",
    "ApiUrl",
    "PublicUrl",
  ])("a file without %s is refused, and the output named", async (name) => {
    const outputs = Object.fromEntries(Object.entries(SERVICE).filter(([each]) => each !== name));
    expect(await refusal({ S: outputs })).toMatch(new RegExp(`no output ${name}\\b`));
  });

  test("two values of one output are refused, whichever is right", async () => {
    expect(await refusal({ ...PROD, Old: { TableName: "another" } })).toMatch(/two values of TableName/);
  });

  test("no file is no deployment, and no stage then", () => {
    expect(readDeployment({})).toBeUndefined();
    expect(() => readDeployment({ stage: "prod" })).toThrow(/--outputs-file/);
  });
});

describe("several deployments in one file", () => {
  test("the stage says which, and without one both are named", async () => {
    expect(await refusal({ ...DEV, ...PROD })).toMatch(/"dev", "prod"/);
    expect(await read({ ...DEV, ...PROD }, "prod")).toEqual(EXPECTED);
    expect(await read({ ...DEV, ...PROD }, "dev")).toMatchObject({
      KEDGE_STORE: "dynamodb:Kedge-dev-Data-Table-9Z",
    });
  });

  test("a stack that does not say its stage is of the one that it is called after", async () => {
    const { TableName, ...rest } = SERVICE;
    const apart = { ...DEV, "Kedge-prod-Data": { TableName }, "Kedge-prod-Service": rest };
    expect(await read(apart, "prod")).toEqual(EXPECTED);
  });

  test("a stage that is not there is refused, also when the file has only one", async () => {
    expect(await refusal({ ...DEV, ...PROD }, "test")).toMatch(/no stage "test".*"dev", "prod"/);
    expect(await refusal(PROD, "dev")).toMatch(/no stage "dev"/);
  });
});

describe("a file that is not as CDK writes it is refused, and no value of it repeated", () => {
  test.each<[string, unknown]>([
    ["nothing", ""],
    ["no JSON", "{"],
    ["a list", []],
    ["null", null],
    ["outputs that are no object", { S: "x" }],
    ["outputs that are numbers", { S: { ...SERVICE, TableName: 7 } }],
    ["nested outputs", { S: { ...SERVICE, TableName: { a: "b" } } }],
    ["deep nesting", "[".repeat(200_000)],
    ["an output of a prototype", '{"S":{"__proto__":{"Stage":"prod"}}}'],
    ["a stack of a prototype", `{"__proto__":${JSON.stringify(SERVICE)}}`],
  ])("%s", async (_, content) => {
    expect(await refusal(content)).toMatch(/cdk deploy --outputs-file|no output/);
  });

  test("a file that is not there, or a folder", () => {
    for (const outputsFile of [join(folder, "none"), folder]) {
      expect(() => readDeployment({ outputsFile })).toThrow(/cannot be read/);
    }
  });

  test.each<[keyof typeof SERVICE, string]>([
    ["Region", "eu-central-1.evil.example"],
    ["Region", ""],
    ["TableName", "a b"],
    ["TableName", "../x"],
    ["Domain", "Audit.example.org"],
    ["Domain", "audit.example.org+x"],
    ["Domain", "audit.example.org\nx"],
    ["LogKeys", ""],
    ["LogKeys", "-"],
    ["LogKeys", `${KEY},`],
    ["LogKeys", `${KEY} ${OTHER_KEY}`],
    ["AnchorKeys", "alias/kedge"],
    ["AnchorKeys", KEY.replace("kms", "s3")],
    ["AnchorMldsaKeys", `-,${KEY}`],
    ["ApiUrl", "http://audit.example.org"],
    ["ApiUrl", "https://user:secret77@audit.example.org"],
    ["ApiUrl", "https://audit.example.org/?key=secret77"],
    ["ApiUrl", "javascript:alert(1)"],
    ["ApiUrl", "audit.example.org"],
  ])("%s: %j", async (name, value) => {
    const message = await refusal({ S: { ...SERVICE, [name]: value } });
    expect(message).toMatch(new RegExp(`\\b${name} is not `));
    expect(message).not.toContain("secret77");
  });

  test("whatever the file holds, it is read whole or refused", async () => {
    const outputs = fc.dictionary(fc.constantFrom(...Object.keys(SERVICE)), fc.string({ unit: "binary" }));
    const stacks = fc.dictionary(fc.string(), fc.oneof(outputs, fc.constant(SERVICE)));
    await fc.assert(
      fc.asyncProperty(fc.oneof(stacks, fc.jsonValue()), async (content) => {
        const found = await read(content).catch((error: unknown) => {
          expect(error).toMatchObject({ name: "CliError", code: "misuse" });
          return undefined;
        });
        if (found !== undefined) expect(Object.keys(found)).toEqual(Object.keys(EXPECTED));
      }),
    );
  });
});
