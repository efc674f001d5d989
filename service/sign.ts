/** From a committed tree head to a signed checkpoint, c2sp.org/tlog-checkpoint. */
import { type Checkpoint, checkpointBody } from "@kedge/verify/tlog/checkpoint";
import { encodeTimestamped, mldsaCosignedMessage } from "@kedge/verify/tlog/cosignature";
import { makeVkey, signatureLine, type Vkey } from "@kedge/verify/tlog/note";
import type { Signer } from "../platform/signer.ts";

/** Signs a tree head that the store has committed (I3). @returns the signed note. */
export type CheckpointSigner = (checkpoint: Checkpoint) => Promise<string>;

/** The keys of a log, each under the log's origin as its key name. All of a list sign: while one takes over, both do. */
export type LogKeys = {
  /** At least one. The first is the log's own. */
  readonly ed25519: readonly Signer[];
  /** Post-quantum: their signatures are timestamped cosignatures under the log's own name. */
  readonly mldsa44: readonly Signer[];
};

const ED25519 = 0x01;
const MLDSA44 = 0x06;

export function checkpointSigner(keys: LogKeys, clock: () => number): CheckpointSigner {
  return async (checkpoint) => {
    const body = checkpointBody(checkpoint);
    const lines = await Promise.all([
      ...keys.ed25519.map((signer) => ed25519Line(signer, checkpoint, body)),
      ...keys.mldsa44.map((signer) => mldsaLine(signer, checkpoint, clock)),
    ]);
    return `${body}\n${lines.join("")}`;
  };
}

/** The verifier keys that a checkpoint of this origin is signed with, in the order of its signature lines. */
export async function logVkeys(keys: LogKeys, origin: string): Promise<Vkey[]> {
  return await Promise.all([
    ...keys.ed25519.map(async (signer) => makeVkey(origin, ED25519, await signer.publicKey())),
    ...keys.mldsa44.map(async (signer) => makeVkey(origin, MLDSA44, await signer.publicKey())),
  ]);
}

async function ed25519Line(signer: Signer, { origin }: Checkpoint, body: string): Promise<string> {
  const vkey = makeVkey(origin, ED25519, await signer.publicKey());
  return signatureLine(vkey, await signer.sign(new TextEncoder().encode(body)));
}

async function mldsaLine(
  signer: Signer,
  { origin, size, root }: Checkpoint,
  clock: () => number,
): Promise<string> {
  const vkey = makeVkey(origin, MLDSA44, await signer.publicKey());
  // 0 is no statement on the time (c2sp.org/tlog-cosignature): all that a clock before 1970 can say.
  const timestamp = BigInt(Math.max(0, Math.floor(clock() / 1000)));
  const message = mldsaCosignedMessage({ cosignerName: origin, timestamp, origin, end: size, hash: root });
  return signatureLine(vkey, encodeTimestamped(timestamp, await signer.sign(message)));
}
