/** From a committed tree head to a signed checkpoint, c2sp.org/tlog-checkpoint. */
import { type Checkpoint, checkpointBody } from "../tlog/checkpoint.ts";
import { encodeTimestamped, mldsaCosignedMessage } from "../tlog/cosignature.ts";
import { makeVkey, signatureLine, type Vkey } from "../tlog/note.ts";
import type { Signer } from "./signer.ts";

/** Signs a tree head that the store has committed (I3). @returns the signed note. */
export type CheckpointSigner = (checkpoint: Checkpoint) => Promise<string>;

/** The keys of a log, each under the log's origin as its key name. */
export type LogKeys = {
  readonly ed25519: Signer;
  /** Post-quantum: its signature is a timestamped cosignature under the log's own name. */
  readonly mldsa44?: Signer;
};

const ED25519 = 0x01;
const MLDSA44 = 0x06;

export function checkpointSigner(keys: LogKeys, clock: () => number): CheckpointSigner {
  return async (checkpoint) => {
    const body = checkpointBody(checkpoint);
    const lines = await Promise.all([
      ed25519Line(keys.ed25519, checkpoint, body),
      ...(keys.mldsa44 === undefined ? [] : [mldsaLine(keys.mldsa44, checkpoint, clock)]),
    ]);
    return `${body}\n${lines.join("")}`;
  };
}

/** The verifier keys that a checkpoint of this origin is signed with, Ed25519 first. */
export async function logVkeys(keys: LogKeys, origin: string): Promise<Vkey[]> {
  const first = makeVkey(origin, ED25519, await keys.ed25519.publicKey());
  if (keys.mldsa44 === undefined) return [first];
  return [first, makeVkey(origin, MLDSA44, await keys.mldsa44.publicKey())];
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
  const timestamp = BigInt(Math.floor(clock() / 1000));
  const message = mldsaCosignedMessage({ cosignerName: origin, timestamp, origin, end: size, hash: root });
  return signatureLine(vkey, encodeTimestamped(timestamp, await signer.sign(message)));
}
