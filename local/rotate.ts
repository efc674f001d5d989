/**
 * A planned rotation on one machine, beside the process that serves the data folder: a second key signs too from the next start
 * on, and a later call retires the first. One file says which keys sign, and is replaced whole: a call that is killed has
 * done its step or not. A retired key stays in kms.json.
 */
import { formatVkey } from "@kedge/verify/tlog/note";
import { createKey, useEnvironment } from "../platform/embedded/embedded.ts";
import { ServiceError } from "../platform/error.ts";
import { logLine } from "../platform/log.ts";
import { openApiService } from "../service/config.ts";
import { logVkeys } from "../service/sign.ts";
import { readEnvironment } from "./open.ts";
import { readSigningKeys, writeSigningKeys } from "./state.ts";

const KEYS = {
  log: { variable: "KEDGE_LOG_KEY", spec: "ECC_NIST_EDWARDS25519" },
  anchor: { variable: "KEDGE_ANCHOR_KEY", spec: "ECC_NIST_EDWARDS25519" },
  "anchor-mldsa": { variable: "KEDGE_ANCHOR_MLDSA_KEY", spec: "ML_DSA_44" },
} as const;
const ROTATABLE = Object.keys(KEYS);

export type Rotation = {
  /** Key ids in the embedded KMS that sign from the next start on. */
  readonly signing: readonly string[];
  /** The anchor log's vkeys then; none of tenants' logs, which have one for each. */
  readonly vkeys: readonly string[];
};

/**
 * @param which of ROTATABLE. @param retire the second step, once the new key has signed and is pinned.
 * @throws ServiceError `invalid` for a step out of turn, `unavailable` when nothing serves the folder.
 */
export async function rotateForOperator(input: {
  readonly data: string;
  readonly which: string;
  readonly retire: boolean;
}): Promise<Rotation> {
  const found = Object.entries(KEYS).find(([name]) => name === input.which)?.[1];
  if (found === undefined) throw new ServiceError("invalid", `rotate one of ${ROTATABLE.join(", ")}`);
  const environment = await readEnvironment(input.data);
  useEnvironment(environment);
  const keys = await readSigningKeys(input.data);
  if (keys === undefined)
    throw new ServiceError("unavailable", `${input.data} is just being started: try again`);
  const now = keys[found.variable].split(",");
  const signing = input.retire
    ? retired(now, environment[found.variable]?.split(",") ?? [])
    : await added(now, () => createKey(found.spec));
  await writeSigningKeys(input.data, { ...keys, [found.variable]: signing.join(",") });
  logLine("info", { event: "rotation", keys: input.which, signing: signing.join(","), was: now.join(",") });

  // What the keys of every log will be, `kedge vkeys` says after the next start: they are needed before the first retires.
  if (input.which === "log") return { signing, vkeys: [] };
  const service = openApiService({ ...environment, [found.variable]: signing.join(",") });
  const vkeys = await logVkeys(service.anchorKeys, service.anchorOrigin);
  await service.close();
  return { signing, vkeys: vkeys.map(formatVkey) };
}

async function added(now: readonly string[], create: () => Promise<string>): Promise<string[]> {
  if (now.length === 1) return [...now, await create()];
  throw new ServiceError(
    "invalid",
    "a second key signs already, or will from the next start on: retire the first with --retire, once the second is pinned",
  );
}

/** @param serving what the process that serves signs with. */
function retired(now: readonly string[], serving: readonly string[]): string[] {
  const [, successor] = now;
  if (successor === undefined) {
    throw new ServiceError("invalid", "no second key signs: begin without --retire");
  }
  if (!serving.includes(successor)) {
    throw new ServiceError("invalid", "the second key has not signed yet: restart first, and have it pinned");
  }
  return [successor];
}
