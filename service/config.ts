/**
 * The configuration of the HTTP API, from the environment; the AWS SDK reads its own variables itself. Whoever seals and
 * anchors needs more: config-sealing.ts.
 */
import type { KMSClient } from "@aws-sdk/client-kms";
import { anchorOrigin } from "@kedge/cli/contract/ids";
import * as z from "zod";
import { parseEnvironment, refuseFolders } from "../platform/environment.ts";
import { folderIndex } from "../platform/index-folder.ts";
import type { IndexPlace } from "../platform/index-place.ts";
import { bucketIndex } from "../platform/index-s3.ts";
import { openStore, storePlace } from "../platform/open-store.ts";
import { kmsClient, kmsEd25519Signer, kmsMldsa44Signer } from "../platform/signer.ts";
import { newFilters } from "./index/filters.ts";
import { readPolicy } from "./policy.ts";
import type { LogKeys } from "./sign.ts";

/** KMS key ids or ARNs, separated by commas: every one of them signs, and the first is the log's own. */
const keyIds = z
  .string()
  .regex(/^[^\s,]+(,[^\s,]+)*$/, "KMS key ids or ARNs, separated by commas")
  .transform((text) => text.split(","))
  .refine((ids) => new Set(ids).size === ids.length, "each key once");

const minutes = z
  .string()
  .regex(/^[1-9][0-9]?$/, "minutes, 1 to 99")
  .default("1")
  .transform((text) => Number(text));

export const apiSchema = z.object({
  ...storePlace,
  /** Where the runs of the index are. */
  KEDGE_INDEX: z.url({ protocol: /^(file|s3)$/, error: "a file:/// or s3:// URL" }),
  /** MiB of memory for what is kept of them. */
  KEDGE_INDEX_MEMORY: z
    .string()
    .regex(/^[1-9][0-9]{0,4}$/, "MiB, 1 to 99999")
    .default("256")
    .transform((text) => Number(text)),
  /** First part of every origin: a schema-less URL without spaces or plus signs. */
  KEDGE_DOMAIN: z
    .string()
    .max(200)
    .regex(/^[a-z0-9.-]+(:\d+)?(\/[a-z0-9._-]+)*$/, "a schema-less URL such as audit.example.org"),
  KEDGE_LOG_KEY: keyIds,
  KEDGE_ANCHOR_KEY: keyIds,
  /** Post-quantum: ML_DSA_44 keys for the anchor log. */
  KEDGE_ANCHOR_MLDSA_KEY: keyIds.optional(),
  /** A C2SP tlog-policy file; absent: no witnesses, `quorum none`. */
  KEDGE_POLICY: z.string().min(1).optional(),
  /** Minutes between two runs of the schedules, by which /readyz tells that they stand still. */
  KEDGE_SWEEP_MINUTES: minutes,
  KEDGE_ANCHOR_MINUTES: minutes,
  /** How long a person is signed in at most, in hours. */
  KEDGE_SESSION_HOURS: z
    .string()
    .regex(/^[1-8]$/, "hours, 1 to 8")
    .default("8")
    .transform((text) => Number(text)),
});

/** What the HTTP API needs: of the signing keys it uses the public halves, and it publishes nothing. */
export type ApiService = ReturnType<typeof openParts>;

/** @throws ServiceError `invalid` naming each variable that is missing or wrong. */
export const openApiService = (env: NodeJS.ProcessEnv): ApiService => openParts(readConfig(apiSchema, env));

/** All that is told of a configuration before anything is opened. @throws ServiceError `invalid` */
export function readConfig<C extends z.infer<typeof apiSchema>>(
  schema: z.ZodType<C>,
  env: NodeJS.ProcessEnv,
) {
  const config = parseEnvironment(schema, env);
  refuseFolders(env, ["KEDGE_STORE", "KEDGE_INDEX", "KEDGE_PUBLICATION"]);
  const origin = anchorOrigin(config.KEDGE_DOMAIN);
  return { ...config, anchorOrigin: origin, policy: readPolicy(config.KEDGE_POLICY, origin) };
}

type Config = ReturnType<typeof readConfig<z.infer<typeof apiSchema>>>;

export function openParts(config: Config) {
  const kms = kmsClient();
  const { close, ...store } = openStore(config.KEDGE_STORE);
  return {
    store,
    index: openIndex(new URL(config.KEDGE_INDEX)),
    filters: newFilters(config.KEDGE_INDEX_MEMORY * 1024 * 1024),
    clock: Date.now,
    domain: config.KEDGE_DOMAIN,
    anchorOrigin: config.anchorOrigin,
    policy: config.policy,
    logKeys: openKeys(kms, config.KEDGE_LOG_KEY, []),
    anchorKeys: openKeys(kms, config.KEDGE_ANCHOR_KEY, config.KEDGE_ANCHOR_MLDSA_KEY ?? []),
    sessionMs: config.KEDGE_SESSION_HOURS * 3_600_000,
    every: { sealer: 60_000 * config.KEDGE_SWEEP_MINUTES, anchorer: 60_000 * config.KEDGE_ANCHOR_MINUTES },
    close,
  };
}

const openIndex = (url: URL): IndexPlace => (url.protocol === "s3:" ? bucketIndex(url) : folderIndex(url));

const openKeys = (kms: KMSClient, ed25519: readonly string[], mldsa44: readonly string[]): LogKeys => ({
  ed25519: ed25519.map((id) => kmsEd25519Signer(kms, id)),
  mldsa44: mldsa44.map((id) => kmsMldsa44Signer(kms, id)),
});
