/** The service's configuration, from the environment; the AWS SDK reads its own variables itself. */
import { readFileSync } from "node:fs";
import { z } from "zod";
import { type Policy, parsePolicy } from "../tlog/policy.ts";
import { dynamodbClient, dynamodbStore } from "./dynamodb.ts";
import { ServiceError } from "./error.ts";
import { folderPublication } from "./folder.ts";
import type { Publication } from "./publication.ts";
import { checkpointSigner, type LogKeys } from "./sign.ts";
import { kmsClient, kmsEd25519Signer, kmsMldsa44Signer } from "./signer.ts";

const schema = z.object({
  /** Name of the DynamoDB table. */
  KEDGE_TABLE: z.string().min(3),
  /** First part of every origin: a schema-less URL without spaces or plus signs. */
  KEDGE_DOMAIN: z
    .string()
    .max(200)
    .regex(/^[a-z0-9.-]+(:\d+)?(\/[a-z0-9._-]+)*$/, "a schema-less URL such as audit.example.org"),
  /** KMS key ids or ARNs. */
  KEDGE_LOG_KEY: z.string().min(1),
  KEDGE_ANCHOR_KEY: z.string().min(1),
  /** Post-quantum: an ML_DSA_44 key for the anchor log. */
  KEDGE_ANCHOR_MLDSA_KEY: z.string().min(1).optional(),
  /** Where published files go. */
  KEDGE_PUBLICATION: z.url({ protocol: /^file$/, error: "a file:/// URL" }),
  /** A C2SP tlog-policy file; absent: no witnesses, `quorum none`. */
  KEDGE_POLICY: z.string().min(1).optional(),
});

const NO_WITNESSES = "quorum none\n";

/** Everything the verbs of service/ need. */
export type Service = ReturnType<typeof openService>;

/** @throws ServiceError `invalid` naming each variable that is missing or wrong. */
export function openService(env: NodeJS.ProcessEnv) {
  const parsed = schema.safeParse(env);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
    throw new ServiceError("invalid", `the configuration is wrong; set ${problems.join("; ")}`);
  }
  const config = parsed.data;
  const clock = Date.now;
  const kms = kmsClient();
  const logKeys: LogKeys = { ed25519: kmsEd25519Signer(kms, config.KEDGE_LOG_KEY) };
  const anchorKeys: LogKeys = {
    ed25519: kmsEd25519Signer(kms, config.KEDGE_ANCHOR_KEY),
    ...(config.KEDGE_ANCHOR_MLDSA_KEY !== undefined && {
      mldsa44: kmsMldsa44Signer(kms, config.KEDGE_ANCHOR_MLDSA_KEY),
    }),
  };
  return {
    store: dynamodbStore(dynamodbClient(), config.KEDGE_TABLE),
    publication: openPublication(new URL(config.KEDGE_PUBLICATION)),
    clock,
    domain: config.KEDGE_DOMAIN,
    anchorOrigin: `${config.KEDGE_DOMAIN}/anchor`,
    policy: readPolicy(config.KEDGE_POLICY),
    logKeys,
    anchorKeys,
    signLog: checkpointSigner(logKeys, clock),
    signAnchor: checkpointSigner(anchorKeys, clock),
  };
}

const openPublication = (url: URL): Publication => folderPublication(url);

function readPolicy(path: string | undefined): Policy {
  try {
    const policy = parsePolicy(path === undefined ? NO_WITNESSES : readFileSync(path, "utf8"));
    // The log is our own, whatever the file says of it.
    return { ...policy, logs: [] };
  } catch (cause) {
    throw new ServiceError("invalid", `KEDGE_POLICY ${path} cannot be read as a C2SP policy`, { cause });
  }
}
