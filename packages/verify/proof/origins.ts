/** Which of the two kinds of log a key is of, by its name, which is the log's origin: `<domain>/log/<id>`, `<domain>/anchor`. */
import type { Policy } from "../tlog/policy.ts";

export function isLogOrigin(name: string): boolean {
  return /\/log\/[^/]+$/.test(name);
}

export function isAnchorOrigin(name: string): boolean {
  return name.endsWith("/anchor");
}

/**
 * A policy may list the keys of a tenant's log beside those of the anchor log, so that one file is all that is handed
 * out. Witnesses and quorum are the anchor log's: no tenant's checkpoint is cosigned, but it stands in the anchor log.
 */
export function splitPolicy(policy: Policy): { anchor: Policy; logs: Policy["logs"] } {
  const isLog = ({ vkey }: Policy["logs"][number]) => isLogOrigin(vkey.name);
  return {
    anchor: { ...policy, logs: policy.logs.filter((log) => !isLog(log)) },
    logs: policy.logs.filter(isLog),
  };
}
