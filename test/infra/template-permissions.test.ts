/** Who may do what: the statements of the synthesised roles and key policies. */
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
import { indexKey } from "../../service/hash-index.ts";
import { headKey } from "../../service/head.ts";
import { logsKey } from "../../service/logs.ts";
import { PENDING_SHARDS, pendingPartition } from "../../service/pending.ts";
import { stagingPartition } from "../../service/staging.ts";
import { tenantPartition } from "../../service/tenants.ts";
import { tileItemKey } from "../../service/tiles.ts";
import {
  ALL,
  allows,
  covers,
  type Deployment,
  full,
  type KeyKind,
  keysOf,
  lambda,
  matches,
  policyOf,
  resources,
  roleOf,
  roles,
  type SigningKey,
  type Statement,
  suffixOf,
} from "./templates.ts";

const everyStatement = ({ data, service }: Deployment): Statement[] =>
  [data, service].flatMap((stack) => [
    ...roles(stack).flatMap(({ statements }) => statements),
    ...Object.values(stack.Resources)
      .filter(({ Properties }) => "KeyPolicy" in Properties || "PolicyDocument" in Properties)
      .flatMap(policyOf),
  ]);
const signers = ({ service }: Deployment) =>
  roles(service).filter(({ statements }) => allows(statements, "kms:Sign").length > 0);

describe.each(ALL)("%s: what roles may do", (_, deployment) => {
  const { service } = deployment;

  test("only the sealer and the anchorer may sign, with their algorithm, of a message and not of a digest", () => {
    expect(signers(deployment).map(({ id }) => id)).toEqual([
      roleOf(service, "sealer").id,
      roleOf(service, "anchorer").id,
    ]);
    for (const statement of signers(deployment).flatMap(({ statements }) => allows(statements, "kms:Sign"))) {
      expect(statement.Action).toEqual(["kms:Sign"]);
      expect(statement.Resource).not.toContain("*");
      expect(statement.Condition).toEqual({
        StringEquals: {
          "kms:SigningAlgorithm": expect.stringMatching(/^(ED25519_SHA_512|ML_DSA_SHAKE_256)$/),
          "kms:MessageType": "RAW",
        },
      });
    }
  });

  test("each signs with the keys of its own log, and with no retired one", () => {
    for (const [name, kinds] of [
      ["sealer", { LogKey: "ED25519_SHA_512" }],
      ["anchorer", { AnchorKey: "ED25519_SHA_512", AnchorMldsaKey: "ML_DSA_SHAKE_256" }],
    ] as const) {
      const allowed = allows(roleOf(service, name).statements, "kms:Sign").flatMap((statement) =>
        statement.Resource.map((key) => [
          keyOf(key),
          statement.Condition["StringEquals"]?.["kms:SigningAlgorithm"],
        ]),
      );
      const wanted = signingKeys(deployment).flatMap(({ id, kind }) =>
        Object.entries(kinds)
          .filter(([one]) => one === kind)
          .map(([, algorithm]) => [id, algorithm]),
      );
      expect(allowed.sort()).toEqual(wanted.sort());
    }
  });

  test("nobody may do anything by a wildcard, but be denied it", () => {
    const wide = everyStatement(deployment).filter(({ Action }) =>
      Action.some((action) => /[*?]/.test(action)),
    );
    expect(wide.filter(({ Effect }) => Effect === "Allow")).toEqual([]);
    // Which proves that there were statements with wildcards to look at.
    expect(wide.length).toBeGreaterThan(0);
  });

  test("no role may read a whole table, change its shape or delete anything but items", () => {
    const forbidden = [
      ...["Scan", "DeleteTable", "UpdateTable", "CreateTable", "UpdateTimeToLive", "PartiQLSelect"],
      ...["UpdateContinuousBackups", "DeleteBackup", "ImportTable", "TransactWriteItems", "UpdateItem"],
    ].map((name) => `dynamodb:${name}`);
    for (const { id, statements } of roles(service)) {
      for (const action of [...forbidden, "s3:DeleteObject", "s3:DeleteObjectVersion", "iam:PassRole"]) {
        expect([id, action, allows(statements, action)]).toEqual([id, action, []]);
      }
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

  test("the API may write no head, tile, index, staging or checkpoint, see no bucket and sign nothing", () => {
    const { statements } = roleOf(service, "api");
    for (const pk of [...ofLog(TENANT_LOG).made, ...ofLog(ANCHOR).made, ...ofLog(ANCHOR).posted]) {
      expect(writable(statements, pk), pk).toBe(false);
    }
    for (const pk of [...ofLog(TENANT_LOG).posted, tenantPartition("t"), logsKey(TENANT_LOG).pk]) {
      expect(writable(statements, pk), pk).toBe(true);
    }
    expect(statements.filter(({ Action }) => Action.some((action) => action.startsWith("s3:")))).toEqual([]);
    expect(allows(statements, "kms:Sign")).toEqual([]);
  });

  test("the sealer may not write the anchor log, the anchorer none of a tenant's", () => {
    const sealer = roleOf(service, "sealer").statements;
    const anchorer = roleOf(service, "anchorer").statements;
    fc.assert(
      fc.property(logId, index, (id, n) => {
        const [own, anchor] = [ofLog(id, n), ofLog(ANCHOR, n)];
        const sealed = [...own.posted, ...own.made.filter((pk) => pk !== anchoredKey(id, n).pk)];
        for (const pk of sealed) expect([pk, writable(sealer, pk)]).toEqual([pk, true]);
        for (const pk of [...anchor.made, ...anchor.posted]) {
          // The anchor log is anchored nowhere.
          const own = pk !== anchoredKey(ANCHOR, n).pk;
          expect([pk, writable(sealer, pk), writable(anchorer, pk)]).toEqual([pk, false, own]);
        }
        for (const pk of sealed) expect([pk, writable(anchorer, pk)]).toEqual([pk, false]);
        expect(writable(anchorer, anchoredKey(id, n).pk)).toBe(true);
      }),
    );
  });

  test("tenants, their logs and their keys are the API's alone to write", () => {
    for (const name of ["sealer", "anchorer"] as const) {
      for (const pk of [tenantPartition("t"), logsKey(TENANT_LOG).pk]) {
        expect(writable(roleOf(service, name).statements, pk), `${name} ${pk}`).toBe(false);
      }
    }
  });

  test("of the bucket, the sealer has the tenants' records and the anchorer the anchor log's", () => {
    const objects = (name: "sealer" | "anchorer") =>
      allows(roleOf(service, name).statements, "s3:PutObject").flatMap(({ Resource }) =>
        Resource.map((resource) => suffixOf(resource)),
      );
    const may = (name: "sealer" | "anchorer", path: string) =>
      objects(name).some((pattern) => matches(pattern, path));
    fc.assert(
      fc.property(logId, index, fc.stringMatching(/^[0-9a-f]{64}$/), (id, size, root) => {
        for (const file of ["head", `batches/${String(size).padStart(16, "0")}-${root}`]) {
          const who = (log: string) =>
            (["sealer", "anchorer"] as const).filter((name) => may(name, `/logs/${log}/${file}`));
          expect([who(id), who(ANCHOR)]).toEqual([["sealer"], ["anchorer"]]);
        }
        for (const file of ["checkpoint", `checkpoints/${size}`, "tile/0/x001/234.p/5", "policy"]) {
          expect((["sealer", "anchorer"] as const).filter((name) => may(name, `/anchor/${file}`))).toEqual([
            "anchorer",
          ]);
        }
      }),
    );
  });

  test("only Lambda may be a function, only the account's own schedules may be the scheduler", () => {
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

// ---- the partitions of the table, as service/table.ts names them -----------------------------------------------------

const TENANT_LOG = "abcdefghij234567abc";
const logId = fc.stringMatching(/^[a-z2-7]{19}$/);
const index = fc.bigInt({ min: 0n, max: 2n ** 53n - 1n });

/** Partitions of a log: those that clients' entries go to, and those that are made of them. */
function ofLog(log: string, n = 1_234n): { posted: string[]; made: string[] } {
  const shards = Array.from({ length: PENDING_SHARDS }, (_, shard) => pendingPartition(log, shard));
  const anchors = log === ANCHOR ? [cursorKey(), publicKey(), publicCheckpointKey(n)] : [];
  const keys = [
    ...[headKey(log), checkpointKey(log, n), anchoredKey(log, n), ...anchors],
    ...[tileItemKey(log, "entries", n), tileItemKey(log, 3, n), indexKey(log, "0f".repeat(32))],
  ];
  return { posted: shards, made: [...keys.map(({ pk }) => pk), stagingPartition(log)] };
}

const WRITES = ["PutItem", "BatchWriteItem", "UpdateItem", "DeleteItem"].map((name) => `dynamodb:${name}`);

const writable = (statements: readonly Statement[], pk: string): boolean =>
  statements.some(
    (statement) =>
      statement.Effect === "Allow" &&
      WRITES.some((action) => covers(statement, action)) &&
      patternsOf(statement).some((pattern) => matches(pattern, pk)),
  );

const patternsOf = ({ Condition }: Statement): string[] =>
  z.array(z.string()).parse([Condition["ForAllValues:StringLike"]?.["dynamodb:LeadingKeys"] ?? "*"].flat());

// ---- keys ------------------------------------------------------------------------------------------------------------

const signingKeys = (deployment: Deployment): SigningKey[] => keysOf(deployment).filter(({ signs }) => signs);

/** The logical id of the key that an import is of. */
const keyOf = (imported: unknown): string =>
  /FnGetAtt(\w+?)Arn[0-9A-F]{8}"/.exec(JSON.stringify(imported))?.[1] ?? "";

describe.each(ALL)("%s: signing keys", (_, deployment) => {
  const { service } = deployment;

  test("a key's own policy lets one role sign, with its algorithm, and administrators not", () => {
    for (const { id, kind, resource } of signingKeys(deployment)) {
      const [sign, ...more] = allows(policyOf(resource), "kms:Sign");
      expect(more).toEqual([]);
      expect(sign?.Action).toEqual(["kms:Sign"]);
      const signer = roleOf(service, kind === "LogKey" ? "sealer" : "anchorer");
      expect(JSON.stringify(sign?.Condition["ArnEquals"]), id).toContain(`:role/${signer.name}"`);
      expect(sign?.Condition["StringEquals"]).toEqual({
        "kms:SigningAlgorithm": kind === "AnchorMldsaKey" ? "ML_DSA_SHAKE_256" : "ED25519_SHA_512",
        "kms:MessageType": "RAW",
      });
    }
  });

  test("an administrator can change the policy, read the public key and stop a key, so that none is lost", () => {
    for (const { resource } of keysOf(deployment)) {
      for (const action of ["PutKeyPolicy", "DescribeKey", "GetPublicKey", "DisableKey", "EnableKey"]) {
        const [statement] = allows(policyOf(resource), `kms:${action}`);
        expect([action, JSON.stringify(statement?.Principal)]).toEqual([
          action,
          expect.stringContaining(":root"),
        ]);
        expect(statement?.Condition).toEqual({});
      }
    }
  });

  test("nobody may use a key in another way, hand it on or copy it", () => {
    const forbidden = [
      ...["CreateGrant", "ReplicateKey", "UpdatePrimaryRegion", "GetParametersForImport"],
      ...["ImportKeyMaterial", "Encrypt", "Decrypt", "DeriveSharedSecret", "GenerateMac", "Verify"],
    ];
    for (const { id, resource } of keysOf(deployment)) {
      for (const action of forbidden)
        expect([id, action, allows(policyOf(resource), `kms:${action}`)]).toEqual([id, action, []]);
      expect(resource.Properties["MultiRegion"] ?? false).toBe(false);
      expect(resource.Properties["Enabled"] ?? true).toBe(true);
    }
  });

  test("logs sign with Ed25519, the anchor log's post-quantum keys with ML-DSA-44", () => {
    for (const { kind, resource } of keysOf(deployment)) {
      expect(resource.Properties).toMatchObject({
        KeyUsage: "SIGN_VERIFY",
        KeySpec: kind === "AnchorMldsaKey" ? "ML_DSA_44" : "ECC_NIST_EDWARDS25519",
      });
    }
  });

  test("the functions are told the keys that sign, and no retired one", () => {
    const wanted = (kind: KeyKind) =>
      signingKeys(deployment)
        .filter((key) => key.kind === kind)
        .map(({ id }) => id);
    for (const name of FUNCTIONS) {
      const { Variables } = lambda(service, name).Environment;
      const told = (variable: string) =>
        [...JSON.stringify(Variables[variable] ?? null).matchAll(/FnGetAtt(\w+?)Arn[0-9A-F]{8}"/g)].map(
          ([, id]) => id,
        );
      expect(told("KEDGE_LOG_KEY")).toEqual(wanted("LogKey"));
      expect(told("KEDGE_ANCHOR_KEY")).toEqual(wanted("AnchorKey"));
      expect(told("KEDGE_ANCHOR_MLDSA_KEY")).toEqual(wanted("AnchorMldsaKey"));
    }
  });
});

test("a retired key is kept, and its policy names no signer", () => {
  const retired = keysOf(full).filter(({ signs }) => !signs);
  expect(retired.map(({ kind }) => kind)).toEqual(["LogKey", "AnchorMldsaKey"]);
  for (const { id, resource } of retired) {
    expect(resource.DeletionPolicy).toBe("Retain");
    expect(JSON.stringify(policyOf(resource))).not.toContain(":role/");
    expect(JSON.stringify(full.data.Outputs)).toContain(`"${id}"`);
  }
});
