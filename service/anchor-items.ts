/**
 * What the store holds of the anchor log beside what it holds of every log: which tenant checkpoints are in it, and which
 * of its own checkpoints are public.
 */
import * as z from "zod";
import { type Item, type Key, parseItem, sortable } from "../platform/store.ts";

/** The anchor log's id; a tenant log's id is 19 random base32 characters, so the two never meet. */
export const ANCHOR = "anchor";

/** A tenant log's checkpoint of this size, once it is in the anchor log. */
export const anchoredKey = (log: string, size: bigint): Key => ({
  pk: `anchored/${log}`,
  sk: sortable(size),
});

/** A tenant checkpoint, and its index in the anchor log. */
type AnchoredCheckpoint = { readonly index: bigint; readonly note: string };

export const encodeAnchored = (log: string, size: bigint, anchored: AnchoredCheckpoint): Item => ({
  ...anchoredKey(log, size),
  ...anchored,
});

const anchoredSchema = z.object({ index: z.bigint(), note: z.string() });

export const decodeAnchored = (item: Item): AnchoredCheckpoint => parseItem(anchoredSchema, item);

/** Up to which index of the anchor log `anchored/…` items are written. */
export const cursorKey = (): Key => ({ pk: `log/${ANCHOR}`, sk: "recorded" });

export const encodeCursor = (index: bigint): Item => ({ ...cursorKey(), index });

const cursorSchema = z.object({ index: z.bigint() });

export const decodeCursor = (item: Item | undefined): bigint =>
  item === undefined ? 0n : parseItem(cursorSchema, item).index;

/** What stands under a size in public for ever; an item as every published checkpoint's (checkpoints.ts). */
export const publicCheckpointKey = (size: bigint): Key => ({
  pk: `log/${ANCHOR}`,
  sk: `public/${sortable(size)}`,
});

/** The newest public checkpoint. */
export const publicKey = (): Key => ({ pk: `log/${ANCHOR}`, sk: "public" });

const publicSchema = z.object({ size: z.bigint(), note: z.string(), at: z.bigint() });
/** `at`: since when it is public, ms since the epoch. */
export type PublicCheckpoint = Readonly<z.infer<typeof publicSchema>>;

export const encodePublic = (checkpoint: PublicCheckpoint): Item => ({ ...publicKey(), ...checkpoint });

/** @returns undefined before the first. */
export const decodePublic = (item: Item | undefined): PublicCheckpoint | undefined =>
  item && parseItem(publicSchema, item);
