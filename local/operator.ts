/** What an operator does under their own AWS credentials, or beside the process that serves the data folder. */
import { randomBytes } from "node:crypto";
import { type FileHandle, open, readFile, rm } from "node:fs/promises";
import { z } from "zod";
import { openService, type Service } from "../service/config.ts";
import { ServiceError } from "../service/error.ts";
import { logVkeys } from "../service/sign.ts";
import { createKey, createLog, createTenant } from "../service/tenants.ts";
import { formatVkey } from "../tlog/note.ts";
import { readEnvironment, useEnvironment } from "./start.ts";

const credentialsSchema = z.object({
  url: z.url(),
  tenant: z.string(),
  log: z.string(),
  apiKey: z.string(),
  /** 64 hex digits. Kedge never sees it again: whoever has it can derive every nonce of the tenant. */
  tenantKey: z.string(),
  logVkey: z.string(),
  anchorVkey: z.string(),
  anchorMldsaVkey: z.string().exactOptional(),
});

/** What a tenant's engineer is handed, and what the `kedge` command takes its defaults from. */
export type Credentials = Readonly<z.infer<typeof credentialsSchema>>;

/** @returns undefined when the file is not what was written here: its owner may have put others in its place. */
export async function readCredentials(path: string): Promise<Credentials | undefined> {
  try {
    return credentialsSchema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch {
    return undefined;
  }
}

/**
 * Creates a tenant with one log and one API key of all scopes, and writes its credentials (mode 0600).
 * @throws ServiceError `invalid` for a wrong name, file or configuration; `conflict` when the file exists;
 * `unavailable` when no process serves the data folder. Nothing is created then.
 */
export async function createTenantForOperator(input: {
  /** 1 to 100 characters without control characters. */
  readonly name: string;
  readonly out: string;
}): Promise<Credentials> {
  if (!/^[^\p{Cc}\p{Cs}]{1,100}$/u.test(input.name)) {
    throw new ServiceError(
      "invalid",
      "a tenant's name has 1 to 100 characters, none of them a control character",
    );
  }
  if (!process.env["KEDGE_TABLE"]) {
    useEnvironment(await readEnvironment(process.env["KEDGE_DATA"] || ".kedge"));
  }
  const url = process.env["KEDGE_URL"];
  if (!url) throw new ServiceError("invalid", "name the API's address with KEDGE_URL");
  const service = openService(process.env);

  // Before anything is created: keys that could not be written down would be lost.
  const file = await openExclusively(input.out);
  try {
    const credentials = await create(service, input.name, url);
    await file.writeFile(`${JSON.stringify(credentials, null, 2)}\n`);
    await file.sync();
    return credentials;
  } catch (error) {
    await rm(input.out, { force: true });
    throw error;
  } finally {
    await file.close();
  }
}

async function openExclusively(path: string): Promise<FileHandle> {
  try {
    return await open(path, "wx", 0o600);
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "EEXIST") {
      const message = `${path} exists: it may hold a tenant's only key, so name another file`;
      throw new ServiceError("conflict", message, { cause });
    }
    throw new ServiceError("invalid", `${path} cannot be written: name a file in a folder of yours`, {
      cause,
    });
  }
}

async function create(service: Service, name: string, url: string): Promise<Credentials> {
  const tenant = await createTenant(service, name);
  const log = await createLog(service, tenant.id, "audit");
  const scopes = ["write", "read", "admin"] as const;
  const { apiKey } = await createKey(service, tenant.id, { name: "first key", scopes });
  const [logVkey] = await logVkeys(service.logKeys, log.origin);
  const anchorVkeys = await logVkeys(service.anchorKeys, service.anchorOrigin);
  const anchorVkey = anchorVkeys.find(({ type }) => type === 0x01);
  const anchorMldsaVkey = anchorVkeys.find(({ type }) => type === 0x06);
  if (logVkey === undefined || anchorVkey === undefined)
    throw new ServiceError("signer", "KMS has no public keys");
  return {
    url,
    tenant: tenant.id,
    log: log.id,
    apiKey,
    tenantKey: randomBytes(32).toString("hex"),
    logVkey: formatVkey(logVkey),
    anchorVkey: formatVkey(anchorVkey),
    ...(anchorMldsaVkey && { anchorMldsaVkey: formatVkey(anchorMldsaVkey) }),
  };
}
