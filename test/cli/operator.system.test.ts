/** An operator's commands, each a process of its own, on a deployment whose AWS services are the embedded ones. */
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CreateKeyCommand, type KeySpec } from "@aws-sdk/client-kms";
import { formatVkey, parseVkey } from "@kedge/verify/tlog/note";
import { parsePolicy } from "@kedge/verify/tlog/policy";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { service } from "../../functions/open.ts";
import { kmsClient } from "../../platform/signer.ts";
import { startDeployment } from "../support/deployment.ts";
import { API_KEY, LOG_ID, startServer } from "../support/fake-api.ts";
import { anchor, log } from "../support/proofs.ts";
import { kedge, type Result } from "./run.ts";

let folder: string;
let deployment: Awaited<ReturnType<typeof startDeployment>>;
/** How the AWS SDK finds the embedded servers, and its credentials. */
let aws: Record<string, string>;
let outputs: Record<string, string>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-operator-"));
  deployment = await startDeployment(join(folder, "aws"));
  const found = deployment.environment;
  aws = Object.fromEntries(Object.entries(found).filter(([name]) => name.startsWith("AWS_")));
  // The region is to come from the outputs, and nothing from this machine's own files.
  Object.assign(aws, { AWS_REGION: "", AWS_EC2_METADATA_DISABLED: "true" });
  Object.assign(aws, {
    AWS_CONFIG_FILE: join(folder, "no"),
    AWS_SHARED_CREDENTIALS_FILE: join(folder, "no"),
  });
  outputs = {
    Stage: "dev",
    Region: "us-east-1",
    TableName: found["KEDGE_STORE"]?.replace("dynamodb:", "") ?? "",
    Index: "s3://kedge-index",
    Domain: found["KEDGE_DOMAIN"] ?? "",
    LogKeys: arns(found["KEDGE_LOG_KEY"]),
    AnchorKeys: arns(found["KEDGE_ANCHOR_KEY"]),
    AnchorMldsaKeys: arns(found["KEDGE_ANCHOR_MLDSA_KEY"]),
    ApiUrl: deployment.url,
    PublicUrl: deployment.url,
  };
  await write("cdk-outputs.json", { "Kedge-dev-Data": {}, "Kedge-dev-Service": outputs });
});
afterAll(async () => {
  await deployment.close();
  await rm(folder, { recursive: true });
});

const arns = (ids = ""): string =>
  ids
    .split(",")
    .map((id) => `arn:aws:kms:us-east-1:000000000000:key/${id}`)
    .join(",");
const write = (name: string, content: unknown): Promise<void> =>
  writeFile(join(folder, name), JSON.stringify(content), { mode: 0o600 });
const credentials = async (name: string): Promise<Record<string, string>> =>
  JSON.parse(await readFile(join(folder, name), "utf8"));
const run = (args: string[], env: Record<string, string> = {}): Promise<Result> =>
  kedge(args, { cwd: folder, env: { ...aws, ...env } });
const NONE = { AWS_ACCESS_KEY_ID: "", AWS_SECRET_ACCESS_KEY: "" };
/** A tenant has no AWS credentials. */
const asTenant = (...args: string[]): Promise<Result> => kedge(args, { cwd: folder, env: NONE });
const onDeployment = (...args: string[]): Promise<Result> =>
  run([...args, "--outputs-file", "cdk-outputs.json"]);

async function logCount(): Promise<number> {
  let count = 0;
  for await (const _ of service().store.query({ pk: "logs" })) count += 1;
  return count;
}

test("two commands lead from an outputs file to a verified proof", async () => {
  const created = await onDeployment("tenant", "create", "St. Example");
  expect(created).toMatchObject({ code: 0, err: "", out: expect.stringMatching(/kedge demo --credentials/) });
  const given = await credentials("credentials.json");
  expect(given).toMatchObject({ url: deployment.url, apiKey: expect.stringMatching(/^kedge_/) });
  expect((await stat(join(folder, "credentials.json"))).mode & 0o777).toBe(0o600);

  const shown = await asTenant("demo", "--credentials", "credentials.json");
  expect([shown.code, shown.out]).toEqual([0, expect.stringMatching(/6 verify .*PROVEN, anchored/)]);
  const all = created.out + shown.out + shown.err;
  for (const secret of [given["apiKey"], given["tenantKey"]]) expect(all).not.toContain(secret);

  const [, again = ""] = /npx kedge (verify .*)/.exec(shown.out) ?? [];
  const verified = await asTenant(...again.split(" "), "--require-all-keys");
  expect([verified.code, verified.out]).toEqual([
    0,
    expect.stringMatching(/^PROVEN {2}at assurance anchored/),
  ]);

  // Ended too early, it goes on when it is run again; but other records it does not write over.
  expect((await asTenant("demo", "--credentials", "credentials.json")).code).toBe(0);
  await mkdir(join(folder, "mine"));
  await writeFile(join(folder, "mine/records.ndjson"), "{}\n");
  const refused = await asTenant("demo", "--credentials", "credentials.json", "--folder", "mine");
  expect([refused.code, refused.err]).toEqual([2, expect.stringMatching(/records of other events/)]);
  expect(await readFile(join(folder, "mine/records.ndjson"), "utf8")).toBe("{}\n");
});

describe("the sign-in of a tenant's people", () => {
  const PROVIDER = [
    ...["--issuer", "https://login.example", "--client-id", "console", "--claim", "groups"],
    ...["--role", "a=b=administrator", "--role", "officers=officer"],
  ];

  test("is registered, shown, listed, registered anew and removed", async () => {
    await onDeployment("tenant", "create", "Signing", "--out", "signing.json");
    const { tenant = "", log = "" } = await credentials("signing.json");
    const none = await onDeployment("tenant", "sign-in", tenant);
    expect(none).toMatchObject({ code: 0, out: expect.stringMatching(/no identity provider/) });

    const registered = await onDeployment("tenant", "sign-in", tenant, ...PROVIDER);
    expect(registered).toMatchObject({ code: 0, err: "" });
    expect(registered.out).toContain(`Redirect URI   ${deployment.url}/\n`);
    expect((await onDeployment("tenant", "sign-in", tenant)).out).toBe(registered.out);
    expect((await onDeployment("tenant", "list")).out).toContain("sign-in https://login.example");

    const limited = [
      "--role",
      `wards=auditor:${log}`,
      "--require",
      "tid=1=2",
      "--url",
      "https://a.example/x",
    ];
    const again = await onDeployment("tenant", "sign-in", tenant, ...PROVIDER, ...limited, "--json");
    expect(JSON.parse(again.out)).toMatchObject({
      ...{ issuer: "https://login.example", clientId: "console", origin: "https://a.example" },
      rule: {
        claim: "groups",
        roles: [
          { value: "a=b", role: "administrator" },
          { value: "officers", role: "officer" },
          { value: "wards", role: "auditor", logs: [log] },
        ],
        require: { tid: "1=2" },
      },
    });
    expect((await onDeployment("tenant", "sign-in", tenant, "--remove")).code).toBe(0);
    expect((await onDeployment("tenant", "sign-in", tenant)).out).toMatch(/no identity provider/);
    expect((await onDeployment("tenant", "sign-in", tenant, "--remove")).code).toBe(1);
  });

  test("is refused where it is not whole, not safe, or another tenant's", async () => {
    await onDeployment("tenant", "create", "One", "--out", "one.json");
    await onDeployment("tenant", "create", "Two", "--out", "two.json");
    const [one, two] = [await credentials("one.json"), await credentials("two.json")];
    const register = (tenant = "", ...args: string[]) => onDeployment("tenant", "sign-in", tenant, ...args);
    expect((await register(one["tenant"], ...PROVIDER)).code).toBe(0);
    const shared = await register(two["tenant"], ...PROVIDER);
    expect([shared.code, shared.err]).toEqual([1, expect.stringMatching(/another tenant has this issuer/)]);
    const wrong: [string[], RegExp][] = [
      [PROVIDER.slice(0, -4), /at least one --role/],
      [[...PROVIDER, "--remove"], /--remove stands alone/],
      [[...PROVIDER, "--role", "x=chief"], /is not value=role/],
      [[...PROVIDER, "--role", "x=officer:nolog"], /is not value=role/],
      [[...PROVIDER, "--require", "tid"], /is not claim=value/],
      [[...PROVIDER, "--scope", "profile"], /openid among them/],
      [[...PROVIDER, "--issuer", "http://login.example"], /begins with https/],
      [[...PROVIDER, "--url", "http://audit.example"], /no origin of a console/],
      [[...PROVIDER, "--role", "officers=auditor"], /name each once/],
    ];
    for (const [args, message] of wrong) {
      const { code, err } = await register(two["tenant"], ...args);
      expect([args, code, err]).toEqual([args, 2, expect.stringMatching(message)]);
    }
    const foreign = await register(two["tenant"], ...PROVIDER, "--role", `w=auditor:${one["log"]}`);
    expect([foreign.code, foreign.err]).toEqual([1, expect.stringMatching(/has no log/)]);
    const absent = await register("a".repeat(16), ...PROVIDER);
    expect([absent.code, absent.err]).toEqual([1, expect.stringMatching(/no such tenant/)]);
    expect((await register(two["tenant"])).out).toMatch(/no identity provider/);
  });
});

describe("vkeys", () => {
  test("are the same from the outputs file and from the environment, and as the service says", async () => {
    await onDeployment("tenant", "create", "A", "--out", "a.json");
    const { log = "", logVkey, anchorVkey, anchorMldsaVkey } = await credentials("a.json");
    const named = deployment.environment;
    for (const args of [[], ["--json"], ["--policy"], ["--log", log], ["--log", log, "--json"]]) {
      const result = await onDeployment("vkeys", ...args);
      expect(result).toMatchObject({ code: 0, err: "" });
      expect(await kedge(["vkeys", ...args], { cwd: folder, env: named })).toEqual(result);
    }
    expect((await onDeployment("vkeys", "--log", log)).out).toBe(`${logVkey}\n`);
    const { anchor, logs } = JSON.parse((await onDeployment("vkeys", "--json")).out);
    expect(anchor.vkeys).toEqual([anchorVkey, anchorMldsaVkey]);
    expect(logs.keys).toEqual([expect.stringMatching(/^A.{43}$/)]);
    expect(logVkey?.endsWith(`+${logs.keys[0]}`)).toBe(true);
    const { out } = await onDeployment("vkeys", "--policy");
    expect(out).toBe(await (await fetch(`${deployment.url}/anchor/policy`)).text());
    expect(parsePolicy(out).logs).toHaveLength(2);
    const whole = await onDeployment("vkeys", "--policy", "--log", log);
    expect(parsePolicy(whole.out).logs.map(({ vkey }) => formatVkey(vkey))).toEqual([
      logVkey,
      anchorVkey,
      anchorMldsaVkey,
    ]);
  });

  test("while keys take over, all that sign are in the credentials and in what is printed", async () => {
    const create = async (KeySpec: KeySpec) => {
      const { KeyMetadata } = await kmsClient().send(
        new CreateKeyCommand({ KeySpec, KeyUsage: "SIGN_VERIFY" }),
      );
      return arns(KeyMetadata?.KeyId);
    };
    const riding = {
      ...outputs,
      LogKeys: `${outputs["LogKeys"]},${await create("ECC_NIST_EDWARDS25519")}`,
      AnchorKeys: `${outputs["AnchorKeys"]},${await create("ECC_NIST_EDWARDS25519")}`,
      AnchorMldsaKeys: `${outputs["AnchorMldsaKeys"]},${await create("ML_DSA_44")}`,
    };
    await write("riding.json", { Service: riding });
    await run(["tenant", "create", "B", "--outputs-file", "riding.json", "--out", "b.json"]);
    const given = await credentials("b.json");
    const members = ["logVkey", "anchorVkey", "anchorMldsaVkey"].map((name) => given[name]?.split(" ") ?? []);
    for (const vkeys of members) expect(new Set(vkeys.map((text) => parseVkey(text).id)).size).toBe(2);
    const [logVkeys = [], ...anchors] = members;
    const printed = async (...args: string[]) =>
      (await run(["vkeys", "--outputs-file", "riding.json", ...args])).out;
    expect(await printed("--log", given["log"] ?? "")).toBe(logVkeys.map((vkey) => `${vkey}\n`).join(""));
    expect(parsePolicy(await printed("--policy")).logs.map(({ vkey }) => formatVkey(vkey))).toEqual(
      anchors.flat(),
    );

    // The deployment itself still signs with the first of each: a tenant who has pinned both is not disturbed.
    const status = await asTenant("status", "--credentials", "b.json");
    expect([status.code, status.out]).toEqual([0, expect.not.stringMatching(/pinned/)]);
    const shown = await asTenant("demo", "--credentials", "b.json", "--folder", "b");
    expect([shown.code, shown.out]).toEqual([0, expect.stringMatching(/PROVEN, anchored/)]);
  });

  test("without post-quantum keys, none are named", async () => {
    await write("classic.json", { Service: { ...outputs, AnchorMldsaKeys: "-" } });
    await run(["tenant", "create", "C", "--outputs-file", "classic.json", "--out", "c.json"]);
    expect(await credentials("c.json")).not.toHaveProperty("anchorMldsaVkey");
    const { out } = await run(["vkeys", "--outputs-file", "classic.json", "--policy"]);
    expect(parsePolicy(out).logs).toHaveLength(1);
  });

  test.each<[string, string[], number, RegExp]>([
    ["a log that is none", ["--log", "../anchor"], 2, /19 characters/],
    ["a log that was never created", ["--log", "a".repeat(19)], 1, /no log aaaa.*check the id/],
    ["a policy as JSON", ["--policy", "--json"], 2, /--policy/],
  ])("%s is refused", async (_, args, exit, message) => {
    expect(await onDeployment("vkeys", ...args)).toMatchObject({
      code: exit,
      out: "",
      err: expect.stringMatching(message),
    });
  });
});

describe("what AWS refuses is said in one line, and nothing is created", () => {
  const SECRET = "wJalrSECRETKEY77";
  let refusing: Server | undefined;
  afterEach(() => {
    refusing?.close();
    refusing = undefined;
  });

  /** Answers every call as AWS does when it refuses one. */
  async function refuse(type: string, message: string): Promise<string> {
    refusing = createServer((request, response) => {
      request.resume();
      response.writeHead(400, { "content-type": "application/x-amz-json-1.1" });
      response.end(JSON.stringify({ __type: `com.amazon.coral.service#${type}`, message }));
    }).listen(0, "127.0.0.1");
    await once(refusing, "listening");
    const address = refusing.address();
    return `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
  }

  async function expectRefused(env: Record<string, string>, exit: number, message: RegExp): Promise<void> {
    const before = await logCount();
    const args = ["tenant", "create", "D", "--outputs-file", "cdk-outputs.json", "--out", "d.json"];
    const { code, out, err } = await run(args, env);
    expect([code, out, err]).toEqual([exit, "", expect.stringMatching(message)]);
    expect(err.trimEnd().split("\n")).toHaveLength(1);
    expect(err).not.toContain(SECRET);
    expect(existsSync(join(folder, "d.json"))).toBe(false);
    expect(await logCount()).toBe(before);
  }

  const CONFIG = `[profile leaks]\ncredential_process = sh -c 'echo ${SECRET} >&2; exit 1'\n`;
  test.each<[string, Record<string, string>, string]>([
    ["no credentials", NONE, ""],
    ["a profile that is not there", { ...NONE, AWS_PROFILE: "absent" }, CONFIG],
    ["a profile whose program fails, and says a secret", { ...NONE, AWS_PROFILE: "leaks" }, CONFIG],
    [
      "a profile that is not signed in",
      { ...NONE, AWS_PROFILE: "sso" },
      "[profile sso]\nsso_start_url = https://a.example\nsso_region = eu-central-1\nsso_account_id = 111122223333\nsso_role_name = a\n",
    ],
  ])("%s", async (_, env, config) => {
    const AWS_CONFIG_FILE = join(folder, "aws-config");
    await writeFile(AWS_CONFIG_FILE, config);
    await expectRefused({ ...env, AWS_CONFIG_FILE, HOME: folder }, 2, /no AWS credentials.*sign in/);
  });

  test.each<[string, string, RegExp]>([
    [
      "ExpiredTokenException",
      "The security token included in the request is expired",
      /expired: sign in again/,
    ],
    ["UnrecognizedClientException", "The security token is invalid", /does not accept.*region enabled/],
    ["InvalidSignatureException", `not the signature of ${SECRET}`, /does not accept.*clock/],
    [
      "AccessDeniedException",
      "User: arn:aws:iam::111122223333:user/a is not authorized to perform: kms:GetPublicKey on resource: x",
      /lack a permission.*kms:GetPublicKey/,
    ],
    ["ResourceNotFoundException", "Requested resource not found", /deployment's account/],
    ["NotFoundException", "Key does not exist", /deployment's account/],
  ])("%s of KMS or DynamoDB", async (type, text, message) => {
    const url = await refuse(type, text);
    await expectRefused({ AWS_ENDPOINT_URL_KMS: url }, 1, message);
    await expectRefused({ AWS_ENDPOINT_URL_DYNAMODB: url }, 1, message);
  });

  test("an endpoint that does not answer", async () => {
    const url = await refuse("", "");
    await new Promise((closed) => refusing?.close(closed));
    await expectRefused({ AWS_ENDPOINT_URL_KMS: url }, 1, /AWS cannot be reached.*ECONNREFUSED/);
    await expectRefused({ AWS_ENDPOINT_URL_DYNAMODB: url }, 1, /AWS cannot be reached.*ECONNREFUSED/);
  });

  test("a key of another kind than the deployment names", async () => {
    await write("swapped.json", { S: { ...outputs, LogKeys: outputs["AnchorMldsaKeys"] } });
    const args = ["tenant", "create", "D", "--outputs-file", "swapped.json", "--out", "d.json"];
    const { code, err } = await run(args);
    expect([code, err]).toEqual([1, expect.stringMatching(/is ML_DSA_44/)]);
  });

  test("a file that is not of a deployment, before AWS is asked", async () => {
    await write("wrong.json", { S: { ...outputs, ApiUrl: "http://audit.example.org" } });
    const args = ["tenant", "create", "D", "--outputs-file", "wrong.json", "--out", "d.json"];
    const { code, err } = await run(args, NONE);
    expect([code, err]).toEqual([2, expect.stringMatching(/ApiUrl is not a URL that begins with https/)]);
  });
});

describe("the demonstration waits for a deployment's schedules", () => {
  test("it says so while it waits, and ends in time with what to do", async () => {
    const server = await startServer();
    try {
      const tenant = { url: server.url, log: LOG_ID, apiKey: API_KEY, tenantKey: "07".repeat(32) };
      const vkeys = { logVkey: formatVkey(log.vkey), anchorVkey: formatVkey(anchor.vkey) };
      await write("slow.json", { ...tenant, ...vkeys });
      const args = ["demo", "--credentials", "slow.json", "--folder", "slow", "--timeout"];
      const unsealed = await asTenant(...args, "4");
      expect([unsealed.code, unsealed.err]).toEqual([
        1,
        expect.stringMatching(/waiting until it is sealed: \d+ s\n.*not sealed in time.*--timeout/s),
      ]);
      await server.seal();
      // Of these seconds a busy machine takes some to see that it is sealed.
      const unanchored = await asTenant(...args, "12");
      expect([unanchored.code, unanchored.out]).toEqual([1, expect.stringMatching(/3 seal .*signed\n$/)]);
      expect(unanchored.err).toMatch(/not anchored in time/);
      await server.anchor();
      const shown = await asTenant(...args, "120");
      expect([shown.code, shown.out]).toEqual([0, expect.stringMatching(/PROVEN, anchored/)]);
    } finally {
      await server.stop();
    }
  });

  test.each<[string, Record<string, string>, string[], RegExp]>([
    ["no key of the anchor log", { tenantKey: "07".repeat(32), logVkey: formatVkey(log.vkey) }, [], /anchor/],
    [
      "no tenant key",
      { logVkey: formatVkey(log.vkey), anchorVkey: formatVkey(anchor.vkey) },
      [],
      /tenant key/,
    ],
    ["no time", {}, ["--timeout", "0"], /--timeout/],
  ])("%s is misuse", async (_, content, args, message) => {
    await write("part.json", content);
    expect(await asTenant("demo", "--credentials", "part.json", ...args)).toMatchObject({
      code: 2,
      err: expect.stringMatching(message),
    });
  });
});
