/** The service's configuration, from the environment; the AWS SDK reads its own variables itself. */
import { readFileSync } from "node:fs";
import type { KMSClient } from "@aws-sdk/client-kms";
import { anchorOrigin } from "@kedge/cli/contract/ids";
import { checkPolicyLog, type Policy, parsePolicy } from "@kedge/verify/tlog/policy";
import * as z from "zod";
import { dynamodbClient, dynamodbStore } from "../platform/dynamodb.ts";
import { parseEnvironment } from "../platform/environment.ts";
import { ServiceError } from "../platform/error.ts";
import { folderPublication } from "../platform/folder.ts";
import type { Publication } from "../platform/publication.ts";
import { bucketPublication } from "../platform/s3.ts";
import { kmsClient, kmsEd25519Signer, kmsMldsa44Signer } from "../platform/signer.ts";
import { checkpointSigner, type LogKeys, logVkeys } from "./sign.ts";
import { submissionPrefix } from "./witnesses.ts";

/** KMS key ids or ARNs, separated by commas: every one of them signs, and the first is the log's own. */
const keyIds = z
  .string()
  .regex(/^[^\s,]+(,[^\s,]+)*$/, "KMS key ids or ARNs, separated by commas")
  .transform((text) => text.split(","))
  .refine((ids) => new Set(ids).size === ids.length, "each key once");

const apiSchema = z.object({
  /** Name of the DynamoDB table. */
  KEDGE_TABLE: z.string().min(3),
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
});

const schema = apiSchema.extend({
  /** Where published files go. */
  KEDGE_PUBLICATION: z.url({ protocol: /^(file|s3)$/, error: "a file:/// or s3:// URL" }),
});

const NO_WITNESSES = "quorum none\n";

/** What the HTTP API needs: of the signing keys it uses the public halves, and it publishes nothing. */
export type ApiService = ReturnType<typeof openApiService>;
/** Everything the verbs of service/ need. */
export type Service = ReturnType<typeof openService>;

/** @throws ServiceError `invalid` naming each variable that is missing or wrong. */
export const openApiService = (env: NodeJS.ProcessEnv) => open(parseEnvironment(apiSchema, env));

/** @throws ServiceError `invalid` naming each variable that is missing or wrong. */
export function openService(env: NodeJS.ProcessEnv) {
  const config = parseEnvironment(schema, env);
  if (config.KEDGE_PUBLICATION.startsWith("file:") && env["AWS_LAMBDA_FUNCTION_NAME"] !== undefined) {
    throw new ServiceError(
      "invalid",
      "KEDGE_PUBLICATION: a function's folder is forgotten; set s3://<bucket>",
    );
  }
  const service = open(config);
  return {
    ...service,
    publication: openPublication(new URL(config.KEDGE_PUBLICATION)),
    signLog: checkpointSigner(service.logKeys, service.clock),
    signAnchor: checkpointSigner(service.anchorKeys, service.clock),
    anchorVkeys: () => logVkeys(service.anchorKeys, service.anchorOrigin),
  };
}

function open(config: z.infer<typeof apiSchema>) {
  const kms = kmsClient();
  const origin = anchorOrigin(config.KEDGE_DOMAIN);
  return {
    store: dynamodbStore(dynamodbClient(), config.KEDGE_TABLE),
    clock: Date.now,
    domain: config.KEDGE_DOMAIN,
    anchorOrigin: origin,
    policy: readPolicy(config.KEDGE_POLICY, origin),
    logKeys: openKeys(kms, config.KEDGE_LOG_KEY, []),
    anchorKeys: openKeys(kms, config.KEDGE_ANCHOR_KEY, config.KEDGE_ANCHOR_MLDSA_KEY ?? []),
  };
}

const openKeys = (kms: KMSClient, ed25519: readonly string[], mldsa44: readonly string[]): LogKeys => ({
  ed25519: ed25519.map((id) => kmsEd25519Signer(kms, id)),
  mldsa44: mldsa44.map((id) => kmsMldsa44Signer(kms, id)),
});

const openPublication = (url: URL): Publication =>
  url.protocol === "s3:" ? bucketPublication(url) : folderPublication(url);

/** The log is our own, whatever keys the file gives for it; a file that names others' logs alone is the wrong file. */
function readPolicy(path: string | undefined, anchorOrigin: string): Policy {
  if (path === undefined) return parsePolicy(NO_WITNESSES);
  try {
    const policy = parsePolicy(readFileSync(path, "utf8"));
    for (const { name, url } of policy.witnesses) if (url !== undefined) submissionPrefix(name, url);
    checkPolicyLog(policy, anchorOrigin);
    return { ...policy, logs: [] };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : "unknown reason";
    throw new ServiceError("invalid", `KEDGE_POLICY ${path} cannot be used as a C2SP policy: ${reason}`, {
      cause,
    });
  }
}
