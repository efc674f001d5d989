/** What version 148cc07 deployed, posted and proved is carried to this version as docs/operations.md says, on an emulated AWS. */
import { readFileSync } from "node:fs";
import { copyFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test, vi } from "vitest";
import { z } from "zod";
import { type Checkout, checkoutOf, copyOfThis } from "./checkout.ts";
import { type Emulator, REGION, startEmulator } from "./emulator.ts";
import { commandsUnder, type Operator, operator } from "./operator.ts";

const OLD = "148cc079fcfed1ec55b3d62fd770305d2e8d7e20";
const DEPLOY = "npx cdk deploy --all -c config=config/mine.json --outputs-file cdk-outputs.json";
const UPGRADE = commandsUnder("docs/operations.md", "### Upgrade in AWS");
/** The block of docs/operations.md that writes a script and runs it. */
const [, DROP = ""] =
  /```sh\n(cat > drop-index\.mjs.*?)```/s.exec(
    readFileSync(join(import.meta.dirname, "../../docs/operations.md"), "utf8"),
  ) ?? [];
const MINE = { domain: "audit.hospital.example", region: REGION, sealSeconds: 1, anchorMinutes: 1 };
const EVENTS = ["old-a.json", "old-b.json"];
/** What stays in the operator's checkout when another version is laid there. */
const KEPT = ["config/mine.json", "cdk-outputs.json", "credentials.json", ...EVENTS];
const PROOFS = EVENTS.map((name) => `${name}.tlog-proof`);

// Several commands of the CDK in a test, on a machine that may be busy.
vi.setConfig({ testTimeout: 1_200_000 });

const found = inject("python");
const old = "missing" in found ? undefined : await checkoutOf(OLD);
if (!("missing" in found) && old === undefined)
  console.log(
    `skipped: an upgrade on the emulator: the history here does not reach back to ${OLD.slice(0, 7)}`,
  );

describe.skipIf("missing" in found || old === undefined)("an upgrade from 148cc07", () => {
  let emulator: Emulator;
  let checkout: Checkout;
  let before: Operator;
  let mine: Operator;
  beforeAll(async () => {
    if ("missing" in found || old === undefined) return;
    [emulator, checkout] = await Promise.all([startEmulator(found.python), copyOfThis()]);
    before = operator(emulator, old.folder);
    mine = operator(emulator, checkout.folder);
  });
  afterAll(async () => {
    await emulator?.stop();
    await checkout?.remove();
    await old?.remove();
  });

  // Each step needs those before it.
  let failed = false;
  beforeEach(({ skip, onTestFailed }) => {
    skip(failed, "an earlier step has failed");
    onTestFailed(() => {
      failed = true;
    });
  });

  const asTenant = (line: string) => `KEDGE_CREDENTIALS=credentials.json ${line}`;
  /** Of each resource that holds what cannot be made again, by its logical id. */
  async function held(): Promise<Record<string, string>> {
    const schema = z.object({
      StackResources: z.array(
        z.object({ LogicalResourceId: z.string(), PhysicalResourceId: z.string(), ResourceType: z.string() }),
      ),
    });
    const kept = ["AWS::DynamoDB::Table", "AWS::KMS::Key", "AWS::S3::Bucket"];
    const told = await emulator.aws("cloudformation", "describe_stack_resources", {
      StackName: "Kedge-prod-Data",
    });
    const { StackResources } = schema.parse(told);
    return Object.fromEntries(
      StackResources.filter(({ ResourceType }) => kept.includes(ResourceType)).map((resource) => [
        resource.LogicalResourceId,
        resource.PhysicalResourceId,
      ]),
    );
  }

  let heldBefore: Record<string, string> = {};
  test("148cc07 is deployed, and a tenant posts and proves with it", async () => {
    before.configure("config/mine.json", "config/prod.json", MINE);
    await before.run("npx cdk bootstrap -c config=config/mine.json");
    await before.run(DEPLOY);
    await before.run('npx kedge tenant create "St. Example" --outputs-file cdk-outputs.json');
    for (const name of EVENTS) await writeFile(join(old?.folder ?? "", name), JSON.stringify({ name }));
    await before.runWhileAnchoring(asTenant(`npx kedge post ${EVENTS.join(" ")} --wait anchored`));
    await before.run(asTenant(`npx kedge proof ${EVENTS.join(" ")} --out .`));
    heldBefore = await held();
    expect(Object.keys(heldBefore)).toHaveLength(5);
  });

  test("the documented upgrade replaces no table, no key and no bucket", async () => {
    for (const name of [...KEPT, ...PROOFS])
      await copyFile(join(old?.folder ?? "", name), join(checkout.folder, name));
    // The others install it, which copyOfThis has done.
    const commands = UPGRADE.filter((line) => line.startsWith("npx cdk"));
    expect(commands.length).toBeGreaterThan(1);
    // Of 0.1.0 the sealer is stopped first; a run under way would have ended within the emulator's second.
    const FunctionName = before.output("SealerFunction");
    const stopped = { FunctionName, ReservedConcurrentExecutions: 0 };
    await emulator.aws("lambda", "put_function_concurrency", stopped);
    await writeFile(join(old?.folder ?? "", "between.json"), '{"between":true}');
    await before.run(asTenant("npx kedge post between.json"));
    await copyFile(join(old?.folder ?? "", "between.json"), join(checkout.folder, "between.json"));
    for (const line of commands) await mine.run(line);
    await emulator.aws("lambda", "delete_function_concurrency", { FunctionName });
    // The index has a bucket of its own from now on.
    const now = await held();
    expect(now).toMatchObject(heldBefore);
    expect(Object.keys(now)).toHaveLength(6);
  });

  test("proofs that 148cc07 made verify, and an altered event does not", async () => {
    for (const name of EVENTS)
      await mine.run(asTenant(`npx kedge verify ${name} ${name}.tlog-proof --require anchored`));
    await writeFile(join(checkout.folder, "altered.json"), JSON.stringify({ name: "altered" }));
    await mine.run(asTenant(`npx kedge verify altered.json ${PROOFS[0]}`), 1);
  });

  test("what 148cc07 put into the log is proven anew, in a tree that grew since", async () => {
    await writeFile(join(checkout.folder, "new.json"), '{"new":true}');
    await mine.runWhileAnchoring(asTenant("npx kedge post new.json --wait anchored"));
    for (const name of [...EVENTS, "between.json", "new.json"]) {
      await mine.run(asTenant(`npx kedge proof ${name} --out anew`));
      await mine.run(asTenant(`npx kedge verify ${name} anew/${name}.tlog-proof --require anchored`));
    }
  });

  test("posted again, an event of then is not in the log twice", async () => {
    const size = async () =>
      z
        .object({ size: z.coerce.number() })
        .parse(JSON.parse(await mine.run(asTenant("npx kedge status --json")))).size;
    expect(await size()).toBe(EVENTS.length + 2);
    await mine.runWhileAnchoring(asTenant(`npx kedge post ${EVENTS[0]} --wait anchored`));
    expect(await size()).toBe(EVENTS.length + 2);
  });

  test("the index items of 148cc07 are dropped by the documented commands, and nothing needs them", async () => {
    const TableName = mine.output("TableName");
    const itemsOf = z.object({ Items: z.array(z.unknown()) });
    const old = {
      TableName,
      FilterExpression: "begins_with(pk, :old)",
      ExpressionAttributeValues: { ":old": { S: "index/" } },
    };
    expect(itemsOf.parse(await emulator.aws("dynamodb", "scan", old)).Items).not.toEqual([]);
    await mine.run(DROP.replace('"$(out TableName)"', TableName));
    expect(itemsOf.parse(await emulator.aws("dynamodb", "scan", old)).Items).toEqual([]);
    await mine.run(asTenant(`npx kedge proof ${EVENTS.join(" ")} --out last`));
  });

  test("nothing was denied to any function of either version", () => {
    expect(emulator.decisions().filter(({ denied }) => denied)).toEqual([]);
  });
});
