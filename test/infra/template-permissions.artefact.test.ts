/** Who may do what: questions to the judge of IAM, over the synthesised roles, keys and bucket. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { FUNCTIONS } from "../../infra/names.ts";
import {
  ANCHOR,
  anchoredKey,
  cursorKey,
  publicCheckpointKey,
  publicKey,
} from "../../service/anchor-items.ts";
import { checkpointKey } from "../../service/checkpoints.ts";
import { headKey } from "../../service/head.ts";
import { coverKey } from "../../service/index/cover.ts";
import { logsKey } from "../../service/logs.ts";
import { PENDING_SHARDS, pendingPartition } from "../../service/pending.ts";
import { stagingPartition } from "../../service/staging.ts";
import { tenantPartition } from "../../service/tenants.ts";
import { tileItemKey } from "../../service/tiles.ts";
import { almighty, type Call, judgeOf, policyWith, type Role, type Statement } from "./access.ts";
import {
  ALL,
  type Deployment,
  full,
  type KeyKind,
  keysOf,
  policyOf,
  resources,
  roleOf,
  roles,
} from "./templates.ts";

const SIGNERS = { LogKey: "sealer", AnchorKey: "anchorer", AnchorMldsaKey: "anchorer" } as const;
const algorithmOf = (kind: KeyKind): string =>
  kind === "AnchorMldsaKey" ? "ML_DSA_SHAKE_256" : "ED25519_SHA_512";
const ADMINISTRATOR = almighty("Administrator");

const everyStatement = ({ data, service }: Deployment): Statement[] =>
  [data, service].flatMap((stack) => [
    ...roles(stack).flatMap(({ statements }) => statements),
    ...Object.values(stack.Resources)
      .filter(({ Properties }) => "KeyPolicy" in Properties || "PolicyDocument" in Properties)
      .flatMap(policyOf),
  ]);

/** Every role of the templates: of the functions, by their names, and of the schedules. */
const rolesOf = ({ view, access }: Deployment): (readonly [who: string, role: Role])[] =>
  view
    .all("AWS::IAM::Role")
    .map((role) => [role.construct.replace("Role", ""), access.role(view.attribute(role, "Arn"))]);

describe.each(ALL)("%s: what roles may do", (_, deployment) => {
  const { service, view, access } = deployment;
  const { may, onTable, onObject, onRun, sign } = access;
  const api = access.roleOf("api");
  const sealer = access.roleOf("sealer");
  const anchorer = access.roleOf("anchorer");
  const writes = async (asking: Role, pk: string): Promise<boolean> =>
    (await may(asking, onTable("PutItem", pk))) || (await may(asking, onTable("BatchWriteItem", pk)));

  test("only the sealer and the anchorer sign, each for its own log, by a key's algorithm and never a digest", async () => {
    expect(view.all("AWS::KMS::Key").map(({ construct }) => construct)).toEqual(
      keysOf(deployment).map(({ construct }) => construct),
    );
    // Keys whose own policies leave it to IAM: a role's policies must name its keys by themselves.
    const trust = { Effect: "Allow", Principal: { AWS: view.place.account }, Action: "kms:*", Resource: "*" };
    const keys = view.all("AWS::KMS::Key").map((key) => view.attribute(key, "Arn"));
    const byIam = judgeOf(view.place.account, new Map(keys.map((arn) => [arn, policyWith(trust)])));
    const everyone = [
      ...rolesOf(deployment).flatMap(([who, role]) => [
        { who, asking: role, judge: may },
        { who, asking: role, judge: byIam },
        // With any IAM policy: each key's own policy names the one role that signs.
        { who, asking: almighty(role.name), judge: may },
      ]),
      { who: "an administrator", asking: ADMINISTRATOR, judge: may },
      { who: "the sealer renamed", asking: { ...sealer, name: `${sealer.name}2` }, judge: may },
    ];
    for (const { construct, kind, signs } of keysOf(deployment))
      for (const algorithm of ["ED25519_SHA_512", "ED25519_PH_SHA_512", "ML_DSA_SHAKE_256"])
        for (const type of ["RAW", "DIGEST"])
          for (const { who, asking, judge } of everyone) {
            const right = algorithm === algorithmOf(kind) && type === "RAW";
            const allowed = await judge(asking, sign(construct, algorithm, type));
            const case_ = [who, construct, algorithm, type];
            expect([...case_, allowed]).toEqual([...case_, signs && right && who === SIGNERS[kind]]);
          }
  });

  test("no Allow statement has a wildcard in its actions", () => {
    const wide = everyStatement(deployment).filter(({ Action }) =>
      Action.some((action) => /[*?]/.test(action)),
    );
    expect(wide.filter(({ Effect }) => Effect === "Allow")).toEqual([]);
    // Proof that statements with wildcards were looked at: there are Deny ones.
    expect(wide.length).toBeGreaterThan(0);
  });

  test("no role may read a whole table, change its shape, or update or delete anything but by the batch", async () => {
    const table = onTable("Scan").resource;
    const forbidden: Call[] = [
      ...["Scan", "DeleteTable", "UpdateTable", "CreateTable", "UpdateTimeToLive", "PartiQLSelect"],
      ...["UpdateContinuousBackups", "ImportTable", "ConditionCheckItem", "UpdateItem", "DeleteItem"],
    ].map((name) => ({ action: `dynamodb:${name}`, resource: table, context: {} }));
    forbidden.push({ action: "dynamodb:DeleteBackup", resource: `${table}/backup/01234567`, context: {} });
    forbidden.push({ action: "iam:PassRole", resource: `arn:aws:iam::1:role/${sealer.name}`, context: {} });
    for (const call of forbidden) {
      expect([call, await may(ADMINISTRATOR, call)]).toEqual([call, true]);
      for (const [who, role] of rolesOf(deployment))
        expect([who, call, await may(role, call)]).toEqual([who, call, false]);
    }
  });

  test("what a role may do to the table is bound to partitions, every key of a request", () => {
    for (const name of FUNCTIONS) {
      const table = roleOf(service, name).statements.filter(
        ({ Action }) => /^dynamodb:.*(Item|Query)/.test(Action.join()) && !/Stream/.test(Action.join()),
      );
      expect(table.length).toBeGreaterThan(0);
      for (const { Condition, Resource } of table) {
        expect(Object.keys(Condition)).toEqual(["ForAllValues:StringLike"]);
        expect(Object.keys(Condition["ForAllValues:StringLike"] ?? {})).toEqual(["dynamodb:LeadingKeys"]);
        expect(Resource).toHaveLength(1);
      }
    }
  });

  test("the API may write no head, tile, staging or checkpoint, and see of the buckets the index alone, to read it", async () => {
    for (const pk of [...ofLog(TENANT_LOG).made, ...ofLog(ANCHOR).made, ...ofLog(ANCHOR).posted])
      expect([pk, await writes(api, pk)]).toEqual([pk, false]);
    for (const pk of [...ofLog(TENANT_LOG).posted, tenantPartition("t"), logsKey(TENANT_LOG).pk])
      expect([pk, await writes(api, pk)]).toEqual([pk, true]);
    // Nor among partitions of its own.
    const both = [tenantPartition("t"), headKey(TENANT_LOG).pk];
    expect(await may(api, onTable("BatchWriteItem", ...both))).toBe(false);
    const run = `${TENANT_LOG}/0/7-${"0f".repeat(32)}`;
    for (const action of ["GetObject", "PutObject", "DeleteObject"]) {
      expect([action, await may(api, onRun(action, run))]).toEqual([action, action === "GetObject"]);
      expect([action, await may(api, onObject(action, `logs/${run}`))]).toEqual([action, false]);
    }
  });

  test("the sealer may not write the anchor log, the anchorer none of a tenant's", async () => {
    await fc.assert(
      fc.asyncProperty(logId, index, async (id, n) => {
        const [own, anchor] = [ofLog(id, n), ofLog(ANCHOR, n)];
        const sealed = [...own.posted, ...own.made.filter((pk) => pk !== anchoredKey(id, n).pk)];
        for (const pk of sealed)
          expect([pk, await writes(sealer, pk), await writes(anchorer, pk)]).toEqual([pk, true, false]);
        for (const pk of [...anchor.made, ...anchor.posted]) {
          // The anchor log itself is not anchored.
          const isOwn = pk !== anchoredKey(ANCHOR, n).pk;
          expect([pk, await writes(sealer, pk), await writes(anchorer, pk)]).toEqual([pk, false, isOwn]);
        }
        expect(await writes(anchorer, anchoredKey(id, n).pk)).toBe(true);
      }),
      RUNS,
    );
  });

  test("tenants, their logs and their keys are the API's alone to write", async () => {
    for (const asking of [sealer, anchorer]) {
      for (const pk of [tenantPartition("t"), logsKey(TENANT_LOG).pk])
        expect([asking.name, pk, await writes(asking, pk)]).toEqual([asking.name, pk, false]);
    }
  });

  test("of the trail, the API and the sealer write, the sealer alone deletes events, and the anchorer sees nothing", async () => {
    for (const pk of ["trail/abcdefghijklmnop", "trail-outbox", "trail-expiry"]) {
      const right = (name: string) => name !== anchorer.name;
      for (const asking of [api, sealer, anchorer])
        expect([asking.name, pk, await writes(asking, pk)]).toEqual([asking.name, pk, right(asking.name)]);
    }
    const deletion = onTable("BatchWriteItem", "trail/abcdefghijklmnop");
    expect([await may(api, deletion), await may(sealer, deletion)]).toEqual([false, true]);
    for (const action of ["BatchGetItem", "Query"])
      expect(await may(anchorer, onTable(action, "trail/abcdefghijklmnop"))).toBe(false);
  });

  test("of the bucket, the sealer has the tenants' records and the anchorer the anchor log's", async () => {
    const writersOf = async (path: string): Promise<string[]> => {
      const found = [];
      for (const name of FUNCTIONS)
        if (await may(access.roleOf(name), onObject("PutObject", path))) found.push(name);
      return found;
    };
    await fc.assert(
      fc.asyncProperty(logId, index, fc.stringMatching(/^[0-9a-f]{64}$/), async (id, size, root) => {
        for (const file of ["head", `batches/${String(size).padStart(16, "0")}-${root}`]) {
          expect(await writersOf(`logs/${id}/${file}`)).toEqual(["sealer"]);
          expect(await writersOf(`logs/${ANCHOR}/${file}`)).toEqual(["anchorer"]);
        }
        for (const file of ["checkpoint", `checkpoints/${size}`, "tile/0/x001/234.p/5", "policy"])
          expect(await writersOf(`anchor/${file}`)).toEqual(["anchorer"]);
      }),
      RUNS,
    );
  });

  test("of the index, the sealer writes and deletes the tenants' runs and the anchorer the anchor log's", async () => {
    await fc.assert(
      fc.asyncProperty(
        logId,
        fc.nat(3),
        index,
        fc.stringMatching(/^[0-9a-f]{64}$/),
        async (id, level, n, root) => {
          for (const [log, owner] of [
            [id, "sealer"],
            [ANCHOR, "anchorer"],
          ] as const)
            for (const action of ["GetObject", "PutObject", "DeleteObject"]) {
              const call = onRun(action, `${log}/${level}/${n}-${root}`);
              for (const name of FUNCTIONS) {
                const right = name === owner || (name === "api" && action === "GetObject");
                expect([call, name, await may(access.roleOf(name), call)]).toEqual([call, name, right]);
              }
            }
        },
      ),
      RUNS,
    );
  });

  test("only Lambda may assume a function's role, and only schedules of this account the scheduler's", () => {
    for (const [id, { Properties }] of resources(service, "AWS::IAM::Role")) {
      const trusted = JSON.stringify(Properties["AssumeRolePolicyDocument"]);
      if (FUNCTIONS.some((name) => roleOf(service, name).id === id)) {
        expect(trusted).toContain("lambda.amazonaws.com");
        expect(trusted.match(/amazonaws/g)).toHaveLength(1);
      } else {
        expect(trusted).toContain("scheduler.amazonaws.com");
        expect(trusted).toContain("aws:SourceAccount");
      }
    }
  });
});

// ---- the partitions of the table, as platform/table.ts names them ----------------------------------------------------

const TENANT_LOG = "abcdefghij234567abc";
const logId = fc.stringMatching(/^[a-z2-7]{19}$/);
const index = fc.bigInt({ min: 0n, max: 2n ** 53n - 1n });
/** A hundred runs over all deployments together. */
const RUNS = { numRuns: 100 / ALL.length };

/** Partitions of a log: those that posted entries go to, and those that are made from them. */
function ofLog(log: string, n = 1_234n): { posted: string[]; made: string[] } {
  const shards = Array.from({ length: PENDING_SHARDS }, (_, shard) => pendingPartition(log, shard));
  const anchors = log === ANCHOR ? [cursorKey(), publicKey(), publicCheckpointKey(n)] : [];
  const keys = [
    ...[headKey(log), checkpointKey(log, n), anchoredKey(log, n), ...anchors],
    ...[tileItemKey(log, "entries", n), tileItemKey(log, 3, n), coverKey(log)],
  ];
  return { posted: shards, made: [...keys.map(({ pk }) => pk), stagingPartition(log)] };
}

// ---- keys ------------------------------------------------------------------------------------------------------------

describe.each(ALL)("%s: signing keys", (_, deployment) => {
  const { view, access } = deployment;
  const keys = keysOf(deployment).map((key) => {
    const resource = view.one("AWS::KMS::Key", key.construct);
    return { ...key, resource, arn: view.attribute(resource, "Arn") };
  });

  test("an administrator can change a key's policy, read its public key and disable it", async () => {
    for (const { arn } of keys)
      for (const name of ["PutKeyPolicy", "DescribeKey", "GetPublicKey", "DisableKey", "EnableKey"]) {
        const call = { action: `kms:${name}`, resource: arn, context: {} };
        expect([call, await access.may(ADMINISTRATOR, call)]).toEqual([call, true]);
      }
  });

  test("nobody may use a key for anything else, grant its use or copy it", async () => {
    const forbidden = [
      ...["CreateGrant", "ReplicateKey", "UpdatePrimaryRegion", "GetParametersForImport"],
      ...["ImportKeyMaterial", "Encrypt", "Decrypt", "DeriveSharedSecret", "GenerateMac", "Verify"],
    ];
    const everyone = [ADMINISTRATOR, ...rolesOf(deployment).map(([, { name }]) => almighty(name))];
    for (const { arn, resource } of keys) {
      for (const name of forbidden)
        for (const asking of everyone) {
          const call = { action: `kms:${name}`, resource: arn, context: {} };
          expect([asking.name, call, await access.may(asking, call)]).toEqual([asking.name, call, false]);
        }
      expect(resource.Properties["MultiRegion"] ?? false).toBe(false);
      expect(resource.Properties["Enabled"] ?? true).toBe(true);
    }
  });

  test("logs sign with Ed25519, the anchor log's post-quantum keys with ML-DSA-44", () => {
    for (const { kind, resource } of keys) {
      expect(resource.Properties).toMatchObject({
        KeyUsage: "SIGN_VERIFY",
        KeySpec: kind === "AnchorMldsaKey" ? "ML_DSA_44" : "ECC_NIST_EDWARDS25519",
      });
    }
  });

  test("the functions are told the keys that sign, and no retired one", () => {
    const signing = (kind: KeyKind) =>
      keys.filter((key) => key.kind === kind && key.signs).map(({ arn }) => arn);
    for (const name of FUNCTIONS) {
      const { Environment } = z
        .object({ Environment: z.object({ Variables: z.record(z.string(), z.string()) }) })
        .parse(view.properties(view.one("AWS::Lambda::Function", name)));
      const told = (variable: string) => Environment.Variables[variable]?.split(",") ?? [];
      expect(told("KEDGE_LOG_KEY")).toEqual(signing("LogKey"));
      expect(told("KEDGE_ANCHOR_KEY")).toEqual(signing("AnchorKey"));
      expect(told("KEDGE_ANCHOR_MLDSA_KEY")).toEqual(signing("AnchorMldsaKey"));
    }
  });
});

test("a retired key is kept, and its policy names no signer", () => {
  const retired = keysOf(full).filter(({ signs }) => !signs);
  expect(retired.map(({ kind }) => kind)).toEqual(["LogKey", "AnchorMldsaKey"]);
  for (const { construct } of retired) {
    const resource = full.view.one("AWS::KMS::Key", construct);
    expect(resource.DeletionPolicy).toBe("Retain");
    expect(JSON.stringify(policyOf(resource))).not.toContain(":role/");
    expect(JSON.stringify(full.data.Outputs)).toContain(`"${resource.id}"`);
  }
});
