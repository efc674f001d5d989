/**
 * A witness, c2sp.org/tlog-witness: cosigns checkpoints of other parties' logs after checking that each extends the one
 * before.
 *
 *     admit    the request is well-formed, and a log that is watched has signed the checkpoint
 *     judge    against the head, the latest tree head of that log that may be cosigned (consistent read)
 *     commit   move the head from the old size to the new one by compare-and-swap
 *     sign     only what the head has, or had: of racing forks one is committed, so one is ever signed
 *     record   store the cosigned checkpoint, never over a larger one; then answer
 *
 * A crash after the commit leaves a head without a cosignature. The log is told its size by the next 409, asks again
 * with that old size, and is answered. The store is trusted: an older copy of it has forgotten what was cosigned.
 */
import { compareTrees, type Fork, type SignedTree } from "@kedge/verify/evidence/evidence";
import { equalBytes } from "@kedge/verify/tlog/bytes";
import type { Checkpoint, ParsedCheckpoint } from "@kedge/verify/tlog/checkpoint";
import {
  ed25519CosignedMessage,
  encodeTimestamped,
  mldsaCosignedMessage,
} from "@kedge/verify/tlog/cosignature";
import {
  ED25519_COSIGNATURE,
  formatNote,
  MLDSA44_COSIGNATURE,
  makeVkey,
  type NoteSignature,
  parseNote,
  signatureLine,
  type Vkey,
} from "@kedge/verify/tlog/note";
import { admit, conflict, judge, type Latest, originHash, type Refusal } from "@kedge/verify/tlog/witness";
import { uniteSignatures } from "@kedge/verify/tlog/witness-client";
import { ServiceError } from "../platform/error.ts";
import type { Signer } from "../platform/signer.ts";
import { putIf, type Store } from "../platform/store.ts";
import {
  corrupt,
  cosignedKey,
  encodeCosigned,
  encodeWitnessedHead,
  readCosigned,
  readWitnessedHead,
  type WitnessedHead,
} from "./items.ts";

/** Who cosigns. Its name must never change: an Ed25519 cosignature does not say it, and one key is of one name. */
export type WitnessIdentity = {
  readonly name: string;
  readonly ed25519: Signer;
  readonly mldsa44?: Signer;
};

export type WitnessContext = {
  readonly store: Store;
  /** Milliseconds since the Epoch. */
  readonly clock: () => number;
  readonly witness: WitnessIdentity;
  /** The verifier keys of every log that is watched, by its origin. */
  readonly logs: ReadonlyMap<string, readonly Vkey[]>;
};

/** What the witness answers to one request. */
export type CosignAnswer =
  | {
      readonly status: 200;
      /** The cosignatures, as signature lines. */
      readonly lines: string;
      /** False for a checkpoint that was cosigned before, which anyone can ask for again. */
      readonly isNew: boolean;
    }
  | (Refusal & {
      /** The checkpoint as the log signed it, where it may be part of evidence against the log. */
      readonly refused?: string;
      /** With the code `equivocation`: the two roots for one size, the one on record and the one refused. */
      readonly evidence?: Fork;
    });

/** @throws ServiceError when store or signer fail; then nothing was answered, and asking again is safe. */
export async function addCheckpoint(
  { store, clock, witness, logs }: WitnessContext,
  body: string | Uint8Array,
): Promise<CosignAnswer> {
  // Before the head is read: a cosignature says that no larger tree had been seen by its time.
  const timestamp = timeOf(clock());
  const admitted = admit(body, logs);
  if (admitted.status !== 200) return admitted;
  const { parsed, signatures } = admitted;
  const { checkpoint } = parsed;
  const signed = formatNote({ text: parsed.note.text, signatures });

  const hash = originHash(checkpoint.origin);
  const latest = await readWitnessedHead(store, hash);
  const verdict = judge(admitted, latest);
  if (verdict.status !== 200) return withEvidence(verdict, { checkpoint, signed }, latest);
  // Another checkpoint was faster.
  const conflicting = async () => {
    const head = await readWitnessedHead(store, hash);
    return withEvidence(conflict(checkpoint, head), { checkpoint, signed }, head);
  };
  if (latest?.size !== checkpoint.size && !(await commit(store, hash, latest, { ...checkpoint, signed }))) {
    return await conflicting();
  }
  const lines = await cosign(witness, parsed, timestamp);
  const recorded = await record(store, hash, parsed, { own: signatures, by: witness.name, lines });
  return recorded === "overtaken" ? await conflicting() : { status: 200, lines, isNew: recorded === "new" };
}

/** In seconds. A cosignature never says 0 (c2sp.org/tlog-witness, add-checkpoint), nor can it say less. */
function timeOf(now: number): bigint {
  if (now >= 1000) return BigInt(Math.floor(now / 1000));
  throw new ServiceError("unavailable", "this machine's clock stands before 1970: set it");
}

function withEvidence(
  refusal: Refusal,
  { checkpoint, signed }: { readonly checkpoint: Checkpoint; readonly signed: string },
  latest: WitnessedHead | undefined,
): CosignAnswer {
  if (refusal.code === "bad_proof") return { ...refusal, refused: signed };
  if (refusal.code !== "equivocation") return refusal;
  const tree = (note: string, { size, root }: Latest): SignedTree => ({
    note,
    checkpoint: { origin: checkpoint.origin, size, root },
    tiles: new Map(),
  });
  const fork = latest?.signed && compareTrees(tree(latest.signed, latest), tree(signed, checkpoint));
  return { ...refusal, refused: signed, ...(typeof fork === "object" && { evidence: fork }) };
}

/** The witness's own verifier keys: type 0x04, then 0x06 if it has one. */
export async function witnessVkeys({ name, ed25519, mldsa44 }: WitnessIdentity): Promise<Vkey[]> {
  return [
    makeVkey(name, ED25519_COSIGNATURE, await ed25519.publicKey()),
    ...(mldsa44 === undefined ? [] : [makeVkey(name, MLDSA44_COSIGNATURE, await mldsa44.publicKey())]),
  ];
}

/** The commit point. @returns whether this checkpoint is the head: by this call, or by an equal one that won the race. */
async function commit(
  store: Store,
  hash: string,
  latest: Latest | undefined,
  { size, root, signed }: Required<WitnessedHead>,
): Promise<boolean> {
  const condition =
    latest === undefined
      ? ({ kind: "absent" } as const)
      : ({ kind: "equals", attribute: "size", value: latest.size } as const);
  if (await putIf(store, encodeWitnessedHead(hash, { size, root, signed }), condition)) return true;
  const head = await readWitnessedHead(store, hash);
  return head !== undefined && head.size === size && equalBytes(head.root, root);
}

/**
 * Stores the cosigned checkpoint with the log's verified signatures, `own`. Anyone may send a published checkpoint
 * again, with fewer of them or other extension lines: then the text on record stays, and no signature is dropped.
 * @returns `overtaken` when a larger checkpoint is on record: then this one, though committed, is not answered.
 */
async function record(
  store: Store,
  hash: string,
  { checkpoint: { size }, note: { text } }: ParsedCheckpoint,
  { own, by, lines }: { readonly own: readonly NoteSignature[]; readonly by: string; readonly lines: string },
): Promise<"new" | "again" | "overtaken"> {
  const itemWith = (signatures: readonly NoteSignature[]) => {
    const note = `${formatNote({ text, signatures: [...signatures] })}${lines}`;
    return encodeCosigned(hash, { size, note });
  };
  const isLarger = { kind: "absentOrBelow", attribute: "size", value: size } as const;
  if (await putIf(store, itemWith(own), isLarger)) return "new";
  const known = await readCosigned(store, hash);
  // Nobody deletes it.
  if (known === undefined) throw corrupt(cosignedKey(hash));
  if (known.size !== size) return "overtaken";
  const { text: knownText, signatures } = parseNote(known.note);
  if (knownText !== text) return "again";
  // The log's, and not the witness's of then.
  const before = signatures.filter(({ name }) => name !== by);
  // When another request was faster, it has recorded as much.
  const isUnchanged = { kind: "equals", attribute: "note", value: known.note } as const;
  await putIf(store, itemWith(uniteSignatures(own, before)), isUnchanged);
  return "again";
}

async function cosign(
  { name, ed25519, mldsa44 }: WitnessIdentity,
  { checkpoint: { origin, size, root }, note }: ParsedCheckpoint,
  timestamp: bigint,
): Promise<string> {
  const line = async (type: number, signer: Signer, message: Uint8Array) => {
    const vkey = makeVkey(name, type, await signer.publicKey());
    return signatureLine(vkey, encodeTimestamped(timestamp, await signer.sign(message)));
  };
  const text = ed25519CosignedMessage(timestamp, note.text);
  const tree = mldsaCosignedMessage({ cosignerName: name, timestamp, origin, end: size, hash: root });
  const lines = await Promise.all([
    line(ED25519_COSIGNATURE, ed25519, text),
    ...(mldsa44 === undefined ? [] : [line(MLDSA44_COSIGNATURE, mldsa44, tree)]),
  ]);
  return lines.join("");
}
