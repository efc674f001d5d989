/** The keys that proofs are held against, and whose word they are. */
import { openClient } from "@kedge/cli/client/api";
import { request } from "@kedge/verify/net/http";
import { joinKeys, parseKeys } from "@kedge/verify/proof/keys";
import { isLogOrigin } from "@kedge/verify/proof/origins";
import type { VerifyTrust } from "@kedge/verify/proof/verify";
import { TlogError } from "@kedge/verify/tlog/error";
import { parseVkey, type Vkey } from "@kedge/verify/tlog/note";
import { parsePolicy } from "@kedge/verify/tlog/policy";
import type { KeysBy, ServiceAccess } from "./messages.ts";

export type CaseTrust = VerifyTrust & { by: KeysBy };

export const NO_TRUST: CaseTrust = { by: "none", logVkeys: [], anchorVkeys: [] };

/**
 * Of the files that the officer gave: policies, or verifier keys, one a line. undefined where there are none. Throws
 * TlogError for one that cannot be read, for two policies, and where no file has a key.
 */
export function givenTrust(texts: readonly string[]): CaseTrust | undefined {
  if (texts.length === 0) return undefined;
  const keys = joinKeys(texts.map(parseKeys));
  if (keys.logVkeys.length + keys.anchorVkeys.length === 0)
    throw new TlogError("malformed", "There is no key in it");
  return { ...keys, by: "given" };
}

/** What the service says its own keys are. Throws ClientError, and TlogError for what is none. */
export async function serviceTrust(
  access: ServiceAccess,
  log: string,
  signal: AbortSignal,
): Promise<CaseTrust> {
  const connection = { ...access, signal };
  const { vkeys } = await openClient(connection).log(log);
  const text = await request(connection, { method: "GET", path: "/anchor/policy", idempotent: true });
  const policy = parsePolicy(text);
  const anchors = policy.logs.map(({ vkey }) => vkey);
  return { ...sorted([...vkeys.map(parseVkey), ...anchors]), by: "service", policy };
}

const sorted = (vkeys: readonly Vkey[]) => ({
  logVkeys: vkeys.filter(({ name }) => isLogOrigin(name)),
  anchorVkeys: vkeys.filter(({ name }) => !isLogOrigin(name)),
});
