/** From the README to a verified proof on an emulated AWS, and what an operator does from then on, in that order. */
import { readFileSync, writeFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test, vi } from "vitest";
import { z } from "zod";
import { RUN_SIZES } from "../../service/index/cover.ts";
import { type Checkout, copyOfThis } from "./checkout.ts";
import { type Emulator, REGION, Refused, startEmulator } from "./emulator.ts";
import { commandsUnder, type Operator, operator } from "./operator.ts";
import { withoutStatement } from "./roles.ts";

// Several commands of the CDK in a test, on a machine that may be busy.
vi.setConfig({ testTimeout: 1_200_000 });

const found = inject("python");

const README = commandsUnder("README.md", "## Deploy it");
const DEMO = README.at(-1) ?? "";
const DEPLOY = README.find((line) => line.startsWith("npx cdk deploy")) ?? "";
const OWN_EVENTS = commandsUnder("README.md", "## Your own events");
const WITNESS = "npx cdk deploy -c witness=config/witness-mine.json --outputs-file witness-outputs.json";
const STACKS = ["Kedge-prod-Service", "Kedge-prod-Data"];

/** What an operator sets, with short waits. */
const MINE = { domain: "audit.hospital.example", region: REGION, sealSeconds: 1, anchorMinutes: 1 };
const both = { a: "signs", b: "signs" };
const second = { a: "retired", b: "signs" };
const ROTATING = { logKeys: both, anchorKeys: both, anchorMldsaKeys: both, policy: "policy" };
const ROTATED = { logKeys: second, anchorKeys: second, anchorMldsaKeys: second, policy: "policy" };
const role = (name: "api" | "sealer" | "anchorer") => `kedge-prod-${REGION}-${name}`;
const WITNESS_ROLE = `kedge-witness-dev-${REGION}`;
const SOON = { timeout: 120_000, interval: 1_000 };

describe.skipIf("missing" in found)("deployed to an emulated AWS by the README's commands", () => {
  let emulator: Emulator;
  let checkout: Checkout;
  let mine: Operator;
  beforeAll(async () => {
    if ("missing" in found) return;
    [emulator, checkout] = await Promise.all([startEmulator(found.python), copyOfThis()]);
    mine = operator(emulator, checkout.folder);
  });
  afterAll(async () => {
    await emulator?.stop();
    await checkout?.remove();
  });

  // Each step needs those before it.
  let failed = false;
  beforeEach(({ skip, onTestFailed }) => {
    skip(failed, "an earlier step has failed");
    onTestFailed(() => {
      failed = true;
    });
  });

  const file = (name: string) => join(checkout.folder, name);
  const configure = (changes: object = {}) =>
    mine.configure("config/mine.json", "config/prod.json", { ...MINE, ...changes });
  const asTenant = (line: string) => `KEDGE_CREDENTIALS=credentials.json ${line}`;
  /** The keys that `kedge vkeys` prints. */
  const vkeys = async (which: string): Promise<string[]> =>
    (await mine.run(`npx kedge vkeys --outputs-file cdk-outputs.json ${which}`))
      .split("\n")
      .map((line) => line.replace(/^log /, ""))
      .filter((line) => /^\S+\+[0-9a-f]{8}\+\S+$/.test(line));
  const credentials = () =>
    z.record(z.string(), z.string()).parse(JSON.parse(readFileSync(file("credentials.json"), "utf8")));
  /** Posts an event, waits until it has come so far, fetches its proof and verifies it. */
  async function prove(name: string, assurance: "anchored" | "witnessed"): Promise<void> {
    await writeFile(file(`${name}.json`), JSON.stringify({ name }));
    await mine.runWhileAnchoring(asTenant(`npx kedge post ${name}.json --wait ${assurance}`));
    await mine.run(asTenant(`npx kedge proof ${name}.json --out .`));
    await verify(name, `--require ${assurance}${assurance === "witnessed" ? " --policy config/policy" : ""}`);
  }
  const verify = (name: string, flags = "", proof = `${name}.json.tlog-proof`) =>
    mine.run(asTenant(`npx kedge verify ${name}.json ${proof} ${flags}`));
  const monitor = () =>
    mine.run(
      `npx kedge monitor ${mine.output("PublicUrl")}:${emulator.port}/anchor --policy config/policy --state monitor.json`,
    );
  /** @param path within the log's entries. @returns the status of the answer. */
  const askEntries = async (path: string, hashes?: string[]) => {
    const { url, log, apiKey } = credentials();
    const headers = { authorization: `Bearer ${apiKey}`, "content-type": "application/json" };
    const init =
      hashes === undefined ? { headers } : { method: "POST", headers, body: JSON.stringify({ hashes }) };
    const script = `fetch(${JSON.stringify(`${url}/v1/logs/${log}/entries${path}`)}, ${JSON.stringify(init)}).then(({ status }) => console.log(status))`;
    writeFileSync(file("ask.mjs"), script);
    return Number(await mine.run("node ask.mjs"));
  };
  /** Posts a commitment that is new. */
  const postCommitment = (digit: string) => askEntries("", [digit.repeat(64)]);
  /** The paths of the log's runs. */
  const runs = async () => {
    const schema = z.object({ Contents: z.array(z.object({ Key: z.string() })).default([]) });
    const { log } = credentials();
    const Bucket = mine.output("Index").slice("s3://".length);
    const listed = await emulator.aws("s3", "list_objects_v2", { Bucket, Prefix: `${log}/` });
    return schema.parse(listed).Contents.map(({ Key }) => Key);
  };
  const deniedTo = (name: string) =>
    emulator
      .decisions()
      .filter(({ who, denied }) => denied && who.includes(`:assumed-role/${name}/`))
      .map(({ action }) => action);

  test.each(README.slice(0, -1))("%s", async (line) => {
    await mine.run(line);
    if (line.startsWith("cp ")) configure();
  });

  test(`${DEMO}: proven, by stream and schedules alone; a witness is deployed meanwhile`, async () => {
    const demo = emulator.run(DEMO, checkout.folder);
    const logs = await vkeys("--policy");
    mine.configure("config/witness-mine.json", "config/witness.json", { stage: "dev", region: REGION, logs });
    await mine.run(WITNESS);
    expect((await demo).output).toContain("PROVEN, anchored");
  });

  test("own events are posted, fetched and verified, and an altered one is not proven", async () => {
    await mkdir(file("../my-events"));
    await writeFile(file("../my-events/a.json"), '{"read":1}');
    await writeFile(file("../my-events/b.json"), '{"read":2}');
    for (const line of OWN_EVENTS) await mine.runWhileAnchoring(asTenant(line));
    await writeFile(file("../my-events/a.json"), '{"read":3}');
    expect(await mine.run(asTenant(OWN_EVENTS.at(-1) ?? ""), 1)).toContain("NOT PROVEN");
  });

  test("a rotation begins: both keys sign, and the witness cosigns what it knows one key of", async () => {
    const script = `fetch(${JSON.stringify(`${mine.output("WitnessUrl", "witness-outputs.json")}/vkeys`)}).then((answer) => answer.text()).then(console.log)`;
    writeFileSync(file("vkeys.mjs"), script);
    const [witness] = (await mine.run("node vkeys.mjs")).split("\n");
    const url = mine.output("WitnessUrl", "witness-outputs.json");
    const policy = (logs: string[]) =>
      writeFile(
        file("config/policy"),
        [...logs.map((vkey) => `log ${vkey}`), `witness w ${witness} ${url}`, "quorum w", ""].join("\n"),
      );
    await policy(await vkeys("--policy"));
    configure(ROTATING);
    await mine.run(DEPLOY);
    const keys = await vkeys("--policy");
    expect(keys).toHaveLength(4);
    await policy(keys);
    await prove("riding", "witnessed");
  });

  test("the rotation ends: the first keys are retired, and old proofs stay valid", async () => {
    const anchor = await vkeys("--policy");
    const { log } = credentials();
    const logKeys = await vkeys(`--log ${log}`);
    mine.configure("config/witness-mine.json", "config/witness-mine.json", { logs: anchor });
    await mine.run(WITNESS);
    configure(ROTATED);
    await mine.run(DEPLOY);
    // What docs/operations.md tells a tenant to do: both keys in one member, a space between.
    const isMldsa = (vkey: string) => vkey.length > 1_000;
    const pinned = {
      logVkey: logKeys.join(" "),
      anchorVkey: anchor.filter((vkey) => !isMldsa(vkey)).join(" "),
      anchorMldsaVkey: anchor.filter(isMldsa).join(" "),
    };
    writeFileSync(file("credentials.json"), JSON.stringify({ ...credentials(), ...pinned }));
    await prove("rotated", "witnessed");
    await verify("riding");
  });

  test("the monitor finds nothing wrong with the public anchor log, through CloudFront", monitor);

  test("until here nothing was denied", () => {
    expect(emulator.decisions().filter(({ denied }) => denied)).toEqual([]);
  });

  test("an administrator can neither publish nor sign", async () => {
    const Bucket = mine.output("Publication").slice("s3://".length);
    const refused = { code: expect.stringMatching(/^AccessDenied/) };
    await expect(
      emulator.aws("s3", "put_object", { Bucket, Key: "anchor/checkpoint", Body: "x" }),
    ).rejects.toMatchObject(refused);
    const KeyId = mine.output("LogKeys");
    const request = { KeyId, Message: "x", MessageType: "RAW", SigningAlgorithm: "ED25519_SHA_512" };
    await expect(emulator.aws("kms", "sign", request)).rejects.toMatchObject(refused);
  });

  test("api: without its statement to write what is pending, it accepts nothing", async () => {
    await withoutStatement(emulator, role("api"), "dynamodb:PutItem", async () => {
      expect(await postCommitment("0")).toBe(503);
    });
    expect(deniedTo(role("api"))).toContain("dynamodb:PutItem");
  });

  test("sealer: without its statement to sign, it seals nothing", async () => {
    await withoutStatement(emulator, role("sealer"), "kms:Sign", async () => {
      expect(await postCommitment("1")).toBe(202);
      await expect(mine.ask("SealerFunction")).rejects.toThrow();
    });
    expect(deniedTo(role("sealer"))).toContain("kms:Sign");
  });

  const enough = Array.from({ length: RUN_SIZES.base }, (_, i) => i.toString(16).padStart(64, "0"));
  test("sealer: without its statement for the index, it seals and makes no run, and makes it with the statement back", async () => {
    await withoutStatement(emulator, role("sealer"), "s3:DeleteObject", async () => {
      expect(await askEntries("", enough)).toBe(202);
      await mine.ask("SealerFunction");
      // By whichever sealer came first: the stream starts another.
      await expect.poll(() => deniedTo(role("sealer")), SOON).toContain("s3:PutObject");
      expect(await runs()).toEqual([]);
    });
    expect(await postCommitment("2")).toBe(202);
    await mine.ask("SealerFunction");
    // The stream may have started another sealer, which is at it.
    await expect.poll(runs, SOON).toHaveLength(1);
  });

  test("api: without its statement to read the index, it finds no entry, and never says that there is none", async () => {
    const path = `/${enough[9]}`;
    await withoutStatement(emulator, role("api"), "s3:GetObject", async () => {
      expect(await askEntries(path)).toBe(503);
    });
    expect(deniedTo(role("api"))).toContain("s3:GetObject");
    expect(await askEntries(path)).toBe(200);
  });

  test("anchorer: without its statement to sign, it anchors nothing", async () => {
    await withoutStatement(emulator, role("anchorer"), "kms:Sign", async () => {
      // What its schedule has not anchored before.
      expect(await postCommitment("3")).toBe(202);
      await mine.ask("SealerFunction");
      const outcome = () => mine.ask("AnchorerFunction").then(() => "nothing to do", String);
      await expect.poll(outcome, SOON).not.toBe("nothing to do");
    });
    expect(deniedTo(role("anchorer"))).toContain("kms:Sign");
  });

  test("witness: without its statement for its record, it cosigns nothing", async () => {
    await withoutStatement(emulator, WITNESS_ROLE, "dynamodb:BatchGetItem", async () => {
      expect(await postCommitment("4")).toBe(202);
      await mine.ask("SealerFunction");
      const denied = async () => {
        // Beside its schedule it may lose a race to it.
        await mine.ask("AnchorerFunction").catch(() => {});
        return deniedTo(WITNESS_ROLE);
      };
      await expect.poll(denied, SOON).toContain("dynamodb:BatchGetItem");
    });
  });

  test("with its statements back, all goes on", async () => {
    await prove("after", "witnessed");
  });

  test("a table is restored from a backup, and what was sealed since is brought back", async () => {
    const TableName = "kedge-restored";
    // The emulator copies the table as it is now.
    const from = {
      SourceTableName: mine.output("TableName"),
      TargetTableName: TableName,
      UseLatestRestorableTime: true,
    };
    await emulator.aws("dynamodb", "restore_table_to_point_in_time", from);
    await prove("since", "witnessed");

    const functions = ["ApiFunction", "SealerFunction", "AnchorerFunction"].map((name) => mine.output(name));
    const [api, ...sealing] = functions;
    for (const FunctionName of functions)
      await emulator.aws("lambda", "put_function_concurrency", {
        FunctionName,
        ReservedConcurrentExecutions: 0,
      });
    const StreamSpecification = { StreamEnabled: true, StreamViewType: "KEYS_ONLY" };
    await emulator.aws("dynamodb", "update_table", {
      TableName,
      DeletionProtectionEnabled: true,
      StreamSpecification,
    });
    const PointInTimeRecoverySpecification = { PointInTimeRecoveryEnabled: true };
    await emulator.aws("dynamodb", "update_continuous_backups", {
      TableName,
      PointInTimeRecoverySpecification,
    });
    const { TableArn: arn, LatestStreamArn: streamArn } = z
      .object({ Table: z.object({ TableArn: z.string(), LatestStreamArn: z.string() }) })
      .parse(await emulator.aws("dynamodb", "describe_table", { TableName })).Table;
    configure({ ...ROTATED, table: { arn, streamArn } });
    await mine.run(DEPLOY);
    expect(mine.output("TableName")).toBe(TableName);
    for (const FunctionName of sealing)
      await emulator.aws("lambda", "delete_function_concurrency", { FunctionName });
    await expect(mine.ask("SealerFunction")).rejects.toThrow();
    expect(emulator.log()).toContain('"code":"rollback"');
    const brought = { batches: 1, entries: 1 };
    // The log of the tenant's trail is restored as well, and has nothing new.
    const restored = await mine.ask("SealerFunction", { restore: "all" });
    expect(restored).toEqual(expect.arrayContaining([expect.objectContaining(brought)]));
    expect(await mine.ask("AnchorerFunction", { restore: "anchor" })).toMatchObject([brought]);
    await emulator.aws("lambda", "delete_function_concurrency", { FunctionName: api });

    // The anchorer's next run shows what was shown before, and what is posted again changes nothing.
    await mine.runWhileAnchoring(asTenant("npx kedge post since.json --wait anchored"));
    await mine.run(asTenant("npx kedge proof since.json --out again"));
    await verify("since", "--require anchored", "again/since.json.tlog-proof");
    await prove("restored", "witnessed");
    await monitor();
  });

  test("a second deployment changes nothing", async () => {
    expect((await mine.run(DEPLOY)).match(/\(no changes\)/g)).toHaveLength(STACKS.length);
    await mine.run("npx cdk diff --fail -c config=config/mine.json");
  });

  test("destroyed, a service of the stage prod leaves its table, its keys and what it published", async () => {
    for (const StackName of STACKS)
      await emulator.aws("cloudformation", "update_termination_protection", {
        StackName,
        EnableTerminationProtection: false,
      });
    await mine.run("npx cdk destroy --all --force -c config=config/mine.json");
    for (const StackName of STACKS)
      await expect(emulator.aws("cloudformation", "describe_stacks", { StackName })).rejects.toThrow(Refused);
    const Bucket = mine.output("Publication").slice("s3://".length);
    await emulator.aws("s3", "head_object", { Bucket, Key: "anchor/checkpoint" });
    expect(await runs()).not.toEqual([]);
    const { KeyState } = z
      .object({ KeyMetadata: z.object({ KeyState: z.string() }) })
      .parse(await emulator.aws("kms", "describe_key", { KeyId: mine.output("LogKeys") })).KeyMetadata;
    expect(KeyState).toBe("Enabled");
    await emulator.aws("dynamodb", "describe_table", { TableName: mine.output("TableName") });
  });

  test("destroyed, a witness of the stage dev leaves nothing", async () => {
    await mine.run("npx cdk destroy --force -c witness=config/witness-mine.json");
    const KeyId = mine.output("WitnessKeys", "witness-outputs.json").split(",")[0];
    const { KeyState } = z
      .object({ KeyMetadata: z.object({ KeyState: z.string() }) })
      .parse(await emulator.aws("kms", "describe_key", { KeyId })).KeyMetadata;
    expect(KeyState).toBe("PendingDeletion");
    const { TableNames } = z
      .object({ TableNames: z.array(z.string()) })
      .parse(await emulator.aws("dynamodb", "list_tables", {}));
    expect(TableNames.filter((name) => name.includes("Witness"))).toEqual([]);
  });
});
