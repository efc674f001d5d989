/** Cosignatures that witnesses gave for a checkpoint of the anchor log that has no quorum yet. How they get here: witnesses.ts. */
import { type ParsedCheckpoint, parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import type { NoteSignature, Vkey } from "@kedge/verify/tlog/note";
import type { Policy } from "@kedge/verify/tlog/policy";
import { uniteSignatures, validCosignatures } from "@kedge/verify/tlog/witness-client";
import * as z from "zod";
import { type Item, type Key, parseItem, type Store, sortable } from "../platform/store.ts";
import { ANCHOR } from "./anchor-items.ts";

type KeptContext = { readonly store: Store; readonly policy: Policy };

/** Cosignatures of a checkpoint of this size, which has no quorum yet. */
export const cosignedKey = (size: bigint): Key => ({ pk: `log/${ANCHOR}`, sk: `cosigned/${sortable(size)}` });

const keptSchema = z.object({ note: z.string(), version: z.bigint() });

export const encodeKept = (size: bigint, kept: z.infer<typeof keptSchema>): Item => ({
  ...cosignedKey(size),
  ...kept,
});

function decodeKept(item: Item) {
  const { version, note } = parseItem(keptSchema, item);
  return { version, signatures: parseCheckpoint(note).note.signatures };
}

type Kept = {
  /** Counts every change: what compare-and-swap compares. 0: nothing is kept. */
  readonly version: bigint;
  /** Valid cosignatures by keys of today's policy, over this very checkpoint. */
  readonly valid: readonly NoteSignature[];
  readonly signatures: readonly NoteSignature[];
};

export async function readKept({ store, policy }: KeptContext, checkpoint: ParsedCheckpoint): Promise<Kept> {
  const [item] = await store.get([cosignedKey(checkpoint.checkpoint.size)]);
  const { version, signatures } = item === undefined ? { version: 0n, signatures: [] } : decodeKept(item);
  const all = uniteSignatures(checkpoint.note.signatures, signatures);
  const vkeys = policy.witnesses.map(({ vkey }) => vkey);
  // The store is not trusted: what does not verify must not get into a public checkpoint.
  return { version, signatures: all, valid: validCosignatures(checkpoint, all, vkeys).valid };
}

/** The names in the policy of those who are not known to have cosigned this checkpoint of the anchor log. */
export async function missingWitnesses(ctx: KeptContext, note: string): Promise<string[]> {
  const { valid } = await readKept(ctx, parseCheckpoint(note));
  const { witnesses } = ctx.policy;
  return witnesses.filter(({ vkey }) => !valid.some((line) => isBy(vkey, line))).map(({ name }) => name);
}

export const isBy = (vkey: Vkey, { name, id }: NoteSignature): boolean =>
  vkey.name === name && vkey.id === id;
