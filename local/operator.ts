/**
 * What an operator does, for any tenant: whoever has AWS credentials for the table may, or is on the machine of the data
 * folder, whether a process serves it or not. There is no principal and no scope here, and nothing of it is reached over HTTP (service/verbs.ts is).
 */
import { randomBytes } from "node:crypto";
import { constants, existsSync } from "node:fs";
import { copyFile, link, open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { logOrigin, SCOPES } from "@kedge/cli/contract/ids";
import { MAX_NAME } from "@kedge/cli/contract/limits";
import { nameSchema, timeText } from "@kedge/cli/contract/wire";
import { isLoopback } from "@kedge/verify/net/fetch";
import { concatBytes, encodeBase64 } from "@kedge/verify/tlog/bytes";
import { ED25519, formatVkey, MLDSA44_COSIGNATURE, type Vkey } from "@kedge/verify/tlog/note";
import { z } from "zod";
import { type RebuildResult, rebuildLogs } from "../functions/rebuild.ts";
import {
  anchorLog,
  type LogResult,
  type RestoreResult,
  reported,
  restoreLogs,
  tenantLogs,
} from "../functions/restore.ts";
import { ServiceError, type ServiceErrorCode } from "../platform/error.ts";
import type { Store } from "../platform/store.ts";
import { ANCHOR } from "../service/anchor-items.ts";
import { type ApiService, openApiService } from "../service/config.ts";
import { openService, type Service } from "../service/config-sealing.ts";
import { allLogs, findLog } from "../service/logs.ts";
import { offBoard } from "../service/off-boarding.ts";
import { createStart } from "../service/people-start.ts";
import type { SealableLog } from "../service/seal.ts";
import { type LogKeys, logVkeys } from "../service/sign.ts";
import {
  findProvider,
  type NewProvider,
  registerProvider,
  removeProvider,
} from "../service/sign-in-provider.ts";
import {
  type Announce,
  createKey,
  createLog,
  createTenant,
  findTenant,
  revokeAllKeys,
} from "../service/tenants.ts";
import { type Act, recordChange } from "../service/trail.ts";
import { type Environment, readEnvironment, withData } from "./open.ts";

const credentialsSchema = z.object({
  url: z.url(),
  tenant: z.string(),
  log: z.string(),
  apiKey: z.string(),
  /** 64 hex digits. Kedge never sees it again: whoever has it can derive every nonce of the tenant. */
  tenantKey: z.string(),
  /** Each one or more vkeys, separated by a space: all that signed when the tenant was created. */
  logVkey: z.string(),
  anchorVkey: z.string(),
  anchorMldsaVkey: z.string().exactOptional(),
});

/** What a tenant's engineer is handed, and what the `kedge` command takes its defaults from. */
export type TenantCredentials = Readonly<z.infer<typeof credentialsSchema>>;

/** @returns undefined when the file is not what was written here: its owner may have put others in its place. */
export async function readCredentials(path: string): Promise<TenantCredentials | undefined> {
  try {
    return credentialsSchema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch {
    return undefined;
  }
}

/** The AWS_REGION and the KEDGE_* variables of a deployment. Without them, those of the environment or the data folder. */
type Deployment = Environment | undefined;

/**
 * Creates a tenant with one log and one API key of all scopes, and writes its credentials (mode 0600).
 * @throws ServiceError `invalid` for a wrong name, file or configuration, and without AWS credentials; `conflict` when
 * the file exists; `unavailable` when there is no data folder or AWS refuses. Nothing usable is created then:
 * where AWS took some writes and refused others, what is left behind has no API key.
 */
export async function createTenantForOperator(input: {
  /** 1 to 100 characters without control characters. */
  readonly name: string;
  readonly out: string;
  readonly deployment?: Deployment;
}): Promise<TenantCredentials> {
  if (!nameSchema.safeParse(input.name).success) {
    throw new ServiceError(
      "invalid",
      `a tenant's name has 1 to ${MAX_NAME} characters, none of them a control character`,
    );
  }
  return await withService(input.deployment, async (service, { KEDGE_URL: url }) => {
    if (!url) throw new ServiceError("invalid", "name the API's address with KEDGE_URL");
    // Before anything is created: keys that could not be written down would be lost.
    const file = await openOutput(input.out);
    try {
      const credentials = await create(service, input.name, url);
      await file.keep(`${JSON.stringify(credentials, null, 2)}\n`).catch(async (error: unknown) => {
        await revokeAllKeys(service, credentials.tenant, announced(service, credentials.tenant, keyRevoked));
        throw error;
      });
      return credentials;
    } finally {
      await file.close();
    }
  });
}

/** The vkeys of a log, all that sign now. */
type LogVkeys = { readonly origin: string; readonly vkeys: readonly string[] };

/**
 * The public keys as KMS has them, of the anchor log, of every log, and of the one that is asked for.
 * `logs.keys` are base64 of the type and the public key, which is how the vkeys of every log end.
 * @throws ServiceError as createTenantForOperator; `not_found` when there is no such log.
 */
export async function vkeysForOperator(input: {
  readonly log?: string | undefined;
  readonly deployment?: Deployment;
}): Promise<{
  anchor: LogVkeys;
  logs: { origins: string; keys: readonly string[] };
  log: LogVkeys | undefined;
}> {
  return await withService(input.deployment, async ({ store, logKeys, anchorKeys, anchorOrigin, domain }) => {
    const vkeysOf = async (keys: LogKeys, origin: string): Promise<LogVkeys> => ({
      origin,
      vkeys: (await logVkeys(keys, origin)).map(formatVkey),
    });
    const keys = (await logVkeys(logKeys, anchorOrigin)).map(({ type, publicKey }) =>
      encodeBase64(concatBytes(Uint8Array.of(type), publicKey)),
    );
    return {
      anchor: await vkeysOf(anchorKeys, anchorOrigin),
      logs: { origins: logOrigin(domain, "<log id>"), keys },
      log: input.log === undefined ? undefined : await vkeysOf(logKeys, await originOf(store, input.log)),
    };
  });
}

/** A tenant and the ids of its logs. */
export type ListedTenant = {
  readonly id: string;
  readonly name: string;
  readonly createdAt: string;
  /** Its own; the log of its trail is beside them. */
  readonly logs: readonly string[];
  /** Of the identity provider of its people; absent: they do not sign in. */
  readonly issuer?: string;
};

/** Every tenant that has a log, in the order of their ids. @throws ServiceError as createTenantForOperator. */
export async function tenantsForOperator(input: {
  readonly deployment?: Deployment;
}): Promise<ListedTenant[]> {
  return await withService(input.deployment, async (service) => {
    const logs = new Map<string, string[]>();
    for await (const { id, tenant, kind } of allLogs(service.store)) {
      if (kind !== "system") logs.set(tenant, [...(logs.get(tenant) ?? []), id]);
    }
    const tenants: ListedTenant[] = [];
    for (const id of [...logs.keys()].sort()) {
      const { name, createdAt } = (await findTenant(service, id)) ?? { name: "", createdAt: 0n };
      const issuer = (await findProvider(service.store, id))?.issuer;
      const told = { id, name, createdAt: timeText(createdAt), logs: logs.get(id) ?? [] };
      tenants.push({ ...told, ...(issuer !== undefined && { issuer }) });
    }
    return tenants;
  });
}

/**
 * Registers the identity provider of a tenant's people. @param input.url where they open the console; absent: the
 * deployment's own address.
 * @throws ServiceError as createTenantForOperator and registerProvider; `not_found` when there is no such tenant.
 */
export async function registerProviderForOperator(input: {
  readonly tenant: string;
  readonly provider: Omit<NewProvider, "origin">;
  readonly url?: string | undefined;
  readonly deployment?: Deployment;
}): Promise<void> {
  await withTenant(input, async (service, url) => {
    const at = input.url ?? url;
    const origin = URL.canParse(at) ? new URL(at).origin : at;
    await recordChange(service, input.tenant, OPERATOR, { is: "sign_in_configured" }, () =>
      registerProvider(service, input.tenant, { ...input.provider, origin }),
    );
  });
}

/** @throws ServiceError as createTenantForOperator; `not_found` when there is no such tenant, or it has none. */
export async function removeProviderForOperator(input: {
  readonly tenant: string;
  readonly deployment?: Deployment;
}): Promise<void> {
  await withTenant(input, async (service) => {
    const isRemoved = await recordChange(service, input.tenant, OPERATOR, { is: "sign_in_removed" }, () =>
      removeProvider(service, input.tenant),
    );
    if (!isRemoved) throw new ServiceError("not_found", "the tenant has no identity provider");
  });
}

/** @throws ServiceError as createTenantForOperator; `not_found` when there is no such tenant. */
export async function providerForOperator(input: {
  readonly tenant: string;
  readonly deployment?: Deployment;
}): Promise<NewProvider | undefined> {
  return await withTenant(input, async ({ store }) => {
    const found = await findProvider(store, input.tenant);
    if (found === undefined) return undefined;
    const { version: _, ...provider } = found;
    return provider;
  });
}

/** @param run is given the address that people open, if it is known. */
const withTenant = <T>(
  { tenant, deployment }: { readonly tenant: string; readonly deployment?: Deployment },
  run: (service: ApiService, url: string) => Promise<T>,
): Promise<T> =>
  withService(deployment, async (service, { KEDGE_URL: url = "", KEDGE_PUBLIC_URL: publicUrl = url }) => {
    if ((await findTenant(service, tenant)) === undefined) throw noTenant();
    return await run(service, publicUrl);
  });

/**
 * Another start link, in place of the one before. @param input.tenant its id; absent: that of the data folder's credentials.
 * @returns the address that signs in whoever opens it first.
 * @throws ServiceError as createTenantForOperator; `unavailable` where nothing serves the folder, and `invalid` where what
 * does listens to other machines, or no tenant is named.
 */
export async function startLinkForOperator(input: {
  readonly data: string;
  readonly tenant?: string | undefined;
}): Promise<string> {
  const serving = await readEnvironment(input.data);
  const url = new URL(serving["KEDGE_URL"] ?? "");
  if (!isLoopback(url)) {
    const message = `${url.origin} is open to other machines, and start links are not: serve on 127.0.0.1, or register an identity provider`;
    throw new ServiceError("invalid", message);
  }
  const tenant = input.tenant ?? (await readCredentials(join(input.data, "credentials.json")))?.tenant;
  if (tenant === undefined) {
    throw new ServiceError("invalid", "name the tenant to sign in to: kedge tenant list shows its id");
  }
  return await withTenant({ tenant, deployment: serving }, async (service) => {
    return `${url.origin}/#start=${await createStart(service, tenant)}`;
  });
}

const noTenant = (): ServiceError =>
  new ServiceError("not_found", "there is no such tenant: kedge tenant list names those there are");

/**
 * Off-boarding: nothing and nobody of the tenant comes in any more. @returns how many API keys were revoked.
 * @throws ServiceError as createTenantForOperator; `not_found` when there is no such tenant.
 */
export async function revokeTenantForOperator(input: {
  readonly tenant: string;
  readonly deployment?: Deployment;
}): Promise<number> {
  return await withTenant(input, (service) => offBoard(service, input.tenant, OPERATOR));
}

/**
 * Restores logs of the data folder. In a deployment only the sealer and the anchorer may sign:
 * there, their functions are asked (docs/operations.md).
 * @param input.log the id of a log, `anchor`, or `all` tenants' logs.
 * @throws ServiceError as `restore`; `not_found` when there is no such log.
 */
export async function restoreForOperator(input: {
  readonly log: string;
  readonly whole: boolean;
}): Promise<RestoreResult[]> {
  return await onLogs("restore", input.log, (service, logs) =>
    restoreLogs(service, logs, { restore: input.log, whole: input.whole }),
  );
}

/**
 * Makes anew what of the index of logs is lost or altered; of a deployment likewise by its functions.
 * @param input.log as for `restoreForOperator`.
 * @throws ServiceError as `rebuildIndex`; `not_found` when there is no such log.
 */
export async function rebuildForOperator(input: { readonly log: string }): Promise<RebuildResult[]> {
  return await onLogs("rebuild", input.log, (service, logs) => rebuildLogs(service, logs, input.log));
}

async function onLogs<R extends LogResult>(
  event: string,
  log: string,
  run: (service: Service, logs: Iterable<SealableLog> | AsyncIterable<SealableLog>) => Promise<R[]>,
): Promise<R[]> {
  return await configured(undefined, (environment) =>
    closing(openService(environment), async (service) => {
      const running = run(service, log === ANCHOR ? [anchorLog(service)] : tenantLogs(service));
      // On one machine it is in the log file of who serves; elsewhere this is a terminal.
      return await (process.env["KEDGE_LOG_FILE"] ? reported(event, running) : running);
    }),
  );
}

async function withService<T>(
  deployment: Deployment,
  run: (service: ApiService, environment: NodeJS.ProcessEnv) => Promise<T>,
): Promise<T> {
  return await configured(deployment, (environment) =>
    closing(openApiService(environment), (service) =>
      run(service, environment).catch((error: unknown) => {
        throw explained(error);
      }),
    ),
  );
}

async function closing<S extends { close(): Promise<void> }, T>(
  service: S,
  run: (service: S) => Promise<T>,
): Promise<T> {
  try {
    return await run(service);
  } finally {
    await service.close();
  }
}

async function originOf(store: Store, id: string): Promise<string> {
  const log = await findLog(store, id);
  if (log !== undefined) return log.origin;
  throw new ServiceError("not_found", `there is no log ${id} in this deployment: check the id`);
}

/** With the service's configuration. What the AWS SDK reads itself is set in the process. */
async function configured<T>(
  deployment: Deployment,
  run: (environment: NodeJS.ProcessEnv) => Promise<T>,
): Promise<T> {
  if (deployment !== undefined) {
    // The credentials stay the operator's own.
    Object.assign(process.env, { AWS_REGION: deployment["AWS_REGION"] });
    return await run(deployment);
  }
  if (process.env["KEDGE_STORE"]) return await run(process.env);
  return await withData(process.env["KEDGE_DATA"] || ".kedge", () => run(process.env));
}

/** A file that is there once it is whole: one that is empty or cut short is then never of a command that was killed. */
async function openOutput(path: string) {
  const taken = (cause?: unknown) =>
    new ServiceError("conflict", `${path} exists: it may hold a tenant's only key, so name another file`, {
      cause,
    });
  if (existsSync(path)) throw taken();
  const partial = `${path}.${randomBytes(4).toString("hex")}.partial`;
  const file = await open(partial, "wx", 0o600).catch((cause: unknown) => {
    throw new ServiceError("invalid", `${path} cannot be written: name a file in a folder of yours`, {
      cause,
    });
  });
  return {
    async keep(content: string) {
      await file.writeFile(content);
      await file.sync();
      // Where the file system has no links, a copy is whole but for a power cut.
      const copy = () => copyFile(partial, path, constants.COPYFILE_EXCL);
      await link(partial, path)
        .catch((error: unknown) => {
          if (existsSync(path)) throw error;
          return copy();
        })
        .catch((cause: unknown) => {
          throw taken(cause);
        });
    },
    async close() {
      await file.close();
      await rm(partial, { force: true });
    },
  };
}

async function create(service: ApiService, name: string, url: string): Promise<TenantCredentials> {
  const anchorVkeys = await logVkeys(service.anchorKeys, service.anchorOrigin);
  // Of every key, before anything is created: without them nobody could verify the new log.
  await Promise.all(service.logKeys.ed25519.map((signer) => signer.publicKey()));
  const tenant = await createTenant(service, name);
  const log = await createLog(service, tenant.id, "audit", announced(service, tenant.id, logCreated));
  const key = { name: "first key", scopes: SCOPES };
  const { apiKey } = await createKey(service, tenant.id, key, announced(service, tenant.id, keyCreated));
  const anchorMldsaVkey = ofType(anchorVkeys, MLDSA44_COSIGNATURE);
  return {
    url,
    tenant: tenant.id,
    log: log.id,
    apiKey,
    tenantKey: randomBytes(32).toString("hex"),
    logVkey: ofType(await logVkeys(service.logKeys, log.origin), ED25519),
    anchorVkey: ofType(anchorVkeys, ED25519),
    ...(anchorMldsaVkey !== "" && { anchorMldsaVkey }),
  };
}

// ---- what the tenant's trail says of the operator --------------------------------------------------------------------

const OPERATOR = { kind: "operator" } as const;
const keyCreated = (key: string): Act => ({ is: "key_created", key });
const keyRevoked = (key: string): Act => ({ is: "key_revoked", key });
const logCreated = (log: string): Act => ({ is: "log_created", log });

const announced =
  (service: ApiService, tenant: string, actOf: (id: string) => Act): Announce =>
  (id, change) =>
    recordChange(service, tenant, OPERATOR, actOf(id), change);

const ofType = (vkeys: readonly Vkey[], wanted: number): string =>
  vkeys
    .filter(({ type }) => type === wanted)
    .map(formatVkey)
    .join(" ");

// ---- what AWS refuses ------------------------------------------------------------------------------------------------

type Advice = readonly [errors: readonly string[], code: ServiceErrorCode, advice: string];

/** By the names of the SDK's errors. What a provider of credentials says may hold secrets, so it is not repeated. */
const ADVICE: readonly Advice[] = [
  [
    ["CredentialsProviderError", "TokenProviderError"],
    "invalid",
    "there are no AWS credentials that can be used: sign in (aws sso login), or name a profile with AWS_PROFILE; aws sts get-caller-identity shows what is wrong",
  ],
  [["Region is missing"], "invalid", "no AWS region is named: set AWS_REGION, or give --outputs-file"],
  [
    ["ExpiredTokenException", "ExpiredToken", "RequestExpired"],
    "unavailable",
    "the AWS credentials have expired: sign in again (aws sso login)",
  ],
  [
    [
      ...["UnrecognizedClientException", "InvalidClientTokenId", "IncompleteSignatureException"],
      ...["InvalidSignatureException", "SignatureDoesNotMatch", "MissingAuthenticationTokenException"],
    ],
    "unavailable",
    "AWS does not accept the credentials: check AWS_PROFILE or the access key, this machine's clock, and that the account has the region enabled",
  ],
  [
    ["AccessDeniedException", "AccessDenied"],
    "unavailable",
    "the AWS credentials lack a permission: use a role that may do what docs/decisions/0009-vkeys-by-the-cli.md lists",
  ],
  [
    ["ResourceNotFoundException", "NotFoundException"],
    "unavailable",
    "the table or a key is not there for these AWS credentials: are they of the deployment's account, and its region?",
  ],
  [
    ["TimeoutError", "ECONNREFUSED", "ECONNRESET", "ENOTFOUND", "EAI_AGAIN", "ENETUNREACH", "EHOSTUNREACH"],
    "unavailable",
    "AWS cannot be reached: check the network, the proxy, and AWS_ENDPOINT_URL_… if it is set",
  ],
];

/** The same error, or one that says what an operator can do about what AWS refused. */
function explained(error: unknown): unknown {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const names = [cause.name, cause.message, "code" in cause ? String(cause.code) : ""];
    const [known] = ADVICE.filter(([errors]) => errors.some((name) => names.includes(name)));
    if (known === undefined) continue;
    const [errors, code, advice] = known;
    const [, action] = /not authorized to perform: ([a-z0-9]+:[A-Za-z]+)/.exec(cause.message) ?? [];
    const detail = action ?? errors.find((name) => names.includes(name));
    return new ServiceError(code, `${advice} (${detail})`, { cause: error });
  }
  return error;
}
