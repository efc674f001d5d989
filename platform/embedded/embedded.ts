/** The AWS services of one process on one data folder: started, locked against other processes, and made its own. */
import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { CreateKeyCommand, type KeySpec, KMSClient } from "@aws-sdk/client-kms";
import { makeFolder, writeDurably } from "../durable.ts";
import { ServiceError } from "../error.ts";
import { startDynamodb } from "./dynamodb.ts";
import { startKms } from "./kms.ts";

/** @param setting what names another folder, for the message. @returns its absolute path. @throws ServiceError `unavailable` */
export async function openFolder(data: string, setting: string): Promise<string> {
  const folder = resolve(data);
  const refuse = (what: string, cause?: unknown): never => {
    throw new ServiceError("unavailable", `${folder} ${what}: name another with ${setting}`, { cause });
  };
  await makeFolder(folder, 0o700).catch((cause: unknown) => refuse("cannot be made", cause));
  if (!(await stat(folder)).isDirectory()) refuse("is a file, not a folder");
  await access(folder, constants.R_OK | constants.W_OK | constants.X_OK).catch((cause: unknown) =>
    refuse("cannot be written by this user", cause),
  );
  return folder;
}

/**
 * Starts DynamoDB and KMS on the folder and points this process at them by the AWS SDK's own variables.
 * `publicKeys` are those of kms.json, the oldest first.
 * With `sync` a power cut takes nothing of what the store has acknowledged.
 * @throws ServiceError `unavailable` when another process has the folder, `corrupt` when its table or keys are damaged.
 */
export async function startEmbedded(
  folder: string,
  options: Pick<NonNullable<Parameters<typeof startDynamodb>[0]>, "sync" | "repair" | "onFailure"> = {},
): Promise<{ publicKeys: readonly Uint8Array[]; close(): Promise<void> }> {
  // Nobody else on this machine may write to the store or sign.
  const accessKeyId = randomBytes(16).toString("hex");
  // First of all, because its lock tells that no other process has the folder.
  const dynamodb = await startDynamodb({ ...options, dataDir: folder, accessKeyId });
  const kms = await useKms(folder, accessKeyId).catch(async (error: unknown) => {
    await dynamodb.close();
    throw error;
  });
  useEnvironment({ AWS_ENDPOINT_URL_DYNAMODB: dynamodb.url });
  return {
    publicKeys: kms.publicKeys,
    async close() {
      await kms.close();
      await dynamodb.close();
    },
  };
}

/**
 * Starts KMS on the folder and points this process at it by the AWS SDK's own variables.
 * `publicKeys` are those of kms.json, the oldest first. @throws ServiceError `corrupt` when its keys are damaged.
 */
export async function useKms(
  folder: string,
  // Nobody else on this machine may sign.
  accessKeyId = randomBytes(16).toString("hex"),
): Promise<{ publicKeys: readonly Uint8Array[]; close(): Promise<void> }> {
  const kms = await startKms({ dataDir: folder, accessKeyId });
  useEnvironment({
    AWS_ENDPOINT_URL_KMS: kms.url,
    AWS_REGION: "us-east-1",
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: "local",
  });
  return kms;
}

/** A new signing key in the KMS of this process. @returns its id. */
export async function createKey(KeySpec: KeySpec): Promise<string> {
  const client = new KMSClient({});
  const { KeyMetadata } = await client.send(new CreateKeyCommand({ KeySpec, KeyUsage: "SIGN_VERIFY" }));
  client.destroy();
  return KeyMetadata?.KeyId ?? "";
}

/** Also drops what would keep the AWS SDK from these credentials: a profile, the token of others. */
export function useEnvironment(variables: Readonly<Record<string, string>>): void {
  delete process.env["AWS_PROFILE"];
  delete process.env["AWS_SESSION_TOKEN"];
  Object.assign(process.env, variables);
}

/** JSON, readable by its owner only. One process at a time writes to a data folder. */
export const writePrivately = (path: string, value: unknown): Promise<void> =>
  writeDurably(path, `${JSON.stringify(value, null, 2)}\n`, 0o600);
