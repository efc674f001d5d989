/**
 * A witness, c2sp.org/tlog-witness: cosigns checkpoints of other parties' logs after checking that each extends the one
 * before.
 *
 *     admit    the request is well-formed and a log that is watched has signed the checkpoint
 *     judge    against the head: the latest tree head of that log that the store has for cosigning (consistent read)
 *     commit   move the head from that size to the new one by compare-and-swap
 *     sign     only what the head has, or had: of racing forks one is committed, so one is ever signed
 *     record   store the cosigned checkpoint, never over a larger one; then answer
 *
 * A crash after the commit leaves a head without a cosignature. The log is told its size by the next 409, asks again
 * with that old size, and is answered. The store is trusted: a copy of it that is older has forgotten what was cosigned.
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
import { admit, conflict, judge, type Latest, type Refusal } from "@kedge/verify/tlog/witness";
import { uniteSignatures } from "@kedge/verify/tlog/witness-client";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import { ServiceError } from "../platform/error.ts";
import type { Signer } from "../platform/signer.ts";
import { type Item, type Key, putIf, type Store } from "../platform/store.ts";

/** @param originHash SHA-256 of the log's origin, in hex. */
export const witnessHeadKey = (originHash: string): Key => ({ pk: `witness/${originHash}`, sk: "head" });
export const witnessCheckpointKey = (originHash: string): Key => ({
  pk: `witness/${originHash}`,
  sk: "checkpoint",
});

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

/**
 * 200 has the cosignatures, as signature lines. `refused` is the checkpoint as the log signed it, where it may be part of
 * evidence. `evidence`, with the code `equivocation`, is that of two roots for one size: the one on record and this one.
 */
export type WitnessAnswer =
  | {
      readonly status: 200;
      readonly lines: string;
      /** Not the latest once more, which anyone can ask for. */
      readonly isNew: boolean;
    }
  | (Refusal & { readonly refused?: string; readonly evidence?: Fork });

/** @throws ServiceError when store or signer fail; then nothing was answered, and asking again is safe. */
export async function addCheckpoint(
  { store, clock, witness, logs }: WitnessContext,
  body: string | Uint8Array,
): Promise<WitnessAnswer> {
  // Before the head is read: no larger tree was observed at that time, which is what the cosignature says.
  const timestamp = BigInt(Math.floor(clock() / 1000));
  const admitted = admit(body, logs);
  if (admitted.status !== 200) return admitted;
  const { checkpoint, note } = admitted.parsed;
  const signed = formatNote({ text: note.text, signatures: admitted.signatures });

  const hash = originHash(checkpoint.origin);
  const latest = await readHead(store, hash);
  const verdict = judge(admitted, latest);
  if (verdict.status !== 200) return withEvidence(verdict, { checkpoint, signed }, latest);
  const overtaken = async () => {
    const now = await readHead(store, hash);
    return withEvidence(conflict(checkpoint, now), { checkpoint, signed }, now);
  };
  if (latest?.size !== checkpoint.size && !(await commit(store, hash, latest, { ...checkpoint, signed }))) {
    return await overtaken();
  }

  const lines = await cosign(witness, admitted.parsed, timestamp);
  const { signatures: own } = admitted;
  const recorded = await record(store, hash, { size: checkpoint.size, text: note.text, own, lines });
  if (recorded === undefined) return await overtaken();
  return { status: 200, lines, isNew: recorded === "new" };
}

function withEvidence(
  refusal: Refusal,
  { checkpoint, signed }: { readonly checkpoint: Checkpoint; readonly signed: string },
  latest: Head | undefined,
): WitnessAnswer {
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

/**
 * The latest checkpoint that was cosigned, with the log's signatures that were verified and the cosignatures that were
 * answered; undefined when there is none. @param hash SHA-256 of the log's origin, in hex.
 */
export async function readCosigned(
  { store }: Pick<WitnessContext, "store">,
  hash: string,
): Promise<string | undefined> {
  const [item] = await store.get([witnessCheckpointKey(hash)]);
  if (item === undefined) return undefined;
  if (typeof item["note"] !== "string") throw corrupt(item);
  return item["note"];
}

/** The witness's own verifier keys: type 0x04, then 0x06 if it has one. */
export async function witnessVkeys({ name, ed25519, mldsa44 }: WitnessIdentity): Promise<Vkey[]> {
  return [
    makeVkey(name, ED25519_COSIGNATURE, await ed25519.publicKey()),
    ...(mldsa44 === undefined ? [] : [makeVkey(name, MLDSA44_COSIGNATURE, await mldsa44.publicKey())]),
  ];
}

/** SHA-256 of an origin, in lower-case hex (c2sp.org/tlog-witness, Monitor Retrieval Mechanism). */
export const originHash = (origin: string): string => bytesToHex(sha256(utf8ToBytes(origin)));

/** The latest tree head, and the note by which the log signed it. */
type Head = Latest & { readonly signed?: string };

async function readHead(store: Store, hash: string): Promise<Head | undefined> {
  const [item] = await store.get([witnessHeadKey(hash)]);
  if (item === undefined) return undefined;
  const { size, root, signed } = item;
  if (typeof size !== "bigint" || !(root instanceof Uint8Array) || root.length !== 32) throw corrupt(item);
  return { size, root, ...(typeof signed === "string" && { signed }) };
}

/** The commit point. @returns whether this checkpoint is the head: by this call, or by an equal one that won the race. */
async function commit(
  store: Store,
  hash: string,
  latest: Latest | undefined,
  { size, root, signed }: Required<Head>,
): Promise<boolean> {
  const condition =
    latest === undefined
      ? ({ kind: "absent" } as const)
      : ({ kind: "equals", attribute: "size", value: latest.size } as const);
  if (await putIf(store, { ...witnessHeadKey(hash), size, root, signed }, condition)) return true;
  const head = await readHead(store, hash);
  return head !== undefined && head.size === size && equalBytes(head.root, root);
}

/**
 * Records what is answered. Of one size the text that was first stays, with every line of the log's that was ever sent:
 * whoever has a published checkpoint may send it again with fewer.
 * @returns undefined when a larger checkpoint is recorded: then this one, though committed, is not answered.
 */
async function record(
  store: Store,
  hash: string,
  { size, text, own, lines }: { size: bigint; text: string; own: readonly NoteSignature[]; lines: string },
): Promise<"new" | "again" | undefined> {
  const key = witnessCheckpointKey(hash);
  const noteOf = (signatures: readonly NoteSignature[]) =>
    `${formatNote({ text, signatures: [...signatures] })}${lines}`;
  const note = noteOf(own);
  if (await putIf(store, { ...key, size, note }, { kind: "absentOrBelow", attribute: "size", value: size })) {
    return "new";
  }
  const [item] = await store.get([key]);
  if (item === undefined || typeof item["note"] !== "string") throw corrupt({ ...key });
  if (item["size"] !== size) return undefined;
  const known = parseNote(item["note"]);
  if (known.text !== text) return "again";
  // The log signs under its origin, which is the first line.
  const before = known.signatures.filter(({ name }) => text.startsWith(`${name}\n`));
  const united = noteOf(uniteSignatures(own, before));
  // Whoever was faster has recorded as much.
  await putIf(
    store,
    { ...key, size, note: united },
    { kind: "equals", attribute: "note", value: item["note"] },
  );
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

const corrupt = ({ pk, sk }: Item): ServiceError =>
  new ServiceError(
    "corrupt",
    `${pk} ${sk} is not what a witness writes: cosign nothing until it is known why`,
  );
