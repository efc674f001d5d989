/** The policy of the anchor log, a C2SP tlog-policy file: which witnesses are asked, and how many must cosign. */
import { readFileSync } from "node:fs";
import { checkPolicyLog, type Policy, parsePolicy } from "@kedge/verify/tlog/policy";
import { ServiceError } from "../platform/error.ts";
import { reasonOf } from "../platform/words.ts";

const NO_WITNESSES = "quorum none\n";

/**
 * The log is our own, whatever keys the file gives for it; a file that names others' logs alone is the wrong file.
 * @param path absent: there are no witnesses.
 * @throws ServiceError `invalid`
 */
export function readPolicy(path: string | undefined, anchorOrigin: string): Policy {
  if (path === undefined) return parsePolicy(NO_WITNESSES);
  try {
    const policy = parsePolicy(readFileSync(path, "utf8"));
    for (const { name, url } of policy.witnesses) if (url !== undefined) submissionPrefix(name, url);
    checkPolicyLog(policy, anchorOrigin);
    return { ...policy, logs: [] };
  } catch (cause) {
    const message = `KEDGE_POLICY ${path} cannot be used as a C2SP policy: ${reasonOf(cause)}`;
    throw new ServiceError("invalid", message, { cause });
  }
}

/** The submission prefix of a policy's witness, without a slash at its end. @throws ServiceError `invalid`. */
export function submissionPrefix(name: string, url: string): string {
  const isPrefix = /^https?:\/\/[^?#@]+$/.test(url) && URL.canParse(url);
  if (isPrefix) return new URL(url).href.replace(/\/+$/, "");
  throw new ServiceError(
    "invalid",
    `witness ${name}: its URL must be http(s)://<host>[/<path>], its submission prefix`,
  );
}
