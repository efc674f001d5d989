/** The API over real clients of the embedded DynamoDB and KMS, with two tenants. */
import { randomUUID } from "node:crypto";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { CreateKeyCommand } from "@aws-sdk/client-kms";
import type { Role } from "@kedge/cli/contract/ids";
import { vi } from "vitest";
import { createApp } from "../../functions/http/app.ts";
import { dynamodbClient } from "../../platform/dynamodb.ts";
import { startDynamodb } from "../../platform/embedded/dynamodb.ts";
import { startKms } from "../../platform/embedded/kms.ts";
import { createTable } from "../../platform/embedded/table.ts";
import { kmsClient } from "../../platform/signer.ts";
import { openService, type Service } from "../../service/config-sealing.ts";
import { PENDING_SHARDS, pendingPartition } from "../../service/pending.ts";
import { type Holder, openSession } from "../../service/people.ts";
import { createLink } from "../../service/people-links.ts";
import type { Principal } from "../../service/principal.ts";
import { createKey, createLog, createTenant, type NewKey } from "../../service/tenants.ts";

export type App = ReturnType<typeof createApp>;
export type Harness = Awaited<ReturnType<typeof startHarness>>;

/** Also points process.env at the servers, so that the Lambda handlers find them. `logged` has all of stdout. */
export async function startHarness() {
  const folder = await mkdtemp(join(tmpdir(), "kedge-api-"));
  const [dynamodb, kms] = await Promise.all([startDynamodb(), startKms({ dataDir: folder })]);
  Object.assign(process.env, {
    AWS_ENDPOINT_URL_DYNAMODB: dynamodb.url,
    AWS_ENDPOINT_URL_KMS: kms.url,
    AWS_REGION: "eu-central-1",
    AWS_ACCESS_KEY_ID: "test",
    AWS_SECRET_ACCESS_KEY: "test",
    KEDGE_STORE: "dynamodb:kedge",
    KEDGE_DOMAIN: "kedge.example",
    KEDGE_PUBLICATION: pathToFileURL(join(folder, "published")).href,
    KEDGE_INDEX: pathToFileURL(join(folder, "index")).href,
    KEDGE_LOG_KEY: "not made yet",
    KEDGE_ANCHOR_KEY: "not made yet",
  });
  await createTable(dynamodbClient(), "kedge");
  process.env["KEDGE_LOG_KEY"] = await newKmsKey();
  process.env["KEDGE_ANCHOR_KEY"] = await newKmsKey();

  const service = openService(process.env);
  const logged: string[] = [];
  const stdout = vi.spyOn(process.stdout, "write").mockImplementation((line) => {
    logged.push(String(line));
    return true;
  });
  const close = async () => {
    stdout.mockRestore();
    await Promise.all([dynamodb.close(), kms.close()]);
  };
  const [a, b] = [await newTenant(service), await newTenant(service)];
  return { service, app: createApp(service), a, b, logged, close };
}

async function newKmsKey(): Promise<string> {
  const command = new CreateKeyCommand({ KeySpec: "ECC_NIST_EDWARDS25519", KeyUsage: "SIGN_VERIFY" });
  const { KeyMetadata } = await kmsClient().send(command);
  return KeyMetadata?.KeyId ?? "";
}

/** A tenant with a log and a key of each scope; `all` has every scope. Each session and link is a new one. */
export async function newTenant(service: Service) {
  const { id } = await createTenant(service, "a hospital");
  const log = await createLog(service, id, "ward 7");
  const key = async (scopes: NewKey["scopes"], limits: Partial<NewKey> = {}) => {
    const created = await createKey(service, id, { name: "a key", scopes, ...limits });
    return { id: created.key.id, apiKey: created.apiKey };
  };
  const who = { kind: "person", id: "", subject: "local", role: "officer" } as const;
  const principal: Principal = { tenant: id, scopes: ["review"], logs: "all", who };
  const session = async (role: Role, limits: { logs?: readonly string[] } = {}) => {
    const holder: Holder = { kind: "person", subject: randomUUID(), role, logs: "all", ...limits };
    return (await openSession(service, id, holder)).token;
  };
  const link = async (log: string) => {
    const expiresAt = BigInt(service.clock() + 3_600_000);
    return await createLink(service, principal, { name: "an auditor", log, expiresAt });
  };
  return {
    id,
    log,
    key,
    session,
    link,
    all: (await key(["write", "read", "admin"])).apiKey,
    write: (await key(["write"])).apiKey,
    read: (await key(["read"])).apiKey,
    admin: (await key(["admin"])).apiKey,
  };
}

/** A credential that the operation succeeds with: an API key where one is taken, else an administrator's session. */
export const credentialFor = async (
  tenant: Awaited<ReturnType<typeof newTenant>>,
  { security }: { security: readonly Record<string, readonly string[]>[] },
): Promise<string> =>
  security.some((scheme) => "apiKey" in scheme) ? tenant.all : await tenant.session("administrator");

export const bearer = (apiKey: string): Record<string, string> => ({ Authorization: `Bearer ${apiKey}` });

export const json = (apiKey: string, body: unknown): RequestInit => ({
  method: "POST",
  headers: { ...bearer(apiKey), "Content-Type": "application/json" },
  body: JSON.stringify(body),
});

/** Entries that wait in a log. */
export async function pendingCount({ store }: Service, log: string): Promise<bigint> {
  let count = 0n;
  for (let shard = 0; shard < PENDING_SHARDS; shard++) {
    for await (const item of store.query({ pk: pendingPartition(log, shard) }))
      count += BigInt(`${item["count"]}`);
  }
  return count;
}
