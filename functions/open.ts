/** The service as the sealer and the anchorer use it: opened once, and its signatures counted. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Signer } from "../platform/signer.ts";
import { openService, type Service } from "../service/config-sealing.ts";
import { checkpointSigner, type LogKeys } from "../service/sign.ts";
import type { SweepContext } from "../service/sweep.ts";

type OpenService = Service & Required<Omit<SweepContext, "runSizes" | "retention" | "beside">>;

let opened: OpenService | undefined;

/** One service per Lambda instance, opened by its first event: a wrong configuration is then an error in its log. */
export function service(): OpenService {
  opened ??= counting(openService(process.env));
  return opened;
}

/** Closes what was opened; what comes next opens anew. On one machine alone: a Lambda instance just ends. */
export async function closeService(): Promise<void> {
  const closing = opened;
  opened = undefined;
  await closing?.close();
}

/** Apart, because on one machine sealer and anchorer share the process. */
const signatures = { log: 0, anchor: 0 };

/** How many signatures KMS has made for the tenants' logs, or for the anchor log, since this was last asked. */
export function takeSignatures(of: keyof typeof signatures): number {
  const made = signatures[of];
  signatures[of] = 0;
  return made;
}

function counting(service: Service): OpenService {
  const { logKeys, anchorKeys, clock } = service;
  return {
    ...service,
    pause: sleep,
    well: new Map(),
    signLog: checkpointSigner(counted(logKeys, "log"), clock),
    signAnchor: checkpointSigner(counted(anchorKeys, "anchor"), clock),
  };
}

function counted({ ed25519, mldsa44 }: LogKeys, of: keyof typeof signatures): LogKeys {
  const count = ({ publicKey, sign }: Signer): Signer => ({
    publicKey,
    async sign(message) {
      const signature = await sign(message);
      signatures[of]++;
      return signature;
    },
  });
  return { ed25519: ed25519.map(count), mldsa44: mldsa44.map(count) };
}
