/** What an operator does under their own AWS credentials, or beside the process that serves the data folder. */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { openService } from "../service/config.ts";
import { ServiceError } from "../service/error.ts";
import { logVkeys } from "../service/sign.ts";
import { createKey, createLog, createTenant } from "../service/tenants.ts";
import { formatVkey } from "../tlog/note.ts";
import { readEnvironment, writePrivately } from "./start.ts";

/** What a tenant's engineer is handed, and what the `kedge` command takes its defaults from. */
export type Credentials = {
  readonly url: string;
  readonly tenant: string;
  readonly log: string;
  readonly apiKey: string;
  /** 64 hex digits. Kedge never sees it again: whoever has it can derive every nonce of the tenant. */
  readonly tenantKey: string;
  readonly logVkey: string;
  readonly anchorVkey: string;
  readonly anchorMldsaVkey?: string;
};

/**
 * Creates a tenant with one log and one API key of all scopes, and writes its credentials (mode 0600).
 * @throws ServiceError `conflict` when the file exists; `invalid` for a wrong configuration.
 */
export async function createTenantForOperator(input: {
  readonly name: string;
  readonly out: string;
  /** The API's address; default KEDGE_URL. */
  readonly url?: string;
  /** The data folder of a local process, when the environment names no table. */
  readonly data?: string;
}): Promise<Credentials> {
  if (existsSync(input.out)) {
    throw new ServiceError(
      "conflict",
      `${input.out} exists: it may hold a tenant's only key, so name another file`,
    );
  }
  const data = input.data ?? process.env["KEDGE_DATA"] ?? ".kedge";
  const env = process.env["KEDGE_TABLE"] === undefined ? await readEnvironment(data) : {};
  Object.assign(process.env, env);
  const url = input.url ?? process.env["KEDGE_URL"] ?? env["KEDGE_URL"];
  if (url === undefined) throw new ServiceError("invalid", "name the API's address with KEDGE_URL");

  const service = openService(process.env);
  const tenant = await createTenant(service, input.name);
  const log = await createLog(service, tenant.id, "audit");
  const scopes = ["write", "read", "admin"] as const;
  const { apiKey } = await createKey(service, tenant.id, { name: "first key", scopes });
  const [logVkey] = await logVkeys(service.logKeys, log.origin);
  const [anchorVkey, anchorMldsaVkey] = await logVkeys(service.anchorKeys, service.anchorOrigin);
  if (logVkey === undefined || anchorVkey === undefined)
    throw new ServiceError("signer", "KMS has no public keys");
  const credentials: Credentials = {
    url,
    tenant: tenant.id,
    log: log.id,
    apiKey,
    tenantKey: randomBytes(32).toString("hex"),
    logVkey: formatVkey(logVkey),
    anchorVkey: formatVkey(anchorVkey),
    ...(anchorMldsaVkey && { anchorMldsaVkey: formatVkey(anchorMldsaVkey) }),
  };
  await writePrivately(input.out, credentials);
  return credentials;
}
